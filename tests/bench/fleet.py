#!/usr/bin/env python3
"""Node to node over shaped links: N agents, each in a network namespace of its own, one origin, one model. How long one node takes
alone, how long all take together, and how often the model left the origin. With --kill the first node that has everything is
killed half-way instead of giving. Needs root, `ip netns` and the tbf queue of tc.

All agents share this machine's processors, so that a link has to be slow enough for time to be the link's: the run says how
much processor time the agents took of what there was, and a run with more than half of it is not worth much.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.dirname(os.path.dirname(HERE))
os.environ.setdefault("OME_PATIENCE", "10")
sys.path.insert(0, os.path.join(HOME, "tests/scenario"))
import agents  # noqa: E402
import scenario  # noqa: E402
from agents import Agent  # noqa: E402
from scenario import ApiServer, wait_for  # noqa: E402

MIB = 1 << 20
BRIDGE, NET = "omefleet", "10.213"
TICKS = os.sysconf("SC_CLK_TCK")


def run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)


def quiet(*words):
    subprocess.run(words, check=False, capture_output=True)


class Network:
    """A bridge, and a namespace for each host with a link of RATE bytes a second each way."""

    def __init__(self, rate):
        self.rate, self.hosts = rate, []
        self.close()
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{NET}.0.1/16", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")

    def shape(self, device, inside=None):
        """A bucket of 50 ms, and a queue of 200 ms behind it: what a switch has."""
        enter = ("ip", "netns", "exec", inside) if inside else ()
        burst = max(self.rate // 20, 64 << 10)
        run(*enter, "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{self.rate * 8}bit", "burst", str(burst),
            "latency", "200ms")

    def host(self, name, number):
        """The address of a new host; enter its namespace with enter()."""
        space, outer = f"omefleet-{name}", f"omf{number}"
        address = f"{NET}.{1 + number // 250}.{1 + number % 250}"
        run("ip", "netns", "add", space)
        self.hosts.append(space)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", outer, "master", BRIDGE, "up")
        run("ip", "-n", space, "addr", "add", f"{address}/16", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        self.shape(outer)
        self.shape("eth0", space)
        return address

    @staticmethod
    def enter(name):
        return ("ip", "netns", "exec", f"omefleet-{name}")

    @staticmethod
    def sent(name):
        """Bytes that a host's link carried away from it, headers and all."""
        done = subprocess.run([*Network.enter(name), "cat", "/sys/class/net/eth0/statistics/tx_bytes"], capture_output=True,
                              text=True, check=True)
        return int(done.stdout)

    @staticmethod
    def close():
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            if line.startswith("omefleet-"):
                quiet("ip", "netns", "del", line.split()[0])
        quiet("ip", "link", "del", BRIDGE)


class Api(ApiServer):
    """An API server on the bridge: its own link is not shaped."""

    address = f"{NET}.0.1"

    def command(self, *more):
        return [*super().command(*more), "--address", self.address]


class Origin:
    def __init__(self, network, folder):
        self.address = network.host("origin", 0)
        self.folder = folder + "/hub"
        port_file = folder + "/hub.port"
        os.makedirs(self.folder)
        self.process = scenario.end_with_us(subprocess.Popen(
            [*Network.enter("origin"), scenario.OME, "hub", self.folder, "--address", self.address, "--port", "0", "--port-file",
             port_file, "--digests", folder + "/digests"], stderr=subprocess.DEVNULL))
        wait_for("the origin", lambda: os.path.exists(port_file) and open(port_file).read().strip())
        self.url = f"http://{self.address}:{open(port_file).read().strip()}"


