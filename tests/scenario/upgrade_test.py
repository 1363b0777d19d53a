#!/usr/bin/env python3
"""A cluster that an older version was installed in, with what its controller had made there, its webhooks too, is upgraded as
docs/install.md says: everything stays what it is, the objects become those of this version's `ome render`, its webhooks are reached
over TLS and refuse nothing of what was there, and then nothing is written. So are the webhooks of OME itself.

upgrade/DATE.yaml.xz is manifests/install/ome.yaml of that day, DATE.json.xz the objects of a cluster under its controller.
"""

import base64
import glob
import json
import lzma
import os
import re
import subprocess

import rendered
import scenario
from scenario import HOME, ISVC, MODEL, WEBHOOKS, ApiServer, Controller, Refused, wait_for

FROZEN = os.path.join(HOME, "tests/scenario/upgrade")
INSTALL = os.path.join(HOME, "manifests/install/ome.yaml")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/ome/leases/ome-controller-manager-leader-lock"
SECRET = "/api/v1/namespaces/ome/secrets/ome-webhook-server-cert"
ADDRESS = "127.0.0.79"
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "generation")


def frozen(name):
    with lzma.open(f"{FROZEN}/{name}.xz", "rt") as source:
        return source.read()


def kubectl(server, *words):
    done = subprocess.run(["kubectl", "--kubeconfig", server.kubeconfig, *words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def restore(server, objects):
    """Makes OBJECTS as they were, with who managed what and who owned whom; the uids that they have now, by path."""
    now, paths = {}, {}
    for o in objects:
        metadata, path = dict(o["metadata"]), server.path_of(o)
        old, managers = metadata["uid"], metadata.pop("managedFields", [])
        for key in SERVERS_OWN:
            metadata.pop(key, None)
        for owner in metadata.get("ownerReferences", []):
            owner["uid"] = now[owner["uid"]]
        made = server.create(path.rsplit("/", 1)[0], dict(o, metadata=metadata))
        if "status" in o:
            made = server.api("PUT", path + "/status", dict(made, status=o["status"]))
        if managers:
            made["metadata"]["managedFields"] = managers
            made = server.api("PUT", path, made)
        now[old] = paths[path] = made["metadata"]["uid"]
    return paths


def versions(server, paths):
    return {path: server.api("GET", path)["metadata"]["resourceVersion"] for path in paths}


def names(manifest):
    """(kind, name) of the objects in MANIFEST."""
    found = {(re.search(r"^kind: (\S+)", d, re.M)[1], re.search(r"^metadata:\n(?:  .*\n)*?  name: (\S+)", d, re.M)[1])
             for d in manifest.split("\n---\n")}
    assert len(found) > 20, found
    return found


def guards(server, paths, way):
    """The webhooks refuse a service of no model, and no update of what an older version had let in; their certificate and what is
    registered for them, by path. They are reached by their Service or their url, as WAY says."""
    none = scenario.service("none", "absent")
    try:
        server.create(ISVC[:-1], none)
    except Refused as refused:
        assert refused.status == 403 and "not found in namespace" in refused.body, refused
    else:
        raise AssertionError("a service of no model was let in")
    seen = {"metadata": {"annotations": {"example.com/seen": "yes"}}}
    for path in (path for path in paths if path.startswith("/apis/ome.io/")):
        server.api("PATCH", path + "?dryRun=All", seen, "application/merge-patch+json")
    found = {f"{WEBHOOKS}{kind}/{o['metadata']['name']}": o for kind in (
        "validatingwebhookconfigurations", "mutatingwebhookconfigurations") for o in server.api("GET", WEBHOOKS + kind)["items"]}
    assert len(found) >= 7, found
    authority = server.api("GET", SECRET)["data"]["ca.crt"]
    for path, o in found.items():
        assert not o["metadata"].get("annotations"), f"{path}: somebody else still writes there: {o['metadata']}"
        for hook in o["webhooks"]:
            client = hook["clientConfig"]
            assert client.keys() == {way, "caBundle"}, (path, hook)
            assert base64.b64decode(client["caBundle"]).startswith(base64.b64decode(authority)), (path, hook)
            assert hook["admissionReviewVersions"] == ["v1"] and hook["matchConditions"], (path, hook)
    return {SECRET, *found}


def omes_registrations():
    """Those of OME v0.1.5, as its manifests have them: what answers is a Service, and cert-manager writes the bundle."""
    def hook(name, path, resource, group="ome.io", operations=("CREATE", "UPDATE"), **more):
        return {"name": f"{resource[:-1] if group else 'inferenceservice'}.ome-webhook-server.{name}", "failurePolicy": "Fail",
                "sideEffects": "None", "admissionReviewVersions": ["v1beta1"],
                "clientConfig": {"caBundle": "Cg==", "service": {
                    "name": "ome-webhook-server-service", "namespace": "ome", "path": path}},
                "rules": [{"apiGroups": [group], "apiVersions": ["v1beta1" if group else "v1"], "operations": list(operations),
                           "resources": [resource]}], **more}

    def configuration(kind, name, *hooks):
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind + "WebhookConfiguration", "webhooks": list(hooks),
                "metadata": {"name": name, "annotations": {"cert-manager.io/inject-ca-from": "ome/serving-cert"}}}

    yield configuration("Mutating", "inferenceservice.ome.io",
                        hook("defaulter", "/mutate-ome-io-v1beta1-inferenceservice", "inferenceservices"),
                        hook("pod-mutator", "/mutate-pods", "pods", group="", operations=["CREATE"], reinvocationPolicy="IfNeeded",
                             namespaceSelector={"matchExpressions": [{"key": "control-plane", "operator": "DoesNotExist"}]},
                             objectSelector={"matchExpressions": [{"key": "ome.io/inferenceservice", "operator": "Exists"}]}))
    for resource in ("inferenceservice", "servingruntime", "clusterservingruntime", "benchmarkjob"):
        yield configuration("Validating", resource + ".ome.io",
                            hook("validator", f"/validate-ome-io-v1beta1-{resource}", resource + "s"))


def takes_over(folder):
    """OME's registrations, which lead nowhere: this version's webhooks are in their place, and then nothing is written."""
    server = ApiServer(folder).start()
    kubectl(server, "apply", "--server-side", "-f", INSTALL)
    theirs = {server.path_of(o): server.create(server.path_of(o).rsplit("/", 1)[0], o) for o in omes_registrations()}
    at = "/api/v1/namespaces/ome/services"
    service = server.api("DELETE", f"{at}/ome-webhook-server-service")["spec"]  # to an address that this machine has
    server.create(at, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ome-webhook-server-service"}, "spec": {
        "clusterIP": ADDRESS, "selector": service["selector"], "ports": service["ports"]}})
    options = ["--webhook-address", ADDRESS, "--webhook-port", "443"]
    controller = Controller(server, *options)
    wait_for("the controller", controller.ready)
    known = versions(server, guards(server, (), "service"))
    assert {path: server.find(path)["metadata"]["uid"] for path in theirs} == {p: o["metadata"]["uid"] for p, o in theirs.items()}
    controller.stop()
    controller = Controller(server, *options)
    wait_for("the controller", controller.ready)
    assert versions(server, known) == known, "a second start writes"
    controller.stop()
    server.stop()
    print(f"{len(theirs)} of OME's webhook registrations are taken over")


