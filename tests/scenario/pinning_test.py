#!/usr/bin/env python3
"""Services that keep what their runtime said (runtime.autoSync: false): the pin, drift, advance by token, a revision by
name, a runtime that is gone, and which revisions are removed."""

import json
import subprocess

import scenario
from scenario import OME, Controller, install, wait_for

SERVICE = "/apis/ome.io/v1beta1/namespaces/{}/inferenceservices/"
RUNTIME = "/apis/ome.io/v1beta1/clusterservingruntimes/engine"
DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/{}-engine"
REVISIONS = "/apis/apps/v1/namespaces/{}/controllerrevisions"


def runtime(image):
    r = scenario.runtime("engine")
    r["spec"]["engineConfig"]["runner"]["image"] = image
    return r


def service(name, sync=None, **pin):
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
            "metadata": {"name": name, "annotations": {"ome.io/runtime-sync": sync} if sync else {}},
            "spec": {"model": {"name": "tiny"}, "engine": {}, "runtime": {"name": "engine", **pin}}}


def model():
    m = scenario.model("tiny", "hf://example/tiny")
    m["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    m["spec"]["storage"]["path"] = "/models/tiny"
    return m


class Cluster:
    def __init__(self, server):
        self.server = server

    def image(self, name):
        found = self.server.find(DEPLOYMENT.format(self.server.ns, name))
        return found and found["spec"]["template"]["spec"]["containers"][0]["image"]

    def status(self, name):
        return (self.server.find(SERVICE.format(self.server.ns) + name) or {}).get("status", {})

    def condition(self, name, kind):
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), None)

    def drift(self, name):
        return (self.condition(name, "RuntimeDrifted") or {}).get("reason")

    def revisions(self):
        return {r["metadata"]["name"]: r for r in self.server.find(REVISIONS.format(self.server.ome_ns))["items"]}

    def pinned(self, name, image):
        """The revision that NAME is pinned to, once it runs IMAGE."""
        wait_for(f"{name} at {image}", lambda: self.image(name) == image)
        return wait_for(f"the pin of {name}", lambda: self.status(name).get("pinnedRevisionName"))


def check_drift(c):
    """An edited runtime reaches who follows it, and who does not is told."""
    c.server.apply(runtime("server:1"))
    c.server.apply(service("follows"))
    c.server.apply(service("keeps", autoSync=False))
    first = c.pinned("keeps", "server:1")
    wait_for("the other", lambda: c.image("follows") == "server:1")
    assert c.status("follows").get("pinnedRevisionName") is None
    kept = c.revisions()[first]
    assert kept["data"]["spec"]["engineConfig"]["runner"]["image"] == "server:1" and kept["revision"] == 1, kept
    assert kept["metadata"]["labels"] == {"ome.io/runtime-of": "engine", "ome.io/runtime-of-kind": "ClusterServingRuntime",
                                          "ome.io/revision-hash": first[-8:]}, kept["metadata"]
    assert first == f"cr-engine-{first[-8:]}", first

    c.server.apply(runtime("server:2"))
    wait_for("the edit to arrive", lambda: c.image("follows") == "server:2")
    wait_for("the drift", lambda: c.drift("keeps") == "RevisionMismatch")
    said = c.condition("keeps", "RuntimeDrifted")
    assert said["status"] == "True", said
    assert said["message"] == f"pinned {first}, live spec differs; bump ome.io/runtime-sync annotation to advance", said
    assert c.image("keeps") == "server:1" and c.status("keeps")["pinnedRevisionName"] == first
    assert c.drift("follows") is None and len(c.revisions()) == 2, c.revisions().keys()
    return first


def check_explain(c, name, revision):
    done = subprocess.run([OME, "explain", "isvc", name, "--kubeconfig", c.server.kubeconfig, "--ome-namespace",
                           c.server.ome_ns, "-o", "json"],
                          capture_output=True, text=True, check=True)
    (record,) = json.loads(done.stdout)
    assert record["selected"] == c.status(name)["selection"]["selected"], record
    assert record["selected"]["revision"] == revision, record
    assert record["reason"] == f"the service names it, pinned to revision {revision}", record


