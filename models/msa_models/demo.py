# SPDX-License-Identifier: Apache-2.0
"""What ./quickstart shows: questions in, answers of `msa-run ask --questions ... --json` out, figures under them.

    python3 -m msa_models.demo questions DEMO.json                     -> one {"prompt"} a line
    python3 -m msa_models.demo recall DEMO.json CORPUS.jsonl ANSWERS.jsonl
    python3 -m msa_models.demo answers QUESTIONS.jsonl ANSWERS.jsonl
"""
import argparse
import json
import sys

SHOWN = 5  # questions with their documents
# Questions that are worth reading, one of them a known miss: figures over all of them follow.
SHOW = ["Hanoi", "Dining Philosophers", "fencepost", "RAID", "quine"]


def read_lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def questions(demo):
    for entry in demo["questions"]:
        print(json.dumps({"prompt": entry["question"]}))


def shown(entries):
    """Indices of the questions to show: those about SHOW, then the first ones, SHOWN in all."""
    chosen = [i for word in SHOW for i, e in enumerate(entries) if word.lower() in e["document"].lower()][:SHOWN]
    return (chosen + [i for i in range(len(entries)) if i not in chosen])[:SHOWN]


def recall(demo, corpus, answers):
    entries = demo["questions"]
    if len(answers) != len(entries):
        sys.exit(f"expected {len(entries)} answers, found {len(answers)}")
    names = [document["name"] for document in corpus]
    ranked = [[names[d] for d in answer["layers"][0]["documents"]] for answer in answers]
    for i in shown(entries):
        print(f"\n  {entries[i]['question']}")
        for rank, document in enumerate(answers[i]["layers"][0]["documents"][:3], 1):
            text = " ".join(corpus[document]["text"].split())
            mark = "*" if names[document] == entries[i]["document"] else " "
            print(f"   {mark}{rank}. {names[document]}: {text[:100]}...")
    print("\n  * the entry that answers")
    hits = lambda k: sum(e["document"] in r[:k] for e, r in zip(entries, ranked)) / len(entries)
    print(f"recall@1 {hits(1):.2f} recall@5 {hits(5):.2f} recall@16 {hits(16):.2f}")


def answers(asked, answered):
    if len(asked) != len(answered):
        sys.exit(f"expected {len(asked)} answers, found {len(answered)}")
    right = 0
    for i, (question, answer) in enumerate(zip(asked, answered)):
        text = answer["text"].strip()
        right += text == question["answer"]
        if i < SHOWN:
            print(f"  {question['prompt']}\n    {text}" + ("" if text == question["answer"] else f"   (expected {question['answer']})"))
    print(f"answers {right} of {len(asked)} right")


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, files in {"questions": ["demo"], "recall": ["demo", "corpus", "answered"], "answers": ["asked", "answered"]}.items():
        command = commands.add_parser(name)
        for file in files:
            command.add_argument(file)
    given = parser.parse_args(arguments)
    if given.command == "questions":
        questions(load(given.demo))
    elif given.command == "recall":
        recall(load(given.demo), read_lines(given.corpus), read_lines(given.answered))
    else:
        answers(read_lines(given.asked), read_lines(given.answered))


if __name__ == "__main__":
    main()
