#!/usr/bin/env python3
"""`ome hub` read by other people's clients: huggingface_hub (with and without hf_xet) and @huggingface/hub."""

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import time

import peers
from scenario import DEADLINE, OME, Hub, digests_below, scratch, wait_for

MIB = 1 << 20
TOKEN = "hf_secret"
PYTHON_CLIENT = """
import json, sys
from huggingface_hub import HfApi, snapshot_download, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
folder, again = sys.argv[1:]
api = HfApi()
info = api.model_info("acme/tiny", files_metadata=True)
print("blobs", all(s.blob_id and s.size is not None for s in info.siblings), info.last_modified is not None)
tree = list(api.list_repo_tree("acme/many", recursive=True, expand=True))
print("tree", len([f for f in tree if hasattr(f, "size")]), all(f.last_commit for f in tree if hasattr(f, "size")))
print("deep", [f.path for f in api.list_repo_tree("acme/tiny", "sub dir")])
print("paths", [f.path for f in api.get_paths_info("acme/tiny", ["config.json", "missing"], expand=True)])
snapshot_download("acme/tiny", local_dir=folder)
print("empty", snapshot_download("acme/many", cache_dir=again, allow_patterns="empty") != "")
print("one", hf_hub_download("acme/tiny", "config.json", revision=info.sha, cache_dir=again) != "")
for call, expected in ((lambda: api.model_info("acme/none"), RepositoryNotFoundError),
                       (lambda: api.model_info("acme/tiny", revision="0" * 40), RevisionNotFoundError),
                       (lambda: list(api.list_repo_tree("acme/tiny", "nowhere")), EntryNotFoundError),
                       (lambda: hf_hub_download("acme/tiny", "nothing", cache_dir=again), EntryNotFoundError)):
    try:
        call()
        print("nothing was raised instead of", expected)
    except expected:
        print("raised", expected.__name__)
print("whoami", api.whoami()["name"])
"""
NODE_CLIENT = """
const { listFiles, downloadFile, fileExists, snapshotDownload, whoAmI } = require("@huggingface/hub");
const fs = require("fs");
(async () => {
  const at = { repo: "acme/tiny", hubUrl: process.env.HF_ENDPOINT, accessToken: process.env.HF_TOKEN };
  let n = 0;
  for await (const f of listFiles({ ...at, repo: "acme/many", recursive: true, expand: true })) n += f.type === "file";
  console.log("files", n);
  console.log("exists", await fileExists({ ...at, path: "config.json" }), await fileExists({ ...at, path: "no" }));
  const blob = await downloadFile({ ...at, path: "model.safetensors" });
  fs.writeFileSync(process.argv[2], Buffer.from(await blob.arrayBuffer()));
  console.log("missing", await downloadFile({ ...at, path: "no" }));
  console.log("snapshot", fs.existsSync(await snapshotDownload({ ...at, cacheDir: process.argv[3] }) + "/config.json"));
  console.log("whoami", (await whoAmI(at)).name);
})();
"""
FILES = 1205  # more than a page


def make_models(folder):
    tiny = {"config.json": b'{"model_type": "llama"}', "sub dir/readme \u00e9.md": b"hello",
                "model.safetensors": os.urandom(9 * MIB + 5)}
    many = {f"deep/{i:05}": b"%d" % i for i in range(FILES - 1)}
    many["empty"] = b""  # not in the other: @huggingface/hub wants a Content-Range
    for name, contents in (("tiny", tiny), ("many", many)):
        for path, data in contents.items():
            full = os.path.join(folder, "acme", name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as out:
                out.write(data)
    return os.path.join(folder, "acme/tiny")


def without_marks(folder):
    shutil.rmtree(os.path.join(folder, ".cache"), ignore_errors=True)
    return digests_below(folder)


def python_client(folder, hub, model, **environment):
    target, cache = os.path.join(folder, "python"), os.path.join(folder, "python-cache")
    done = subprocess.run([peers.python("huggingface_hub"), "-c", PYTHON_CLIENT, target, cache], capture_output=True,
                          text=True, timeout=DEADLINE, env=dict(os.environ, HOME=folder, HF_ENDPOINT=hub.url,
                                                                 HF_TOKEN=TOKEN, **environment))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "blobs True True", f"tree {FILES} True", "deep ['sub dir/readme \u00e9.md']", "paths ['config.json']", "empty True", "one True",
        "raised RepositoryNotFoundError", "raised RevisionNotFoundError", "raised EntryNotFoundError",
        "raised EntryNotFoundError", "whoami ome"], done.stdout
    assert without_marks(target) == digests_below(model)
    shutil.rmtree(target)


def node_client(folder, hub, model):
    environment = peers.node("@huggingface/hub")
    target, cache = os.path.join(folder, "node.bin"), os.path.join(folder, "node-cache")
    done = subprocess.run(["node", "-e", NODE_CLIENT, "client", target, cache], capture_output=True, text=True,
                          timeout=DEADLINE, env=dict(environment, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HOME=folder))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not line.startswith("Downloading ")]
    assert said == [f"files {FILES}", "exists true false", "missing null", "snapshot true", "whoami ome"], done.stdout
    with open(target, "rb") as got, open(os.path.join(model, "model.safetensors"), "rb") as want:
        assert got.read() == want.read()


