#!/usr/bin/env python3
"""The `azure` plugin against Azurite, which checks signatures, and Microsoft's own client, which writes what we read and
reads what we write: where credentials come from, pages, blocks, snapshots, refusals."""

import os
import subprocess
import time

import peers
from azurite import ACCOUNT, KEY, Azurite, Identities, Versions
from puller import Puller, sums
from scenario import DEADLINE, check_files, end_with_us, scratch, storage_suite, wait_for, write_files

MIB = 1 << 20
MODEL = {"config.json": b'{"model_type": "llama"}', "a b/é+&?=#1.bin": os.urandom(1000), "empty": b"",
         "model.safetensors": os.urandom(9 * MIB + 5)}
URI = f"az://{ACCOUNT}/models/llama/8b"
NO_KEY = "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50"


class Setting(Puller):
    """Azurite, a plugins.conf with the account's key, and `ome` with nothing but what a test gives it."""

    name, uri, model = "azure", URI, MODEL
    hidden, secrets = ("AZURE_",), (KEY, NO_KEY, "sig=", "c2ln", Identities.assertion)

    def __init__(self, folder):
        super().__init__(folder)
        self.azurite = Azurite(folder + "/azurite")
        self.conf = self.plugins("plugins.conf")

    def settings(self):
        return {"endpoint": self.azurite.origin + "/{account}", "account_name": ACCOUNT, "account_key": KEY,
                "managed_identity": False}

    def bare(self, **more):
        self.count += 1
        return self.plugins(f"bare-{self.count}.conf", account_key=None, **more)


def fill(s):
    """By Microsoft's client: what is above 1 MiB in blocks, of which the service knows no MD5."""
    write_files(s.folder + "/model", MODEL)
    s.azurite.client("make", "models", s.folder + "/model", "llama/8b/")
    s.azurite.client("write", "models", "llama/8b-instruct/x", "of another model")


def addresses(s):
    s.pull()
    s.pull(URI + "/")
    s.pull(f"az://{ACCOUNT}.blob.core.windows.net/models/llama/8b")
    s.pull(URI + "/config.json", contents={"config.json": MODEL["config.json"]})
    for wrong in ("az://", f"az://{ACCOUNT}", f"az://{ACCOUNT}/", "az://Upper/models/x", "az://a.example.com/models/x"):
        s.refused("az://ACCOUNT/CONTAINER/NAME", uri=wrong)
    s.refused("ContainerNotFound", "no such container", uri=f"az://{ACCOUNT}/absent/llama")
    s.refused("BlobNotFound", "no such blob", uri=f"az://{ACCOUNT}/models/llama/9b")
    s.refused("there are no blobs", uri=f"az://{ACCOUNT}/models/llama/9b/")


def versions(s):
    """Snapshots, and versions by way of them."""
    uri = f"az://{ACCOUNT}/models/v/x"
    s.azurite.client("write", "models", "v/x", "old")
    snapshot = s.azurite.client("snapshot", "models", "v/x")
    s.azurite.client("write", "models", "v/x", "new")
    s.pull(uri, contents={"x": b"new"})
    s.pull(f"az://{ACCOUNT}/models/v", contents={"x": b"new"})
    s.pull(f"{uri}?snapshot={snapshot}", contents={"x": b"old"})
    s.pull(f"{uri}?snapshot={snapshot}", "--revision", snapshot, contents={"x": b"old"})  # as a list of it says
    with Versions(s.azurite) as versioned:
        conf = s.plugins("versioned.conf", endpoint=versioned.origin + "/{account}")
        s.pull(uri, conf=conf, contents={"x": b"new"})
        for address, options in ((f"{uri}?versionid={snapshot}", ()), (uri, ("--revision", snapshot))):
            versioned.asked.clear()
            s.pull(address, *options, conf=conf, contents={"x": b"old"})
            assert versioned.asked == ["HEAD", "GET"], versioned.asked
        s.refused("no such blob", uri=f"{uri}?versionid=2026-01-02T03:04:05.6789012Z", conf=conf)
    s.refused("a version is one of a blob", uri=f"az://{ACCOUNT}/models/v/?versionid={snapshot}")
    s.refused("no version of a blob", uri=uri, options=["--revision", "main"])
    s.azurite.client("archive", "models", "v/x")
    s.refused("archived", "rehydrate", uri=f"az://{ACCOUNT}/models/v")


def keys(s):
    """Each place that a key or a signature can come from, alone."""
    bare = s.bare()
    s.refused("403", "no credentials were found", conf=bare)
    s.pull(conf=bare, AZURE_STORAGE_ACCOUNT=ACCOUNT, AZURE_STORAGE_KEY=KEY)
    s.refused("403", "no credentials", conf=bare, AZURE_STORAGE_ACCOUNT="another", AZURE_STORAGE_KEY=KEY)
    connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={s.azurite.endpoint};"
    s.pull(conf=s.bare(endpoint=None), AZURE_STORAGE_CONNECTION_STRING=connection)
    s.pull(conf=s.bare(endpoint=None, connection_string=connection))
    s.refused("connection string", conf=s.bare(connection_string="AccountName=" + KEY))
    s.pull(conf=bare, AZURE_STORAGE_SAS_TOKEN="?" + s.azurite.client("sas", "models", "rl", 600))
    s.refused("403", "is not valid", conf=s.bare(sas_token=s.azurite.client("sas", "models", "rl", -600)))
    s.pull(URI + "/config.json", contents={"config.json": MODEL["config.json"]},  # may read, not list
           conf=s.bare(sas_token=s.azurite.client("sas", "models", "r", 600)))
    s.azurite.client("make", "public", s.folder + "/model", "m/", "container")
    s.pull(f"az://{ACCOUNT}/public/m", conf=bare)
    s.pull(f"az://{ACCOUNT}/public/m", conf=s.plugins("anonymous.conf", anonymous=True))


