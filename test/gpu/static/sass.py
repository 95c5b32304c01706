# SPDX-License-Identifier: Apache-2.0
"""Reads what `nvdisasm -c -gp` prints: instructions with the line of the PTX text they come from, basic blocks, natural loops.

Anything that is not understood is a SassError with the line of the listing, never skipped: a count that misses instructions is worse than none.
"""
import re
from dataclasses import dataclass, field


class SassError(Exception):
    pass


@dataclass
class Instruction:
    opcode: str  # with its modifiers: "HGMMA.64x64x16.F32.BF16"
    operands: str
    predicate: str  # "@P0", "@!UP1" or ""
    line: int  # of the PTX text, 0 if the listing does not say
    at: int  # of the listing

    @property
    def name(self):
        return self.opcode.split(".", 1)[0]


@dataclass
class Block:
    first: int
    last: int  # inclusive
    successors: list = field(default_factory=list)  # numbers of blocks
    predecessors: list = field(default_factory=list)


@dataclass
class Loop:
    header: int
    blocks: set  # numbers, with those of inner loops
    depth: int = 1
    parent: int = -1  # the loop around it, by number

_SECTION = re.compile(r"^\s*\.section\s+\.text\.([^,\s]+)")
_LABEL = re.compile(r"^(\.?[\w$.]+):\s*$")
_LINE = re.compile(r'^\s*//## File ".*?nv_debug_ptx_txt.*?", line (\d+)')
_CODE = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;")
_PREDICATE = re.compile(r"^(@!?U?P[T\d]+)\s+")
_TARGET = re.compile(r"`\((\.L_x_\d+)\)")
# What ends a basic block. A barrier of convergence (BSSY, BSYNC, WARPSYNC) does not: its threads go on with the next instruction.
_BRANCHES = {"BRA", "JMP", "BRX", "JMX"}
_ENDS = {"EXIT", "RET", "KILL", "BPT"}


class Function:
    """One function of a listing."""

    def __init__(self, name):
        self.name, self.instructions, self.labels = name, [], {}
        self.blocks, self.loops = [], []

    def block_of(self, loop, inner=True):
        """The blocks of loop number `loop`; without `inner` those of the loops in it are left out."""
        blocks = set(self.loops[loop].blocks)
        if not inner:
            for other in self.loops:
                if other.blocks < self.loops[loop].blocks:
                    blocks -= other.blocks
        return blocks

    def code(self, blocks):
        """The instructions of some blocks, in their order in memory; padding left out."""
        for number in sorted(blocks, key=lambda b: self.blocks[b].first):
            block = self.blocks[number]
            for instruction in self.instructions[block.first : block.last + 1]:
                if instruction.name != "NOP":
                    yield instruction

    def finish(self):
        self._make_blocks()
        self._find_loops()
        return self

    def _targets(self, instruction):
        names = _TARGET.findall(instruction.operands)
        for name in names:
            if name not in self.labels:
                raise SassError(f"line {instruction.at}: jumps to '{name}', which is not in function '{self.name}'")
        if instruction.name in ("BRX", "JMX") and not names:
            raise SassError(f"line {instruction.at}: '{instruction.opcode}' without a list of targets: cannot follow the control flow")
        return [self.labels[name] for name in names]

    def _conditional(self, instruction):
        # "@P0 BRA", and "BRA P1, L", "BRA.DIV UR4, L", "BRA.U UP0, L": all go on where they do not jump.
        before = instruction.operands.split("`", 1)[0]
        return (instruction.predicate not in ("", "@PT")) or bool(re.search(r"\bU?(P|R)\d", before)) and instruction.name == "BRA"

    def _make_blocks(self):
        code = self.instructions
        leaders = {0}
        for i, instruction in enumerate(code):
            if instruction.name in _BRANCHES:
                leaders.update(self._targets(instruction))
            if (instruction.name in _BRANCHES or instruction.name in _ENDS) and i + 1 < len(code):
                leaders.add(i + 1)
        starts = sorted(l for l in leaders if l < len(code))
        number = {start: n for n, start in enumerate(starts)}
        self.blocks = [Block(s, (starts[n + 1] if n + 1 < len(starts) else len(code)) - 1) for n, s in enumerate(starts)]
        for n, block in enumerate(self.blocks):
            last = code[block.last]
            falls = True
            if last.name in _BRANCHES:
                block.successors += [number[t] for t in self._targets(last)]
                falls = self._conditional(last)
            elif last.name in _ENDS:
                falls = last.predicate not in ("", "@PT")
            if falls and n + 1 < len(self.blocks) and n + 1 not in block.successors:
                block.successors.append(n + 1)
        for n, block in enumerate(self.blocks):
            for s in block.successors:
                self.blocks[s].predecessors.append(n)

    def _dominators(self):
        order, seen, stack = [], set(), [(0, iter(self.blocks[0].successors))] if self.blocks else []
        seen.add(0)
        while stack:
            node, rest = stack[-1]
            nxt = next((s for s in rest if s not in seen), None)
            if nxt is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(nxt)
                stack.append((nxt, iter(self.blocks[nxt].successors)))
        order.reverse()
        everything = set(order)
        dominators = {n: everything for n in order}
        if order:
            dominators[0] = {0}
        changed = True
        while changed:
            changed = False
            for n in order[1:]:
                known = [dominators[p] for p in self.blocks[n].predecessors if p in dominators]
                new = set.intersection(*known) | {n}
                if new != dominators[n]:
                    dominators[n], changed = new, True
        return dominators

    def _find_loops(self):
        dominators = self._dominators()
        bodies = {}
        for n in dominators:
            for header in self.blocks[n].successors:
                if header not in dominators[n]:
                    continue
                body, stack = {header, n}, [n]
                while stack:
                    block = stack.pop()
                    if block == header:
                        continue
                    for p in self.blocks[block].predecessors:
                        if p in dominators and p not in body:
                            body.add(p)
                            stack.append(p)
                bodies.setdefault(header, set()).update(body)
        self.loops = [Loop(h, b) for h, b in sorted(bodies.items())]
        for loop in self.loops:
            around = [n for n, o in enumerate(self.loops) if o is not loop and loop.blocks < o.blocks]
            loop.depth = 1 + len(around)
            loop.parent = min(around, key=lambda n: len(self.loops[n].blocks), default=-1)


def parse(text):
    """The functions of a listing, by name."""
    functions, function, line = {}, None, 0
    for at, raw in enumerate(text.splitlines(), 1):
        section = _SECTION.match(raw)
        if section:
            function, line = functions.setdefault(section.group(1), Function(section.group(1))), 0
            continue
        if function is None:
            continue
        where = _LINE.match(raw)
        if where:
            line = int(where.group(1))
            continue
        label = _LABEL.match(raw)
        if label:
            function.labels[label.group(1)] = len(function.instructions)
            continue
        code = _CODE.match(raw)
        if not code:
            if re.match(r"^\s+/\*[0-9a-f]{4,}\*/", raw):
                raise SassError(f"line {at}: expected an instruction, found '{raw.strip()}'")
            continue
        words = code.group(2).strip()
        predicate = _PREDICATE.match(words)
        if predicate:
            words = words[predicate.end() :]
        opcode, _, operands = words.partition(" ")
        function.instructions.append(Instruction(opcode, operands.strip(), predicate.group(1) if predicate else "", line, at))
    if not functions:
        raise SassError("expected a '.section .text.NAME', found none")
    for f in functions.values():
        if not f.instructions:
            raise SassError(f"function '{f.name}' has no instructions")
        f.finish()
    return functions
