#!/usr/bin/env python3
"""How `ome controller` does in a large cluster: services over models and runtimes, with their pods, and Secrets that are none of
its business. From nothing to converged beside a bare client that writes the same objects to the same server; memory; restart to
steady state without a write; a model's change to its service's status; idle processor time; cold start. Prints a table; a target
that is missed is marked, and the exit code is 1.

The time of the controller begins when the first service is created and ends with its last write. The bare client is told what
the controller wrote, and writes that and no more: the services, by four connections, as they were created for the controller; each
child by server-side apply, each status by a patch and each Event, one after another as a program in a loop would; below it, by four
connections too, which is all that the server takes.

usage: control.py [--services N] [--models N] [--runtimes N] [--pods N] [--secrets N] [--idle SECONDS]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scenario"))
import footprint  # noqa: E402
import scenario  # noqa: E402
from scenario import ISVC, MODEL, OME, ApiServer, free_port, install  # noqa: E402

BULK = os.path.join(os.path.dirname(os.path.dirname(OME)), "bench/bulk")
CHILDREN = ("/api/v1/configmaps", "/api/v1/services", "/apis/apps/v1/deployments",
            "/apis/autoscaling/v2/horizontalpodautoscalers", "/apis/policy/v1/poddisruptionbudgets")


def wait(what, condition, seconds=600, pause=0.05):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(pause)


def all_have(server, path, what):
    return all(what(o) for o in server.api("GET", path)["items"])


def bulk(server, folder, threads, how, objects):
    """Seconds that a bare client takes to write OBJECTS."""
    path = folder + "/objects.jsonl"
    with open(path, "w") as out:
        out.writelines(json.dumps(o) + "\n" for o in objects)
    done = subprocess.run([BULK, server.kubeconfig, str(threads), how, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return float(done.stdout)


def model(i, runtimes):
    made = scenario.model(f"model-{i}", f"hf://example/model-{i}")
    made["spec"].update({"modelFormat": {"name": f"gguf-{i % runtimes}"}, "modelArchitecture": "LlamaForCausalLM"})
    made["spec"]["storage"]["path"] = f"/models/{i}"
    return made


def runtime(i):
    made = scenario.runtime(f"runtime-{i}")
    made["spec"]["supportedModelFormats"][0]["modelFormat"]["name"] = f"gguf-{i}"
    return made


def pod(i, services):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": f"pod-{i}", "namespace": "default", "labels": {"ome.io/inferenceservice": f"chat-{i % services}",
                                                              "component": "engine"}},
        "spec": {"containers": [{"name": "ome-container", "image": "example.com/llama.cpp:server"}]}}


def secret(i):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"foreign-{i}", "namespace": "default"},
            "stringData": {"password": "x" * 200}}


class Controller:
    def __init__(self, server):
        self.port = free_port()
        self.began = time.monotonic()
        self.process = scenario.end_with_us(subprocess.Popen(
            [OME, "controller", "--kubeconfig", server.kubeconfig, "--health-address", "127.0.0.1", "--health-port",
             str(self.port)], stderr=subprocess.DEVNULL))

    def metrics(self):
        """Sums by family; {} before it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        found = {}
        for line in lines:
            if not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                found[sample] = float(value)
        return found

    def total(self, family, label="", metrics=None):
        metrics = self.metrics() if metrics is None else metrics
        return sum(v for k, v in metrics.items() if k.startswith(family) and label in k)

    def writes(self, metrics=None):
        metrics = self.metrics() if metrics is None else metrics
        return sum(self.total("ome_kube_requests_total", f'verb="{verb}"', metrics)
                   for verb in ("POST", "PUT", "PATCH", "DELETE"))

    def quiet(self, seconds):
        """Waits until nothing was written or reconciled for SECONDS; when it last was. To look costs the controller
        time: one scrape, and not often."""
        last, since = None, time.monotonic()
        while time.monotonic() - since < seconds:
            metrics = self.metrics()
            now = (self.writes(metrics), self.total("ome_reconcile_duration_seconds_count", "", metrics))
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)
        return since

    def stop(self):
        self.process.terminate()
        self.process.wait()


def fill(server, folder, o):
    install(server)
    bulk(server, folder, 8, "create", [secret(i) for i in range(o.secrets)])
    bulk(server, folder, 8, "create", [pod(i, o.services) for i in range(o.pods)])
    bulk(server, folder, 8, "create", [runtime(i) for i in range(o.runtimes)] + [model(i, o.runtimes) for i in range(o.models)])


def services(o):
    made = [scenario.service(f"chat-{i}", f"model-{i % o.models}") for i in range(o.services)]
    for document in made:
        document["metadata"]["namespace"] = "default"
    return made


def items(server, path):
    found = server.api("GET", path)
    kind = found["kind"].removesuffix("List")
    return [dict(i, kind=kind, apiVersion=found["apiVersion"]) for i in found["items"]]


def written_by_us(server):
    """The children that the controller made, the statuses that it wrote and the Events, as a bare client would write them."""
    children = []
    for path in CHILDREN:
        for o in items(server, path):
            if "ome.io/inferenceservice" in o["metadata"].get("labels", {}):
                o["metadata"] = {k: o["metadata"][k] for k in ("name", "namespace", "labels", "annotations")
                                 if k in o["metadata"]}
                o.pop("status", None)
                if o["kind"] == "Service":
                    for key in ("clusterIP", "clusterIPs"):
                        o["spec"].pop(key, None)
                children.append(o)
    statuses = []
    for o in items(server, "/apis/ome.io/v1beta1/inferenceservices"):
        statuses.append({"apiVersion": o["apiVersion"], "kind": o["kind"], "status": o["status"], "metadata": {
            "name": o["metadata"]["name"], "namespace": o["metadata"]["namespace"]}})
    events = items(server, "/api/v1/namespaces/default/events")
    for o in events:
        o["metadata"] = {k: o["metadata"][k] for k in ("name", "namespace")}
    return children, statuses, events


