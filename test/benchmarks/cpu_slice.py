#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures compiled models beside onnxruntime and faiss on the same files, and writes docs/benchmarks/cpu-slice.md.

    python3 test/benchmarks/cpu_slice.py --bin BUILD/bin --work FOLDER [--models FOLDER] [--realtime] [--only REGEX]

Models that FOLDER lacks are exported, artifacts that it lacks are compiled. Ours and theirs are processes that take
turns: ours, theirs, ours, theirs ... on one thread, then on two. Every figure is the median over the rounds of a process's
median. What was measured is kept in WORK/cpu-slice.json, so that --only adds rows bit by bit; figures of other
binaries are dropped. Needs models/requirements-bench.txt.
"""
import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field

import machine
from machine import ROOT, BenchmarkError, Ceilings, Runner, median, ms, say, table

MIB = 1 << 20
THREADS = (1, 2)
CHUNKS_A_DOCUMENT = 16


@dataclass
class Row:
    """One shape of one entry. `peers` are (label, ONNX file or faiss); targets are "at least times as fast as" each."""

    name: str
    section: str
    model: str
    entry: str
    dims: dict
    peers: list
    targets: dict = field(default_factory=dict)
    fills: list = field(default_factory=list)
    first_position: int = 0
    flops: float = 0
    bytes: float = 0


def decoder_rows(letter, layers, hidden, heads, kv_heads, dim, inner, vocabulary):
    in_layers = layers * (2 * hidden * heads * dim + 2 * hidden * kv_heads * dim + 3 * hidden * inner)
    head = hidden * vocabulary
    model = f"decoder-{letter}"
    rows = []
    for tokens in (128, 512):
        attention = layers * 4 * heads * dim * tokens * (tokens + 1) / 2
        rows.append(Row(f"{letter} prefill {tokens}", "decoder", model, "model", dict(batch=1, sequence=tokens, past=0),
                        [("ort", "model.onnx")], {"ort": 1.0}, ["position_ids=iota:0:1"], 0,
                        2 * tokens * in_layers + 2 * head + attention, 4 * (in_layers + head)))
    for past, target in ((512, 1.2), (3968, 2.0)):
        cache = 2 * layers * kv_heads * dim * past
        rows.append(Row(f"{letter} decode at {past:,}", "decoder", model, "model", dict(batch=1, sequence=1, past=past),
                        [("ort", "model.onnx")], {"ort": target}, [f"position_ids=iota:{past}:1"], past,
                        2 * (in_layers + head) + layers * 4 * heads * dim * past, 4 * (in_layers + head + cache)))
    return rows


def all_rows():
    rows = []
    for batch, tokens in ((1, 32), (1, 128), (1, 256), (16, 128)):
        in_layers = 6 * (4 * 384 * 384 + 2 * 384 * 1536)
        rows.append(Row(f"{batch} x {tokens}", "encoder", "plain-encoder", "model", dict(batch=batch, sequence=tokens),
                        [("ort", "model.onnx")], {"ort": 1.0}, [], 0,
                        batch * tokens * (2 * in_layers + 6 * 4 * 384 * tokens), 4 * in_layers))
    rows += decoder_rows("a", 4, 512, 8, 4, 64, 1536, 8192) + decoder_rows("b", 8, 1024, 16, 8, 128, 3072, 32768)
    targets = {1: 3.0, 16: 7.0, 64: 5.0}
    for chunks in (1000, 10000, 100000):
        for tokens in (1, 16, 64):
            wanted = {"ai.msa in ort": targets[tokens], "hand-folded ort": 1.0} if chunks == 100000 else {}
            rows.append(Row(f"{chunks // 1000}k, {tokens}", "route", "route-read", "route-read", dict(M=tokens, C=chunks, P=5),
                            [("ai.msa in ort", "route-read.onnx"), ("few", "folded.onnx"), ("many", "folded-many.onnx")],
                            wanted, [f"chunk_doc=iota:0:{CHUNKS_A_DOCUMENT}"], 0,
                            2 * tokens * chunks * 1024, 4 * 1024 * chunks))
    for chunks in (10000, 100000):
        rows.append(Row(f"{chunks // 1000}k, 1 (route only)", "faiss", "route-only", "route-only", dict(M=1, C=chunks),
                        [("faiss", dict(rows=chunks, width=1024, k=16))], {"faiss": 1.0} if chunks == 100000 else {},
                        [f"chunk_doc=iota:0:{CHUNKS_A_DOCUMENT}"], 0, 2 * chunks * 1024, 4 * 1024 * chunks))
    return rows


class Models:
    """Exported models and compiled artifacts, made when first asked for."""

    EXPORTS = {"plain-encoder": ["msa_models.plain", "encoder"], "decoder-a": ["msa_models.plain", "decoder-a"],
               "decoder-b": ["msa_models.plain", "decoder-b"], "route-read": ["msa_models.folded"]}

    def __init__(self, models, artifacts, bin_folder):
        self.models, self.artifacts, self.msac = models, artifacts, os.path.join(bin_folder, "msac")
        os.makedirs(artifacts, exist_ok=True)

    def onnx(self, model, file=None):
        path = os.path.join(self.models, model, file or {"route-read": "route-read.onnx",
                                                         "route-only": "route-only.onnx"}.get(model, "model.onnx"))
        if not os.path.exists(path):
            say(f"exporting {model}")
            if model == "route-only":
                self.export_route_only(path)
            else:
                module, *rest = self.EXPORTS[model]
                subprocess.run([sys.executable, "-m", module, *rest, "--out", os.path.dirname(path)], check=True,
                               stdout=sys.stderr, env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "models")})
        return path

    def export_route_only(self, path):
        """What faiss is compared with: the routing of route-read.onnx without the reading."""
        sys.path.insert(0, os.path.join(ROOT, "models"))
        import onnx
        from msa_models.domain import attach
        model = onnx.parser.parse_model(
            '<ir_version: 10, opset_import: ["" : 20, "ai.msa" : 1]> route_only '
            "(float[M,32,128] rq, bool[M] query_mask, float[C,8,128] mem_rk, int64[C] chunk_doc)"
            " => (int64[S] docs, float[S] scores) {"
            ' docs, scores, chunks = ai.msa.Route <k = 16, head_reduce = "mean", query_reduce = "max",'
            ' chunk_reduce = "max", normalize = 1, scale = 1.0> (rq, mem_rk, chunk_doc, query_mask) }')
        attach(model)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        onnx.save(model, path)

    def artifact(self, model):
        path = os.path.join(self.artifacts, f"{model}.msa")
        if not os.path.exists(path):
            source = self.onnx(model)
            say(f"compiling {model}")
            subprocess.run([self.msac, "-q", source, "-o", path], check=True)
        return path


class Measure:
    def __init__(self, runner, models, bin_folder, seconds):
        self.runner, self.models, self.seconds = runner, models, seconds
        self.msa_run = os.path.join(bin_folder, "msa-run")

    def ours_command(self, row, threads, seconds, min_runs, warmup, *more):
        dims = [x for n, v in row.dims.items() for x in ("--dim", f"{n}={v}")]
        fills = [x for f in row.fills for x in ("--fill", f)]
        return [self.msa_run, "bench", self.models.artifact(row.model), "--entry", row.entry, *dims, *fills, "--threads", threads,
                "--seconds", seconds, "--min-runs", min_runs, "--warmup", warmup, *more, "--json"]

    def ours(self, row, threads):
        return json.loads(self.runner.run(self.ours_command(row, threads, self.seconds, 5, 2)))["median_ms"]

    def theirs_input(self, row, threads, files, seconds, min_runs, warmup):
        request = {"dims": row.dims, "first_position": row.first_position, "threads": threads, "seconds": seconds,
                   "min_runs": min_runs, "warmup": warmup}
        if isinstance(files[0], dict):
            request["faiss"] = files[0]
        else:
            request["files"] = [self.models.onnx(row.model, f) for f in files]
        return json.dumps(request)

    def peers(self, request):
        return json.loads(self.runner.run([sys.executable, os.path.join(machine.HERE, "peers.py")], request))

    def row(self, row, rounds):
        """{threads: {"ours": [ms of each round], peer: [...]}}"""
        labels, files = zip(*row.peers)
        self.models.artifact(row.model)
        result = {}
        for threads in THREADS:
            times = {"ours": [], **{l: [] for l in labels}}
            for _ in range(rounds):
                times["ours"].append(self.ours(row, threads))
                for label, got in zip(labels, self.peers(self.theirs_input(row, threads, files, self.seconds, 5, 2))):
                    times[label].append(got["median_ms"])
            result[threads] = times
            say(f"{row.section} {row.name}, {threads} threads: " + ", ".join(f"{l} {ms(median(t))}" for l, t in times.items()))
        return result

    def memory(self, row):
        """Peak resident bytes above the inputs: {"ours", then each peer's}, and the bank's size; two threads."""
        tokens, chunks = row.dims["M"], row.dims["C"]
        inputs = (3 * chunks + 2 * row.dims["P"] + (2 * 4 + 2) * tokens) * 8 * 128 * 4 + 8 * chunks + tokens
        peak = self.runner.measured(self.ours_command(row, 2, 0.3, 5, 2))[2]
        result = {"bank": 3 * chunks * 4096, "ours": peak - inputs}
        for label, file in row.peers:
            result[label] = self.peers(self.theirs_input(row, 2, [file], 0, 3, 0))[0]["above_inputs"]
        say(f"memory {row.name}: " + ", ".join(f"{n} {v / MIB:.0f} MiB" for n, v in result.items()))
        return result

    def load(self, row, rounds):
        """Milliseconds from process start to the first call's start (ours); in creating a session (theirs)."""
        times = {"checked": [], "unchecked": [], "ort": []}
        for _ in range(rounds):
            for label, more in (("checked", []), ("unchecked", ["--skip-weights-digest"])):
                out, wall, _ = self.runner.measured(self.ours_command(row, 1, 0, 1, 0, *more), poll=False)
                times[label].append(1e3 * wall - json.loads(out)["median_ms"])
            request = self.theirs_input(row, 1, ["model.onnx"], 0, 1, 0)
            times["ort"].append(self.peers(request)[0]["load_ms"])
        peak = self.runner.measured(self.ours_command(row, 1, 0.3, 3, 1))[2]
        theirs = self.peers(self.theirs_input(row, 1, ["model.onnx"], 0, 3, 1))[0]["peak"]
        say(f"load {row.model}: " + ", ".join(f"{n} {ms(median(t))}" for n, t in times.items()))
        return {**times, "peak": peak, "ort peak": theirs}


# The page.

INTRO = """<!-- Made by test/benchmarks/cpu_slice.py; do not edit. -->
# CPU: ours beside onnxruntime and faiss

{cpu}. {versions}. Measured on {date}{realtime}, in {sittings};
medians of at least {rounds} rounds in which the processes took turns.
How to run it, and what the columns mean: [README.md](README.md).

Ceilings of this machine, best seen before and after each sitting, 1 / 2 threads: fused multiply-add {fma} GFLOP/s, reading memory {read} GB/s.

"""


def faster(times, label):
    return median(times[label]) / median(times["ours"])


def spread(times, label):
    ratios = [t / o for t, o in zip(times[label], times["ours"])]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def verdict(ratio, target):
    return f"{target:.1f}x: {'reached' if ratio >= target else '**not reached**'}" if target else ""


def share(row, times, ceilings):
    """The time that this machine needs at the very least, in percent of ours."""
    floor = max(row.flops / ceilings["fma_gflops"] / 1e6, row.bytes / ceilings["read_gb_s"] / 1e6)
    return f"{100 * floor / median(times['ours']):.0f} %"


class Page:
    def __init__(self, rows, results, about):
        self.rows, self.results, self.about, self.missing, self.unmet, self.met = rows, results, about, [], [], 0

    def measured(self, section):
        for row in self.rows:
            if row.section == section:
                times = self.results["times"].get(f"{section} {row.name}")
                if times:
                    yield row, {int(t): v for t, v in times.items()}
                else:
                    self.missing.append(f"{section}: {row.name}")

    def judge(self, what, ratio, target):
        if target and ratio >= target:
            self.met += 1
        elif target:
            self.unmet.append(f"{what}: {ratio:.2f}x of {target:.1f}x")
        return verdict(ratio, target)

    def against(self, section, first, label, peer):
        rows = []
        for row, by_threads in self.measured(section):
            for threads, times in by_threads.items():
                ratio = faster(times, label)
                rows.append([row.name, threads, ms(median(times["ours"])), ms(median(times[label])), f"**{ratio:.2f}x**",
                             spread(times, label), self.judge(f"{section} {row.name}, {threads} threads", ratio,
                                                              row.targets.get(label)),
                             share(row, times, self.results["ceilings"][str(threads)])])
        return table([first, "threads", "ours, ms", f"{peer}, ms", "ratio", "ratios of rounds", "target", "of the ceiling"], rows)

    def routes(self):
        rows = []
        for row, by_threads in self.measured("route"):
            for threads, times in by_threads.items():
                best = min(("few", "many"), key=lambda l: median(times[l]))
                exported, folded = faster(times, "ai.msa in ort"), faster(times, best)
                what = f"route + read {row.name}, {threads} threads"
                rows.append([row.name, threads, ms(median(times["ours"])), ms(median(times["ai.msa in ort"])), f"**{exported:.2f}x**",
                             self.judge(what + ", exported", exported, row.targets.get("ai.msa in ort")),
                             ms(median(times[best])), f"**{folded:.2f}x**", spread(times, best),
                             self.judge(what + ", hand-folded", folded, row.targets.get("hand-folded ort")),
                             share(row, times, self.results["ceilings"][str(threads)])])
        return table(["chunks, query tokens", "threads", "ours, ms", "exported file in ort, ms", "ratio", "target",
                      "better folded graph in ort, ms", "ratio", "ratios of rounds", "target", "of the ceiling"], rows)

    def memories(self):
        rows = []
        for name, got in self.results["memory"].items():
            reached = got["ours"] <= 32 * MIB
            if reached:
                self.met += 1
            else:
                self.unmet.append(f"memory {name}: {got['ours'] / MIB:.0f} MiB")
            rows.append([name, f"{got['bank'] / MIB:.0f}", f"+{got['ours'] / MIB:.1f}", f"+{got['ai.msa in ort'] / MIB:.0f}",
                         f"+{min(got['few'], got['many']) / MIB:.0f}",
                         f"+32: {'reached' if reached else '**not reached**'}"])
        if not rows:
            self.missing.append("memory")
        return table(["chunks, query tokens", "bank, MiB", "ours", "exported file in ort", "better folded graph in ort", "target"], rows)

    def loads(self):
        rows = []
        for name, got in self.results["load"].items():
            rows.append([name, ms(median(got["unchecked"])), ms(median(got["checked"])), ms(median(got["ort"])),
                         f"{got['peak'] / MIB:.0f}", f"{got['ort peak'] / MIB:.0f}"])
        if not rows:
            self.missing.append("load")
        return table(["model", "ours, ms", "ours, weights verified, ms", "ort, ms", "peak of ours, MiB", "peak of ort, MiB"], rows)

    def text(self):
        parts = [
            "## Sentence encoder\n\nall-MiniLM-L6-v2, trained weights, pooled and normalised in the graph; batch x tokens.\n",
            self.against("encoder", "batch x tokens", "ort", "ort"),
            "## Decoder\n\nQwen3-shaped, random weights, logits of the last token: a has 67 MB of weights a step, b 638 MB. The file takes a past and "
            "gives the\npresent. Ours appends to the cache in place; onnxruntime makes a new one at each step, as the file says.\n",
            self.against("decoder", "step", "ort", "ort"),
            "## Route and read\n\nOne layer of a 4 B model: 32 query heads, 8 key heads of 128, the 16 best of C / 16 documents, mean over heads, max "
            "over query tokens and\nchunks, float32. `exported`: the file with operators of `ai.msa`, through their function bodies. `folded`: the better of "
            "two graphs in standard\noperators with the heads folded by hand.\n",
            self.routes(),
            "## Route beside faiss\n\n`IndexFlatIP` over the same 1,024 numbers a chunk, one query folded beforehand, the 16 best chunks. Ours also normalises "
            "and folds the query\nand reduces chunks to documents.\n",
            self.against("faiss", "chunks, query tokens", "faiss", "faiss"),
            "## Memory\n\nPeak of the process less its inputs, two threads, MiB. Ours counts the whole process with its code; onnxruntime's counts from the "
            "moment when the\nsession and the inputs were there.\n",
            self.memories(),
            "## Load\n\nOurs: from the start of the process to its first call, inputs made up included. onnxruntime: making the session alone, without starting "
            "Python or\nloading the library. Peaks are of whole processes that ran one token for a third of a second, one thread; pages of mapped weights count.\n",
            self.loads(),
        ]
        a = self.about
        two = {k: " / ".join(f"{self.results['ceilings'][str(t)][k]:.0f}" for t in THREADS) for k in ("fma_gflops", "read_gb_s")}
        head = INTRO.format(**a, fma=two["fma_gflops"], read=two["read_gb_s"])
        head += f"Targets reached: {self.met} of {self.met + len(self.unmet)}."
        if self.unmet:
            head += " Not reached:\n\n" + "\n".join(f"- {u}" for u in self.unmet)
        if self.missing:
            head += "\n\nNot measured this time: " + "; ".join(self.missing) + "."
        return head + "\n\n" + "\n".join(parts)


def versions(bin_folder):
    names = ("onnxruntime", "faiss-cpu", "numpy")
    own = subprocess.run([os.path.join(bin_folder, "msac"), "--version"], capture_output=True, text=True, check=True).stdout
    return ", ".join([own.splitlines()[0].strip(), *(f"{n} {importlib.metadata.version(n)}" for n in names)])


def digest(*paths):
    h = hashlib.sha256()
    for p in paths:
        with open(p, "rb") as f:
            h.update(f.read())
    return h.hexdigest()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder with msac and msa-run")
    p.add_argument("--work", required=True, help="folder for artifacts and what was measured")
    p.add_argument("--models", help="folder of exported models, one folder each (default: WORK/models)")
    p.add_argument("--only", default="", help="measure only rows whose 'SECTION NAME' matches this pattern; '^$' only writes the page")
    p.add_argument("--rounds", type=int, default=3, help="turns of each process (default 3)")
    p.add_argument("--seconds", type=float, default=0.5, help="time of a process in a turn, at least 5 runs (default 0.5)")
    p.add_argument("--realtime", action="store_true", help="real-time priority, where other work shares the machine; needs root")
    p.add_argument("--out", default=os.path.join(ROOT, "docs", "benchmarks", "cpu-slice.md"), help="page to write")
    a = p.parse_args()
    if a.rounds < 1:
        p.error(f"expected --rounds of at least 1, found {a.rounds}")
    for program in ("msac", "msa-run"):
        if not shutil.which(os.path.join(a.bin, program)):
            p.error(f"expected the program {program} in --bin, found none; build it first")
    os.makedirs(a.work, exist_ok=True)
    kept = os.path.join(a.work, "cpu-slice.json")
    identity = digest(os.path.join(a.bin, "msac"), os.path.join(a.bin, "msa-run"))
    results = {"identity": identity, "times": {}, "memory": {}, "load": {}, "ceilings": {}, "sittings": 0}
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as f:
            old = json.load(f)
        if old.get("identity") == identity:
            results = old
        else:
            say("the binaries have changed: earlier figures are dropped")
    try:
        runner = Runner(a.realtime)
        models = Models(a.models or os.path.join(a.work, "models"), os.path.join(a.work, f"artifacts-{identity[:12]}"), a.bin)
        measure, ceilings, rows = Measure(runner, models, a.bin, a.seconds), Ceilings(runner, a.work), all_rows()

        def keep():
            with open(kept + ".new", "w", encoding="utf-8") as f:
                json.dump(results, f, indent=1)
            os.replace(kept + ".new", kept)

        def look():
            for t in THREADS:
                results["ceilings"][str(t)] = ceilings.measure(t, results["ceilings"].get(str(t)))
            keep()

        wanted = re.compile(a.only)
        if a.only != "^$":
            results["sittings"] += 1
            look()
        for row in rows:
            if wanted.search(f"{row.section} {row.name}"):
                results["times"][f"{row.section} {row.name}"] = measure.row(row, a.rounds)
                keep()
        for row in rows:
            if row.section == "route" and row.dims["C"] == 100000 and wanted.search(f"memory {row.name}"):
                results["memory"][row.name] = measure.memory(row)
                keep()
        for row in rows:
            if row.name in ("1 x 32", "a decode at 512", "b decode at 512") and wanted.search(f"load {row.model}"):
                small = Row(**{**asdict(row), "dims": {**row.dims, "sequence": 1, **({"past": 0} if "past" in row.dims else {})}})
                results["load"][row.model] = measure.load(small, a.rounds)
                keep()
        if a.only != "^$":
            look()
    except (BenchmarkError, subprocess.CalledProcessError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    about = {"cpu": machine.cpu_name(), "versions": versions(a.bin), "date": datetime.date.today().isoformat(),
             "rounds": min((len(t["ours"]) for row in results["times"].values() for t in row.values()), default=0),
             "sittings": f"{results['sittings']} sittings" if results["sittings"] > 1 else "one sitting",
             "realtime": " with real-time priority, other work running beside" if a.realtime else ""}
    text = Page(rows, results, about).text()
    os.makedirs(os.path.dirname(os.path.abspath(a.out)), exist_ok=True)
    with open(a.out, "w", encoding="utf-8") as f:
        f.write(text)
    say(f"wrote {a.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
