# SPDX-License-Identifier: Apache-2.0
"""Keeps the house in order: rules that a reader of a change would otherwise have to remember. Prints every breach and exits 1.

    python3 test/tidy/tidy.py [ROOT]

Each rule is a function that yields breaches; `--self-test` shows that each can fail.
"""
import os
import re
import subprocess
import sys
import tempfile

# A folder may include only from the folders listed: dependencies run one way.
MAY_INCLUDE = {
    "dialect": {"dialect"},
    "passes": {"dialect", "passes"},
    "codegen": {"dialect", "passes", "codegen", "runtime/schema", "runtime/kernel_abi.h"},
    "runtime": {"runtime", "msa"},
}
LARGE = 1_000_000  # bytes of a file that should rather be made than kept
LARGE_ALLOWED = {"models/needle/model.safetensors"}


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def tracked(root):
    if os.path.isdir(os.path.join(root, ".git")):
        out = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True, check=True).stdout
        return [p for p in out.splitlines() if os.path.isfile(os.path.join(root, p))]
    return sorted(os.path.relpath(os.path.join(d, f), root) for d, _, files in os.walk(root) for f in files)


def includes_run_one_way(root, files):
    """dialect <- passes <- codegen; the runtime depends on its schema alone."""
    for path in files:
        top = path.split("/")[0]
        if top not in MAY_INCLUDE or not path.endswith((".cpp", ".h", ".td")):
            continue
        for name in re.findall(r'^(?:#include|include) "([^"]+)"', read(os.path.join(root, path)), re.M):
            first = name.split("/")[0]
            if first in ("dialect", "passes", "codegen", "runtime", "tools") and not any(
                name == allowed or name.startswith(allowed + "/") for allowed in MAY_INCLUDE[top]
            ):
                yield f"{path}: includes '{name}': '{top}' may include from {', '.join(sorted(MAY_INCLUDE[top]))} only"


def passes_have_a_file_and_a_test(root, files):
    """Flag, def, file and lit test of a pass of passes/ share one name; it has a summary and a description."""
    table = "passes/Passes.td"
    if table not in files:
        return
    text = read(os.path.join(root, table))
    for match in re.finditer(r'^def (\w+) : Pass<"([\w-]+)".*?^\}', text, re.M | re.S):
        name, flag = match.groups()
        if name.lower() != flag.replace("-", ""):
            yield f"{table}: pass '{flag}' is called '{name}': expected one name"
        if f"passes/{name}.cpp" not in files:
            yield f"{table}: expected pass '{flag}' in passes/{name}.cpp"
        if not any(re.fullmatch(rf"test/passes/{flag}(-[\w-]+)?\.mlir", f) for f in files):
            yield f"{table}: expected a lit test of pass '{flag}', test/passes/{flag}.mlir"
        for needed in ("let summary", "let description"):
            if needed not in match.group(0):
                yield f"{table}: pass '{flag}' has no '{needed.split()[1]}'"


def one_pass_a_file(root, files):
    for path in files:
        if path.startswith(("passes/", "codegen/")) and path.endswith(".cpp"):
            count = len(re.findall(r"^#define GEN_PASS_DEF_", read(os.path.join(root, path)), re.M))
            if count > 1:
                yield f"{path}: holds {count} passes: expected one a file"


