#!/usr/bin/env python3
"""Style checks that compilers do not make. Run by `./dev lint` (with clang-tidy) and, without it, as a test.

The allowances below only shrink: an entry that is not needed any more is an error too.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
ROOMS = ("base", "kv", "sql", "tenant", "proxy", "operator", "cli")
MAX_LINES = 800

# file -> most lines it may have for now.
LONG_FILES = {}

# Places that may look at real time, threads or blocking waits: the real world itself, and what is about processes.
REAL_WORLD = ("base/real/", "base/process/", "base/http/", "base/rocksenv/", "base/log/", "base/metrics/", "kv/storage/rocks", "cli/", "test/", "base/tls/")


def sources(*endings):
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True).stdout
    return [f for f in out.split("\n") if f.endswith(endings) and os.path.isfile(os.path.join(ROOT, f))]


def read(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        return f.read()


def check_headers(problems):
    for path in sources(".h"):
        text = read(path)
        guard = "INSULA_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
        if f"#ifndef {guard}" not in text:
            problems.append(f"{path}: include guard is not {guard}")
        if not text.startswith("//"):
            problems.append(f"{path}: begins without a comment that says what it is for")
        if re.search(r"#include <(rocksdb|grpcpp|grpc|asio|pg_query)", text) and not path.startswith(("base/real/", "sql/parser/")):
            problems.append(f"{path}: a header of RocksDB, gRPC, Asio or libpg_query in a header of ours")


def check_rocksdb(problems):
    for path in sources(".h", ".cc"):
        if "#include <rocksdb/" in read(path) and not path.startswith(("kv/storage/", "base/rocksenv/")):
            problems.append(f"{path}: only kv/storage and base/rocksenv include RocksDB")


def check_determinism(problems):
    real = re.compile(r"std::this_thread|std::thread\b|std::async|system_clock|steady_clock|std::random_device|\brand\(\)|absl::Now\(|absl::SleepFor|std::mutex\b|condition_variable")
    unordered = re.compile(r"std::unordered_(map|set)|absl::(flat|node)_hash_(map|set)")
    for path in sources(".h", ".cc"):
        if path.startswith(REAL_WORLD) or "_test." in path or not path.startswith(ROOMS):
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            code = line.split("//")[0]
            if real.search(code):
                problems.append(f"{path}:{number}: real time, randomness or threads outside the real world: {code.strip()[:80]}")
            # Hash containers are fine to look things up in; iterating them would bring an order from hashing.
            if path.startswith("kv/") and unordered.search(code) and "lookup only" not in line:
                problems.append(f"{path}:{number}: a hash container in kv/; say `// lookup only` if it is never iterated")


def check_sizes(problems):
    for path in sources(".h", ".cc"):
        lines = read(path).count("\n")
        allowed = LONG_FILES.get(path, MAX_LINES)
        if lines > allowed:
            problems.append(f"{path}: {lines} lines; where is the seam? (at most {allowed})")
        if path in LONG_FILES and lines <= MAX_LINES:
            problems.append(f"{path}: needs no allowance any more; remove it from LONG_FILES")


def check_words(problems):
    bad = re.compile(r"/work/|\bTODO\b|\bFIXME\b|\bXXX\b|\bHACK\b")
    for path in sources(".h", ".cc", ".py", ".md", ".proto", ".bazel", ".sh"):
        if path == "test/lint/lint.py":
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            if bad.search(line):
                problems.append(f"{path}:{number}: {line.strip()[:100]}")


def check_readmes(problems):
    rooms = {os.path.dirname(f) for f in sources(".cc", ".h") if f.startswith(ROOMS)}
    for room in sorted(rooms):
        if "testing" in room or "testdata" in room:
            continue
        folder = room
        while folder and not os.path.isfile(os.path.join(ROOT, folder, "README.md")):
            folder = os.path.dirname(folder)
        if not folder:
            problems.append(f"{room}: no README.md here or above")


def check_metrics(problems):
    name = re.compile(r'"((?:insula|process)_[a-z0-9_]+)"')
    counted = {}
    for path in sources(".h", ".cc"):
        if "_test." in path or not path.startswith(ROOMS):
            continue
        for line in read(path).split("\n"):
            for found in name.findall(line.split("//")[0]):
                counted.setdefault(found, path)
    told = set(re.findall(r"`((?:insula|process)_[a-z0-9_]+)(?:\{[a-z,]+\})?`", read("docs/metrics.md")))
    for missing in sorted(set(counted) - told):
        problems.append(f"{counted[missing]}: docs/metrics.md does not say what {missing} is")
    for gone in sorted(told - set(counted)):
        problems.append(f"docs/metrics.md: nothing counts {gone}")


def clang_tidy():
    files = [f for f in sources(".cc") if f.startswith(ROOMS)]
    gen = os.path.join(ROOT, "bazel-bin")
    failed = 0
    for path in files:
        done = subprocess.run(["clang-tidy-19", "--quiet", path, "--", "-std=c++20", f"-I{ROOT}", f"-I{gen}", "-DASIO_HAS_CO_AWAIT=1",
                               "-DASIO_HAS_STD_COROUTINE=1", "-DASIO_STANDALONE=1"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            failed += 1
            print(done.stdout)
    return failed


def main():
    problems = []
    for check in (check_headers, check_rocksdb, check_determinism, check_sizes, check_words, check_readmes, check_metrics):
        check(problems)
    for problem in problems:
        print(problem)
    if "--no-tidy" not in sys.argv:
        print(f"clang-tidy: {clang_tidy()} files with findings")
    print(f"{len(problems)} style problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
