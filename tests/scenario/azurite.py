"""Azurite, Microsoft's own emulator of Blob Storage, and its client for Node on it; beside them, what gives out tokens:
Entra's token endpoint and the metadata service of instances, as far as a client sees them."""

import base64
import hmac
import http.client
import http.server
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse

import peers
from scenario import DEADLINE, end_with_us, wait_for

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # well known
CLIENT = r"""
const fs = require('fs'), path = require('path'), crypto = require('crypto');
const {BlobServiceClient, StorageSharedKeyCredential, ContainerSASPermissions, generateBlobSASQueryParameters} =
  require('@azure/storage-blob');
const [endpoint, account, key] = process.argv.slice(1);
const credential = new StorageSharedKeyCredential(account, key);
const service = new BlobServiceClient(endpoint, credential);
let blobs;
const walk = (dir) => fs.readdirSync(dir, {withFileTypes: true}).flatMap(
  (e) => e.isDirectory() ? walk(path.join(dir, e.name)) : [path.join(dir, e.name)]);
const verbs = {
  async make(folder, prefix, access) {
    await blobs.createIfNotExists(access ? {access} : {});
    const files = walk(folder);
    for (let i = 0; i < files.length; i += 50)
      await Promise.all(files.slice(i, i + 50).map((f) => blobs.getBlockBlobClient(prefix + path.relative(folder, f))
        .uploadFile(f, {blockSize: 4 << 20, maxSingleShotSize: 1 << 20})));
  },
  async read(prefix) {
    const found = {};
    for await (const b of blobs.listBlobsFlat({prefix}))
      found[b.name.slice(prefix.length)] =
        crypto.createHash('sha256').update(await blobs.getBlobClient(b.name).downloadToBuffer()).digest('hex');
    return found;
  },
  async write(name, text) { await blobs.getBlockBlobClient(name).upload(text, text.length); },
  async snapshot(name) { return (await blobs.getBlobClient(name).createSnapshot()).snapshot; },
  async archive(name) { await blobs.getBlobClient(name).setAccessTier('Archive'); },
  async sas(permissions, seconds) {
    return generateBlobSASQueryParameters({containerName: blobs.containerName, permissions: ContainerSASPermissions.parse(permissions),
      expiresOn: new Date(Date.now() + seconds * 1000)}, credential).toString();
  },
};
(async () => {
  for await (const line of require('readline').createInterface({input: process.stdin})) {
    const [verb, container, ...args] = JSON.parse(line);
    blobs = service.getContainerClient(container);
    const out = await verbs[verb](...args);
    console.log(JSON.stringify(out === undefined ? null : out));
  }
})();
"""


class Azurite:
    """In memory, on loopback, with TLS and tokens when it is given a certificate."""

    def __init__(self, folder, certificate=None, key=None):
        self.node = None
        self.environment = peers.node("azurite", "@azure/storage-blob")
        os.makedirs(folder)
        self.log = folder + "/azurite.log"
        tls = ["--oauth", "basic", "--cert", certificate, "--key", key] if certificate else []
        if certificate:
            self.environment["NODE_EXTRA_CA_CERTS"] = certificate
        with open(self.log, "w") as log:
            self.process = end_with_us(subprocess.Popen(
                ["node", os.path.join(peers.NODE_MODULES, ".bin/azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort",
                 "0", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", *tls],
                env=self.environment, cwd=folder, stdout=log, stderr=log))
        self.origin = wait_for("azurite", self.listening)
        self.endpoint = f"{self.origin}/{ACCOUNT}"

    def said(self):
        with open(self.log) as log:
            return log.read()

    def listening(self):
        found = re.search(r"successfully listen\w* (?:at|on) (https?://[\d.:]+)", self.said())
        assert found or self.process.poll() is None, self.said()
        return found and found[1]

    def client(self, *command):
        """What Microsoft's client answers to (verb, container, arguments...)."""
        if not self.node:
            self.node = end_with_us(subprocess.Popen(["node", "-e", CLIENT, self.endpoint, ACCOUNT, KEY], text=True,
                                                     env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.node.stdin.write(json.dumps(command) + "\n")
        self.node.stdin.flush()
        answer = self.node.stdout.readline()
        assert answer, "the client failed"
        return json.loads(answer)

    def stop(self):
        for process in filter(None, (self.node, self.process)):
            process.terminate()
            process.wait(DEADLINE)


class Versions(http.server.ThreadingHTTPServer):
    """Azurite as an account that keeps versions, which it does not know: each is the snapshot of that time. The signature of
    a version is checked here and replaced by the snapshot's."""

    daemon_threads = True

    def __init__(self, azurite):
        super().__init__(("127.0.0.1", 0), VersionRequests)
        self.to, self.asked = urllib.parse.urlsplit(azurite.origin).netloc, []
        self.origin = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class VersionRequests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def signature(self, query, kind, time):
        """A service SAS of version 2020-12-06: permissions, expiry, resource, version, kind, time; and what is empty."""
        resource = "/blob" + urllib.parse.unquote(self.path.split("?")[0])
        text = "\n".join([query["sp"], "", query["se"], resource, "", "", "", query["sv"], kind, time, *[""] * 6])
        return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()

    def as_snapshot(self):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        version = query.pop("versionid", None)
        if not version:
            return self.path
        good = query["sr"] == "bv" and query["sig"] == self.signature(query, "bv", version)
        query.update(snapshot=version, sr="bs", sig=self.signature(query, "bs", version) if good else "no")
        self.server.asked.append(self.command)
        return path + "?" + urllib.parse.urlencode(query)

    def do_GET(self):
        path = self.as_snapshot()
        connection = http.client.HTTPConnection(self.server.to, timeout=DEADLINE)
        connection.request(self.command, path, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "keep-alive", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.headers.get("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    do_HEAD = do_GET


class Identities(http.server.BaseHTTPRequestHandler):
    """Tokens that azurite takes: it looks at issuer, audience and times."""

    protocol_version = "HTTP/1.1"
    assertion = "the.federated.token"

    @classmethod
    def serve(cls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), cls)
        server.daemon_threads, server.paths = True, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def log_message(self, *_):
        pass

    def answer(self, status, document):
        self.server.paths.append(self.path)
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def token(self):
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
                  "iat": now - 10, "nbf": now - 10, "exp": now + 3600}
        parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in ({"alg": "RS256"}, claims)]
        return {"access_token": ".".join([*parts, "c2ln"]), "expires_in": "3599", "token_type": "Bearer"}

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        good = self.path == "/the-tenant/oauth2/v2.0/token" and form["client_id"] == "the-client" and \
            form["scope"] == "https://storage.azure.com/.default" and \
            (form.get("client_assertion") == self.assertion or form.get("client_secret") == "the-secret")
        refusal = {"error": "invalid_client", "error_description": "AADSTS700211: No matching federated identity."}
        self.answer(200 if good else 401, self.token() if good else refusal)

    def do_GET(self):
        good = self.headers["Metadata"] == "true" and "resource=https%3A%2F%2Fstorage.azure.com%2F" in self.path
        self.answer(200 if good else 400, self.token() if good else {"error": "invalid_request"})
