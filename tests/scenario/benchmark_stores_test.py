#!/usr/bin/env python3
"""BenchmarkJobs whose results go to each kind of store: OCI Object Storage, Google Cloud Storage, Azure, a registry, a repository of the Hub (S3, folders and
claims are in benchmark_test.py). Keys come from Secrets as files and are seen nowhere; a store that only reads is refused first."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import peers
from scenario import PLUGINS, Platform, end_with_us, scratch, wait_for

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("oci", "cryptography", "google_crc32c", "boto3")  # the doubles need them
    os.execv(python, [python, "-B", *sys.argv])

import cloudstorage  # noqa: E402
import objectstorage  # noqa: E402
from azurite import ACCOUNT, KEY, Azurite  # noqa: E402
from benchmarkjobs import FILES, Jobs, job  # noqa: E402
from registry import PASSWORD, USER, Registry  # noqa: E402
from writable_hub import TOKEN, WritableHub  # noqa: E402

STUB = sys.argv[1]


class OracleCloud:
    parameters = {"auth": "UserPrincipal", "tenancy": objectstorage.TENANCY, "user": objectstorage.USER, "region": objectstorage.REGION}
    uri = f"oci://n/{objectstorage.NAMESPACE}/b/models/o/nightly"

    def __init__(self, folder):
        os.makedirs(folder)
        self.server, key = objectstorage.Server(), objectstorage.new_key()
        self.server.add_user(key)
        self.secret = {"private_key": objectstorage.pem_of(key).decode()}
        self.settings = ("storage-oci", {"oci": {"endpoint": self.server.url, "auth_endpoint": self.server.url}})
        self.hidden = self.secret["private_key"].splitlines()[5]

    def sums(self, uri):
        prefix = "nightly/" + uri.rsplit("/", 1)[1] + "/"
        return {name.removeprefix(prefix): hashlib.sha256(entry["data"]).hexdigest()
                for (_, name), entry in self.server.objects.items() if name.startswith(prefix)}


class GoogleCloud:
    uri, settings = "gs://models/nightly", None

    def __init__(self, folder):
        os.makedirs(folder)
        self.server = cloudstorage.Server()
        self.hidden = self.server.issue()["access_token"]  # a model's own account may ask Google alone for tokens
        self.secret, self.parameters = {"access_token": self.hidden}, {"endpoint": self.server.url}

    sums = OracleCloud.sums


class Azure:
    uri, secret, hidden, settings = f"az://{ACCOUNT}/models/nightly", {"azure_account_key": KEY}, KEY, None

    def __init__(self, folder):
        os.makedirs(folder + "/nothing")
        self.azurite = Azurite(folder + "/azurite")
        self.azurite.client("make", "models", folder + "/nothing", "")
        self.parameters = {"endpoint": self.azurite.origin + "/{account}", "account_name": ACCOUNT}

    def sums(self, uri):
        return self.azurite.client("read", "models", "nightly/" + uri.rsplit("/", 1)[1] + "/")


class ContainerRegistry:
    secret, parameters, hidden, settings = {"username": USER, "password": PASSWORD}, {}, PASSWORD, None

    def __init__(self, folder):
        self.registry = Registry(folder, basic=True)
        self.uri = f"oras://{self.registry.host}/results/nightly"

    def sums(self, uri):
        repository, tag = uri.split("/", 3)[3].rsplit(":", 1)
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        _, text = self.registry.request("GET", f"/v2/{repository}/manifests/{tag}", Authorization=basic,
                                        Accept="application/vnd.oci.image.manifest.v1+json")
        return {layer["annotations"]["org.opencontainers.image.title"]: layer["digest"].removeprefix("sha256:")
                for layer in json.loads(text)["layers"]}


class HuggingFace:
    uri, secret, parameters, hidden = "hf://acme/results/nightly", {"token": TOKEN}, {}, TOKEN

    def __init__(self, _):
        self.hub = WritableHub({"acme/results"})
        self.settings = ("storage-hf", {"hf": {"endpoint": self.hub.url}})

    def sums(self, uri):
        found = self.hub.below("acme/results", "nightly/" + uri.rsplit("/", 1)[1] + "/")
        return {path: hashlib.sha256(data).hexdigest() for path, data in found.items()}


def plugins_of(stores, path):
    """Everything, and what leads two of them to their doubles."""
    listed = [{"file": store.settings[0] + ".so", "settings": store.settings[1]} for store in stores if store.settings]
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"path": [PLUGINS], "all": True, "plugins": listed}, out)
    return path


def start_engine(folder):
    end_with_us(subprocess.Popen([STUB, folder + "/port", "5", "1"]))
    with open(wait_for("the engine", lambda: os.path.exists(folder + "/port") and folder + "/port"), encoding="utf-8") as port:
        return {"endpoint": {"url": "http://127.0.0.1:" + port.read().strip(), "apiFormat": "openai", "modelName": "m"}}


def sends_to(store, jobs, where):
    """With keys that are right, and with wrong ones, which cost the report and not the figures."""
    name = type(store).__name__.lower()
    jobs.secret(name, **store.secret)
    status = jobs.run(job(name, where, {"storageUri": store.uri, "key": name, "parameters": store.parameters}))
    assert status["reportURI"].startswith(store.uri), status
    sums = store.sums(status["reportURI"])
    assert FILES < set(sums), sums
    everything = json.dumps([jobs.up.find(f"/apis/batch/v1/namespaces/default/jobs/{name}"),
                             jobs.up.api("GET", "/api/v1/namespaces/default/configmaps"), jobs.get(name)])
    with open(jobs.up.data + "/ome.log", encoding="utf-8", errors="replace") as log:
        assert store.hidden not in everything + log.read(), name
    wrong = {key: "d3Jvbmc=" for key in store.secret}
    jobs.secret(name + "-wrong", **wrong)
    status = jobs.run(job(name + "-denied", where, {"storageUri": store.uri, "key": name + "-wrong", "parameters": store.parameters}), "Failed")
    assert "could not be sent" in status["failureMessage"] and "reportURI" not in status, status
    assert status["runs"][0]["completed"] == 20, status


def main():
    with scratch() as folder:
        stores = [kind(f"{folder}/{kind.__name__}") for kind in (OracleCloud, GoogleCloud, Azure, ContainerRegistry, HuggingFace)]
        where = start_engine(folder)
        up = Platform(folder + "/up", options=["--plugins", plugins_of(stores, folder + "/plugins.conf")]).start()
        jobs = Jobs(up)
        for store in stores:
            sends_to(store, jobs, where)
            print("ok", type(store).__name__, flush=True)
        status = jobs.run(job("reads", where, "http://127.0.0.1:1/results"), "Failed")
        assert "http only reads" in status["failureMessage"] and "runs" not in status, status
        up.stop()


main()
