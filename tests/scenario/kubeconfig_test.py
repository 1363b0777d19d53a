#!/usr/bin/env python3
"""Every way to reach an API server and to prove who one is that a kubeconfig knows, and the account of a pod: client certificates,
credential plugins and their renewal, token files that are replaced, another TLS name, a proxy, and no check at all."""

import base64
import contextlib
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import subprocess
import threading

import scenario
from scenario import DEADLINE, OME, Controller, end_with_us, free_port, wait_for

ANSWERS = {
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "configmaps", "singularName": "configmap", "kind": "ConfigMap", "namespaced": True, "verbs": ["get"]}]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1/namespaces/default/configmaps/a": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
}
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"


def certificate(folder, name, subject, *more):
    """A certificate that vouches for itself: its text, and that of its key."""
    files = [f"{folder}/{name}.{what}" for what in ("crt", "key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    f"/CN={subject}", "-out", files[0], "-keyout", files[1], *more], check=True, capture_output=True)
    return files


class Door:
    """An API server with one ConfigMap, behind TLS as api.example; whom it let in, and how they called it."""

    def __init__(self, folder, client=None):
        self.certificate, key = certificate(folder, "door", "api.example", "-addext", "subjectAltName=DNS:api.example")
        self.seen, door = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                subject = dict(pair[0] for pair in (self.connection.getpeercert() or {}).get("subject", ()))
                door.seen.append((self.headers.get("Authorization", ""), subject.get("commonName", "")))
                data = json.dumps(ANSWERS.get(self.path.split("?")[0], {"kind": "Status", "code": 404, "reason": "NotFound"})).encode()
                self.send_response(200 if b"Status" not in data else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.handle_error = lambda *_: None  # who does not trust it goes
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Proxy:
    """Leads whatever is asked for with CONNECT to PORT; the names that were."""

    def __init__(self, port):
        self.asked, proxy = [], self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                proxy.asked.append(self.rfile.readline().decode().split()[1])
                while self.rfile.readline().strip():
                    pass
                with socket.create_connection(("127.0.0.1", port)) as far:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=self.copy, args=(far, self.connection))
                    back.start()
                    self.copy(self.connection, far)
                    back.join()

            @staticmethod
            def copy(source, target):
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def kubeconfig(path, cluster, user):
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": cluster}],
                   "users": [{"name": "u", "user": user}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}, out)
    return path


def encoded(path):
    with open(path, "rb") as data:
        return base64.b64encode(data.read()).decode()


class Asker:
    """`ome get configmap a` of DOOR with kubeconfigs in FOLDER."""

    def __init__(self, folder, door):
        self.folder, self.door = folder, door
        self.cluster = {"server": f"https://127.0.0.1:{door.port}", "certificate-authority": door.certificate,
                        "tls-server-name": "api.example"}

    def ask(self, user, **cluster):
        """Without a key of the cluster where its value is None."""
        wanted = {key.replace("_", "-"): value for key, value in cluster.items()}
        wanted = {key: value for key, value in {**self.cluster, **wanted}.items() if value is not None}
        path = kubeconfig(self.folder + "/config", wanted, user)
        self.door.seen.clear()
        return subprocess.run([OME, "get", "configmap", "a", "-o", "json", "--kubeconfig", path], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)

    def gets(self, user, **cluster):
        """Whom the door saw."""
        done = self.ask(user, **cluster)
        assert done.returncode == 0 and json.loads(done.stdout)["metadata"]["name"] == "a", (user, cluster, done)
        (seen,) = set(self.door.seen)
        return seen

    def fails(self, word, user, **cluster):
        done = self.ask(user, **cluster)
        assert done.returncode == 1 and word in done.stderr, (user, cluster, done)


def names_and_proxies(folder):
    asker = Asker(folder, Door(folder))
    assert asker.gets({"token": "t"}) == ("Bearer t", "")
    asker.fails("certificate", {"token": "t"}, tls_server_name=None)
    asker.fails("certificate", {"token": "t"}, certificate_authority=None)
    assert asker.gets({"token": "t"}, certificate_authority=None, tls_server_name=None, insecure_skip_tls_verify=True) == ("Bearer t", "")
    proxy = Proxy(asker.door.port)
    asker.gets({"token": "t"}, server="https://api.example:6443", tls_server_name=None, proxy_url=proxy.url)
    assert set(proxy.asked) == {"api.example:6443"}, proxy.asked


def plugin(folder, **status):
    """A credential plugin that answers STATUS, and what a kubeconfig says of it."""
    with open(folder + "/plugin", "w") as out:
        answer = json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
        out.write(f"#!/bin/sh\necho run >>{folder}/runs\ntest \"$1 $WHO\" = 'for me' || exit 3\n"
                  f"case $KUBERNETES_EXEC_INFO in *ExecCredential*) cat <<'END'\n{answer}\nEND\nesac\n")
    os.chmod(folder + "/plugin", 0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": folder + "/plugin", "args": ["for"],
                     "env": [{"name": "WHO", "value": "me"}], "interactiveMode": "Never"}}


