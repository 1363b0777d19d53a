#!/usr/bin/env python3
"""Agents as in a cluster: with the account and the rights of manifests/install and a token that is bound to a pod on the node, or to
the node. They do all of their work, and whatever concerns another node is refused by the controller's webhook.

It takes an API server that issues tokens, as that of `./dev kubernetes`; without one it is skipped.
"""

import base64
import json
import os
import ssl
import sys
import urllib.error
import urllib.request

import agents
import scenario
from agents import Agent
from scenario import DEADLINE, MODEL, Controller, Hub, wait_for

ACCOUNT = "ome-model-agent"
FILES = {"config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096}',
         "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(range(256)) * 32768}
TOKEN = "hf_private"
MERGE = "application/merge-patch+json"


class World:
    def __init__(self, folder, server):
        self.server = server
        scenario.install(server)
        self.maps = f"/api/v1/namespaces/{server.ome_ns}/configmaps"
        self.controller = Controller(server, *scenario.webhooks(server))
        self.digests = scenario.write_files(folder + "/hub/test/private", FILES)
        scenario.write_private(folder + "/token", TOKEN)
        self.hub = Hub(folder + "/hub", "--token-file", folder + "/token")
        nodes = [server.apply(agents.node(name, pool="a")) for name in ("n1", "n2")]
        self.by_pod = server.account(ACCOUNT, "n1")
        self.by_node = server.kubeconfig_of(ACCOUNT, nodes[1])
        self.unbound = server.account(ACCOUNT)
        wait_for("the controller to be ready", self.controller.ready)
        wait_for("the API server to hear of both webhooks", lambda: all(refusal(self.unbound, *request) for request in (
            label("n1"), record(self, "n1"))))
        self.agents = [Agent(server, folder, "n1", self.hub.url, kubeconfig=self.by_pod).start(),
                       Agent(server, folder, "n2", self.hub.url, kubeconfig=self.by_node).start()]

    def entry(self, node, name="private"):
        return json.loads((self.server.find(f"{self.maps}/{node}") or {}).get("data", {}).get("clusterbasemodel." + name, "{}"))


# ---- what a token may do ---------------------------------------------------------------------------------------------

def ask(kubeconfig, method, path, document):
    """Status and answer of the API to who has KUBECONFIG; nothing is changed."""
    with open(kubeconfig) as source:
        config = json.load(source)
    cluster, token = config["clusters"][0]["cluster"], config["users"][0]["user"]["token"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    request = urllib.request.Request(cluster["server"] + path + "?dryRun=All", json.dumps(document).encode(), method=method, headers={
        "Authorization": "Bearer " + token, "Content-Type": MERGE if method == "PATCH" else "application/json"})
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=authority), timeout=DEADLINE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def refusal(kubeconfig, *request):
    """Why, in the words of the agents' webhook; None: it was let through, or it is somebody else who refuses."""
    status, answer = ask(kubeconfig, *request)
    by, denied, why = answer.get("message", "").partition(" denied the request: ")
    return why if status == 403 and denied and '"modelagent.' in by else None


def metadata(node, **change):
    return "PATCH", "/api/v1/nodes/" + node, {"metadata": change}


def label(node):
    return metadata(node, labels={"models.ome.io/clusterbasemodel.x": "Ready"})


def record(w, name):
    return "POST", w.maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def may(kubeconfig, verb, resource, sub="", group=""):
    status, review = ask(kubeconfig, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {
            "verb": verb, "resource": resource, "subresource": sub, "group": group}}})
    assert status == 201, review
    return review["status"]["allowed"]


def check_others(w, kubeconfig, own, other):
    """All that concerns another node, and of its own what decides which models belong there; how much was refused."""
    not_yours = f"the agent on node {own} may write Node {own} and ConfigMap {w.server.ome_ns}/{own}"
    ours_only = "may write the labels and annotations models.ome.io/... of its Node, and nothing else of it"
    refused = ((label(other), not_yours),
               (metadata(other, annotations={"models.ome.io/peer": "{}"}), not_yours),
               (("PATCH", f"{w.maps}/{other}", {"data": {"clusterbasemodel.x": "{}"}}), not_yours),
               (("PATCH", w.maps + "/others", {"data": {"a": "b"}}), not_yours),
               (record(w, "another"), not_yours),
               (metadata(own, labels={"pool": "b"}), ours_only),
               (metadata(own, annotations={"a": "b"}), ours_only),
               (("PATCH", "/api/v1/nodes/" + own, {"spec": {"unschedulable": True}}), ours_only))
    for request, why in refused:
        said = refusal(kubeconfig, *request)
        assert said and why in said, (request, said)
    return len(refused)


