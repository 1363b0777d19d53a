"""`ome controller` in front of an API server that it did not start: two replicas, one leader, a hand-over, and what
`ome explain` says of a service that is there."""

import contextlib
import json
import signal
import subprocess

import scenario
from scenario import DEADLINE, OME, Controller, install, wait_for

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


def holder(server):
    return (server.find(LEASE.format(server.ome_ns)) or {}).get("spec", {}).get("holderIdentity")


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
    with scenario.scratch() as folder:
        server = scenario.api_server(folder).start()
        try:
            install(server)
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
        finally:
            server.stop()
    print("one led, then the other; both stopped")


if __name__ == "__main__":
    main()
