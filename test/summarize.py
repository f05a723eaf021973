#!/usr/bin/env python3
"""Sums the test cases of the last `bazel test` over all its targets.

Prints `N passed, N failed, N skipped` alone on the last line. Fails when a test case failed, when a target has no result,
or when a skip is not listed (as `Suite.Case  reason` or `//target  reason`) in test/skips.txt.
"""
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def test_targets(patterns):
    patterns = [p for p in patterns if not p.startswith("-")]
    query = " union ".join(f"tests({p})" for p in patterns or ["//..."])
    out = subprocess.run(["bazel", "query", "--noshow_progress", query], capture_output=True, text=True, check=True).stdout
    return sorted(t for t in out.split() if t.startswith("//"))


def known_skips():
    path = os.path.join(os.path.dirname(__file__), "skips.txt")
    with open(path) as f:
        return {line.split()[0] for line in f if line.strip() and not line.startswith("#")}


def result_files(target):
    folder = os.path.join("bazel-testlogs", *target[2:].split(":"))
    found = []
    for root, _, files in os.walk(folder):
        if "test.xml" in files:
            found.append(os.path.join(root, "test.xml"))
    return sorted(found)


def main():
    passed = failed = 0
    skipped, problems = [], []
    for target in test_targets(sys.argv[1:]):
        files = result_files(target)
        if not files:
            problems.append(f"{target}: no result")
            failed += 1
        for path in files:
            for case in ElementTree.parse(path).getroot().iter("testcase"):
                name = f"{case.get('classname')}.{case.get('name')}"
                if case.find("failure") is not None or case.find("error") is not None:
                    failed += 1
                    problems.append(f"{target}: {name} failed")
                elif case.find("skipped") is not None or case.get("result") == "skipped" or case.get("status") == "notrun":
                    skipped.append((target, name))
                else:
                    passed += 1
    allowed = known_skips()
    for target, name in skipped:
        print(f"skipped: {target} {name}")
        if target not in allowed and name not in allowed:
            problems.append(f"{target}: {name} was skipped, and test/skips.txt does not say why")
    for problem in problems:
        print(problem)
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
