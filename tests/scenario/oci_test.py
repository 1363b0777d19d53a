#!/usr/bin/env python3
"""The `oci` plugin against a double of Oracle Cloud that checks signatures, which Oracle's own SDK is satisfied with
first: every principal, every form of address, pages, uploads in parts, refusals."""

import hashlib
import json
import os
import sys

import peers
from puller import Puller, sums
from scenario import check_files, digests_below, scratch, storage_suite, write_files

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("oci", "cryptography")  # the double needs it too
    os.execv(python, [python, "-B", *sys.argv])

import oci  # noqa: E402: the SDK
from objectstorage import NAMESPACE, REGION, TENANCY, USER, Server, b64, fingerprint_of, new_key, pem_of  # noqa: E402

MIB = 1 << 20
PHRASE = "open sesame"
MODEL = {"config.json": b'{"model_type": "llama"}', "a b/é+&?.bin": os.urandom(1000), "empty": b"",
         "model.safetensors": os.urandom(9 * MIB + 5)}
URI = f"oci://n/{NAMESPACE}/b/models/o/llama/8b"


class Setting(Puller):
    """A double, a user whose keys are in a configuration file, a plugins.conf that leads to it."""

    name, uri, model = "oci", URI, MODEL
    hidden = ("OCI_", "KUBERNETES_")
    secrets = (PHRASE, "PRIVATE KEY", "ST$", "signature=")

    def __init__(self, folder, **settings):
        super().__init__(folder)
        self.server, self.key = Server(**settings), new_key()
        self.server.add_user(self.key)
        self.config = self.write_config("config", self.key)
        self.conf = self.plugins("plugins.conf")

    def settings(self):
        return {"endpoint": self.server.url, "auth_endpoint": self.server.url, "config_file": self.config}

    def write_config(self, name, key, phrase=None, more=""):
        path = os.path.join(self.folder, name)
        with open(path + ".pem", "wb") as out:
            out.write(pem_of(key, phrase))
        with open(path, "w") as out:
            out.write(f"# keys\n[DEFAULT]\nuser = {USER}\nfingerprint={fingerprint_of(key)}\nkey_file={path}.pem\n"
                      f"tenancy={TENANCY}\nregion={REGION}\n" + (f"pass_phrase={phrase}\n" if phrase else "") + more)
        return path


def client(s, **more):
    config = dict(oci.config.from_file(s.config), **more)
    return oci.object_storage.ObjectStorageClient(config, service_endpoint=s.server.url)


def satisfies_the_sdk(s):
    """What Oracle's own client wants of Object Storage; it also makes the model that we pull."""
    theirs = client(s)
    assert theirs.get_namespace().data == NAMESPACE
    for path, data in MODEL.items():
        theirs.put_object(NAMESPACE, "models", "llama/8b/" + path, data)
    listed = theirs.list_objects(NAMESPACE, "models", prefix="llama/8b/", fields="name,size,md5,etag", limit=2).data
    assert len(listed.objects) == 2 and listed.next_start_with == "llama/8b/empty", listed
    got = theirs.get_object(NAMESPACE, "models", "llama/8b/a b/é+&?.bin", range="bytes=10-19")
    assert got.data.content == MODEL["a b/é+&?.bin"][10:20]
    manager = oci.object_storage.UploadManager(theirs, allow_multipart_uploads=True)
    with open(s.folder + "/parts.bin", "wb") as out:
        out.write(os.urandom(21 * MIB))
    manager.upload_file(NAMESPACE, "models", "parts/model.bin", s.folder + "/parts.bin", part_size=10 * MIB)
    assert theirs.head_object(NAMESPACE, "models", "parts/model.bin").headers["opc-multipart-md5"].endswith("-3")
    other = new_key()
    try:
        client(s, key_content=pem_of(other).decode(), key_file=None).get_namespace()
        raise AssertionError("a wrong key was taken")
    except oci.exceptions.ServiceError as why:
        assert why.status == 401
    s.server.put("llama/8b/", b"")  # a marker of a folder, as consoles make them
    s.server.put("llama/8b2/other", b"of another model")


