"""Processes die and come back, or stop for a while: KV nodes under load, everything at once, pods, tenants that sleep."""
import os
import signal
import subprocess
import threading
import time
import unittest

import harness
from harness import Cluster, tpcb_sums, wait_for


class Resilience(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(name="resilience")
        cls.cluster.up()
        cls.tenant = cls.cluster.tenant("create", "bank", "--idle=10m")
        cls.cluster.pgbench(cls.tenant["url"], "-i", "-I", "dtGvp", "-s", "1", "-q")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def run_load(self, seconds, during):
        """TPC-B with 8 clients for `seconds`, `during()` beside it; pgbench retries serialization failures."""
        process = subprocess.Popen(["pgbench", "-n", "-c", "8", "-j", "2", "-T", str(seconds), "-P", "1", "--max-tries=100", self.tenant["url"]],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            during()
            out, err = process.communicate(timeout=seconds + 90)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, err[-2000:] + self.cluster.logs())
        self.assertRegex(out, r"number of failed transactions: 0 ", out + err[-2000:])
        return out, err

    def check_sums(self):
        sums = tpcb_sums(self.cluster, self.tenant["url"])
        self.assertEqual(len(set(sums)), 1, sums)

    def test_any_node_may_be_killed_under_load(self):
        for number in ("1", "2", "3"):
            def kill():
                node = self.cluster.processes("kv", id=number)[0]
                self.cluster.kill(node)
                wait_for("the node to be back", lambda: [p for p in self.cluster.processes("kv", id=number) if p["state"] == "ready" and p["pid"] != node["pid"]])

            self.run_load(12, kill)
            self.check_sums()

    def test_any_node_may_stop_for_a_while_under_load(self):
        """A process that is stopped keeps its connections, and does not know when it goes on how long that was."""
        self.cluster.psql(self.tenant["url"], "create table if not exists beside (node int)")
        for number in ("1", "2", "3"):
            def pause():
                node = self.cluster.processes("kv", id=number)[0]
                os.kill(node["pid"], signal.SIGSTOP)
                try:
                    # Whatever it led is led by others.
                    self.cluster.psql(self.tenant["url"], f"insert into beside values ({number})")
                finally:
                    os.kill(node["pid"], signal.SIGCONT)

            self.run_load(8, pause)
            self.check_sums()
        self.assertEqual(self.cluster.psql(self.tenant["url"], "select count(*) from beside"), "3")

    def test_acknowledged_transactions_survive_the_loss_of_all_processes(self):
        self.cluster.psql(self.tenant["url"], "create table if not exists acknowledged (id int primary key)")
        acknowledged, stop = [], threading.Event()

        def insert():
            import psycopg2
            connection = psycopg2.connect(self.tenant["url"])
            connection.autocommit = True
            cursor = connection.cursor()
            while not stop.is_set():
                try:
                    cursor.execute("insert into acknowledged values (%s)", (len(acknowledged),))
                except psycopg2.Error:
                    return
                acknowledged.append(len(acknowledged))

        thread = threading.Thread(target=insert)
        thread.start()
        wait_for("some rows", lambda: len(acknowledged) > 50)
        self.cluster.kill_everything()
        stop.set()
        thread.join()
        self.cluster.up()
        # The ports may be others now.
        self.__class__.tenant["url"] = self.new_url()
        rows = {int(r) for r in self.cluster.psql(self.tenant["url"], "select id from acknowledged").split()}
        self.assertLessEqual(set(acknowledged), rows)
        self.check_sums()

    def new_url(self):
        import json
        import re
        with open(os.path.join(self.cluster.data, "cluster.json")) as f:
            port = json.load(f)["port"]
        return re.sub(r"@127.0.0.1:\d+/", f"@127.0.0.1:{port}/", self.tenant["url"])

    def test_a_pod_that_dies_is_replaced(self):
        self.cluster.psql(self.tenant["url"], "select 1")
        pod = wait_for("a pod", lambda: self.cluster.processes("sql", tenant=self.tenant["id"]))[0]
        self.cluster.kill(pod)
        wait_for("another pod", lambda: [p for p in self.cluster.processes("sql", tenant=self.tenant["id"], state="ready") if p["pid"] != pod["pid"]])
        self.assertEqual(self.cluster.psql(self.tenant["url"], "select 1"), "1")
        wait_for("the pool to be full again", lambda: len(self.cluster.processes("sql", state="prewarmed")) == 2)

    def test_operator_and_proxy_may_be_killed(self):
        for role in ("operator", "proxy"):
            before = self.cluster.processes(role)[0]
            self.cluster.kill(before)
            wait_for(f"a new {role}", lambda: [p for p in self.cluster.processes(role, state="ready") if p["pid"] != before["pid"]])
            self.assertEqual(self.cluster.psql(self.tenant["url"], "select 1"), "1")


class Sleep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(name="sleep")
        cls.cluster.up()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def test_an_idle_tenant_suspends_and_wakes_on_connect(self):
        tenant = self.cluster.tenant("create", "sleepy", "--idle=1s")
        self.assertEqual(self.cluster.tenant("get", "sleepy")["state"], "suspended")
        self.cluster.psql(tenant["url"], "create table t (a int)")
        generation = self.cluster.tenant("get", "sleepy")["generation"]
        wait_for("the tenant to sleep", lambda: self.cluster.tenant("get", "sleepy")["state"] == "suspended")
        self.assertEqual(self.cluster.processes("sql", tenant=tenant["id"]), [])
        self.assertEqual(self.cluster.psql(tenant["url"], "select count(*) from t"), "0")
        self.assertGreater(self.cluster.tenant("get", "sleepy")["generation"], generation)

    def test_suspend_resume_and_drop_by_command(self):
        tenant = self.cluster.tenant("create", "ordered", "--idle=10m")
        self.cluster.psql(tenant["url"], "create table t (a int)")
        self.assertEqual(self.cluster.tenant("suspend", tenant["cluster"])["state"], "suspended")
        self.assertEqual(self.cluster.processes("sql", tenant=tenant["id"]), [])
        resumed = self.cluster.tenant("resume", tenant["cluster"])
        self.assertEqual(resumed["state"], "active")
        self.assertEqual([p["state"] for p in resumed["pods"]], ["ready"])
        self.cluster.tenant("drop", tenant["cluster"])
        self.assertNotEqual(self.cluster.psql(tenant["url"], "select 1", check=False).returncode, 0)
        self.assertNotIn(tenant["cluster"], [t["cluster"] for t in self.cluster.tenant("list")["tenants"]])

    def test_a_dead_node_stays_dead_until_it_is_started(self):
        held = Cluster("--no-restart", name="held")
        try:
            held.up()
            tenant = held.tenant("create", "t", "--idle=10m")
            held.psql(tenant["url"], "create table t (a int primary key)")
            held.kill(held.processes("kv", id="2")[0])
            wait_for("node 2 to be dead", lambda: held.processes("kv", id="2")[0]["state"] == "dead")
            held.psql(tenant["url"], "insert into t values (1)")
            held.run("node", "start", "2", f"--data={held.data}")
            self.assertEqual(held.processes("kv", id="2")[0]["state"], "ready")
            self.assertEqual(held.psql(tenant["url"], "select count(*) from t"), "1")
        finally:
            held.close()


if __name__ == "__main__":
    harness.main("resilience_test")
