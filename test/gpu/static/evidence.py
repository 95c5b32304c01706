# SPDX-License-Identifier: Apache-2.0
"""What can be said about one launch of a kernel without running it on a GPU.

Three sources meet here: what ptxas says (registers, spills, shared memory), the machine code (sass.py), and the emulator's counts of how often
each line of the PTX text ran. The machine code says which line an instruction comes from, so its blocks have exact counts as well.
"""
import re
from collections import Counter

import constants
from pipes import Work, access_bytes, pipe_of, tensor_shape
from sass import SassError

_ENTRY = re.compile(r"Compiling entry function '([^']+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:, used (\d+) barriers)?")
_STATIC = re.compile(r"(\d+) bytes smem")
_REMARK = re.compile(r"\((C\d{4})\)[^\n]*?in function '([^']+)'|\((C\d{4})\)")


def read_ptxas(log):
    """{kernel: {registers, barriers, stack, spill_stores, spill_loads, static_shared}} and the remarks, sorted."""
    kernels, name = {}, None
    for line in log.splitlines():
        entry = _ENTRY.search(line)
        if entry:
            name = entry.group(1)
            kernels[name] = {"registers": 0, "barriers": 0, "stack": 0, "spill_stores": 0, "spill_loads": 0, "static_shared": 0}
        if name is None:
            continue
        stack, used, static = _STACK.search(line), _USED.search(line), _STATIC.search(line)
        if stack:
            kernels[name].update(zip(("stack", "spill_stores", "spill_loads"), map(int, stack.groups())))
        if used:
            kernels[name].update(registers=int(used.group(1)), barriers=int(used.group(2) or 0))
        if static:
            kernels[name]["static_shared"] = int(static.group(1))
    return kernels, sorted({a or b for a, _, b in _REMARK.findall(log)})


