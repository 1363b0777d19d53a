#!/usr/bin/env python3
"""What is installed in a cluster: applied in one step, and with the rights that controller and agent use, no more."""

import json
import os
import re
import signal
import subprocess

import scenario
from scenario import DEADLINE, HOME, ISVC, MODEL, OME, ApiServer, Hub, free_port, wait_for

BASE = os.path.join(HOME, "manifests/install/base")
CLASSES = "/apis/ome.io/v1beta1/acceleratorclasses"
RBAC = "/apis/rbac.authorization.k8s.io/v1/"

# Rights for what this scenario does not come to.
NOT_SEEN = {
    "ome-controller-manager": {
        ("ome.io", "basemodels", "update"),  # the same as clusterbasemodels, in a namespace
        ("ome.io", "basemodels/status", "update"),
        ("ome.io", "benchmarkjobs", "update"),  # OME's finalizers are taken off
        ("ome.io", "inferenceservices", "update"),
        ("ome.io", "acceleratorclasses", "update"),
        ("", "secrets", "update"),  # a certificate is renewed
        ("", "events", "create"), ("", "events", "patch"),  # what became of a service's objects
    },
    "ome-model-agent": {("ome.io", "basemodels", "patch"), ("", "events", "patch")},
}
# Objects that services get only where something else asks for them.
CHILDREN = {("", "serviceaccounts"), ("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "rolebindings"),
            ("networking.k8s.io", "ingresses")}
# Kinds of other projects; this server has none of them.
OTHERS = {"keda.sh", "gateway.networking.k8s.io", "inference.networking.k8s.io", "networking.istio.io",
          "gateway.envoyproxy.io", "leaderworkerset.x-k8s.io", "serving.knative.dev", "ray.io"}
# Verbs that mean the same right to whoever may use one of them: a cache lists and watches, and reads what it missed.
TOGETHER = [{"get", "list", "watch"}, {"create", "patch", "delete"}]


def kubectl(server, *words):
    done = subprocess.run(["kubectl", "--kubeconfig", server.kubeconfig, *words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def rules_of(server, account):
    """[namespace or None for anywhere, apiGroups, resources, verbs, names] of every rule bound to ACCOUNT."""
    found = []
    for kind, roles in (("rolebindings", "roles"), ("clusterrolebindings", "clusterroles")):
        for binding in server.api("GET", RBAC + kind)["items"]:
            if account not in [s["name"] for s in binding.get("subjects", [])]:
                continue
            namespace = binding["metadata"].get("namespace")
            path = f"namespaces/{namespace}/" if namespace else ""
            role = server.api("GET", f"{RBAC}{path}{roles}/{binding['roleRef']['name']}")
            found += [(namespace, rule) for rule in role["rules"]]
    return found


def covers(namespace, rule, request):
    resource = request["resource"] + ("/" + request["subresource"] if request["subresource"] else "")
    return (namespace in (None, request["namespace"]) and request["apiGroup"] in rule["apiGroups"]
            and resource in rule["resources"] and request["verb"] in rule["verbs"]
            and (not rule.get("resourceNames") or request["name"] in rule["resourceNames"]))


def asked(log, begin):
    """The requests of our own processes since BEGIN."""
    requests = []
    with open(log) as lines:
        lines.seek(begin)
        for line in lines:
            event = json.loads(line)
            if event["userAgent"].startswith("ome/"):
                requests.append({**event["objectRef"], "verb": event["verb"]})
    return requests


def check_rights(server, account, requests):
    rules = rules_of(server, account)
    assert rules, account
    denied = {(r["apiGroup"], r["resource"], r["subresource"], r["namespace"], r["name"], r["verb"]) for r in requests
              if not any(covers(namespace, rule, r) for namespace, rule in rules)}
    assert not denied, f"{account} is not allowed what it does: {sorted(denied)}"
    used = {(r["apiGroup"], r["resource"] + ("/" + r["subresource"] if r["subresource"] else ""), r["verb"])
            for r in requests}
    idle = set()
    for _, rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    same = next((verbs for verbs in TOGETHER if verb in verbs), {verb})
                    if not any((group, resource, v) in used for v in same):
                        idle.add((group, resource, verb))
    idle = {right for right in idle if right not in NOT_SEEN[account] and right[:2] not in CHILDREN
            and right[0] not in OTHERS}
    assert not idle, f"{account} may do what it never does: {sorted(idle)}"
    print(f"{account}: {len(requests)} requests, all allowed; {len(used)} rights used")


def check_children(server):
    """Each kind in the controller's table of what services are made of has a rule."""
    with open(os.path.join(HOME, "host/controller/children.c")) as source:
        kinds = re.findall(r'^ +\{"([^"]+)", "([A-Z]\w+)",', source.read(), re.M)
    assert len(kinds) > 8, kinds
    rules = rules_of(server, "ome-controller-manager")
    for api_version, kind in kinds:
        group = api_version.rpartition("/")[0]
        assert any(group in rule["apiGroups"] and "patch" in rule["verbs"]
                   and any(resource.startswith(kind.lower()[:-1]) for resource in rule["resources"])
                   for _, rule in rules), f"no rule lets the controller write {api_version} {kind}"


def start(server, *words):
    return scenario.end_with_us(subprocess.Popen([OME, *words, "--kubeconfig", server.kubeconfig], stderr=subprocess.PIPE,
                                                 text=True))


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0, process.stderr.read()
    process.stderr.close()


def condition(server, path, kind):
    found = (server.find(path) or {}).get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind), None)


def controller(server, log):
    """A model, a runtime, a class, a job and a service come and go."""
    begin = os.path.getsize(log)
    port = free_port()
    process = start(server, "controller", "--leader-elect", "--health-port", "0", "--webhook-address", "127.0.0.1",
                    "--webhook-port", str(port), "--webhook-url", f"https://127.0.0.1:{port}")
    hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/inferenceservice.ome.io"
    wait_for("the webhooks", lambda: server.find(hooks))
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    server.apply(model)
    server.apply(scenario.runtime("engine"))
    server.api("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    server.api("POST", CLASSES, {"apiVersion": "ome.io/v1beta1", "kind": "AcceleratorClass", "metadata": {"name": "cpu"},
                                 "spec": {"discovery": {}, "capabilities": {}}})
    job = {"apiVersion": "ome.io/v1beta1", "kind": "BenchmarkJob", "metadata": {"name": "job"}, "spec": {
        "endpoint": {"endpoint": {"url": "http://127.0.0.1:1", "apiFormat": "openai"}}, "task": "text-to-text",
        "maxTimePerIteration": 1, "maxRequestsPerIteration": 1, "outputLocation": {"storageUri": "local:///tmp"}}}
    jobs = "/apis/ome.io/v1beta1/namespaces/default/benchmarkjobs"
    server.api("POST", jobs, job)
    server.apply(scenario.service("chat", "tiny"))
    wait_for("a Deployment", lambda: server.find("/apis/apps/v1/namespaces/default/deployments/chat-engine"))
    wait_for("the service's conditions", lambda: condition(server, ISVC + "chat", "Ready"))
    wait_for("the job's status", lambda: server.find(jobs + "/job").get("status", {}).get("state"))
    wait_for("the class's status", lambda: server.find(CLASSES + "/cpu").get("status", {}).get("lastUpdated"))
    server.api("DELETE", ISVC + "chat")
    wait_for("the service to go", lambda: server.find(ISVC + "chat") is None)
    server.api("DELETE", MODEL + "tiny")
    wait_for("the model to go", lambda: server.find(MODEL + "tiny") is None)
    stop(process)
    check_rights(server, "ome-controller-manager", asked(log, begin))


