# SPDX-License-Identifier: Apache-2.0
"""Makes the reference pages of this folder from the TableGen files: every dialect's ops and types, every pass.

    python3 docs/reference/generate.py            # writes the pages
    python3 docs/reference/generate.py --check    # exits 1 when a page is not what the files say: run it after a change

Needs mlir-tblgen on the PATH.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAGES = {
    "msa.md": ("dialect/MSAOps.td", ["-gen-dialect-doc", "-dialect=msa"]),
    "exec.md": ("dialect/exec/ExecOps.td", ["-gen-dialect-doc", "-dialect=exec"]),
    "kernel.md": ("dialect/kernel/KernelOps.td", ["-gen-dialect-doc", "-dialect=kernel"]),
    "onnx.md": ("dialect/onnx/OnnxOps.td", ["-gen-dialect-doc", "-dialect=onnx"]),
    "passes.md": ("passes/Passes.td", ["-gen-pass-doc"]),
    "cpu-passes.md": ("codegen/cpu/Passes.td", ["-gen-pass-doc"]),
}


def main():
    tool = shutil.which("mlir-tblgen")
    if not tool:
        sys.exit("expected mlir-tblgen on the PATH")
    include = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(tool))), "include")
    stale = []
    for page, (source, flags) in PAGES.items():
        text = subprocess.run([tool, *flags, "-I", ROOT, "-I", include, os.path.join(ROOT, source)],
                              capture_output=True, text=True, check=True).stdout
        text = "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"
        path = os.path.join(HERE, page)
        if "--check" not in sys.argv:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        elif not os.path.exists(path) or open(path, encoding="utf-8").read() != text:
            stale.append(page)
    if stale:
        sys.exit(f"stale: {', '.join(stale)}: run python3 docs/reference/generate.py")


if __name__ == "__main__":
    main()