def make_model(folder, name, mib):
    noise = random.Random(name)
    path = f"{folder}/test/{name}"
    os.makedirs(path)
    with open(path + "/config.json", "wb") as out:
        out.write(b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    with open(path + "/model.safetensors", "wb") as out:
        out.write(b"\x02\0\0\0\0\0\0\0{}")
        for _ in range(mib):
            out.write(noise.randbytes(MIB))
    return sum(os.path.getsize(f"{path}/{name}") for name in os.listdir(path))


def processor_seconds(pids):
    total = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


class Fleet:
    def __init__(self, options, network, folder):
        self.options, self.sizes = options, {}
        self.server = Api(folder).start()
        text = open(self.server.kubeconfig).read()
        assert NET in text, "the kubeconfig does not name the bridge's address"
        scenario.install(self.server)
        self.origin = Origin(network, folder)
        self.nodes = []
        for number in range(1, options.nodes + 1):
            name = f"node-{number:02}"
            address = network.host(name, number)
            self.server.api("POST", "/api/v1/nodes", agents.node(name, group="all", number=str(number)))
            self.nodes.append(Agent(self.server, folder, name, self.origin.url, address=address, enter=Network.enter(name)))

    def make(self, name):
        self.sizes[name] = make_model(self.origin.folder, name, self.options.mib)

    def apply(self, name, **selector):
        document = scenario.model(name, f"hf://test/{name}")
        document["spec"]["storage"]["nodeSelector"] = selector
        self.server.apply(document)

    def measure(self, name, nodes, half_way=None, **selector):
        """Seconds until NODES have it, times that it left the origin by the link's and by the agents' count, share of the
        processors."""
        size = self.sizes[name]
        before, busy = Network.sent("origin"), processor_seconds(a.process.pid for a in nodes)
        fetched = sum(a.fetched("origin") for a in nodes)
        begin = time.monotonic()
        self.apply(name, **selector)
        wanted = {f"models.ome.io/clusterbasemodel.{name}"}
        left = list(nodes)
        shown = 0
        while left:
            found = self.server.api("GET", "/api/v1/nodes")["items"]
            labels = {n["metadata"]["name"]: n["metadata"].get("labels", {}) for n in found}
            left = [a for a in left if labels[a.name].get(*wanted) != "Ready"]
            passed = time.monotonic() - begin
            if half_way and half_way(left, passed, size):
                half_way = None
            if self.options.verbose and passed > shown:
                shown = passed + 10
                sent = (Network.sent("origin") - before) / size
                print(f"  {passed:6.1f} s: {len(nodes) - len(left)} ready, {sent:.2f} x sent", flush=True)
            time.sleep(0.25)
        seconds = time.monotonic() - begin
        busy = processor_seconds(a.process.pid for a in nodes) - busy
        fetched = sum(a.fetched("origin") for a in nodes) - fetched
        sent = (Network.sent("origin") - before) / size
        self.server.api("DELETE", scenario.MODEL + name)  # this machine's disk holds a few copies only
        wait_for("the files to go", lambda: not any(os.path.exists(a.folder_of(name)) for a in nodes))
        return seconds, sent, fetched / size, busy / seconds / os.cpu_count()


def report(what, seconds, alone, sent, busy):
    print(f"{what}: {seconds:.1f} s, {seconds / alone:.2f} x one node alone; the origin gave {sent:.3f} x the model; "
          f"{100 * busy:.0f} % of {os.cpu_count()} processors", flush=True)


def failures(nodes):
    found = {}
    for a in nodes:
        for key, value in a.metrics().items():
            if key.startswith("model_agent_peer_failures_total"):
                found[key] = found.get(key, 0) + value
    return found


def main():
    parser = argparse.ArgumentParser(prog="./dev bench fleet", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=32)
    parser.add_argument("--mib", type=int, default=1024, help="of the model; 1024")
    parser.add_argument("--rate", default="4Mi", help="of each link, bytes a second each way; 4Mi")
    parser.add_argument("--kill", action="store_true", help="then the same with a seed that is killed half-way")
    parser.add_argument("--limit-time", type=float, default=0, help="fail above this many times the time of one node")
    parser.add_argument("--limit-origin", type=float, default=0, help="fail above this many times the model from the origin")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    rate = int(float(options.rate[:-2]) * MIB) if options.rate.endswith("Mi") else int(options.rate)
    if os.geteuid() != 0:
        sys.exit("fleet: needs root, for network namespaces")
    folder = tempfile.mkdtemp(prefix="ome-fleet-")
    network = Network(rate)
    fleet = None
    try:
        fleet = Fleet(options, network, folder)
        go(options, fleet, rate)
    finally:
        for a in fleet.nodes if fleet else []:
            if a.process and a.process.poll() is None:
                a.process.kill()
                a.process.wait()
        if fleet:
            fleet.origin.process.kill()
            fleet.server.stop()
        network.close()
        if os.environ.get("OME_KEEP"):
            print("kept:", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def go(options, fleet, rate):
    fleet.make("alone")
    first = fleet.nodes[0].start()
    wait_for("the first agent", lambda: "models.ome.io/peer" in first.node()["metadata"].get("annotations", {}))
    alone, sent, _, busy = fleet.measure("alone", [first], number="1")
    size = fleet.sizes["alone"]
    print(f"one node alone: {alone:.1f} s for {size / MIB:.0f} MiB at {rate / MIB:g} MiB/s ({size / rate:.1f} s by the link); "
          f"{sent:.3f} x sent", flush=True)
    fleet.make("together")
    for a in fleet.nodes[1:]:
        a.start()
    wait_for("the agents", lambda: all("models.ome.io/peer" in n["metadata"].get("annotations", {})
                                       for n in fleet.server.api("GET", "/api/v1/nodes")["items"]))
    seconds, sent, fetched, busy = fleet.measure("together", fleet.nodes, group="all")
    report(f"{options.nodes} nodes", seconds, alone, fetched, busy)
    print(f"  with headers and what was sent again, {sent:.3f} x; pieces that peers did not give: "
          f"{json.dumps(failures(fleet.nodes))}", flush=True)
    worst = seconds / alone, fetched
    if options.kill:
        worst = tuple(max(*pair) for pair in zip(worst, killed(options, fleet, alone)))
    if options.limit_time and worst[0] > options.limit_time:
        sys.exit(f"fleet: {worst[0]:.2f} x the time of one node, at most {options.limit_time}")
    if options.limit_origin and worst[1] > options.limit_origin:
        sys.exit(f"fleet: {worst[1]:.3f} x the model from the origin, at most {options.limit_origin}")


def killed(options, fleet, alone):
    """One node has the model; when the others have begun to get it, and it has given half of it, it is killed."""
    seed, others = fleet.nodes[0], fleet.nodes[1:]
    fleet.make("seeded")
    fleet.apply("seeded", number="1")
    wait_for("the seed", lambda: seed.label("seeded") == "Ready")

    def half_way(_left, _passed, size):
        if seed.metrics().get("model_agent_served_bytes_total", 0) - given < size / 2:
            return False
        seed.kill()
        return True

    given = seed.metrics().get("model_agent_served_bytes_total", 0)
    seconds, sent, _, busy = fleet.measure("seeded", others, half_way, group="all")
    report(f"{len(others)} nodes, their seed killed half-way", seconds, alone, sent, busy)
    return seconds / alone, sent


if __name__ == "__main__":
    main()