def bare_client(o, folder, connections, children, statuses, events):
    """Seconds that a bare client takes to write the same to an equal server."""
    server = ApiServer(f"{folder}/bare-{connections}").start()
    fill(server, folder, o)
    took = bulk(server, folder, 4, "create", services(o)) + bulk(server, folder, connections, "apply", children) + \
        bulk(server, folder, connections, "status", statuses) + bulk(server, folder, connections, "create", events)
    server.stop()
    return took


def change_to_status(server, rounds):
    """Milliseconds from a model's change to the status of a service that uses it."""
    took = []
    for i in range(rounds):
        name = f"chat-{i}"
        before = server.api("GET", ISVC + name)
        target = {"spec": {"disabled": not server.api("GET", MODEL + f"model-{i}")["spec"].get("disabled", False)}}
        began = time.monotonic()
        server.api("PATCH", MODEL + f"model-{i}", target, "application/merge-patch+json")
        wait("the service's status", lambda: server.api("GET", ISVC + name).get("status") != before.get("status"), 30, 0.001)
        took.append((time.monotonic() - began) * 1000)
        server.api("PATCH", MODEL + f"model-{i}", {"spec": {"disabled": not target["spec"]["disabled"]}},
                   "application/merge-patch+json")
        time.sleep(0.2)
    return took


def cold_start(folder):
    """Milliseconds from exec to the first reconcile, with one service."""
    server = ApiServer(folder).start()
    install(server)
    for document in (model(0, 1), runtime(0), scenario.service("chat-0", "model-0")):
        server.apply(document)
    took = []
    for _ in range(5):
        controller = Controller(server)
        wait("a reconcile", lambda: controller.total("ome_reconcile_duration_seconds_count", "inferenceservice"), 10, 0.001)
        took.append((time.monotonic() - controller.began) * 1000)
        controller.stop()
    server.stop()
    return statistics.median(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("services", 1000), ("models", 200), ("runtimes", 50), ("pods", 10000), ("secrets", 20000),
                         ("idle", 20)):
        parser.add_argument("--" + name, type=int, default=number)
    o = parser.parse_args()
    rows = []
    row = lambda what, value, target, fine: (rows.append(fine), print(f"{what:<52} {value:>16}  {target:<12} "
                                                                     f"{'' if fine else 'MISSED'}", flush=True))
    with scenario.scratch() as folder:
        server = ApiServer(folder + "/a").start()
        fill(server, folder, o)
        controller = Controller(server)
        wait("the controller", lambda: controller.total("ome_watch_lists_total") > 15)
        wait("the models", lambda: all_have(server, MODEL, lambda m: m.get("status", {}).get("state")), pause=0.5)
        controller.quiet(2)
        before = controller.writes()
        began = time.monotonic()
        bulk(server, folder, 4, "create", services(o))
        ours = controller.quiet(3) - began
        assert all_have(server, ISVC, lambda s: s.get("status", {}).get("conditions")), "not converged, but quiet"
        writes = controller.writes() - before
        rss = footprint.resident_mib(controller.process.pid)
        written = written_by_us(server)
        took = change_to_status(server, 20)
        controller.quiet(3)
        used = footprint.cpu_seconds(controller.process.pid)
        time.sleep(o.idle)
        idle = (footprint.cpu_seconds(controller.process.pid) - used) / o.idle * 100
        controller.stop()
        controller = Controller(server)
        wait("the caches", lambda: controller.total("ome_watch_lists_total") > 15, pause=0.005)
        steady = controller.quiet(2) - controller.began
        again = controller.writes()
        controller.stop()
        server.stop()

        bare = bare_client(o, folder, 1, *written)
        bare4 = bare_client(o, folder, 4, *written)
        cold = cold_start(folder + "/c")

    count = o.services + sum(map(len, written))
    ratio = (count / ours) / (count / bare)
    print(f"\n{o.services} services, {o.models} models, {o.runtimes} runtimes, {o.pods} pods, {o.secrets} Secrets")
    row(f"{count} objects, statuses and Events, {writes:.0f} of ours", f"{ours:.1f} s", "", True)
    row("the same by a bare client, one by one", f"{bare:.1f} s", "", True)
    row("the same by a bare client, four at a time", f"{bare4:.1f} s", "", True)
    row("rate beside the bare client's, one by one", f"{ratio:.2f}", ">= 0.90", ratio >= 0.9)
    row("rate beside the bare client's, four at a time", f"{bare4 / ours:.2f}", "", True)
    row("resident memory then", f"{rss:.1f} MiB", "<= 64 MiB", rss <= 64)
    row("restart to steady state", f"{steady:.2f} s", "< 5 s", steady < 5)
    row("writes of a restart", f"{again:.0f}", "0", again == 0)
    row("model's change to service's status, median", f"{statistics.median(took):.0f} ms", "<= 100 ms",
        statistics.median(took) <= 100)
    row("idle processor time", f"{idle:.2f} %", "< 0.5 %", idle < 0.5)
    row("cold start to first reconcile", f"{cold:.0f} ms", "< 100 ms", cold < 100)
    return 0 if all(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
