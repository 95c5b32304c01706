# SPDX-License-Identifier: Apache-2.0
"""From an emulated shape to the shapes that matter: brackets of a whole launch, and what the brackets must reach.

A launch of the emulated shape gives the work of one turn of the main loop and of everything outside of it. A stated shape has other numbers of tiles
and turns; its work on the busiest multiprocessor is summed up from those two. What happens once a CTA (the beginning, filling the ring) is counted
once a tile, which is more than it costs.
"""
import math

from evidence import bracket


def _tile(launch, tiles, turns):
    """Cycles of the pipes for one tile; `tiles`: of the emulated launch; `turns`: main-loop turns of a stated tile as a multiple of an emulated one's."""
    loop = launch["main_loop"]["work"] if launch["main_loop"] else {}
    share = launch["ctas"] / tiles
    return {p: share * (launch["outside"].get(p, 0) + turns * loop.get(p, 0)) for p in {**launch["outside"], **loop}}


def _busiest(tiles, launch, machine):
    """Tiles of the multiprocessor that has most of them."""
    at_once = machine.multiprocessors * launch["occupancy"]["ctas"]
    return math.ceil(tiles / at_once) * launch["occupancy"]["ctas"]


def _entry(shape, machine, launch, cycles, memory_bytes, l2_bytes, flops, bits, need=None):
    """`cycles`: of the busiest multiprocessor; bytes and flops: of the whole launch."""
    clock = machine.clock * 1e9
    memory = memory_bytes / (machine.bytes_per_cycle * machine.multiprocessors)
    # With fewer bytes in flight than latency x bandwidth asks for, memory is idle meanwhile.
    covered = min(1.0, launch["in_flight"]["bytes"] / launch["in_flight"]["needed"])
    b = bracket(cycles, {"memory": memory})
    tensor = flops / (machine.tensor_flops[bits] * machine.multiprocessors)
    floor = max(tensor, memory)
    entry = {
        "shape": shape,
        "bound": "tensor cores" if tensor >= memory else "memory",
        "floor_us": round(floor / clock * 1e6, 3),
        "low": round(floor / max(b["none"], memory / covered), 4),
        "high": round(floor / b["full"], 4),
        "limit": b["limit"],
        "l2": round(l2_bytes / machine.l2_cycle_bytes / b["full"], 4),
    }
    if need:
        entry["need_low"], entry["need_high"] = need
    return entry


def _gemm(report, machine):
    p = report["parameters"]
    (launch,) = list(report["launches"].values())[:1]
    shape, bits = launch["shape"], 8 if p["element"].startswith("f8") else 16
    size, result = bits // 8, 4 if p["result"] == "f32" else 2
    n = k = 4096
    if p["form"] == "skinny":
        # Everything grows with K and N alike.
        m, share = p["rows"], (n / shape["n"]) * (k / shape["k"])
        cycles = {c: v * launch["ctas"] * share / machine.multiprocessors for c, v in _tile(launch, launch["ctas"], 1).items()}
        yield _entry(f"{m} x {n} x {k}", machine, launch, cycles, (m * k + k * n) * size + m * n * result, launch["load_bytes"] * share, 2 * m * n * k, bits)
        return
    m = 4096
    tiles = math.ceil(shape["m"] / p["rows"]) * math.ceil(shape["n"] / p["columns"])
    cycles = _tile(launch, tiles, k / shape["k"])
    wanted = math.ceil(m / p["rows"]) * math.ceil(n / p["columns"])
    busiest = {c: v * _busiest(wanted, launch, machine) for c, v in cycles.items()}
    best = report["sm"] == 90 and p["rows"] * p["columns"] >= 128 * 256 and bits == 16 and shape["n"] % p["columns"] == 0 and p.get("epilogue") == "none"
    yield _entry(f"{m} x {n} x {k}", machine, launch, busiest, (m * k + k * n) * size + m * n * result, wanted * (p["rows"] + p["columns"] / p["cluster"]) * k * size,
                 2 * m * n * k, bits, (0.80, 0.97) if best else None)


