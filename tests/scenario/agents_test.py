#!/usr/bin/env python3
"""Node to node: a model leaves its origin once for all nodes; one that comes later asks the others; a node that dies in
the middle costs time alone; one that gives wrong bytes is found, dropped and reported, who passes them on is not; a node that
a model does not belong on gets none of it; what is given and taken has a rate.
"""

import json
import os
import random
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import agents
import scenario
from agents import Agent
from scenario import Hub, Line, wait_for

MIB = 1 << 20
NODES = 4


def make_model(folder, name, mib):
    noise = random.Random(name)
    return scenario.write_files(f"{folder}/test/{name}", {
        "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
        "model-00001-of-00002.safetensors": b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(mib * MIB - 10),
        "model-00002-of-00002.safetensors": b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(MIB)})


def model(name, repository, **storage):
    document = scenario.model(name, f"hf://test/{repository}")
    document["spec"]["storage"].update(storage)
    return document


def among(*nodes):
    """Affinity to NODES."""
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "one", "operator": "In", "values": [n.name.split("-")[1] for n in nodes]}]}]}}


def is_everywhere(nodes, name):
    return all(a.label(name) == "Ready" for a in nodes)


def ready(server, nodes, name, digests):
    wait_for(f"{name} on all nodes", lambda: is_everywhere(nodes, name), 3 * scenario.DEADLINE)
    for a in nodes:
        scenario.check_files(a.folder_of(name), digests)
        check_owned(a.folder_of(name))


def check_owned(folder):
    """Files and folders are root's, and nobody may write to the files."""
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            stat = os.lstat(os.path.join(parent, name))
            assert (stat.st_uid, stat.st_gid) == (0, 0) and not stat.st_mode & (0o222 if name in files else 0o022), (parent, name, stat)


def once_for_all(server, hub, line, nodes):
    """All at once: about one model's worth leaves the origin.  One more node: nothing does."""
    digests = make_model(hub.folder, "shared", 32)
    before = line.passed
    server.apply(model("shared", "shared", nodeSelector={"group": "many"}))
    ready(server, nodes, "shared", digests)
    size = 33 * MIB
    fetched = line.passed - before
    assert fetched <= 1.05 * size + 4096 * 100, f"{fetched} bytes left the origin for {size}"
    peers = sum(a.fetched("peer") for a in nodes)
    assert peers >= (len(nodes) - 1.3) * size, f"{peers} bytes came from peers"
    for a in nodes:
        check_confined(a)
    return fetched / size


def check_confined(agent):
    """It took what the kernel has, and works as before: everything else here is its proof."""
    status = open(f"/proc/{agent.process.pid}/status").read()
    said = next(line for line in agent.said().splitlines() if "confined by" in line)
    assert "NoNewPrivs:\t1" in status, status
    assert ("Seccomp:\t2" in status) == ("no seccomp" not in said), (said, status)


def latecomer(server, folder, hub, line, nodes):
    server.apply(agents.node("late", group="many"))
    late = Agent(server, folder, "late", line.url).start()
    before = line.passed
    wait_for("shared on the late node", lambda: late.label("shared") == "Ready")
    fetched = line.passed - before
    assert fetched < MIB, f"{fetched} bytes left the origin for a node that came later"
    late.stop()
    return fetched


def slow_origin(server, hub, line, nodes):
    """What comes from the origin takes longer than nodes wait for each other: nobody fetches for another all the same."""
    digests = make_model(hub.folder, "slow", 32)
    before = line.passed
    line.hold = line.passed + 8 * MIB
    server.apply(model("slow", "slow", nodeSelector={"group": "many"}))
    failures = lambda reason: sum(a.metrics().get(f'model_agent_peer_failures_total{{reason="{reason}"}}', 0) for a in nodes)
    wait_for("nodes to wait in vain", lambda: failures("Busy") >= NODES)
    line.hold = 0
    line.release()
    ready(server, nodes, "slow", digests)
    fetched, size = line.passed - before, 33 * MIB
    assert fetched <= 1.05 * size + 4096 * 100, f"{fetched} bytes left the origin for {size}"
    assert failures("Unavailable") == 0
    line.released.clear()


