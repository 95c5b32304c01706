# SPDX-License-Identifier: Apache-2.0
"""Routing keys of one byte (`msac --routing-keys=e4m3`) from the export of the needle model to answers, beside the same model with its own keys.

    python3 test/parity/small_keys.py --build build/release [--device cuda] [--documents N] [--questions N]

The model with its own keys runs on the processor. Checked of the artifact with small keys, on the device:
  - encode gives the keys of the other artifact, quantised as docs/design/0003-small-routing-keys.md says (byte for byte on the processor; on a GPU, whose
    sums come in another order, within the error that is stated there), and everything else as it was (on a GPU, within 1e-4);
  - prefill's routing over them is the other artifact's routing over the keys that they stand for: the same documents, scores within 1e-5 (for many
    question tokens on a GPU, within what its tensor cores lose of the query);
  - a bank of generated facts holds them in a quarter of the bytes, comes back from its file, and questions about it are answered right;
  - what cannot be done is an error that says why: keys that attention reads too, a type that does not exist, a bank of the other artifact.
With --device cuda, under whatever driver LD_LIBRARY_PATH leads to: in tests the stand-in made of the PTX emulator (BUILD/lib/ptxemu).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "models"))

from msa_models.export import export_checkpoint, quiet  # noqa: E402

NEEDLE = os.path.join(ROOT, "models", "needle")
COUPLED = os.path.join(ROOT, "test", "fixtures", "coupled-p16")  # its router shares its keys with attention
E4M3 = ml_dtypes.float8_e4m3fn
SEED, CHUNK = 5, 4
# A question whose document shares no words with others': the best document is the same with either keys; of the rest nearly all.
RECALL = 0.9


def quantized(x):
    x = x.astype(np.float32)
    scales = np.abs(x).max((1, 2), keepdims=True) / np.float32(448)
    scales[scales == 0] = 1
    return np.clip(x / scales, -448, 448).astype(E4M3), scales


class Run:
    def __init__(self, given, work):
        self.tools, self.device, self.work, self.failures = os.path.join(given.build, "bin"), given.device, work, 0
        self.given = given

    def require(self, condition, text):
        if not condition:
            self.failures += 1
            print("WRONG:", text)

    def tool(self, name, *arguments):
        done = subprocess.run([os.path.join(self.tools, name), *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(map(str, arguments))}: exit code {done.returncode}: {done.stderr.strip()[-3000:]}")
        return done.stdout

    def path(self, name):
        return os.path.join(self.work, name)

    def invoke(self, kind, entry, inputs):
        options, out = [], self.path("out")
        for name, array in inputs.items():
            file = self.path(f"in-{name}.npy")
            np.save(file, array)
            options += ["--input", f"{name}={file}"]
        device = self.device if kind == "e4m3" else "cpu"
        self.tool("msa-run", "invoke", self.path(kind + ".msa"), "--entry", entry, *options, "--output-dir", out, f"--device={device}")
        return {file[:-4]: np.load(os.path.join(out, file)) for file in os.listdir(out)}

    def compile(self):
        export_checkpoint(NEEDLE, self.path("model"))
        processors = "x86-64-v3" if self.device == "cuda" else "x86-64-v4,x86-64-v3"
        for kind, targets in (("model", processors), ("e4m3", "cuda:sm_90" if self.device == "cuda" else processors)):
            self.tool("msac", self.path("model"), f"--routing-keys={kind}", "--target", targets, "-o", self.path(kind + ".msa"))

    def check_encode(self, config):
        rng = np.random.default_rng(SEED)
        lengths = rng.integers(1, 30, 12)
        inputs = {"ids": rng.integers(0, config["vocab_size"], lengths.sum()), "doc": np.repeat(np.arange(1, 13), lengths),
                  "pos": np.concatenate([np.arange(n) for n in lengths])}
        plain, small = (self.invoke(kind, "encode", inputs) for kind in ("model", "e4m3"))
        for name, expected in plain.items():
            if not name.startswith("mem_rk."):
                error = np.abs(small[name] - expected).max()
                self.require(error <= (0 if self.device == "cpu" else 1e-4), f"'{name}' of encode differs by {error} with small routing keys")
                continue
            rows, scales = quantized(expected)
            found, foundScales = small[name].view(E4M3), small[name.replace("mem_rk", "mem_rk_scale")]
            if self.device == "cpu":
                self.require(np.array_equal(found.view(np.uint8), rows.view(np.uint8)) and np.array_equal(foundScales, scales),
                             f"'{name}' of encode is not the quantised '{name}' of the model")
            error = np.abs(found.astype(np.float64) * foundScales - expected)
            bound = np.maximum(np.abs(expected) / 16, scales / 1024) + 1e-5
            self.require((error <= bound).all(), f"'{name}' of encode lies up to {(error / bound).max()} times its bound from the model's")
        return small

    def check_route(self, config, memory, tokens, tolerance):
        """Of many rows: a bank of `memory` several times over."""
        rng, times = np.random.default_rng(SEED), 1 if self.device == "cuda" else 40
        chunks = len(memory["chunk_doc"])
        documents = np.concatenate([memory["chunk_doc"] + 100 * i for i in range(times)])
        inputs = {"ids": rng.integers(0, config["vocab_size"], tokens), "pos": np.arange(tokens) + config["first_position"],
                  "query_mask": np.arange(tokens) % 5 != 2, "chunk_doc": documents}
        for layer in range(config["layers"]):
            for kind in "kv":
                inputs[f"prefix_{kind}.{layer}"] = np.zeros((0, config["kv_heads"], config["head_dim"]), np.float32)
        small, plain = dict(inputs), dict(inputs)
        for layer in config["router_layers"]:
            order = rng.permutation(chunks * times) % chunks
            rows, scales = memory[f"mem_rk.{layer}"].view(E4M3)[order], memory[f"mem_rk_scale.{layer}"][order]
            scales = (scales * rng.uniform(0.5, 2, scales.shape)).astype(np.float32)
            small[f"mem_rk.{layer}"], small[f"mem_rk_scale.{layer}"] = rows.view(np.uint8), scales
            plain[f"mem_rk.{layer}"] = rows.astype(np.float32) * scales
            for kind in "kv":
                small[f"mem_{kind}.{layer}"] = plain[f"mem_{kind}.{layer}"] = memory[f"mem_{kind}.{layer}"][order]
        found, expected = self.invoke("e4m3", "prefill", small), self.invoke("model", "prefill", plain)
        for layer in config["router_layers"]:
            docs, scores = f"docs.{layer}", f"scores.{layer}"
            same = np.array_equal(found[docs], expected[docs])
            self.require(same, f"{tokens} tokens, layer {layer}: routes to {found[docs]}, by the same keys in f32 to {expected[docs]}")
            error = np.abs(found[scores] - expected[scores]).max() if same else 0
            print(f"{tokens} tokens, layer {layer}: scores within {error:.1e} of those by the same keys in f32")
            self.require(error <= tolerance, f"{tokens} tokens, layer {layer}: scores differ by {error} from those by the same keys in f32")

    def check_answers(self):
        given = self.given
        generate = [sys.executable, os.path.join(NEEDLE, "generate.py")]
        for what, more in (("documents", []), ("questions", ["--questions", str(given.questions)])):
            with open(self.path(what), "w", encoding="utf-8") as file:
                subprocess.run([*generate, what, str(given.documents), "--seed", str(SEED), *more], check=True, stdout=file)
        with open(self.path("questions"), encoding="utf-8") as file:
            questions = [json.loads(line) for line in file]
        stored, answers = {}, {}
        for kind in ("e4m3", "model"):
            device = self.device if kind == "e4m3" else "cpu"
            artifact, bank = self.path(kind + ".msa"), self.path(kind + ".bank")
            added = json.loads(self.tool("msa-run", "add", artifact, "--bank", bank, "--jsonl", self.path("documents"), "--json", f"--device={device}").splitlines()[-1])
            stored[kind] = added["bank"]["stored_bytes"] / added["chunks"]
            asked = self.tool("msa-run", "ask", artifact, "--bank", bank, "--questions", self.path("questions"), "--max-new-tokens", 16, "--json", f"--device={device}")
            answers[kind] = [json.loads(line) for line in asked.splitlines()]
        # Two layers' rows of 128 elements: three fields of f32; one byte and a scale instead of one of them.
        self.require(stored == {"model": 2 * 3 * 512, "e4m3": 2 * (2 * 512 + 128 + 4)}, f"a chunk takes {stored} bytes in a bank")
        right = sum(answer["text"].strip() == question["answer"] for answer, question in zip(answers["e4m3"], questions, strict=True))
        shared = wanted = best = 0
        for small, own in zip(answers["e4m3"], answers["model"]):
            best += all(a["documents"][0] == b["documents"][0] for a, b in zip(small["layers"], own["layers"], strict=True))
            for a, b in zip(small["layers"], own["layers"]):
                shared += len(set(a["documents"]) & set(b["documents"]))
                wanted += len(b["documents"])
        print(f"{right} of {len(questions)} answers right, the best documents as with the model's own keys {best} times, {shared / wanted:.1%} of all documents")
        self.require(right == best == len(questions) and shared >= RECALL * wanted, "small routing keys find other documents")

    def check_refusals(self):
        def refused(code, part, name, *arguments):
            done = subprocess.run([os.path.join(self.tools, name), *map(str, arguments)], capture_output=True, text=True)
            self.require(done.returncode == code and part in done.stderr, f"{name} {' '.join(map(str, arguments))}: expected exit code {code} and '{part}', "
                                                                        f"found {done.returncode}: {done.stderr}")

        export_checkpoint(COUPLED, self.path("coupled"))
        for option in ([], ["--check"]):
            refused(1, "reads the routing keys 'mem_k.1' as well", "msac", *option, self.path("coupled"), "--routing-keys=e4m3", "-o", self.path("coupled.msa"))
        refused(2, "expected --routing-keys to be model or e4m3, but got 'e5m2'", "msac", self.path("model"), "--routing-keys=e5m2", "-o", self.path("none.msa"))
        refused(1, "field 2 is not 'mem_rk.2' with the same row and type", "msa-run", "ask", self.path("model.msa"), "--bank", self.path("e4m3.bank"), "who?")
        refused(1, "another layout than the artifact", "msa-run", "ask", self.path("e4m3.msa"), "--bank", self.path("model.bank"), "who?")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--questions", type=int, default=20)
    given = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as work:
        run = Run(given, work)
        run.compile()
        with open(os.path.join(work, "model", "msa.json"), encoding="utf-8") as file:
            config = json.load(file)
        memory = run.check_encode(config)
        run.check_route(config, memory, 5, 1e-5)
        # On a GPU many tokens go to fp8 tensor cores in two parts: 2^-9 of an element of the query is lost at most (codegen/gpu/templates/Route.h), so as
        # much of a product of a query of norm 1 with a key of norm 2 at most. The seed's documents are further apart.
        run.check_route(config, memory, 24, 2 * 2**-9 if given.device == "cuda" else 1e-5)
        run.check_answers()
        if given.device == "cpu":
            run.check_refusals()
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
