"""pgbench's own scripts through the proxy, initialised on both ways, with the invariant of TPC-B at the end."""
import unittest

import harness
from harness import Cluster, tpcb_sums


class PgBench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(name="pgbench")
        cls.cluster.up()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def run_all(self, name, steps):
        tenant = self.cluster.tenant("create", name, "--idle=10m")
        self.cluster.pgbench(tenant["url"], "-i", "-I", steps, "-s", "1", "-q")
        self.assertEqual(self.cluster.psql(tenant["url"], "select count(*), max(aid) from pgbench_accounts"), "100000|100000")
        for protocol in ("simple", "prepared"):
            for script in ("tpcb-like", "simple-update", "select-only"):
                done = self.cluster.pgbench(tenant["url"], "-n", "-c", "8", "-j", "2", "-T", "3", "-M", protocol, "-b", script)
                self.assertRegex(done.stdout, r"number of failed transactions: 0 ", done.stderr[-2000:])
        accounts, branches, tellers, history = tpcb_sums(self.cluster, tenant["url"])
        # simple-update leaves tellers and branches alone.
        self.assertEqual(accounts, history)
        self.assertEqual(branches, tellers)

    def test_with_client_side_data_generation(self):
        self.run_all("client", "dtgvp")

    def test_with_server_side_data_generation(self):
        self.run_all("server", "dtGvp")


if __name__ == "__main__":
    harness.main("pgbench_test")
