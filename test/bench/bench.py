#!/usr/bin/python3
"""Measures Insula and Debian's PostgreSQL 15 side by side, in one run on one machine: `./dev bench [--json=FILE] [--quick]
[--parts=sql,kv,...]`.

Peers: `postgres` is one server with fsync on; `postgres-sync` has two streaming standbys on the same machine and
synchronous_standby_names = 'ANY 1 (s1, s2)', so that, as here, two of three copies are on disk before a commit is answered.
`etcd` has three nodes with the same certificates, asked through the best of them. Runs alternate (A B A B); figures are medians; ratio = Insula / peer (above 1: Insula is better for tps, worse for ms).
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "e2e"))
os.environ.setdefault("INSULA_BINARY", os.path.join(ROOT, "bazel-bin", "cli", "insula"))
import harness  # noqa: E402
import kv_figures  # noqa: E402
from etcd import Etcd  # noqa: E402

PG = "/usr/lib/postgresql/15/bin"


class Postgres:
    """A primary, with `standbys` synchronous standbys, as user postgres, on sockets and loopback."""

    def __init__(self, port, standbys=0):
        self.port, self.folder = port, tempfile.mkdtemp(prefix="insula-bench-pg-")
        os.chmod(self.folder, 0o755)
        shutil.chown(self.folder, "postgres")
        self.servers = [os.path.join(self.folder, "primary")]
        self.as_postgres(f"{PG}/initdb", "-D", self.servers[0], "-A", "trust", "--no-instructions")
        settings = f"port={port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{self.folder}'\nfsync=on\nmax_wal_senders=10\nshared_buffers=256MB\nmax_connections=100\n"
        self.append(self.servers[0], settings)
        self.start(self.servers[0])
        for i in range(1, standbys + 1):
            standby = os.path.join(self.folder, f"s{i}")
            self.as_postgres(f"{PG}/pg_basebackup", "-D", standby, "-h", self.folder, "-p", str(port), "-R")
            self.append(standby, f"port={port + i}\n")
            # pg_basebackup -R wrote a connection without a name there, and that file has the last word.
            self.append(standby, f"primary_conninfo='host={self.folder} port={port} application_name=s{i}'\n", "postgresql.auto.conf")
            self.start(standby)
            self.servers.append(standby)
        if standbys:
            self.append(self.servers[0], "synchronous_standby_names='ANY 1 (s1, s2)'\n")
            self.as_postgres(f"{PG}/pg_ctl", "-D", self.servers[0], "reload")
        self.as_postgres(f"{PG}/createdb", "-h", self.folder, "-p", str(port), "bench")
        self.url = f"postgresql://postgres@127.0.0.1:{port}/bench"

    @staticmethod
    def append(data, text, file="postgresql.conf"):
        with open(os.path.join(data, file), "a") as f:
            f.write(text)

    @staticmethod
    def as_postgres(*command):
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)

    def start(self, data):
        self.as_postgres(f"{PG}/pg_ctl", "-D", data, "-l", data + ".log", "-w", "start")

    def close(self):
        for data in reversed(self.servers):
            self.as_postgres(f"{PG}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def pgbench(url, *args):
    done = subprocess.run(["pgbench", *args, url], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"pgbench {' '.join(args)} failed:\n{done.stdout}{done.stderr[-3000:]}")
    return done.stdout


def tps(url, seconds, clients, protocol, script):
    out = pgbench(url, "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-M", protocol, "-b", script)
    failed = int(re.search(r"number of failed transactions: (\d+)", out).group(1))
    if failed:
        raise SystemExit(f"{failed} transactions failed:\n{out}")
    return float(re.search(r"tps = ([0-9.]+)", out).group(1))


def kv_puts(cluster, kind, addresses, clients, seconds):
    """Puts of 256 bytes by kv_bench, each a transaction of its own: its figures."""
    certs = os.path.join(cluster.data, "certs")
    done = subprocess.run([os.path.join(ROOT, "bazel-bin", "test", "bench", "kv_bench"), f"--kind={kind}", f"--addresses={','.join(addresses)}", f"--ca={certs}/ca.crt",
                           f"--cert={certs}/node.1.crt", f"--key={certs}/node.1.key", f"--clients={clients}", f"--seconds={seconds}"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"kv_bench failed:\n{done.stderr}")
    return json.loads(done.stdout)


def bench_kv(cluster, add, seconds, rounds):
    nodes = [p["address"] for p in cluster.processes("kv")]
    etcd = Etcd(os.path.join(cluster.data, "certs"))
    try:
        # The node that answers quickest: the leader, as others pass puts on.
        best = min(etcd.addresses, key=lambda a: kv_puts(cluster, "etcd", [a], 1, 1)["p50_ms"])
        for clients in (1, 8, 64, 256):
            figures = {"insula": [], "etcd": []}
            for _ in range(rounds):
                figures["insula"].append(kv_puts(cluster, "insula", nodes, clients, seconds))
                figures["etcd"].append(kv_puts(cluster, "etcd", [best], clients, seconds))
            for key, unit in (("puts_per_s", "puts/s"), ("p50_ms", "ms"), ("p99_ms", "ms")):
                ours, theirs = (statistics.median(f[key] for f in figures[kind]) for kind in ("insula", "etcd"))
                add(f"kv put 256 B, {clients} clients, {key}", ours, unit, "etcd", theirs)
    finally:
        etcd.close()


def resume_ms(cluster, runs):
    """Cold connect to answer, psql's own start-up taken off: median ms over a suspended tenant's wakes."""
    tenant = cluster.tenant("create", "napper", "--idle=10m")
    cluster.psql(tenant["url"], "select 1")  # the first wake also writes the first descriptors
    times, start_up = [], []
    for _ in range(runs):
        cluster.tenant("suspend", tenant["cluster"])
        harness.wait_for("a warm pool", lambda: len(cluster.processes("sql", state="prewarmed")) == 2)
        began = time.monotonic()
        cluster.psql(tenant["url"], "select 1")
        times.append((time.monotonic() - began) * 1000)
        began = time.monotonic()
        subprocess.run(["psql", "--version"], capture_output=True, check=True)
        start_up.append((time.monotonic() - began) * 1000)
    cluster.tenant("drop", tenant["cluster"])
    return statistics.median(times), statistics.median(start_up)


def bench_sql(cluster, add, peers, scale, seconds, rounds):
    tenant = cluster.tenant("create", "bench", "--idle=1h")
    peers.update({"postgres": Postgres(54310), "postgres-sync": Postgres(54320, standbys=2)})
    urls = {"insula": tenant["url"], **{name: p.url for name, p in peers.items()}}
    loads = {}
    for name, url in urls.items():
        began = time.monotonic()
        pgbench(url, "-i", "-I", "dtgvp", "-s", str(scale), "-q")
        loads[name] = time.monotonic() - began
    for peer in peers:
        add(f"pgbench -i -s {scale}", loads["insula"], "s", peer, loads[peer])
    for protocol in ("simple", "prepared"):
        for script in ("tpcb-like", "simple-update", "select-only"):
            for clients in (1, 8):
                figures = {name: [] for name in urls}
                for _ in range(rounds):
                    for name, url in urls.items():
                        figures[name].append(tps(url, seconds, clients, protocol, script))
                medians = {name: statistics.median(v) for name, v in figures.items()}
                for peer in peers:
                    add(f"pgbench {script} -M {protocol} -c {clients}", medians["insula"], "tps", peer, medians[peer])
    accounts, branches, tellers, history = harness.tpcb_sums(cluster, tenant["url"])
    if accounts != history or branches != tellers:
        raise SystemExit(f"the sums differ: {accounts} {branches} {tellers} {history}")


def bench_resume(cluster, add, runs):
    wake, psql = resume_ms(cluster, runs)
    add("resume: cold connect to answer, with psql", wake, "ms")
    add("psql's own start (--version)", psql, "ms")
    with open(os.path.join(cluster.data, "logs", "operator-1.log")) as log:
        took = re.findall(r'took="([^"]*)"', log.read())
    print("the last wake, in the operator: " + took[-1])


PARTS = ("sql", "kv", "resume", "neighbours", "bytes", "transfers", "failover", "tenants")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="short runs, for trying the script")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench's data")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure, of " + ",".join(PARTS))
    options = parser.parse_args()
    seconds, rounds = (3, 1) if options.quick else (15, 2)
    parts = options.parts.split(",")
    if set(parts) - set(PARTS):
        parser.error(f"--parts: choose from {','.join(PARTS)}")
    rows = []

    def add(name, value, unit, peer="", peer_value=None):
        ratio = round(value / peer_value, 3) if peer_value else None
        rows.append({"name": name, "value": round(value, 2), "unit": unit, "peer": peer, "ratio": ratio})
        print(f"{name:45} {value:10.1f} {unit:8} {peer:14} {'' if peer_value is None else f'{peer_value:10.1f}'} {'' if ratio is None else ratio}", flush=True)

    cluster = harness.Cluster(name="bench")
    peers = {}
    try:
        cluster.up()
        if "sql" in parts:
            bench_sql(cluster, add, peers, options.scale if not options.quick else 1, seconds, rounds)
        if "kv" in parts:
            bench_kv(cluster, add, 2 if options.quick else 5, rounds)
        if "resume" in parts:
            bench_resume(cluster, add, 3 if options.quick else 10)
        if "neighbours" in parts:
            kv_figures.bench_neighbours(cluster, add, 5 if options.quick else 20)
        if "bytes" in parts:
            kv_figures.bench_bytes(cluster, add, 3 if options.quick else 10)
        if "transfers" in parts:
            kv_figures.bench_transfers(cluster, add, 5 if options.quick else 20)
        if "failover" in parts:
            kv_figures.bench_failover(cluster, add, 3 if options.quick else 12)
        if "tenants" in parts:
            kv_figures.bench_tenants(add, 500 if options.quick else 10000)
    finally:
        for peer in peers.values():
            peer.close()
        cluster.close()
        if options.json:
            with open(options.json, "w") as f:
                json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
