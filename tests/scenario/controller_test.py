"""`ome controller` in front of an API server that it did not start: two replicas, one leader, a hand-over, what `ome explain`
says of a service that is there, and the flags of OME's manager."""

import contextlib
import json
import signal
import ssl
import subprocess
import urllib.request

import scenario
from metrics_test import ask
from scenario import DEADLINE, OME, Controller, free_port, install, wait_for

SERVICE = "/apis/ome.io/v1beta1/namespaces/{}/inferenceservices/chat"
DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/chat-engine"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/ome-controller-manager-leader-lock"


def documents(image):
    runtime = scenario.runtime("engine")
    runtime["spec"]["engineConfig"]["runner"]["image"] = image
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    service = {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
               "metadata": {"name": "chat"},
               "spec": {"model": {"name": "tiny"}, "engine": {"minReplicas": 1, "maxReplicas": 1}}}
    return model, runtime, service


# Of OME's manager, which are without effect here.
WITHOUT_EFFECT = ("--enable-http2=false", "--zap-devel=true", "--zap-stacktrace-level", "error", "--zap-time-encoding", "rfc3339")
WRONG = (("--health-probe-addr", "8081", "--health-probe-addr 8081 is no address; write :8081"),
         ("--health-probe-addr", ":http", "is no address"), ("--metrics-bind-address", "8443", "--metrics-bind-address 8443 is no address"),
         ("--metrics-bind-address", ":66000", "--metrics-bind-address: 66000 is no port"),
         ("--zap-log-level", "loud", "--zap-log-level loud is no level"),
         ("--zap-encoder", "xml", "--zap-encoder is json or console"), ("--webhook=maybe", "", '"maybe" is neither true nor false'))


def holder(server, namespace=None):
    return (server.find(LEASE.format(namespace or server.ome_ns)) or {}).get("spec", {}).get("holderIdentity")


def image(server):
    found = server.find(DEPLOYMENT.format(server.ns))
    return found and found["spec"]["template"]["spec"]["containers"][0]["image"]


