#!/usr/bin/env python3
"""Node to node over shaped links: N agents, each in a network namespace of its own, one origin, one model. How long one node takes
alone, how long all take together, and how often the model left the origin. With --kill the first node that has everything is
killed half-way instead of giving. Needs root, `ip netns` and the tbf queue of tc.

All agents share this machine's processors, which in a fleet each have their own. So the links have to be slow enough for time to
be the links': before they are shaped one node gives a model to another, which says what a GiB costs in processor time (hashing, TLS,
the disk and the kernel's part included). --rate auto, the default, is what half of the processors carry when all links are full,
4 MiB/s at most; with fewer bytes in a packet, and more wake-ups for them, slow links cost several times that. Each run says how busy
they were. Busy processors only make a fleet slower: what is within the limits all the same is within them. But one node alone, which
the others are compared with, has to be the links'; where the processors were more than four fifths busy then, the bench fails, as it
does above the limits.
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
os.environ.setdefault("OME_PATIENCE", "40")
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


def busy_seconds():
    """Of all processors, whoever used them: packets are moved in the kernel's name."""
    fields = [int(n) for n in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


class Network:
    """A bridge, and a namespace for each host with a link, which shape() makes slow."""

    def __init__(self):
        self.links, self.hosts = [], {"": (f"{NET}.0.1", "02:00:00:00:ff:ff")}
        self.close()
        run("ip", "link", "add", BRIDGE, "address", self.hosts[""][1], "type", "bridge")
        run("ip", "addr", "add", f"{NET}.0.1/16", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")

    def shape(self, rate):
        """RATE bytes a second each way: a bucket of 50 ms, and a queue of 200 ms behind it, which is what a switch has."""
        burst = max(rate // 20, 64 << 10)
        for enter, device in self.links:
            run(*enter, "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{rate * 8}bit", "burst", str(burst),
                "latency", "200ms")

    def host(self, name, number):
        """The address of a new host; enter its namespace with enter()."""
        space, outer = f"omefleet-{name}", f"omf{number}"
        address, mac = f"{NET}.{1 + number // 250}.{1 + number % 250}", f"02:00:00:00:{number // 256:02x}:{number % 256:02x}"
        self.hosts[name] = (address, mac)
        run("ip", "netns", "add", space)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", space)
        run("ip", "link", "set", outer, "master", BRIDGE, "up")
        run("ip", "-n", space, "addr", "add", f"{address}/16", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        self.links += [((), outer), (self.enter(name), "eth0")]
        return address

    def introduce(self):
        """Every host knows the others for good. The kernel has one table of neighbours for all namespaces: 32 hosts that all
        talk with each other overflow its 1,024 places, and then connections fail for no reason of ours."""
        for name in filter(None, self.hosts):
            others = [f"neigh replace {address} lladdr {mac} dev eth0 nud permanent" for other, (address, mac) in self.hosts.items()
                      if other != name]
            subprocess.run(["ip", "-n", f"omefleet-{name}", "-batch", "-"], input="\n".join(others), check=True,
                           capture_output=True, text=True)

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
        for line in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=False).stdout.splitlines():
            if line.split()[1].startswith((BRIDGE, "omf")):  # the bridge, and links of a run that was killed
                quiet("ip", "link", "del", line.split()[1].split("@")[0].rstrip(":"))


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


class Fleet:
    def __init__(self, options, network, folder):
        self.options, self.network, self.sizes = options, network, {}
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
        network.introduce()

    def make(self, name, mib=None):
        self.sizes[name] = make_model(self.origin.folder, name, mib or self.options.mib)

    def apply(self, name, **selector):
        document = scenario.model(name, f"hf://test/{name}")
        document["spec"]["storage"]["nodeSelector"] = selector
        self.server.apply(document)

    def measure(self, name, nodes, half_way=None, **selector):
        """Seconds until NODES have it, times that it left the origin by the link's and by the agents' count, seconds that
        processors were busy."""
        size = self.sizes[name]
        before, busy = Network.sent("origin"), busy_seconds()
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
        busy = busy_seconds() - busy
        fetched = sum(a.fetched("origin") for a in nodes) - fetched
        sent = (Network.sent("origin") - before) / size
        self.server.api("DELETE", scenario.MODEL + name)  # this machine's disk holds a few copies only
        wait_for("the files to go", lambda: not any(os.path.exists(a.folder_of(name)) for a in nodes))
        return seconds, sent, fetched / size, busy


def report(what, seconds, alone, given, busy):
    share = busy / seconds / os.cpu_count()
    print(f"{what}: {seconds:.1f} s, {seconds / alone:.2f} x one node alone; the origin gave {given:.3f} x the model; "
          f"{100 * share:.0f} % of {os.cpu_count()} processors", flush=True)
    return {"time": seconds / alone, "origin": given, "busy": share}


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
    parser.add_argument("--rate", default="auto", help="of each link, bytes a second each way, as 4Mi; what the processors carry")
    parser.add_argument("--kill", action="store_true", help="then the same with a seed that is killed half-way")
    parser.add_argument("--limit-time", type=float, default=2, help="fail above this many times the time of one node; 2")
    parser.add_argument("--limit-origin", type=float, default=1.05,
                        help="fail above this many times the model from the origin; 1.05")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("fleet: needs root, for network namespaces")
    folder = tempfile.mkdtemp(prefix="ome-fleet-")
    network = Network()
    fleet = None
    try:
        fleet = Fleet(options, network, folder)
        go(options, fleet)
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


def ready(fleet, nodes):
    """NODES run, and say where they are reached."""
    for a in nodes:
        a.start()
    wait_for("the agents", lambda: all("models.ome.io/peer" in a.node()["metadata"].get("annotations", {}) for a in nodes))


def cost(fleet):
    """Seconds of processor that a GiB takes from one node to another, on both sides, over links that are not shaped."""
    first, second = fleet.nodes[:2]
    mib = min(256, fleet.options.mib)
    fleet.make("cost", mib)
    fleet.apply("cost", number="1")
    wait_for("the first node", lambda: first.label("cost") == "Ready")
    before = busy_seconds()
    time.sleep(3)
    share = (busy_seconds() - before) / 3 / os.cpu_count()
    if share > 0.2:
        sys.exit(f"fleet: {100 * share:.0f} % of the processors are busy with other things; nothing that is measured would be the links'")
    _, _, given, busy = fleet.measure("cost", [second], group="all")
    assert given < 0.1, f"the origin gave {given:.2f} x the model that its neighbour has"
    return busy * 1024 / mib


def link_rate(options, seconds_a_gib):
    """What half of the processors carry while all links are full, or what was asked for."""
    if options.rate == "auto":
        return int(min(4 * MIB, (1 << 30) * os.cpu_count() / 2 / options.nodes / seconds_a_gib))
    return int(float(options.rate[:-2]) * MIB) if options.rate.endswith("Mi") else int(options.rate)


def judge(options, alone, runs):
    """What was measured against the limits. ALONE: the share of the processors that one node alone kept busy."""
    wrong = []
    if alone > 0.8:
        wrong.append(f"one node alone: {100 * alone:.0f} % of the processors: they, and no link, were measured; give --rate less")
    for what, run_ in runs.items():
        if options.limit_time and run_["time"] > options.limit_time:
            why = f"; the processors were {100 * run_['busy']:.0f} % busy, give --rate less" if run_["busy"] > 0.8 else ""
            wrong.append(f"{what}: {run_['time']:.2f} x the time of one node, at most {options.limit_time}{why}")
        if options.limit_origin and run_["origin"] > options.limit_origin:
            wrong.append(f"{what}: {run_['origin']:.3f} x the model from the origin, at most {options.limit_origin}")
    if wrong:
        sys.exit("fleet: " + "\nfleet: ".join(wrong))


def go(options, fleet):
    ready(fleet, fleet.nodes[:2])
    seconds_a_gib = cost(fleet)
    if options.kill:
        give_seed(fleet)
    rate = link_rate(options, seconds_a_gib)
    fleet.network.shape(rate)
    total = options.nodes * options.mib / 1024
    print(f"a GiB from node to node takes {seconds_a_gib:.1f} s of processor: {total:.1f} GiB on {os.cpu_count()} processors take "
          f"{total * seconds_a_gib / os.cpu_count():.0f} s at least; at {rate / MIB:.2f} MiB/s a link takes "
          f"{options.mib * MIB / rate:.0f} s for the model", flush=True)
    fleet.make("alone")
    alone, sent, _, busy = fleet.measure("alone", fleet.nodes[:1], number="1")
    busy_alone = busy / alone / os.cpu_count()
    print(f"one node alone: {alone:.1f} s for {fleet.sizes['alone'] / MIB:.0f} MiB; {sent:.3f} x sent, headers included; "
          f"{100 * busy_alone:.0f} % of {os.cpu_count()} processors", flush=True)
    fleet.make("together")
    ready(fleet, fleet.nodes[2:])
    seconds, sent, given, busy = fleet.measure("together", fleet.nodes, group="all")
    runs = {"together": report(f"{options.nodes} nodes", seconds, alone, given, busy)}
    print(f"  with headers and what was sent again, {sent:.3f} x; pieces that peers did not give: "
          f"{json.dumps(failures(fleet.nodes))}", flush=True)
    if options.kill:
        runs["killed"] = killed(options, fleet, alone)
    judge(options, busy_alone, runs)


def give_seed(fleet):
    """The first node gets what it is to give later, while links are still fast."""
    fleet.make("seeded")
    fleet.apply("seeded", number="1")
    wait_for("the seed", lambda: fleet.nodes[0].label("seeded") == "Ready")


def killed(options, fleet, alone):
    """One node has the model; when the others have begun to get it, and it has given half of it, it is killed."""
    seed, others = fleet.nodes[0], fleet.nodes[1:]

    def half_way(_left, _passed, size):
        if seed.metrics().get('model_agent_served_bytes_total{to="node"}', 0) - before < size / 2:
            return False
        seed.kill()
        return True

    before = seed.metrics().get('model_agent_served_bytes_total{to="node"}', 0)
    seconds, _, given, busy = fleet.measure("seeded", others, half_way, group="all")
    return report(f"{len(others)} nodes, their seed killed half-way", seconds, alone, given, busy)


if __name__ == "__main__":
    main()
