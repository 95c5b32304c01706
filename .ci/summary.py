# SPDX-License-Identifier: Apache-2.0
"""Adds up JUnit reports: one line for each, every failure by name, and the closing line `N passed, N failed`."""
import sys
import xml.etree.ElementTree as ElementTree


def main(paths):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        name = path.rsplit("/", 1)[-1].removesuffix(".xml")
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except (OSError, ElementTree.ParseError) as error:
            print(f"{name}: no report ({error})")
            total["failed"] += 1
            continue
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                counts["failed"] += 1
                print(f"FAILED {name}: {case.get('classname')} {case.get('name')}")
            elif case.find("skipped") is not None or case.get("status") == "notrun":
                counts["skipped"] += 1
            else:
                counts["passed"] += 1
        if not cases:
            print(f"{name}: ran no test")
            counts["failed"] += 1
        print(f"{name}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
        for key, value in counts.items():
            total[key] += value
    print(f"{total['passed']} passed, {total['failed']} failed")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