def check_explain(server):
    done = subprocess.run([OME, "explain", "isvc", "chat", "--kubeconfig", server.kubeconfig, "-o", "json"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["selected"]["runtime"] == "engine", record
    stored = wait_for("the decision in the status", lambda: server.find(SERVICE.format(server.ns)).get("status", {}).get("selection"))
    assert stored["selected"] == record["selected"], (stored, record)
    versions = {i["kind"]: i["generation"] for i in stored["inputs"]}
    assert versions == {i["kind"]: i["generation"] for i in record["inputs"]}, (stored, record)
    assert versions.keys() == {"ClusterBaseModel", "ClusterServingRuntime"} and stored["generation"] >= 1, stored
    assert all(i["resourceVersion"] for i in record["inputs"] + stored["inputs"]), (stored, record)
    for words in (["--isvc", "chat"], ["--model", record["model"]]):
        done = subprocess.run([OME, "runtime", "explain", *words, "--kubeconfig", server.kubeconfig, "-o", "json"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (same,) = json.loads(done.stdout)
        assert same["selected"]["runtime"] == "engine", same


def condition(server, kind):
    model = server.find("/apis/ome.io/v1beta1/clusterbasemodels/tiny") or {}
    return next((c for c in model.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def check_disagreement(server):
    """An agent reports something else than the spec says: the spec stays, a condition and an event say so."""
    report = {"name": "tiny", "status": "Ready", "config": {
        "modelType": "llama", "modelArchitecture": "MistralForCausalLM", "maxTokens": 4096,
        "modelFormat": {"name": "gguf"}, "decodedModelConfiguration": {"model_type": "llama"}}}
    server.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}})
    node_map = {"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "one", "namespace": server.ome_ns, "labels": {"models.ome/basemodel-status": "true"}},
                "data": {"clusterbasemodel.tiny": json.dumps(report)}}
    server.apply(node_map)
    wait_for("the disagreement", lambda: condition(server, "SpecAgrees").get("status") == "False")
    said = condition(server, "SpecAgrees")["message"]
    assert "spec.modelArchitecture is LlamaForCausalLM, the files say MistralForCausalLM" in said, said
    spec = server.find("/apis/ome.io/v1beta1/clusterbasemodels/tiny")["spec"]
    assert spec["modelArchitecture"] == "LlamaForCausalLM" and spec["modelType"] == "llama", spec
    assert spec["maxTokens"] == 4096 and spec["modelConfiguration"] == {"model_type": "llama"}, spec
    wait_for("the event", lambda: [e for e in server.find("/api/v1/events")["items"]
                                   if e["reason"] == "SpecDisagrees" and "MistralForCausalLM" in e["message"]])
    report["config"]["modelArchitecture"] = "LlamaForCausalLM"
    node_map["data"]["clusterbasemodel.tiny"] = json.dumps(report)
    server.apply(node_map)
    wait_for("agreement", lambda: condition(server, "SpecAgrees").get("status") == "True")


def lease_rights(server):
    """What OME's controller needs for its lease to be in a namespace that is not its own."""
    group, name = "rbac.authorization.k8s.io", {"name": "lease"}
    return ({"apiVersion": group + "/v1", "kind": "Role", "metadata": name, "rules": [
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}]},
            {"apiVersion": group + "/v1", "kind": "RoleBinding", "metadata": name,
             "roleRef": {"apiGroup": group, "kind": "Role", **name},
             "subjects": [{"kind": "ServiceAccount", "name": "ome-controller-manager", "namespace": server.ome_ns}]})


def check_omes_flags(server):
    """Those of a Deployment of OME's: where it answers, where its lease is, how it writes its log, and what means nothing."""
    for *flags, said in WRONG:
        done = subprocess.run([OME, "controller", *filter(None, flags)], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and said in done.stderr, (flags, done.stderr)
    port = free_port()
    for document in lease_rights(server):
        server.apply(document)
    controller = Controller(server, "--leader-elect=true", "--leader-election-namespace", server.ns, "--webhook=false",
                            "--health-probe-addr", f"127.0.0.1:{port}", "--zap-log-level=info", "--zap-encoder=json",
                            *WITHOUT_EFFECT)
    controller.port = port
    wait_for("it to be ready where OME's flag says", controller.ready)
    wait_for("it to lead", lambda: holder(server, server.ns))
    assert not server.find(LEASE.format(server.ome_ns)), "the lease is not where OME's flag says"
    controller.process.send_signal(signal.SIGTERM)
    lines = controller.process.communicate(timeout=DEADLINE)[1].splitlines()
    assert controller.process.returncode == 0 and lines, lines
    assert all(json.loads(line)["level"] for line in lines), lines


def check_metrics_flags(server):
    """Metrics are where OME's flags say, and where the probes are as before."""
    for scheme, more in (("http", []), ("https", ["--metrics-secure"])):
        port = free_port()
        controller = Controller(server, f"--metrics-bind-address=127.0.0.1:{port}", *more)
        wait_for("it to be ready", controller.ready)
        url = f"{scheme}://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=DEADLINE, context=ssl._create_unverified_context()) as answer:
            assert "\nprocess_resident_memory_bytes " in answer.read().decode(), url
        assert "\nprocess_resident_memory_bytes " in ask(controller.port, "/metrics")[1]
        controller.stop()


def check_webhook_flag(server):
    """To a server that does not answer, so that nothing comes of it."""
    controller = Controller(server, "--webhook")
    wait_for("it to say that it has no webhooks yet", lambda: "[-]webhooks failed" in ask(controller.port, "/readyz")[1])
    controller.stop(DEADLINE / 3)


@contextlib.contextmanager
def silent(server):
    """SERVER does not answer, where it is ours."""
    if server.process:
        server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if server.process:
            server.process.send_signal(signal.SIGCONT)


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        check_omes_flags(server)
        check_metrics_flags(server)
        first = Controller(server, "--leader-elect")
        wait_for("a leader", lambda: holder(server))
        wait_for("the leader to be ready", first.ready)
        second = Controller(server, "--leader-elect")
        wait_for("the second to be ready", second.ready)
        led = holder(server)
        for document in documents("server:1"):
            server.apply(document)
        wait_for("the Deployment", lambda: image(server) == "server:1")
        check_explain(server)
        check_disagreement(server)
        first.stop(DEADLINE / 3)
        wait_for("the other to lead", lambda: holder(server) not in (None, "", led))
        for document in documents("server:2"):
            server.apply(document)
        wait_for("the change", lambda: image(server) == "server:2")
        with silent(server):
            second.stop(DEADLINE / 3)  # a server that does not answer holds nobody up
            if server.process:
                check_webhook_flag(server)
    print("one led, then the other; both stopped")


if __name__ == "__main__":
    main()
