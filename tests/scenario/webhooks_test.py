#!/usr/bin/env python3
"""`ome controller` guards an API server: its webhooks register themselves, are reached over TLS, and are survived."""

import base64
import json
import ssl
import urllib.request

import scenario
from scenario import ISVC, ApiServer, Controller, Refused, free_port, install, wait_for

RUNTIMES = "/apis/ome.io/v1beta1/namespaces/default/servingruntimes"
PODS = "/api/v1/namespaces/default/pods"
SECRET = "/api/v1/namespaces/ome/secrets/ome-webhook-server-cert"
AGENT = "system:serviceaccount:ome:ome-model-agent"
HOOKS = "/apis/admissionregistration.k8s.io/v1/"


def start(server, port):
    controller = Controller(server, "--webhook-address", "127.0.0.1", "--webhook-port", str(port), "--webhook-url",
                            f"https://127.0.0.1:{port}")
    wait_for("the controller to be ready", controller.ready)
    return controller


def service(name, **spec):
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name, "namespace": "default"},
            "spec": spec}


def refusal(server, path, document):
    try:
        server.api("POST", path.rstrip("/"), document)
    except Refused as refused:
        return refused.status, json.loads(refused.body)["message"]
    raise AssertionError(f"{document} was not refused")


def reviews(server):
    status, message = refusal(server, ISVC, service("none", model={"name": "absent"}, engine={}))
    assert status == 403 and 'referenced model "absent" not found' in message, message
    status, message = refusal(server, RUNTIMES, {"apiVersion": "ome.io/v1beta1", "kind": "ServingRuntime", "metadata": {
        "name": "rt"}, "spec": {"acceleratorRequirements": {"acceleratorClasses": ["z9"]}, "supportedModelFormats": []}})
    assert status == 403 and "unknown accelerator classes" in message, message
    old = service("older", predictor={"minReplicas": 1, "maxReplicas": 1, "model": {"baseModel": "tiny"}})
    status, text, headers = server.answer("POST", ISVC.rstrip("/"), json.dumps(old))
    made = json.loads(text)
    assert status == 201 and made["spec"]["model"]["kind"] == "ClusterBaseModel" and "predictor" not in made["spec"], text
    assert "Warning" in headers, headers


def pods(server):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "fast", "labels": {"ome.io/inferenceservice": "x"}, "annotations": {"rdma.ome.io/auto-inject": "true"}},
        "spec": {"containers": [{"name": "ome-container", "image": "i"}]}}
    made = server.api("POST", PODS, pod)
    assert {"dshm", "devinf"} <= {v["name"] for v in made["spec"]["volumes"]}, made["spec"]["volumes"]
    other = {**pod, "metadata": {"name": "plain", "annotations": pod["metadata"]["annotations"]}}
    assert "volumes" not in server.api("POST", PODS, other)["spec"], "not a pod of a service"


def agents(server, port):
    """One agent's token writes the Node and the record of its node; what others write does not come by here at all."""
    authority = base64.b64decode(server.find(SECRET)["data"]["ca.crt"]).decode()
    trust = ssl.create_default_context(cadata=authority)
    (hooks,) = (item["webhooks"] for item in server.api("GET", HOOKS + "validatingwebhookconfigurations")["items"]
                if item["metadata"]["name"] == "modelagent.ome.io")
    said = [(h["clientConfig"]["url"].rsplit("/", 1)[1], h["failurePolicy"], h["rules"][0]["resources"],
             h["rules"][0]["operations"], [c["expression"] for c in h["matchConditions"]]) for h in hooks]
    condition = [f"request.userInfo.username == '{AGENT}'"]
    assert said == [("validate-agent-node", "Fail", ["nodes"], ["CREATE", "UPDATE", "DELETE"], condition),
                    ("validate-agent-record", "Fail", ["configmaps"], ["CREATE", "UPDATE", "DELETE"], condition)], said

    def allowed(path, ns, name, **token):
        review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "operation": "UPDATE", "namespace": ns, "name": name, "object": {"metadata": {"name": name}}, "oldObject": {"metadata": {"name": name}},
            "userInfo": {"username": AGENT, "extra": {f"authentication.kubernetes.io/{key.replace('_', '-')}": [value]
                                                      for key, value in token.items()}}}}
        request = urllib.request.Request(f"https://127.0.0.1:{port}/{path}", json.dumps(review).encode())
        with urllib.request.urlopen(request, context=trust, timeout=scenario.DEADLINE) as answer:
            return json.load(answer)["response"]["allowed"]

    pod = server.api("POST", "/api/v1/namespaces/ome/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent"},
                     "spec": {"nodeName": "n1", "containers": [{"name": "agent", "image": "i"}]}})
    old = {"pod_name": "agent", "pod_uid": pod["metadata"]["uid"]}  # as before Kubernetes 1.30
    for token in ({"node_name": "n1"}, old):
        assert allowed("validate-agent-node", "", "n1", **token) and allowed("validate-agent-record", "ome", "n1", **token)
        assert not allowed("validate-agent-node", "", "n2", **token)
        assert not allowed("validate-agent-record", "ome", "inferenceservice-config", **token)
    assert not allowed("validate-agent-node", "", "n1")