def dying(server, hub, line, nodes):
    """One node is killed when a part is there; the others have it all the same, then it has too."""
    digests = make_model(hub.folder, "halved", 48)
    line.rate = 12 * MIB
    before = line.passed
    server.apply(model("halved", "halved", nodeSelector={"group": "many"}))
    wait_for("half of it", lambda: line.passed - before > 20 * MIB)
    nodes[0].kill()
    line.rate = 0
    ready(server, nodes[1:], "halved", digests)
    nodes[0].start()
    ready(server, nodes, "halved", digests)
    assert line.passed - before < 49 * MIB * 1.6, line.passed - before


def falsify(path, *places):
    """Writes wrong bytes there, and nothing tells of it."""
    stat = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as data:
        for place in places:
            data.seek(place)
            data.write(b"wrong")
    os.chmod(path, 0o444)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def blames(agent, name, other):
    return f"clusterbasemodel.{name}: node {other.name} gave wrong bytes" in agent.said()


def lying(server, hub, line, nodes):
    """The bytes of one node are wrong: the others are right, and say who it was."""
    make_model(hub.folder, "truth", 24)
    server.apply(model("truth", "truth", nodeSelector={"one": "0"}))
    wait_for("truth on one node", lambda: nodes[0].label("truth") == "Ready")
    falsify(nodes[0].folder_of("truth") + "/model-00001-of-00002.safetensors", 9 * MIB)
    server.apply(model("truth", "truth", nodeSelector={"group": "many"}))
    wait_for("truth on the others", lambda: is_everywhere(nodes[1:], "truth"), 2 * scenario.DEADLINE)
    with open(f"{hub.folder}/test/truth/model-00001-of-00002.safetensors", "rb") as data:
        wanted = data.read()
    for a in nodes[1:]:
        with open(a.folder_of("truth") + "/model-00001-of-00002.safetensors", "rb") as data:
            assert data.read() == wanted
    assert any(blames(a, "truth", nodes[0]) for a in nodes[1:])
    assert not any(blames(a, "truth", b) for a in nodes for b in nodes[1:])
    events = server.api("GET", "/api/v1/events")["items"]
    assert any(e["reason"] == "PeerRejected" and nodes[0].name in e["message"] for e in events), events


def dropped(server, hub, line, nodes):
    """Who has found the liar asks it for nothing more."""
    honest = next(a for a in nodes[1:] if blames(a, "truth", nodes[0]))
    digests = make_model(hub.folder, "later", 8)
    server.apply(model("later", "later", nodeAffinity=among(nodes[0])))
    wait_for("later on the liar", lambda: nodes[0].label("later") == "Ready")
    before, asked = line.passed, honest.fetched("peer")
    server.apply(model("later", "later", nodeAffinity=among(nodes[0], honest)))
    ready(server, [honest], "later", digests)
    assert honest.fetched("peer") == asked and line.passed - before >= 9 * MIB, (honest.fetched("peer"), asked, line.passed - before)


def passed_on(server, folder, hub, line, nodes):
    """Who has wrong bytes from a liar and gives them on before it can know is not called one."""
    relay, taker = nodes[1:3]  # who did not lie before
    digests = make_model(hub.folder, "hearsay", 24)
    server.apply(agents.node(f"node-{NODES}", one=str(NODES)))
    liar = Agent(server, folder, f"node-{NODES}", line.url, options=("--peer-max-rate", "4Mi")).start()
    server.apply(model("hearsay", "hearsay", nodeAffinity=among(liar)))
    wait_for("it on the liar", lambda: liar.label("hearsay") == "Ready")
    falsify(liar.folder_of("hearsay") + "/model-00001-of-00002.safetensors", *range(MIB, 24 * MIB, 4 * MIB))
    before = relay.fetched("peer")
    server.apply(model("hearsay", "hearsay", nodeAffinity=among(liar, relay)))
    wait_for("a part of it", lambda: relay.fetched("peer") - before >= 8 * MIB)
    line.rate = 64 << 10
    liar.kill()
    server.api("DELETE", f"/api/v1/nodes/{liar.name}")
    before = taker.fetched("peer")
    server.apply(model("hearsay", "hearsay", nodeAffinity=among(liar, relay, taker)))
    wait_for("that part", lambda: taker.fetched("peer") - before >= 8 * MIB)
    line.rate = 0
    ready(server, [relay, taker], "hearsay", digests)
    assert blames(relay, "hearsay", liar)
    assert f"came by way of node {relay.name}" in taker.said() and not blames(taker, "hearsay", relay), taker.said()


