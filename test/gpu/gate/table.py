# SPDX-License-Identifier: Apache-2.0
"""Reads what gpu-gate printed and says how it went.

    table.py check FOLDER              FOLDER/check.jsonl: what failed, and the worst error of each template; exits with 1 if anything failed
    table.py time FOLDER --page FILE   FOLDER/time.jsonl and peers.jsonl: one table, printed and written to FILE
"""
import argparse
import collections
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


def timed(folder, page):
    (device,) = lines(folder, "device.json")
    known = rates(device["name"])
    rows, failed = [], False
    for line in lines(folder, "time.jsonl"):
        shape = " ".join(f"{k}={v}" for k, v in line["shape"].items())
        if "text" in line:
            rows.append([line["instance"], shape, "failed: " + line["text"], "", "", ""])
            failed = True
            continue
        seconds, floor = line["seconds"], None
        if known:
            eight = ".f8e4m3fn." in line["instance"]
            floor = max(line["bytes"] / known[0], line["flops"] / known[2 if eight and line["instance"].startswith("gemm") else 1])
        rows.append([line["instance"], shape, f"{seconds * 1e6:,.1f}", f"{floor * 1e6:,.1f}" if floor else "-", f"{100 * floor / seconds:.0f} %" if floor else "-",
                     f"{line['flops'] / seconds / 1e12:,.0f} TFLOP/s, {line['bytes'] / seconds / 1e12:.2f} TB/s"])
    for line in lines(folder, "peers.jsonl"):
        rows.append([line["peer"], line["shape"], f"{line['seconds'] * 1e6:,.1f}", "-", "-", "PyTorch"])
    text = [
        "# GPU kernels: measured",
        "",
        f"Made by `test/gpu/run` on {device['name']} (compute capability {device['capability']}, {device['multiprocessors']} multiprocessors): medians of 20 launches after two,",
        "each between two events, so launch cost is in them. Every instance had agreed with float64 in the same run.",
        "",
        "| instance | shape | us | floor, us | of the floor | rate |",
        "|---|---|---|---|---|---|",
        *("| " + " | ".join(r) + " |" for r in rows),
    ]
    print("\n".join(text))
    with open(page, "w", encoding="utf-8") as f:
        f.write("\n".join(text) + "\n")
    return 1 if failed or not rows else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["check", "time"])
    parser.add_argument("folder")
    parser.add_argument("--page")
    arguments = parser.parse_args()
    if arguments.what == "check":
        return check(arguments.folder)
    if not arguments.page:
        parser.error("time needs --page")
    return timed(arguments.folder, arguments.page)


if __name__ == "__main__":
    sys.exit(main())
