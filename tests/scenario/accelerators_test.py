#!/usr/bin/env python3
"""AcceleratorClasses against nodes and pods: what the status counts, that it is written only when it changes, and that
FirstAvailable goes where devices are free and then stays there."""

import scenario
from scenario import Controller, install, wait_for

CLASSES = "/apis/ome.io/v1beta1/acceleratorclasses/"
SERVICES = "/apis/ome.io/v1beta1/namespaces/{}/inferenceservices/"
PODS = "/api/v1/namespaces/{}/pods"


def node(name, product, devices, resource="nvidia.com/gpu", **spec):
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": product}}, "spec": spec,
            "status": {"capacity": {resource: str(devices)}, "allocatable": {resource: str(devices)}}}


def add_node(server, document):
    """With its status, which is not taken at creation."""
    made = server.api("POST", "/api/v1/nodes", document)
    server.removes(f"/api/v1/nodes/{made['metadata']['name']}")
    made["status"] = document["status"]
    server.api("PUT", f"/api/v1/nodes/{made['metadata']['name']}/status", made)


def pod(name, where, devices):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": where, "containers": [{"name": "c", "image": "x", "resources": {
                "limits": {"nvidia.com/gpu": str(devices)}}}]}}


def accelerator(name, product):
    return {"apiVersion": "ome.io/v1beta1", "kind": "AcceleratorClass", "metadata": {"name": name},
            "spec": {"vendor": "nvidia", "discovery": {"nodeSelector": {"nvidia.com/gpu.product": product}},
                     "capabilities": {"memoryGB": "80Gi"}, "resources": [{"name": "nvidia.com/gpu"}]}}


def documents():
    runtime = scenario.runtime("engine")
    runtime["spec"]["acceleratorRequirements"] = {"acceleratorClasses": ["big", "small"]}
    runtime["spec"]["engineConfig"]["runner"]["resources"] = {"limits": {"nvidia.com/gpu": "4"}}
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    return model, runtime


def service(name):
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
            "metadata": {"name": name},
            "spec": {"model": {"name": "tiny"}, "engine": {"minReplicas": 1, "maxReplicas": 1},
                     "acceleratorSelector": {"policy": "FirstAvailable"}}}


def status(server, name):
    return (server.find(CLASSES + name) or {}).get("status", {})


def counts(server, name):
    s = status(server, name)
    return s.get("nodes"), s.get("totalAccelerators"), s.get("availableAccelerators")


def await_counts(server, name, *expected):
    wait_for(f"{name}: {expected}", lambda: counts(server, name) == expected)


def chosen(server, name):
    found = (server.find(SERVICES.format(server.ns) + name) or {}).get("status", {}).get("components", {}).get("engine", {})
    return found.get("selectedAccelerator", {}).get("acceleratorClass")


def version(server, name):
    return server.find(CLASSES + name)["metadata"]["resourceVersion"]


def check_counts(server):
    server.apply(accelerator("big", "NVIDIA-H100-80GB-HBM3"))
    server.apply(accelerator("small", "NVIDIA-L4"))
    await_counts(server, "big", None, 0, 0)
    for document in (node("h1", "NVIDIA-H100-80GB-HBM3", 8), node("h0", "NVIDIA-H100-80GB-HBM3", 8),
                     node("l1", "NVIDIA-L4", 8), node("r1", "NVIDIA-L4", 8, "example.com/other")):
        add_node(server, document)
    await_counts(server, "big", ["h0", "h1"], 16, 16)
    await_counts(server, "small", ["l1"], 8, 8)
    server.api("POST", PODS.format(server.ns), pod("a", "h0", 6))
    server.api("POST", PODS.format(server.ns), pod("b", "h1", 8))
    await_counts(server, "big", ["h0", "h1"], 16, 2)


def check_silence(server):
    """What says nothing new about devices writes nothing: another pod, a heartbeat."""
    before = version(server, "big")
    quiet = pod("quiet", "h0", 0)
    quiet["spec"]["containers"][0]["resources"] = {}
    server.api("POST", PODS.format(server.ns), quiet)
    beat = server.find("/api/v1/nodes/h0")
    beat["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
    server.api("PUT", "/api/v1/nodes/h0/status", beat)
    # What follows is written after those were seen.
    server.api("POST", PODS.format(server.ns), pod("mark", "l1", 1))
    await_counts(server, "small", ["l1"], 8, 7)
    assert version(server, "big") == before, status(server, "big")


def check_choice(server, before):
    for document in documents():
        server.apply(document)
    server.apply(service("first"))
    wait_for("the class with four free", lambda: chosen(server, "first") == "small")
    assert version(server, "big") == before, "a new controller finds what is written"
    server.api("DELETE", PODS.format(server.ns) + "/b?gracePeriodSeconds=0")
    await_counts(server, "big", ["h0", "h1"], 16, 10)
    server.apply(service("second"))
    wait_for("the class that is free now", lambda: chosen(server, "second") == "big")
    assert chosen(server, "first") == "small", "a service stays on what it has"
    deployment = server.find(f"/apis/apps/v1/namespaces/{server.ns}/deployments/first-engine")
    assert deployment["spec"]["template"]["spec"]["nodeSelector"]["nvidia.com/gpu.product"] == "NVIDIA-L4", deployment


def check_nodes_that_go(server):
    spare = server.find("/api/v1/nodes/h1")
    spare["spec"] = {"unschedulable": True}
    server.api("PUT", "/api/v1/nodes/h1", spare)
    await_counts(server, "big", ["h0", "h1"], 16, 2)
    server.api("DELETE", "/api/v1/nodes/l1")
    await_counts(server, "small", None, 0, 0)
    wait_for("the service to leave a class without nodes", lambda: chosen(server, "first") == "big")


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        check_counts(server)
        check_silence(server)
        before = version(server, "big")
        controller.stop()
        controller = Controller(server)
        wait_for("the controller again", controller.ready)
        check_choice(server, before)
        check_nodes_that_go(server)
        controller.stop()


if __name__ == "__main__":
    main()