def _route(report, machine):
    p = report["parameters"]
    launch = report["launches"]["route"]
    shape, size = launch["shape"], 1 if p["element"].startswith("f8") else 2
    tokens = shape["tokens"]
    parts = 1 if p["query_element"] == p["element"] else 2
    flops = 2 * parts * tokens * p["row"]  # of a chunk
    # A CTA's share is made up to whole blocks; what was multiplied says how many there were.
    counted = launch["tensor_flops"] / flops / p["block"]
    cycles = _tile(launch, counted, 1)
    extra = max(launch["load_bytes"] - shape["chunks"] * p["row"] * size, 0) / counted
    for chunks, name in ((156250, "10M tokens"), (1562500, "100M tokens")):
        at_once = machine.multiprocessors * launch["occupancy"]["ctas"]
        busiest = math.ceil(chunks / at_once / p["block"]) * launch["occupancy"]["ctas"]
        keys = chunks * p["row"] * size
        needed = report["sm"] == 90 and tokens <= 64 and p["row"] == 1024
        # The Hopper form multiplies e4m3 keys as such, the other one as f16.
        bits = 8 * size if p["form"] == "hopper" else 16
        yield _entry(f"{name}, M = {tokens}", machine, launch, {c: v * busiest for c, v in cycles.items()}, keys,
                     keys + busiest * machine.multiprocessors * extra, flops * chunks, bits, (0.85, 0.85) if needed else None)


def _attend(report, machine):
    p = report["parameters"]
    launch = report["launches"]["attend"]
    shape = launch["shape"]
    tile, block, size = p["rows"] // p["pack"], p["block"], 2
    if p["form"] == "decode" or p["splits"] > 1:
        return

    def blocks(queries, keys):
        """Of each tile of one head block."""
        ends = [min((i + 1) * tile, queries) + keys - queries if p["causal"] else keys for i in range(math.ceil(queries / tile))]
        return [math.ceil(e / block) for e in ends]

    # The first block of a tile is outside of the loop where products overlap over its edge.
    peeled = 1 if p["form"] == "hopper" else 0
    counted = blocks(shape["queries"], shape["keys"])
    heads = p["heads"] // p["pack"]
    turns_counted = sum(b - peeled for b in counted) * heads
    tiles_counted = len(counted) * heads
    loop = launch["main_loop"]["work"] if launch["main_loop"] else {}
    n, documents, all_heads = 4096, 8, 32
    wanted = blocks(n, n)
    many = documents * all_heads // p["pack"]
    tiles, turns = len(wanted) * many, sum(b - peeled for b in wanted) * many
    cycles = {
        c: launch["ctas"] * (launch["outside"].get(c, 0) * tiles / tiles_counted + loop.get(c, 0) * turns / max(turns_counted, 1)) / machine.multiprocessors
        for c in {**launch["outside"], **loop}
    }
    pairs = n * (n + 1) / 2 if p["causal"] else n * n
    flops = 2 * pairs * documents * all_heads * (p["head_dim"] + p["value_dim"])
    group = p["heads"] // p["kv_heads"]
    rows = documents * n * (all_heads * (p["head_dim"] + p["value_dim"]) + all_heads // group * (p["head_dim"] + p["value_dim"]))
    l2 = sum(wanted) * many * block * (p["head_dim"] + p["value_dim"]) * size
    best = report["sm"] == 90 and p["causal"] and p["head_dim"] == 128 and p["form"] == "hopper"
    yield _entry(f"{documents} documents of {n}, {all_heads} heads", machine, launch, cycles, rows * size, l2, flops, 16, (0.66, 0.95) if best else None)


_TEMPLATES = {"attend": _attend, "gemm": _gemm, "route": _route}


def brackets(report, machine):
    maker = _TEMPLATES.get(report["template"])
    return list(maker(report, machine)) if maker else []


def gates(name, report):
    for s in report.get("stated", []):
        for end in ("low", "high"):
            if f"need_{end}" in s and round(s[end], 2) < s[f"need_{end}"]:
                yield f"{name}: at {s['shape']} the {end} end of the bracket is {100 * s[end]:.0f} % of the floor: expected {100 * s[f'need_{end}']:.0f} %"
