#!/usr/bin/env python3
"""A model's Secret on its way to the node that brings the model, in a cluster and in `ome up`: only there, only while it is needed,
renewed when the Secret or the agent changes, and in no argv, environment, log, event, metric, object or file on the way.
"""

import base64
import hashlib
import json
import os
import sys
import threading
import urllib.request

import agents
import scenario
from agents import Agent
from faulty_hub import Answer, FaultyHub
from scenario import MODEL, Controller, Platform, wait_for

CANARY = "hf_Canary7Kp2vXq9LmTzRw4BsYd8"
CONFIGMAPS = "/api/v1/namespaces/{}/configmaps"
LISTS = ("/api/v1/configmaps", "/api/v1/events", "/api/v1/nodes", "/api/v1/pods", "/api/v1/services",
         "/apis/ome.io/v1beta1/clusterbasemodels", "/apis/coordination.k8s.io/v1/leases")
ENTRY = "clusterbasemodel.private"


def spellings(secret):
    """SECRET as it is and as base64 would have it inside whatever text."""
    yield secret.encode()
    for before in range(3):
        whole = base64.b64encode(b"-" * before + secret.encode() + b"-" * (-(before + len(secret)) % 3))
        yield whole[4 if before else 0:-4]


SPELLINGS = tuple(spellings(CANARY))


def assert_clean(what, data):
    for spelling in SPELLINGS:
        assert spelling not in data, f"the canary is in {what}"
    return len(data)


class PrivateHub(FaultyHub):
    """Wants the canary for everything; holds files back until `open` is set."""

    def __init__(self):
        contents = {"config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
                    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(range(256)) * 4096}
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
        self.open = threading.Event()
        super().__init__(contents, digests, fault=self.hold)

    def serve(self, request):
        if request.headers.get("Authorization") != "Bearer " + CANARY:
            raise Answer(401)
        super().serve(request)

    def hold(self, request, *_):
        """Of each file the first half comes, for as long as the hub is not open."""
        self.open.wait(scenario.DEADLINE)


def model():
    document = scenario.model("private", "hf://test/model")
    document["spec"]["storage"].update({"key": "hub", "nodeSelector": {"pool": "a"}})
    return document


def put_secret(server, token):
    server.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub", "namespace": server.ome_ns},
                  "data": {"token": base64.b64encode(token.encode()).decode()}})


def handovers(server):
    return server.api("GET", CONFIGMAPS.format(server.ome_ns) + "?labelSelector=models.ome.io/credential=true")["items"]


def entry(server, node):
    data = (server.find(f"{CONFIGMAPS.format(server.ome_ns)}/{node}") or {}).get("data", {})
    return json.loads(data.get(ENTRY, "{}"))


def all_files(folder):
    """All but the API server's database."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names if not name.startswith("store.db"))


def search(server, folder, processes, ports):
    """Looks for the canary wherever somebody could read it; the Secret itself, in the API server's database, is where it belongs."""
    seen = 0
    for process in processes:
        group = [process.pid] + [int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) == process.pid]
        for pid in group:
            for name in ("cmdline", "environ"):
                seen += assert_clean(f"{name} of {pid}", open(f"/proc/{pid}/{name}", "rb").read())
    for path in LISTS:
        found = server.api("GET", path)["items"]
        seen += assert_clean(path, json.dumps(found).encode())
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=scenario.DEADLINE) as answer:
            text = answer.read()
        assert b"\nome_" in text or b"\nmodel_agent_" in text or b"\nprocess_" in text, text[:200]
        seen += assert_clean("metrics", text)
    files = 0
    for path in all_files(folder):
        if os.path.isfile(path):
            seen += assert_clean(path, open(path, "rb").read())
            files += 1
    return seen, files


def parent_of(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def pretend(server, node):
    """What an agent that is not entitled could write: that it brings the model, and a key of its own."""
    record = server.find(f"{CONFIGMAPS.format(server.ome_ns)}/n1")
    server.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": node, "namespace": server.ome_ns, "labels": {"models.ome/basemodel-status": "true"},
        "annotations": {"models.ome.io/credential-key": record["metadata"]["annotations"]["models.ome.io/credential-key"]}},
        "data": {ENTRY: json.dumps({"name": "private", "status": "Updating"})}})


