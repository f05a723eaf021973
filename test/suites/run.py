#!/usr/bin/env python3
"""Outside test suites: `./dev suites [NAME...]`. Data is read in place, from INSULA_SUITES (default: ../shared/suites).

Each suite prints `NAME: passed/scored`; failures go to suites-failures/NAME.txt, one a line. test/suites/floors.txt holds the counts
that may not fall; they apply to the default data only. Exit code 1: a suite fell below its floor, or could not be run.
"""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, "suites-failures")


def bazel_build(target):
    subprocess.run(["bazel", "build", "--noshow_progress", target], cwd=ROOT, check=True)
    return os.path.join(ROOT, "bazel-bin", *target[2:].split(":"))


def run_gtest(name, target, data):
    """A test binary that prints its own score and writes its failures to TEST_UNDECLARED_OUTPUTS_DIR/NAME.failures.txt."""
    binary = bazel_build(target)
    done = subprocess.run([binary], capture_output=True, text=True, env={**os.environ, "INSULA_SUITES": data, "TEST_UNDECLARED_OUTPUTS_DIR": OUT})
    score = re.search(rf"^{re.escape(name)}: (\d+)/(\d+)$", done.stdout, re.M)
    written = os.path.join(OUT, f"{name}.failures.txt")
    if os.path.exists(written):
        os.replace(written, os.path.join(OUT, f"{name}.txt"))
    if not score:
        sys.stderr.write(done.stdout[-3000:] + done.stderr[-3000:])
    return score


def run_slt(name, target, data):
    binary = bazel_build(target)
    failures = os.path.join(OUT, f"{name}.txt")
    done = subprocess.run([binary, f"--suites={data}", f"--failures={failures}", f"--jobs={os.cpu_count() or 1}", name], stdout=subprocess.PIPE, text=True)
    return re.search(rf"^{re.escape(name)}: (\d+)/(\d+)$", done.stdout, re.M)


SUITES = {
    "raft": (run_gtest, "//kv/raft/testing:suite_test"),
    "histories": (run_gtest, "//test/checkers:suite_test"),
    "sqllogictest": (run_slt, "//test/slt:slt"),
    "slt-duckdb": (run_slt, "//test/slt:slt"),
    "slt-risingwave": (run_slt, "//test/slt:slt"),
    "tpch-sf0.001": (run_slt, "//test/slt:slt"),
}


def read_floors():
    floors = {}
    with open(os.path.join(ROOT, "test", "suites", "floors.txt")) as f:
        for line in f:
            line = line.split("#")[0].split()
            if line:
                floors[line[0]] = int(line[1])
    return floors


def main():
    parser = argparse.ArgumentParser(prog="./dev suites", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of: " + ", ".join(SUITES) + " (default: all)")
    names = parser.parse_args().names or list(SUITES)
    for name in names:
        if name not in SUITES:
            parser.error(f"there is no suite {name!r}; there are: {', '.join(SUITES)}")
    default_data = os.path.realpath(os.path.join(ROOT, "..", "shared", "suites"))
    data = os.path.realpath(os.environ.get("INSULA_SUITES") or default_data)
    floors = read_floors() if data == default_data else {}
    os.makedirs(OUT, exist_ok=True)
    bad = False
    for name in names:
        if not os.path.isdir(os.path.join(data, name)):
            print(f"{name}: skipped, {os.path.join(data, name)} is not there; INSULA_SUITES names the folder of the suites", flush=True)
            bad = bad or os.environ.get("CI") == "true"
            continue
        runner, target = SUITES[name]
        score = runner(name, target, data)
        if not score:
            print(f"{name}: could not be run", flush=True)
            bad = True
            continue
        passed, scored = int(score[1]), int(score[2])
        print(f"{name}: {passed}/{scored}", flush=True)
        if passed < floors.get(name, 0):
            print(f"{name}: below its floor of {floors[name]} (test/suites/floors.txt); failures: {os.path.join(OUT, name)}.txt", flush=True)
            bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