def capped(server, folder, hub, line):
    """24 MiB at 8 MiB a second, from the origin and then from node to node."""
    digests = make_model(hub.folder, "capped", 23)
    server.apply(model("capped", "capped", nodeSelector={"group": "few"}))
    for name, options in (("giver", ("--max-rate", "8Mi", "--peer-max-rate", "8Mi")), ("taker", ())):
        server.apply(agents.node(name, group="few"))
        begin = time.monotonic()
        agent = Agent(server, folder, name, line.url, options=options).start()
        ready(server, [agent], "capped", digests)
        seconds = time.monotonic() - begin
        assert seconds >= 2, f"24 MiB at 8 MiB a second took {name} {seconds:.1f} s"
        yield agent
    assert agent.fetched("peer") >= 23 * MIB, agent.fetched("peer")


def ask(peer, context, name):
    """The status of a request for a map."""
    request = urllib.request.Request(f"https://{peer['address']}/peers/v1/clusterbasemodel.shared",
                                     headers={"X-Ome-Node": name})
    try:
        with urllib.request.urlopen(request, context=context, timeout=scenario.DEADLINE) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def strangers(server, folder, nodes):
    """Without a certificate, with one that no Node has, with that of a node the model does not belong on: nothing."""
    peer = json.loads(nodes[1].node()["metadata"]["annotations"]["models.ome.io/peer"])
    context = ssl.create_default_context(cadata=peer["certificate"])
    assert ask(peer, context, "node-0") == 403
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "1", "-subj", "/CN=outside", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, capture_output=True)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    assert ask(peer, context, "node-0") == 403
    outside = agents.node("outside", group="none")
    outside["metadata"]["annotations"] = {"models.ome.io/peer": json.dumps(
        {"address": "127.0.0.1:1", "certificate": open(f"{folder}/cert.pem").read()})}
    server.apply(outside)
    for _ in range(3):  # it is known after the first
        assert ask(peer, context, "outside") == 403
    outside = agents.node("inside", group="many")
    outside["metadata"]["annotations"] = {"models.ome.io/peer": json.dumps(
        {"address": "127.0.0.1:1", "certificate": open(f"{folder}/cert.pem").read()})}
    server.api("DELETE", "/api/v1/nodes/outside")
    server.apply(outside)
    peer = json.loads(nodes[2].node()["metadata"]["annotations"]["models.ome.io/peer"])
    other = ssl.create_default_context(cadata=peer["certificate"])
    other.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    wait_for("an answer to one that it belongs on", lambda: ask(peer, other, "inside") == 200)


def main():
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        scenario.install(server)
        os.makedirs(folder + "/hub")
        hub = Hub(folder + "/hub")
        line = Line(hub.port)
        nodes = []
        for i in range(NODES):
            server.apply(agents.node(f"node-{i}", group="many", one=str(i)))
            nodes.append(Agent(server, folder, f"node-{i}", line.url).start())
        share = once_for_all(server, hub, line, nodes)
        late = latecomer(server, folder, hub, line, nodes)
        slow_origin(server, hub, line, nodes)
        dying(server, hub, line, nodes)
        lying(server, hub, line, nodes)
        dropped(server, hub, line, nodes)
        passed_on(server, folder, hub, line, nodes)
        strangers(server, folder, nodes)
        for a in nodes:
            a.stop()
        for a in list(capped(server, folder, hub, line)):
            a.stop()
        hub.stop()
    print(f"{NODES} nodes: {share:.3f} of the model left the origin; {late} bytes for one that came later")


if __name__ == "__main__":
    sys.exit(main())
