"""`ome controller` in front of an API server that it did not start: two replicas, one leader, a hand-over, and what
`ome explain` says of a service that is there."""

import json
import signal
import subprocess
import urllib.error
import urllib.request

import scenario
from scenario import DEADLINE, OME, ApiServer, Refused, free_port, wait_for

SERVICE = "/apis/ome.io/v1beta1/namespaces/default/inferenceservices/chat"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/chat-engine"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/ome/leases/ome-controller-manager-leader-lock"


class Controller:
    def __init__(self, server):
        self.port = free_port()
        self.process = subprocess.Popen(
            [OME, "controller", "--kubeconfig", server.kubeconfig, "--leader-elect", "--health-address", "127.0.0.1",
             "--health-port", str(self.port)], stderr=subprocess.PIPE, text=True)

    def ready(self):
        assert self.process.poll() is None, self.process.stderr.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=DEADLINE) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE / 3) == 0, self.process.stderr.read()
        self.process.stderr.close()


def install(server):
    listed = subprocess.run([OME, "crds", "-o", "json"], capture_output=True, text=True, check=True).stdout
    crds = json.loads(listed)
    for crd in crds if isinstance(crds, list) else crds["items"]:
        try:
            server.api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        except Refused as refused:
            assert refused.status == 409, refused
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ome"}})


def documents(image):
    runtime = scenario.runtime("engine")
    runtime["spec"]["engineConfig"]["runner"]["image"] = image
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    service = {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
               "metadata": {"name": "chat", "namespace": "default"},
               "spec": {"model": {"name": "tiny"}, "engine": {"minReplicas": 1, "maxReplicas": 1}}}
    return model, runtime, service


def holder(server):
    return (server.find(LEASE) or {}).get("spec", {}).get("holderIdentity")


def image(server):
    found = server.find(DEPLOYMENT)
    return found and found["spec"]["template"]["spec"]["containers"][0]["image"]


def check_explain(server):
    done = subprocess.run([OME, "explain", "isvc", "chat", "--kubeconfig", server.kubeconfig, "-o", "json"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["selected"]["runtime"] == "engine", record
    stored = server.find(SERVICE)["status"]["selection"]
    assert stored["selected"] == record["selected"], (stored, record)


def main():
    with scenario.scratch() as folder:
        server = ApiServer(folder).start()
        try:
            install(server)
            first = Controller(server)
            wait_for("a leader", lambda: holder(server))
            wait_for("the leader to be ready", first.ready)
            second = Controller(server)
            wait_for("the second to be ready", second.ready)
            led = holder(server)
            for document in documents("server:1"):
                server.apply(document)
            wait_for("the Deployment", lambda: image(server) == "server:1")
            check_explain(server)
            first.stop()
            wait_for("the other to lead", lambda: holder(server) not in (None, "", led))
            for document in documents("server:2"):
                server.apply(document)
            wait_for("the change", lambda: image(server) == "server:2")
            server.process.send_signal(signal.SIGSTOP)
            try:
                second.stop()  # a server that does not answer holds nobody up
            finally:
                server.process.send_signal(signal.SIGCONT)
        finally:
            server.stop()
    print("one led, then the other; both stopped")


if __name__ == "__main__":
    main()
