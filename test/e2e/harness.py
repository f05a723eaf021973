"""A whole local cluster for end-to-end tests: `insula up --detach` in a temporary folder, and what tests do to it.

Waiting is always for a condition with a bound (wait_for), never for a fixed time.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree

BINARY = os.environ.get("INSULA_BINARY", "")


def wait_for(what, condition, seconds=30.0, step=0.05):
    """Waits until condition() is true; its last value. AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for: {what}")
        threading.Event().wait(step)


class Cluster:
    def __init__(self, *up_args, name="e2e"):
        self.folder = tempfile.mkdtemp(prefix=f"insula-{name}-")
        self.data = os.path.join(self.folder, "data")
        self.up_args = list(up_args)

    def run(self, *args, check=True, timeout=120, input=None, env=None):
        done = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=timeout, input=input,
                              env={**os.environ, **(env or {})})
        if check and done.returncode != 0:
            raise AssertionError(f"insula {' '.join(args)} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}\n{self.logs()}")
        return done

    def up(self, *more):
        return self.run("up", f"--data={self.data}", "--port=0", "--http-port=0", "--detach", *self.up_args, *more)

    def down(self, check=True):
        return self.run("down", f"--data={self.data}", check=check)

    def close(self):
        self.down(check=False)
        if os.environ.get("INSULA_KEEP") != "1":
            shutil.rmtree(self.folder, ignore_errors=True)

    def status(self):
        return json.loads(self.run("status", f"--data={self.data}", "--json").stdout)["processes"]

    def processes(self, role, **match):
        return [p for p in self.status() if p["role"] == role and all(p[k] == v for k, v in match.items())]

    def tenant(self, command, *args, check=True):
        done = self.run("tenant", command, *args, f"--data={self.data}", "--json", check=check)
        return json.loads(done.stdout) if done.returncode == 0 else done

    def kill(self, process, signal_number=signal.SIGKILL):
        os.kill(process["pid"], signal_number)

    def kill_everything(self):
        """SIGKILL to the supervisor and all it runs, as a power cut would."""
        run = os.path.join(self.data, "run")
        files = [json.load(open(os.path.join(run, f))) for f in sorted(os.listdir(run)) if f.endswith(".json")]
        # The supervisor first: it must not bring anything back.
        for f in sorted(files, key=lambda f: f["role"] != "supervisor"):
            try:
                os.kill(f["pid"], signal.SIGKILL)
            except ProcessLookupError:
                pass
        for f in files:
            wait_for(f"process {f['pid']} to be gone", lambda pid=f["pid"]: not alive(pid))

    def psql(self, url, sql, *args, check=True, timeout=60):
        done = subprocess.run(["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", url, *args, "-c", sql],
                              capture_output=True, text=True, timeout=timeout, env={**os.environ, "PGCONNECT_TIMEOUT": "30"})
        if check and done.returncode != 0:
            raise AssertionError(f"psql failed on {sql!r}:\n{done.stderr}\n{self.logs()}")
        return done.stdout.strip() if check else done

    def pgbench(self, url, *args, check=True, timeout=300):
        done = subprocess.run(["pgbench", *args, url], capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"pgbench {' '.join(args)} exited with {done.returncode}:\n{done.stdout}\n{done.stderr[-3000:]}\n{self.logs()}")
        return done

    def logs(self, lines=15):
        """The tail of every log, for a failure's message."""
        out = []
        folder = os.path.join(self.data, "logs")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as f:
                out.append(f"--- {name}\n" + "".join(f.readlines()[-lines:]))
        return "\n".join(out)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def tpcb_sums(cluster, url):
    """(accounts, branches, tellers, history): equal in a pgbench database that lost nothing."""
    row = cluster.psql(url, "select (select coalesce(sum(abalance),0) from pgbench_accounts), (select coalesce(sum(bbalance),0) from pgbench_branches),"
                            " (select coalesce(sum(tbalance),0) from pgbench_tellers), (select coalesce(sum(delta),0) from pgbench_history)")
    return tuple(int(v) for v in row.split("|"))


class _XmlResult(unittest.TextTestResult):
    """Also collects what Bazel's test.xml wants."""

    def __init__(self, *args):
        super().__init__(*args)
        self.cases, self.started = [], 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.cases.append([test, None, ""])

    def addError(self, test, err):
        super().addError(test, err)
        self.cases.append([test, "error", self._exc_info_to_string(err, test)])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.cases.append([test, "failure", self._exc_info_to_string(err, test)])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.cases.append([test, "skipped", reason])


def main(module_name):
    if not BINARY or not os.path.exists(BINARY):
        print("INSULA_BINARY does not name the server; run through ./dev test", file=sys.stderr)
        sys.exit(1)
    suite = unittest.defaultTestLoader.loadTestsFromName(module_name)
    result = unittest.TextTestRunner(verbosity=2, resultclass=_XmlResult).run(suite)
    path = os.environ.get("XML_OUTPUT_FILE")
    if path:
        outcomes = {}
        for test, kind, text in result.cases:
            if kind or str(test.id()) not in outcomes:
                outcomes[str(test.id())] = (kind, text)
        root = ElementTree.Element("testsuites")
        suite_node = ElementTree.SubElement(root, "testsuite", name=module_name, tests=str(len(outcomes)))
        for name, (kind, text) in outcomes.items():
            classname, _, case = name.rpartition(".")
            node = ElementTree.SubElement(suite_node, "testcase", classname=classname, name=case)
            if kind:
                ElementTree.SubElement(node, kind, message=text[:200]).text = text
        ElementTree.ElementTree(root).write(path)
    sys.exit(0 if result.wasSuccessful() else 1)