def check_advance(c, first):
    """A new token advances once; the same token does not again."""
    c.server.apply(service("keeps", autoSync=False, sync="one"))
    second = c.pinned("keeps", "server:2")
    wait_for("the token", lambda: c.status("keeps").get("lastRuntimeSyncToken") == "one")
    wait_for("the end of the drift", lambda: c.drift("keeps") is None)
    assert c.status("keeps")["pinnedRevisionName"] != first
    c.server.apply(runtime("server:3"))
    wait_for("drift again", lambda: c.drift("keeps") == "RevisionMismatch")
    assert c.image("keeps") == "server:2"
    return second


def check_named(c, first):
    """A revision by name, back in time; names that cannot be; one that is not there."""
    c.server.apply(service("keeps", autoSync=False, revision=first))
    wait_for("the first again", lambda: c.image("keeps") == "server:1")
    wait_for("its drift", lambda: c.drift("keeps") == "RevisionMismatch")
    check_explain(c, "keeps", first)
    for wrong, reason, words in (
            ("engine-1", "RuntimeMismatch", 'spec.runtime.revision "engine-1" does not match the expected naming convention'
             ' for runtime "engine" (ClusterServingRuntime); expected the form cr-engine-<8 lowercase hex chars>'),
            ("cr-engine-00000000", "RevisionMissing", "pinned cr-engine-00000000, which is not there; "
             "change spec.runtime.revision to advance")):
        c.server.apply(service("keeps", autoSync=False, revision=wrong))
        wait_for(wrong, lambda r=reason: c.drift("keeps") == r)
        ready = c.condition("keeps", "RuntimeReady")
        assert (ready["status"], ready["reason"], ready["message"]) == ("False", "RuntimePinError", words), ready
        wait_for("the event", lambda w=words: [e for e in c.server.find(f"/api/v1/namespaces/{c.server.ns}/events")["items"]
                                               if e["reason"] == "RuntimePinError" and e["message"] == w])
        assert c.image("keeps") == "server:1"  # what runs stays as it is
    c.server.apply(service("keeps", autoSync=False, revision=first))
    wait_for("the first once more", lambda: (c.condition("keeps", "RuntimeReady") or {}).get("status") == "True")


def check_gone(c):
    """Without its runtime a pinned service goes on; one that follows does not change either, and says why."""
    c.server.api("DELETE", RUNTIME)
    wait_for("the drift", lambda: c.drift("keeps") == "SourceRuntimeMissing")
    assert c.condition("keeps", "RuntimeReady")["status"] == "True" and c.image("keeps") == "server:1"
    wait_for("the other's end", lambda: (c.condition("follows", "RuntimeReady") or {}).get("reason") == "RuntimeNotFound")


def check_collected(c, first):
    """Of many edits the newest two and what is in use stay."""
    for i in range(4, 9):
        c.server.apply(runtime(f"server:{i}"))
        wait_for(f"a revision of server:{i}", lambda n=i: any(
            r["data"]["spec"]["engineConfig"]["runner"]["image"] == f"server:{n}" for r in c.revisions().values()))
    c.server.apply(runtime("server:9"))
    images = {"server:1", "server:8", "server:9"}

    def left():
        return {r["data"]["spec"]["engineConfig"]["runner"]["image"] for r in c.revisions().values()}
    # One is marked when the next comes and goes when the next but one does.
    wait_for("the old ones to go", lambda: left() <= images | {"server:7"} and images <= left())
    assert first in c.revisions()


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        server.apply(model())
        options = ("--runtime-revision-retention", "2", "--runtime-revision-grace-period", "1ms")
        controller = Controller(server, *options)
        wait_for("the controller", controller.ready)
        c = Cluster(server)
        first = check_drift(c)
        check_advance(c, first)
        check_named(c, first)
        controller.stop()
        controller = Controller(server, *options)
        wait_for("the controller again", controller.ready)
        check_gone(c)
        check_collected(c, first)
        controller.stop()
    print("pinned, drifted, advanced, named, and collected")


if __name__ == "__main__":
    main()
