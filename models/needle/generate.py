#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents and questions of the needle world, any number of them, always the same for the same arguments.

    python generate.py documents 1000 --seed 7 > documents.jsonl
    python generate.py questions 1000 --seed 7 --questions 60 > questions.jsonl      (about those documents)

Word lists and sentence patterns are in generator.json. Only places that training never saw are used ("test"), unless
--split train is given. Needs nothing but Python.
"""
import argparse
import json
import os
import random


def load(folder=None):
    with open(os.path.join(folder or os.path.dirname(os.path.abspath(__file__)), "generator.json"), encoding="utf-8") as f:
        return json.load(f)


def entities(g, split):
    left_out = {tuple(x) for x in g["left_out"]}
    every = [(p, s, k) for p in range(len(g["prefix"])) for s in range(len(g["suffix"])) for k in range(len(g["kind"]))
             if (p, s) not in left_out]
    random.Random(g["split_seed"]).shuffle(every)
    n = int(len(every) * g["train_share"])
    return every[:n] if split == "train" else every[n:]


def bank(g, seed, n, split="test"):
    rng = random.Random(seed)
    facts = []
    for p, s, k in rng.sample(entities(g, split), n):
        facts.append(dict(e=g["prefix"][p] + g["suffix"][s] + " " + g["kind"][k],
                          p=rng.choice(g["first"]) + " " + rng.choice(g["last"]), c=rng.choice(g["colour"]),
                          n=rng.randrange(2, 100), a=rng.choice(g["animal"]), f=rng.choice(g["filler"])))
    return facts, [rng.choice(g["documents"]).format(**f) for f in facts]


def questions(g, seed, facts, n):
    rng = random.Random(seed)
    kinds, out = list(g["questions"]), []
    for j in range(n):
        d, kind = rng.randrange(len(facts)), kinds[j % len(kinds)]
        f = facts[d]
        answer = dict(warden=f["p"], colour=f["c"], animals=f"{f['n']} {f['a']}")[kind]
        out.append(dict(kind=kind, prompt=rng.choice(g["questions"][kind]).format(e=f["e"]), document=d, answer=answer))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["documents", "questions"])
    p.add_argument("count", type=int, help="documents in the bank")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--questions", type=int, default=60)
    p.add_argument("--split", choices=["test", "train"], default="test")
    args = p.parse_args()
    g = load()
    available = len(entities(g, args.split))
    if not 1 <= args.count <= available:
        p.error(f"expected a count between 1 and {available} (the places of the {args.split} split), found {args.count}")
    if args.questions < 0:
        p.error(f"expected --questions of at least 0, found {args.questions}")
    facts, texts = bank(g, args.seed, args.count, args.split)
    if args.what == "documents":
        rows = [dict(number=i, text=t) for i, t in enumerate(texts)]
    else:
        rows = questions(g, args.seed, facts, args.questions)
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
