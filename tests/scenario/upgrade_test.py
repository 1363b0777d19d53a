#!/usr/bin/env python3
"""A cluster that an older version was installed in, with what its controller had made there, is upgraded as docs/install.md
says: everything stays what it is, the objects become those of this version's `ome render`, its webhooks are reached over TLS
and refuse nothing of what was there, and then nothing is written.

upgrade/DATE.yaml.xz is manifests/install/ome.yaml of that day, DATE.json.xz the objects of a cluster under its controller.
"""

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


def guards(server, paths):
    """The webhooks refuse a service of no model, and no update of what an older version had let in; their certificate and
    what is registered for them, by path."""
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
    return {SECRET, *found}


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
    options = ["--leader-elect", *scenario.webhooks(server)]
    controller = Controller(server, *options)
    wait_for("the controller", controller.ready)
    guarded = guards(server, paths)
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


if __name__ == "__main__":
    main()
