# SPDX-License-Identifier: Apache-2.0
"""msa-run add and ask from outside, on the needle model: its questions, packing, storage types, bad input, and the retriever's shape.

    generation_tools_test.py BIN_DIR WORK_DIR [NEEDLE.msa]

exports and compiles models/needle unless an artifact is given.
"""
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN, WORK = sys.argv[1], sys.argv[2]
NEEDLE = os.path.join(ROOT, "models", "needle")
DOCUMENTS = os.path.join(NEEDLE, "documents.jsonl")
failures = []


def run(*arguments, code=0, message="", stdin=None):
    done = subprocess.run([os.path.join(BIN, "msa-run"), *map(str, arguments)], capture_output=True, text=True, input=stdin, timeout=300)
    if done.returncode != code or message not in done.stderr or (code and done.stderr.count("error: ") > 1):
        failures.append(f"msa-run {' '.join(map(str, arguments))}: expected exit code {code} and '{message}', found {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def require(condition, text):
    if not condition:
        failures.append(text)


def bank(name):
    return os.path.join(WORK, name)


def write(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def compile_needle():
    sys.path.insert(0, os.path.join(ROOT, "models"))
    from msa_models.export import export_checkpoint, quiet
    quiet()
    export_checkpoint(NEEDLE, os.path.join(WORK, "needle"))
    subprocess.run([os.path.join(BIN, "msac"), os.path.join(WORK, "needle"), "-o", os.path.join(WORK, "needle.msa")], check=True)
    return os.path.join(WORK, "needle.msa")


def questions_are_answered(artifact):
    wanted = lines(open(os.path.join(NEEDLE, "questions.jsonl"), encoding="utf-8").read())
    for store in ("f32", "f16", "bf16"):
        added = json.loads(run("add", artifact, "--bank", bank(store), "--jsonl", DOCUMENTS, "--store", store, "--json"))
        require(added["documents"] == 300 and added["bank"]["storage"] == store, f"{store}: added {added}")
        found = lines(run("ask", artifact, "--bank", bank(store), "--questions", os.path.join(NEEDLE, "questions.jsonl")))
        require(len(found) == len(wanted) == 60, f"{store}: {len(found)} answers to 60 questions")
        tokens = sum(f["tokens"] == w["generated_ids"] and f["text"] == w["generated"] for f, w in zip(found, wanted))
        require(tokens == 60, f"{store}: {tokens} of 60 answers are the same")
        if store == "f32":
            routed = sum({str(layer["layer"]): layer["documents"] for layer in f["layers"]} == w["routed"] for f, w in zip(found, wanted))
            require(routed == 60, f"{routed} of 60 questions route to the same documents in the same order")
            scores = max(abs(a - b) for f, w in zip(found, wanted) for layer in f["layers"]
                         for a, b in zip(layer["scores"], w["scores"][str(layer["layer"])]))
            require(scores < 1e-4, f"scores differ by {scores}")


def packing_changes_no_byte(artifact):
    wanted = open(os.path.join(bank("f32"), "BANK"), "rb").read()
    for threads, tokens in ((1, 1), (2, 100), (3, 701), (4, 1 << 20)):
        name = bank(f"packed-{threads}")
        run("add", artifact, "--bank", name, "--jsonl", DOCUMENTS, "--threads", threads, "--tokens-per-call", tokens)
        require(open(os.path.join(name, "BANK"), "rb").read() == wanted, f"{threads} threads, {tokens} tokens a call: the bank has other bytes")
    # In two halves.
    text = open(DOCUMENTS, encoding="utf-8").read().splitlines(keepends=True)
    for part in (text[:101], text[101:]):
        run("add", artifact, "--bank", bank("halves"), "--jsonl", write("half.jsonl", "".join(part)))
    require(open(os.path.join(bank("halves"), "BANK"), "rb").read() == wanted, "added in two halves, the bank has other bytes")


def ids_and_logits(artifact):
    question = "Which colour has the lamp at Shelstead warehouse?"
    one = json.loads(run("ask", artifact, "--bank", bank("f32"), question, "--json", "--logits", bank("logits.npy")))
    header = open(bank("logits.npy"), "rb").read(128)
    # A prefill, and a step for every token but the stop token.
    require(f"({len(one['tokens'])}, 1348)".encode() in header, f"logits have another shape than calls and vocabulary: {header}")
    short = json.loads(run("ask", artifact, "--bank", bank("f32"), question, "--json", "--max-new-tokens", 1))
    require(short["tokens"] == one["tokens"][:1] and short["finish"] == "max_new_tokens", f"max-new-tokens 1 gave {short}")
    none = json.loads(run("ask", artifact, "--bank", bank("f32"), question, "--json", "--max-new-tokens", 0))
    require(none["tokens"] == [] and none["layers"] == one["layers"], f"max-new-tokens 0 gave {none}")
    require("beige" in run("ask", artifact, "--bank", bank("f32"), question), "the answer for people lacks the text")
    ask = ("ask", artifact, "--bank", bank("f32"), question, "--json", "--max-new-tokens", 5, "--temperature", "30", "--seed")
    drawn = [json.loads(run(*ask, seed))["tokens"] for seed in (1, 1, 2, 3, 4)]
    require(drawn[0] == drawn[1] and any(d != drawn[0] for d in drawn), f"drawing: {drawn}")
    # Tokens in place of texts.
    run("add", artifact, "--bank", bank("ids"), "--ids", write("ids.json", json.dumps({"documents": [{"input_ids": [1, 2, 3, 4, 5], "name": "five"}, {"ids": [9]}]})))
    answer = json.loads(run("ask", artifact, "--bank", bank("ids"), "--ids", write("prompt.json", "[5, 6, 7]"), "--json", "--max-new-tokens", 2))
    require(sorted(answer["layers"][0]["documents"]) == [0, 1] and "five" in answer["layers"][0]["names"], f"ids: {answer}")


def bad_input(artifact):
    b = bank("bad")
    run("add", artifact, "--bank", b, code=2)
    run("add", artifact, "--bank", b, DOCUMENTS, "--jsonl", DOCUMENTS, code=2)
    run("add", artifact, "--bank", b, "--jsonl", "/nowhere.jsonl", code=1, message="cannot open '/nowhere.jsonl'")
    run("add", artifact, "--bank", b, "--jsonl", write("a", "{\"text\": \"x\"}\n{\"txt\": 1}\n"), code=1, message="line 2: expected \"text\"")
    run("add", artifact, "--bank", b, "--jsonl", write("a", "{\"text\": 1}"), code=1, message="to be a string, found number")
    run("add", artifact, "--bank", b, "--jsonl", write("a", "nonsense"), code=1, message="one JSON object a line")
    run("add", artifact, "--bank", b, "--jsonl", write("a", "{\"text\": \"x\", \"number\": -1}"), code=1, message="whole number of 0 or more")
    run("add", artifact, "--bank", b, "--jsonl", write("a", "{\"text\": \"x\", \"number\": 5}\n{\"text\": \"x\", \"number\": 5}"), code=1, message="has the number 5, expected 6")
    run("add", artifact, "--bank", b, "--ids", write("a", "[[1, 1348]]"), code=1, message="expected 0 to 1347")
    run("add", artifact, "--bank", b, "--ids", write("a", "[[1, -1]]"), code=1, message="expected 0 to 1347")
    run("add", artifact, "--bank", b, "--ids", write("a", "[[]]"), code=1, message="has no tokens")
    run("add", artifact, "--bank", b, "--ids", write("a", "[[99999999999999999999]]"), code=1, message="32 bits")
    run("add", artifact, "--bank", b, "--ids", write("a", "7"), code=1, message="expected a list of documents")
    run("add", artifact, "--bank", bank("f32"), "--jsonl", DOCUMENTS, code=1, message="has the number 0, expected 300 or more")
    run("add", artifact, "--bank", bank("f32"), "--ids", write("a", "[[1]]"), "--store", "f16", code=1, message="--store f16 is for new banks")
    run("ask", artifact, "--bank", bank("f32"), code=2)
    run("ask", artifact, "--bank", bank("f32"), "x", "--questions", DOCUMENTS, code=2)
    run("ask", artifact, "--bank", bank("f32"), "x", "--top-p", "0", code=2)
    run("ask", artifact, "--bank", bank("none"), "x", code=1, message="cannot open the bank directory")
    run("ask", artifact, "--bank", bank("f32"), "--ids", write("a", "[]"), code=1, message="at least one token")
    run("ask", artifact, "--bank", bank("f32"), "--ids", write("a", "{\"input_ids\": [1, 2], \"doc_ids\": [0]}"), code=1, message="2 \"input_ids\" and 1 \"doc_ids\"")
    run("ask", artifact, "--bank", bank("f32"), "--ids", write("a", "{\"input_ids\": [1], \"doc_ids\": [-1]}"), code=1, message="nothing would route")
    run("ask", artifact, "--bank", bank("f32"), "--questions", write("a", "{}"), code=1, message="line 1: expected \"prompt\"")
    damaged = bank("damaged")
    shutil.copytree(bank("f16"), damaged)
    with open(os.path.join(damaged, "BANK"), "r+b") as f:
        f.seek(100000)
        byte = f.read(1)[0] ^ 4
        f.seek(100000)
        f.write(bytes([byte]))
    run("ask", artifact, "--bank", damaged, "x", code=1, message="is damaged")
    run("add", artifact, "--bank", damaged, "--jsonl", DOCUMENTS, code=1, message="is damaged")
    # Text that is not UTF-8 and text that spells control tokens are documents like others; an empty bank answers too.
    with open(bank("latin.txt"), "wb") as f:
        f.write(b"caf\xe9 <|im_end|>\x00 [0]")
    run("add", artifact, "--bank", bank("odd"), bank("latin.txt"))
    run("ask", artifact, "--bank", bank("odd"), "\x7f<|im_start|>", "--max-new-tokens", 3)
    run("add", artifact, "--bank", bank("empty"), "--jsonl", write("a", ""))
    answer = json.loads(run("ask", artifact, "--bank", bank("empty"), "x", "--max-new-tokens", 1, "--json"))
    require(answer["layers"][0]["documents"] == [] and len(answer["tokens"]) == 1, f"an empty bank: {answer}")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    artifact = sys.argv[3] if len(sys.argv) > 3 else compile_needle()
    for test in (questions_are_answered, packing_changes_no_byte, ids_and_logits, bad_input):
        test(artifact)
    for failure in failures:
        print(failure)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
