#!/usr/bin/env python3
"""What a node's label and record say is what is on its disk, both ways, within five seconds: after somebody edits the label or the
record, files go, bits change behind a file's times, the record is deleted, the agent starts anew, the node goes and comes
back. A model on a claim is nobody's to bring; one for an accelerator class is on the nodes of that class.
"""

import json
import os
import subprocess
import sys
import time

import agents
import scenario
from agents import Agent
from scenario import DEADLINE, MODEL, OME, Controller, Hub, wait_for

TRUTH = DEADLINE / 12  # 5 s, more under sanitizers
NODE = "/api/v1/nodes/n"
LABEL = "models.ome.io/clusterbasemodel."
MERGE = "application/merge-patch+json"
REPOSITORY = {"config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
              "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(range(256)) * 8192}


class World:
    def __init__(self, folder, server):
        self.server = server
        self.record = f"/api/v1/namespaces/{server.ome_ns}/configmaps/n"
        scenario.install(self.server)
        self.controller = Controller(self.server)
        self.origin = folder + "/hub/test/m"
        self.digests = scenario.write_files(self.origin, REPOSITORY)
        self.hub = Hub(folder + "/hub")
        self.server.apply(agents.node("n"))
        self.agent = Agent(self.server, folder, "n", self.hub.url, options=("--peer-address", "", "--scrub-every", "1s"))
        self.agent.start()
        self.longest = 0.0

    def entry(self, name="m"):
        """What the record says of a model; {} where that is nothing, or nonsense."""
        data = (self.server.find(self.record) or {}).get("data", {})
        try:
            return json.loads(data.get("clusterbasemodel." + name, "{}"))
        except ValueError:
            return {}

    def says(self, name="m"):
        """What label and record agree on; "" is nothing; None where they do not."""
        node = self.server.find(NODE) or {"metadata": {}}
        label = node["metadata"].get("labels", {}).get(LABEL + name, "")
        return label if label == self.entry(name).get("status", "") else None

    def soon(self, what, condition):
        begin = time.monotonic()
        wait_for(what, condition, TRUTH)
        self.longest = max(self.longest, time.monotonic() - begin)

    def path(self):
        return self.agent.folder_of("m") + "/model.safetensors"

    def is_whole(self):
        try:
            scenario.check_files(self.agent.folder_of("m"), self.digests)
        except (AssertionError, FileNotFoundError):
            return False
        return True

    def hide(self):
        """The model cannot be had any more."""
        os.rename(self.origin, self.origin + "-hidden")

    def show(self):
        """It can: once the files are there, it is Ready soon."""
        os.rename(self.origin + "-hidden", self.origin)
        wait_for("the files to come back", self.is_whole)
        self.soon("it to be Ready again", lambda: self.says() == "Ready")

    def restart(self, meanwhile):
        """An agent that starts anew and what happens while there is none."""
        lives = self.agent.said().count("keeping models")
        self.agent.kill()
        meanwhile()
        self.agent.start()
        wait_for("the agent to start", lambda: self.agent.said().count("keeping models") > lives)


def labels(w):
    for value in ("Failed", "Updating", None):
        w.server.api("PATCH", NODE, {"metadata": {"labels": {LABEL + "m": value}}}, MERGE)
        w.soon(f"the label, made {value}, to be right", lambda: w.says() == "Ready")
    w.server.api("PATCH", NODE, {"metadata": {"labels": {LABEL + "ghost": "Ready"}}}, MERGE)
    w.soon("the label of no model to go", lambda: w.says("ghost") == "")


def records(w):
    for text in (None, "nonsense", json.dumps({"name": "m", "status": "Failed"})):
        w.server.api("PATCH", w.record, {"data": {"clusterbasemodel.m": text}}, MERGE)
        w.soon(f"the record, made {text}, to be right", lambda: w.says() == "Ready" and w.entry().get("config"))
    w.server.api("DELETE", w.record)
    w.soon("the record to be back", lambda: w.says() == "Ready")


def files(w):
    w.hide()
    os.remove(w.path())
    w.soon("a file that went to be missed", lambda: w.says() not in (None, "Ready"))
    w.show()


def bits(w):
    """Size and times stay: only reading finds it. The agent reads everything once a second. Two models have these bytes."""
    w.server.apply(scenario.model("twin", "hf://test/m"))
    wait_for("another model of the same files", lambda: w.says("twin") == "Ready")
    w.hide()
    before = os.stat(w.path())
    os.chmod(w.path(), 0o644)
    with open(w.path(), "r+b") as data:
        data.seek(100_000)
        data.write(b"wrong")
    os.utime(w.path(), ns=(before.st_atime_ns, before.st_mtime_ns))
    w.soon("wrong bits to be found", lambda: all(w.says(name) not in (None, "Ready") for name in ("m", "twin")))
    w.show()
    wait_for("the other model", lambda: w.says("twin") == "Ready")
    w.server.api("DELETE", MODEL + "twin")
    wait_for("it to go", lambda: w.server.find(MODEL + "twin") is None and w.says("twin") == "")


def restarts(w):
    """Nothing is said of a node whose agent finds all as it was: its object is not even written."""
    version = w.server.find(NODE)["metadata"]["resourceVersion"]
    w.restart(lambda: w.server.api("DELETE", w.record))  # that it is there again shows that the agent has looked
    w.soon("the record of a new agent", lambda: w.says() == "Ready")
    assert w.server.find(NODE)["metadata"]["resourceVersion"] == version, w.server.find(NODE)
    w.restart(lambda: w.server.api("PATCH", NODE, {"metadata": {"labels": {LABEL + "m": "Failed", LABEL + "ghost": "Ready"}}}, MERGE))
    w.soon("labels to be right after a start", lambda: w.says() == "Ready" and w.says("ghost") == "")
    w.hide()
    w.restart(lambda: os.remove(w.path()))
    w.soon("a start to miss a file", lambda: w.says() not in (None, "Ready"))
    w.show()


def nodes(w):
    w.server.api("DELETE", NODE)
    wait_for("the record to be released", lambda: w.server.find(w.record) is None)
    w.server.apply(agents.node("n"))
    w.soon("the node that is back to have its label", lambda: w.says() == "Ready")
    w.server.api("DELETE", NODE)
    w.server.api("DELETE", MODEL + "m")
    wait_for("the model not to wait for a node that is gone", lambda: w.server.find(MODEL + "m") is None)
    w.server.apply(agents.node("n"))
    w.soon("what was deleted meanwhile to be gone", lambda: w.says() == "" and not os.path.exists(w.agent.folder_of("m")))


def claims(w):
    """Another model that comes after it shows that the agent has looked at it."""
    w.server.apply(scenario.model("claimed", "pvc://claims:disk/llama"))
    w.server.apply(scenario.model("m", "hf://test/m"))
    wait_for("the model after it", lambda: w.says() == "Ready")
    found = wait_for("what is known of the claim", lambda: w.server.find(MODEL + "claimed").get("status", {}).get("conditions"))
    assert any(c["type"] == "SourceReachable" and c["reason"] == "PVCNotFound" for c in found), found
    assert w.says("claimed") == "" and not os.path.exists(w.agent.folder_of("claimed"))
    uid = w.server.find(MODEL + "claimed")["metadata"]["uid"]
    events = [e for e in w.server.api("GET", "/api/v1/events")["items"] if e["involvedObject"].get("uid") == uid]
    assert not [e for e in events if e["reason"].startswith("ModelDownload")], events
    w.server.api("DELETE", MODEL + "claimed")
    wait_for("it to go", lambda: w.server.find(MODEL + "claimed") is None)


def classes(w):
    """For an accelerator class: waits for it, then for the label that its nodes have, then for the device; keeps what it has while
    the device is away, and goes with the label."""
    name, gpu = "classy", "acme.com/gpu"
    capacity = lambda count: w.server.api("PATCH", NODE + "/status", {"status": {"capacity": {gpu: count}, "allocatable": {gpu: count}}}, MERGE)
    product = lambda value: w.server.api("PATCH", NODE, {"metadata": {"labels": {"acme.com/product": value}}}, MERGE)
    waits = lambda why: w.soon(why, lambda: why in w.entry(name).get("message", ""))
    w.server.apply({**scenario.model(name, "hf://test/m"), "metadata": {"name": name, "annotations": {"ome.io/accelerator-class": "acme-x1"}}})
    waits("there is no AcceleratorClass yet that is called acme-x1")
    w.server.apply({"apiVersion": "ome.io/v1beta1", "kind": "AcceleratorClass", "metadata": {"name": "acme-x1"}, "spec": {"capabilities": {},
        "discovery": {"nodeSelector": {"acme.com/product": "X1"}}, "resources": [{"name": gpu, "quantity": "1"}]}})
    w.soon("nothing of it on a node of another class", lambda: w.says(name) == "")
    product("X1")
    waits("the node has no devices yet of accelerator class acme-x1")
    capacity("8")
    w.soon("the model where its devices are", lambda: w.says(name) == "Ready")
    capacity("0")
    w.server.apply({**scenario.model("after", "hf://test/m")})  # who is Ready later has seen the node as it is
    w.soon("another model", lambda: w.says("after") == "Ready")
    assert w.says(name) == "Ready", w.entry(name)
    product(None)
    w.soon("it to go with the label", lambda: w.says(name) == "" and not os.path.exists(w.agent.folder_of(name)))
    for model in (name, "after"):
        w.server.api("DELETE", MODEL + model)


def usage():
    for wrong in ("0", "10ms", "often"):
        done = subprocess.run([OME, "agent", "--scrub-every", wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "--scrub-every" in done.stderr, done


def main():
    usage()
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        w = World(folder, server)
        w.server.apply(scenario.model("m", "hf://test/m"))
        wait_for("the model", lambda: w.says() == "Ready")
        for step in (labels, records, files, bits, restarts, nodes, claims, classes):
            step(w)
        w.agent.stop()
        w.controller.stop()
        w.hub.stop()
    print(f"labels and records as the disk, {w.longest:.1f} s at most")


if __name__ == "__main__":
    sys.exit(main())