def agent(server, log, folder, hub):
    """A model with a Secret comes to a node and leaves it."""
    begin = os.path.getsize(log)
    server.api("POST", "/api/v1/namespaces/ome/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"},
                                                          "stringData": {"token": "t"}})
    model = scenario.model("tiny", "hf://acme/tiny")
    model["spec"]["storage"]["key"] = "hub"
    server.apply(model)
    os.environ["HF_ENDPOINT"] = hub.url
    process = start(server, "agent", "--node-name", "n1", "--models-root-dir", folder + "/models")
    label = lambda: [v for k, v in server.find("/api/v1/nodes/n1")["metadata"].get("labels", {}).items()
                     if k.startswith("models.ome.io/")]
    wait_for("the node's label", lambda: label() == ["Ready"])
    server.api("DELETE", MODEL + "tiny")
    wait_for("the label to go", lambda: not label())
    stop(process)
    check_rights(server, "ome-model-agent", asked(log, begin))


def uninstall(server):
    """As docs/install.md says: nothing of ours is left, and nothing stands in the way of others."""
    kubectl(server, "delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "inferenceservice.ome.io",
            "servingruntime.ome.io", "clusterservingruntime.ome.io", "benchmarkjob.ome.io", "--ignore-not-found")
    kubectl(server, "delete", "-k", BASE, "--ignore-not-found", "--wait=false")
    wait_for("the namespace to go", lambda: server.find("/api/v1/namespaces/ome") is None)
    for path in ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", RBAC + "clusterroles", RBAC + "clusterrolebindings",
                 "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
                 "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"):
        left = lambda: [o["metadata"]["name"] for o in server.api("GET", path)["items"] if "ome" in o["metadata"]["name"]]
        wait_for(f"{path} to be empty of ours", lambda: not left())


def main():
    with scenario.scratch() as folder:
        log = folder + "/audit.log"
        server = ApiServer(folder).start("--audit-log-path", log)
        kubectl(server, "apply", "--server-side", "-k", BASE)
        again = kubectl(server, "apply", "--server-side", "-k", BASE)
        assert "deployment.apps/ome-controller-manager serverside-applied" in again, again
        check_children(server)
        controller(server, log)
        os.makedirs(folder + "/hub/acme/tiny")
        scenario.write_files(folder + "/hub/acme/tiny", {"config.json": b'{"model_type": "llama"}'})
        hub = Hub(folder + "/hub")
        agent(server, log, folder, hub)
        hub.stop()
        uninstall(server)
        server.stop()
    print("install: all true")


if __name__ == "__main__":
    main()
