#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The needle model on --device=cuda, on the driver that the PTX emulator stands in for: 60 facts, 20 questions, all answered right.

    gpu_generation_test.py BIN_DIR STAND_IN_DIR WORK_DIR [NEEDLE.msa]

exports and compiles models/needle for GPUs and this processor unless an artifact is given. Facts and questions are new ones, made by
models/needle/generate.py. The CPU gets the same questions and must route to the same documents and say the same.
"""
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN, STAND_IN, WORK = (os.path.abspath(p) for p in sys.argv[1:4])
NEEDLE = os.path.join(ROOT, "models", "needle")
FACTS, QUESTIONS, SEED = 60, 20, 5


def msa_run(*arguments):
    environment = {**os.environ, "LD_LIBRARY_PATH": STAND_IN}
    done = subprocess.run([os.path.join(BIN, "msa-run"), *arguments], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"error: msa-run {' '.join(arguments)}: {done.stderr[-4000:]}")
    return done.stdout


def compile_needle():
    sys.path.insert(0, os.path.join(ROOT, "models"))
    from msa_models.export import export_checkpoint, quiet
    quiet()
    export_checkpoint(NEEDLE, os.path.join(WORK, "needle"))
    artifact = os.path.join(WORK, "needle.msa")
    subprocess.run([os.path.join(BIN, "msac"), "-q", os.path.join(WORK, "needle"), "--target=cuda:sm_90,cuda:sm_80,x86-64-v3", "-o", artifact], check=True)
    return artifact


def generate(name, *arguments):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as f:
        subprocess.run([sys.executable, os.path.join(NEEDLE, "generate.py"), *map(str, arguments)], stdout=f, check=True)
    return path


def answers(artifact, facts, questions, device, *more):
    bank = os.path.join(WORK, f"{device}.bank")
    added = json.loads(msa_run("add", artifact, "--bank", bank, "--jsonl", facts, "--json", f"--device={device}"))
    if added["documents"] != FACTS:
        sys.exit(f"error: expected {FACTS} documents in the bank, found {added['documents']}")
    out = msa_run("ask", artifact, "--bank", bank, "--questions", questions, "--max-new-tokens", "16", "--json", f"--device={device}", *more)
    return [json.loads(line) for line in out.splitlines()]


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    artifact = sys.argv[4] if len(sys.argv) > 4 else compile_needle()
    facts = generate("facts.jsonl", "documents", FACTS, "--seed", SEED)
    questions = generate("questions.jsonl", "questions", FACTS, "--seed", SEED, "--questions", QUESTIONS)
    with open(questions, encoding="utf-8") as f:
        wanted = [json.loads(line) for line in f]
    on_gpu = answers(artifact, facts, questions, "cuda", "--device-graphs")
    on_cpu = answers(artifact, facts, questions, "cpu")
    right = same = 0
    for question, gpu, cpu in zip(wanted, on_gpu, on_cpu, strict=True):
        found = gpu["text"].strip() == question["answer"]
        equal = gpu["tokens"] == cpu["tokens"] and [l["documents"] for l in gpu["layers"]] == [l["documents"] for l in cpu["layers"]]
        right += found
        same += equal
        if not found or not equal:
            print(f"'{question['prompt']}': expected '{question['answer']}', found '{gpu['text']}' on the GPU, '{cpu['text']}' on the CPU")
    print(f"{right} of {QUESTIONS} right, {same} as on the CPU")
    return 0 if right == same == QUESTIONS else 1


if __name__ == "__main__":
    sys.exit(main())
