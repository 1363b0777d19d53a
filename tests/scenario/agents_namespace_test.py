#!/usr/bin/env python3
"""A namespace with BaseModels can be deleted, whatever became of its models and of the nodes that have them: ready, disabled, failed,
on their way, pinned, on a claim, with long names; on nodes whose agent runs, has stopped or was killed, or that are gone; with
the controller there or only later. What is on its way is shown. What is left on a node goes when its agent is back.
"""

import json
import os
import re
import sys

import agents
import scenario
from agents import Agent
from scenario import Controller, Hub, Line, wait_for

REPOSITORY = {"config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
              "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(1000)}
LONG = "a-model-with-a-name-of-more-letters-than-a-label-has-room-for"
MERGE = "application/merge-patch+json"


def model(ns, name, uri="hf://test/m", seconds=None, **annotations):
    if seconds is not None:
        annotations["ome.io/deletion-deadline-seconds"] = str(seconds)
    return {"apiVersion": "ome.io/v1beta1", "kind": "BaseModel",
            "metadata": {"name": name, "namespace": ns, "annotations": annotations},
            "spec": {"storage": {"storageUri": uri}}}


class World:
    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        scenario.install(self.server)
        scenario.write_files(folder + "/hub/test/m", REPOSITORY)
        scenario.write_files(folder + "/hub/test/slow", dict(REPOSITORY, big=os.urandom(8 << 20)))
        self.hub = Hub(folder + "/hub")
        self.line = Line(self.hub.port)
        self.controller = Controller(self.server)
        self.nodes = {}
        for name in ("runs", "stopped", "killed", "gone"):
            self.server.apply(agents.node(name))
            self.nodes[name] = Agent(self.server, folder, name, self.line.url, options=("--peer-address", "")).start()

    def record(self, node):
        return (self.server.find(f"/api/v1/namespaces/{self.server.ome_ns}/configmaps/{node}") or {}).get("data", {})

    def labels(self, node):
        found = self.server.find(f"/api/v1/nodes/{node}")["metadata"].get("labels", {})
        return {k: v for k, v in found.items() if k.startswith("models.ome.io/")}

    def is_clean(self, node):
        """Nothing of any model is said there, and nothing is on its disk."""
        folder = self.nodes[node].store + "/models"
        left = os.listdir(folder) if os.path.isdir(folder) else []
        return not self.record(node) and not self.labels(node) and not left

    def create(self, *documents):
        self.server.create_namespace(documents[0]["metadata"]["namespace"])
        for document in documents:
            self.server.apply(document)

    def ready(self, count):
        for node in self.nodes:
            wait_for(f"{count} models on {node}", lambda: list(self.labels(node).values()).count("Ready") == count)

    def delete(self, ns):
        self.server.api("DELETE", f"/api/v1/namespaces/{ns}")

    def is_gone(self, ns):
        return self.server.find(f"/api/v1/namespaces/{ns}") is None


def with_all_agents(w):
    """Nobody has to wait for a deadline."""
    w.create(model("quick", "plain"), model("quick", LONG), model("quick", "absent", "hf://test/absent"),
             model("quick", "claimed", "pvc://disk/llama"), model("quick", "pinned", **{"ome.io/pin": "true"}))
    w.ready(3)
    w.line.hold = w.line.passed + (1 << 20)
    w.server.apply(model("quick", "coming", "hf://test/slow"))
    wait_for("one on its way", lambda: "Updating" in w.labels("runs").values())
    w.delete("quick")
    wait_for("the namespace to go", lambda: w.is_gone("quick"))
    for node in w.nodes:
        wait_for(f"{node} to be empty", lambda: w.is_clean(node))
    w.line.hold = 0
    w.line.release()


def while_it_comes(w):
    """What `kubectl get` shows of a model that is on its way, in the columns of the CRD."""
    w.create(model("slow", "coming", "hf://test/slow"))
    w.line.rate = 128 << 10

    def shown():
        table = json.loads(w.server.raw("GET", "/apis/ome.io/v1beta1/namespaces/slow/basemodels/coming",
                                        accept="application/json;as=Table;v=v1;g=meta.k8s.io")[1])
        row = dict(zip((c["name"] for c in table["columnDefinitions"]), table["rows"][0]["cells"]))
        told = [str(row[name] or "") for name in ("Ready", "Nodes", "Bytes", "Percent", "ETA")]
        return re.fullmatch(r"In_Transit 0/0/4 [0-9.]+ [KM]iB/[0-9.]+ MiB [1-9][0-9]? [0-9ms]+", " ".join(told)) and told
    print("on its way:", *wait_for("nodes, bytes, percent and time left", shown))
    w.line.rate = 0
    w.ready(1)
    w.delete("slow")
    wait_for("the namespace to go", lambda: w.is_gone("slow"))
    for node in w.nodes:
        wait_for(f"{node} to be empty", lambda: w.is_clean(node))


def with_nodes_that_went(w):
    deadline = {"seconds": 2}
    w.create(*(model("team", name, **deadline) for name in ("plain", "off", LONG)))
    w.ready(3)
    for name in ("killed", "gone"):
        w.nodes[name].kill()
    w.nodes["stopped"].stop()
    w.server.api("DELETE", "/api/v1/nodes/gone")
    w.server.api("PATCH", "/apis/ome.io/v1beta1/namespaces/team/basemodels/off", {"spec": {"disabled": True}}, MERGE)
    w.delete("team")
    wait_for("the namespace to go", lambda: w.is_gone("team"))
    wait_for("the node whose agent runs to be empty", lambda: w.is_clean("runs"))
    wait_for("the record of the node that is gone to be released", lambda: not w.record("gone"))
    assert w.record("killed") and w.record("stopped")
    w.server.apply(agents.node("gone"))
    for name in ("stopped", "killed", "gone"):
        w.nodes[name].start()
        wait_for(f"{name} to be empty", lambda: w.is_clean(name))


def with_a_controller_that_comes_later(w):
    w.create(model("late", "plain"))
    w.ready(1)
    w.controller.stop()
    w.delete("late")
    for node in w.nodes:
        wait_for(f"{node} to let go", lambda: w.is_clean(node))
    assert not w.is_gone("late")
    w.controller = Controller(w.server)
    wait_for("the namespace to go", lambda: w.is_gone("late"))


def main():
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        w = World(folder, server)
        with_all_agents(w)
        while_it_comes(w)
        with_nodes_that_went(w)
        with_a_controller_that_comes_later(w)
        for agent in w.nodes.values():
            agent.stop()
        w.controller.stop()
        w.hub.stop()
    print("four namespaces deleted, nothing left")


if __name__ == "__main__":
    sys.exit(main())
