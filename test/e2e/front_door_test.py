"""The front door: one command up, tenants by CLI, psql through the proxy, and clear words for whoever gets it wrong."""
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import tempfile
import unittest

import harness
from harness import Cluster, wait_for


class FrontDoor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(name="door")
        cls.greeting = cls.cluster.up().stdout
        cls.a = cls.cluster.tenant("create", "acme", "--idle=10m")
        cls.b = cls.cluster.tenant("create", "other", "--idle=10m")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def test_up_prints_a_psql_line_that_works(self):
        url = re.search(r'psql "([^"]+)"', self.greeting).group(1)
        self.assertEqual(self.cluster.psql(url, "select 40 + 2"), "42")

    def test_status_lists_every_process(self):
        processes = self.cluster.status()
        roles = sorted(p["role"] for p in processes if p["role"] != "sql")
        self.assertEqual(roles, ["kv", "kv", "kv", "operator", "proxy"])
        wait_for("a pool of two", lambda: len(self.cluster.processes("sql", state="prewarmed")) == 2)
        for p in processes:
            self.assertLessEqual({"role", "id", "tenant", "pid", "address", "state", "http"}, set(p))
        # Ranges that nobody asked for anything have no leaseholder; the registry's and this tenant's have one.
        self.cluster.psql(self.a["url"], "select count(*) from pg_class")
        self.assertGreaterEqual(sum(p["leases"] for p in self.cluster.processes("kv")), 3)

    def test_tenants_with_the_same_tables_see_their_own_rows_only(self):
        for tenant, value in ((self.a, "ours"), (self.b, "theirs")):
            self.cluster.psql(tenant["url"], "create table t (id int primary key, v text)")
            self.cluster.psql(tenant["url"], f"insert into t values (1, '{value}')")
        self.assertEqual(self.cluster.psql(self.a["url"], "select v from t"), "ours")
        self.assertEqual(self.cluster.psql(self.b["url"], "select v from t"), "theirs")

    def test_list_and_get_tell_the_same(self):
        listed = {t["cluster"]: t for t in self.cluster.tenant("list")["tenants"]}
        self.assertIn(self.a["cluster"], listed)
        got = self.cluster.tenant("get", self.a["cluster"])
        self.assertEqual(set(got), {"cluster", "id", "name", "state", "generation", "pods"})
        self.assertEqual(got["name"], "acme")
        self.assertEqual(self.cluster.tenant("get", "acme")["id"], got["id"])

    def test_a_plan_is_set_shown_refused_and_taken_away(self):
        set_plan = lambda *flags: self.cluster.run("tenant", "plan", "other", *flags, "--json", f"--data={self.cluster.data}", check=False)
        shown = json.loads(set_plan("--rate=5000").stdout)
        self.assertEqual(shown["plan"], {"rate_ru": 5000, "burst_ru": 50000, "baseline_ru": 500})
        self.assertEqual(self.cluster.tenant("get", "other")["plan"], shown["plan"])
        for flags, why in ((("--rate=-5",), "a plan's rate of -5 RU/s must be from 2"), (("--rate=100", "--burst=50"), "must not be less than a second of its rate, 100"),
                           (("--rate=100", "--unlimited"), "--unlimited takes the plan away"), ((), "say --rate")):
            refused = set_plan(*flags)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(why, refused.stderr)
        self.assertEqual(self.cluster.psql(self.b["url"], "select 1"), "1")
        self.assertNotIn("plan", json.loads(set_plan("--unlimited").stdout))

    def test_insula_psql_fills_everything_in(self):
        done = self.cluster.run("psql", self.a["cluster"], f"--data={self.cluster.data}", "--", "-X", "-t", "-A", "-c", "select current_user")
        self.assertEqual(done.stdout.strip(), "app")

    def fails(self, url, *patterns):
        done = self.cluster.psql(url, "select 1", check=False)
        self.assertNotEqual(done.returncode, 0)
        for pattern in patterns:
            self.assertRegex(done.stderr, pattern)

    def test_wrong_connections_get_a_message_that_helps(self):
        url = self.a["url"]
        self.fails(url.replace("acme-", "nobody-"), r'there is no cluster "nobody-\d+"', "HINT")
        self.fails(re.sub(r"acme-\d+", "acme", url), "malformed", "HINT.*--cluster=acme-7")
        self.fails(re.sub(r"options=[^&]*&", "", url), "does not say which cluster", "HINT.*--cluster=acme-7")
        self.fails(url.replace(self.a["password"], "wrong"), 'password authentication failed for user "app"')
        self.fails(url.replace("sslmode=verify-full", "sslmode=disable"), "encrypted connections only", "HINT.*sslmode")
        self.fails(url.replace("/defaultdb", "/nothere"), 'database "nothere" does not exist')

    def test_a_wrong_name_and_an_unknown_id_look_alike(self):
        by_name = self.cluster.psql(self.a["url"].replace("acme-", "nobody-"), "select 1", check=False).stderr
        by_id = self.cluster.psql(re.sub(r"acme-\d+", "nobody-999", self.a["url"]), "select 1", check=False).stderr
        self.assertEqual(re.sub(r"nobody-\d+", "X", by_name), re.sub(r"nobody-\d+", "X", by_id))

    def test_the_cluster_may_be_named_by_database_or_server_name(self):
        by_database = re.sub(r"options=[^&]*&", "", self.a["url"]).replace("/defaultdb", f"/{self.a['cluster']}.defaultdb")
        self.assertEqual(self.cluster.psql(by_database, "select current_database()"), "defaultdb")

    def test_a_probe_that_says_nothing_is_no_error(self):
        port = int(re.search(r":(\d+)/", self.a["url"]).group(1))
        for _ in range(3):
            socket.create_connection(("127.0.0.1", port)).close()
        self.assertEqual(self.cluster.psql(self.a["url"], "select 1"), "1")

    def test_direct_tls_with_alpn_and_gss_requests_are_understood(self):
        port = int(re.search(r":(\d+)/", self.a["url"]).group(1))
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        plain.sendall(struct.pack("!II", 8, 80877104))  # GSSENCRequest
        self.assertEqual(plain.recv(1), b"N")
        plain.sendall(struct.pack("!II", 8, 80877103))  # SSLRequest
        self.assertEqual(plain.recv(1), b"S")
        plain.close()
        context = ssl.create_default_context(cafile=os.path.join(self.cluster.data, "certs", "ca.crt"))
        context.set_alpn_protocols(["postgresql"])
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1") as direct:
            self.assertEqual(direct.selected_alpn_protocol(), "postgresql")
            body = struct.pack("!I", 196608) + b"user\0app\0database\0defaultdb\0options\0--cluster=" + self.a["cluster"].encode() + b"\0\0"
            direct.sendall(struct.pack("!I", len(body) + 4) + body)
            self.assertEqual(direct.recv(1), b"R")

    def test_cancel_reaches_the_statement(self):
        import psycopg2
        connection = psycopg2.connect(self.a["url"])
        cursor = connection.cursor()
        import threading
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        with self.assertRaises(psycopg2.errors.QueryCanceled):
            cursor.execute("select count(*) from generate_series(1, 1000000000)")
        timer.join()
        connection.rollback()
        cursor.execute("select 1")
        self.assertEqual(cursor.fetchone(), (1,))
        connection.close()

    def test_psql_describes_through_its_own_queries(self):
        self.cluster.psql(self.a["url"], "create table d (id int primary key, name varchar(20) not null, n numeric(8,2) default 1.5)")
        self.cluster.psql(self.a["url"], "create index d_name on d (name)")

        def describe(command):
            done = subprocess.run(["psql", "-X", self.a["url"], "-c", command], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        table = describe("\\d d")
        for piece in ("character varying(20)", "numeric(8,2)", "not null", '"d_pkey" PRIMARY KEY, btree (id)', '"d_name" btree (name)', "1.5"):
            self.assertIn(piece, table)
        self.assertRegex(describe("\\dt"), r"public \| d +\| table \| app")
        self.assertRegex(describe("\\l"), r"defaultdb")

    def test_usage_errors_exit_with_2(self):
        self.assertEqual(self.cluster.run("tenant", "create", "Bad_Name", f"--data={self.cluster.data}", check=False).returncode, 2)
        self.assertEqual(self.cluster.run("nonsense", check=False).returncode, 2)
        self.assertEqual(self.cluster.run("up", "--port=99999999", check=False).returncode, 2)
        self.assertEqual(self.cluster.run("tenant", "get", "nobody-77", f"--data={self.cluster.data}", check=False).returncode, 1)

    def test_a_second_up_on_the_same_folder_is_refused(self):
        done = self.cluster.run("up", f"--data={self.cluster.data}", "--port=0", "--http-port=0", "--detach", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("running", done.stderr)

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken, tempfile.TemporaryDirectory() as folder:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = self.cluster.run("up", f"--data={folder}/d", f"--port={port}", "--http-port=0", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"port {port} is in use; choose another with --port=N", done.stderr)

    def test_foreign_and_newer_folders_are_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/letter.txt", "w") as f:
                f.write("dear")
            done = self.cluster.run("up", f"--data={folder}", "--port=0", "--http-port=0", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("not a data folder", done.stderr)
            self.assertEqual(os.listdir(folder), ["letter.txt"])
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/VERSION", "w") as f:
                f.write("insula-data 999\n")
            done = self.cluster.run("up", f"--data={folder}", "--port=0", "--http-port=0", check=False)
            self.assertIn("999", done.stderr)

    def test_http_endpoints_answer(self):
        import urllib.request
        for p in self.cluster.status():
            if p["role"] == "sql":
                continue
            for path in ("/healthz", "/readyz", "/metrics"):
                with urllib.request.urlopen(f"http://{p['http']}{path}", timeout=10) as answer:
                    self.assertEqual(answer.status, 200, (p["role"], path))


if __name__ == "__main__":
    harness.main("front_door_test")