def occupancy(machine, registers, threads, shared):
    """CTAs that fit a multiprocessor, and what limits them."""
    warps = -(-threads // constants.WARP)
    a_warp = -(-registers * constants.WARP // machine.register_unit) * machine.register_unit
    limits = {
        "registers": machine.registers // constants.SUBPARTITIONS // max(a_warp, 1) * constants.SUBPARTITIONS // warps,
        "shared memory": machine.shared_bytes // (-(-shared // 128) * 128 + machine.reserved_shared),
        "warps": machine.warps // warps,
        "CTAs": machine.ctas,
    }
    limit = min(limits, key=limits.get)
    return {"ctas": limits[limit], "warps": limits[limit] * warps, "limit": limit}


# Instructions of which a PTX instruction becomes exactly one, and which stay in its block: they say how often a block runs.
_ONE_TO_ONE = {"tensor", "mma.sync", "shared", "global", "shuffle", "copy"}


def _says_nothing(instruction):
    # How often a wait polls is a matter of the schedule.
    return instruction.opcode.startswith("SYNCS.PHASECHK") or instruction.name in ("NANOSLEEP", "BSSY", "BSYNC", "NOP")


def _is_wait_loop(function, loop):
    """Nothing but polling: a loop out of the way that ends when its mbarrier's phase does."""
    code = list(function.code(function.block_of(loop)))
    return any(i.opcode.startswith("SYNCS.PHASECHK") for i in code) and all(pipe_of(i) in ("control", "alu", "imad", "uniform") for i in code) and len(code) <= 16


_TRY_WAIT = re.compile(r"\bmbarrier\.(?:try|test)_wait\b")
_PTX_LABEL = re.compile(r"^\s*\{?\s*(\$?[\w$]+):")
_PTX_BRANCH = re.compile(r"\bbra(?:\.uni)?\s+(\$?[\w$]+)\s*;")


def polling_lines(ptx):
    """The lines of the loops that poll an mbarrier: from the loop's label to its branch back. How often they run says nothing."""
    text, lines = ptx.splitlines(), set()
    labels = {n: m.group(1) for n, l in enumerate(text, 1) if (m := _PTX_LABEL.match(l))}
    for n, l in enumerate(text, 1):
        if not _TRY_WAIT.search(l):
            continue
        lines.add(n)
        above = {labels[m]: m for m in range(max(n - 16, 1), n + 1) if m in labels}
        for after in range(n, min(n + 16, len(text) + 1)):
            branch = _PTX_BRANCH.search(text[after - 1])
            if branch and branch.group(1) in above:
                lines.update(range(above[branch.group(1)], after + 1))
                break
    return lines


# What the listing may take a wgmma's line for: its own, or that of its descriptor. Anything else is a neighbour's.
_WGMMA_OR_DESCRIPTOR = re.compile(r"mma|\.[bsu]64\b")


def lines_of_products(ptx):
    return {n for n, l in enumerate(ptx.splitlines(), 1) if _WGMMA_OR_DESCRIPTOR.search(l)}


def block_counts(function, lines, unrolled=False, products=None):
    """How often each block runs (by warps), from the counts of PTX lines; and the instructions for which nothing is known.

    The assembler copies lines: into several blocks when it peels a loop, into one when it unrolls it. Copies together run as often as the line.
    Within one block, instructions of one line may also be those of its neighbours, when the listing names lines coarsely; `unrolled` says that they
    are copies. Which of the two it is shows in the tensor work (of_launch). Tensor work of lines that are not among `products` says nothing.
    """
    waits = set().union(*[l.blocks for n, l in enumerate(function.loops) if _is_wait_loop(function, n)] or [set()])
    strayed = lambda i: products is not None and pipe_of(i) == "tensor" and i.line not in products
    code = {
        n: [i for i in function.instructions[b.first : b.last + 1] if not _says_nothing(i) and i.line in lines and not strayed(i)]
        for n, b in enumerate(function.blocks)
        if n not in waits
    }
    copies, homes = {}, {}  # {(line, name): {block: copies}}; {line: blocks}
    for n, instructions in code.items():
        for i in instructions:
            homes.setdefault(i.line, set()).add(n)
            if pipe_of(i) in _ONE_TO_ONE:
                at = copies.setdefault((i.line, i.name), {})
                at[n] = at.get(n, 0) + 1
    counts = {n: 0 for n in waits}

    def elect(n, votes):
        if votes:
            counts[n] = max(votes, key=lambda v: (votes[v], v))

    def agree(weigh):
        for n, instructions in code.items():
            if n not in counts:
                votes = Counter()
                for i in instructions:
                    weigh(n, i, votes)
                elect(n, votes)

    def alone(n, i, votes):  # copies of the line are in this block alone
        at = copies.get((i.line, i.name)) if pipe_of(i) in _ONE_TO_ONE else None
        if at and len(at) == 1:
            votes[lines[i.line] / at[n]] += 8 if tensor_shape(i) else 1

    def near(n, i, votes):  # the line has become code of this block alone, however much
        if len(homes[i.line]) == 1:
            votes[lines[i.line]] += 1

    # A loop of one block round an ELECT runs an instruction of one thread for each lane that is active. Copies are issued by one.
    once = {n for n, b in enumerate(function.blocks) if n in b.successors and any(i.name == "ELECT" for i in function.code({n}))}
    edges = {(n, way): set(getattr(b, way)) - ({n} if n in once else set()) for n, b in enumerate(function.blocks) for way in ("predecessors", "successors")}

    def conserve():
        """What comes into a block goes out of it; and what other copies of a line did not do, the last one did."""
        changed = False
        for n in range(len(function.blocks)):
            if n in counts:
                continue
            for way, back in (("predecessors", "successors"), ("successors", "predecessors")):
                around = edges[n, way]
                if around and n not in around and all(m in counts and edges[m, back] - waits == {n} for m in around):
                    counts[n] = sum(counts[m] for m in around)
                    changed = True
                    break
        for (line, _), at in copies.items():
            missing = [n for n in at if n not in counts]
            if len(missing) == 1:
                n = missing[0]
                copied = at if unrolled else dict.fromkeys(at, 1)
                counts[n] = max(lines[line] - sum(counts[m] * k for m, k in copied.items() if m != n), 0) / copied[n]
                changed = True
        return changed

    if unrolled:
        agree(alone)
    agree(near)
    while conserve():
        pass
    # Copies in blocks of which nothing else is known are a loop that was unrolled: they have run equally often.
    for (line, _), at in copies.items():
        missing = {n: k for n, k in at.items() if n not in counts}
        if len(missing) > 1:
            left = max(lines[line] - sum(counts[n] * k for n, k in at.items() if n in counts), 0)
            for n in missing:
                counts[n] = left / sum(missing.values())
    while conserve():
        pass
    agree(lambda n, i, votes: votes.update({lines[i.line]: 1}))
    while conserve():
        pass
    unknown = [i for n, b in enumerate(function.blocks) if n not in counts for i in function.instructions[b.first : b.last + 1] if i.name != "NOP"]
    return counts, unknown


def work_of(function, blocks, counts, machine):
    work = Work()
    for n in blocks:
        if counts.get(n):
            for i in function.code({n}):
                work.add(i, machine, counts[n])
    return work


def main_loop(function, counts, machine):
    """The loop that the kernel spends itself in, by number: the innermost that does most of the tensor work, else that runs most instructions; None
    for a kernel without loops."""
    best, chosen = (0, 0), None
    for n in range(len(function.loops)):
        if _is_wait_loop(function, n):
            continue
        work = work_of(function, function.block_of(n, inner=False), counts, machine)
        rank = (work.flops, work.instructions)
        if rank > best:
            best, chosen = rank, n
    return chosen


def order_of(function, loop):
    """The tensor work and the waits of a loop in the order of the code: what runs while a wgmma is in flight.

    Returns a text such as "HGMMA*8 wait(0) EX2*64", the share of EX2 that run while a group is in flight, and wgmma instructions per wait.
    """
    tokens = []
    for i in function.code(function.block_of(loop, inner=False)):
        if pipe_of(i) == "tensor":
            tokens.append((i.name, "gsb0" in i.operands))
        elif i.opcode.startswith("WARPGROUP.DEPBAR"):
            tokens.append((f"wait({int(i.operands.rsplit(',', 1)[1].strip(), 0)})", False))
        elif i.opcode.startswith("MUFU.EX2"):
            tokens.append(("EX2", False))
    # Twice round, so that groups which are in flight at the loop's end are known at its beginning.
    groups, overlapped, total = 0, 0, 0
    for turn in range(2):
        for name, closes in tokens:
            if closes:
                groups += 1
            elif name.startswith("wait("):
                groups = min(groups, int(name[5:-1]))
            elif name == "EX2" and turn:
                total += 1
                overlapped += groups > 0
    parts = []
    for name, _ in tokens:
        if parts and parts[-1][0] == name:
            parts[-1][1] += 1
        else:
            parts.append([name, 1])
    waits = sum(t[0].startswith("wait(") for t in tokens)
    gmma = sum(t[0].endswith("GMMA") for t in tokens)
    return {
        "text": " ".join(n if c == 1 else f"{n}*{c}" for n, c in parts),
        "ex2": total,
        "ex2_overlapped": overlapped,
        "wgmma_per_wait": round(gmma / waits, 3) if waits else None,
    }


_REGISTER = re.compile(r"\bR(\d+)\b")


def loads_in_flight(function, blocks):
    """Most bytes of global loads into registers that a warp has under way at once: from the load to the first use of what it loads. The code is
    walked twice, for loads of the next iteration."""
    flying, most, now = {}, 0, 0
    code = list(function.code(blocks))
    for i in code + code:
        operands = i.operands.split(",")
        is_load = i.name in ("LDG", "LD")
        used = {int(r) for o in (operands[1:] if is_load else operands) for r in _REGISTER.findall(o)}
        if not is_load and pipe_of(i) != "global":
            used |= {int(r) for r in _REGISTER.findall(operands[0])}
        for first in [f for f, (n, _) in flying.items() if used & set(range(f, f + n))]:
            now -= flying.pop(first)[1]
        if is_load:
            to = _REGISTER.search(operands[0])
            if to:
                size = access_bytes(i)
                if int(to.group(1)) in flying:
                    now -= flying.pop(int(to.group(1)))[1]
                flying[int(to.group(1))] = (max(size // 4, 1), size * constants.WARP)
                now += size * constants.WARP
                most = max(most, now)
    return most


def limiting(cycles):
    return max(cycles, key=lambda p: (cycles[p], p)) if cycles else None


def bracket(compute, memory):
    """Cycles with full overlap and with none, and what is the floor. Copies are asynchronous in both: memory never adds to the work of the
    pipes. Without overlap the tensor cores, with the operands that they fetch, wait while the other pipes work."""
    tensor = max(compute.get("tensor", 0.0), compute.get("operands", 0.0))
    others = {p: c for p, c in compute.items() if p not in ("tensor", "operands")}
    floor = max(compute.get("tensor", 0.0), memory.get("memory", 0.0))
    if not floor:
        floor = max(others.values(), default=0.0)
    full = max([floor, *compute.values(), *memory.values()])
    none = max([tensor + max(others.values(), default=0.0), *memory.values()])
    everything = {**compute, **memory}
    return {"floor": floor, "full": full, "none": none, "limit": limiting(everything)}


def of_launch(function, ptxas, launch, machine):
    """The report of one launch: `launch` is what the counter program says of it (counters.h)."""
    stats, ctas = launch["stats"], launch["stats"]["ctas"]
    polling = polling_lines(launch["ptx"])
    lines = {l: w for l, w, _ in launch["lines"] if l not in polling}
    products = lines_of_products(launch["ptx"])
    for unrolled in (False, True):
        counts, unknown = block_counts(function, lines, unrolled, products)
        everything = work_of(function, range(len(function.blocks)), counts, machine)
        if everything.flops == stats["tensor_flops"]:
            break
    else:
        raise SassError(f"function '{function.name}': the machine code does {everything.flops:.0f} FLOP on tensor cores, the emulator {stats['tensor_flops']}")
    shared = ptxas["static_shared"] + launch["dynamic_shared"]
    fits = occupancy(machine, ptxas["registers"], launch["threads"], shared)
    local = sum(pipe_of(i) == "local" for i in function.instructions)
    report = {
        **ptxas,
        "dynamic_shared": launch["dynamic_shared"],
        "threads": launch["threads"],
        "occupancy": fits,
        "instructions": sum(i.name != "NOP" for i in function.instructions),
        "local_memory_instructions": local,
        "unplaced_instructions": len(unknown),
        "shape": launch["shape"],
        "ctas": ctas,
        "tensor_flops": stats["tensor_flops"],
        "load_bytes": stats["bulk_load_bytes"] + stats["cp_async_bytes"] + stats["global_loads"]["bytes"],
        "store_bytes": stats["bulk_store_bytes"] + stats["global_stores"]["bytes"],
        "atomic_requests": stats["global_atomics"]["requests"],
        "sectors_per_request": {k: round(stats[f"global_{k}"]["sectors"] / stats[f"global_{k}"]["requests"], 3) for k in ("loads", "stores") if stats[f"global_{k}"]["requests"]},
        "sector_use": {k: round(stats[f"global_{k}"]["bytes"] / (32 * stats[f"global_{k}"]["sectors"]), 3) for k in ("loads", "stores") if stats[f"global_{k}"]["sectors"]},
        "shared_wavefronts": stats["shared_wavefronts"],
        "shared_wavefronts_ideal": stats["shared_wavefronts_ideal"],
    }
    chosen = main_loop(function, counts, machine)
    outside = everything
    report["main_loop"] = None
    if chosen is not None:
        inner = function.block_of(chosen, inner=False)
        loop = work_of(function, inner, counts, machine)
        # Of one turn on average: a loop's branches are taken in some turns only.
        turns = counts.get(function.loops[chosen].header, 0) or 1
        once = loop.scaled(constants.SUBPARTITIONS / turns)
        outside = work_of(function, set(range(len(function.blocks))) - inner, counts, machine)
        report["main_loop"] = {
            "ptx_line": min((i.line for i in function.code(inner) if i.line), default=0),
            "instructions": round(once.instructions / constants.SUBPARTITIONS, 1),
            "by_pipe": {k: round(v / constants.SUBPARTITIONS, 1) for k, v in sorted(once.counts.items())},
            "cycles": {k: round(v, 1) for k, v in sorted(once.cycles.items())},
            "limit": limiting(once.cycles),
            "turns": turns,
            "order": order_of(function, chosen),
            "work": {k: round(v / ctas, 1) for k, v in sorted(loop.cycles.items())},
        }
    report["outside"] = {k: round(v / ctas, 1) for k, v in sorted(outside.cycles.items())}
    blocks = function.block_of(chosen) if chosen is not None else set(range(len(function.blocks)))
    in_registers = loads_in_flight(function, blocks) * fits["warps"]
    in_shared = stats["peak_bytes_in_flight"] * fits["ctas"]
    report["in_flight"] = {"bytes": max(in_registers, in_shared), "by": "copies" if in_shared >= in_registers else "loads", "needed": round(machine.bytes_to_cover)}
    return report
