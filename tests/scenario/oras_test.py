#!/usr/bin/env python3
"""The `oras` plugin against docker-registry: push and pull by us and by the oras client, every way of authentication,
indexes, ModelPack artifacts, redirects to another host, refusals."""

import base64
import http.server
import json
import os
import subprocess
import threading

import peers
from registry import PASSWORD, USER, Registry, TokenServer
from scenario import DEADLINE, NO_HOME, OME, digests_below, scratch

MIB = 1 << 20
OCI = "application/vnd.oci.image.manifest.v1+json"
CLIENT = """
import sys, oras.client
verb, host, target, folder, user, password = sys.argv[1:]
client = oras.client.OrasClient(hostname=host, insecure=True, tls_verify=False)
if user:
    client.login(hostname=host, username=user, password=password, tls_verify=False)
import os
os.chdir(folder)
if verb == "pull":
    client.pull(target=target, outdir=folder)
else:
    files = sorted(os.path.relpath(os.path.join(p, n), folder) for p, _, names in os.walk(folder) for n in names)
    client.push(target=target, files=files, disable_path_validation=True)
"""


def make_model(folder):
    contents = {"config.json": b'{"model_type": "llama"}', "empty": b"", "deep/small.bin": os.urandom(1000),
                "model.safetensors": os.urandom(20 * MIB + 3)}
    for path, data in contents.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as out:
            out.write(data)
    return digests_below(folder)


def ome(verb, *args, home=NO_HOME, **environment):
    """Exit code, events and standard error of one `ome push` or `ome pull`; no secret is ever told."""
    done = subprocess.run([OME, verb, *args, "-o", "json"], capture_output=True, text=True, timeout=DEADLINE,
                          env=dict(os.environ, HOME=home, **environment))
    assert PASSWORD not in done.stdout + done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def client(python, folder, verb, host, target, user="", password=""):
    os.makedirs(folder, exist_ok=True)
    home = folder + ".home"
    os.makedirs(home, exist_ok=True)
    subprocess.run([python, "-c", CLIENT, verb, host, target, folder, user, password], check=True, timeout=DEADLINE,
                   env=dict(os.environ, HOME=home), stdout=subprocess.DEVNULL)


