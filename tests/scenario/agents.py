"""Node agents as processes, one a node, against one `ome apiserver`: for scenarios and measurements."""

import os
import re
import signal
import subprocess
import urllib.request

import scenario
from scenario import OME, end_with_us, free_port


def node(name, **labels):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


# Models have the same path on every node: each agent sees its own folder there.
MOUNT = 'mount --make-rprivate / && mount --bind "$0" "$1" && shift && exec "$@"'


class Agent:
    """`ome agent` for node NAME with a store below FOLDER, with the account of KUBECONFIG, else as a pod on that node.  ENTER: a
    command in front, as `ip netns exec`."""

    def __init__(self, server, folder, name, hub, address="127.0.0.1", options=(), enter=(), kubeconfig=None):
        self.server, self.name, self.folder = server, name, os.path.join(folder, name)
        self.store = os.path.join(self.folder, "store")
        self.report = os.path.join(self.folder, "report.txt")
        self.port = free_port()
        self.address = address
        self.root = os.path.join(folder, "models")
        os.makedirs(self.store, exist_ok=True)
        os.makedirs(self.root, exist_ok=True)
        self.command = [*enter, "unshare", "--mount", "sh", "-c", MOUNT, self.store, self.root,
                        OME, "agent", "--confine", "--kubeconfig", kubeconfig or server.account("ome-model-agent", name),
                        "--ome-namespace", server.ome_ns, "--node-name", name,
                        "--models-root-dir", self.root, "--port", str(self.port), "--address", address, *options]
        if "--peer-address" not in options and address:
            self.command += ["--peer-address", address, "--peer-port", "0"]
        self.env = dict(os.environ, HF_ENDPOINT=hub, HOME=self.folder)
        self.process = None

    def start(self):
        with open(self.report, "a") as report:
            self.process = end_with_us(subprocess.Popen(self.command, env=self.env, stderr=report, stdout=report))
        return self

    def said(self):
        return open(self.report).read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(scenario.DEADLINE)
        assert code == 0, f"the agent of {self.name} ended with {code}: {self.said()}"

    def node(self):
        return self.server.find(f"/api/v1/nodes/{self.name}")

    def label(self, model):
        return self.node()["metadata"].get("labels", {}).get(f"models.ome.io/clusterbasemodel.{model}")

    def folder_of(self, model):
        return os.path.join(self.store, "models", f"clusterbasemodel.{model}")

    def metrics(self):
        """Values by name and labels, as Prometheus would read them."""
        with urllib.request.urlopen(f"http://{self.address}:{self.port}/metrics", timeout=scenario.DEADLINE) as answer:
            text = answer.read().decode()
        return {k: float(v) for k, v in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}

    def fetched(self, source):
        return self.metrics().get(f'model_agent_fetched_bytes_total{{source="{source}"}}', 0.0)


def memory(process):
    """Resident KiB of a process, the most so far too."""
    text = open(f"/proc/{process.pid}/status").read()
    return {key: int(re.search(key + r":\s+(\d+)", text).group(1)) for key in ("VmRSS", "VmHWM", "RssAnon")}
