#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the runtime, moves the tree, and builds the example apps against it: by find_package and by pkg-config.

Usage: embed_test.py CMAKE BUILD_DIR CC CXX WRITE_TEST_ARTIFACT WORK_DIR
"""

import os
import pathlib
import shutil
import subprocess
import sys

cmake, build, cc, cxx, writer, work = sys.argv[1:7]
source = pathlib.Path(__file__).resolve().parent
work = pathlib.Path(work)


def run(*command, **options):
    print("+", *command, flush=True)
    return subprocess.run([str(part) for part in command], check=True, timeout=300, **options)


shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
run(cmake, "--install", build, "--component", "runtime", "--prefix", work / "first", stdout=subprocess.DEVNULL)
prefix = work / "moved"
(work / "first").rename(prefix)
model = work / "model.msa"
run(writer, model)

run(cmake, "-S", source, "-B", work / "cmake", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={cc}", f"-DCMAKE_CXX_COMPILER={cxx}",
    stdout=subprocess.DEVNULL)
run(cmake, "--build", work / "cmake", stdout=subprocess.DEVNULL)

pkgconfig = next(prefix.rglob("msa.pc")).parent
environment = dict(os.environ, PKG_CONFIG_PATH=str(pkgconfig))
flags = run("pkg-config", "--cflags", "--libs", "msa", env=environment, capture_output=True, text=True).stdout.split()
library = next(prefix.rglob("libmsa.so")).parent
run(cc, source / "app.c", "-o", work / "app_pkgconfig", *flags, f"-Wl,-rpath,{library}")

for app in (work / "cmake" / "app_c", work / "cmake" / "app_cpp", work / "app_pkgconfig"):
    out = run(app, model, capture_output=True, text=True).stdout
    if out != "11\n22\n33\n":
        sys.exit(f"{app} printed {out!r}, expected 11, 22, 33")
    bad = subprocess.run([app, source / "app.c"], capture_output=True, text=True)
    if bad.returncode != 1 or "this is not an MSA artifact" not in bad.stderr:
        sys.exit(f"{app} answered {bad.returncode} and {bad.stderr!r} to a file that is no artifact")
print("three apps: right")
