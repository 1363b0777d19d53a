#!/usr/bin/env python3
"""The samples of manifests/samples run for real under one `ome up`, on parts_engine.py in place of SGLang and vLLM, and
parts_ray.py in place of Ray: a group of nodes meets and restarts as a whole, a Ray cluster comes together, prefill and decode answer behind their router, engines behind the one that nobody
describes, adapters are where the engine is told that they are, and a service without replicas holds the requests that come
until one is there, and loses none. A service is Ready when its engine answers, in every mode, and not before."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import scenario
from scenario import DEADLINE, HOME, ISVC, OME, Hub, Platform, processes_with, wait_for

SAMPLES = ("raw", "multinode", "pd", "pd-multinode", "ray", "serverless", "router", "lora")
HOLDS_REQUESTS = ("serverless",)  # Ready without a replica
ANSWERS = {"raw": "whole by 1 of 1", "multinode": "whole by 2 of 2", "pd": "prefill by 1 of 1 then decode by 1 of 1",
           "pd-multinode": "prefill by 2 of 2 then decode by 4 of 4", "serverless": "whole by 1 of 1",
           "ray": "whole by 2 of 2", "router": "whole by 1 of 1, routed", "lora": "whole by 1 of 1 with lora-sql for SQL with lora-law for LAW"}
PODS = "/api/v1/namespaces/default/pods"


def model_files():
    """As little of a model as is one."""
    header = json.dumps({"a.weight": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_hidden_layers": 1,
              "num_attention_heads": 1, "vocab_size": 8, "torch_dtype": "float16"}
    return {"config.json": json.dumps(config).encode(),
            "model.safetensors": len(header).to_bytes(8, "little") + header + bytes(4)}


def adapter_files(task):
    """As little of an adapter as is one."""
    header = json.dumps({"a.lora_A.weight": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    config = {"peft_type": "LORA", "r": 16, "task_type": task}
    return {"adapter_config.json": json.dumps(config).encode(),
            "adapter_model.safetensors": len(header).to_bytes(8, "little") + header + bytes(4)}


def command_of(platform):
    engine = os.path.join(HOME, "tests/scenario/parts_engine.py")
    return [sys.executable, "-B", engine, platform.data, str(platform.port)]


def write_router(folder, platform):
    """Our engine by the name of SGLang's router, which is what the default router's command starts."""
    scenario.write_files(folder, {
        "sglang_router/__init__.py": b"",
        "sglang_router/launch_router.py": ("import os, sys\n"
                                           f"command = {command_of(platform)!r}\n"
                                           "os.execv(command[0], [*command, *sys.argv[1:]])\n").encode()})


def write_ray(platform):
    """The program that KubeRay's commands start, first on the PATH that the platform's pods have."""
    program = os.path.join(platform.data, "bin/ray")
    with open(os.path.join(HOME, "tests/scenario/parts_ray.py"), "rb") as text:
        scenario.write_files(os.path.dirname(program), {"ray": text.read()})
    os.chmod(program, 0o755)
    platform.env["PATH"] = os.path.dirname(program) + ":" + platform.env["PATH"]


def fitted(name, platform):
    """The sample with our engine in it, and without the GPUs and the path that this machine does not have."""
    text = open(os.path.join(HOME, "manifests/samples", name + ".yaml"), encoding="utf-8").read()
    command = json.dumps(command_of(platform))
    if "vllm serve" in text:
        text = text.replace("vllm serve", shlex.join(command_of(platform)))
    else:
        text = re.sub(r"^( *)(image: .*)$", lambda m: f"{m[1]}{m[2]}\n{m[1]}command: {command}", text, flags=re.M)
    text = re.sub(r"^ *resources: { limits: .*\n", "", text, flags=re.M)
    text = re.sub(r", path: [^ ]*", "", text)
    env = json.dumps([{"name": "PYTHONPATH", "value": os.path.join(platform.data, "python")}])
    text = text.replace("router: {}", f"router: {{ runner: {{ name: router, env: {env} }} }}")
    return text.replace("deploymentMode: Serverless", "deploymentMode: Serverless, autoscaling.knative.dev/window: 2s")


def ome(platform, *args, stdin=None):
    done = subprocess.run([OME, *args, "--kubeconfig", platform.kubeconfig], input=stdin, capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout


def pods(platform, selector):
    return [p for p in platform.api("GET", f"{PODS}?labelSelector={selector}")["items"]
            if "deletionTimestamp" not in p["metadata"]]


def why(platform):
    """For a wait in vain: what is not as it should be."""
    lines = []
    for p in platform.api("GET", PODS)["items"]:
        states = [s.get("state") for s in p["status"].get("containerStatuses", [])]
        lines.append(f"{p['metadata']['name']} {p['status'].get('phase')} {p['status'].get('podIP')} {states}")
    for s in platform.api("GET", ISVC)["items"]:
        lines += [f"{s['metadata']['name']} {c}" for c in s.get("status", {}).get("conditions", [])
                  if c["status"] != "True"]
    return "\n".join(lines)


def readiness(platform):
    """Status of each service's condition Ready."""
    return {s["metadata"]["name"]: c["status"] for s in platform.api("GET", ISVC)["items"]
            for c in s.get("status", {}).get("conditions", []) if c["type"] == "Ready"}