def certificates(folder):
    cert, key = certificate(folder, "client", "somebody")
    asker = Asker(folder, Door(folder, client=cert))
    asker.fails("127.0.0.1", {"token": "t"})
    for user in ({"client-certificate": cert, "client-key": key},
                 {"client-certificate-data": encoded(cert), "client-key-data": encoded(key)},
                 plugin(folder, clientCertificateData=open(cert).read(), clientKeyData=open(key).read())):
        assert asker.gets(user) == ("", "somebody"), user


def plugins(folder):
    asker = Asker(folder, Door(folder))
    user = plugin(folder, token="from-plugin")
    assert asker.gets(user) == ("Bearer from-plugin", "")
    user["exec"]["args"] = ["against"]
    asker.fails("plugin", user)
    user["exec"]["command"] = folder + "/absent"
    asker.fails("absent", user)


def of(server):
    """Cluster and token of SERVER's own kubeconfig."""
    text = open(server.kubeconfig).read()
    authority = re.search(r"certificate-authority-data: *\"?([A-Za-z0-9+/=]+)", text)[1]
    return {"server": f"https://127.0.0.1:{server.port}", "certificate-authority-data": authority}, server._credentials()[1]


class With:
    """A server as Controller() wants one, by another kubeconfig."""

    def __init__(self, server, path):
        self.kubeconfig, self.ome_ns = path, server.ome_ns

    account = scenario.Platform.account


def replaced_token(folder, server):
    """A controller whose token is refused, and its file then replaced, goes on by itself; it looks at the file once a minute."""
    cluster, token = of(server)
    with open(folder + "/token", "w") as out:
        out.write("expired")
    controller = Controller(With(server, kubeconfig(folder + "/by-file", cluster, {"tokenFile": "token"})))
    wait_for("it to be refused", lambda: "Unauthorized" in controller.process.stderr.readline())
    with open(folder + "/token.new", "w") as out:
        out.write(token + "\n")
    os.rename(folder + "/token.new", folder + "/token")
    return controller


def renewed_credentials(folder, server):
    """What a plugin gave is used until it expires, and then asked for again."""
    cluster, token = of(server)
    user = plugin(folder, token=token, expirationTimestamp="2020-01-01T00:00:00Z")
    controller = Controller(With(server, kubeconfig(folder + "/by-plugin", cluster, user)))
    wait_for("the controller", controller.ready)
    def again():
        server.apply(scenario.service(f"s{os.urandom(3).hex()}", "nobody"))  # something to write of
        return len(open(folder + "/runs").readlines()) > 2
    wait_for("the plugin to be asked again", again)
    controller.stop()


def account_of_a_pod(folder, server):
    cluster, token = of(server)
    port = free_port()
    for name, text in (("token", token), ("ca.crt", base64.b64decode(cluster["certificate-authority-data"]).decode()), ("namespace", "ome")):
        os.makedirs(folder + "/account", exist_ok=True)
        with open(f"{folder}/account/{name}", "w") as out:
            out.write(text)
    script = f'mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p {ACCOUNT} && mount --bind "$0" {ACCOUNT} && exec "$@"'
    environment = {**os.environ, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port),
                   "POD_NAMESPACE": "ome"}
    environment.pop("KUBECONFIG", None)
    process = end_with_us(subprocess.Popen(["unshare", "--mount", "sh", "-c", script, folder + "/account", OME, "controller",
                                            "--health-probe-addr", f"127.0.0.1:{port}"], env=environment, stderr=subprocess.PIPE,
                                           text=True))
    said = []
    wait_for("the controller in its pod", lambda: said.append(process.stderr.readline()) or "reconciling against" in said[-1])
    assert f"https://127.0.0.1:{server.port}" in said[-1], said
    process.terminate()
    assert process.wait(DEADLINE) == 0, process.stderr.read()


def main():
    with scenario.scratch() as folder:
        server = scenario.ApiServer(folder).start()
        scenario.install(server)
        waiting = replaced_token(folder, server)
        for check in (names_and_proxies, certificates, plugins):
            check(folder)
        renewed_credentials(folder, server)
        account_of_a_pod(folder, server)
        wait_for("the new token to be read", waiting.ready, 2 * DEADLINE)
        waiting.stop()
        server.stop()
    print("kubeconfig: all true")


if __name__ == "__main__":
    main()
