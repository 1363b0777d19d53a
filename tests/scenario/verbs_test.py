#!/usr/bin/env python3
"""ome apply, get, status, wait and delete against an API server of their own; the manual page and the completions."""

import json
import os
import re
import subprocess
import threading

import scenario
from scenario import ISVC, MODEL, OME, Hub, Platform

MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {team: red}}
data: {colour: %s}
"""


class Verbs:
    def __init__(self, platform):
        self.platform = platform

    def start(self, *words):
        return subprocess.Popen([OME, *words, "--kubeconfig", self.platform.kubeconfig], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words, text="", code=0):
        process = self.start(*words)
        out, err = process.communicate(text, timeout=scenario.DEADLINE)
        assert process.returncode == code, f"{words}: exit {process.returncode} instead of {code}: {out}{err}"
        return out + err


def objects(ome):
    assert "created" in ome.run("apply", "-f", "-", text=MAP % "red")
    assert "unchanged" in ome.run("apply", "-f", "-", text=MAP % "red")
    assert "configured" in ome.run("apply", "-f", "-", text=MAP % "blue")
    assert json.loads(ome.run("get", "configmap", "a", "-o", "json"))["data"] == {"colour": "blue"}
    assert "colour: blue" in ome.run("get", "cm", "a", "-o", "yaml")
    assert " a " in ome.run("get", "configmaps", "-A", "-l", "team=red")
    assert " a " not in ome.run("get", "configmaps", "-A", "-l", "team=blue")
    assert "not found" in ome.run("wait", "configmap", "b", code=1)
    assert "is still unset after 1 s" in ome.run("wait", "configmap", "a", "--timeout", "1", code=1)
    assert "nonsense" in ome.run("get", "nonsense", code=1)
    ome.run("wait", "configmap", code=2)
    ome.run("wait", "configmap", "a", "--for=nothing", code=2)
    waiting = ome.start("wait", "configmap", "a", "--for=delete")
    assert "deleted" in ome.run("delete", "-f", "-", text=MAP % "blue")
    out, err = waiting.communicate(timeout=scenario.DEADLINE)
    assert waiting.returncode == 0 and "gone" in out, (out, err)
    assert "a" in ome.run("get", "configmap", "a", code=1)
    ome.run("delete", "configmap", "a", code=1)


def unknown_field(ome, platform):
    """Fields of other versions of OME are stored, with a warning, which `ome apply` passes on."""
    document = scenario.model("strange", "hf://acme/strange")
    document["spec"]["fromTomorrow"] = {"x": 1}
    done = ome.start("apply", "-f", "-")
    out, err = done.communicate(json.dumps(document), timeout=scenario.DEADLINE)
    assert done.returncode == 0 and "strange created" in out, (out, err)
    assert err.startswith("ome: apply: warning: ClusterBaseModel strange: ") and "spec.fromTomorrow" in err, err
    ome.run("delete", "clusterbasemodel", "strange")
    ome.run("wait", "clusterbasemodel", "strange", "--for=delete")
    status, text, headers = platform.answer("POST", MODEL.rstrip("/") + "?fieldValidation=Strict", json.dumps(document))
    assert status == 201 and json.loads(text)["spec"]["fromTomorrow"] == {"x": 1}, (status, text)
    assert "spec.fromTomorrow" in headers.get("Warning", ""), headers
    platform.api("DELETE", MODEL + "strange")
    old = scenario.service("old", "strange", 0)
    old["spec"]["kedaConfig"] = {"enableKeda": True}
    status, text, headers = platform.answer("POST", ISVC.rstrip("/"), json.dumps(old))
    assert status == 201 and json.loads(text)["spec"]["kedaConfig"] == {"enableKeda": True}, (status, text)
    assert "spec.kedaConfig: Deprecated" in headers.get("Warning", ""), headers
    platform.api("DELETE", ISVC + "old")
    # A probe goes on to pods; a misspelt one does not.
    runtimes = "/apis/ome.io/v1beta1/clusterservingruntimes"
    runner = {"name": "ome-container", "image": "i", "livenessProbe": {"httpGet": {"port": 1}}, "livenesProbe": {}}
    runtime = {"apiVersion": "ome.io/v1beta1", "kind": "ClusterServingRuntime", "metadata": {"name": "probed"},
               "spec": {"disabled": True, "supportedModelFormats": [], "engineConfig": {"runner": runner}}}
    status, text, headers = platform.answer("POST", runtimes, json.dumps(runtime))
    warning = headers.get("Warning", "")
    assert status == 201 and "runner.livenesProbe: not known here (did you mean livenessProbe?)" in warning and \
        "runner.livenessProbe" not in warning, (text, warning)
    platform.api("DELETE", runtimes + "/probed")


def models(ome, platform):
    """A change that comes while the command waits ends the wait."""
    ome.run("apply", "-f", "-", text=json.dumps(scenario.model("tiny", "hf://acme/tiny")))
    condition = {"type": "Seen", "status": "True", "reason": "Test", "message": "", "lastTransitionTime":
                 "2026-01-02T03:04:05Z"}
    patch = {"status": {"conditions": [condition]}}
    node = platform.api("GET", "/api/v1/nodes")["items"][0]["metadata"]["name"]
    change = threading.Thread(target=platform.api, args=(
        "PATCH", f"/api/v1/nodes/{node}/status", patch, "application/strategic-merge-patch+json"))
    waiting = ome.start("wait", "node", node, "--for=condition=Seen")
    change.start()
    out, err = waiting.communicate(timeout=scenario.DEADLINE)
    change.join()
    assert waiting.returncode == 0 and "condition met" in out, (out, err)
    ome.run("delete", "clusterbasemodel", "tiny")
    ome.run("wait", "clusterbasemodel", "tiny", "--for=delete")
    assert platform.find(MODEL + "tiny") is None


def status(ome, platform):
    """What there is, what it lacks, and an exit status that says whether all is well."""
    assert "no services and no models" in ome.run("status", "-A")
    assert "`ome status -A`" in ome.run("status", "nobody", code=1)
    ome.run("apply", "-f", "-", text=json.dumps(scenario.model("tiny", "hf://acme/tiny")))
    ome.run("apply", "-f", "-", text=json.dumps(scenario.service("chat", "tiny")))
    scenario.wait_for("a reason", lambda: "ModelReady" in str((platform.find(ISVC + "chat") or {}).get("status")))
    report = json.loads(ome.run("status", "-o", "json", code=1))
    service, model = report["services"][0], report["models"][0]
    assert (service["namespace"], service["name"], service["model"]) == ("default", "chat", "tiny"), service
    assert service["ready"] != "True" and service["problems"][0]["message"], service
    assert model["name"] == "tiny" and "ready" in model and model["nodesFailed"] in (0, 1), model
    text = ome.run("status", "chat", code=1)
    assert text.startswith("SERVICE") and "default/chat: " in text and service["problems"][0]["message"] in text, text
    assert "MODEL   STATE" not in text and "chat" not in ome.run("status", "tiny", code=1)
    ome.run("status", "a", "b", code=2)
    ome.run("delete", "inferenceservice", "chat")
    ome.run("delete", "clusterbasemodel", "tiny")


def said(*words):
    done = subprocess.run([OME, *words], capture_output=True, text=True, timeout=scenario.DEADLINE)
    assert done.returncode == 0 and not done.stderr, (words, done.stderr)
    return done.stdout


def manual():
    """Every command is in the manual page and in the completions, with its options."""
    commands = re.findall(r"^  (\w+) ", said("--help"), re.M)
    lines = said("completion", "man").splitlines()
    assert len(commands) > 15 and lines.count(".nf") == lines.count(".fi") == len(commands), lines
    for command in commands:
        assert any(line.startswith(f".SS ome {command} ") for line in lines), command
        options = set(re.findall(r"^ .*?(--[a-z-]+)", said(command, "--help").split("\nOptions:\n")[1], re.M)) - {"--help"}
        for script, form in (("bash", r"^ *%s\) (.*)$"), ("zsh", r"^ *%s\) (.*(?:\n .*)*)$")):
            row = re.search(form % command, said("completion", script), re.M)
            assert row and all(option in row.group(1) for option in options), (script, command, options)
    subprocess.run(["bash", "-n"], input=said("completion", "bash"), check=True, text=True)


def main():
    manual()
    with scenario.scratch() as folder:
        os.makedirs(folder + "/hub/acme/tiny")
        hub = Hub(folder + "/hub")
        platform = Platform(folder, hub).start()
        ome = Verbs(platform)
        objects(ome)
        status(ome, platform)
        unknown_field(ome, platform)
        models(ome, platform)
        platform.stop()
        hub.stop()
    print("verbs: all true")


if __name__ == "__main__":
    main()
