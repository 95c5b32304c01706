# SPDX-License-Identifier: Apache-2.0
"""The static evidence: a report for each instance of the GPU templates, kept in report.json and docs/benchmarks/gpu-static.md.

    report.py --counters PROGRAM --instances FOLDER --tools FOLDER            makes the report anew and compares it with report.json
    report.py --counters PROGRAM --instances FOLDER --tools FOLDER --update   writes report.json and the page

PROGRAM is `gpu-static-counters`: it runs the instances (gpu-instance-dump) under the emulator and prints what it counted. The folder of the tools
holds, or will hold, the pinned ptxas and nvdisasm. Exits with 1 if the report differs or a gate fails anew, with 77 if the tools cannot be had.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

import constants
import evidence
import page
import sass
import stated
import tools

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "report.json")
PAGE = os.path.join(HERE, "..", "..", "..", "docs", "benchmarks", "gpu-static.md")


def assemble(ptx, chip, found):
    """ptxas' log and nvdisasm's listing."""
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = os.path.join(folder, "k.ptx"), os.path.join(folder, "k.cubin")
        with open(source, "w", encoding="utf-8") as f:
            f.write(ptx)
        # --generate-line-info does not change the code.
        done = subprocess.run([found["ptxas"], f"-arch={chip}", "-v", "--generate-line-info", source, "-o", cubin], capture_output=True, text=True)
        log = (done.stdout + done.stderr).replace(source, "k.ptx")
        if done.returncode:
            raise sass.SassError(f"ptxas refuses it: {log.strip()}")
        listed = subprocess.run([found["nvdisasm"], "-c", "-gp", cubin], capture_output=True, text=True)
        if listed.returncode:
            raise sass.SassError(f"nvdisasm refuses it: {listed.stderr.strip()}")
        return log, listed.stdout


def of_instance(instance, found):
    """The report of one instance: {launches: [...], remarks: [...]} or {error: ...}."""
    machine = constants.MACHINES[instance["sm"]]
    chip = "sm_90a" if instance["sm"] == 90 else f"sm_{instance['sm']}"
    report = {"template": instance["template"], "sm": instance["sm"], "parameters": instance["parameters"], "remarks": [], "launches": {}}
    try:
        log, listing = assemble(instance["ptx"], chip, found)
        kernels, report["remarks"] = evidence.read_ptxas(log)
        functions = sass.parse(listing)
        for launch in instance["launches"]:
            launch = {**launch, "ptx": instance["ptx"]}
            report["launches"][launch["kernel"]] = evidence.of_launch(functions[launch["kernel"]], kernels[launch["kernel"]], launch, machine)
        report["stated"] = stated.brackets(report, machine)
    except sass.SassError as e:
        report["error"] = str(e)
    return report


def gates(name, report):
    """Where an instance falls short of what is asked of all. What falls short today stands in report.json and on the page; nothing new may."""
    if "error" in report:
        yield f"{name}: {report['error']}"
        return
    for remark in report["remarks"]:
        if remark in constants.FORBIDDEN_REMARKS:
            yield f"{name}: ptxas says {remark}: expected none of {', '.join(constants.FORBIDDEN_REMARKS)}"
    for kernel, launch in report["launches"].items():
        where = f"{name}, kernel '{kernel}'"
        for field in ("spill_stores", "spill_loads", "stack", "local_memory_instructions"):
            if launch[field]:
                yield f"{where}: {field.replace('_', ' ')}: expected 0, found {launch[field]}"
        if launch["occupancy"]["ctas"] < 1:
            yield f"{where}: does not fit a multiprocessor: limited by {launch['occupancy']['limit']}"
        loop = launch["main_loop"]
        order = loop["order"] if loop else None
        if order and order["wgmma_per_wait"] is not None and order["wgmma_per_wait"] <= 1 and loop["by_pipe"].get("tensor", 0) > 1:
            yield f"{where}: one wgmma for each wait in the main loop ({order['text']}): expected groups"
        if order and order["wgmma_per_wait"] and report["parameters"].get("pipelined") and order["ex2_overlapped"] < 0.9 * order["ex2"]:
            yield f"{where}: {order['ex2_overlapped']} of {order['ex2']} EX2 run while a wgmma is in flight ({order['text']}): expected 9 of 10"
    yield from stated.gates(name, report)


def differences(old, new, path=""):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({**old, **new}):
            here = f"{path}.{key}" if path else key
            if key not in old:
                yield f"{here}: not in report.json"
            elif key not in new:
                yield f"{here}: in report.json only"
            else:
                yield from differences(old[key], new[key], here)
    elif old != new:
        yield f"{path}: expected {json.dumps(old)}, found {json.dumps(new)}"


def make(counters, instances, found):
    counted = json.loads(subprocess.run([counters, instances], check=True, stdout=subprocess.PIPE, text=True).stdout)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = pool.map(lambda i: of_instance(i, found), counted)
        made = {
            "tools": {tool: version for tool, (_, version) in sorted(tools.pinned().items())},
            "instances": {i["name"]: r for i, r in zip(counted, reports)},
        }
    made["short_of"] = sorted(f for name, r in made["instances"].items() for f in gates(name, r))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counters", required=True)
    parser.add_argument("--instances", required=True)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    try:
        found = tools.ensure(arguments.tools)
    except tools.ToolError as e:
        print(f"skipped: {e}")
        return 77
    report = json.loads(json.dumps(make(arguments.counters, arguments.instances, found), sort_keys=True))  # as it will be read back
    failed = []
    if arguments.update:
        with open(GOLDEN, "w", encoding="utf-8") as f:
            json.dump(report, f, indent=1, sort_keys=True)
            f.write("\n")
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(page.render(report))
    else:
        with open(GOLDEN, encoding="utf-8") as f:
            golden = json.load(f)
        new = sorted(set(report["short_of"]) - set(golden["short_of"]))
        failed += new  # a gate that was passed and is not any more, first of all
        changed = list(differences(golden, report))
        failed += changed[:40] + ([f"... and {len(changed) - 40} more"] if len(changed) > 40 else [])
        with open(PAGE, encoding="utf-8") as f:
            if f.read() != page.render(golden):
                failed.append("docs/benchmarks/gpu-static.md is not what report.json says")
        if changed:
            failed.append("if the change is meant: report.py --update, and read the difference")
    print("\n".join(failed or report["short_of"]))
    print(f"{len(report['instances'])} instances, {len(report['short_of'])} short of a gate, {len(failed)} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
