#!/usr/bin/env python3
"""The `gcs` plugin against a double of Google Cloud Storage that checks tokens and signatures, which Google's own client
is satisfied with first: where credentials come from, pages, generations, uploads, refusals."""

import hashlib
import json
import os
import subprocess
import sys
import time

import peers
from puller import Puller, sums
from scenario import check_files, end_with_us, scratch, storage_suite, wait_for, write_files

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("google/cloud/storage", "cryptography")
    os.execv(python, [python, "-B", *sys.argv])

from cloudstorage import (AWS_KEYS, AWS_TYPE, CLIENT_SECRET, JWT, MTLS_TYPE, REFRESH, SUBJECT, Server, account,  # noqa: E402
                          aws_source, external, new_key, user)
from google.auth import aws, identity_pool, pluggable  # noqa: E402
from google.auth.credentials import AnonymousCredentials  # noqa: E402
from google.auth.exceptions import InvalidOperation, RefreshError  # noqa: E402
from google.cloud import storage  # noqa: E402: the client
import google.auth.transport.requests  # noqa: E402
from google.oauth2 import service_account  # noqa: E402

MIB = 1 << 20
MODEL = {"config.json": b'{"model_type": "llama"}', "a b/é+&?#1.bin": os.urandom(1000), "empty": b"",
         "model.safetensors": os.urandom(9 * MIB + 5)}
URI = "gs://models/llama/8b"


class Setting(Puller):
    """A double, a service account whose key is in a file, a plugins.conf that leads to both."""

    name, uri, model = "gcs", URI, MODEL
    hidden = ("GOOGLE_", "GCE_", "STORAGE_", "CLOUDSDK_", "AWS_")
    secrets = ("PRIVATE KEY", "ya29.", CLIENT_SECRET, REFRESH, SUBJECT, AWS_KEYS[1], "/session/", "hidden-word")

    def __init__(self, folder, **settings):
        super().__init__(folder)
        self.server = Server(**settings)
        self.account = account(self.server.key, self.server.url + "/token")
        self.file = self.write("key.json", self.account)
        self.conf = self.plugins("plugins.conf")

    def write(self, name, document):
        with open(f"{self.folder}/{name}", "w") as out:
            json.dump(document, out)
        return out.name

    def settings(self):
        return {"endpoint": self.server.url, "credentials_file": self.file, "metadata": False}

    def bare(self, **more):
        self.count += 1
        return self.plugins(f"bare-{self.count}.conf", credentials_file=None, **more)


def client(s, key=None):
    info = account(key or s.server.key, s.server.url + "/token")
    return storage.Client(project="project", client_options={"api_endpoint": s.server.url},
                          credentials=service_account.Credentials.from_service_account_info(info))


def satisfies_the_client(s):
    """What Google's own client wants of the service; it also makes the model that we pull."""
    bucket = client(s).bucket("models")
    for path, data in MODEL.items():
        bucket.blob("llama/8b/" + path).upload_from_string(data)
    big = bucket.blob("client/big.bin", chunk_size=MIB)
    big.upload_from_string(MODEL["model.safetensors"])  # in chunks
    assert big.download_as_bytes() == MODEL["model.safetensors"]
    blob = bucket.get_blob("llama/8b/a b/é+&?#1.bin")
    assert blob.download_as_bytes(start=10, end=19) == MODEL["a b/é+&?#1.bin"][10:20]
    s.server.page = 2
    assert len(list(client(s).list_blobs("models", prefix="llama/8b/"))) == len(MODEL)
    s.server.page = 1000
    assert bucket.get_blob("absent") is None
    try:
        client(s, new_key()).bucket("models").get_blob("llama/8b/empty")
        raise AssertionError("another's key was taken")
    except RefreshError:
        pass
    anonymous = storage.Client(project="project", client_options={"api_endpoint": s.server.url},
                               credentials=AnonymousCredentials())
    try:
        anonymous.bucket("models").get_blob("llama/8b/empty")
        raise AssertionError("nobody was let in")
    except InvalidOperation:  # after 401 it wants a new token
        pass
    s.server.put("llama/8b/", b"")  # a marker of a folder, as consoles make them
    s.server.put("llama/8b-instruct/x", b"of another model")


