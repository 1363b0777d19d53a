#!/usr/bin/env python3
"""What `ome controller` asks of an API server, whichever it is: services become their objects, field by field those of
`ome render`; what is edited or deleted by hand comes back; what somebody else has under a name of ours stays as it is, and
nothing is half made beside it; fields of others stay; a service that goes takes all of it along; a start of what is settled
writes nothing. OME_TEST_KUBECONFIG names the server, else one of our own is started."""

import rendered
import scenario
from scenario import Controller, install, is_ready, wait_for

MERGE = "application/merge-patch+json"


def service_path(server, name):
    return f"{rendered.services(server)}/{name}"


def child(server, kind, name):
    return f"{rendered.CHILDREN[kind].format(rendered.space(server))}/{name}"


def conditions(server, name):
    found = (server.find(service_path(server, name)) or {}).get("status", {}).get("conditions", [])
    return {c["type"]: c for c in found}


def documents():
    model = scenario.model("any-tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf-any"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    runtime = scenario.runtime("any-engine")
    runtime["spec"]["supportedModelFormats"][0]["modelFormat"]["name"] = "gguf-any"
    return model, runtime, scenario.service("chat", "any-tiny"), scenario.service("other", "any-tiny")


def heals(server, folder):
    deployment = child(server, "Deployment", "chat-engine")
    uid = server.api("GET", deployment)["metadata"]["uid"]
    server.api("PATCH", deployment, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}, MERGE)
    server.api("DELETE", child(server, "Service", "chat-engine"))
    # A deleted one comes back as another; one of the same name that was only changed stays the same.
    wait_for("the Service again", lambda: server.find(child(server, "Service", "chat-engine")))
    rendered.settled(server, folder, "edits by hand")
    assert server.api("GET", deployment)["metadata"]["uid"] == uid


def respects_others(server, folder):
    """Their objects, and their fields in ours."""
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken"},
              "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
    server.api("POST", f"/api/v1/namespaces/{server.ns}/services", theirs)
    before = server.api("GET", child(server, "Service", "taken"))
    server.apply(scenario.service("taken", "any-tiny"))
    wait_for("the clash to be said", lambda: "NameConflict" in [c.get("reason") for c in conditions(server, "taken").values()])
    assert not server.find(child(server, "Deployment", "taken-engine")), "something is half made"
    assert server.api("GET", child(server, "Service", "taken")) == before, "somebody else's object was written to"
    server.api("DELETE", service_path(server, "taken"))
    server.api("DELETE", child(server, "Service", "taken"))
    wait_for("it to go", lambda: not server.find(service_path(server, "taken")))
    note = {"apiVersion": "v1", "kind": "Service", "metadata": {
        "name": "chat-engine", "annotations": {"example.com/visited": "yes"}}}
    server.api("PATCH", child(server, "Service", "chat-engine") + "?fieldManager=visitor", note, "application/apply-patch+yaml")
    server.api("PATCH", service_path(server, "chat"), {"spec": {"engine": {"maxReplicas": 3}}}, MERGE)
    wait_for("the change", lambda: (server.find(child(server, "HorizontalPodAutoscaler", "chat-engine")) or {}).get(
        "spec", {}).get("maxReplicas") == 3)
    rendered.settled(server, folder, "a change")
    assert server.api("GET", child(server, "Service", "chat-engine"))["metadata"]["annotations"]["example.com/visited"] == "yes"


def follows_status(server):
    """The service is ready when its workload is: told by us where nobody else runs it."""
    path = child(server, "Deployment", "chat-engine")
    server.api("PATCH", path + "/status", {"status": {
        "observedGeneration": server.api("GET", path)["metadata"]["generation"], "replicas": 1, "readyReplicas": 1,
        "availableReplicas": 1, "updatedReplicas": 1, "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]}}, MERGE)
    wait_for("the service to be ready", lambda: is_ready(server.find(service_path(server, "chat"))))


def versions(server):
    """Of the children and of the services, by kind and name."""
    found = {key: o["metadata"]["resourceVersion"] for key, o in rendered.children(server).items()}
    found.update({("InferenceService", o["metadata"]["name"]): o["metadata"]["resourceVersion"]
                  for o in rendered.items(server, rendered.services(server))})
    return found


def starts_without_a_write(server, first):
    first.stop()
    before = versions(server)
    second = Controller(server)
    wait_for("the second controller", second.ready)
    server.apply(scenario.service("later", "nobody"))
    wait_for("a later service", lambda: conditions(server, "later"))  # the others have been looked at by then
    after = versions(server)
    after.pop(("InferenceService", "later"))
    assert after == before, {key for key in before if after.get(key) != before[key]}
    return second


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        for document in documents():
            server.apply(document)
        wait_for("a Deployment", lambda: server.find(child(server, "Deployment", "other-engine")))
        rendered.settled(server, folder, "the beginning")
        heals(server, folder)
        respects_others(server, folder)
        if not server.attended:  # a cluster's own controllers say how its workloads are
            follows_status(server)
        controller = starts_without_a_write(server, controller)
        for name in ("chat", "other", "later"):
            server.api("DELETE", service_path(server, name))
            wait_for(f"{name} to go", lambda name=name: not server.find(service_path(server, name)))
        controller.stop()
    print("any server: all true")


if __name__ == "__main__":
    main()
