#!/usr/bin/env python3
"""Scenarios that take any API server, one after another, against one that they did not start and that holds somebody else's
objects: they pass, and leave all as they found it. With OME_TEST_KUBECONFIG against the server that it names."""

import os
import shutil
import subprocess
import sys

import scenario
from scenario import DEADLINE, ApiServer

SCENARIOS = ("controller_test.py", "any_server_test.py", "pinning_test.py", "accelerators_test.py", "changes_test.py",
             "webhooks_test.py", "metrics_test.py", "selection/words_test.py")
EVERYWHERE = ("/api/v1/namespaces", "/api/v1/nodes", "/api/v1/pods", "/api/v1/secrets", "/api/v1/configmaps",
              "/api/v1/services", "/apis/apps/v1/deployments",
              "/apis/coordination.k8s.io/v1/leases", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
              scenario.WEBHOOKS + "validatingwebhookconfigurations", scenario.WEBHOOKS + "mutatingwebhookconfigurations")


def objects(server):
    """{path of a collection: its objects by namespace and name, with their versions}"""
    return {path: sorted((o["metadata"].get("namespace"), o["metadata"]["name"], o["metadata"]["resourceVersion"])
                         for o in server.api("GET", path)["items"]) for path in EVERYWHERE}


def run(name, kubeconfig):
    done = subprocess.run([sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), name)],
                          env=dict(os.environ, OME_TEST_KUBECONFIG=kubeconfig), capture_output=True, text=True,
                          timeout=4 * DEADLINE, check=False)
    assert done.returncode in (0, 77), f"{name}: {done.stdout}{done.stderr}"
    print("ok" if done.returncode == 0 else done.stdout.strip(), name.removesuffix("_test.py"), flush=True)


def main():
    if not shutil.which("kubectl"):
        scenario.skip("no kubectl on the PATH; ./dev test puts one there")
    given = os.environ.get("OME_TEST_KUBECONFIG")
    if given:
        for name in SCENARIOS:
            run(name, given)
        return
    with scenario.scratch() as folder:
        server = ApiServer(folder).start()
        server.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign"}, "data": {"a": "b"}})
        before = objects(server)
        for name in SCENARIOS:
            run(name, server.kubeconfig)
            assert objects(server) == before, (name, before, objects(server))
        server.stop()
    print(f"{len(SCENARIOS)} scenarios on a given server, which is as it was")


if __name__ == "__main__":
    main()
