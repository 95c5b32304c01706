# SPDX-License-Identifier: Apache-2.0
"""The needle model exported in bf16 and in f16 (weights, activations, caches and bank rows), compiled, and asked its own questions.

    python3 test/parity/small_types.py --build build/release [--questions N]

Two checks of each type: at least 59 of 60 answers are right; and the first logits lie no further from those of the float64
definition than 1.5 times what PyTorch's own computation in that type does, in the root of the mean square over all questions. (Two ways to round are two ways to be
wrong: they are not compared with each other.)
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "models"))

from msa_models.export import DTYPES, export_checkpoint, quiet  # noqa: E402
from msa_models.oracle import Model, eager_sessions  # noqa: E402

NEEDLE = os.path.join(ROOT, "models", "needle")


def lines(name):
    with open(os.path.join(NEEDLE, name), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--questions", type=int, default=60)
    given = parser.parse_args()
    tools = os.path.join(given.build, "bin")
    quiet()
    documents, questions = [d["text"] for d in lines("documents.jsonl")], lines("questions.jsonl")[:given.questions]
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        exact = None
        for dtype in ("bf16", "f16"):
            folder, artifact, bank = (os.path.join(work, f"{kind}-{dtype}") for kind in ("model", "needle.msa", "bank"))
            export_checkpoint(NEEDLE, folder, dtype=dtype)
            subprocess.run([os.path.join(tools, "msac"), folder, "-o", artifact], check=True)
            added = subprocess.run([os.path.join(tools, "msa-run"), "add", artifact, "--bank", bank, "--jsonl",
                                    os.path.join(NEEDLE, "documents.jsonl"), "--json"], check=True, capture_output=True, text=True)
            storage = json.loads(added.stdout.splitlines()[-1])["bank"]["storage"]
            if storage != dtype:
                print(f"expected the bank of a {dtype} model to be stored as {dtype}, found {storage}")
                wrong += 1

            def model(of):
                made = Model(folder, sessions=eager_sessions(NEEDLE, of))
                made.add(documents)
                return made

            exact = exact or model(torch.float64)
            peer = model(DTYPES[dtype])
            answers, ours, theirs = 0, [], []
            for question in questions:
                path = os.path.join(work, "logits.npy")
                asked = subprocess.run([os.path.join(tools, "msa-run"), "ask", artifact, "--bank", bank, question["prompt"], "--logits", path,
                                        "--json"], check=True, capture_output=True, text=True)
                answers += json.loads(asked.stdout)["text"].strip() == question["answer"]
                wanted = exact.prefill(*exact.prompt(question["prompt"])).logits
                ours.append(np.load(path)[0] - wanted)
                theirs.append(peer.prefill(*peer.prompt(question["prompt"])).logits - wanted)
            ours, theirs = (float(np.sqrt(np.mean(np.square(x)))) for x in (ours, theirs))
            good = answers >= len(questions) - 1 and ours <= 1.5 * theirs
            wrong += not good
            print(f"{dtype}: {answers} of {len(questions)} answers right; rms of the first logits' error: ours {ours:.2e}, PyTorch {theirs:.2e}: "
                  f"{'ok' if good else 'WRONG'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
