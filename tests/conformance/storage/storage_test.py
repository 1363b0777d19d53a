#!/usr/bin/env python3
"""The storage conformance suite over the plugins that need no more than what is in every test's reach: local folders, a
hub of ours, a registry.  What others store in, their own scenarios ask the suite about (scenario.storage_suite)."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scenario"))

import peers
from registry import PASSWORD, USER, Registry, TokenServer
from scenario import DEADLINE, NO_HOME, OME, Hub, digests_below, plugins_conf, scratch, storage_suite

FILES = 1100  # more than a page of any hub or store


def make_model(folder, files):
    for i in range(files):
        full = os.path.join(folder, f"part-{i % 7}", f"file-{i:05}.bin")
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as out:
            out.write(os.urandom(i % 50))
    with open(os.path.join(folder, "model.safetensors"), "wb") as out:
        out.write(os.urandom((12 << 20) + 1))
    return digests_below(folder)


def local(folder):
    digests = make_model(folder + "/model", FILES)
    storage_suite("storage-local", "local://" + folder + "/model", expect=digests,
                  upload="local://" + folder + "/written", skips=["denied"])
    os.makedirs(folder + "/claims/space/claim")
    os.rename(folder + "/model", folder + "/claims/space/claim/model")
    conf = plugins_conf(folder + "/plugins.conf", "storage-local", local={"pvc_root": folder + "/claims"})
    storage_suite("storage-local", "pvc://space:claim/model", conf=conf, expect=digests,
                  upload="pvc://space:claim/written", skips=["denied"])


def hf(folder):
    digests = make_model(folder + "/hub/test/model", FILES)
    hub = Hub(folder + "/hub")
    storage_suite("storage-hf", "hf://test/model", expect=digests, HF_ENDPOINT=hub.url, HOME=NO_HOME,
                  skips=["denied", "upload", "stopped-upload"])
    hub.stop()


def oras(folder):
    peers.program("docker-registry")
    tokens = TokenServer(folder)
    registry = Registry(folder + "/registry", tokens=tokens)
    conf = plugins_conf(folder + "/plugins.conf", "storage-oras", oras={"username": USER, "password": PASSWORD})
    layers = []
    digests = make_model(folder + "/model", 40)  # a manifest has no pages
    open_registry = Registry(folder + "/open")
    for path in sorted(digests):
        with open(os.path.join(folder, "model", path), "rb") as data:
            blob = open_registry.put_blob("suite/model", data.read())
        layers.append(dict(blob, mediaType="application/octet-stream",
                           annotations={"org.opencontainers.image.title": path}))
    kind = "application/vnd.oci.image.manifest.v1+json"
    empty = dict(open_registry.put_blob("suite/model", b"{}"), mediaType="application/vnd.oci.empty.v1+json")
    open_registry.put_manifest("suite/model", "v1", {"schemaVersion": 2, "mediaType": kind, "config": empty,
                                                     "layers": layers})
    storage_suite("storage-oras", f"oras://{open_registry.host}/suite/model:v1", expect=digests,
                  upload=f"oras://{open_registry.host}/suite/written:v1", skips=["denied"])
    # The same with a token server in front, where wrong credentials are refused.
    private = f"oras://{registry.host}/suite/private:v1"
    subprocess.run([OME, "push", folder + "/model/model.safetensors", private, "--plugins", conf], check=True,
                   timeout=DEADLINE)
    storage_suite("storage-oras", private, conf=conf, upload=private,
                  wrong=["username=" + USER, "password=guessed-by-nobody"], skips=["complete"])
    registry.stop()
    open_registry.stop()


if __name__ == "__main__":
    with scratch() as scratch_folder:
        {"local": local, "hf": hf, "oras": oras}[sys.argv[1]](scratch_folder)
    print("storage suite,", sys.argv[1] + ": ok")