def upgrade(folder, date):
    server = ApiServer(folder).start()
    manifest = folder + "/old.yaml"
    with open(manifest, "w") as out:
        out.write(frozen(date + ".yaml"))
    kubectl(server, "apply", "--server-side", "-f", manifest)
    paths = restore(server, json.loads(frozen(date + ".json")))
    before = {path: server.api("GET", path) for path in paths}
    with open(manifest) as old, open(INSTALL) as new:
        left = names(old.read()) - names(new.read())
    assert not left, f"docs/install.md has to say that an upgrade leaves {left} behind"
    said = kubectl(server, "apply", "--server-side", "-f", INSTALL)
    assert "deployment.apps/ome-controller-manager serverside-applied" in said, said
    left = {path for path in paths if (server.find(path) or {}).get("spec") != before[path].get("spec")}
    assert not left, f"the new CRDs change what is stored: {left}"
    options = ["--leader-elect", *scenario.webhook_options()]
    controller = Controller(server, *options)
    wait_for("the controller", controller.ready)
    guarded = guards(server, paths, "url")
    rendered.settled(server, folder, "an upgrade")
    for name in ("chat", "plain"):
        wait_for(f"{name} to be ready as before", lambda name=name: scenario.is_ready(server.find(ISVC + name)))
    again = {path: server.api("GET", path)["metadata"]["uid"] for path in paths}
    assert again == paths, "something was made anew"
    assert server.api("GET", MODEL + "tiny")["status"]["state"] == "Ready"
    restarted = [path for path in paths if "/deployments/" in path and
                 server.api("GET", path)["spec"]["template"] != before[path]["spec"]["template"]]
    controller.stop()
    known = versions(server, guarded.union(paths))
    controller = Controller(server, *options)
    wait_for("the controller", controller.ready)
    rendered.settled(server, folder, "a start")
    server.apply(scenario.service("later", "tiny"))  # what comes later has been looked at after all that
    wait_for("a later service", lambda: server.find(ISVC + "later").get("status", {}).get("conditions"))
    changed = {path for path, version in versions(server, known).items() if version != known[path]} - {LEASE}
    assert not changed, f"a second start of the new version writes: {changed}"
    controller.stop()
    server.stop()
    print(f"{date}: {len(paths)} objects stay and are those of `ome render`; pods of {len(restarted)} Deployments are replaced")


def main():
    dates = sorted(os.path.basename(p).removesuffix(".yaml.xz") for p in glob.glob(FROZEN + "/*.yaml.xz"))
    assert dates, FROZEN
    for date in dates:
        with scenario.scratch() as folder:
            upgrade(folder, date)
    with scenario.scratch() as folder:
        takes_over(folder)


if __name__ == "__main__":
    main()
