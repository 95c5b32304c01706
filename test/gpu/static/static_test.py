# SPDX-License-Identifier: Apache-2.0
"""Tests of the readers: python3 -m unittest static_test (in this folder). Needs no tool."""
import os
import unittest

import constants
import evidence
import pipes
import sass

HERE = os.path.dirname(os.path.abspath(__file__))
HOPPER = constants.MACHINES[90]


def listing(name):
    with open(os.path.join(HERE, "Inputs", name), encoding="utf-8") as f:
        return f.read()


def one(text):
    lines = "\n".join(f"        /*{16 * i:04x}*/                   {l} ;" for i, l in enumerate(text.strip().splitlines()))
    return sass.parse('\t.section\t.text.k,"ax",@progbits\nk:\n.text.k:\n' + lines)["k"]


class Listing(unittest.TestCase):
    def test_instructions_have_lines_and_predicates(self):
        code = sass.parse(listing("ring.sass"))["ring"].instructions
        self.assertEqual(len(code), 24)
        branch = code[3]
        self.assertEqual((branch.name, branch.predicate, branch.line), ("BRA", "@P1", 11))
        self.assertEqual((code[7].opcode, code[7].line), ("HGMMA.64x128x16.F32.BF16", 22))

    def test_a_wait_out_of_the_way_is_a_loop_of_its_own(self):
        f = sass.parse(listing("ring.sass"))["ring"]
        # The endless loop after the last branch cannot be reached, and is none.
        self.assertEqual(len(f.loops), 2)
        ring, wait = f.loops
        self.assertEqual(f.instructions[f.blocks[ring.header].first].line, 20)
        self.assertEqual((wait.depth, wait.parent), (2, 0))
        self.assertFalse(evidence._is_wait_loop(f, 0))
        self.assertTrue(evidence._is_wait_loop(f, 1))

    def test_nested_loops(self):
        functions = sass.parse(listing("nest.sass"))
        self.assertEqual(list(functions), ["nest", "other"])
        f = functions["nest"]
        outer, inner = sorted(f.loops, key=lambda l: l.depth)
        self.assertTrue(inner.blocks < outer.blocks)
        self.assertEqual([i.name for i in f.code(f.block_of(f.loops.index(outer), inner=False))], ["LDG", "LDG", "LDS", "BRA"])

    def test_what_is_not_understood_is_an_error(self):
        for text, message in (
            ("no code here", "expected a '.section .text.NAME'"),
            (listing("nest.sass").replace("`(.L_x_1)", "`(.L_x_9)"), "jumps to '.L_x_9'"),
            (listing("nest.sass").replace("MOV R0, RZ ;", "MOV R0, RZ"), "expected an instruction"),
            (listing("nest.sass").replace("@P0 BRA `(.L_x_1)", "BRX R4 -0x10"), "without a list of targets"),
        ):
            with self.assertRaisesRegex(sass.SassError, message.replace("(", r"\(")):
                sass.parse(text)
        with self.assertRaisesRegex(sass.SassError, "no pipe is known for 'FROB.X'"):
            pipes.pipe_of(one("FROB.X R1, R2").instructions[0])
        with self.assertRaisesRegex(sass.SassError, "expected a matrix shape"):
            pipes.tensor_shape(one("HGMMA.WIDE R1, gdesc[UR4], R1").instructions[0])


