#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runtime core as it ships: how large it is, what it links to, what it exports.

Usage: library_size_test.py LIBMSA_SO STRIP READELF WORK_DIR. Prints the stripped size; fails above 384 KiB (in a Release build).
"""

import os
import re
import shutil
import subprocess
import sys

LIMIT = 384 * 1024
ALLOWED = {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libpthread.so.0"}

library, strip, readelf, work = sys.argv[1:5]
os.makedirs(work, exist_ok=True)
copy = os.path.join(work, "libmsa-stripped.so")
shutil.copyfile(library, copy)
subprocess.run([strip, copy], check=True)
size = os.path.getsize(copy)
print(f"libmsa.so, stripped: {size} bytes ({size / 1024:.1f} KiB), limit {LIMIT // 1024} KiB")

dynamic = subprocess.run([readelf, "-dW", copy], check=True, capture_output=True, text=True).stdout
needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
print("needs", ", ".join(sorted(needed)))

symbols = subprocess.run([readelf, "--dyn-syms", "-W", copy], check=True, capture_output=True, text=True).stdout
exported = [
    line.split()[7].split("@")[0]
    for line in symbols.splitlines()
    if len(line.split()) == 8 and line.split()[4] in ("GLOBAL", "WEAK") and line.split()[6] != "UND"
]
foreign = [name for name in exported if not name.startswith("msa_")]
print(f"exports {len(exported)} functions")

failures = []
if size > LIMIT:
    failures.append(f"the stripped library has {size} bytes, more than {LIMIT}")
if needed - ALLOWED:
    failures.append(f"it needs {sorted(needed - ALLOWED)}, allowed are {sorted(ALLOWED)}")
if foreign or not exported:
    failures.append(f"it exports {foreign or 'nothing'}; expected msa_* alone")
for failure in failures:
    print("error:", failure)
sys.exit(1 if failures else 0)