def ask(hub, method, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=DEADLINE)
    connection.request(method, path, headers=dict({"Authorization": "Bearer " + TOKEN}, **headers))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def check_answers(hub, model):
    tree = "/api/models/acme/many/tree/main"
    link = ask(hub, "GET", tree + "?recursive=true", Host="hub.example:81")[0].headers["Link"]
    assert link.startswith("<http://hub.example:81/api/models/acme/many/tree/main?"), link
    link = ask(hub, "GET", tree + "?recursive=true", Host="a/b>")[0].headers["Link"]
    assert link.startswith(f"<http://127.0.0.1:{hub.port}/"), link
    answer, _ = ask(hub, "GET", tree + "/nowhere")
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert ask(hub, "GET", tree, Authorization="Bearer no")[0].status == 401
    assert ask(hub, "GET", "/api/whoami-v2", Authorization="")[0].status == 401
    file = "/acme/tiny/resolve/main/model.safetensors"
    answer, body = ask(hub, "GET", file, Range="bytes=5-9")
    with open(os.path.join(model, "model.safetensors"), "rb") as of:
        content = of.read()
    assert (answer.status, body) == (206, content[5:10])
    sha256 = hashlib.sha256(content).hexdigest()
    assert answer.headers["X-Linked-Etag"] == answer.headers["ETag"] == f'"{sha256}"'
    assert answer.headers["X-Linked-Size"] == str(len(content)) and len(answer.headers["X-Repo-Commit"]) == 40
    assert ask(hub, "GET", file, Range="bytes=0-1,5-9")[0].status == 200
    assert ask(hub, "GET", file, **{"Range": "bytes=5-9", "If-Range": '"other"'})[0].status == 200
    assert ask(hub, "GET", file, Range="bytes=99999999-")[0].status == 416
    assert ask(hub, "HEAD", file)[0].headers["Content-Length"] == str(len(content))


def check_digests_are_kept(folder, hub, model):
    """A hub that is started again does not read the files: what it says of them is what the file of digests says."""
    kept = os.path.join(folder, "digests")
    with open(kept) as of:
        lines = of.read()
    assert len(lines.splitlines()) == len(digests_below(model)) + FILES, len(lines.splitlines())
    with open(os.path.join(model, "model.safetensors"), "rb") as of:
        sha256 = hashlib.sha256(of.read()).hexdigest()
    hub.stop()
    with open(kept, "w") as out:
        out.write("no sense\n" + lines.replace(sha256, "0" * 64))
    hub = Hub(hub.folder, "--token-file", os.path.join(folder, "token"), "--digests", kept)
    path = "/api/models/acme/tiny/paths-info/main"
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=DEADLINE)
    connection.request("POST", path, json.dumps({"paths": ["model.safetensors"]}),
                       {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
    assert json.load(connection.getresponse())[0]["lfs"]["oid"] == "0" * 64
    connection.close()
    hub.stop()


def check_store(folder, hub, model):
    """What `ome pull` has laid out of a store, links to read-only blobs that are all of one time, is served on."""
    environment = dict(os.environ, HOME=folder, HF_TOKEN=TOKEN)
    def pull(source, target, *options):
        done = subprocess.run([OME, "pull", "hf://acme/tiny", target, *options], capture_output=True, text=True,
                              timeout=DEADLINE, env=dict(environment, HF_ENDPOINT=source.url))
        assert done.returncode == 0, done.stderr
        return digests_below(target)
    laid_out = os.path.join(folder, "served/acme/tiny")
    wanted = pull(hub, laid_out, "--store", os.path.join(folder, "store"))
    assert wanted == without_marks(model)
    assert all(os.stat(os.path.join(laid_out, name)).st_nlink == 2 for name in wanted), "no links into the store"
    second = Hub(os.path.join(folder, "served"), "--digests", os.path.join(folder, "digests-2"))
    try:
        assert pull(second, os.path.join(folder, "again"), "--store", os.path.join(folder, "store-2")) == wanted
    finally:
        second.stop()


def check_readers(folder):
    """Readers of a large file who stop reading in the middle of it cost the hub next to nothing."""
    large = 512 << 20
    os.makedirs(os.path.join(folder, "large/acme/large"))
    with open(os.path.join(folder, "large/acme/large/model.bin"), "wb") as out:
        out.truncate(large)
    hub = Hub(os.path.join(folder, "large"), "--digests", os.path.join(folder, "digests-3"))

    def resident():
        with open(f"/proc/{hub.process.pid}/status") as of:
            return next(int(line.split()[1]) for line in of if line.startswith("VmRSS:")) << 10
    try:
        readers = [http.client.HTTPConnection("127.0.0.1", hub.port, timeout=DEADLINE) for _ in range(16)]
        readers[0].request("HEAD", "/acme/large/resolve/main/model.bin")  # the file is read for its digest
        assert readers[0].getresponse().read() == b""
        before = resident()
        for reader in readers:
            reader.request("GET", "/acme/large/resolve/main/model.bin")
            answer = reader.getresponse()
            assert answer.status == 200 and len(answer.read(4 << 20)) == 4 << 20
        assert resident() - before < 32 << 20, resident() - before
        for reader in readers:
            reader.close()
    finally:
        hub.stop()


def main():
    with scratch() as folder:
        models = os.path.join(folder, "models")
        model = make_models(models)
        settled = time.time() + 2  # what changed a moment ago is not kept
        with open(os.path.join(folder, "token"), "w") as out:
            out.write(TOKEN + "\n")
        hub = Hub(models, "--token-file", os.path.join(folder, "token"), "--digests", os.path.join(folder, "digests"))
        check_answers(hub, model)
        python_client(folder, hub, model)
        python_client(folder, hub, model, HF_HUB_DISABLE_XET="1")
        node_client(folder, hub, model)
        check_store(folder, hub, model)
        check_readers(folder)
        wait_for("files that count as settled", lambda: time.time() > settled + 1)
        ask(hub, "GET", "/api/models/acme/tiny")
        ask(hub, "GET", "/api/models/acme/many")
        check_digests_are_kept(folder, hub, model)


if __name__ == "__main__":
    main()
