#!/usr/bin/env python3
"""Admission webhooks of an API server, reached over real TLS: what they see, change and refuse, and how they fail."""

import base64
import contextlib
import http.server
import json
import os
import ssl
import subprocess
import threading

import scenario
from scenario import WEBHOOKS, Refused

MERGE = "application/merge-patch+json"
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hooks"},
           "spec": {"selector": {"app": "hooks"}, "ports": [{"port": 8443}]}}


def maps(server, name=None):
    return f"/api/v1/namespaces/{server.ns}/configmaps" + (f"/{name}" if name else "")


def certificate(folder, *names):
    """A certificate that vouches for itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks", "-addext",
                    "subjectAltName=" + ",".join(names), "-keyout", folder + "/key.pem", "-out", folder + "/cert.pem"],
                   check=True, capture_output=True)
    return folder + "/cert.pem", folder + "/key.pem"


class Webhooks:
    """Answers AdmissionReviews by path with what was put into `answers`: a dict or a function of the request.  Asked about what is
    in namespace NS alone."""

    def __init__(self, folder, ns, address=os.environ.get("OME_TEST_ADDRESS", "127.0.0.1"), name=None):
        cert, key = certificate(folder, name or f"IP:{address}")
        self.ns, self.address = ns, address
        self.authority = open(cert, "rb").read()
        self.answers = {"/heard": {"allowed": False}}
        self.asked, self.lock = [], threading.Lock()
        self.version = "v1"  # of the reviews that it takes
        self.entered, self.gate = threading.Semaphore(0), threading.Event()
        webhooks = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                path = self.path.split("?")[0]  # Kubernetes says how long it waits
                asked_for = "v1" if path == "/heard" else webhooks.version
                assert review["apiVersion"] == "admission.k8s.io/" + asked_for, review["apiVersion"]
                data = webhooks.answer(path, review["request"], asked_for)
                with contextlib.suppress(OSError):  # whoever asked may be gone
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, request, version):
        with self.lock:
            self.asked.append((path, request))
        answer = self.answers.get(path, {})
        answer = answer(request) if callable(answer) else answer
        if "patch" in answer:
            answer = {**answer, "patchType": "JSONPatch",
                      "patch": base64.b64encode(json.dumps(answer["patch"]).encode()).decode()}
        return json.dumps({"apiVersion": "admission.k8s.io/" + version, "kind": "AdmissionReview",
                           "response": {"uid": request["uid"], "allowed": True, **answer}}).encode()

    def held(self, request):
        """An answer that waits for open()."""
        self.entered.release()
        assert self.gate.wait(scenario.DEADLINE), "nobody opened the gate"
        return {}

    def requests(self, path):
        with self.lock:
            return [request for p, request in self.asked if p == path]

    def hook(self, path, **more):
        """One webhook of a configuration: asked about ConfigMaps labelled hook=NAME OF PATH, unless MORE says otherwise."""
        name = path.strip("/").replace("/", "-")
        return {"name": f"{name}.scenario.test", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {"url": f"https://{self.address}:{self.port}{path}",
                                 "caBundle": base64.b64encode(self.authority).decode()},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.ns}},
                "objectSelector": {"matchLabels": {"hook": name.split("-")[0]}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
                **more}


def register(server, name, *hooks, mutating=False):
    kind = ("Mutating" if mutating else "Validating") + "WebhookConfiguration"
    server.create(WEBHOOKS + kind.lower() + "s", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": f"{name}.{server.ns}.scenario.test"}, "webhooks": list(hooks)})


def configure(server, name, *hooks, mutating=False):
    """Registers HOOKS. Others than ours hear of that a moment later, in order: when one that refuses is asked they know these too."""
    register(server, name, *hooks, mutating=mutating)
    if server.process:
        return
    client, word = hooks[0]["clientConfig"], f"heard-{os.urandom(4).hex()}"
    url = "/".join(client["url"].split("/")[:3]) + "/heard"
    register(server, word, {"name": f"{word}.scenario.test", "admissionReviewVersions": ["v1", "v1beta1"], "sideEffects": "None",
                            "clientConfig": {**client, "url": url}, "objectSelector": {"matchLabels": {"hook": word}},
                            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]},
             mutating=mutating)

    def is_heard():
        try:
            server.api("POST", maps(server) + "?dryRun=All", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": word, "labels": {"hook": word}}})
        except Refused as refused:
            return "heard" in refused.body
        return False
    scenario.wait_for("the server to hear of it", is_heard)


def made(server, name, hook, data=None):
    return server.api("POST", maps(server), {"apiVersion": "v1", "kind": "ConfigMap", "data": data or {},
                                     "metadata": {"name": name, "labels": {"hook": hook}}})


def refusal(status, call, *arguments):
    try:
        call(*arguments)
    except Refused as refused:
        assert refused.status == status, (refused.status, refused.body)
        return json.loads(refused.body)["message"]
    raise AssertionError("not refused")


def changes(server, hooks):
    """Mutating ones run in order, each on what the one before made; one that asked for it sees what came after."""
    def append(letter):
        return lambda r: {"patch": [{"op": "add", "path": "/data", "value": {
            "seen": r["object"].get("data", {}).get("seen", "") + letter}}]}
    hooks.answers.update({"/order/first": append("a"), "/order/second": append("b")})
    configure(server, "order", hooks.hook("/order/first", reinvocationPolicy="IfNeeded"), hooks.hook("/order/second"),
              mutating=True)
    configure(server, "order", hooks.hook("/order/check"))
    assert made(server, "ordered", "order")["data"] == {"seen": "aba"}
    assert [r["object"]["data"] for r in hooks.requests("/order/check")] == [{"seen": "aba"}]
    names = {r["object"]["metadata"].get("uid") for r in hooks.requests("/order/first")}
    assert len(names) == 1, "one object, however often it was asked about"


def conditions(server, hooks):
    hooks.answers["/cond"] = {"allowed": False, "status": {"message": "no", "code": 403}}
    configure(server, "cond", hooks.hook("/cond", matchConditions=[
        {"name": "wanted", "expression": "request.operation == 'CREATE' && oldObject == null"},
        {"name": "red", "expression": "has(object.data.colour) && object.data.colour == 'red'"}]))
    made(server, "cond-blue", "cond", {"colour": "blue"})
    assert 'denied the request: no' in refusal(403, made, server, "cond-red", "cond", {"colour": "red"})
    assert len(hooks.requests("/cond")) == 1
    who = hooks.requests("/cond")[0]["userInfo"]["username"]
    for name, user, asked in (("me", who, 1), ("other", "somebody", 0)):
        path = "/user-" + name
        configure(server, path[1:], hooks.hook(path, objectSelector={"matchLabels": {"hook": name}}, matchConditions=[
            {"name": "u", "expression": f"request.userInfo.username == '{user}'"}]))
        made(server, "by-" + name, name)
        assert len(hooks.requests(path)) == asked, user
    bad = hooks.hook("/cond", matchConditions=[{"name": "x", "expression": "subject == 1"}])
    assert "undeclared reference to 'subject'" in refusal(422, configure, server, "bad", bad)


def older(server, hooks):
    """One that knows reviews of v1beta1 alone."""
    hooks.version = "v1beta1"
    hooks.answers["/older"] = lambda r: {"allowed": r["object"]["metadata"]["name"] != "old-no"}
    configure(server, "older", hooks.hook("/older", admissionReviewVersions=["v1beta1"]))
    made(server, "old-yes", "older")
    refusal(400, made, server, "old-no", "older")
    hooks.version = "v1"


def contention(server, hooks):
    """What was stored while a webhook thought about a patch is not lost."""
    configure(server, "slow", hooks.hook("/slow", rules=[{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                                                           "resources": ["configmaps"]}]))
    made(server, "contended", "slow")
    hooks.answers["/slow"] = hooks.held
    path = maps(server, "contended")
    held = threading.Thread(target=server.api, args=("PATCH", path, {"data": {"a": "1"}}, MERGE))
    held.start()
    assert hooks.entered.acquire(timeout=scenario.DEADLINE)
    hooks.answers["/slow"] = {}
    server.api("PATCH", path, {"data": {"b": "2"}}, MERGE)
    hooks.gate.set()
    held.join()
    assert server.find(path)["data"] == {"a": "1", "b": "2"}
    seen = [r["oldObject"].get("data") for r in hooks.requests("/slow")]
    assert seen[-1] == {"b": "2"}, "the webhook was asked about what was stored in the end"
    hooks.gate.clear()


def leave(server, hooks, path, body):
    """Sends a request and goes away before its answer."""
    connection = server.ask_for("PATCH", path, json.dumps(body), MERGE)
    assert hooks.entered.acquire(timeout=scenario.DEADLINE)
    connection.close()


def impatience(server, hooks):
    """A client that leaves takes its change with it; the server goes on."""
    hooks.answers["/slow"] = hooks.held
    leave(server, hooks, maps(server, "contended"), {"data": {"c": "3"}})
    hooks.gate.set()
    hooks.answers["/slow"] = {}
    server.api("PATCH", maps(server, "contended"), {"data": {"d": "4"}}, MERGE)
    assert "c" not in server.find(maps(server, "contended"))["data"]
    hooks.gate.clear()


def deletion(server, hooks):
    hooks.answers["/del"] = lambda r: {"allowed": r["operation"] != "DELETE" or r["oldObject"]["metadata"]["name"] != "keep"}
    configure(server, "del", hooks.hook("/del"))
    for name in ("keep", "go"):
        made(server, name, "del")
    server.api("DELETE", maps(server, "go"))
    refusal(400, server.api, "DELETE", maps(server, "keep"))
    for i in range(40):  # more than are asked about at a time
        made(server, f"many-{i}", "del")
    all_of_them = maps(server) + "?labelSelector=hook%3Ddel"
    refusal(400, server.api, "DELETE", all_of_them)
    assert server.find(maps(server, "many-0")), "one refused, none deleted"
    hooks.answers["/del"] = {}
    server.api("DELETE", all_of_them)
    assert not server.api("GET", all_of_them)["items"]


def service(server, folder):
    """A webhook named by Service and path answers at the Service's address and vouches for the Service's name."""
    hooks = Webhooks(folder, server.ns, "127.0.0.77", "DNS:hooks.default.svc")
    server.api("POST", "/api/v1/namespaces/default/services", {**SERVICE, "spec": {
        **SERVICE["spec"], "clusterIP": "127.0.0.77"}})
    hooks.answers["/svc"] = {"allowed": False, "warnings": ["mind the gap"]}
    configure(server, "svc", hooks.hook("/svc", clientConfig={
        "service": {"namespace": "default", "name": "hooks", "path": "/svc", "port": hooks.port},
        "caBundle": base64.b64encode(hooks.authority).decode()}))
    assert "denied the request without explanation" in refusal(400, made, server, "served", "svc")
    server.api("DELETE", "/api/v1/namespaces/default/services/hooks")
    assert 'service "hooks" not found' in refusal(500, made, server, "served", "svc")


def rest(server, hooks):
    """A Service made through webhooks keeps the address that they saw; scale and dry run are asked about as themselves."""
    rule = [{"apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["*"],
             "resources": ["services", "deployments/scale"]}]
    configure(server, "rest", hooks.hook("/rest", rules=rule, objectSelector={}))
    kept = server.api("POST", f"/api/v1/namespaces/{server.ns}/services", {**SERVICE, "metadata": {"name": "kept"}})
    seen = [r["object"]["spec"]["clusterIP"] for r in hooks.requests("/rest")]
    assert seen == [kept["spec"]["clusterIP"]], seen
    deployments = f"/apis/apps/v1/namespaces/{server.ns}/deployments"
    server.api("POST", deployments, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "i"}]}}}})
    server.api("PATCH", deployments + "/d/scale?dryRun=All", {"spec": {"replicas": 3}}, MERGE)
    last = hooks.requests("/rest")[-1]
    assert (last["kind"]["kind"], last["object"]["spec"]["replicas"], last["dryRun"]) == ("Scale", 3, True), last


def stop(server, hooks):
    """The server ends although somebody waits for a webhook."""
    hooks.answers["/slow"] = hooks.held
    leave(server, hooks, maps(server, "contended"), {"data": {"e": "5"}})
    server.stop()
    hooks.gate.set()


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        hooks = Webhooks(folder, server.ns)
        changes(server, hooks)
        conditions(server, hooks)
        older(server, hooks)
        contention(server, hooks)
        impatience(server, hooks)
        deletion(server, hooks)
        rest(server, hooks)
        if server.process:  # one of ours: its Services are at addresses of this machine, and it may be stopped
            service(server, folder)
            stop(server, hooks)
    print("admission: all true")


if __name__ == "__main__":
    main()