class Costs(unittest.TestCase):
    def work(self, text, warps=4, machine=HOPPER):
        work = pipes.Work()
        for i in one(text).instructions:
            work.add(i, machine, warps)
        return work

    def test_pipes(self):
        self.assertEqual(self.work("FFMA R1, R2, R3, R4").cycles, {"issue": 1, "fma": 1})
        self.assertEqual(self.work("FMNMX R1, R2, R3, !PT").cycles, {"issue": 1, "alu": 2})
        self.assertEqual(self.work("MUFU.EX2 R1, R2").cycles, {"issue": 1, "xu": 8})
        self.assertEqual(self.work("FFMA R1, R2, R3, R4", machine=constants.MACHINES[80]).cycles["fma"], 2)

    def test_tensor_work_of_a_warpgroup(self):
        work = self.work("HGMMA.64x256x16.F32.BF16 R24, gdesc[UR16], R24")
        self.assertEqual(work.flops, 2 * 64 * 256 * 16)
        self.assertEqual(work.cycles["tensor"], 128)
        self.assertEqual(work.cycles["operands"], (64 + 256) * 16 * 2 / 128)
        # With A in registers only B is read from shared memory; 8-bit types go twice as fast.
        self.assertEqual(self.work("HGMMA.64x256x16.F32.BF16 R24, R8, gdesc[UR16], R24").cycles["operands"], 64)
        self.assertEqual(self.work("QGMMA.64x256x32.F32.E4M3.E4M3 R24, gdesc[UR16], R24").cycles["tensor"], 128)

    def test_mma_sync(self):
        work = self.work("HMMA.16816.F32.BF16 R4, R8, R12, R4", warps=1, machine=constants.MACHINES[80])
        self.assertEqual((work.flops, work.cycles["tensor"]), (4096, 2))

    def test_shared_memory(self):
        self.assertEqual(self.work("LDS.128 R4, [R8]", warps=1).cycles["shared"], 4)
        self.assertEqual(self.work("LDSM.16.M88.4 R4, [R8]", warps=1).cycles["shared"], 4)
        self.assertEqual(self.work("LDSM.16.MT88.2 R4, [R8]", warps=1).cycles["shared"], 2)


