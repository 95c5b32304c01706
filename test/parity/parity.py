# SPDX-License-Identifier: Apache-2.0
"""Checks that compiled models compute what fixtures say (test/fixtures/README.md, "How a fixture is checked").

Every folder is exported with trace outputs, compiled, and run by parity-driver through the C interface, in every variant that the
artifact has and this machine can run. Prints a row for each; exit code 1 when one differs.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOLERANCE = {"logits": 2e-4, "hidden": 2e-4, "scores": 1e-4, "bank": 1e-4, "prefix": 1e-4}
MAY_CHANGE_PLACES = 1e-5


def kind_of(tensor):
    for kind, ends in {"logits": ("logits",), "hidden": ("hidden",), "scores": ("doc_scores",)}.items():
        if tensor.endswith(ends):
            return kind
    return tensor.split(".")[0]


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def same_order(actual, expected, scores, numbers):
    """Whether both lists are equal but that documents whose scores are nearly equal may have changed places."""
    if sorted(actual) != sorted(expected):
        return False
    place = {n: i for i, n in enumerate(numbers)}
    return all(a == e or abs(scores[place[a]] - scores[place[e]]) < MAY_CHANGE_PLACES for a, e in zip(actual, expected))


class Checker:
    """Compares what one variant computed with a fixture; `problems` says what differs."""

    def __init__(self, fixture, actual):
        self.inputs, self.expected = (read_json(os.path.join(fixture, f"{n}.json")) for n in ("inputs", "expected"))
        self.wanted = load_file(os.path.join(fixture, "expected.safetensors"))
        self.actual = read_json(os.path.join(actual, "actual.json"))
        self.found = load_file(os.path.join(actual, "actual.safetensors"))
        self.problems, self.largest = [], {}
        self.tokens()
        self.bank()
        self.queries()
        self.interleave()
        self.tensors()

    def require(self, condition, text):
        if not condition:
            self.problems.append(text)

    def tokens(self):
        self.require(self.actual["prefix_ids"] == self.inputs["template_prefix"]["input_ids"], "tokens of the prefix differ")
        wrong = [d["number"] for d, ids in zip(self.inputs["documents"], self.actual["document_ids"], strict=True) if ids != d["input_ids"]]
        self.require(not wrong, f"tokens of documents {wrong[:5]} differ")
        for query in self.expected["queries"]:
            made = self.actual["prompts"].get(query["name"])
            call = query["calls"][0]
            if made is not None:
                self.require(made["ids"] == call["input_ids"] and made["numbers"] == call["doc_ids"],
                             f"{query['name']}: tokens of the prompt differ")

    def bank(self):
        self.require(self.actual["chunks_per_document"] == self.expected["chunks_per_document"], "chunks per document differ")

    def queries(self):
        numbers = [d["number"] for d in self.inputs["documents"]]
        self.documents = self.greedy = 0
        for query, actual in zip(self.expected["queries"], self.actual["queries"], strict=True):
            scores = self.wanted[f"{query['name']}.doc_scores"]
            for row, layer in enumerate(self.expected["router_layers"]):
                right = same_order(actual["selected"][str(layer)], query["selected"][str(layer)], scores[row], numbers)
                self.documents += right
                self.require(right, f"{query['name']}: layer {layer} selects {actual['selected'][str(layer)]}, "
                                    f"expected {query['selected'][str(layer)]}")
            equal = [a == e for a, e in zip(actual["greedy"], query["greedy"], strict=True)]
            self.greedy += sum(equal)
            self.require(all(equal), f"{query['name']}: {equal.count(False)} of {len(equal)} greedy tokens differ")

    def interleave(self):
        """The generation loop makes the calls of all rounds from the first question."""
        made = self.actual.get("interleave_calls")
        if made is None:
            return
        # A round's delimiter is not fed: nothing follows it. Behind the last call of the file the loop may go on.
        wanted = []
        for query in self.expected["queries"]:
            calls = query["calls"]
            if query is not self.expected["queries"][-1]:
                calls = calls[:-1]
            wanted += calls
        keys = ("stage", "input_ids", "position_ids", "doc_ids")
        for i, call in enumerate(wanted):
            if i >= len(made):
                return self.require(False, f"the loop made {len(made)} calls, expected {len(wanted)}")
            # The number of a token behind the prompt changes nothing: such tokens never route.
            compared = keys if call["stage"] == "prefill" else keys[:-1]
            if any(made[i][k] != call[k] for k in compared):
                return self.require(False, f"call {i} of the loop differs: {made[i]}, expected {call}")

    def tensors(self):
        for name, wanted in sorted(self.wanted.items()):
            found, kind = self.found.get(name), kind_of(name)
            if found is None or found.shape != wanted.shape:
                self.require(False, f"{name}: expected shape {wanted.shape}, found {None if found is None else found.shape}")
                continue
            difference = float(np.max(np.abs(found.astype(np.float64) - wanted), initial=0))
            self.largest[kind] = max(self.largest.get(kind, 0), difference)
            self.require(difference <= TOLERANCE[kind], f"{name}: differs by {difference:.1e}, allowed {TOLERANCE[kind]:.0e}")

    def counts(self):
        queries, layers = self.expected["queries"], len(self.expected["router_layers"])
        return (f"{self.documents}/{len(queries) * layers}", f"{self.greedy}/{sum(len(q['greedy']) for q in queries)}")


def tool(build, name):
    path = os.path.join(build, "bin", name)
    if not os.path.exists(path):
        sys.exit(f"error: expected '{name}' in '{os.path.join(build, 'bin')}', found none: build the project, or set MSA_BUILD")
    return path


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip()[-2000:])
    return done.stdout


def compile_fixture(fixture, folder, build, target):
    sys.path.insert(0, os.path.join(ROOT, "models"))
    from msa_models.export import export_checkpoint, quiet
    quiet()
    export_checkpoint(fixture, os.path.join(folder, "model"), trace=True)
    artifact = os.path.join(folder, "model.msa")
    run([tool(build, "msac"), os.path.join(folder, "model"), "-o", artifact] + ([f"--target={target}"] if target else []))
    return artifact


def main():
    p = argparse.ArgumentParser(prog="test/parity/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("fixtures", nargs="+", metavar="FIXTURE_DIR", help="folder in the format of test/fixtures/README.md")
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"),
                   help="where to run: every variant for this processor, or the best one for the NVIDIA GPU (or what LD_LIBRARY_PATH puts in its "
                   "driver's place)")
    p.add_argument("--variant", help="run this variant alone (cuda:sm_80, ...)")
    p.add_argument("--target", help="--target of msac (default: its own; for cuda: cuda:sm_90,cuda:sm_80)")
    p.add_argument("--write", metavar="DIR", help="keep what was computed: DIR/NAME/actual.json and actual.safetensors")
    p.add_argument("--compiled", metavar="DIR", help="take DIR/NAME.msa, exported with --trace, instead of compiling anew")
    p.add_argument("--threads", type=int, default=2, help="threads that run the model (default 2)")
    a = p.parse_args()
    target = a.target or ("cuda:sm_90,cuda:sm_80" if a.device == "cuda" else None)
    build = os.environ.get("MSA_BUILD", os.path.join(ROOT, "build", "release"))
    driver, inspect = tool(build, "parity-driver"), tool(build, "msa-inspect")
    print(f"{'fixture':38} {'variant':10} {'documents':>9} {'greedy':>8} " + " ".join(f"{k:>8}" for k in TOLERANCE))
    failed = False
    for fixture in a.fixtures:
        name = os.path.basename(os.path.normpath(fixture))
        with tempfile.TemporaryDirectory() as folder:
            try:
                artifact = (os.path.join(a.compiled, f"{name}.msa") if a.compiled else compile_fixture(fixture, folder, build, target))
                variants = json.loads(run([inspect, "--json", artifact]))["variants"]
                here = [a.variant] if a.variant else ["cuda"] if a.device == "cuda" else [v["name"] for v in variants if v.get("supported")]
                if not here:
                    raise RuntimeError("this machine can run none of the artifact's variants")
                for variant in here:
                    out = os.path.join(folder, variant)
                    os.mkdir(out)
                    run([driver, artifact, fixture, out, variant, str(a.threads)])
                    checker = Checker(fixture, out)
                    documents, greedy = checker.counts()
                    differences = " ".join(f"{checker.largest.get(k, 0):8.1e}" for k in TOLERANCE)
                    print(f"{name:38} {checker.actual['variant']:10} {documents:>9} {greedy:>8} {differences}  {'FAILED' if checker.problems else 'ok'}")
                    for problem in checker.problems:
                        print(f"    {problem}")
                    failed |= bool(checker.problems)
                if a.write:  # of the variant that a user gets
                    kept = os.path.join(a.write, name)
                    os.makedirs(kept, exist_ok=True)
                    shutil.copyfile(os.path.join(folder, here[0], "actual.safetensors"), os.path.join(kept, "actual.safetensors"))
                    with open(os.path.join(kept, "actual.json"), "w", encoding="utf-8") as f:
                        json.dump({"queries": read_json(os.path.join(folder, here[0], "actual.json"))["queries"]}, f, indent=1)
            except Exception as error:  # one bad folder does not keep the others from being checked
                print(f"{name:38} FAILED: {error}")
                failed = True
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