def check_own(w, kubeconfig, own):
    for request in (label(own), ("PATCH", f"{w.maps}/{own}", {"data": {"clusterbasemodel.x": "{}"}})):
        status, answer = ask(kubeconfig, *request)
        assert status == 200, answer
    assert may(kubeconfig, "patch", "nodes") and may(kubeconfig, "list", "acceleratorclasses", group="ome.io")
    for forbidden in (("get", "secrets"), ("list", "secrets"), ("create", "pods", "exec"), ("patch", "nodes", "status"),
                      ("delete", "nodes"), ("delete", "configmaps"), ("create", "serviceaccounts", "token")):
        assert not may(kubeconfig, *forbidden), forbidden


def check_tokens(w):
    """How many writes were refused."""
    w.server.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "others", "namespace": w.server.ome_ns}})
    count = 0
    for kubeconfig, own, other in ((w.by_pod, "n1", "n2"), (w.by_node, "n2", "n1")):
        count += check_others(w, kubeconfig, own, other)
        check_own(w, kubeconfig, own)
    for request in (label("n1"), record(w, "n1")):
        said = refusal(w.unbound, *request)
        assert said and "is bound to no pod on a node" in said, (request, said)
        count += 1
    return count


# ---- what agents do --------------------------------------------------------------------------------------------------

def work(w):
    """A private model comes to both; what is edited or deleted is written again."""
    w.server.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub", "namespace": w.server.ome_ns},
                    "data": {"token": base64.b64encode(TOKEN.encode()).decode()}})
    document = scenario.model("private", "hf://test/private")
    document["spec"]["storage"].update({"key": "hub", "nodeSelector": {"pool": "a"}})
    w.server.apply(document)
    wait_for("the model on both nodes", lambda: all(a.label("private") == "Ready" for a in w.agents))
    for agent in w.agents:
        scenario.check_files(agent.folder_of("private"), w.digests)
        wait_for("its entry", lambda agent=agent: w.entry(agent.name).get("status") == "Ready")
        assert "models.ome.io/peer" in agent.node()["metadata"]["annotations"]
    wait_for("what its files say of it", lambda: w.server.find(MODEL + "private")["spec"].get("maxTokens") == 4096)
    wait_for("the cluster to count both", lambda: w.server.find(MODEL + "private").get("status", {}).get("nodesReady") == ["n1", "n2"])
    w.server.api("DELETE", f"{w.maps}/n1")
    wait_for("a new record", lambda: w.entry("n1").get("status") == "Ready")
    w.server.api("PATCH", "/api/v1/nodes/n2", {"metadata": {"labels": {"models.ome.io/clusterbasemodel.private": "Failed"}}}, MERGE)
    wait_for("the label to be as the disk again", lambda: w.agents[1].label("private") == "Ready")


def fail(w):
    """What cannot be had both say, and tell an event of it."""
    w.server.apply(scenario.model("absent", "hf://test/absent"))
    wait_for("both to say why not", lambda: all(w.entry(n, "absent").get("cause") in ("NotFound", "Unauthorised") for n in ("n1", "n2")))
    wait_for("their events", lambda: any(
        e["reason"] == "ModelDownloadFailed" and e["involvedObject"]["name"] == "absent" and e["source"].get("component") == "ome-agent"
        for e in w.server.api("GET", "/api/v1/events")["items"]))


def leave(w):
    for name in ("private", "absent"):
        w.server.api("DELETE", MODEL + name)
    wait_for("both to be gone", lambda: all(w.server.find(MODEL + name) is None for name in ("private", "absent")))
    wait_for("nothing to be left of it", lambda: not any(
        os.path.exists(a.folder_of("private")) or a.label("private") or w.entry(a.name) for a in w.agents))


def main():
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        if not server.accounts:
            scenario.skip("an API server that issues tokens for accounts is needed; ./dev kubernetes has one")
        w = World(folder, server)
        work(w)
        count = check_tokens(w)
        fail(w)
        leave(w)
        for agent in w.agents:
            agent.stop()
        w.controller.stop()
        w.hub.stop()
    print(f"two agents with tokens of their pod and of their node did all of their work; {count} writes about others were refused")


if __name__ == "__main__":
    sys.exit(main())
