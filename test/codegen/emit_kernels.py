# SPDX-License-Identifier: Apache-2.0
"""Prints N kernels that differ in a constant."""

import sys

from math_test import elementwise

for number in range(int(sys.argv[1])):
    print(elementwise(f"scale{number}", ["f32"], "f32", f"%s = arith.constant {number}.0 : f32\n      %t = arith.mulf %a0, %s : f32\n      %r = math.exp %t : f32"))
