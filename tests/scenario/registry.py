"""Debian's docker-registry, without and with authentication: a password file, or a token server of ours (the Docker
registry v2 token specification: JWTs signed with a key whose certificate the registry trusts)."""

import base64
import crypt
import hashlib
import http.client
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.parse

import peers
from scenario import end_with_us, wait_for

USER, PASSWORD = "writer", "a hidden p@ssword"


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Gives tokens to USER, and to nobody for pulling from public/*.  LIFE: seconds that it says they live."""

    def __init__(self, folder, life=300):
        self.key, self.certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out",
                        self.certificate, "-days", "2", "-subj", "/CN=tokens"], check=True, capture_output=True)
        self.life, self.given, self.refused = life, 0, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(request.path).query)
        scope = query.get("scope", [""])[0]
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        known = request.headers.get("Authorization") == basic
        if request.headers.get("Authorization") and not known:
            self.refused += 1
            request.send_error(401)
            return
        access = []
        if scope:
            kind, name, actions = scope.split(":", 2)
            allowed = actions.split(",") if known else ["pull"] if name.startswith("public/") else []
            access = [{"type": kind, "name": name, "actions": allowed}]
        body = json.dumps({"token": self.token(query["service"][0], access), "expires_in": self.life}).encode()
        self.given += 1
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def token(self, service, access):
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], check=True,
                             capture_output=True).stdout
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": "tokens", "sub": "", "aud": service, "exp": now + 600, "nbf": now - 10, "iat": now,
                  "jti": os.urandom(8).hex(), "access": access}
        text = _b64(json.dumps(head).encode()) + "." + _b64(json.dumps(claims).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True,
                                   capture_output=True).stdout
        return text + "." + _b64(signature)


class Registry:
    """TOKENS: a TokenServer; BASIC: USER and PASSWORD in a file; REDIRECT: blobs are fetched from that address."""

    def __init__(self, folder, tokens=None, basic=False, redirect=None):
        os.makedirs(folder, exist_ok=True)
        self.storage = os.path.join(folder, "storage")
        config = {"version": "0.1", "log": {"level": "info"}, "http": {"addr": "127.0.0.1:0"},
                  "storage": {"filesystem": {"rootdirectory": self.storage}, "delete": {"enabled": True}}}
        if tokens:
            config["auth"] = {"token": {"realm": tokens.url, "service": "the registry", "issuer": "tokens",
                                        "rootcertbundle": tokens.certificate}}
        if basic:
            with open(os.path.join(folder, "htpasswd"), "w") as out:
                out.write(f"{USER}:{crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
            config["auth"] = {"htpasswd": {"realm": "registry", "path": out.name}}
        if redirect:
            config["middleware"] = {"storage": [{"name": "redirect", "options": {"baseurl": redirect}}]}
        with open(os.path.join(folder, "config.yml"), "w") as out:
            json.dump(config, out)
        self.log = os.path.join(folder, "log")
        environment = dict(os.environ, OTEL_TRACES_EXPORTER="none")
        with open(self.log, "w") as log:
            self.process = end_with_us(subprocess.Popen([peers.program("docker-registry"), "serve", out.name],
                                                        stdout=log, stderr=subprocess.STDOUT, env=environment))
        self.host = wait_for("the registry", self._address)

    def _address(self):
        if self.process.poll() is not None:
            raise AssertionError("docker-registry ended: " + open(self.log).read()[-2000:])
        for line in open(self.log):
            if "listening on " in line:
                return line.split("listening on ")[1].split('"')[0].strip()
        return None

    def stop(self):
        self.process.terminate()
        self.process.wait()

    # A few requests of our own, to lay things out as other clients do.

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.host)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        assert answer.status < 300, (method, path, answer.status, data)
        return answer, data

    def put_blob(self, repository, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        answer, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        where = urllib.parse.urlparse(answer.headers["Location"])
        self.request("PUT", f"{where.path}?{where.query}&digest={digest}", data, Content_Type="application/octet-stream")
        return {"digest": digest, "size": len(data)}

    def put_manifest(self, repository, reference, manifest):
        text = json.dumps(manifest).encode()
        digest = "sha256:" + hashlib.sha256(text).hexdigest()
        self.request("PUT", f"/v2/{repository}/manifests/{reference or digest}", text,
                     Content_Type=manifest["mediaType"])
        return {"mediaType": manifest["mediaType"], "digest": digest, "size": len(text)}
