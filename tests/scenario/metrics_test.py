"""What `ome controller` shows of itself: metrics that promtool finds nothing to object to, probes with causes, log lines
for machines, and a dashboard and alert rules that speak of metrics there are."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request

import scenario
from scenario import HOME, Controller, install, wait_for

MONITORING = os.path.join(HOME, "manifests/install/monitoring")
# Families that need something to go wrong; what goes wrong with watches and reconciles is in check_failures().
SILENT = {"ome_reconcile_errors_total", "ome_plugin_errors_total", "ome_watch_restarts_total"}


def promtool(*words, text=None):
    done = subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, (words, done.stdout, done.stderr)


def ask(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()
    except urllib.error.URLError:
        return 0, ""


def value(text, sample):
    """Of the first line that begins with SAMPLE; 0 when there is none."""
    found = re.search("^" + re.escape(sample) + r".* (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0


def named(text):
    """Families that TEXT speaks of."""
    return {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"\bome_\w+", text)}


def documents():
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    service = scenario.service("chat", "tiny")
    return model, scenario.runtime("engine"), service


def check_metrics(server, controller):
    for document in documents():
        server.apply(document)
    wait_for("the Deployment", lambda: server.find(f"/apis/apps/v1/namespaces/{server.ns}/deployments/chat-engine"))
    wait_for("the service's status", lambda: server.find(
        f"/apis/ome.io/v1beta1/namespaces/{server.ns}/inferenceservices/chat").get("status"))
    # What takes time is counted when it is over: a reconcile after the last of its writes.
    wait_for("a reconcile to end", lambda: value(
        ask(controller.port, "/metrics")[1], 'ome_reconcile_duration_seconds_count{controller="inferenceservice"}') > 0)
    # The server hears of the webhooks a moment after they were registered.
    review = 'ome_webhook_reviews_total{webhook="inferenceservice.ome-webhook-server.validator",outcome="allowed"}'
    wait_for("a review", lambda: server.apply(documents()[2]) and value(ask(controller.port, "/metrics")[1], review) > 0)
    status, text = ask(controller.port, "/metrics")
    assert status == 200, text
    promtool("check", "metrics", text=text)
    for sample in ('ome_kube_requests_total{verb="GET",code="200"}', 'ome_kube_requests_total{verb="WATCH",code="200"}',
                   'ome_kube_request_duration_seconds_count{verb="PATCH"}',
                   'ome_reconcile_duration_seconds_count{controller="inferenceservice"}',
                   'ome_selections_total{outcome="selected"}', 'ome_watch_objects{resource="inferenceservices"}',
                   'ome_watch_lists_total{resource="pods"}', 'ome_plugin_call_duration_seconds_count{plugin="raw"',
                   review,
                   'ome_certificate_expiry_timestamp_seconds{certificate="serving"}', "process_resident_memory_bytes"):
        assert value(text, sample) > 0, f"{sample} is not in\n{text}"
    return text


def check_failures(server, controller):
    """Watches that end and reconciles that fail are counted, by reason."""
    count = lambda sample: value(ask(controller.port, "/metrics")[1], sample)
    before = count('ome_watch_restarts_total{resource="inferenceservices"')
    server.api("PUT", "/faults", {"agent": "ome/", "refuse": {"409": 1}})  # and the watches that run end
    wait_for("a watch to begin again", lambda: count('ome_watch_restarts_total{resource="inferenceservices"') > before)
    service = documents()[2]
    service["spec"]["engine"]["maxReplicas"] = 5
    server.apply(service)
    wait_for("a reconcile to fail", lambda: count('ome_reconcile_errors_total{controller="inferenceservice",reason="Conflict"}') > 0)
    server.api("PUT", "/faults", {})


def check_monitoring(text):
    """The rules and the dashboard are well formed, and nothing in them is a misspelt metric."""
    promtool("check", "rules", os.path.join(MONITORING, "alerts.yaml"))
    there = set(re.findall(r"^# TYPE (\w+)", text, re.M)) | SILENT
    for name in ("alerts.yaml", "dashboard.json"):
        with open(os.path.join(MONITORING, name)) as source:
            content = source.read()
        assert named(content) and named(content) <= there, (name, named(content) - there)
    with open(os.path.join(MONITORING, "dashboard.json")) as source:
        expressions = [t["expr"] for p in json.load(source)["panels"] for t in p["targets"]]
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{i}", "expr": e.replace("$__rate_interval", "5m")} for i, e in enumerate(expressions)]}]}
    with scenario.scratch() as folder:
        path = os.path.join(folder, "rules.yaml")
        with open(path, "w") as out:
            json.dump(rules, out)
        promtool("check", "rules", path)
    unseen = there - named(open(os.path.join(MONITORING, "dashboard.json")).read())
    assert not {name for name in unseen if name.startswith("ome_")}, f"no panel shows {unseen}"


def check_probes(server):
    """One that waits for a server says for what; one that runs says that."""
    if server.process:
        server.process.send_signal(scenario.signal.SIGSTOP)
    try:
        waiting = Controller(server)
        status, text = wait_for("an answer", lambda: (lambda a: a[0] and a)(ask(waiting.port, "/readyz")))
        if server.process:  # one that is ours to hold up
            assert status == 503 and "[-]controller failed: the watch caches are not filled yet" in text, text
        assert ask(waiting.port, "/healthz") == (200, "ok\n")
    finally:
        if server.process:
            server.process.send_signal(scenario.signal.SIGCONT)
    wait_for("it to be ready", waiting.ready)
    assert ask(waiting.port, "/readyz") == (200, "[+]controller ok\nok\n")
    waiting.stop()


def check_log(server):
    os.environ["OME_LOG_FORMAT"] = "json"
    try:
        controller = Controller(server)
        wait_for("it to be ready", controller.ready)
        controller.process.send_signal(scenario.signal.SIGTERM)
        lines = [json.loads(line) for line in controller.process.communicate()[1].splitlines()]
    finally:
        del os.environ["OME_LOG_FORMAT"]
    assert any(line["msg"].startswith("reconciling against") for line in lines), lines
    assert all({"ts", "level", "topic", "msg"} <= set(line) for line in lines), lines


def main():
    with scenario.scratch() as folder, scenario.served(folder, "--faults") as server:
        install(server)
        controller = Controller(server, *scenario.webhooks(server))
        wait_for("it to be ready", controller.ready)
        check_monitoring(check_metrics(server, controller))
        if server.process:  # one that goes wrong when it is told to
            check_failures(server, controller)
        controller.stop()
        check_probes(server)
        check_log(server)
    print("metrics: all true")


if __name__ == "__main__":
    main()