def tests_are_alive(root, files):
    """A lit test runs something; its CHECK lines reach FileCheck."""
    for path in files:
        if not path.startswith("test/") or not path.endswith((".mlir", ".test")) or "/Inputs/" in path:
            continue
        text = read(os.path.join(root, path))
        runs = re.findall(r"RUN: (.*)", text)
        if not runs:
            yield f"{path}: has no 'RUN:' line"
            continue
        prefixes = set()
        for run in runs:
            for call in re.findall(r"FileCheck(.*)", run):
                found = re.findall(r"--?check-prefix(?:es)?[= ]([\w,-]+)", call)
                prefixes.update(p for f in found for p in f.split(",")) if found else prefixes.add("CHECK")
        lines = set(re.findall(r"^\s*(?://|#) ?([A-Z][A-Z0-9_-]*?)(?:-LABEL|-NEXT|-NOT|-SAME|-DAG|-COUNT-\d+|-EMPTY)?:", text, re.M))
        for prefix in sorted(lines - {"RUN", "REQUIRES", "UNSUPPORTED", "XFAIL", "NOTE", "TODO", "DEFINE", "REDEFINE", "END"}):
            if prefix.startswith("CHECK") and prefix not in prefixes:
                yield f"{path}: '{prefix}' lines reach no FileCheck"


def sources_are_built(root, files):
    """Every .cpp stands in a CMakeLists.txt of its top-level folder, or a test builds it by name."""
    builders = [f for f in files if os.path.basename(f) == "CMakeLists.txt" or f.endswith((".cmake", ".test", ".sh"))]
    for path in files:
        if not path.endswith(".cpp"):
            continue
        top, name = path.split("/")[0], os.path.basename(path)
        near = [b for b in builders if b.split("/")[0] in (top, "cmake", "test")]
        if not any(re.search(rf"(?<![\w-]){re.escape(name)}", read(os.path.join(root, b))) for b in near):
            yield f"{path}: no CMakeLists.txt builds it"


def links_lead_somewhere(root, files):
    for path in files:
        if not path.endswith(".md") or path.startswith(("test/fixtures/", "models/needle/")):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(os.path.join(root, path))):
            if "://" not in target and not os.path.exists(os.path.join(root, os.path.dirname(path), target)):
                yield f"{path}: links to '{target}', which does not exist"


def files_are_small_and_marked(root, files):
    for path in files:
        full = os.path.join(root, path)
        if os.path.getsize(full) > LARGE and path not in LARGE_ALLOWED:
            yield f"{path}: {os.path.getsize(full)} bytes: expected large files to be made, not kept"
        if path.endswith((".cpp", ".h", ".hpp", ".td", ".py", ".cmake", ".fbs")) or os.path.basename(path) == "CMakeLists.txt":
            if not path.startswith(("models/needle/", "test/fixtures/")) and "SPDX-License-Identifier" not in read(full)[:600]:
                yield f"{path}: has no SPDX line"


RULES = [includes_run_one_way, passes_have_a_file_and_a_test, one_pass_a_file, tests_are_alive, sources_are_built,
         links_lead_somewhere, files_are_small_and_marked]

# For each rule, files that break it.
BREACHES = {
    includes_run_one_way: {"dialect/A.h": '// SPDX-License-Identifier\n#include "passes/B.h"\n'},
    passes_have_a_file_and_a_test: {"passes/Passes.td": '// SPDX-License-Identifier\ndef MSAFoo : Pass<"msa-bar"> {\n}\n'},
    one_pass_a_file: {"passes/A.cpp": "#define GEN_PASS_DEF_A\n#define GEN_PASS_DEF_B\n"},
    tests_are_alive: {"test/a.mlir": "// RUN: msa-opt %s\n// CHECK: foo\n"},
    sources_are_built: {"passes/Orphan.cpp": ""},
    links_lead_somewhere: {"README.md": "[x](nowhere.md)"},
    files_are_small_and_marked: {"passes/A.h": "int x;\n"},
}


def self_test():
    for rule, contents in BREACHES.items():
        with tempfile.TemporaryDirectory() as root:
            for path, text in contents.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                    f.write(text)
            if not list(rule(root, tracked(root))):
                sys.exit(f"rule '{rule.__name__}' accepts what breaks it")
    print(f"{len(BREACHES)} rules can fail")


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
    files = tracked(root)
    breaches = [b for rule in RULES for b in rule(root, files)]
    print("\n".join(breaches))
    print(f"{len(files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
