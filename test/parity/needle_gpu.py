# SPDX-License-Identifier: Apache-2.0
"""The needle model on `--device=cuda`, in artifacts that hold code for processors as well: questions about 60 generated facts, all answered right.

    python3 test/parity/needle_gpu.py --build build/release

Runs under whatever driver LD_LIBRARY_PATH leads to: in tests the stand-in made of the PTX emulator (BUILD/lib/ptxemu). The model is exported in bf16 (tensor cores,
on a device of capability 9.0) and in f32 (no tensor cores, 8.0; few questions: test/runtime/gpu_generation_test.py asks it more). Of each artifact it is checked as well that it is the same bytes when
made again, that without a driver the device is refused by one clear error and the processor answers, and that its processor's answers, scores and all, are those of
an artifact without GPU code.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "models"))

from msa_models.export import export_checkpoint, quiet  # noqa: E402

NEEDLE = os.path.join(ROOT, "models", "needle")
FACTS, QUESTIONS, SEED = 60, 20, 11
PROCESSOR = "x86-64-v3"


def generated(what, *arguments):
    done = subprocess.run([sys.executable, os.path.join(NEEDLE, "generate.py"), what, str(FACTS), "--seed", str(SEED), *map(str, arguments)],
                          check=True, capture_output=True, text=True)
    return done.stdout


class Run:
    def __init__(self, build):
        self.tools = os.path.join(build, "bin")
        self.failures = []

    def require(self, condition, text):
        if not condition:
            self.failures.append(text)
            print("WRONG:", text)

    def tool(self, name, *arguments, driver=True, environment=None):
        variables = os.environ | (environment or {})
        if not driver:
            variables.pop("LD_LIBRARY_PATH", None)
        return subprocess.run([os.path.join(self.tools, name), *map(str, arguments)], capture_output=True, text=True, env=variables, timeout=900)

    def succeed(self, *arguments, **more):
        done = self.tool(*arguments, **more)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: exit code {done.returncode}: {done.stderr.strip()[-3000:]}")
        return done.stdout

    def ask(self, artifact, bank, prompt, *more, **environment):
        answer = json.loads(self.succeed("msa-run", "ask", artifact, "--bank", bank, prompt, "--json", *more, **environment))
        return {key: answer[key] for key in ("layers", "tokens", "text")}

    def check(self, dtype, target, capability, count, work, documents, questions):
        path = lambda name: os.path.join(work, f"{name}-{dtype}")  # noqa: E731
        export_checkpoint(NEEDLE, path("model"), dtype=dtype)
        both, again, alone = (path(n) + ".msa" for n in ("both", "again", "alone"))
        for artifact, targets in ((both, f"{target},{PROCESSOR}"), (again, f"{target},{PROCESSOR}"), (alone, PROCESSOR)):
            self.succeed("msac", path("model"), "-o", artifact, "--target", targets)
        with open(both, "rb") as a, open(again, "rb") as b:
            self.require(a.read() == b.read(), f"{dtype}: two builds for {target},{PROCESSOR} differ")
        device = {"environment": {"MSA_PTXEMU_SM": capability}}
        self.succeed("msa-run", "add", both, "--bank", path("gpu"), "--jsonl", documents, "--device=cuda", **device)
        for artifact, bank in ((both, "cpu"), (alone, "alone")):
            self.succeed("msa-run", "add", artifact, "--bank", path(bank), "--jsonl", documents, driver=False)
        right = 0
        for question in questions[:count]:
            answer = self.ask(both, path("gpu"), question["prompt"], "--device=cuda", **device)
            right += answer["text"].strip() == question["answer"]
            here = self.ask(both, path("cpu"), question["prompt"], driver=False)
            self.require(here == self.ask(alone, path("alone"), question["prompt"], driver=False),
                         f"{dtype}: GPU code in the artifact changes what the processor computes")
            best = [[layer["documents"][0] for layer in one["layers"]] for one in (answer, here)]
            self.require(best[0] == best[1], f"{dtype}: '{question['prompt']}': the best documents are {best[0]}, on the processor {best[1]}")
        print(f"{dtype} on {target}: {right} of {count} answers right")
        self.require(right == count, f"{dtype} on {target}: {right} of {count} answers right")
        refused = self.tool("msa-run", "ask", both, "--bank", path("gpu"), "who?", "--device=cuda", driver=False)
        self.require(refused.returncode == 1 and refused.stderr.count("error: ") == 1 and "libcuda.so.1" in refused.stderr,
                     f"without a driver: expected one error that names libcuda.so.1, found {refused.returncode}: {refused.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    run = Run(parser.parse_args().build)
    quiet()
    questions = [json.loads(line) for line in generated("questions", "--questions", QUESTIONS).splitlines()]
    with tempfile.TemporaryDirectory() as work:
        documents = os.path.join(work, "documents.jsonl")
        with open(documents, "w", encoding="utf-8") as f:
            f.write(generated("documents"))
        run.check("bf16", "cuda:sm_90", "90", QUESTIONS, work, documents, questions)
        run.check("f32", "cuda:sm_80", "80", QUESTIONS // 10, work, documents, questions)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
