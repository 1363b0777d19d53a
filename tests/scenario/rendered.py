"""Whether the objects that a server has of its services are those of `ome render`, field by field."""

import json
import os
import subprocess

from scenario import MODEL, OME, wait_for

CHILDREN = {"ConfigMap": "/api/v1/{}configmaps", "Service": "/api/v1/{}services", "Deployment": "/apis/apps/v1/{}deployments",
            "HorizontalPodAutoscaler": "/apis/autoscaling/v2/{}horizontalpodautoscalers",
            "PodDisruptionBudget": "/apis/policy/v1/{}poddisruptionbudgets", "ServiceAccount": "/api/v1/{}serviceaccounts",
            "Role": "/apis/rbac.authorization.k8s.io/v1/{}roles",
            "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/{}rolebindings"}


def space(server):
    """What the path of an object in the scenario's namespace has in it."""
    return f"namespaces/{server.ns}/"


def items(server, path):
    return server.api("GET", path)["items"]


def services(server):
    return f"/apis/ome.io/v1beta1/{space(server)}inferenceservices"


def wanted(server, folder):
    """{(kind, name): object} that should be there."""
    folder += "/inputs"
    os.makedirs(folder, exist_ok=True)
    for kind, path in (("InferenceService", services(server)), ("ClusterBaseModel", MODEL[:-1]),
                       ("ClusterServingRuntime", "/apis/ome.io/v1beta1/clusterservingruntimes")):
        documents = [dict(o, kind=kind, apiVersion="ome.io/v1beta1") for o in items(server, path)]
        for o in documents:
            o["metadata"] = {k: v for k, v in o["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
            o.pop("status", None)
        with open(f"{folder}/{kind}.json", "w") as out:
            json.dump({"apiVersion": "v1", "kind": "List", "items": documents}, out)
    done = subprocess.run([OME, "render", "-f", folder, "-o", "json"], capture_output=True, text=True, check=True)
    return {(o["kind"], o["metadata"]["name"]): o for o in json.loads(done.stdout)["items"]}


def children(server):
    """{(kind, name): object} of what belongs to services, present or gone."""
    return {(kind, o["metadata"]["name"]): o for kind, path in CHILDREN.items() for o in items(server, path.format(space(server)))
            if o["metadata"].get("ownerReferences") or "ome.io/inferenceservice" in o["metadata"].get("labels", {})}


def difference(server, folder):
    """What keeps the objects from being those of `ome render`; None: nothing."""
    want, found = wanted(server, folder), children(server)
    owners = [o["metadata"]["uid"] for o in items(server, services(server))]
    for key, o in found.items():
        references = o["metadata"].get("ownerReferences", [])
        if [r["uid"] in owners for r in references] != [True]:
            return f"{key} is owned by {references}"
    if set(found) != set(want):
        return f"left over {set(found) - set(want)}, missing {set(want) - set(found)}"
    for (kind, name), o in found.items():
        # Applied once more by our manager, what was rendered changes nothing: no field is missing, wrong, or too many.
        one = dict(want[kind, name])
        one["metadata"] = dict(one["metadata"], ownerReferences=o["metadata"]["ownerReferences"])
        again = server.api("PATCH", f"{CHILDREN[kind].format(space(server))}/{name}?fieldManager=ome-controller&force=true&dryRun=All",
                           one, "application/apply-patch+yaml")
        if stable(again) != stable(dict(o, kind=kind, apiVersion=again["apiVersion"])):
            return f"{kind} {name}: stored is {json.dumps(stable(o))}, rendered gives {json.dumps(stable(again))}"
    return None


def stable(o):
    """O without what differs between two writes of the same."""
    metadata = {k: v for k, v in o["metadata"].items() if k not in ("resourceVersion", "generation")}
    metadata["managedFields"] = sorted((m["manager"], m["operation"], json.dumps(m["fieldsV1"], sort_keys=True))
                                       for m in metadata["managedFields"])
    return dict(o, metadata=metadata)


def settled(server, folder, when):
    """Waits until there is no difference; fails with what it is."""
    last = [None]

    def equal():
        last[0] = difference(server, folder)
        return last[0] is None
    try:
        wait_for("the objects to be those of `ome render`", equal)
    except AssertionError as wrong:
        raise AssertionError(f"after {when}: {last[0]}") from wrong
