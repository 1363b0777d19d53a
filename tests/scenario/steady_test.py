#!/usr/bin/env python3
"""What does not change costs no write: 1,000 reconciles of services of every mode, requests counted by verb: at the API server
where that is ours, else by the controller itself.

OME_SHARED_DIR (or ../shared beside the checkout) holds the CRDs of other projects in crds/; without it this is skipped.
"""

import collections
import json
import os
import re
import urllib.request

import samples
import scenario
from scenario import DEADLINE, HOME, Controller, wait_for

SHARED = os.environ.get("OME_SHARED_DIR", os.path.join(os.path.dirname(HOME), "shared"))
CONFIG = "/api/v1/namespaces/{}/configmaps/inferenceservice-config"
SERVICES = "/apis/ome.io/v1beta1/namespaces/{}/inferenceservices"
COPIES = 10
RECONCILES = 1000
READS = {"get", "list", "watch"}


def metrics(controller):
    with urllib.request.urlopen(f"http://127.0.0.1:{controller.port}/metrics", timeout=DEADLINE) as answer:
        return answer.read().decode()


def reconciles(controller):
    """How many of services have ended."""
    return sum(int(float(n)) for n in re.findall(
        r'^ome_reconcile_duration_seconds_count\{controller="inferenceservice[^}]*\} (\S+)$', metrics(controller), re.M))


class Audit:
    """The controller's requests by verb and resource, as they come to the API server."""

    def __init__(self, path):
        self.log = open(path)

    def since_last_time(self):
        verbs = collections.Counter()
        for line in self.log:
            event = json.loads(line)
            if event["userAgent"].startswith("ome/") and event["objectRef"]["resource"] != "leases":
                verbs[event["verb"], event["objectRef"]["resource"]] += 1
        return verbs


class Count:
    """The same as the controller counts them, which tells no resources. It holds no lease."""

    def __init__(self, controller):
        self.controller, self.last = controller, collections.Counter()

    def since_last_time(self):
        found = re.findall(r'^ome_kube_requests_total\{verb="(\w+)",code="\w+"\} (\S+)$', metrics(self.controller), re.M)
        now = collections.Counter()
        for verb, n in found:
            now[verb.lower(), "anything"] += int(float(n))
        verbs, self.last = now - self.last, now
        return verbs


def copies(server):
    """Every sample's service COPIES times."""
    services = server.api("GET", SERVICES.format(server.ns))["items"]
    assert len(services) >= 8, len(services)
    for service in services:
        for i in range(1, COPIES):
            server.apply({"apiVersion": "ome.io/v1beta1", "kind": "InferenceService", "spec": service["spec"],
                          "metadata": {"name": f"{service['metadata']['name']}-{i}",
                                       "annotations": service["metadata"].get("annotations", {})}})
    return len(services) * COPIES


def all_again(server, controller, number, count):
    """Every service is reconciled once more, though nothing of it has changed: the configuration's annotation has."""
    before = reconciles(controller)
    server.api("PATCH", CONFIG.format(server.ome_ns), {"metadata": {"annotations": {"round": str(number)}}}, "application/merge-patch+json")
    wait_for(f"round {number}", lambda: reconciles(controller) >= before + count)


def writes_of(verbs):
    return {f"{verb} {resource}": n for (verb, resource), n in verbs.items() if verb not in READS}


def check(server, controller, audit):
    audit.since_last_time()
    count = copies(server)
    without = lambda: [s["metadata"]["name"] for s in server.api("GET", SERVICES.format(server.ns))["items"]
                       if not s.get("status", {}).get("conditions")]
    wait_for("every service to have a status", lambda: not without())
    asked = {resource: n for (verb, resource), n in audit.since_last_time().items() if verb == "get"}
    assert not asked, f"a new service is written, not asked for: {asked}"
    number = 0
    while True:  # until what was begun has ended
        number += 1
        assert number <= 10, f"writes do not end: {writes}"
        all_again(server, controller, number, count)
        writes = writes_of(audit.since_last_time())
        if not writes:
            break
    begin = reconciles(controller)
    while reconciles(controller) < begin + RECONCILES:
        number += 1
        all_again(server, controller, number, count)
    done = reconciles(controller) - begin
    verbs = audit.since_last_time()
    assert not writes_of(verbs), writes_of(verbs)
    by_verb = collections.Counter()
    for (verb, _), n in verbs.items():
        by_verb[verb] += n
    print(f"{done} reconciles of {count} services: no write; requests by verb: {dict(by_verb)}")
    assert by_verb["get"] + by_verb["list"] <= done // 100, verbs  # what is watched is not asked for
    # It does see them: a change is written.
    server.api("PATCH", SERVICES.format(server.ns) + "/raw", {"spec": {"engine": {"maxReplicas": 7}}}, "application/merge-patch+json")
    wait_for("a change to be written", lambda: writes_of(audit.since_last_time()))


def main():
    if not os.path.isdir(os.path.join(SHARED, "crds")):
        scenario.skip("the CRDs of other projects are not here (OME_SHARED_DIR)")
    with scenario.scratch() as folder, scenario.served(folder, "--audit-log-path", folder + "/audit.log") as server:
        scenario.install(server)
        for project in ("lws", "knative", "kuberay", "keda"):
            scenario.install_crds(server, os.path.join(SHARED, "crds", project))
        server.apply({"apiVersion": "v1", "kind": "ConfigMap",
                      "metadata": {"name": "inferenceservice-config", "namespace": server.ome_ns}, "data": {}})
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        scenario.apply_files(server, samples.place(server, samples.HOME, folder + "/samples"))
        raw = server.api("GET", SERVICES.format(server.ns) + "/raw")
        server.apply({"apiVersion": "ome.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "keda"},
                      "spec": {**raw["spec"], "kedaConfig": {"enableKeda": True},
                               "engine": {**raw["spec"]["engine"],
                                          "annotations": {"ome.io/autoscalerClass": "keda"}}}})
        check(server, controller, Audit(folder + "/audit.log") if server.process else Count(controller))
        controller.stop()


if __name__ == "__main__":
    main()
