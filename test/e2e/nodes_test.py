"""KV nodes come and go under load: one joins, one leaves, one dies for good, one is drained; the data stays, clients notice nothing."""
import json
import subprocess
import threading
import time
import unittest

import harness
from harness import Cluster, tpcb_sums, wait_for


class Load:
    """TPC-B with 4 clients in the background, until stop(); pgbench retries serialization failures."""

    def __init__(self, test, url):
        self.test = test
        self.process = subprocess.Popen(["pgbench", "-n", "-c", "4", "-j", "2", "-T", "3600", "--max-tries=100", url],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def check(self):
        """No client has given up."""
        if self.process.poll() is not None:
            out, err = self.process.communicate()
            self.test.fail(f"the load ended with {self.process.returncode}: {err[-2000:]}\n{self.test.cluster.logs()}")

    def stop(self):
        self.process.terminate()
        self.process.communicate()


class Probe:
    """One row, updated again and again through the proxy: the longest time that an update took."""

    def __init__(self, url):
        import psycopg2
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True
        self.connection.cursor().execute("create table if not exists probe (id int primary key, n int)")
        self.connection.cursor().execute("insert into probe values (1, 0) on conflict do nothing")
        self.longest, self.count, self.failure = 0.0, 0, None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        cursor = self.connection.cursor()
        while not self.stopped.is_set():
            begin = time.monotonic()
            try:
                cursor.execute("update probe set n = n + 1 where id = 1")
            except Exception as error:  # reported by the test
                self.failure = error
                return
            self.longest = max(self.longest, time.monotonic() - begin)
            self.count += 1

    def stop(self):
        self.stopped.set()
        self.thread.join()
        self.connection.close()


class Nodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Nothing is restarted: a node that is killed stays dead, and is given up soon.
        cls.cluster = Cluster("--no-restart", "--repair-after=8s", name="nodes")
        cls.cluster.up()
        cls.tenant = cls.cluster.tenant("create", "bank", "--idle=30m")
        cls.cluster.pgbench(cls.tenant["url"], "-i", "-I", "dtGvp", "-s", "1", "-q")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def nodes(self):
        listed = json.loads(self.cluster.run("node", "list", f"--data={self.cluster.data}", "--json").stdout)["nodes"]
        return {n["id"]: n for n in listed}

    def node(self, *args, check=True, timeout=300):
        return self.cluster.run("node", *args, f"--data={self.cluster.data}", "--json", check=check, timeout=timeout)

    def replicas(self):
        """How many ranges have a replica on each node, and the ranges that do not have three."""
        ranges = json.loads(self.cluster.run("debug", "ranges", f"--data={self.cluster.data}", "--json").stdout)["ranges"]
        counts, others = {}, []
        for r in ranges:
            for n in r["replicas"]:
                counts[n] = counts.get(n, 0) + 1
            if len(set(r["replicas"])) != 3 or r["learners"]:
                others.append(r)
        return counts, others

    def check_data(self):
        sums = tpcb_sums(self.cluster, self.tenant["url"])
        self.assertEqual(len(set(sums)), 1, sums)

    def test_nodes_join_leave_and_die(self):
        load = Load(self, self.tenant["url"])
        self.addCleanup(load.stop)

        # A fourth node joins, and gets its share.
        added = json.loads(self.node("add", "--locality=zone=d").stdout)
        self.assertEqual(added["id"], 4)
        wait_for("replicas on node 4", lambda: self.replicas()[0].get(4, 0) >= 40, seconds=180, step=1)
        load.check()

        # One of the first leaves for good.
        done = self.node("decommission", "2", timeout=400)
        self.assertEqual(json.loads(done.stdout), {"decommissioned": [2]})
        counts, others = self.replicas()
        self.assertNotIn(2, counts)
        self.assertEqual(others, [])
        self.assertEqual(self.nodes()[2]["state"], "decommissioned")
        self.assertEqual(self.cluster.processes("kv", id="2"), [])
        load.check()

        # A fifth joins, then one dies and is made up for. Node 4 is alone in its zone and keeps a replica of every range; the others share the
        # rest, 134, alike.
        self.node("add")
        wait_for("replicas on node 5", lambda: self.replicas()[0].get(5, 0) >= 40, seconds=180, step=1)
        self.cluster.kill(self.cluster.processes("kv", id="3")[0])
        wait_for("no replica on node 3", lambda: 3 not in self.replicas()[0] and not self.replicas()[1], seconds=180, step=1)
        load.check()

        load.stop()
        self.check_data()
        self.assertEqual(self.cluster.psql(self.tenant["url"], "select count(*) from pgbench_accounts"), "100000")

        # A node that died for good may be decommissioned, too; two would remain then, which is too few.
        refused = self.node("decommission", "4", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("add a node first", refused.stderr)

        # Everything goes down and comes up again.
        self.cluster.down()
        self.cluster.up()
        wait_for("all nodes to hear each other", lambda: all(self.nodes()[n]["live"] for n in (1, 4, 5)), seconds=60)
        self.assertEqual(self.nodes()[2]["state"], "decommissioned")
        url = self.new_url()
        self.assertEqual(self.cluster.psql(url, "select count(*) from pgbench_accounts"), "100000")

    def new_url(self):
        import os
        import re
        with open(os.path.join(self.cluster.data, "cluster.json")) as f:
            port = json.load(f)["port"]
        return re.sub(r"@127.0.0.1:\d+/", f"@127.0.0.1:{port}/", self.tenant["url"])


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("--locality=region=eu,zone=a", "--locality=region=eu,zone=b", "--locality=region=us,zone=a", name="node-commands")
        cls.cluster.up()
        cls.tenant = cls.cluster.tenant("create", "t", "--idle=30m")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def run_json(self, *args):
        return json.loads(self.cluster.run(*args, f"--data={self.cluster.data}", "--json").stdout)

    def leases(self, node):
        return self.run_json("debug", "node", str(node))["leases"]

    def test_list_and_debug_say_what_there_is(self):
        def all_heard():
            nodes = self.run_json("node", "list")["nodes"]
            return len(nodes) == 3 and all(n["live"] and n["replicas"] > 0 for n in nodes) and nodes
        nodes = wait_for("all nodes to be heard of", all_heard)
        self.assertEqual([n["locality"] for n in nodes], ["region=eu,zone=a", "region=eu,zone=b", "region=us,zone=a"])
        node = self.run_json("debug", "node", "2")
        self.assertEqual((node["id"], node["state"], node["hears"]), (2, "active", [1, 2, 3]))
        self.assertGreater(node["available_bytes"], 0)
        ranges = self.run_json("debug", "ranges")["ranges"]
        self.assertGreaterEqual(len(ranges), 67)
        self.assertTrue(all(sorted(r["replicas"]) == [1, 2, 3] for r in ranges))
        self.cluster.psql(self.tenant["url"], "create table if not exists busy (a int primary key)")
        for i in range(20):
            self.cluster.psql(self.tenant["url"], f"insert into busy values ({i})")
        hot = self.run_json("debug", "hot-ranges", "--limit=3")["ranges"]
        self.assertTrue(0 < len(hot) <= 3)
        self.assertTrue(all(r["lease"] for r in hot))
        for command in (["node", "list"], ["debug", "node", "1"], ["debug", "ranges"], ["debug", "hot-ranges"]):
            self.assertTrue(self.cluster.run(*command, f"--data={self.cluster.data}").stdout)

    def test_wrong_use_is_told(self):
        for arguments, code, text in [
                (["node"], 2, ""), (["node", "drain"], 2, "N"), (["node", "drain", "zero"], 2, ""), (["debug", "node", "77"], 1, "there is no node 77"),
                (["node", "decommission", "3"], 1, "add a node first"), (["node", "recommission", "77"], 1, "there is no node 77"),
                (["node", "add", "--locality=nowhere"], 1, "KEY=VALUE"), (["debug", "store"], 2, "PATH"), (["debug", "store", "/nowhere"], 1, "does not exist"),
                (["debug", "store", self.cluster.data], 1, "name one of"), (["debug", "store", f"{self.cluster.data}/kv/1", "check"], 1, "in use by a node"),
                (["debug", "store", "/nowhere", "keys", "--from=x"], 2, "is not a key"), (["debug", "store", "/nowhere", "log"], 2, "--range")]:
            extra = [f"--data={self.cluster.data}"] if len(arguments) > 1 and arguments[1] != "store" else []
            done = self.cluster.run(*arguments, *extra, check=False)
            self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
            self.assertIn(text, done.stderr + done.stdout)
        for command in (["node", "--help"], ["node", "decommission", "--help"], ["debug", "--help"], ["debug", "store", "--help"], ["debug", "store", "keys", "--help"],
                        ["kv", "join", "--help"], ["kv", "drain", "--help"], ["kv", "decommission", "--help"]):
            self.assertEqual(self.cluster.run(*command).returncode, 0)

    def test_a_drained_node_has_no_leases_and_nobody_waits(self):
        probe = Probe(self.tenant["url"])
        try:
            wait_for("some updates", lambda: probe.count > 20 or probe.failure)
            for node in (1, 2, 3):
                self.cluster.run("node", "drain", str(node), f"--data={self.cluster.data}")
                self.assertEqual(self.leases(node), 0)
                before = probe.count
                wait_for("updates to go on", lambda: probe.count > before + 5 or probe.failure)
                self.assertIsNone(probe.failure)
                self.cluster.run("node", "recommission", str(node), f"--data={self.cluster.data}")
        finally:
            probe.stop()
        print(f"longest update during three drains: {probe.longest * 1000:.0f} ms of {probe.count} updates")
        # An election takes longer: leases were handed over. (How much longer than usual a request takes is asserted in virtual time.)
        self.assertLess(probe.longest, 1.0)

    def test_a_node_that_is_told_to_end_hands_its_leases_over(self):
        import signal
        probe = Probe(self.tenant["url"])
        try:
            wait_for("some updates", lambda: probe.count > 20 or probe.failure)
            node = self.cluster.processes("kv", id="2")[0]
            self.cluster.kill(node, signal.SIGTERM)
            wait_for("the node to be back", lambda: [p for p in self.cluster.processes("kv", id="2") if p["state"] == "ready" and p["pid"] != node["pid"]])
            self.assertIsNone(probe.failure)
        finally:
            probe.stop()
        print(f"longest update while a node was restarted: {probe.longest * 1000:.0f} ms of {probe.count} updates")
        self.assertLess(probe.longest, 1.0)


if __name__ == "__main__":
    harness.main("nodes_test")
