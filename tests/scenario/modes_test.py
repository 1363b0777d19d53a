#!/usr/bin/env python3
"""What `ome render` prints is what `ome controller` writes, for a sample of each deployment mode and OME's own; the CRDs of other
projects take all of it, strictly; one that comes late is noticed without a restart; a change of mode interrupts nothing.

OME_SHARED_DIR (or ../shared beside the checkout) holds the CRDs in crds/; without it this is skipped.
"""

import json
import os
import subprocess

import samples
import scenario
from plugins_doc_test import ASKED_WITH, CONFIGURATION as SITE, annotated
from scenario import CRDS, DEADLINE, HOME, OME, Controller, Refused, wait_for

SHARED = os.environ.get("OME_SHARED_DIR", os.path.join(os.path.dirname(HOME), "shared"))
PLURALS = {"Service": "services", "ConfigMap": "configmaps", "Deployment": "deployments", "Role": "roles",
           "RoleBinding": "rolebindings", "ServiceAccount": "serviceaccounts", "Ingress": "ingresses",
           "HorizontalPodAutoscaler": "horizontalpodautoscalers", "PodDisruptionBudget": "poddisruptionbudgets",
           "LeaderWorkerSet": "leaderworkersets", "RayCluster": "rayclusters", "HTTPRoute": "httproutes",
           "InferencePool": "inferencepools", "VirtualService": "virtualservices", "ScaledObject": "scaledobjects"}
LATE = ("lws", "knative", "kuberay")
MERGE = "application/merge-patch+json"
# Services of kinds that come late, what they say they lack, and its CRD.
LACKING = (("multinode", "LeaderWorkerSet", "leaderworkersets.leaderworkerset.x-k8s.io"),
           ("serverless", "Service (serving.knative.dev/v1)", "services.serving.knative.dev"),
           ("ray", "RayCluster", "rayclusters.ray.io"))


