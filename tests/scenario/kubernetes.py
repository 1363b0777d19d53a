#!/usr/bin/env python3
"""Kubernetes' own API server, for whatever wants one: kube-apiserver on an etcd of its own, and of its controllers the two without
which nothing that is deleted goes. No kubelet, no scheduler, no other controller: nothing runs what workloads ask for.

usage: kubernetes.py BIN COMMAND...    runs COMMAND with OME_TEST_KUBECONFIG naming it; BIN has the three programs

Its own authorizer, RBAC, is asked for whatever an account does; that it forbids something of it is a failure.
"""

import base64
import json
import os
import subprocess
import sys

import scenario
from scenario import end_with_us, free_port, wait_for

# Pods get along without a ServiceAccount and on Nodes that no cloud vouches for; what is deleted waits for no other controller.
WITHOUT = "ServiceAccount,TaintNodesByCondition,StorageObjectInUseProtection"
CONTROLLERS = "garbage-collector-controller,namespace-controller"
TOKEN = "administrator"
POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
    {"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]}


class Kubernetes:
    def __init__(self, folder, binaries):
        self.folder, self.binaries, self.processes = folder, binaries, []
        self.port = free_port()
        self.kubeconfig = folder + "/kubeconfig"

    def run(self, name, *options):
        with open(f"{self.folder}/{name}.log", "w") as log:
            self.processes.append(end_with_us(subprocess.Popen([os.path.join(self.binaries, name), *options], stdout=log, stderr=log)))

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)

    def answers(self):
        """Whether it is ready."""
        for process in self.processes:
            assert process.poll() is None, f"{process.args[0]} ended; see {self.folder}"
        return subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, "get", "--raw", "/readyz"], capture_output=True,
                              check=False).returncode == 0

    def start(self):
        client, peer = free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kube-apiserver", "-addext",
                     "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem")
        self.openssl("genrsa", "-out", "accounts.pem", "2048")
        with open(self.folder + "/tokens.csv", "w") as out:
            out.write(f"{TOKEN},administrator,administrator,system:masters\n")
        with open(self.folder + "/policy.json", "w") as out:
            json.dump(POLICY, out)
        with open(self.folder + "/cert.pem", "rb") as cert, open(self.kubeconfig, "w") as out:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "kubernetes",
                       "clusters": [{"name": "kubernetes", "cluster": {
                           "server": f"https://127.0.0.1:{self.port}",
                           "certificate-authority-data": base64.b64encode(cert.read()).decode()}}],
                       "contexts": [{"name": "kubernetes", "context": {"cluster": "kubernetes", "user": "administrator"}}],
                       "users": [{"name": "administrator", "user": {"token": TOKEN}}]}, out)
        self.run("etcd", "--data-dir", self.folder + "/etcd", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
                 "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--unsafe-no-fsync")
        keys = [f"--service-account-{what}-file={self.folder}/accounts.pem" for what in ("key", "signing-key")]
        self.run("kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
                 f"--tls-cert-file={self.folder}/cert.pem", f"--tls-private-key-file={self.folder}/key.pem",
                 f"--token-auth-file={self.folder}/tokens.csv", "--authorization-mode=RBAC", *keys,
                 f"--audit-policy-file={self.folder}/policy.json", f"--audit-log-path={self.folder}/audit.log",
                 "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.77.0.0/16",
                 "--allow-privileged=true", f"--disable-admission-plugins={WITHOUT}", "--endpoint-reconciler-type=none")
        wait_for("kube-apiserver", self.answers)
        self.run("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", f"--controllers={CONTROLLERS}",
                 "--secure-port=0")
        return self

    def forbidden(self):
        """How many requests of accounts there were, and those that no Role allows: {(account, verb, path)}."""
        with open(self.folder + "/audit.log") as lines:
            events = [json.loads(line) for line in lines]
        refused = {(e["user"]["username"], e["verb"], e["requestURI"]) for e in events
                   if e.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"}
        return len({e["auditID"] for e in events}), refused

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(scenario.DEADLINE)


def main():
    binaries, *command = sys.argv[1:]
    with scenario.scratch() as folder:
        server = Kubernetes(folder, os.path.abspath(binaries)).start()
        try:
            version = subprocess.run(["kubectl", "--kubeconfig", server.kubeconfig, "get", "--raw", "/version"], capture_output=True,
                                     text=True, check=True).stdout
            print("kube-apiserver", json.loads(version)["gitVersion"], flush=True)
            code = subprocess.run(command, check=False, env=dict(os.environ, OME_TEST_KUBECONFIG=server.kubeconfig,
                                                                 OME_TEST_UNATTENDED="1", OME_TEST_ACCOUNTS="1")).returncode
            requests, forbidden = server.forbidden()
            print(f"{requests} requests of accounts, {len(forbidden)} forbidden", *sorted(forbidden), sep="\n")
            return code or bool(forbidden)
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
