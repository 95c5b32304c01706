# SPDX-License-Identifier: Apache-2.0
#
# The lit suite: IR tests (.mlir) and command-line tests (.test). Features that a test may require:
#   onnx-python   Python for tests has the onnx wheel
#   avx512        this machine runs x86-64-v4 kernels
import os
import subprocess

import lit.formats

config.name = "msa"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "fixtures"]
config.test_source_root = os.path.join(config.msa_source_dir, "test")
config.test_exec_root = os.path.join(config.msa_build_dir, "test")

config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.msa_build_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]]
)
# A capture must not leak past a CHECK-LABEL.
config.environment["FILECHECK_OPTS"] = "-enable-var-scope"
config.substitutions.append(("%python", config.msa_python))
config.substitutions.append(("%src", config.msa_source_dir))
config.substitutions.append(("%build", config.msa_build_dir))
config.substitutions.append(("%plugins", os.path.join(config.msa_build_dir, "lib")))


def python_has(module):
    return subprocess.run([config.msa_python, "-c", f"import {module}"], capture_output=True).returncode == 0


if python_has("onnx"):
    config.available_features.add("onnx-python")
# What Python loads a sanitized library into.
if "address" in config.msa_sanitize:
    found = subprocess.run([config.c_compiler, "-print-file-name=libclang_rt.asan-x86_64.so"], capture_output=True, text=True).stdout.strip()
    config.environment["MSA_SANITIZER_RUNTIME"] = found if os.path.isabs(found) else ""
with open("/proc/cpuinfo") as info:
    flags = info.read()
if all(f in flags for f in ("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd")):
    config.available_features.add("avx512")
