# SPDX-License-Identifier: Apache-2.0
"""Finds ptxas and nvdisasm, of exactly the versions that requirements.txt pins: other versions count other instructions.

    python3 tools.py FOLDER     installs what is missing into FOLDER and says where the tools are

ptxas is taken from MSA_PTXAS, PATH, CUDA_HOME or /usr/local/cuda when it is of the pinned version; nvdisasm from PATH or those folders likewise.
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WHEELS = {"ptxas": "nvidia-cuda-nvcc", "nvdisasm": "nvidia-cuda-nvdisasm"}


class ToolError(Exception):
    pass


def pinned():
    """{tool: (wheel, version)}"""
    with open(os.path.join(HERE, "requirements.txt"), encoding="utf-8") as f:
        versions = dict(re.findall(r"^([\w-]+)==([\w.]+)", f.read(), re.M))
    return {tool: (wheel, versions[wheel]) for tool, wheel in WHEELS.items()}


def version_of(path):
    """ "13.0.88" as the tool itself says it, or None."""
    try:
        out = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bV(\d+\.\d+\.\d+)", out)
    return found.group(1) if found else None


def _candidates(tool, folder):
    if tool == "ptxas" and os.environ.get("MSA_PTXAS"):
        yield os.environ["MSA_PTXAS"]
    yield shutil.which(tool) or ""
    for root in (os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"):
        yield os.path.join(root, "bin", tool) if root else ""
    yield os.path.join(folder, "nvidia", "cu13", "bin", tool)


def find(tool, folder):
    """The tool's path, or None."""
    wanted = pinned()[tool][1]
    for path in _candidates(tool, folder):
        if path and os.path.isfile(path):
            if os.path.dirname(path).startswith(folder) and not os.access(path, os.X_OK):
                os.chmod(path, 0o755)
            if version_of(path) == wanted:
                return path
    return None


def ensure(folder):
    """{tool: path}; installs wheels into `folder` for what is missing. Raises ToolError when that cannot be done."""
    folder = os.path.abspath(folder)
    found = {tool: find(tool, folder) for tool in WHEELS}
    missing = [tool for tool, path in found.items() if not path]
    if missing:
        wheels = ["%s==%s" % pinned()[tool] for tool in missing]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target", folder, *wheels]
        done = subprocess.run(command, capture_output=True, text=True)
        found.update({tool: find(tool, folder) for tool in missing})
        lost = [tool for tool in missing if not found[tool]]
        if lost:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ToolError(
                f"expected {', '.join('%s %s' % (t, pinned()[t][1]) for t in lost)}, found none: install {' '.join(wheels)} by "
                f"'pip install --target FOLDER' or set MSA_PTXAS (pip: {last})"
            )
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tools.py FOLDER")
    try:
        for name, path in ensure(sys.argv[1]).items():
            print(f"{name} {path}")
    except ToolError as e:
        print(f"unavailable: {e}")
        sys.exit(77)
