#!/usr/bin/env python3
"""A node's store of 25 MiB and models of 10: the third makes the one go that nobody has used longest, never one that a
pod or a service uses; the label says so, across restarts; it comes back when a service names it; what cannot be had
waits or is refused, with numbers; what is reserved outlives its model; what waits comes when the store is given more.
"""

import json
import os
import random
import sys

import agents
import scenario
from agents import Agent
from scenario import Hub, wait_for

MIB = 1 << 20
MODELS = "/apis/ome.io/v1beta1/clusterbasemodels"


def make_model(hub, name, mib):
    noise = random.Random(name)
    return scenario.write_files(f"{hub.folder}/test/{name}", {
        "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
        "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(mib * MIB - 10)})


def model(name):
    return scenario.model(name, f"hf://test/{name}")


def service(name):
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
            "metadata": {"name": f"of-{name}"},
            "spec": {"model": {"name": name}, "engine": {"minReplicas": 0}}}


def pod_of(name):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"uses-{name}"},
            "spec": {"nodeName": "small", "nodeSelector": {f"models.ome.io/clusterbasemodel.{name}": "Ready"},
                     "containers": [{"name": "c", "image": "none"}]}}


class Node:
    def __init__(self, server, folder, hub):
        self.server, self.limit = server, 25 * MIB
        self.agent = Agent(server, folder, "small", hub.url, options=("--store-capacity", "25Mi"))

    def entry(self, name):
        data = (self.server.find(f"/api/v1/namespaces/{self.server.ome_ns}/configmaps/small") or {}).get("data", {})
        return json.loads(data.get(f"clusterbasemodel.{name}", "{}"))

    def says(self, name):
        """The state of a model where label and record agree, else None."""
        label, status = self.agent.label(name), self.entry(name).get("status")
        return label if label == status else None

    def wait(self, **states):
        wait_for(f"{states}", lambda: all(self.says(n) == s for n, s in states.items()))
        for name, state in states.items():
            here = os.path.exists(self.agent.folder_of(name) + "/model.safetensors")
            assert here == (state == "Ready"), f"{name} is {state}, its files are {'there' if here else 'gone'}"
        size = self.size()
        assert size <= self.limit, f"the store has {size} bytes"

    def size(self):
        blobs = f"{self.agent.store}/blobs"
        return sum(os.stat(os.path.join(at, f)).st_size for at, _, files in os.walk(blobs) for f in files)


def least_recently_used_goes(server, node):
    for name in ("one", "two"):
        server.apply(model(name))
        node.wait(**{name: "Ready"})
    server.apply(pod_of("one"))
    server.apply(model("three"))
    node.wait(one="Ready", two="Evicted", three="Ready")
    assert "comes back" in node.entry("two")["message"], node.entry("two")
    events = server.api("GET", "/api/v1/events")["items"]
    evicted = [e["involvedObject"]["uid"] for e in events if e["reason"] == "ModelEvicted"]
    uid = lambda name: server.find(f"{MODELS}/{name}")["metadata"]["uid"]
    assert uid("two") in evicted and not {uid("one"), uid("three")} & set(evicted), events


def stays_evicted_across_a_restart(server, node):
    """A label that is wrong when the agent starts shows that it has looked."""
    node.agent.stop()
    server.api("PATCH", "/api/v1/nodes/small", {"metadata": {"labels": {"models.ome.io/clusterbasemodel.two": "Ready"}}},
               "application/merge-patch+json")
    node.agent.start()
    node.wait(one="Ready", two="Evicted", three="Ready")
    assert node.agent.fetched("origin") == 0


def comes_back_when_wanted(server, node):
    server.apply(service("two"))
    node.wait(one="Ready", two="Ready", three="Evicted")


def waits_with_numbers(server, node):
    """A pod and a service use what is there: nothing goes, and what is wanted waits and says why; then it comes."""
    server.apply(service("three"))
    wait_for("three to wait", lambda: node.entry("three").get("message", "").startswith("waiting"))
    said = node.entry("three")["message"]
    assert "it needs 10" in said and "of the store's 25" in said and "have 20" in said, said
    node.wait(one="Ready", two="Ready", three="Updating")
    server.api("DELETE", server.path_of(service("two")))
    node.wait(one="Ready", two="Evicted", three="Ready")


def refuses_what_is_too_large(server, node):
    server.apply(model("four"))
    node.wait(one="Ready", four="Failed", three="Ready")
    entry = node.entry("four")
    assert entry["cause"] == "NoSpace" and "30" in entry["message"] and "25" in entry["message"], entry
    server.api("DELETE", f"{MODELS}/four")
    wait_for("four to go", lambda: node.agent.label("four") is None)


def reserved_outlives_its_model(server, node):
    reserved = model("one")
    reserved["metadata"]["labels"] = {"models.ome/reserve-model-artifact": "TRUE"}
    server.apply(reserved)
    wait_for("one to be nobody's", lambda: json.load(open(
        f"{node.agent.store}/references/clusterbasemodel.one.json"))["owned"] is False)
    server.api("DELETE", server.path_of(pod_of("one")) + "?gracePeriodSeconds=0")
    server.api("DELETE", f"{MODELS}/one")
    wait_for("one to go", lambda: node.agent.label("one") is None and not node.entry("one"))
    node.agent.stop()
    node.agent.start()
    wait_for("three to be looked at", lambda: node.says("three") == "Ready")
    assert os.path.exists(node.agent.folder_of("one") + "/model.safetensors")
    server.apply(model("one"))
    node.wait(one="Ready", three="Ready")
    assert node.agent.fetched("origin") == 0, node.agent.said()


def comes_when_the_store_is_given_more(server, node):
    """No model comes or goes: what waits hears of the room alone."""
    for name in ("one", "two"):
        server.apply(service(name))
    wait_for("two to wait", lambda: node.entry("two").get("message", "").startswith("waiting"))
    node.limit = 45 * MIB
    server.api("PATCH", "/api/v1/nodes/small", {"metadata": {"annotations": {"models.ome.io/store-capacity": "45Mi"}}},
               "application/merge-patch+json")
    node.wait(one="Ready", two="Ready", three="Ready")


def main():
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        scenario.install(server)
        os.makedirs(folder + "/hub")
        hub = Hub(folder + "/hub")
        for name, mib in (("one", 10), ("two", 10), ("three", 10), ("four", 30)):
            make_model(hub, name, mib)
        server.apply(agents.node("small"))
        node = Node(server, folder, hub)
        node.agent.start()
        least_recently_used_goes(server, node)
        stays_evicted_across_a_restart(server, node)
        comes_back_when_wanted(server, node)
        waits_with_numbers(server, node)
        refuses_what_is_too_large(server, node)
        reserved_outlives_its_model(server, node)
        comes_when_the_store_is_given_more(server, node)
        node.agent.stop()
        hub.stop()
    print("evicted, came back, waited, refused, reserved, given more; never more than it may have")


if __name__ == "__main__":
    sys.exit(main())