def hold(platform, held):
    """Whether engines that start are to wait before they listen."""
    path = os.path.join(platform.data, "hold")
    if held:
        scenario.write_files(platform.data, {"hold": b""})
    else:
        os.remove(path)


def explained_wait(platform, what, condition):
    """wait_for() that says how things are when it was in vain."""
    try:
        return wait_for(what, condition)
    except AssertionError as failed:
        raise AssertionError(f"{failed}\n{why(platform)}") from failed


def check_held(platform):
    """Every pod runs and none listens: no service is Ready."""
    early = set()

    def all_run():
        early.update(name for name, status in readiness(platform).items() if status == "True")
        found = pods(platform, "ome.io/inferenceservice")
        return {p["metadata"]["labels"]["ome.io/inferenceservice"] for p in found} == set(SAMPLES) and all(
            p["status"].get("phase") == "Running" for p in found) and set(readiness(platform)) == set(SAMPLES)

    explained_wait(platform, "every pod to run", all_run)
    assert not early, f"{early}: Ready, and no engine listens\n{why(platform)}"
    hold(platform, False)


def check_falls(platform):
    """Every engine dies and comes back later: so does Ready, except where requests are held for it."""
    hold(platform, True)
    for pid in processes_with(platform.data):
        with contextlib.suppress(OSError):
            words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
            if words[0] == sys.executable.encode() and any(word.endswith(b"parts_engine.py") for word in words):
                os.kill(pid, signal.SIGKILL)
    serving = set(SAMPLES) - set(HOLDS_REQUESTS)
    explained_wait(platform, "services without an engine not to be Ready", lambda: not [
        name for name, status in readiness(platform).items() if name in serving and status == "True"])
    hold(platform, False)
    check_ready(platform)


def check_ready(platform):
    """What answers is Ready."""
    check_answers(platform)
    explained_wait(platform, "what answers to be Ready",
                   lambda: {readiness(platform)[name] for name in SAMPLES} == {"True"})


def check_answers(platform):
    for name in SAMPLES:
        text = explained_wait(platform, f"{name} to answer", lambda name=name: platform.chat(name))
        assert text == ANSWERS[name], (name, text)
    listed = ome(platform, "get", "lws")
    assert len(listed.splitlines()) == 4, listed


def check_elsewhere(platform):
    """What is served elsewhere is nothing to run."""
    ome(platform, "apply", "-f", "-", stdin=fitted("virtual", platform))
    wait_for("the virtual service", lambda: readiness(platform).get("virtual") == "True")
    assert not pods(platform, "ome.io/inferenceservice=virtual")


def check_ray(platform):
    """What KubeRay would make of a cluster, and an edit: its pods are made again, at another head."""
    service = platform.api("GET", "/api/v1/namespaces/default/services/ray-engine-0")
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"], service
    before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in pods(platform, "ray.io/cluster=ray-engine-0")}
    assert set(before) == {"ray-engine-0", "ray-engine-0-wg-worker-0"}, before
    assert "ray-engine-0" in ome(platform, "get", "rayclusters")
    platform.api("PATCH", ISVC + "ray", {"spec": {"engine": {"runner": {"env": [{"name": "EDITED", "value": "1"}]}}}},
                 "application/merge-patch+json")
    wait_for("other pods", lambda: {p["metadata"]["name"]: p["metadata"]["uid"] == before[p["metadata"]["name"]]
                                    for p in pods(platform, "ray.io/cluster=ray-engine-0")} == dict.fromkeys(before, False))
    assert wait_for("the cluster to answer again", lambda: platform.chat("ray")) == ANSWERS["ray"]


