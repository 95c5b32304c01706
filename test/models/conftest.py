# SPDX-License-Identifier: Apache-2.0
"""Paths, and checkpoints exported once for a whole test run."""
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))

FIXTURES = ROOT / "test" / "fixtures"
NEEDLE = ROOT / "models" / "needle"


def checkpoint_folder(name):
    return NEEDLE if name == "needle" else FIXTURES / name


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """exported(name) -> folder of the exported checkpoint, with the outputs that tests look at."""
    from msa_models.export import export_checkpoint, quiet
    quiet()
    done = {}

    def get(name):
        if name not in done:
            done[name] = tmp_path_factory.mktemp(name)
            export_checkpoint(checkpoint_folder(name), done[name], trace=name != "needle")
        return done[name]

    return get