class Evidence(unittest.TestCase):
    def test_ptxas_log(self):
        log = """ptxas info    : (C7519) warpgroup.arrive is injected in around line 780 by compiler to allow use of registers in GMMA in function 'fa'
ptxas info    : Compiling entry function 'fa' for 'sm_90a'
ptxas info    : Function properties for fa
    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 168 registers, used 2 barriers, 24 bytes smem
ptxas info    : Compiling entry function 'b' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 16 registers
"""
        kernels, remarks = evidence.read_ptxas(log)
        self.assertEqual(kernels["fa"], {"registers": 168, "barriers": 2, "stack": 16, "spill_stores": 4, "spill_loads": 8, "static_shared": 24})
        self.assertEqual(kernels["b"]["registers"], 16)
        self.assertEqual(remarks, ["C7519"])

    def test_occupancy(self):
        self.assertEqual(evidence.occupancy(HOPPER, 168, 384, 164096), {"ctas": 1, "warps": 12, "limit": "registers"})
        self.assertEqual(evidence.occupancy(HOPPER, 32, 128, 0), {"ctas": 16, "warps": 64, "limit": "registers"})
        self.assertEqual(evidence.occupancy(HOPPER, 32, 128, 100000)["ctas"], 2)

    def test_order(self):
        f = sass.parse(listing("ring.sass"))["ring"]
        order = evidence.order_of(f, 0)
        self.assertEqual(order["text"], "HGMMA*2 EX2 wait(0) EX2*2")
        self.assertEqual((order["ex2"], order["ex2_overlapped"], order["wgmma_per_wait"]), (3, 1, 2.0))

    def test_counts_of_blocks(self):
        f = sass.parse(listing("ring.sass"))["ring"]
        lines = {10: 8, 11: 8, 20: 40, 22: 40, 23: 40, 24: 40, 25: 40, 26: 40, 27: 40, 30: 4}
        counts, unknown = evidence.block_counts(f, lines)
        by_line = {f.instructions[b.first].line: counts[n] for n, b in enumerate(f.blocks) if n in counts and b.first < 16}
        self.assertEqual(by_line, {10: 8, 20: 40, 22: 40, 30: 4})
        self.assertEqual(evidence.main_loop(f, counts, HOPPER), 0)
        work = evidence.work_of(f, f.block_of(0, inner=False), counts, HOPPER)
        self.assertEqual(work.flops, 10 * 2 * 2 * 64 * 128 * 16)

    def test_an_unrolled_line_is_shared_by_its_copies(self):
        text = listing("ring.sass").replace(
            "        /*00f0*/", '\t//## File ".nv_debug_ptx_txt", line 22\n        /*00e8*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR16], R24 ;\n        /*00f0*/'
        )
        f = sass.parse(text)["ring"]
        counts, _ = evidence.block_counts(f, {22: 40, 23: 30})  # line 23 is in the loop alone: one turn of four was peeled
        self.assertEqual(sorted(counts[n] for n, b in enumerate(f.blocks) if any(i.name == "HGMMA" for i in f.instructions[b.first : b.last + 1])), [10, 30])

    def test_copies_in_one_block_share_its_count(self):
        f = one("FADD R1, R2, R3\n" + "HMMA.16816.F32 R4, R8, R12, R4\n" * 4 + "EXIT")
        for i in f.instructions:
            i.line = 7
        self.assertEqual(evidence.block_counts(f, {7: 80}, unrolled=True)[0], {0: 20})
        self.assertEqual(evidence.block_counts(f, {7: 80})[0], {0: 80})

    def test_copies_in_blocks_of_their_own_share_the_count_of_a_loop(self):
        # Unrolled three times; each copy is in a loop that one lane passes once.
        turn = "SEL R1, R2, R3, P0\n.L_x_{0}:\nELECT P5, URZ, PT\nUTMALDG.2D [UR8], [UR14]\n@P5 BRA.U.ANY `(.L_x_{0})\n"
        body = "".join(turn.format(n) for n in range(3)) + "EXIT"
        code, at = [], 0
        for line in body.splitlines():
            if line.startswith("."):
                code.append(line)
            else:
                predicate = line.startswith("@")
                code.append(f"        /*{at:04x}*/ {'' if predicate else '                  '}{line} ;")
                at += 16
        f = sass.parse('\t.section\t.text.k,"ax",@progbits\nk:\n.text.k:\n' + "\n".join(code))["k"]
        for i in f.instructions[:-1]:
            i.line = {"SEL": 5}.get(i.name, 6)
        counts, _ = evidence.block_counts(f, {5: 60, 6: 60})
        self.assertEqual([counts[n] for n in range(6)], [20] * 6)

    def test_products_are_counted_by_lines_of_products(self):
        self.assertEqual(evidence.lines_of_products("add.s32 %r1, %r2, 4;\nadd.s64 %rd1, %rd2, 4;\nwgmma.mma_async.sync.aligned.m64n64k16 {%f1};"), {2, 3})
        f = one("HGMMA.64x128x16.F32.BF16 R24, gdesc[UR16], R24\nHGMMA.64x128x16.F32.BF16 R24, gdesc[UR20], R24\nEXIT")
        f.instructions[0].line, f.instructions[1].line = 1, 3  # the first one's line is a neighbour's, which runs more often
        self.assertEqual(evidence.block_counts(f, {1: 90, 3: 40}, unrolled=True, products={3})[0], {0: 40})

    def test_polling_says_nothing(self):
        ptx = "\n".join(["add.s32 %r1, %r1, 1;", "$L1:", "mbarrier.try_wait.parity.shared.b64 p, [%r1], %r2;", "selp.b32 %r3, 1, 0, p;", "@!p bra $L1;", "add.s32 %r1, %r1, 1;"])
        self.assertEqual(evidence.polling_lines(ptx), {2, 3, 4, 5})
        self.assertEqual(evidence.polling_lines("mbarrier.try_wait.b64 p, [%r1], %r2;\n@p bra $L9;"), {1})

    def test_loads_in_flight(self):
        f = sass.parse(listing("nest.sass"))["nest"]
        self.assertEqual(evidence.loads_in_flight(f, set(range(len(f.blocks)))), 2 * 16 * 32)
        one_by_one = one("LDG.E.128 R4, desc[UR4][R2.64]\nFADD R1, R4, R5\nLDG.E.128 R8, desc[UR4][R2.64]\nFADD R1, R8, R5\nEXIT")
        self.assertEqual(evidence.loads_in_flight(one_by_one, {0}), 16 * 32)

    def test_bracket(self):
        b = evidence.bracket({"tensor": 100, "issue": 40, "xu": 60}, {"memory": 90})
        self.assertEqual(b, {"floor": 100, "full": 100, "none": 160, "limit": "tensor"})
        b = evidence.bracket({"tensor": 10, "issue": 40}, {"memory": 90})
        self.assertEqual(b, {"floor": 90, "full": 90, "none": 90, "limit": "memory"})
        # Operands are fetched while tensor cores work.
        self.assertEqual(evidence.bracket({"tensor": 100, "operands": 80, "issue": 10}, {})["none"], 110)


if __name__ == "__main__":
    unittest.main()
