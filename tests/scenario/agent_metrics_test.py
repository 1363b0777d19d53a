#!/usr/bin/env python3
"""What `ome agent` shows of itself: OME's metrics by name, type and labels, with the numbers of what happened; probes; and
OME's flags, which are taken."""

import hashlib
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import agents
import scenario
from faulty_hub import Answer, FaultyHub
from scenario import DEADLINE, HOME, MODEL, OME, end_with_us, free_port, install, wait_for

HEADER = b'{"__metadata__": {"format": "pt"}}'
FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER,
}
DIGESTS = {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}
SIZE = sum(len(data) for data in FILES.values())
# Of OME's agent: type, labels.
MODEL_LABELS = ["model_type", "name", "namespace"]
OMES = {
    "model_agent_downloads_success_total": ("counter", MODEL_LABELS),
    "model_agent_downloads_failed_total": ("counter", MODEL_LABELS),
    "model_agent_verifications_total": ("counter", sorted(MODEL_LABELS + ["result"])),
    "model_agent_md5_checksum_failed_total": ("counter", MODEL_LABELS),
    "model_agent_rate_limit_total": ("counter", MODEL_LABELS),
    "model_agent_download_bytes_total": ("counter", MODEL_LABELS),
    "model_agent_download_duration_seconds": ("histogram", MODEL_LABELS),
    "model_agent_verification_duration_seconds": ("histogram", []),
    "model_agent_rate_limit_wait_seconds": ("histogram", MODEL_LABELS),
}


def ask(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()
    except urllib.error.URLError:
        return 0, ""


def samples(text):
    """{family: [({label: value}, number)]}; of histograms what ends in _count."""
    found = {}
    for name, labels, number in re.findall(r"^(\w+?)(?:_count)?(?:\{([^}]*)\})? (\S+)$", text, re.M):
        found.setdefault(name, []).append((dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(number)))
    return found


def value(text, family, **labels):
    return sum(n for at, n in samples(text).get(family, []) if labels.items() <= at.items())


def check_names(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    found = samples(text)
    for name, (kind, labels) in OMES.items():
        assert types.get(name) == kind, (name, types.get(name))
        for at, _ in found[name]:
            assert sorted(at) == labels, (name, at)
    bounds = {float(b) for b in re.findall(r'model_agent_download_duration_seconds_bucket\{.*le="([\d.]+)"', text)}
    assert {round(0.1 * 2 ** i, 1) for i in range(10)} <= bounds and max(bounds) > 3600, bounds


def check_models(server, hub, port, folder):
    """One comes after an answer to wait; one has other bytes than it should; one is not there."""
    busy = [1]

    def fault(request, first, last):
        if request.number == 1:
            busy[0] = 0
            raise Answer(429, Retry_After="1")

    hub.fault = fault
    server.apply(scenario.model("good", "hf://test/model"))
    wait_for("the model on the node", lambda: server.find("/api/v1/nodes/n1")["metadata"].get("labels", {}).get(
        "models.ome.io/clusterbasemodel.good") == "Ready")
    assert busy == [0]
    server.apply(scenario.model("missing", "hf://test/none"))
    hub.fault = lambda request, first, last: [206, first, last, hub.size(request.name), b"\0" * (last - first + 1), {}]
    bad = scenario.model("bad", "hf://test/model@other")
    bad["spec"]["storage"]["path"] = folder + "/elsewhere"
    hub.digests = {path: hashlib.sha256(path.encode()).hexdigest() for path in FILES}
    server.apply(bad)
    text = wait_for("two failures", lambda: (lambda t: value(t, "model_agent_downloads_failed_total", name="missing") and value(
        t, "model_agent_downloads_failed_total", name="bad") and t)(ask(port, "/metrics")[1]))
    good = {"model_type": "ClusterBaseModel", "namespace": "", "name": "good"}
    assert value(text, "model_agent_downloads_success_total", **good) == 1, text
    assert value(text, "model_agent_download_duration_seconds", **good) == 1, text
    assert value(text, "model_agent_download_bytes_total", **good) == SIZE, text
    assert value(text, "model_agent_rate_limit_total", **good) == 1, text
    assert value(text, "model_agent_verifications_total", result="success", **good) >= 1, text
    assert value(text, "model_agent_verifications_total", result="failure", name="bad") >= 1, text
    assert value(text, "model_agent_md5_checksum_failed_total", name="bad") >= 1, text
    assert value(text, "model_agent_download_failures_total", cause="NotFound") >= 1, text
    assert value(text, "model_agent_download_failures_total", cause="Corrupt") >= 1, text
    assert value(text, "model_agent_models", phase="ready") == 1, text
    assert value(text, "model_agent_phase_duration_seconds", phase="fetching") >= 3, text
    check_names(text)
    # A further attempt would make the folder that check_probes() takes away.
    for name in ("good", "missing", "bad"):
        server.api("DELETE", MODEL + name)
    wait_for("them to be counted no more", lambda: value(ask(port, "/metrics")[1], "model_agent_models") == 0)


def check_alerts(port):
    """The alert rules for agents speak of metrics that there are, some of which take another node."""
    families = set(re.findall(r"^# TYPE (\w+)", ask(port, "/metrics")[1], re.M)) | {"model_agent_peer_failures_total"}
    with open(os.path.join(HOME, "manifests/install/monitoring/alerts.yaml")) as source:
        named = set(re.findall(r"\bmodel_agent_\w+", source.read()))
    assert named and named <= families, named - families


def check_probes(port, root):
    assert ask(port, "/livez") == (200, "ok\n")
    assert ask(port, "/healthz/model-agent-health") == (200, "[+]model-agent-health ok\nok\n")
    assert ask(port, "/healthz/other")[0] == 404
    os.rename(root, root + ".away")
    wait_for("it to be seen", lambda: ask(port, "/healthz")[0] == 503)
    status, text = ask(port, "/healthz/model-agent-health")
    assert status == 503 and f"[-]model-agent-health failed: write into: {root}" in text, text
    assert ask(port, "/livez") == (200, "ok\n")
    os.rename(root + ".away", root)
    wait_for("it to be seen", lambda: ask(port, "/healthz")[0] == 200)


def check_flags():
    done = subprocess.run([OME, "agent", "--log-level", "loud"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--log-level is error, warning, info or debug" in done.stderr, done.stderr


def main():
    with scenario.scratch() as folder, FaultyHub(FILES, DIGESTS) as hub, scenario.served(folder) as server:
        install(server)
        server.apply(agents.node("n1"))
        port, root = free_port(), folder + "/models"
        process = end_with_us(subprocess.Popen(
            [OME, "agent", "--kubeconfig", server.account("ome-model-agent"), "--node-name", "n1", "--models-root-dir", root,
             "--namespace", server.ome_ns, "--port", str(port), "--num-download-worker", "2", "--concurrency", "2", "--multipart-concurrency", "4",
             "--download-retry", "3", "--node-label-retry", "5", "--log-level", "warn"],
            env=dict(os.environ, HF_ENDPOINT=hub.url), stderr=sys.stderr))
        wait_for("the agent", lambda: ask(port, "/livez")[0] == 200)
        check_models(server, hub, port, folder)
        check_alerts(port)
        check_probes(port, root)
        check_flags()
        process.terminate()
        assert process.wait(DEADLINE) == 0


if __name__ == "__main__":
    main()
