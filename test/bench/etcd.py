"""Three etcd nodes on loopback with the certificates of a cluster's data folder, as a peer to measure beside."""
import os
import shutil
import socket
import subprocess
import tempfile

import harness


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Etcd:
    def __init__(self, certs, nodes=3):
        self.folder = tempfile.mkdtemp(prefix="insula-bench-etcd-")
        ports = free_ports(2 * nodes)
        clients, peers = ports[:nodes], ports[nodes:]
        self.addresses = [f"127.0.0.1:{p}" for p in clients]
        members = ",".join(f"e{i}=https://127.0.0.1:{p}" for i, p in enumerate(peers))
        self.processes = []
        for i in range(nodes):
            identity = [f"{certs}/node.{i + 1}.crt", f"{certs}/node.{i + 1}.key", f"{certs}/ca.crt"]
            flags = ["--name", f"e{i}", "--data-dir", os.path.join(self.folder, str(i)), "--log-level", "error",
                     "--listen-client-urls", f"https://{self.addresses[i]}", "--advertise-client-urls", f"https://{self.addresses[i]}",
                     "--listen-peer-urls", f"https://127.0.0.1:{peers[i]}", "--initial-advertise-peer-urls", f"https://127.0.0.1:{peers[i]}",
                     "--initial-cluster", members, "--initial-cluster-state", "new",
                     "--client-cert-auth", "--cert-file", identity[0], "--key-file", identity[1], "--trusted-ca-file", identity[2],
                     "--peer-client-cert-auth", "--peer-cert-file", identity[0], "--peer-key-file", identity[1], "--peer-trusted-ca-file", identity[2]]
            with open(os.path.join(self.folder, f"{i}.log"), "w") as log:
                self.processes.append(subprocess.Popen(["etcd", *flags], stdout=log, stderr=log))
        for address in self.addresses:
            harness.wait_for("etcd to listen", lambda a=address: self.listens(a))

    @staticmethod
    def listens(address):
        host, port = address.rsplit(":", 1)
        with socket.socket() as s:
            return s.connect_ex((host, int(port))) == 0

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
