# SPDX-License-Identifier: Apache-2.0
"""Writes docs/benchmarks/gpu-static.md from the report: nothing in it comes from anywhere else."""
import constants


def table(head, rows):
    rows = [[str(c) for c in r] for r in rows]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for r in rows:
        yield "| " + " | ".join(r) + " |"
    yield ""


def percent(value):
    return f"{100 * value:.0f} %"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def launches(report):
    for name, instance in sorted(report["instances"].items()):
        for kernel, launch in instance["launches"].items():
            label = name if len(instance["launches"]) == 1 else f"{name}: {kernel}"
            yield label, instance, launch


def render(report):
    return "\n".join(_lines(report)).rstrip("\n") + "\n"


def _lines(report):
    versions = ", ".join(f"{tool} {version}" for tool, version in report["tools"].items())
    hopper, ampere = constants.MACHINES[90], constants.MACHINES[80]
    yield "# GPU kernels: what their machine code says"
    yield ""
    yield f"Made by `test/gpu/static/report.py --update` with {versions}; a test makes it again and compares. **Nothing here was measured on a GPU.**"
    yield "Counts are exact: of the machine code, and of how often the emulator ran each line. Cycles are those counts times the rates that"
    yield f"`test/gpu/static/constants.py` lists with their sources (sm_90: {hopper.name}, {hopper.multiprocessors} multiprocessors, {hopper.bandwidth / 1e12:.2f} TB/s; sm_80: {ampere.name}, "
    yield f"{ampere.multiprocessors}, {ampere.bandwidth / 1e12:.2f} TB/s). A bracket says how near a kernel can come to its floor: at its low end tensor cores wait whenever"
    yield "another pipe works, at its high end everything overlaps; copies are asynchronous in both. Latency, launch cost and contention are in neither."
    yield ""
    yield "## At the shapes that matter"
    yield ""
    yield "L2: bytes that it must give, against what it can give in the time of the high end. Above 100 % the launch is bound by L2, which the bracket leaves out."
    yield ""
    yield "| instance | shape | bound by | floor | bracket, share of the floor | limiting pipe | L2 |"
    yield "|---|---|---|---|---|---|---|"
    for name, instance in sorted(report["instances"].items()):
        for s in instance.get("stated", []):
            yield f"| {name} | {s['shape']} | {s['bound']} | {s['floor_us']:,.1f} us | {percent(s['low'])} to {percent(s['high'])} | {s['limit']} | {percent(s['l2'])} |"
    yield ""
    if report["short_of"]:
        yield "## What falls short"
        yield ""
        for line in report["short_of"]:
            yield f"- {line}"
        yield ""
    yield "## Resources"
    yield ""
    yield from table(
        ["instance", "sm", "registers", "spills", "shared memory", "threads", "CTAs (warps) an SM", "limited by", "in flight an SM, of what latency x bandwidth needs"],
        [
            [
                label, instance["sm"], l["registers"], l["spill_stores"] + l["spill_loads"], f"{l['static_shared'] + l['dynamic_shared']:,}", l["threads"],
                f"{l['occupancy']['ctas']} ({l['occupancy']['warps']})", l["occupancy"]["limit"],
                f"{l['in_flight']['bytes']:,} B by {l['in_flight']['by']}, {percent(l['in_flight']['bytes'] / l['in_flight']['needed'])}",
            ]
            for label, instance, l in launches(report)
        ],
    )
    yield "## Main loops"
    yield ""
    yield "Instructions of one warp for one turn, and cycles of a multiprocessor's pipes for a turn of one warp on each sub-partition."
    yield ""
    rows = []
    for label, _, l in launches(report):
        loop = l["main_loop"]
        if loop:
            pipes = ", ".join(f"{k} {v}" for k, v in sorted(loop["by_pipe"].items(), key=lambda kv: (-kv[1], kv[0])))
            cycles = ", ".join(f"{k} {number(v)}" for k, v in sorted(loop["cycles"].items(), key=lambda kv: (-kv[1], kv[0])))
            rows.append([label, loop["instructions"], pipes, cycles, loop["limit"], f"`{loop['order']['text']}`" if loop["order"]["text"] else "-"])
    yield from table(["kernel", "instructions", "by pipe", "cycles", "limit", "order of tensor work, waits and EX2"], rows)
    yield "## Memory, at the shape that was emulated"
    yield ""
    yield from table(
        ["kernel", "shape", "CTAs", "tensor FLOP", "bytes read", "bytes written", "sectors a load", "used of a sector", "shared-memory wavefronts, ideal"],
        [
            [
                label, " ".join(f"{k}={v}" for k, v in l["shape"].items()), l["ctas"], f"{l['tensor_flops']:,}", f"{l['load_bytes']:,}", f"{l['store_bytes']:,}",
                l["sectors_per_request"].get("loads", "-"), percent(l["sector_use"]["loads"]) if "loads" in l["sector_use"] else "-",
                f"{l['shared_wavefronts']:,}, {l['shared_wavefronts_ideal']:,}",
            ]
            for label, _, l in launches(report)
        ],
    )