def addresses(s):
    for uri in (URI + "/", f"oci://{NAMESPACE}@us-phoenix-1/models/llama/8b", "oci://models/llama/8b"):
        s.pull(uri)
    assert any(path == "/n" for _, path in s.server.requests), "the namespace was not looked up"
    s.server.page = 1
    s.pull()
    s.server.page = 1000
    s.pull(URI + "/config.json", digests={"config.json": sums(MODEL)["config.json"]})
    # Uploaded in parts by the SDK: without a digest of the whole, the size and the tag are what there is.
    s.pull("oci://models/parts", digests={"model.bin": digests_below(s.folder)["parts.bin"]})
    # The region of the address is where the request goes.
    bare = s.plugins("bare.conf", endpoint="")
    s.refused("objectstorage.mars-north-1.oraclecloud.com", uri="oci://ns@mars-north-1/models/x", conf=bare)
    for wrong in ("oci://", "oci://n/ns/b/bucket", "oci://n/ns/x/bucket/o/p", "oci://ns@/bucket/p", "oci://ns@UP/b/p"):
        s.refused("oci://n/NAMESPACE/b/BUCKET/o/PREFIX", uri=wrong)
    s.refused("has no revisions", "v1", options=["--revision", "v1"])
    s.refused("there is no object llama/9b, and none below it", uri="oci://models/llama/9b")
    s.refused("BucketNotFound", "no such bucket", uri="oci://absent/llama")
    s.refused("NamespaceNotFound", uri="oci://n/elsewhere/b/models/o/llama")


def users(s):
    """UserPrincipal: passphrases, profiles, session tokens, wrong keys, wrong clocks."""
    other, session = new_key(), new_key()
    encrypted = s.write_config("encrypted", s.key, PHRASE)
    s.pull(conf=s.plugins("encrypted.conf", config_file=encrypted))
    token = s.folder + "/token"
    with open(token, "w") as out:
        out.write(s.server.issue(session.public_key()) + "\n")
    with open(s.folder + "/session.pem", "wb") as out:
        out.write(pem_of(session))
    profiles = s.write_config("profiles", other, more=f"[SESSION]\nsecurity_token_file={token}\n"
                                                      f"key_file={s.folder}/session.pem\n")
    with_profiles = s.plugins("profiles.conf", config_file=profiles)
    s.pull(conf=with_profiles, OCI_CONFIG_PROFILE="SESSION")
    s.refused("401", "NotAuthenticated", "check the key", conf=with_profiles)
    s.refused("no profile [ABSENT]", conf=with_profiles, OCI_CONFIG_PROFILE="ABSENT")
    with open(encrypted) as config:
        text = config.read()
    with open(encrypted, "w") as config:
        config.write(text.replace(PHRASE, "close sesame"))
    s.refused("pass_phrase", conf=s.plugins("encrypted.conf", config_file=encrypted))
    with open(encrypted, "w") as config:
        config.write(text.replace(fingerprint_of(s.key), fingerprint_of(other)))
    s.refused("fingerprint", conf=s.plugins("encrypted.conf", config_file=encrypted))
    with open(token, "w") as out:
        out.write(s.server.issue(session.public_key(), life=-10))
    s.refused("ran out", conf=with_profiles, OCI_CONFIG_PROFILE="SESSION")
    s.refused("Nobody", conf=s.plugins("nobody.conf", auth="Nobody"))
    s.server.skew = 3600
    s.refused("401", "clock is 3", "behind")
    s.server.skew = 0


def principals(s):
    """Those that need no file, each from the double's own services."""
    def conf(auth):
        return s.plugins(auth + ".conf", auth=auth, service_account=s.folder + "/sa")

    metadata = {"OCI_METADATA_BASE_URL": s.server.url + "/opc/v2"}
    s.pull(conf=conf("InstancePrincipal"), **metadata)
    # Who has no configuration file is the instance.
    s.pull(conf=s.plugins("default.conf", config_file="/absent"), **metadata)
    s.refused("InstancePrincipal", "set `auth`", conf=conf("InstancePrincipal"),
              OCI_METADATA_BASE_URL=s.server.url + "/nothing")
    key = new_key()
    names = {"RPST": s.server.issue(key.public_key()), "PRIVATE_PEM": pem_of(key, PHRASE).decode(),
             "PRIVATE_PEM_PASSPHRASE": PHRASE}
    resource = {"OCI_RESOURCE_PRINCIPAL_" + n: v for n, v in
                {**names, "VERSION": "2.2", "REGION": REGION}.items()}
    s.pull(conf=conf("ResourcePrincipal"), **resource)
    for name, value in names.items():
        with open(f"{s.folder}/{name}", "w") as out:
            out.write(value)
        resource["OCI_RESOURCE_PRINCIPAL_" + name] = f"{s.folder}/{name}"
    s.pull(conf=conf("ResourcePrincipal"), **resource)
    s.refused("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2", conf=conf("ResourcePrincipal"))
    port = s.server.serve_mux(s.folder + "/sa")
    cluster = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT_PROXYMUX": str(port)}
    s.pull(conf=conf("OkeWorkloadIdentity"), **cluster)
    s.server.service_account = "another"
    s.refused("403", conf=conf("OkeWorkloadIdentity"), **cluster)
    s.refused("KUBERNETES_SERVICE_HOST", conf=conf("OkeWorkloadIdentity"))


