# SPDX-License-Identifier: Apache-2.0
"""What the static evidence takes for granted of the hardware: every number of the report that was not counted comes from here.

None of these was measured by this project unless it says so. They are good for lower bounds and for comparisons, not for predictions.

    field                        sm_90        sm_80        source
    multiprocessors              132          108          vendor's data sheets of H100/H200 SXM and A100 SXM
    clock (GHz)                  1.755        1.41         the same, boost
    memory bandwidth (TB/s)      4.3          1.73         H200: copy measured with PyTorch; A100 80 GB: 85 % of the data sheet's 2.04
    memory latency (us)          1.0          0.8          rounded up from published micro-benchmarks (0.6 to 0.8 on a loaded device)
    shared memory per SM (KiB)   228          164          CUDA C++ Programming Guide, table of technical specifications
    reserved per CTA (KiB)       1            1            the same
    registers, warps, CTAs       65536 64 32  65536 64 32  the same
    tensor FLOP/cycle/SM, 16 bit 4096         2048         data sheets, dense, at boost clock
    tensor FLOP/cycle/SM, 8 bit  8192         4096         the same (sm_80: integers)
    share reached by mma.sync    0.62         1.0          arXiv 2402.13499, H100 against wgmma
    shared bytes/cycle/SM        128          128          CUDA C++ Programming Guide: 32 banks of 4 bytes
    L2 bytes/cycle               5120         5120         A100 white paper; taken for sm_90 as well (publications measure 5.5 to 7 TB/s)
    lanes per cycle and SM:                                CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions"
      FP32 add, multiply, fma    128          64
      integer multiply-add       64           64
      integer, logic, compare    64           64           f32 minimum and maximum, select and the packing of two floats too
      special functions          16           16           conversions between floats and integers too, popc, flo
      FP64                       64           32
      shuffles                   32           32
    warp instructions/cycle      4            4            one for each of the four sub-partitions
"""
from dataclasses import dataclass

SUBPARTITIONS = 4
WARP = 32


@dataclass(frozen=True)
class Machine:
    name: str
    multiprocessors: int
    clock: float  # GHz
    bandwidth: float  # bytes/s
    latency: float  # s
    shared_bytes: int
    tensor_flops: dict  # FLOP per cycle and multiprocessor, by bits of an operand
    mma_sync_share: float
    lanes: dict  # per cycle and multiprocessor, by pipe
    reserved_shared: int = 1024
    registers: int = 65536
    register_unit: int = 256
    warps: int = 64
    ctas: int = 32
    shared_cycle_bytes: int = 128
    l2_cycle_bytes: int = 5120  # of the whole device

    @property
    def bytes_per_cycle(self):
        """Of memory, for one multiprocessor."""
        return self.bandwidth / self.multiprocessors / (self.clock * 1e9)

    @property
    def bytes_to_cover(self):
        """In flight on one multiprocessor to keep the memory busy: latency x bandwidth."""
        return self.latency * self.bandwidth / self.multiprocessors


def _lanes(fp32, fp64):
    return {"fma": fp32, "imad": 64, "alu": 64, "xu": 16, "fp64": fp64, "shuffle": 32}


MACHINES = {
    90: Machine("H200", 132, 1.755, 4.3e12, 1.0e-6, 228 * 1024, {16: 4096, 8: 8192, 32: 2048}, 0.62, _lanes(128, 64)),
    80: Machine("A100", 108, 1.41, 1.73e12, 0.8e-6, 164 * 1024, {16: 2048, 8: 4096, 32: 1024}, 1.0, _lanes(64, 32)),
}

# Remarks of ptxas that are failures: setmaxnreg is ignored (C7508), or wgmma instructions run one after the other (the others).
FORBIDDEN_REMARKS = ("C7508", "C7510", "C7513", "C7514", "C7520")