def addresses(s):
    s.pull()
    s.pull(URI + "/")
    s.pull(URI + "/config.json", contents={"config.json": MODEL["config.json"]})
    s.server.page = 1
    s.pull()
    s.server.page = 1000
    for wrong in ("gs://", "gs://x", "gs://UPPER/x", "gs:///x", "gs://ab-/x"):
        s.refused("gs://BUCKET/OBJECT", uri=wrong)
    s.refused("The specified bucket does not exist", "check the names", uri="gs://absent/llama")
    s.refused("No such object", uri="gs://models/llama/9b")
    s.refused("there are no objects", uri="gs://models/llama/9b/")
    s.server.versioned.add("models")
    old = s.server.put("v/x", b"old")["generation"]
    s.server.put("v/x", b"new")
    s.pull("gs://models/v/x", contents={"x": b"new"})
    s.pull("gs://models/v/x#" + old, contents={"x": b"old"})
    s.pull("gs://models/v/x", "--revision", old, contents={"x": b"old"})
    s.refused("no generation", uri="gs://models/v/x", options=["--revision", "main"])
    s.refused("a generation is one of an object", uri=f"gs://models/v/#{old}")


def changes(s):
    """What is replaced after the list: the pinned generation is brought where it is kept, and refused where it is not."""
    def replace():
        s.server.after_list = None
        s.server.put("changing/x", b"second")

    s.server.put("changing/x", b"first")
    s.server.after_list = replace
    s.pull("gs://models/changing", contents={"x": b"first"})
    s.server.versioned.clear()
    s.server.old.clear()
    s.server.after_list = replace
    s.refused("x", "404", uri="gs://models/changing")
    s.server.put("cut/x", b"x" * 1000, md5=None)["data"] = b"x" * 999 + b"y"  # CRC-32C alone says so
    s.refused("x", uri="gs://models/cut")
    import gzip
    s.server.put("zip/x.json", gzip.compress(b"text" * 100), encoding="gzip")
    s.pull("gs://models/zip", contents={"x.json": b"text" * 100})


def credentials(s):
    """Each place they can come from, alone."""
    bare = s.bare()
    s.refused("401", "no credentials were found", conf=bare)
    s.pull(conf=bare, GOOGLE_APPLICATION_CREDENTIALS=s.file)
    s.refused("/absent", "cannot be read", conf=bare, GOOGLE_APPLICATION_CREDENTIALS="/absent")
    s.pull(conf=s.bare(credentials=json.dumps(s.account)))
    person = s.write("application_default_credentials.json", user(token_uri=s.server.url + "/token"))
    s.pull(conf=bare, CLOUDSDK_CONFIG=os.path.dirname(person))
    s.refused("expired or revoked", conf=s.plugins("revoked.conf", token_endpoint=s.server.url + "/token",
              credentials_file=s.write("revoked.json", user(refresh_token="another"))))
    s.server.requests.clear()
    s.pull(conf=s.bare(metadata=True), GCE_METADATA_HOST=s.server.host)
    assert sum("computeMetadata" in path for _, path in s.server.requests) == 1, "the token was not kept"
    s.refused("401", "no credentials were found", conf=s.bare(metadata=True), GCE_METADATA_HOST="127.0.0.1:1")
    s.server.public.add("models")
    s.pull(conf=s.bare(endpoint=None, metadata=True), STORAGE_EMULATOR_HOST=s.server.host)
    s.pull(conf=s.plugins("anonymous.conf", anonymous=True))
    s.server.public.clear()


def a_client_takes(kind, document):
    """Google's own client is satisfied with the double, for credentials of DOCUMENT."""
    theirs = kind.Credentials.from_info(document, scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
    theirs.refresh(google.auth.transport.requests.Request())
    buckets = storage.Client(project="project", credentials=theirs,
                             client_options={"api_endpoint": document["token_url"].removesuffix("/v1/token")})
    assert buckets.bucket("models").get_blob("llama/8b/empty") is not None


def program(s, name, text):
    """An executable of a credential_source, with a blank in its path; its command."""
    path = f"{s.folder}/{name} helper"
    with open(path, "w") as out:
        out.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return f"'{path}' hidden-word"


def programs(s):
    """Tokens that a program prints, or leaves in a file; it is not run where the operator did not allow it."""
    good = json.dumps({"version": 1, "success": True, "token_type": JWT, "id_token": SUBJECT, "expiration_time": int(time.time()) + 3600})
    kept = s.folder + "/kept.json"
    allowed = {"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"}
    checks = ('test "$1" = hidden-word && test -n "$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE" || exit 9\n'
              'test "$GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE$GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE" = "0' + JWT + '" || exit 8\n')
    sources = {"prints": {"command": program(s, "prints", checks + f"echo '{good}'\n")},
               "writes": {"command": program(s, "writes", f"echo x >>'{s.folder}/runs'; echo '{good}' >\"$GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE\"\n"),
                          "output_file": kept}}
    os.environ.update(allowed)  # for Google's client
    for name, source in sources.items():
        document = external(s.server.url, {"executable": {**source, "timeout_millis": 10000}}, name == "prints")
        a_client_takes(pluggable, document)
        if os.path.exists(kept):
            os.unlink(kept)
        for _ in range(2):
            s.pull(conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=s.write(f"program-{name}.json", document), **allowed)
    with open(s.folder + "/runs") as runs:
        assert runs.read() == "x\nx\n", "what is in the output file was asked for again"
    del os.environ["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"]
    s.refused("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=s.write(
        "not-allowed.json", external(s.server.url, {"executable": sources["prints"]})))
    for text, words in (("exit 3\n", ("ended with status 3",)), ("echo no\n", ("no JSON",)),
                        ('echo \'{"version": 1, "success": false, "code": "401", "message": "Caller not authorized."}\'\n',
                         ("401: Caller not authorized.",))):
        document = external(s.server.url, {"executable": {"command": program(s, "failing", text)}})
        s.refused("failing.json: its executable", *words, conf=s.bare(),
                  GOOGLE_APPLICATION_CREDENTIALS=s.write("failing.json", document), **allowed)


