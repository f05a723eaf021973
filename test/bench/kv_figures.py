"""Figures of the key-value layer by itself: failover, many sleeping tenants, a noisy neighbour, bytes written. Used by bench.py."""
import glob
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

import harness

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TICKS = os.sysconf("SC_CLK_TCK")
ENOUGH_BATCHES = 1000  # answered since: a load is under way
SETTLING = 60  # seconds after the last tenant was created: what is left to be done is done in them, or the figures tell
AT_REST = 30  # seconds
QUIET_FOR = 5  # seconds without an entry: nothing is left to be done


def observe(seconds):
    """A window of measurement: what is measured is what happens in it by itself."""
    time.sleep(seconds)


def tool(cluster, name, identity, *args):
    """Starts a binary of this folder against the cluster's nodes, with a certificate of the cluster's."""
    certs = os.path.join(cluster.data, "certs")
    addresses = ",".join(p["address"] for p in cluster.processes("kv"))
    return subprocess.Popen([os.path.join(ROOT, "bazel-bin", "test", "bench", name), f"--addresses={addresses}", f"--ca={certs}/ca.crt",
                             f"--cert={certs}/{identity}.crt", f"--key={certs}/{identity}.key", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answer(process):
    out, err = process.communicate()
    if process.returncode != 0 or not out:
        raise SystemExit(f"{process.args[0]} failed:\n{err}")
    return json.loads(out)


def metric(process, name):
    """The sum of a metric's series; 0 if the node has none."""
    with urllib.request.urlopen(f"http://{process['http']}/metrics", timeout=10) as page:
        text = page.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(re.escape(name) + r"[ {]", line))


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def bytes_to_disk(pid):
    with open(f"/proc/{pid}/io") as f:
        return int(re.search(r"^write_bytes: (\d+)", f.read(), re.M).group(1))


def batches(cluster):
    """Batches answered so far, by node id."""
    return {n["id"]: metric(n, "insula_kv_batches_total") for n in cluster.processes("kv")}


def busiest(cluster):
    """The node that answers most batches just now: the leaseholder of what is being written. Waits until enough were answered to say."""
    before = batches(cluster)

    def grown():
        now = batches(cluster)
        return {i: n - before.get(i, 0) for i, n in now.items()} if sum(now.values()) - sum(before.values()) >= ENOUGH_BATCHES else None

    more = harness.wait_for("load on the nodes", grown)
    return max(cluster.processes("kv"), key=lambda n: more.get(n["id"], 0))


def all_ready(cluster):
    harness.wait_for("three ready nodes", lambda: len(cluster.processes("kv", state="ready")) == 3, 60)


def bench_failover(cluster, add, trials):
    """kill -9 of the leaseholder under load: the longest time in which no put was answered."""
    gaps = []
    for _ in range(trials):
        all_ready(cluster)
        load = tool(cluster, "kv_bench", "node.1", "--clients=8", "--seconds=8")
        cluster.kill(busiest(cluster), signal.SIGKILL)
        gaps.append(answer(load)["gap_ms"])
    all_ready(cluster)
    add(f"kill -9 of a leaseholder, {trials} times: puts resume, p50", statistics.median(gaps), "ms")
    add(f"kill -9 of a leaseholder, {trials} times: puts resume, worst", max(gaps), "ms")


def bench_transfers(cluster, add, seconds):
    """The slowest put while the lease of its range is moved from node to node, twice a second."""
    figures = answer(tool(cluster, "kv_bench", "node.1", "--clients=8", f"--seconds={seconds}", f"--transfers={2 * seconds}"))
    if figures["failed"] or figures["transfers"] < seconds:
        raise SystemExit(f"{figures['failed']} puts failed, {figures['transfers']} of {2 * seconds} transfers happened")
    add(f"planned lease transfers, {figures['transfers']} under load: slowest put", figures["longest_ms"], "ms")
    add(f"planned lease transfers, {figures['transfers']} under load: p99 of puts", figures["p99_ms"], "ms")


def bench_bytes(cluster, add, seconds):
    """Syncs of the log, messages and bytes that reach the disk, for puts of 256 bytes."""
    nodes = cluster.processes("kv")

    def now():
        return (sum(metric(n, "insula_kv_log_syncs_total") for n in nodes), sum(metric(n, "insula_kv_raft_messages_sent_total") for n in nodes),
                sum(bytes_to_disk(n["pid"]) for n in nodes))

    for clients in (1, 16, 64, 256):
        before = now()
        puts = answer(tool(cluster, "kv_bench", "node.1", f"--clients={clients}", f"--seconds={seconds}"))["puts_per_s"] * seconds
        syncs, messages, written = (a - b for a, b in zip(now(), before))
        add(f"kv put 256 B, {clients} clients: log syncs per s and node", syncs / seconds / 3, "1/s")
        add(f"kv put 256 B, {clients} clients: log syncs per put, all nodes", syncs / puts, "")
        add(f"kv put 256 B, {clients} clients: raft messages per put, all nodes", messages / puts, "")
        add(f"kv put 256 B, {clients} clients: bytes to disk per value byte and replica", written / puts / 256 / 3, "")


class Window:
    """What happens from its making on: growth per second."""

    METRICS = ("insula_kv_raft_messages_sent_total", "insula_kv_store_frames_sent_total", "insula_kv_store_frame_bytes_sent_total")

    def __init__(self, nodes):
        self.nodes, self.began = nodes, time.monotonic()
        self.cpu = [cpu_seconds(n["pid"]) for n in nodes]
        self.metrics = {name: [metric(n, name) for n in nodes] for name in self.METRICS}

    def seconds(self):
        return time.monotonic() - self.began

    def busiest_cpu(self):
        """Of the node that uses most: per cent of a core."""
        return 100 * max(cpu_seconds(n["pid"]) - before for n, before in zip(self.nodes, self.cpu)) / self.seconds()

    def total(self, name):
        return sum(metric(n, name) - before for n, before in zip(self.nodes, self.metrics[name])) / self.seconds()


def until_settled(nodes, limit):
    """Seconds until the last entry of any range was applied and every range sleeps; `limit` if that is not reached."""
    began = changed = time.monotonic()
    before = None
    while time.monotonic() - began < limit:
        now = [(metric(n, "insula_kv_raft_applied_entries_total"), metric(n, "insula_kv_ranges_awake")) for n in nodes]
        if now != before or any(awake for _, awake in now):
            before, changed = now, time.monotonic()
        elif time.monotonic() - changed > QUIET_FOR:
            return changed - began
        observe(1)
    return limit


def bench_tenants(add, count):
    """Many tenants that sleep, one range each: what they cost at rest, and how long a node takes to come back."""
    cluster = harness.Cluster("--pool=0", name="bench-tenants")
    try:
        cluster.up()
        nodes = cluster.processes("kv")
        answer(tool(cluster, "tenant_bench", "client.admin", "--count=50", "--prefix=first"))
        empty = [resident_kb(n["pid"]) for n in nodes]
        figures = answer(tool(cluster, "tenant_bench", "client.admin", f"--count={count}"))
        add(f"{count} tenants: creating one, p50", figures["create_p50_ms"], "ms")
        add(f"{count} tenants: creating one, p99", figures["create_p99_ms"], "ms")
        first = Window(nodes)
        add(f"{count} tenants: from the last one's creation until every range is split off and sleeps", until_settled(nodes, SETTLING), "s")
        observe(max(0, SETTLING - first.seconds()))
        add(f"{count} tenants, the first minute: CPU of the busiest node", first.busiest_cpu(), "% of a core")
        rest = Window(nodes)
        observe(AT_REST)
        add(f"{count} tenants at rest, from a minute on: CPU of the busiest node", rest.busiest_cpu(), "% of a core")
        add(f"{count} tenants at rest: messages of ranges, all nodes", rest.total("insula_kv_raft_messages_sent_total"), "1/s")
        add(f"{count} tenants at rest: frames to other nodes, per node", rest.total("insula_kv_store_frames_sent_total") / len(nodes), "1/s")
        add(f"{count} tenants at rest: bytes to other nodes, per node", rest.total("insula_kv_store_frame_bytes_sent_total") / len(nodes), "B/s")
        add(f"{count} tenants: resident memory per replica", max((resident_kb(n["pid"]) - e) / count for n, e in zip(nodes, empty)), "KB")
        victim = cluster.processes("kv", id="2")[0]
        cluster.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        harness.wait_for("the node to be replaced", lambda: any(p["pid"] != victim["pid"] and p["state"] == "ready" for p in cluster.processes("kv", id="2")), 120)
        add(f"{count} tenants: kill -9 of a node until it is ready again", time.monotonic() - began, "s")
    finally:
        cluster.close()


def pgbench_p99(url, seconds, *args):
    """p99 in ms over the transactions of a pgbench run."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "log")
        done = subprocess.run(["pgbench", "-n", "-S", "-c", "1", "-T", str(seconds), "-l", f"--log-prefix={prefix}", *args, url], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"pgbench failed:\n{done.stderr}")
        times = [int(line.split()[2]) / 1000 for name in glob.glob(prefix + "*") for line in open(name)]
    return percentile(times, 99), len(times) / seconds


def bench_neighbours(cluster, add, seconds):
    """A quiet tenant's p99 alone, and beside one that makes about a hundred times its load."""
    urls = []
    for name in ("quiet", "noisy"):
        urls.append(cluster.tenant("create", name, "--idle=1h")["url"])
        subprocess.run(["pgbench", "-i", "-q", urls[-1]], capture_output=True, check=True)
    alone, _ = pgbench_p99(urls[0], seconds, "-R", "10")
    flood = subprocess.Popen(["pgbench", "-n", "-S", "-c", "16", "-R", "1000", "-T", str(seconds + 4), urls[1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    before = sum(batches(cluster).values())
    harness.wait_for("the flood", lambda: sum(batches(cluster).values()) - before >= ENOUGH_BATCHES)
    beside, _ = pgbench_p99(urls[0], seconds, "-R", "10")
    flooded = float(re.search(r"tps = ([0-9.]+)", flood.communicate()[0]).group(1))
    add("quiet tenant (10 selects/s), p99 alone", alone, "ms")
    add(f"quiet tenant, p99 beside a neighbour's {flooded:.0f} selects/s", beside, "ms", "alone", alone)
