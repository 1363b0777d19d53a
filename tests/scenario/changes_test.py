#!/usr/bin/env python3
"""What changes under a service that runs: CRDs of its ingress and autoscaler that come late, another autoscaler class, somebody
else's autoscaler, edits that cannot be. Each is said in a condition, and what runs is left alone.

OME_SHARED_DIR (or ../shared beside the checkout) holds the CRDs of other projects in crds/; without it this is skipped.
"""

import json
import os

import scenario
from scenario import HOME, Controller, wait_for

SHARED = os.environ.get("OME_SHARED_DIR", os.path.join(os.path.dirname(HOME), "shared"))
SAMPLE = os.path.join(HOME, "manifests/samples/raw.yaml")
OF_SAMPLE = (scenario.MODEL + "raw-model", "/apis/ome.io/v1beta1/clusterservingruntimes/raw-runtime")
SERVICE = "/apis/ome.io/v1beta1/namespaces/{}/inferenceservices/raw"
DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/raw-engine"
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes/raw"
HPAS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"
SCALED = "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects/scaledobject-raw-engine"
TRIGGER = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "2"}}
# An edit, and what the condition says of it.
IMPOSSIBLE = (
    ({"engine": {"minReplicas": 9, "maxReplicas": 2}}, "spec.engine: minReplicas 9 must not exceed maxReplicas 2"),
    ({"engine": {"minReplicas": 0, "autoscaler": {"class": "HPA"}}}, "spec.engine.minReplicas: 0 needs autoscaler.class KEDA"),
    ({"engine": {"minReplicas": 0, "autoscaler": None, "annotations": {"ome.io/deploymentMode": "MultiNode"}}},
     "spec.engine.minReplicas: 0 needs autoscaler.class KEDA; mode MultiNode keeps at least 1"),
    ({"engine": {"leader": {"runner": {"name": "l", "image": "i"}}}}, "spec.engine.worker: a leader needs workers"),
    ({"model": {"name": "elsewhere"}}, "spec.model.name: neither ClusterBaseModel nor BaseModel found with name elsewhere"),
    ({"engine": {"runner": {"ports": [{"name": "http", "containerPort": 1}, {"name": "http", "containerPort": 2}]}}},
     'spec.engine.runner.ports[1].name: "http" is the name of'),
    ({"engine": None, "decoder": {}}, "a decoder needs an engine beside it: add spec.engine"),
)


def crds(server, project):
    scenario.install_crds(server, os.path.join(SHARED, "crds", project))


def service(server):
    return server.find(SERVICE.format(server.ns))


def edit(server, spec):
    return server.api("PATCH", SERVICE.format(server.ns), {"spec": spec}, "application/merge-patch+json")


def messages(server):
    conditions = service(server).get("status", {}).get("conditions", [])
    return " ".join(f"{c['type']}={c['status']} {c.get('reason', '')} {c.get('message', '')};" for c in conditions)


def says(server, text):
    wait_for(f"the service to say {text!r}", lambda: text in messages(server))


def is_gone(server, path):
    wait_for(f"the end of {path}", lambda: not server.find(path.format(server.ns)))


def is_there(server, path):
    return wait_for(path, lambda: server.find(path.format(server.ns)))


def check_late_ingress(server):
    says(server, "IngressReady=False APIMissing gateway renders HTTPRoute (gateway.networking.k8s.io/v1)")
    assert not server.find(DEPLOYMENT.format(server.ns)), "half applied"
    crds(server, "gateway-api")
    is_there(server, DEPLOYMENT)
    is_there(server, ROUTE)


def check_classes(server):
    """From one autoscaler to the other and back, each in one step; the API of the other comes late."""
    is_there(server, HPAS + "/raw-engine")
    edit(server, {"engine": {"autoscaler": {"class": "KEDA", "keda": {"triggers": [TRIGGER]}}}})
    says(server, "keda.sh/v1alpha1 ScaledObject")
    assert server.find(HPAS.format(server.ns) + "/raw-engine"), "nobody is left to scale it"
    crds(server, "keda")
    is_there(server, SCALED)
    is_gone(server, HPAS + "/raw-engine")
    edit(server, {"engine": {"autoscaler": {"class": "HPA", "keda": None}}})
    is_there(server, HPAS + "/raw-engine")
    is_gone(server, SCALED)


def check_rival(server):
    """One owner of a replica count: while somebody else's autoscaler is there, ours is not."""
    server.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                  "metadata": {"name": "mine"},
                  "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment",
                                                                "name": "raw-engine"}}})
    says(server, "ReplicasOwnedElsewhere engine: HorizontalPodAutoscaler mine scales Deployment raw-engine")
    is_gone(server, HPAS + "/raw-engine")
    server.api("DELETE", HPAS.format(server.ns) + "/mine")
    is_there(server, HPAS + "/raw-engine")


def check_impossible(server):
    spec = service(server)["spec"]
    server.apply({"apiVersion": "ome.io/v1beta1", "kind": "BaseModel",  # of another namespace
                  "metadata": {"name": "elsewhere", "namespace": server.ome_ns},
                  "spec": {"modelFormat": {"name": "safetensors"}, "storage": {"storageUri": "hf://example/elsewhere"}}})
    before = server.find(DEPLOYMENT.format(server.ns))
    for bad, says_so in IMPOSSIBLE:
        edit(server, bad)
        says(server, says_so)
        ready = next(c for c in service(server)["status"]["conditions"] if c["type"] == "Ready")
        assert ready["status"] == "False", (bad, ready)
        assert server.find(DEPLOYMENT.format(server.ns))["metadata"]["generation"] == before["metadata"]["generation"], bad
        server.api("PUT", SERVICE.format(server.ns), {**service(server), "spec": spec})
        wait_for("the way back", lambda says_so=says_so: says_so not in messages(server))
    try:
        edit(server, {"engine": {"containers": [{"name": "beside", "image": "a"}, {"name": "beside", "image": "b"}]}})
        raise AssertionError("two containers of one name were taken")
    except scenario.Refused as refused:
        assert refused.status == 422 and "spec.engine.containers[1]" in str(refused), refused
    assert server.find(DEPLOYMENT.format(server.ns))["metadata"]["uid"] == before["metadata"]["uid"]


def run(server):
    scenario.install(server)
    ingress = {"disableIngressCreation": False, "enableGatewayAPI": True, "omeIngressGateway": "infra/public"}
    server.apply({"apiVersion": "v1", "kind": "ConfigMap",
                  "metadata": {"name": "inferenceservice-config", "namespace": server.ome_ns},
                  "data": {"ingress": json.dumps(ingress)}})
    controller = Controller(server)
    wait_for("the controller", controller.ready)
    scenario.claim(server, *OF_SAMPLE)
    scenario.apply_files(server, SAMPLE)
    for check in (check_late_ingress, check_classes, check_rival, check_impossible):
        check(server)
        print("ok", check.__name__.removeprefix("check_").replace("_", " "), flush=True)
    controller.stop()


def main():
    if not os.path.isdir(os.path.join(SHARED, "crds")):
        scenario.skip("the CRDs of other projects are not here (OME_SHARED_DIR)")
    with scenario.scratch() as folder, scenario.served(folder) as server:
        run(server)


if __name__ == "__main__":
    main()
