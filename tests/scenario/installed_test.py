#!/usr/bin/env python3
"""The install on Kubernetes' own API server: what Helm installs is what base/ says, and goes with Helm. Its pods run where Pod Security
lets in what docs/install.md says that they need, the controller's where it lets in least; a privileged one does not.

`./dev kubernetes` has server and Helm; without them this is skipped.
"""

import copy
import os
import re
import shutil
import subprocess

import install_test
import scenario
from scenario import CRDS, DEADLINE, Refused

CHART = os.path.join(install_test.INSTALL, "chart")
# What the agents' pods do that "restricted" forbids, in Kubernetes' words.
AGENTS = {"unrestricted capabilities", "restricted volume types", "runAsNonRoot != true", "runAsUser=0"}
PRIVILEGED = {"privileged", "allowPrivilegeEscalation != false"}


def helm(server, *words):
    done = subprocess.run(["helm", *words, "--namespace", server.ome_ns], capture_output=True, text=True, check=False, timeout=2 * DEADLINE,
                          env=dict(os.environ, KUBECONFIG=server.kubeconfig, HOME=server.folder))
    assert done.returncode == 0, done.stderr
    return done.stdout


def diff(server, documents):
    """How what is there differs from DOCUMENTS; what others added, as Helm does, is no difference."""
    done = subprocess.run(["kubectl", "--kubeconfig", server.kubeconfig, "diff", "--server-side", "--force-conflicts", "-f", "-"],
                          input="---\n".join(documents), capture_output=True, text=True, check=False, timeout=2 * DEADLINE)
    assert done.returncode in (0, 1) and (done.returncode == 0) == (not done.stdout), done.stderr
    return done.stdout


def guard(server, namespace, level):
    """Pod Security lets into NAMESPACE what LEVEL allows."""
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {
        "pod-security.kubernetes.io/enforce": level}}})


def violations(server, namespace, template):
    """What of a pod of TEMPLATE the server forbids in NAMESPACE, in its words; nothing is made."""
    try:
        server.api("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "labels": template["metadata"]["labels"]},
            "spec": template["spec"]})
        return set()
    except Refused as refused:
        said = re.search(r'violates PodSecurity \\"restricted:latest\\": (.*?)","reason"', refused.body)
        assert refused.status == 403 and said, refused.body
        return set(re.findall(r"(?:^|, )([^,()]+) \((?:[^()]|\([^()]*\))*\)", said[1]))


def check_pods(server):
    template = lambda path: server.api("GET", f"/apis/apps/v1/namespaces/{server.ome_ns}/{path}")["spec"]["template"]
    controller, agent = template("deployments/ome-controller-manager"), template("daemonsets/ome-model-agent-daemonset")
    strict = server.ome_ns + "-strict"
    guard(server, strict, "restricted")
    guard(server, server.ome_ns, "privileged")
    assert not violations(server, strict, controller)
    assert violations(server, strict, agent) == AGENTS, violations(server, strict, agent)
    assert not violations(server, server.ome_ns, agent) and not violations(server, server.ome_ns, controller)
    privileged = copy.deepcopy(controller)
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True, "capabilities": {"drop": ["ALL"]}}
    assert violations(server, strict, privileged) == PRIVILEGED, violations(server, strict, privileged)


def check_helm(server):
    documents = scenario.installed(server.folder, server.ome_ns, "configuration.yaml", "controller-rbac.yaml", "controller.yaml",
                                   "agent.yaml")
    helm(server, "install", "ome", CHART)
    assert not diff(server, documents), diff(server, documents)
    changed = [d.replace("replicas: 2", "replicas: 3") for d in documents]
    assert "+  replicas: 3" in diff(server, changed), "a difference is not seen"
    return len(documents)


def check_uninstalled(server):
    helm(server, "uninstall", "ome")
    assert server.find(install_test.RBAC + "clusterroles/ome-manager-role") is None
    for kind in ("deployments", "daemonsets"):
        assert not server.names(f"/apis/apps/v1/namespaces/{server.ome_ns}/{kind}"), kind
    assert server.find(CRDS + "/inferenceservices.ome.io"), "Helm took what people have made with it"


def main():
    if not os.environ.get("OME_TEST_ACCOUNTS") or not shutil.which("helm"):
        scenario.skip("no Kubernetes of our own making, or no Helm; ./dev kubernetes has both")
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install_test.check_derived(folder)
        scenario.claim(server, *scenario.CLUSTER_RIGHTS, *(f"{CRDS}/{os.path.splitext(name)[0].split('_')[1]}.ome.io"
                                                           for name in os.listdir(CHART + "/crds")))
        server.create_namespace(server.ome_ns)
        count = check_helm(server)
        check_pods(server)
        check_uninstalled(server)
        print(f"{count} objects are as base/ says; Pod Security forbids what it should, and nothing else")


if __name__ == "__main__":
    main()