def login(folder, host):
    """A home with Docker's config.json for HOST."""
    home = os.path.join(folder, "home-" + host.replace(":", "-"))
    os.makedirs(home + "/.docker", exist_ok=True)
    with open(home + "/.docker/config.json", "w") as out:
        json.dump({"auths": {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}, out)
    return home


def round_trips(folder, python, digests):
    registry = Registry(folder + "/plain")
    model, uri = folder + "/model", f"oras://{registry.host}/models/tiny:v1"
    code, events, errors = ome("push", model, uri)
    assert code == 0, errors
    code, _, errors = ome("pull", uri, folder + "/back")
    assert code == 0, errors
    assert digests_below(folder + "/back") == digests
    client(python, folder + "/theirs", "pull", registry.host, f"{registry.host}/models/tiny:v1")
    assert digests_below(folder + "/theirs") == digests, "another client reads something else"
    code, events, _ = ome("push", model, uri)
    assert code == 0 and "file" not in [e["event"] for e in events], "what is there was sent again"
    client(python, model, "push", registry.host, f"{registry.host}/models/made-elsewhere:v2")
    code, _, errors = ome("pull", f"oras://{registry.host}/models/made-elsewhere:v2", folder + "/elsewhere")
    assert code == 0, errors
    by_name = {os.path.basename(path): digest for path, digest in digests.items()}  # that client drops folders
    assert digests_below(folder + "/elsewhere") == by_name
    # The same files give the same manifest, whatever the order they arrived in.
    first = registry.request("GET", "/v2/models/tiny/manifests/v1", Accept=OCI)[0].headers["Docker-Content-Digest"]
    code, _, errors = ome("push", model, f"oras://{registry.host}/models/again:v1", "--connections", "1")
    assert code == 0, errors
    again = registry.request("GET", "/v2/models/again/manifests/v1", Accept=OCI)[0].headers["Docker-Content-Digest"]
    assert first == again
    code, _, errors = ome("pull", f"oras://{registry.host}/models/tiny@{first}", folder + "/pinned")
    assert code == 0, errors
    assert digests_below(folder + "/pinned") == digests
    for revision in ("v1", first):
        code, _, errors = ome("pull", f"oras://{registry.host}/models/tiny:absent", folder + "/revised", "--revision", revision)
        assert code == 0, errors
        assert digests_below(folder + "/revised") == digests
    layouts(folder, registry)
    refusals(folder, registry)
    registry.stop()


def layouts(folder, registry):
    """What other tools lay out: ModelPack, an index, archives."""
    weights, config = os.urandom(MIB), b'{"model_type": "qwen2"}'
    kind = "application/vnd.cncf.model."

    def layer(data, media_type, path):
        return dict(registry.put_blob("packs/m", data), mediaType=media_type,
                    annotations={"org.cncf.model.filepath": path})

    head = dict(registry.put_blob("packs/m", b"{}"), mediaType=kind + "config.v1+json")
    pack = {"schemaVersion": 2, "mediaType": OCI, "artifactType": kind + "manifest.v1+json", "config": head,
            "layers": [layer(weights, kind + "weight.v1.raw", "model.safetensors"),
                       layer(config, kind + "weight.config.v1.raw", "config.json")]}
    described = registry.put_manifest("packs/m", "raw", pack)
    code, _, errors = ome("pull", f"oras://{registry.host}/packs/m:raw", folder + "/raw")
    assert code == 0, errors
    assert open(folder + "/raw/model.safetensors", "rb").read() == weights
    assert open(folder + "/raw/config.json", "rb").read() == config
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [described]}
    registry.put_manifest("packs/m", "index", index)
    code, _, errors = ome("pull", f"oras://{registry.host}/packs/m:index", folder + "/index")
    assert code == 0, errors
    assert digests_below(folder + "/index") == digests_below(folder + "/raw")
    other = registry.put_manifest("packs/m", None, dict(pack, layers=pack["layers"][:1]))
    registry.put_manifest("packs/m", "two", dict(index, manifests=[described, other]))
    code, _, errors = ome("pull", f"oras://{registry.host}/packs/m:two", folder + "/two")
    assert code == 1 and "index of 2" in errors and "@sha256" in errors, errors
    registry.put_manifest("packs/m", "tar", dict(pack, layers=[layer(b"no tar", kind + "weight.v1.tar", "model")]))
    code, _, errors = ome("pull", f"oras://{registry.host}/packs/m:tar", folder + "/tar")
    assert code == 1 and "archive" in errors and "raw layers" in errors, errors
    evil = dict(layer(b"evil", kind + "weight.v1.raw", "../../evil"))
    registry.put_manifest("packs/m", "evil", dict(pack, layers=[evil]))
    code, _, errors = ome("pull", f"oras://{registry.host}/packs/m:evil", folder + "/evil/er")
    assert code == 1 and not os.path.exists(folder + "/evil/evil"), errors
    # A tag that holds an index is not overwritten.
    code, _, errors = ome("push", folder + "/model", f"oras://{registry.host}/packs/m:index")
    assert code == 1 and "another tag" in errors, errors


def refusals(folder, registry):
    code, _, errors = ome("pull", f"oras://{registry.host}/models/tiny:absent", folder + "/absent")
    assert code == 1 and "404" in errors and "tiny" in errors, errors
    code, _, errors = ome("push", folder + "/model", f"oras://{registry.host}/models/tiny@sha256:" + "0" * 64)
    assert code == 1 and "tag" in errors, errors
    for name in ("oras://x", "oras://host/UPPER:v1", "oras://host/a:b:c", "oras://host/a@sha256:12"):
        code, _, errors = ome("pull", name, folder + "/refused")
        assert code == 1 and "oras://REGISTRY/REPOSITORY" in errors, errors


