# SPDX-License-Identifier: Apache-2.0
"""Which pipe of a multiprocessor runs an instruction, and for how long. An opcode that no table names is a SassError."""
import re
from dataclasses import dataclass

from constants import SUBPARTITIONS, WARP
from sass import SassError

_TABLE = {
    "fma": "FADD FMUL FFMA FADD2 FMUL2 FFMA2 FSWZADD FADD32I FMUL32I FFMA32I HADD2 HMUL2 HFMA2 HADD2_32I HFMA2_32I HMUL2_32I",
    "imad": "IMAD IMUL IDP IDP4A XMAD",
    "alu": "IADD3 IADD IADD32I VIADD VIADDMNMX VIMNMX VIMNMX3 IMNMX IABS LEA LOP3 LOP PLOP3 SHF SHL SHR SGXT BMSK PRMT SEL FSEL FSET FSETP FCHK "
    "FMNMX FMNMX3 ISETP ICMP MOV MOV32I P2R R2P CS2R F2FP I2FP I2IP HMNMX2 HSETP2 HSET2 VABSDIFF VABSDIFF4 VOTE LEPC PSETP VHMNMX",
    "xu": "MUFU F2F F2I I2F I2I FRND POPC FLO BREV F2IP",
    "fp64": "DADD DMUL DFMA DSETP DMNMX DSET",
    "shuffle": "SHFL",
    "shared": "LDS STS LDSM STSM ATOMS",
    "global": "LDG STG LD ST ATOM ATOMG RED REDG LDGSTS",
    "local": "LDL STL",
    "constant": "LDC",
    "tensor": "HGMMA QGMMA IGMMA",
    "mma.sync": "HMMA IMMA QMMA",
    "copy": "UTMALDG UTMASTG UTMAREDG UTMAPF UTMACCTL UTMACMDFLUSH UBLKCP UBLKRED UBLKPF",
    "uniform": "R2UR S2UR ULDC UMOV UIADD3 UIMAD ULEA ULOP3 ULOP UPLOP3 USHF USEL USGXT UPRMT UISETP UP2UR UR2UP UPOPC UFLO UBMSK UBREV "
    "UCLEA UVIADD UVIMNMX UF2FP UPSETP VOTEU REDUX CREDUX",
    "control": "BRA BRX JMP JMX CALL RET EXIT BSSY BSYNC BREAK BMOV BPT KILL NANOSLEEP YIELD WARPSYNC NOP BAR B2R R2B MEMBAR ERRBAR FENCE CCTL "
    "CCTLL SYNCS WARPGROUP WARPGROUPSET DEPBAR LDGDEPBAR ARRIVES USETMAXREG ELECT PREEXIT ACQBULK UCGABAR_ARV UCGABAR_WAIT CGABAR S2R "
    "ENDCOLLECTIVE COLLECTIVE LDTRAM VOTE_VTG UCGABAR_GET UCGABAR_SET PMTRIG CGAERRBAR",
}
PIPE = {opcode: pipe for pipe, opcodes in _TABLE.items() for opcode in opcodes.split()}

_GMMA = re.compile(r"^[HQI]GMMA\.(?:SP\.)?(\d+)x(\d+)x(\d+)\.")
_MMA = re.compile(r"^[HIQ]MMA\.(?:SP\.)?(\d+)\.")
_MMA_SHAPES = {"1688": (16, 8, 8), "16816": (16, 8, 16), "16832": (16, 8, 32), "8816": (8, 8, 16), "16864": (16, 8, 64), "1684": (16, 8, 4)}


def pipe_of(instruction):
    pipe = PIPE.get(instruction.name)
    if pipe is None:
        raise SassError(f"line {instruction.at}: no pipe is known for '{instruction.opcode}': add it to pipes.py")
    return pipe


