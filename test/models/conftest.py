# SPDX-License-Identifier: Apache-2.0
"""Paths, and checkpoints exported once for a whole test run."""
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))

FIXTURES = ROOT / "test" / "fixtures"
NEEDLE = ROOT / "models" / "needle"


def checkpoint_folder(name):
    return NEEDLE if name == "needle" else FIXTURES / name


def command(module, *arguments):
    """Runs a module of msa_models as a command."""
    return subprocess.run([sys.executable, "-m", f"msa_models.{module}", *map(str, arguments)], capture_output=True,
                          text=True, cwd=ROOT / "models", timeout=600)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """exported(name) -> folder of the exported checkpoint, with the outputs that tests look at."""
    from msa_models.export import export_checkpoint, quiet
    quiet()
    done = {}

    def get(name):
        if name not in done:
            done[name] = tmp_path_factory.mktemp(name)
            if name == "needle":  # as a user does
                result = command("export", NEEDLE, "--out", done[name])
                assert (result.returncode, result.stderr) == (0, "")
            else:
                export_checkpoint(checkpoint_folder(name), done[name], trace=True)
        return done[name]

    return get