def check_group_restart(platform):
    """One process of a group ends: its whole group is made again, the other group stays."""
    def groups():
        found = {}
        for p in pods(platform, "leaderworkerset.sigs.k8s.io/name=lws-multinode-engine"):
            labels = p["metadata"]["labels"]
            found.setdefault(labels["leaderworkerset.sigs.k8s.io/group-index"], set()).add(p["metadata"]["uid"])
        return found

    before = groups()
    assert {g: len(uids) for g, uids in before.items()} == {"0": 2, "1": 2}, before
    address = next(p["status"]["podIP"] for p in pods(platform, "leaderworkerset.sigs.k8s.io/name=lws-multinode-engine")
                   if p["metadata"]["name"] == "lws-multinode-engine-0")
    workers = [pid for pid in processes_with(f"LWS_LEADER_ADDRESS={address}")
               if b"--node-rank\x001\x00" in open(f"/proc/{pid}/cmdline", "rb").read()]
    assert workers, "no worker meets at its leader's address"
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_for("the group to be another", lambda: len(groups().get("0", ())) == 2 and not groups()["0"] & before["0"])
    assert groups()["1"] == before["1"], "a group that was well was restarted"
    leader = "lws-multinode-engine-0"
    wait_for("the group to be ready", lambda: any(
        p["metadata"]["name"] == leader and any(c["type"] == "Ready" and c["status"] == "True"
                                                for c in p["status"].get("conditions", []))
        for p in pods(platform, "app=multinode-engine")))
    assert wait_for("the service to answer again", lambda: platform.chat("multinode")) == ANSWERS["multinode"]


def ask(platform, name):
    """Status and text of one completion through the gateway."""
    connection = http.client.HTTPConnection("127.0.0.1", platform.gateway, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": []}),
                           {"Host": f"{name}.default.localhost", "Content-Type": "application/json"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        return answer.status, body["choices"][0]["message"]["content"] if answer.status == 200 else body


def check_zero(platform, rounds=2, requests=8):
    selector = "serving.knative.dev/service=serverless-engine"
    for _ in range(rounds):
        wait_for("no replica to be left", lambda: not pods(platform, selector))
        wait_for("no process to be left", lambda: not platform.api("GET", f"{PODS}?labelSelector={selector}")["items"])
        status = platform.api("GET", ISVC + "serverless")["status"]["conditions"]
        assert next(c for c in status if c["type"] == "Ready")["status"] == "True", status
        with concurrent.futures.ThreadPoolExecutor(requests) as pool:
            answers = list(pool.map(lambda _: ask(platform, "serverless"), range(requests)))
        assert answers == [(200, ANSWERS["serverless"])] * requests, answers
        assert pods(platform, selector), "answered by nobody"
    print(f"{rounds} times from zero, {rounds * requests} requests held, none lost")


def main():
    with scenario.scratch() as folder:
        scenario.write_files(folder + "/hub", {f"example/{name}-model/{path}": data for name in SAMPLES
                                               for path, data in model_files().items()})
        scenario.write_files(folder + "/hub/example/lora-sql", adapter_files("SQL"))
        hub = Hub(folder + "/hub")
        platform = Platform(folder, hub)
        write_ray(platform)
        platform.start()
        scenario.write_files(platform.data + "/claims/default/adapters/law", adapter_files("LAW"))
        write_router(platform.data + "/python", platform)
        hold(platform, True)
        for name in SAMPLES:
            ome(platform, "apply", "-f", "-", stdin=fitted(name, platform))
        check_held(platform)
        check_ready(platform)
        check_elsewhere(platform)
        check_group_restart(platform)
        check_ray(platform)
        check_falls(platform)
        check_zero(platform)
        platform.stop()
        assert not processes_with(platform.data), "an engine outlives the platform"
        hub.stop()


if __name__ == "__main__":
    main()