def in_a_cluster(folder, server, log, hub):
    scenario.install(server)
    for name, pool in (("n1", "a"), ("n2", "b")):
        server.apply(agents.node(name, pool=pool))
    manager = Controller(server)
    first = Agent(server, folder, "n1", hub.url).start()
    server.apply(model())
    found = wait_for("the missing Secret to be named", lambda: entry(server, "n1").get("cause") and entry(server, "n1"))
    assert found["cause"] == "NotFound" and "spec.storage.key" in found["message"] and "hub" in found["message"], found
    pretend(server, "n2")
    put_secret(server, "wrong")
    wait_for("the wrong token to be refused", lambda: entry(server, "n1").get("cause") == "Unauthorised")
    put_secret(server, CANARY)
    wait_for("the changed Secret to be used", lambda: hub.count > 0)
    (handed,) = handovers(server)
    annotations = handed["metadata"]["annotations"]
    assert annotations["models.ome.io/node-name"] == "n1" and set(handed["data"]) == {"sealed", "expires"}, handed
    seen, files = search(server, folder, [first.process, manager.process], [first.port, manager.port])
    before = hub.count
    first.kill()  # and another one comes, with another key, while the controller's hand-over is for the one before
    first = Agent(server, folder, "n1", hub.url).start()
    wait_for("the new agent to be served", lambda: hub.count > before)
    (handed,) = handovers(server)
    assert handed["metadata"]["annotations"]["models.ome.io/credential-key"] != annotations["models.ome.io/credential-key"]
    hub.open.set()
    wait_for("the label", lambda: first.label("private") == "Ready")
    wait_for("the hand-over to be taken back", lambda: not handovers(server))
    more, _ = search(server, folder, [first.process, manager.process], [first.port, manager.port])
    if server.process:  # one that is ours to write an audit log
        secrets = [r["verb"] for r in audit(log, "agent") if r["objectRef"]["resource"] == "secrets"]
        assert not secrets, f"the agent asked for a Secret: {secrets}"
    manager.stop()
    first.stop()
    without_controller(server, folder, hub)
    server.api("DELETE", MODEL + "private")
    print(f"cluster: {seen + more} bytes of objects, metrics, logs and {files} files without the canary")


def audit(log, part):
    with open(log) as lines:
        return [e for e in map(json.loads, lines) if f"({part})" in e["userAgent"]]


def without_controller(server, folder, hub):
    """What is here stays Ready; what is not says who is missing."""
    second = Agent(server, folder, "n1", hub.url).start()
    server.apply({**model(), "metadata": {"name": "late"}})
    late = lambda: json.loads(server.find(f"{CONFIGMAPS.format(server.ome_ns)}/n1")["data"].get("clusterbasemodel.late", "{}"))
    found = wait_for("the missing controller to be named", lambda: late().get("cause") and late())
    assert found["cause"] == "Unreachable" and "ome controller" in found["message"], found
    assert second.label("private") == "Ready"
    second.stop()
    server.api("DELETE", MODEL + "late")


def on_one_machine(folder, hub):
    platform = Platform(folder, hub).start()
    put_secret(platform, CANARY)
    (node,) = platform.api("GET", "/api/v1/nodes")["items"]
    platform.api("PATCH", f"/api/v1/nodes/{node['metadata']['name']}", {"metadata": {"labels": {"pool": "a"}}},
                 "application/merge-patch+json")
    platform.apply(model())
    wait_for("the model", lambda: (platform.find(MODEL + "private") or {}).get("status", {}).get("state") == "Ready")
    seen, files = search(platform, folder, [platform.process], [])
    wait_for("the hand-over to be taken back", lambda: not handovers(platform))
    platform.stop()
    print(f"ome up: {seen} bytes of objects, logs and {files} files without the canary")


def main():
    assert_clean("a check of the check", b"nothing")
    for text in (CANARY, "x" + CANARY, "xy" + CANARY):
        try:
            assert_clean("", base64.b64encode(text.encode() + b"!!"))
        except AssertionError:
            continue
        raise AssertionError("the search does not find what it looks for")
    with scenario.scratch() as folder:
        with PrivateHub() as hub:
            cluster, log = folder + "/cluster", folder + "/cluster/audit.log"
            os.makedirs(cluster)
            with scenario.served(cluster, "--audit-log-path", log) as server:
                in_a_cluster(cluster, server, log, hub)
            on_one_machine(folder + "/up", hub)
    print("credentials: all true")


if __name__ == "__main__":
    sys.exit(main())