def run(*args):
    done = subprocess.run([OME, *args], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout


def path_of(o):
    version = o["apiVersion"]
    root = "/api/" if "/" not in version else "/apis/"
    return f"{root}{version}/namespaces/{o['metadata']['namespace']}/{PLURALS[o['kind']]}/{o['metadata']['name']}"


def at(server, version, plural, name):
    """The path of an object in the scenario's namespace."""
    return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{server.ns}/{plural}/{name}"


def service(server, name):
    return at(server, "ome.io/v1beta1", "inferenceservices", name)


def deployment(server, name):
    return at(server, "apps/v1", "deployments", name)


def rendered(path):
    return json.loads(run("render", "-f", path, "-o", "json"))["items"]


def conditions(server, name):
    found = server.find(service(server, name)) or {}
    return {c["type"]: c for c in found.get("status", {}).get("conditions", [])}


def differences(want, have, where=""):
    """Where HAVE lacks something of WANT. Lists must be the same length: nobody adds to ours. Without a map is without
    its entries."""
    if want == {} and have is None:
        return []
    if isinstance(want, dict):
        if not isinstance(have, dict):
            return [where]
        return [d for key, value in want.items() for d in differences(value, have.get(key), f"{where}.{key}")]
    if isinstance(want, list):
        if not isinstance(have, list) or len(want) != len(have):
            return [where]
        return [d for i, value in enumerate(want) for d in differences(value, have[i], f"{where}[{i}]")]
    return [] if str(want) == str(have) else [f"{where}: {want!r} is {have!r}"]


def check_strict(server, items):
    for o in items:
        try:
            server.api("PATCH", path_of(o) + "?fieldManager=strict&force=true&fieldValidation=Strict&dryRun=All", o,
                       "application/apply-patch+yaml")
        except Refused as refused:
            raise AssertionError(f"{o['kind']} {o['metadata']['name']}: {refused}") from refused


def owned(server, name):
    """Everything that an InferenceService owns, by kind and name."""
    found = set()
    for kind, plural in PLURALS.items():
        for version in ("v1", "apps/v1", "rbac.authorization.k8s.io/v1", "autoscaling/v2", "policy/v1",
                        "networking.k8s.io/v1", "leaderworkerset.x-k8s.io/v1", "ray.io/v1", "serving.knative.dev/v1"):
            listed = server.find(at(server, version, plural, "").rstrip("/"))
            for o in (listed or {}).get("items", []):
                owners = [w["name"] for w in o["metadata"].get("ownerReferences", [])]
                if name in owners:
                    found.add((version, kind, o["metadata"]["name"]))
    return found


def check_written(server, name, items):
    for o in items:
        live = wait_for(f"{o['kind']} {o['metadata']['name']}", lambda o=o: server.find(path_of(o)))
        assert not differences(o, live), (o["kind"], o["metadata"]["name"], differences(o, live))
    wanted = {(o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in items}
    assert owned(server, name) == wanted, owned(server, name) ^ wanted


def check_diff(server, folder):
    """`ome render --diff` of what is there says nothing; what a hand has changed or deleted it shows, and leaves so."""
    def diff(name, *change):
        """Exit code and words for the sample NAME, with one text in it for another."""
        with open(f"{folder}/{name}.yaml", encoding="utf-8") as text:
            done = subprocess.run([OME, "render", "-f", "-", "--diff", "--kubeconfig", server.kubeconfig], text=True, check=False,
                                  input=text.read().replace(*change or ("", "")), capture_output=True, timeout=DEADLINE)
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    assert diff("raw") == (0, ""), diff("raw")
    code, said = diff("raw", "v0.4.9", "v0.5.0")
    assert code == 1 and f"~ Deployment {server.ns}/raw-engine\n" in said and "sglang:v0.5.0" in said, said
    assert "- spec.template.spec.containers[0].image" in said, said
    code, said = diff("raw", "name: raw\nspec:\n  model", "name: fresh\nspec:\n  model")
    assert code == 1 and f"+ Deployment {server.ns}/fresh-engine\n" in said, said
    assert not server.find(deployment(server, "fresh-engine")), "a diff has written"
    assert diff("router") == (0, ""), diff("router")
    code, said = diff("router", "  router: {}\n", "")
    gone = {line for line in said.splitlines() if line.startswith("- ")}
    assert code == 1 and gone == {f"- {kind} {server.ns}/router-router" for kind in (
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceAccount", "Role",
        "RoleBinding")}, said
    assert diff("raw") == (0, ""), diff("raw")


# The workload of the engine of `raw` in each mode, and what its own controller says of one that serves.
WORKLOADS = {
    "RawDeployment": ("/apis/apps/v1/namespaces/{}/deployments/raw-engine",
                      {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
                       "conditions": [{"type": "Available", "status": "True"}]}),
    "MultiNode": ("/apis/leaderworkerset.x-k8s.io/v1/namespaces/{}/leaderworkersets/lws-raw-engine",
                  {"readyReplicas": 1}),
    "Serverless": ("/apis/serving.knative.dev/v1/namespaces/{}/services/raw-engine",
                   {"conditions": [{"type": "Ready", "status": "True"}]}),
    "MultiNodeRayVLLM": ("/apis/ray.io/v1/namespaces/{}/rayclusters/raw-engine-0", {"state": "ready"}),
}
# From each mode to each other one; the sample begins as the first.
RAW, GROUP, KNATIVE, RAY = WORKLOADS
SELECTED = {RAW: "app", GROUP: "app", RAY: "ray.io/node-type"}  # a label that the component's Service selects by
TOUR = (GROUP, RAW, KNATIVE, RAW, RAY, GROUP, KNATIVE, GROUP, RAY, KNATIVE, RAY, RAW)


def workload(server, mode):
    """Its path."""
    return WORKLOADS[mode][0].format(server.ns)


def knatives_service(server):
    """Knative makes a Service with the name of its own; it goes with it."""
    owner = server.find(workload(server, KNATIVE))["metadata"]
    server.create(f"/api/v1/namespaces/{server.ns}/services", {
        "metadata": {"name": "raw-engine", "ownerReferences": [
            {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": owner["name"], "uid": owner["uid"],
             "controller": True, "blockOwnerDeletion": True}]},
        "spec": {"type": "ExternalName", "externalName": "gateway.knative.example"}})


def check_change(server):
    """From every mode to every other one: what runs goes when the new one is ready, not before, and its Service leads to it
    until then; Ready follows."""
    raw, front = service(server, "raw"), at(server, "v1", "services", "raw-engine")
    ready = lambda: conditions(server, "raw")["EngineReady"]["status"]
    assert len({*zip((RAW, *TOUR), TOUR)}) == 12
    server.api("PATCH", workload(server, RAW) + "/status", {"status": WORKLOADS[RAW][1]}, MERGE)
    wait_for("the first mode to be ready", lambda: ready() == "True")
    for before, after in zip((RAW, *TOUR), TOUR):
        old, new, serves = workload(server, before), workload(server, after), WORKLOADS[after][1]
        entry = server.find(front)["spec"]
        edited = server.api("PATCH", raw, {"spec": {"engine": {"annotations": {"ome.io/deploymentMode": after}}}}, MERGE)
        wait_for(f"the {after}", lambda new=new: server.find(new))
        wait_for(f"the status to be of {after}", lambda edited=edited: server.find(raw)["status"]["observedGeneration"]
                 == edited["metadata"]["generation"])
        assert ready() != "True", f"{after}: nobody serves, and it is ready: {conditions(server, 'raw')['EngineReady']}"
        assert server.find(old), f"{before} went before {after} was ready"
        if after != KNATIVE:  # which has to have the name
            assert server.find(front)["spec"] == entry, f"{before} serves, and nobody finds it"
        server.api("PATCH", new + "/status", {"status": serves}, MERGE)
        wait_for(f"the {before} to go", lambda old=old: not server.find(old))
        assert server.find(new)
        wait_for(f"{after} to be ready", lambda: ready() == "True")
        if after == KNATIVE:
            wait_for("the name to be Knative's", lambda: not server.find(front))
            knatives_service(server)
        else:
            wait_for(f"the Service to be of {after}", lambda after=after: SELECTED[after] in (
                server.find(front) or {"spec": {}})["spec"].get("selector", {}))


def check_prune(server):
    """A service that wants no router any more keeps none of what its router was and was allowed."""
    server.api("PATCH", service(server, "router"), {"spec": {"router": None}}, MERGE)
    wait_for("the router's objects to go", lambda: not [o for o in owned(server, "router") if o[2] == "router-router"])
    assert ("apps/v1", "Deployment", "router-engine") in owned(server, "router")


def check_overlay(server):
    """A further model that is not there is said and left out; when it comes, the pods get it."""
    server.api("PATCH", service(server, "raw"), {"spec": {"model": {"overlays": [{"name": "late"}]}}}, MERGE)
    wait_for("the overlay to be missed",
             lambda: conditions(server, "raw").get("OverlaysReady", {}).get("reason") == "OverlaysSkipped")
    server.apply({"apiVersion": "ome.io/v1beta1", "kind": "ClusterBaseModel", "metadata": {"name": "late"},
                  "spec": {"modelFormat": {"name": "safetensors"},
                           "storage": {"storageUri": "hf://example/late", "path": "/mnt/models/late"}}})
    wait_for("the overlay to be mounted",
             lambda: conditions(server, "raw")["OverlaysReady"]["reason"] == "AllOverlaysMounted")
    pod = server.find(deployment(server, "raw-engine"))["spec"]["template"]["spec"]
    env = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
    assert env["OVERLAY_LATE_MODEL_PATH"] == "/opt/ml/model-overlays/late", env
    live = server.find(service(server, "raw"))
    assert live["status"]["mountedOverlays"] == [
        {"name": "late", "envVar": "OVERLAY_LATE_MODEL_PATH", "mountPath": "/opt/ml/model-overlays/late",
         "distribution": "PerNode"}], live["status"]


def check_claim(server):
    """A claim that is not bound is said, and the pods that may bind it are made; one that goes leaves what runs alone."""
    claim, engine = at(server, "v1", "persistentvolumeclaims", "models"), deployment(server, "claim-engine")
    reason = lambda: conditions(server, "claim").get("ModelReady", {}).get("reason", "True")
    model = lambda: server.find("/apis/ome.io/v1beta1/clusterbasemodels/claim-model")["status"]
    source = lambda: next((c for c in model()["conditions"] if c["type"] == "SourceReachable"), {}).get("reason")
    wait_for("the claim to be told of", lambda: reason() == "PVCNotBound")
    assert server.find(engine), "nobody would bind the claim"
    wait_for("the model to say so", lambda: source() == "PVCNotBound" and model()["state"] == "In_Transit")
    server.api("PATCH", claim + "/status", {"status": {"phase": "Bound"}}, MERGE)
    wait_for("the bound claim", lambda: conditions(server, "claim")["ModelReady"]["status"] == "True")
    wait_for("the model to be there, and its files to be read", lambda: source() == "PVCValidated" and any(
        c["type"] == "Ready" and c["reason"] == "PVCMetadataExtracting" for c in model()["conditions"]))
    server.api("DELETE", claim)
    wait_for("the claim to be missed", lambda: reason() == "PVCNotFound")
    assert f"PersistentVolumeClaim {server.ns}/models is not there" in conditions(server, "claim")["ModelReady"]["message"]
    assert server.find(engine), "what runs keeps running"
    wait_for("the model to miss it", lambda: source() == "PVCNotFound")


def check_clash(server, folder):
    """A service whose objects would have the names of another's: none of its own is made, and a condition says which name."""
    raw = server.api("GET", service(server, "router"))
    before = server.find(at(server, "v1", "services", "router-engine"))
    server.apply({"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
                  "metadata": {"name": "router-engine"}, "spec": raw["spec"]})
    wait_for("the clash to be said", lambda: f"metadata.name: Service {server.ns}/router-engine belongs to InferenceService router;" in " ".join(
        c["message"] for c in conditions(server, "router-engine").values() if c.get("reason") == "NameConflict"))
    assert owned(server, "router-engine") == set(), "nothing is half applied"
    with open(f"{folder}/router.yaml", encoding="utf-8") as text:
        clash = text.read().replace("name: router\nspec", "name: router-engine\nspec")
    diff = subprocess.run([OME, "render", "-f", "-", "--diff", "--kubeconfig", server.kubeconfig], input=clash, text=True,
                          capture_output=True, timeout=DEADLINE, check=False)
    assert diff.returncode == 1 and f"! Service {server.ns}/router-engine\n    belongs to InferenceService router:" in diff.stdout, diff
    assert server.find(at(server, "v1", "services", "router-engine"))["spec"] == before["spec"]


def check_shared(server, folder):
    """OME's own samples, too, are written as rendered."""
    sources = [arg for part in ("models", "runtimes", "services") for arg in
               ("-f", samples.place(server, os.path.join(SHARED, "samples/ome", part), f"{folder}/{part}"))]
    done = subprocess.run([OME, "render", *sources, "-o", "json"], capture_output=True, text=True, timeout=DEADLINE,
                          check=False)
    items = json.loads(done.stdout)["items"]
    assert len(items) > 40, done.stderr
    run("apply", "--kubeconfig", server.kubeconfig, *sources)
    check_strict(server, items)
    for o in items:
        live = wait_for(f"{o['kind']} {o['metadata']['name']}", lambda o=o: server.find(path_of(o)))
        assert not differences(o, live), (o["kind"], o["metadata"]["name"], differences(o, live))
    return len(items)


def check_missing(server):
    """Kinds that the server has not are named, and nothing is half applied; those of a given server may all be there."""
    for name, kind, crd in LACKING:
        if server.find(f"{CRDS}/{crd}"):
            continue
        wait_for(f"{name} to say what it lacks", lambda name=name, kind=kind: kind in conditions(server, name).get(
            "EngineReady", {}).get("message", "") and conditions(server, name)["EngineReady"]["reason"] == "APIMissing")
        assert owned(server, name) == set(), "nothing is half applied"


def check_samples(server, folder):
    """Each becomes what is rendered of it; how many objects that is."""
    count = 0
    for sample in sorted(os.listdir(folder)):
        items = rendered(f"{folder}/{sample}")
        check_strict(server, items)
        check_written(server, sample.removesuffix(".yaml"), items)
        count += len(items)
    return count


def check_every_crd(server):
    """All samples with every autoscaler and ingress, against the CRDs of all projects: how many objects."""
    picker = {**SITE, "data": {"ingress": json.dumps({**json.loads(SITE["data"]["ingress"]),
                                                      "endpointPicker": {"name": "picker"}})}}
    kinds, count = set(), 0
    every = f"{server.ns}-every"
    server.create_namespace(every)  # where nothing is that an apply would be merged with
    for project in os.listdir(os.path.join(SHARED, "crds")):
        if not project.startswith("ome-"):
            scenario.install_crds(server, os.path.join(SHARED, "crds", project))
    for site, annotations in ((picker, {"ome.io/ingress-provider": "gateway"}), *((SITE, a) for a in ASKED_WITH.values())):
        text = "\n---\n".join([json.dumps(site), *(annotated(name, annotations) for name in sorted(os.listdir(samples.HOME)))])
        done = subprocess.run([OME, "render", "-f", "-", "-o", "json"], input=text, capture_output=True, text=True,
                              timeout=DEADLINE, check=True)
        items = json.loads(done.stdout)["items"]
        for o in items:
            o["metadata"]["namespace"] = every
        check_strict(server, items)
        kinds |= {(o["apiVersion"].split("/")[0], o["kind"]) for o in items}
        count += len(items)
    assert kinds >= {("gateway.networking.k8s.io", "HTTPRoute"), ("inference.networking.k8s.io", "InferencePool"),
                       ("networking.istio.io", "VirtualService"), ("keda.sh", "ScaledObject"), ("ray.io", "RayCluster"),
                       ("serving.knative.dev", "Service"), ("leaderworkerset.x-k8s.io", "LeaderWorkerSet")}, kinds
    return count


def main():
    if not os.path.isdir(os.path.join(SHARED, "crds")):
        scenario.skip("the CRDs of other projects are not here (OME_SHARED_DIR)")
    with scenario.scratch() as scratch, scenario.served(scratch) as server:
        scenario.install(server)
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        folder = samples.place(server, samples.HOME, scratch + "/samples")
        scenario.apply_files(server, folder)
        check_missing(server)
        for project in LATE:
            scenario.install_crds(server, os.path.join(SHARED, "crds", project))
        count = check_samples(server, folder)
        assert conditions(server, "virtual")["Ready"]["status"] == "True"
        check_diff(server, folder)
        check_overlay(server)
        if not server.attended:  # a cluster binds its claims and says how its workloads are
            check_claim(server)
            check_change(server)
        check_prune(server)
        check_clash(server, folder)
        count += check_shared(server, scratch)
        count += check_every_crd(server)
        controller.stop()
        print(f"{count} objects: taken strictly, written as rendered")


if __name__ == "__main__":
    main()