def short_tokens(folder):
    """Tokens that end while the model is being brought are renewed."""
    s = Setting(folder, token_life=2)
    files = {f"part-{i:02}": os.urandom(2000) for i in range(20)}
    s.server.slowness = 0.1
    for path, data in files.items():
        s.server.put("m/" + path, data)
    conf = s.plugins("instance.conf", auth="InstancePrincipal")
    target = folder + "/target"
    code, errors = s.ome("pull", "oci://models/m", target, "--connections", "1", conf=conf,
                         OCI_METADATA_BASE_URL=s.server.url + "/opc/v2")
    assert code == 0, errors
    check_files(target, sums(files))
    assert s.server.issued >= 2, s.server.issued
    s.server.stop()


def digests(s):
    """What HEAD says of objects that were uploaded in parts is verified; damage is found."""
    data = os.urandom(MIB)
    good = hashlib.sha256(data)
    for name, headers, meta in (("sha", {"opc-content-sha256": b64(good.digest())}, {}),
                                ("md5", {}, {"opc-meta-md5": b64(hashlib.md5(data).digest())})):
        s.server.put(name + "/x", data, md5="AAAAAAAAAAAAAAAAAAAAAA==-2", headers=headers, meta=meta)
        s.pull("oci://models/" + name, digests={"x": good.hexdigest()})
        s.server.objects["models", name + "/x"]["data"] = data[:-1] + bytes([data[-1] ^ 1])
        s.refused("x", uri="oci://models/" + name)
    s.server.put("cold/x", data, archived="Archived")
    s.refused("restore it", uri="oci://models/cold")
    for status, words in ((503, "in trouble"), (429, "limits the rate")):
        s.server.faults = [status]
        s.refused(str(status), words, "try again")


def changed(s):
    """An object that is replaced after the list is refused by its tag, not taken for what was listed."""
    s.server.put("changing/x", os.urandom(100))
    s.server.after_list = lambda: s.server.put("changing/x", os.urandom(100))
    s.refused("x", "changed", uri="oci://models/changing")
    s.server.after_list = None


def pushes(s):
    s.pull()  # what is there before
    model = s.folder + "/model"
    files = write_files(model, {**MODEL, "big.safetensors": os.urandom(70 * MIB)})
    code, errors = s.ome("push", model, "oci://models/pushed/m")
    assert code == 0, errors
    assert s.server.objects["models", "pushed/m/big.safetensors"]["md5"].endswith("-5")
    s.pull("oci://models/pushed/m", digests=files)
    theirs = client(s).get_object(NAMESPACE, "models", "pushed/m/big.safetensors").data.content
    assert hashlib.sha256(theirs).hexdigest() == files["big.safetensors"], "the SDK reads something else"
    s.server.requests.clear()
    code, errors = s.ome("push", model, "oci://models/pushed/m")
    assert code == 0, errors
    assert not any(method == "PUT" for method, _ in s.server.requests), "what is there was sent again"
    # A part that is refused ends it, and nothing is left behind.
    s.server.fail_parts = 1
    code, errors = s.ome("push", model + "/big.safetensors", "oci://models/failed")
    assert code == 1 and "InvalidPart" in errors and not s.server.uploads, errors
    assert ("models", "failed/big.safetensors") not in s.server.objects


def suite(s):
    for i in range(1100):
        s.server.put(f"many/dir-{i % 7}/file-{i:04}", b"x" * (i % 50))
    digests = {name[len("many/"):]: hashlib.sha256(o["data"]).hexdigest()
               for (_, name), o in s.server.objects.items() if name.startswith("many/")}
    storage_suite("storage-oci", "oci://models/many", conf=s.conf, expect=digests, upload="oci://models/written",
                  wrong=["token=" + pem_of(new_key()).decode(), "tenancy=" + TENANCY, "user=" + USER])


def main():
    with scratch() as folder:
        s = Setting(folder + "/double")
        satisfies_the_sdk(s)
        s.pull()
        addresses(s)
        users(s)
        principals(s)
        digests(s)
        changed(s)
        pushes(s)
        suite(s)
        s.server.stop()
        short_tokens(folder + "/short")
    print("oci: ok")


if __name__ == "__main__":
    main()