def revisions(server):
    """What a pinned service needs cannot be changed, nor deleted while it is."""
    server.apply(scenario.runtime("engine"))
    pinned = service("pinned", model={"name": "tiny"}, engine={}, runtime={"name": "engine", "autoSync": False})
    server.apply(pinned)
    name = wait_for("the pin", lambda: (server.find(ISVC + "pinned") or {}).get("status", {}).get("pinnedRevisionName"))
    path = f"/apis/apps/v1/namespaces/ome/controllerrevisions/{name}"

    def refused(method, body=None):
        try:
            server.api(method, path, body, "application/merge-patch+json")
        except Refused as refusal_:
            return json.loads(refusal_.body)["message"]
        raise AssertionError(f"{method} {body} was not refused")
    assert "which does not change" in refused("PATCH", {"data": {"spec": {"disabled": True}}})
    assert "InferenceService default/pinned is pinned to it" in refused("DELETE")
    server.api("PATCH", path, {"metadata": {"annotations": {"looked-at": "yes"}}}, "application/merge-patch+json")
    server.api("DELETE", ISVC + "pinned")
    wait_for("the service to go", lambda: server.find(ISVC + "pinned") is None)
    server.api("DELETE", path)


def outage(server):
    """With nobody at the webhooks, services cannot be made, but pods start and what is there can go."""
    status, message = refusal(server, ISVC, service("late", model={"name": "tiny"}))
    assert status == 500 and "failed calling webhook" in message, message
    server.api("POST", PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "labels": {
        "ome.io/inferenceservice": "x"}}, "spec": {"containers": [{"name": "ome-container", "image": "i"}]}})
    server.api("DELETE", ISVC + "older")
    if server.find(ISVC + "older"):  # its finalizers can be taken off
        server.api("PATCH", ISVC + "older", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    assert server.find(ISVC + "older") is None
    record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n1"}}
    server.api("POST", "/api/v1/namespaces/ome/configmaps", record)  # agents alone are held up
    server.api("DELETE", "/api/v1/namespaces/ome/configmaps/n1")
    server.api("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    server.api("PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"a": "b"}}}, "application/merge-patch+json")


def bundles(server):
    found = server.api("GET", HOOKS + "validatingwebhookconfigurations")["items"]
    return {hook["clientConfig"]["caBundle"] for item in found for hook in item["webhooks"]}


def renewal(server, port):
    """A Secret that is gone is made anew, and what is registered follows it."""
    before = bundles(server)
    assert len(before) == 1
    server.api("DELETE", SECRET)
    controller = start(server, port)
    (after,) = bundles(server)
    assert after not in before
    secret = server.find(SECRET)
    assert base64.b64decode(secret["data"]["ca.crt"]) in base64.b64decode(after)
    status, _ = refusal(server, ISVC, service("none", model={"name": "absent"}))
    assert status == 403
    controller.stop()
    kept = start(server, port)  # and one that is there is kept
    assert server.find(SECRET)["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"]
    kept.stop()


def main():
    with scenario.scratch() as folder:
        server = ApiServer(folder).start()
        install(server)
        server.apply(scenario.model("tiny", "hf://example/tiny"))
        port = free_port()
        controller = start(server, port)
        reviews(server)
        pods(server)
        agents(server, port)
        revisions(server)
        controller.stop()
        outage(server)
        renewal(server, port)
        server.stop()
    print("webhooks: all true")


if __name__ == "__main__":
    main()