def refusals(s):
    s.refused("AuthorizationFailure", "key", "is not valid", conf=s.plugins("wrong.conf", account_key=NO_KEY))
    s.refused("is base64", conf=s.plugins("none.conf", account_key="?!"))
    s.refused("clock of this machine is 7", "behind the server's", before=[peers.program("faketime"), "-f", "-7200s"],
              FAKETIME_DONT_FAKE_MONOTONIC="1", ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
    s.refused("no http(s) address", conf=s.plugins("ftp.conf", endpoint="ftp://x"))


def identities(s):
    """Tokens, which Azurite takes over TLS only."""
    certificate, key = s.folder + "/cert.pem", s.folder + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True)
    secure, tokens = Azurite(s.folder + "/secure", certificate, key), Identities.serve()
    secure.client("make", "models", s.folder + "/model", "llama/8b/")
    bare = s.bare(endpoint=secure.origin + "/{account}")
    with open(s.folder + "/token", "w") as out:
        out.write(Identities.assertion + "\n")
    trust = {"SSL_CERT_FILE": certificate}
    pod = {**trust, "AZURE_CLIENT_ID": "the-client", "AZURE_TENANT_ID": "the-tenant",
           "AZURE_FEDERATED_TOKEN_FILE": s.folder + "/token", "AZURE_AUTHORITY_HOST": tokens.url + "/"}
    s.pull(conf=bare, **pod)
    assert len(tokens.paths) == 1, tokens.paths  # once for list and files together
    secret = s.bare(endpoint=secure.origin + "/{account}", tenant_id="the-tenant", client_id="the-client",
                    client_secret="the-secret", authority_host=tokens.url)
    s.pull(conf=secret, **trust)
    s.refused("401", "AADSTS700211", "check the tenant", conf=bare, **{**pod, "AZURE_CLIENT_ID": "another"})
    s.refused("/absent", "cannot be read", conf=bare, **{**pod, "AZURE_FEDERATED_TOKEN_FILE": "/absent"})
    managed = s.bare(endpoint=secure.origin + "/{account}", managed_identity=True)
    s.pull(conf=managed, AZURE_POD_IDENTITY_AUTHORITY_HOST=tokens.url, **trust)
    s.refused("no credentials were found", conf=managed, AZURE_POD_IDENTITY_AUTHORITY_HOST="http://127.0.0.1:1", **trust)
    secure.stop()
    tokens.shutdown()


def requests_for(s, name):
    return sum('"GET ' in line and f"/{name}" in line and "comp=list" not in line for line in s.azurite.said().splitlines())


def resumes(s):
    """Killed in the middle, what is there is not fetched again; replaced in the middle, the old is not mixed with the new."""
    contents = {"large.bin": os.urandom(64 * MIB)}
    write_files(s.folder + "/large", contents)
    s.azurite.client("make", "models", s.folder + "/large", "large/")
    uri, target = f"az://{ACCOUNT}/models/large", s.folder + "/resumed"
    slowly = ["pull", uri, target, "--connections", "1", "--max-rate", "24Mi"]
    process = end_with_us(subprocess.Popen(**s.command(*slowly)))
    wait_for("ranges", lambda: requests_for(s, "large.bin") >= 3)
    process.kill()
    process.communicate()
    code, errors = s.ome("pull", uri, target, "--connections", "1")
    assert code == 0, errors
    check_files(target, sums(contents))
    assert requests_for(s, "large.bin") <= 6, "ranges that were there were fetched again"
    before = requests_for(s, "large.bin")
    process = end_with_us(subprocess.Popen(**s.command("pull", uri, s.folder + "/changed", *slowly[3:])))
    wait_for("a range", lambda: requests_for(s, "large.bin") > before)
    s.azurite.client("write", "models", "large/large.bin", "another")
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1 and "changed" in errors, errors


def pushes(s):
    model = s.folder + "/pushed"
    contents = {**MODEL, "big.safetensors": os.urandom(65 * MIB)}
    write_files(model, contents)
    code, errors = s.ome("push", model, f"az://{ACCOUNT}/models/pushed/m")
    assert code == 0, errors
    assert s.azurite.client("read", "models", "pushed/m/") == sums(contents), "the client reads something else"
    s.pull(f"az://{ACCOUNT}/models/pushed/m", contents=contents)
    puts = s.azurite.said().count('"PUT ')
    code, errors = s.ome("push", model, f"az://{ACCOUNT}/models/pushed/m")
    assert code == 0 and s.azurite.said().count('"PUT ') == puts, "what is there was sent again"
    code, errors = s.ome("push", model, f"az://{ACCOUNT}/absent/m")
    assert code == 1 and "ContainerNotFound" in errors, errors


def suite(s):
    contents = {f"dir-{i % 7}/file-{i:04}": b"x" * (i % 50) for i in range(1100)}
    write_files(s.folder + "/many", contents)
    s.azurite.client("make", "models", s.folder + "/many", "many/")
    storage_suite("storage-azure", f"az://{ACCOUNT}/models/many", conf=s.conf, expect=sums(contents),
                  upload=f"az://{ACCOUNT}/models/written", wrong=["token=" + NO_KEY])


def main():
    with scratch() as folder:
        s = Setting(folder)
        for part in (fill, addresses, versions, keys, refusals, identities, resumes, pushes, suite):
            began = time.monotonic()
            part(s)
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        s.azurite.stop()
    print("azure: read, written, refused as it should be")


main()
