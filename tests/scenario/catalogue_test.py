#!/usr/bin/env python3
"""manifests/models, accelerators and runtimes: what their tables say, and taken by the API server without a warning."""

import os
import subprocess
import sys

import scenario
from scenario import HOME, OME, ApiServer

MANIFESTS = os.path.join(HOME, "manifests")


def apply(server, *paths):
    files = [word for path in paths for word in ("-f", os.path.join(MANIFESTS, path))]
    done = subprocess.run([OME, "apply", *files, "--kubeconfig", server.kubeconfig], capture_output=True, text=True,
                          timeout=scenario.DEADLINE)
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def main():
    subprocess.run([sys.executable, "-B", os.path.join(MANIFESTS, "generate.py"), "--check"], check=True)
    with scenario.scratch() as folder:
        server = ApiServer(folder)
        server.start()
        crds = sorted(name for name in os.listdir(os.path.join(MANIFESTS, "crds")) if name != "kustomization.yaml")
        apply(server, *(os.path.join("crds", name) for name in crds))
        scenario.wait_for("the kinds", lambda: server.find("/apis/ome.io/v1beta1/acceleratorclasses") is not None)
        kinds = [line.split(".")[0] for line in apply(server, "models", "accelerators", "runtimes")]
        models, accelerators = kinds.count("clusterbasemodel"), kinds.count("acceleratorclass")
        assert kinds.count("clusterservingruntime") >= 37, kinds
        assert models >= 150 and accelerators >= 19, (models, accelerators)
        assert all("unchanged" in line for line in apply(server, "models", "accelerators"))
        server.stop()
    print(f"{models} models and {accelerators} accelerator classes")


if __name__ == "__main__":
    main()