def identity_of_aws(s):
    """A request that this machine signs as who it is at AWS: with the keys of the environment, with its instance's role."""
    document = external(s.server.url, aws_source(s.server.url), subject_token_type=AWS_TYPE)
    file = s.write("aws.json", document)
    a_client_takes(aws, document)
    keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), AWS_KEYS), AWS_REGION="eu-west-1")
    s.pull(conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=file)
    s.server.requests.clear()
    s.pull(conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=file, **keys)
    assert not any("/latest/" in path for _, path in s.server.requests), "the instance was asked all the same"
    s.refused("The subject token is not ours", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=file,
              **{**keys, "AWS_SECRET_ACCESS_KEY": "another"})
    nobody = {"AWS_EC2_METADATA_DISABLED": "true"}
    s.refused("set AWS_REGION", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=file, **nobody)
    s.refused("no credentials of AWS", "AWS_ACCESS_KEY_ID", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=file, AWS_REGION="eu-west-1",
              **nobody)


def certificates(s):
    """A certificate that is shown at the exchange, as gcloud's configuration names it."""
    key, cert = s.folder + "/mine.key", s.folder + "/mine.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mine", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    url = s.server.with_certificates(cert, key)
    named = s.write("certificate_config.json", {"cert_configs": {"workload": {"cert_path": cert, "key_path": key}}})

    def document(**certificate):
        return {**external(s.server.url, {"certificate": certificate}), "subject_token_type": MTLS_TYPE, "token_url": url + "/v1/token"}

    good = s.write("certificate.json", document(certificate_config_location=named, trust_chain_path=cert))
    os.environ["REQUESTS_CA_BUNDLE"] = cert  # for Google's client
    theirs = identity_pool.Credentials.from_file(good, scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
    theirs.refresh(google.auth.transport.requests.Request())
    del os.environ["REQUESTS_CA_BUNDLE"]
    s.pull(conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=good, SSL_CERT_FILE=cert)
    usual = s.write("usual.json", document(use_default_certificate_config=True))
    s.pull(conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=usual, SSL_CERT_FILE=cert, CLOUDSDK_CONFIG=s.folder)
    s.refused("/absent", "cannot be read", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=usual, GOOGLE_API_CERTIFICATE_CONFIG="/absent")
    torn = s.write("torn_config.json", {"cert_configs": {"workload": {"cert_path": key, "key_path": key}}})
    s.refused("mine.key holds no certificate", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=usual, GOOGLE_API_CERTIFICATE_CONFIG=torn)


def federation(s):
    """A token that a cluster gave, in a file or at an address, for one of Google's; Google's own client does the same."""
    token = s.folder + "/subject.token"
    with open(token, "w") as out:
        out.write(SUBJECT)
    there = {"url": s.server.url + "/subject", "headers": {"X-From": "test"},
             "format": {"type": "json", "subject_token_field_name": "id_token"}}
    for name, source, impersonate in (("file", {"file": token}, False), ("url", there, False), ("service", {"file": token}, True)):
        document = external(s.server.url, source, impersonate)
        a_client_takes(identity_pool, document)
        s.pull(conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=s.write(f"external-{name}.json", document))
    s.server.may_impersonate = False
    s.refused("403", "Workload Identity User", conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=s.write(
        "denied.json", external(s.server.url, {"file": token}, True)))
    s.server.may_impersonate = True
    for source, words in (({"file": "/absent"}, ("/absent", "cannot be read")),
                          ({"url": s.server.url + "/subject"}, ("/subject", "403", "credential_source")),
                          ({"file": s.file}, ("The subject token is not ours", "pool"))):
        s.refused(*words, conf=s.bare(), GOOGLE_APPLICATION_CREDENTIALS=s.write("wrong.json", external(s.server.url, source)))
    programs(s)
    identity_of_aws(s)
    certificates(s)


def refusals(s):
    other = s.write("other.json", account(new_key(), s.server.url + "/token"))
    s.refused("invalid_grant", "Invalid JWT Signature", "clock", conf=s.plugins("other.conf", credentials_file=other))
    torn = s.write("torn.json", {**s.account, "private_key": "-----BEGIN PRIVATE KEY-----\nx"})
    s.refused("no RSA key", conf=s.plugins("torn.conf", credentials_file=torn))
    s.server.paid_by_caller.add("models")
    s.refused("requester pays", "set user_project")
    s.pull(conf=s.plugins("payer.conf", user_project="project"))
    s.server.paid_by_caller.clear()
    s.server.faults = [503]
    s.refused("503", "in trouble")


def renews(s):
    """Tokens that end in the middle of a file are renewed, and what was there before is not fetched again."""
    s.server.tokens.clear()
    s.server.ranges.clear()
    s.server.slowness, s.server.token_life = 0.2, 2
    files = {"model.bin": os.urandom(32 * MIB), "config.json": b"{}"}
    for path, data in files.items():
        s.server.put("slow/" + path, data)
    code, errors = s.ome("pull", "gs://models/slow", s.folder + "/slow", "--connections", "32", "--max-rate", "8Mi")
    assert code == 0, errors
    check_files(s.folder + "/slow", sums(files))
    assert len(s.server.tokens) >= 2, "no token was renewed"
    assert len(s.server.ranges) == len(set(s.server.ranges)) == 32, s.server.ranges
    s.server.slowness, s.server.token_life = 0, 3600


def resumes(s):
    """Killed in the middle, what is there is not fetched again but for the range under way."""
    data = os.urandom(64 * MIB)
    s.server.put("large/x", data)
    s.server.slowness = 0.2
    s.server.ranges.clear()
    command = ["pull", "gs://models/large", s.folder + "/resumed", "--connections", "1"]
    process = end_with_us(subprocess.Popen(**s.command(*command)))
    wait_for("ranges", lambda: len(s.server.ranges) >= 4)
    process.kill()
    process.communicate()
    s.server.slowness = 0
    code, errors = s.ome(*command)
    assert code == 0, errors
    check_files(s.folder + "/resumed", sums({"x": data}))
    firsts = [first for first, _ in s.server.ranges]
    assert len(firsts) - len(set(firsts)) <= 1, f"ranges that were there were fetched again: {s.server.ranges}"


def pushes(s):
    model = s.folder + "/model"
    contents = {**MODEL, "big.safetensors": os.urandom(70 * MIB)}
    write_files(model, contents)
    s.server.keep = 300 * 1024  # of what comes first
    code, errors = s.ome("push", model, "gs://models/pushed/m")
    assert code == 0, errors
    bucket = client(s).bucket("models")
    for path, data in contents.items():
        assert bucket.blob("pushed/m/" + path).download_as_bytes() == data, "the client reads something else in " + path
    s.pull("gs://models/pushed/m", contents=contents)
    s.server.requests.clear()
    code, errors = s.ome("push", model, "gs://models/pushed/m")
    assert code == 0 and not any(method == "PUT" for method, _ in s.server.requests), "what is there was sent again"
    code, errors = s.ome("push", model, "gs://absent/m")
    assert code == 1 and "bucket does not exist" in errors, errors
    assert not s.server.uploads, "an upload was left"


def suite(s):
    for i in range(1100):
        s.server.put(f"many/dir-{i % 7}/file-{i:04}", b"x" * (i % 50))
    digests = {name[len("many/"):]: hashlib.sha256(o["data"]).hexdigest()
               for (_, name), o in s.server.objects.items() if name.startswith("many/")}
    storage_suite("storage-gcs", "gs://models/many", conf=s.conf, expect=digests, upload="gs://models/written",
                  wrong=["token=ya29.another-token"])
    # A model's own key is not taken anywhere else than to Google, nor may it say where a subject's token is.
    elsewhere = Server()
    theirs = json.dumps({**s.account, "token_uri": elsewhere.url + "/token"})
    storage_suite("storage-gcs", URI, conf=s.conf, expect=sums(MODEL), wrong=["credentials=" + theirs],
                  skips=["upload", "stopped-upload"])
    outside = json.dumps(external(elsewhere.url, {"file": "/etc/hostname"}))
    storage_suite("storage-gcs", URI, conf=s.conf, expect=sums(MODEL), wrong=["credentials=" + outside],
                  skips=["upload", "stopped-upload"])
    assert not elsewhere.requests, elsewhere.requests
    elsewhere.stop()


def main():
    with scratch() as folder:
        s = Setting(folder + "/double")
        for part in (satisfies_the_client, addresses, changes, credentials, federation, refusals, renews, resumes, pushes, suite):
            began = time.monotonic()
            part(s)
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        s.server.stop()
    print("gcs: read, written, refused as it should be")


main()