def authentication(folder, python, digests):
    tokens = TokenServer(folder)
    model = folder + "/model"
    for registry, word in ((Registry(folder + "/basic", basic=True), "user"),
                           (Registry(folder + "/token", tokens=tokens), "anonymous")):
        uri = f"oras://{registry.host}/private/m:v1"
        home = login(folder, registry.host)
        code, _, errors = ome("push", model, uri, home=home)
        assert code == 0, errors
        code, _, errors = ome("pull", uri, folder + "/private-" + word, home=home)
        assert code == 0, errors
        assert digests_below(folder + "/private-" + word) == digests
        code, _, errors = ome("pull", uri, folder + "/nobody")
        assert code == 1 and "docker login" in errors, errors
        wrong = folder + "/wrong.json"
        with open(wrong, "w") as out:
            json.dump({"auths": {registry.host: {"username": USER, "password": "wrong"}}}, out)
        code, _, errors = ome("pull", uri, folder + "/wrong", REGISTRY_AUTH_FILE=wrong)
        assert code == 1 and "refuses the credentials" in errors and "wrong" not in errors.replace(wrong, ""), errors
        if word == "anonymous":
            public = f"oras://{registry.host}/public/m:v1"
            code, _, errors = ome("push", model, public, home=home)
            assert code == 0, errors
            code, _, errors = ome("pull", public, folder + "/public")
            assert code == 0, errors
            assert digests_below(folder + "/public") == digests
            client(python, folder + "/their-token", "pull", registry.host, f"{registry.host}/private/m:v1", USER,
                   PASSWORD)
            assert digests_below(folder + "/their-token") == digests
        registry.stop()
    assert tokens.given > 0 and tokens.refused > 0
    # Tokens that end in the middle are asked for again.
    short = TokenServer(folder, life=1)
    registry = Registry(folder + "/short", tokens=short)
    home = login(folder, registry.host)
    uri = f"oras://{registry.host}/private/m:v1"
    code, _, errors = ome("push", model, uri, home=home)
    assert code == 0, errors
    code, _, errors = ome("pull", uri, folder + "/short-lived", home=home)
    assert code == 0, errors
    assert digests_below(folder + "/short-lived") == digests
    registry.stop()


class OtherHost:
    """Serves ranges of what is below FOLDER, and remembers what headers came along."""

    def __init__(self):
        self.folder, self.authorized, self.ranges = None, 0, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = open(outer.folder + self.path.split("?")[0], "rb").read()
                outer.authorized += "Authorization" in self.headers
                wanted = self.headers.get("Range")
                self.send_response(206 if wanted else 200)
                if wanted:
                    outer.ranges += 1
                    first, last = (int(n) for n in wanted.split("=")[1].split("-"))
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                    data = data[first:last + 1]
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.2", 0), Handler)
        self.url = f"http://127.0.0.2:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def redirected(folder, digests):
    other = OtherHost()
    registry = Registry(folder + "/redirecting", basic=True, redirect=other.url)
    other.folder = registry.storage
    home = login(folder, registry.host)
    uri = f"oras://{registry.host}/m:v1"
    code, _, errors = ome("push", folder + "/model", uri, home=home)
    assert code == 0, errors
    code, _, errors = ome("pull", uri, folder + "/redirected", home=home)
    assert code == 0, errors
    assert digests_below(folder + "/redirected") == digests
    assert other.ranges > 0 and other.authorized == 0, "the password went to another host"
    registry.stop()


def main():
    python = peers.python("oras")
    peers.program("docker-registry")
    with scratch() as folder:
        digests = make_model(folder + "/model")
        round_trips(folder, python, digests)
        authentication(folder, python, digests)
        redirected(folder, digests)
    print("oras: ok")


if __name__ == "__main__":
    main()
