# SPDX-License-Identifier: Apache-2.0
"""The compiled retriever against onnxruntime on the same .onnx files: 100 random texts of 1 to 256 tokens, in batches of 1 to 16, one artifact for all shapes.

    python3 test/parity/retriever.py --build build/release [--variant NAME] [--models FOLDER] [--seed N]

Prints the largest difference; exit code 1 above 1e-4, or where documents differ.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

TEXTS, LONGEST, TOLERANCE = 100, 256, 1e-4
CLS, SEP, FIRST, LAST = 101, 102, 1000, 30000  # WordPiece ids


def packed(texts):
    """Inputs of `encode` for content token ids, one window a text."""
    ids, window, wpos, content, doc, pos = [], [], [], [], [], []
    for i, tokens in enumerate(texts, 1):
        content += range(len(ids) + 1, len(ids) + 1 + len(tokens))
        ids += [CLS, *tokens, SEP]
        window += [i] * (len(tokens) + 2)
        wpos += range(len(tokens) + 2)
        doc += [i] * len(tokens)
        pos += range(len(tokens))
    arrays = dict(ids=ids, window=window, wpos=wpos, content=content, doc=doc, pos=pos)
    return {k: np.array(v, np.int64) for k, v in arrays.items()}


def invoke(tools, artifact, entry, feeds, work, variant):
    arguments = []
    for name, value in feeds.items():
        path = os.path.join(work, f"{name}.npy")
        np.save(path, value)
        arguments += ["--input", f"{name}={path}"]
    command = [os.path.join(tools, "msa-run"), "invoke", artifact, "--entry", entry, *arguments, "--output-dir", work, "--skip-weights-digest"]
    subprocess.run(command + (["--variant", variant] if variant else []), check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--models", help="exported retriever; default: made here")
    parser.add_argument("--variant")
    parser.add_argument("--seed", type=int, default=None, help="default: a fresh one, which is printed")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(4), "little")
    random = np.random.default_rng(seed)
    tools = os.path.join(given.build, "bin")
    with tempfile.TemporaryDirectory() as work:
        models = given.models or os.path.join(work, "retriever")
        if not given.models:
            subprocess.run([sys.executable, "-m", "msa_models.retriever", "--out", models], check=True)
        artifact = os.path.join(work, "retriever.msa")
        subprocess.run([os.path.join(tools, "msac"), models, "-o", artifact], check=True)
        sessions = {e: onnxruntime.InferenceSession(os.path.join(models, f"{e}.onnx"), providers=["CPUExecutionProvider"]) for e in ("encode", "route")}
        texts = [random.integers(FIRST, LAST, length).tolist() for length in random.integers(1, LONGEST + 1, TEXTS)]
        texts[0], texts[1] = texts[0][:1], random.integers(FIRST, LAST, LONGEST).tolist()
        worst, at, keys, documents = 0.0, 0, [], []
        while at < len(texts):
            batch = texts[at:at + int(random.integers(1, 17))]
            feeds = packed(batch)
            expected, chunk_doc = sessions["encode"].run(["mem_rk.0", "chunk_doc"], feeds)
            invoke(tools, artifact, "encode", feeds, work, given.variant)
            found = np.load(os.path.join(work, "mem_rk.0.npy"))
            if found.shape != expected.shape or not np.array_equal(np.load(os.path.join(work, "chunk_doc.npy")), chunk_doc):
                sys.exit(f"seed {seed}: texts {at}..: chunks differ: expected {expected.shape}, got {found.shape}")
            worst = max(worst, float(np.abs(found - expected).max()))
            keys.append(expected)
            documents.append(chunk_doc - 1 + at)
            at += len(batch)
        bank = {"mem_rk.0": np.concatenate(keys), "chunk_doc": np.concatenate(documents)}
        for _ in range(8):
            ids = [CLS, *random.integers(FIRST, LAST, int(random.integers(1, 40))), SEP]
            feeds = {"ids": np.array(ids, np.int64), "wpos": np.arange(len(ids)), "query_mask": np.ones(len(ids), bool), **bank}
            docs, scores = sessions["route"].run(["docs.0", "scores.0"], feeds)
            invoke(tools, artifact, "route", feeds, work, given.variant)
            if not np.array_equal(np.load(os.path.join(work, "docs.0.npy")), docs):
                sys.exit(f"seed {seed}: a question is routed to other documents")
            worst = max(worst, float(np.abs(np.load(os.path.join(work, "scores.0.npy")) - scores).max()))
    print(f"seed {seed}: {TEXTS} texts, 8 questions, largest difference {worst:.2e}")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
