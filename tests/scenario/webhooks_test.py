#!/usr/bin/env python3
"""`ome controller` guards an API server: its webhooks register themselves, are reached over TLS, and are survived."""

import base64
import json
import ssl
import urllib.request

import scenario
from scenario import WEBHOOKS as HOOKS
from scenario import Controller, Refused, install, wait_for

OME_IO = "/apis/ome.io/v1beta1/namespaces/{}/"
ISVC = OME_IO + "inferenceservices"
PODS = "/api/v1/namespaces/{}/pods"
SECRET = "/api/v1/namespaces/{}/secrets/ome-webhook-server-cert"


def start(server, options):
    controller = Controller(server, *options)
    wait_for("the controller to be ready", controller.ready)
    wait_for("the API server to hear of its webhooks", lambda: is_reached(server))
    return controller


def is_reached(server):
    try:
        server.api("POST", ISVC.format(server.ns) + "?dryRun=All", service("none", model={"name": "absent"}, engine={}))
    except Refused as refused:
        return refused.status == 403
    return False


def service(name, **spec):
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name}, "spec": spec}


def refusal(server, path, document):
    try:
        server.api("POST", path.format(server.ns), document)
    except Refused as refused:
        return refused.status, json.loads(refused.body)["message"]
    raise AssertionError(f"{document} was not refused")


def rules(server):
    """What can be told from an object alone the CRDs refuse by themselves: nobody is at the webhooks."""
    job = lambda **endpoint: {"apiVersion": "ome.io/v1beta1", "kind": "BenchmarkJob", "metadata": {"name": "job"}, "spec": {
        "endpoint": endpoint, "task": "text-to-text", "trafficScenarios": ["D(100,100)"], "numConcurrency": [1],
        "maxTimePerIteration": 1, "maxRequestsPerIteration": 1, "outputLocation": {"storageUri": "local:///tmp/x"}}}
    url, named = {"url": "http://example", "apiFormat": "openai"}, {"name": "svc", "namespace": "default"}
    for path, document, why in (
            ("benchmarkjobs", job(endpoint=url, inferenceService=named), "exactly one of endpoint and inferenceService"),
            ("benchmarkjobs", job(), "exactly one of endpoint and inferenceService"),
            ("inferenceservices", service("k", model={"name": "m"}, engine={}, kedaConfig={"scalingOperator": "Near"}),
             "kedaConfig.scalingOperator must be")):
        status, message = refusal(server, OME_IO + path, document)
        assert status == 422 and why in message, (status, message)
    server.api("POST", OME_IO.format(server.ns) + "benchmarkjobs?dryRun=All", job(endpoint=url))


def reviews(server):
    status, message = refusal(server, ISVC, service("none", model={"name": "absent"}, engine={}))
    assert status == 403 and 'referenced model "absent" not found' in message, message
    status, message = refusal(server, OME_IO + "servingruntimes", {"apiVersion": "ome.io/v1beta1", "kind": "ServingRuntime", "metadata": {
        "name": "rt"}, "spec": {"acceleratorRequirements": {"acceleratorClasses": ["z9"]}, "supportedModelFormats": []}})
    assert status == 403 and "unknown accelerator classes" in message, message
    old = service("older", predictor={"minReplicas": 1, "maxReplicas": 1, "model": {"baseModel": "tiny"}})
    status, text, headers = server.answer("POST", ISVC.format(server.ns), json.dumps(old))
    made = json.loads(text)
    assert status == 201 and made["spec"]["model"]["kind"] == "ClusterBaseModel" and "predictor" not in made["spec"], text
    assert "Warning" in headers, headers


def pods(server):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "fast", "labels": {"ome.io/inferenceservice": "x"}, "annotations": {"rdma.ome.io/auto-inject": "true"}},
        "spec": {"containers": [{"name": "ome-container", "image": "i"}]}}
    made = server.api("POST", PODS.format(server.ns), pod)
    assert {"dshm", "devinf"} <= {v["name"] for v in made["spec"]["volumes"]}, made["spec"]["volumes"]
    other = {**pod, "metadata": {"name": "plain", "annotations": pod["metadata"]["annotations"]}}
    assert "volumes" not in server.api("POST", PODS.format(server.ns), other)["spec"], "not a pod of a service"


