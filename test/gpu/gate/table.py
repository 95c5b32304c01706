# SPDX-License-Identifier: Apache-2.0
"""Reads what gpu-gate printed and says how it went.

    table.py check FOLDER              FOLDER/check.jsonl: what failed, and the worst error of each template; exits with 1 if anything failed
    table.py time FOLDER --page FILE   FOLDER/time.jsonl, peers.jsonl and artifacts.jsonl: one table, printed and written to FILE
"""
import argparse
import collections
import glob
import json
import os
import sys

# Of the device that a name contains: bytes/s that a copy reaches, dense 16-bit and 8-bit FLOP/s at boost clock (vendor's data sheets; the copy of
# H200 is measured, the others are 90 % of the sheet).
RATES = {"H200": (4.3e12, 989e12, 1979e12), "H100": (3.0e12, 989e12, 1979e12), "A100": (1.73e12, 312e12, 312e12)}


def lines(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.startswith("{")]


def check(folder):
    ran = lines(folder, "check.jsonl")
    worst, failed, skipped = collections.defaultdict(float), [], []
    for line in ran:
        if "skipped" in line:
            skipped.append(line)
        elif not line["ok"]:
            failed.append(line)
        else:
            family = line["instance"].split(".")[0]
            worst[family] = max(worst[family], line["error"])
    for line in failed:
        print(f"FAILED {line['instance']} (seed {line.get('seed', '-')}): {line['text']}")
    for line in skipped:
        print(f"left out {line['instance']}: {line['skipped']}")
    for family, error in sorted(worst.items()):
        count = len({l["instance"] for l in ran if l["instance"].split(".")[0] == family and l.get("ok")})
        print(f"{family}: {count} instances agree with float64; the worst error is {100 * error:.1f} % of what is allowed")
    if not worst:
        print("nothing ran")
    return 1 if failed or not worst else 0


def rates(name):
    for key, value in RATES.items():
        if key in name:
            return value
    return None


def key_of(line):
    """What peers.py calls the same work, or None."""
    p, shape = line["parameters"], line["shape"]
    if line["template"] == "gemm" and p["n"] == p["k"] and p["element"] == "bf16":
        return f"gemm {p['n']}" if shape["m"] == p["n"] else f"gemm {shape['m']} {p['n']}"
    if line["template"] == "route" and p["row"] == 1024 and p["element"] in ("bf16", "f8E4M3FN"):
        return f"route {shape['chunks']} {shape['tokens']}"
    if line["template"] == "attend" and (p["heads"], p["kv_heads"], p["head_dim"]) == (32, 8, 128) and not shape["documents"]:
        return f"attend {shape['queries']} {shape['keys']}"
    return None


def layer(folder, peers, smoke):
    """A layer that reads memory beside dense attention: a question of 1,024 tokens to a million tokens. From msa-run's profiles, layer-*.json: all that ran
    on the device, by kernel."""
    runs = []
    for path in sorted(glob.glob(os.path.join(folder, "layer-*.json"))):
        with open(path, encoding="utf-8") as f:
            events = [e for e in json.load(f)["traceEvents"] if e["cat"] in ("dispatch", "copy")]
        parts = collections.Counter()
        for event in events:
            parts[event["name"].split("_")[0]] += event["dur"]
        runs.append((sum(parts.values()), parts))
    name = "MSA layer: route, merge, gather, attend"
    shape = "a small shape" if smoke else "1,024-token question, 1M tokens in memory, 16 documents of 4,096"
    if not runs:
        return [name, shape, "not timed: the kit has no layer", "-", "-", "-", "-", "-"]
    total, parts = sorted(runs, key=lambda r: r[0])[len(runs) // 2]
    dense = None if smoke else peers.get("attend 1024 1048576", {}).get("seconds")
    return [name, shape, f"{total:,.1f}", "-", "-", ", ".join(f"{n} {us:,.1f}" for n, us in parts.most_common(4)),
            f"{dense * 1e6:,.1f}" if dense else "-", f"{dense * 1e6 / total:.1f}" if dense else "-"]


def timed(folder, page, rounds=20, smoke=False):
    (device,) = lines(folder, "device.json")
    known = rates(device["name"]) or (RATES["H100"] if smoke else None)
    peers = {line["key"]: line for line in lines(folder, "peers.jsonl")}
    ours, rows, failed = [], [], False
    for line in lines(folder, "time.jsonl"):
        shape = " ".join(f"{k}={v}" for k, v in line["shape"].items())
        if "text" in line:
            rows.append([line["instance"], shape, "failed: " + line["text"], "", "", "", "", ""])
            failed = True
            continue
        ours.append(line)
        seconds, floor = line["seconds"], None
        if known:
            eight = line["parameters"]["element"] == "f8E4M3FN"
            floor = max(line["bytes"] / known[0], line["flops"] / known[2 if eight and line["template"] == "gemm" else 1])
        peer = peers.get(key_of(line), {}).get("seconds")
        rate = f"{line['flops'] / seconds / 1e12:,.0f} TFLOP/s, {line['bytes'] / seconds / 1e12:.2f} TB/s"
        rows.append([line["instance"], shape, f"{seconds * 1e6:,.1f}", f"{floor * 1e6:,.1f}" if floor else "-", f"{100 * floor / seconds:.0f} %" if floor else "-",
                     rate, f"{peer * 1e6:,.1f}" if peer else "-", f"{peer / seconds:.2f}" if peer else "-"])
    if ours:
        rows.append(layer(folder, peers, smoke))
    for line in peers.values():
        if "skipped" in line:
            rows.append([f"PyTorch: {line['peer']}", line["shape"], "not timed: " + line["skipped"], "-", "-", "-", "-", "-"])
        else:
            rows.append([f"PyTorch: {line['peer']}", line["shape"], f"{line['seconds'] * 1e6:,.1f}", "-", "-", "-", "-", "-"])
    verified = lines(folder, "artifacts.jsonl")
    about = f"Made by `test/gpu/run` on {device['name']} (compute capability {device['capability']}, {device['multiprocessors']} multiprocessors)"
    text = ["# GPU kernels: measured", ""]
    if smoke:
        text += [f"{about} **to see that it works: shapes are small, and no time here means anything**", "(floors are those of an H100)."]
    else:
        text += [
            f"{about}: medians of {rounds} launches after two,",
            "each between two events, so launch cost is in them. Every instance had agreed with float64 in the same run, on random inputs and poisoned outputs.",
            "Floor: bytes at the rate that a copy reaches, or operations at the data sheet's rate, whichever takes longer. PyTorch: the same work in the same run,",
            "where there is such; the last column is how many times faster ours is.",
        ]
    text += [
        *([f"{sum(v['ok'] for v in verified)} of {len(verified)} artifacts with test data were verified on the device."] if verified else []),
        "",
        "| instance | shape | us | floor, us | of the floor | rate | PyTorch, us | ratio |",
        "|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join(r) + " |" for r in rows),
    ]
    print("\n".join(text))
    with open(page, "w", encoding="utf-8") as f:
        f.write("\n".join(text) + "\n")
    return 1 if failed or not ours else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["check", "time"])
    parser.add_argument("folder")
    parser.add_argument("--page")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--smoke", action="store_true", help="say that times mean nothing")
    arguments = parser.parse_args()
    if arguments.what == "check":
        return check(arguments.folder)
    if not arguments.page:
        parser.error("time needs --page")
    return timed(arguments.folder, arguments.page, arguments.rounds, arguments.smoke)


if __name__ == "__main__":
    sys.exit(main())
