#!/usr/bin/env python3
"""Scenarios that take any API server, one after another, against one that they did not start and that holds somebody else's
objects: they pass, and leave all as they found it. With OME_TEST_KUBECONFIG against the server that it names.

usage: given_test.py [GROUP or SCENARIO]...    all of them without
"""

import os
import shutil
import subprocess
import sys
import time

import scenario
from scenario import DEADLINE, ApiServer

GROUPS = {
    "controller": ("controller", "any_server", "pinning", "accelerators", "changes", "modes", "steady", "benchmark_objects", "webhooks",
                   "admission", "metrics", "selection/words"),
    "agent": ("agents", "agents_zones", "agents_namespace", "agents_space", "agents_truth", "agents_kill", "agent_metrics", "weights", "credentials",
              "walk"),
    "install": ("installed", "agents_identity"),  # which need an API server that knows who may do what
}
ARGUMENTS = {"agents_kill": ("10",), "walk": ("50", "6")}
EVERYWHERE = ("/api/v1/namespaces", "/api/v1/nodes", "/api/v1/pods", "/api/v1/secrets", "/api/v1/configmaps",
              "/api/v1/services", "/apis/apps/v1/deployments", "/api/v1/persistentvolumeclaims",
              "/apis/coordination.k8s.io/v1/leases", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
              scenario.WEBHOOKS + "validatingwebhookconfigurations", scenario.WEBHOOKS + "mutatingwebhookconfigurations")


def objects(server):
    """{path of a collection: its objects by namespace and name, with their versions}"""
    return {path: sorted((o["metadata"].get("namespace"), o["metadata"]["name"], o["metadata"]["resourceVersion"])
                         for o in server.api("GET", path)["items"]) for path in EVERYWHERE}


def run(name, kubeconfig, **more):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + "_test.py")
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-B", script, *ARGUMENTS.get(name, ())],
                          env=dict(os.environ, OME_TEST_KUBECONFIG=kubeconfig, **more), capture_output=True, text=True,
                          timeout=10 * DEADLINE, check=False)
    assert done.returncode in (0, 77), f"{name}: {done.stdout}{done.stderr}"
    print("ok" if done.returncode == 0 else done.stdout.strip(), name, f"{time.monotonic() - begin:.1f} s", flush=True)


def chosen(words):
    """Names of scenarios."""
    return [name for word in words or GROUPS for name in GROUPS.get(word, (word,))]


def main():
    if not shutil.which("kubectl"):
        scenario.skip("no kubectl on the PATH; ./dev test puts one there")
    names, given = chosen(sys.argv[1:]), os.environ.get("OME_TEST_KUBECONFIG")
    if given:
        for name in names:
            run(name, given)
        return
    with scenario.scratch() as folder:
        server = ApiServer(folder).start()
        server.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign"}, "data": {"a": "b"}})
        before = objects(server)
        for name in names:
            run(name, server.kubeconfig, OME_TEST_UNATTENDED="1")
            assert objects(server) == before, (name, before, objects(server))
        server.stop()
    print(f"{len(names)} scenarios on a given server, which is as it was")


if __name__ == "__main__":
    main()