def tensor_shape(instruction):
    """M, N, K of a wgmma (a warpgroup's) or mma.sync (a warp's), and the bits of an operand; None for anything else."""
    pipe = pipe_of(instruction)
    if pipe == "tensor":
        m = _GMMA.match(instruction.opcode)
        shape = tuple(map(int, m.groups())) if m else None
    elif pipe == "mma.sync":
        m = _MMA.match(instruction.opcode)
        shape = _MMA_SHAPES.get(m.group(1)) if m else None
    else:
        return None
    if shape is None:
        raise SassError(f"line {instruction.at}: expected a matrix shape in '{instruction.opcode}'")
    if "TF32" in instruction.opcode:
        return (*shape, 32)
    return (*shape, 8 if instruction.name[0] in "QI" else 16)


def access_bytes(instruction):
    """Bytes a lane moves by a memory instruction."""
    for part in instruction.opcode.split("."):
        if part in ("64", "128", "U8", "S8", "U16", "S16"):
            return {"64": 8, "128": 16, "U8": 1, "S8": 1, "U16": 2, "S16": 2}[part]
    return 4


def shared_bytes(instruction):
    """Bytes that an instruction reads or writes in shared memory, by all lanes of its warp, or of its warpgroup for wgmma."""
    if instruction.name in ("LDSM", "STSM"):  # each matrix of 8x8 16-bit elements
        return 128 * int(instruction.opcode.rsplit(".", 1)[-1]) if instruction.opcode[-1].isdigit() else 128
    if PIPE.get(instruction.name) == "shared":
        return WARP * access_bytes(instruction)
    if instruction.name == "LDGSTS":
        return WARP * access_bytes(instruction)
    if PIPE.get(instruction.name) == "tensor":
        m, n, k, bits = tensor_shape(instruction)
        operands = instruction.operands.split(",")
        a_in_registers = len(operands) > 1 and operands[1].strip().startswith("R")
        return (0 if a_in_registers else m * k * bits // 8) + n * k * bits // 8
    return 0


@dataclass
class Work:
    """Cycles that a multiprocessor's pipes are busy, and what was counted, for some executions of some instructions."""

    instructions: float = 0
    cycles: dict = None
    flops: float = 0
    counts: dict = None

    def __post_init__(self):
        self.cycles = self.cycles or {}
        self.counts = self.counts or {}

    def add(self, instruction, machine, warps=1.0):
        """`warps` executions by a warp. The warps are spread evenly over the four sub-partitions."""
        pipe = pipe_of(instruction)
        self.instructions += warps
        self.counts[pipe] = self.counts.get(pipe, 0) + warps
        self._busy("issue", warps / SUBPARTITIONS)
        shape = tensor_shape(instruction)
        if shape:
            m, n, k, bits = shape
            executions = warps / 4 if pipe == "tensor" else warps  # wgmma: four warps run one
            flops = 2 * m * n * k * executions
            share = 1.0 if pipe == "tensor" else machine.mma_sync_share
            self.flops += flops
            self._busy("tensor", flops / (machine.tensor_flops[bits] * share))
            if pipe == "tensor":
                self._busy("operands", shared_bytes(instruction) * executions / machine.shared_cycle_bytes)
        elif pipe in ("shared",) or instruction.name == "LDGSTS":
            self._busy("shared", shared_bytes(instruction) * warps / machine.shared_cycle_bytes)
        elif pipe == "shuffle":
            self._busy("shared", WARP * warps / machine.lanes["shuffle"])
        elif pipe in ("global", "local"):
            self._busy("l1", WARP * access_bytes(instruction) * warps / machine.shared_cycle_bytes)
        elif pipe in machine.lanes:
            # An integer multiply-add occupies the pipe of FP32 for as long as its own rate says.
            self._busy("fma" if pipe == "imad" else pipe, WARP * warps / machine.lanes[pipe])

    def _busy(self, pipe, cycles):
        self.cycles[pipe] = self.cycles.get(pipe, 0) + cycles

    def scaled(self, factor):
        return Work(self.instructions * factor, {k: v * factor for k, v in self.cycles.items()}, self.flops * factor,
                    {k: v * factor for k, v in self.counts.items()})

    def plus(self, other):
        def both(a, b):
            return {k: a.get(k, 0) + b.get(k, 0) for k in {**a, **b}}

        return Work(self.instructions + other.instructions, both(self.cycles, other.cycles), self.flops + other.flops, both(self.counts, other.counts))