def agents(server, url):
    """One agent's token writes the Node and the record of its node; what others write does not come by here at all."""
    authority = base64.b64decode(server.find(SECRET.format(server.ome_ns))["data"]["ca.crt"]).decode()
    user = f"system:serviceaccount:{server.ome_ns}:ome-model-agent"
    trust = ssl.create_default_context(cadata=authority)
    (hooks,) = (item["webhooks"] for item in server.api("GET", HOOKS + "validatingwebhookconfigurations")["items"]
                if item["metadata"]["name"] == "modelagent.ome.io")
    said = [(h["clientConfig"]["url"].rsplit("/", 1)[1], h["failurePolicy"], h["rules"][0]["resources"],
             h["rules"][0]["operations"], [c["expression"] for c in h["matchConditions"]]) for h in hooks]
    condition = [f"request.userInfo.username == '{user}'"]
    assert said == [("validate-agent-node", "Fail", ["nodes"], ["CREATE", "UPDATE", "DELETE"], condition),
                    ("validate-agent-record", "Fail", ["configmaps"], ["CREATE", "UPDATE", "DELETE"], condition)], said

    def allowed(path, ns, name, **token):
        review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "operation": "UPDATE", "namespace": ns, "name": name, "object": {"metadata": {"name": name}}, "oldObject": {"metadata": {"name": name}},
            "userInfo": {"username": user, "extra": {f"authentication.kubernetes.io/{key.replace('_', '-')}": [value]
                                                      for key, value in token.items()}}}}
        request = urllib.request.Request(f"{url}/{path}", json.dumps(review).encode())
        with urllib.request.urlopen(request, context=trust, timeout=scenario.DEADLINE) as answer:
            return json.load(answer)["response"]["allowed"]

    pod = server.api("POST", PODS.format(server.ome_ns), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent"},
                     "spec": {"nodeName": "n1", "containers": [{"name": "agent", "image": "i"}]}})
    old = {"pod_name": "agent", "pod_uid": pod["metadata"]["uid"]}  # as before Kubernetes 1.30
    for token in ({"node_name": "n1"}, old):
        assert allowed("validate-agent-node", "", "n1", **token) and allowed("validate-agent-record", server.ome_ns, "n1", **token)
        assert not allowed("validate-agent-node", "", "n2", **token)
        assert not allowed("validate-agent-record", server.ome_ns, "inferenceservice-config", **token)
    assert not allowed("validate-agent-node", "", "n1")


def revisions(server):
    """What a pinned service needs cannot be changed, nor deleted while it is."""
    server.apply(scenario.runtime("engine"))
    pinned = service("pinned", model={"name": "tiny"}, engine={}, runtime={"name": "engine", "autoSync": False})
    server.apply(pinned)
    at = ISVC.format(server.ns) + "/pinned"
    name = wait_for("the pin", lambda: (server.find(at) or {}).get("status", {}).get("pinnedRevisionName"))
    path = f"/apis/apps/v1/namespaces/{server.ome_ns}/controllerrevisions/{name}"

    def refused(method, body=None):
        try:
            server.api(method, path, body, "application/merge-patch+json")
        except Refused as refusal_:
            return json.loads(refusal_.body)["message"]
        raise AssertionError(f"{method} {body} was not refused")
    said = refused("PATCH", {"data": {"spec": {"disabled": True}}})
    assert "which does not change" in said or "immutable" in said, said  # Kubernetes itself may come before the webhook
    assert f"InferenceService {server.ns}/pinned is pinned to it" in refused("DELETE")
    server.api("PATCH", path, {"metadata": {"annotations": {"looked-at": "yes"}}}, "application/merge-patch+json")
    server.api("DELETE", at)
    wait_for("the service to go", lambda: server.find(at) is None)
    server.api("DELETE", path)


def outage(server):
    """With nobody at the webhooks, services cannot be made, but pods start and what is there can go."""
    status, message = refusal(server, ISVC, service("late", model={"name": "tiny"}))
    assert status == 500 and "failed calling webhook" in message, message
    server.api("POST", PODS.format(server.ns), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "labels": {
        "ome.io/inferenceservice": "x"}}, "spec": {"containers": [{"name": "ome-container", "image": "i"}]}})
    older = ISVC.format(server.ns) + "/older"
    server.api("DELETE", older)
    if server.find(older):  # its finalizers can be taken off
        server.api("PATCH", older, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    assert server.find(older) is None
    record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n1"}}
    records = f"/api/v1/namespaces/{server.ome_ns}/configmaps"
    server.api("POST", records, record)  # agents alone are held up
    server.api("DELETE", records + "/n1")
    server.api("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    server.removes("/api/v1/nodes/n1")
    server.api("PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"a": "b"}}}, "application/merge-patch+json")


def bundles(server):
    found = server.api("GET", HOOKS + "validatingwebhookconfigurations")["items"]
    return {hook["clientConfig"]["caBundle"] for item in found if item["metadata"]["name"].endswith(".ome.io")
            for hook in item["webhooks"]}


def renewal(server, options):
    """A Secret that is gone is made anew, and what is registered follows it."""
    before = bundles(server)
    assert len(before) == 1
    secret_path = SECRET.format(server.ome_ns)
    server.api("DELETE", secret_path)
    controller = start(server, options)
    (after,) = bundles(server)
    assert after not in before
    secret = server.find(secret_path)
    assert base64.b64decode(secret["data"]["ca.crt"]) in base64.b64decode(after)
    status, _ = refusal(server, ISVC, service("none", model={"name": "absent"}))
    assert status == 403
    controller.stop()
    kept = start(server, options)  # and one that is there is kept
    assert server.find(secret_path)["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"]
    kept.stop()


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        rules(server)
        options = scenario.webhooks(server)
        server.apply(scenario.model("tiny", "hf://example/tiny"))
        controller = start(server, options)
        reviews(server)
        pods(server)
        agents(server, options[-1])
        revisions(server)
        controller.stop()
        outage(server)
        renewal(server, options)
    print("webhooks: all true")


if __name__ == "__main__":
    main()
