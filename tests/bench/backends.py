"""Rows of `./dev bench pull` with servers of their own: S3 from Ceph's gateway, a hub from `ome hub`, Xet storage from the
double that `xet_test.py` proves with a real encoder and hf_xet."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time

from limit import limit_of
from measure import GIB, HOME, OME, PATH, PEERS, Server, bytes_of, compare, measure, program, size_text

sys.path.insert(0, HOME + "/tests/scenario")
PYTHON = PEERS + "/venv/bin/python"
__all__ = ["bytes_of", "hub_python", "s3", "shards", "xet"]


def wait_for(what, test, seconds=60):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come about")
        time.sleep(0.02)


def ome_pull(uri, **environment):
    return ([OME if os.path.exists(OME) else None, "pull", uri, "ome"], {"HOME": "/nonexistent", **environment})


def look_once(digests, server, command, env):
    """A run of ours whose every byte is looked at, before any is measured."""
    def check(target):
        for name, digest in digests.items():
            if sha256(f"{target}/ome/{name}") != digest:
                sys.exit(f"{name}: wrong bytes")
    measure(server, command, server.folder + "/target", env, check)


# ---- S3 ---------------------------------------------------------------------------------------------------------------

def s3(folder, args, write_file):
    try:
        from radosgw import ACCESS_KEY, SECRET_KEY, RadosGateway
        gateway = RadosGateway(make(folder + "/ceph"), memory=2 * args.size + 2 * GIB)
    except SystemExit:
        print("  s3: Ceph's gateway is not installed")
        return
    source, server = folder + "/model.bin", Server(folder, *(p.pid for p in gateway.processes))
    digest = write_file(source, args.size, 1)
    aws = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "default",
           "AWS_REGION": "default", "AWS_ENDPOINT_URL": gateway.url, "AWS_ENDPOINT_URL_S3": gateway.url,
           "AWS_EC2_METADATA_DISABLED": "true"}
    code = f"""import boto3
c = boto3.client('s3')
c.create_bucket(Bucket='bench')
c.upload_file({source!r}, 'bench', 'm/model.bin')
print(c.generate_presigned_url('get_object', {{'Bucket': 'bench', 'Key': 'm/model.bin'}}, 86400))"""
    url = subprocess.run([PYTHON, "-c", code], check=True, env={**os.environ, **aws}, stdout=subprocess.PIPE, text=True).stdout.strip()
    os.unlink(source)
    remote = f":s3,provider=Ceph,access_key_id={ACCESS_KEY},secret_access_key='{SECRET_KEY}',endpoint='{gateway.url}':bench/m"
    contenders = {
        "ome": ome_pull("s3://bench/m", **aws),
        "s5cmd": ([program("s5cmd"), "--endpoint-url", gateway.url, "cp", "s3://bench/m/model.bin", "f"], aws),
        "rclone": ([program("rclone"), "copy", "--multi-thread-streams", "16", remote, "r"], {"AWS_CA_BUNDLE": ""}),  # it is not for one of the machine's own
        "aws s3 cp": ([program("aws"), "--endpoint-url", gateway.url, "s3", "cp", "--quiet", "s3://bench/m/model.bin", "f"], aws),
        "boto3": ([PYTHON, "-c", "import boto3; boto3.client('s3').download_file('bench', 'm/model.bin', 'f')"], aws),
    }
    look_once({"model.bin": digest}, server, *contenders["ome"])
    title = f"S3 with SigV4, one object of {size_text(args.size)}"
    limit = limit_of(server, title, [program("curl"), "-s", "-o", "/dev/null", url], None, args.size, args.rounds)
    compare(title, server, contenders, args.rounds, args.size, limit=limit)
    end(gateway.processes)
    shutil.rmtree(folder + "/ceph", ignore_errors=True)


# ---- a hub ------------------------------------------------------------------------------------------------------------

SNAPSHOT = """
const { listFiles, downloadFile } = require("@huggingface/hub");
const fs = require("fs"), path = require("path"), { Readable } = require("stream"), { pipeline } = require("stream/promises");
(async () => {
  const repo = process.argv[1], hubUrl = process.env.HF_ENDPOINT, accessToken = process.env.HF_TOKEN;
  const files = [];
  for await (const f of listFiles({ repo, hubUrl, accessToken, recursive: true })) if (f.type === "file") files.push(f.path);
  const one = async () => {
    for (let name; (name = files.shift()) !== undefined; ) {
      const blob = await downloadFile({ repo, path: name, hubUrl, accessToken });
      fs.mkdirSync(path.dirname("node/" + name), { recursive: true });
      await pipeline(Readable.fromWeb(blob.stream()), fs.createWriteStream("node/" + name));
    }
  };
  await Promise.all(Array.from({ length: 8 }, one));
})();
"""


def hub_python(repository, endpoint, folder, **environment):
    """snapshot_download() of huggingface_hub: with hf_xet where the hub has Xet storage."""
    there = os.path.exists(PEERS + "/venv/bin/hf")
    code = f"from huggingface_hub import snapshot_download as s; s({repository!r}, local_dir='hub')"
    return ([PYTHON if there else None, "-c", code],
            {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HOME": folder + "/hf", **environment})


def hub_node(repository, endpoint, **environment):
    there = os.path.isdir(PEERS + "/node_modules/@huggingface/hub")
    return ([program("node") if there else None, "-e", SNAPSHOT, repository],
            {"HF_ENDPOINT": endpoint, "NODE_PATH": PEERS + "/node_modules", **environment})


def shards(folder, args, write_file):
    models, size = make(folder + "/models/bench/shards"), 2 * args.size // 40
    names = {**{f"model-{i:05}-of-00040.safetensors": size for i in range(1, 41)}, **{f"part{i}.json": 20000 for i in range(12)}}
    digests = {name: write_file(f"{models}/{name}", n, i << 32) for i, (name, n) in enumerate(names.items())}
    port = folder + "/hub.port"
    hub = subprocess.Popen([OME, "hub", folder + "/models", "--port", "0", "--port-file", port, "--digests", folder + "/digests"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the hub", lambda: os.path.exists(port) and os.path.getsize(port) > 0)
        server, endpoint = Server(folder, hub.pid), "http://127.0.0.1:" + open(port).read().strip()
        contenders = {
            "ome": ome_pull("hf://bench/shards", HF_ENDPOINT=endpoint),
            "huggingface_hub": hub_python("bench/shards", endpoint, folder),
            "@huggingface/hub": hub_node("bench/shards", endpoint),
        }
        look_once(digests, server, *contenders["ome"])  # the hub has read its files then, too
        title = f"{size_text(40 * size)} in 40 shards and 12 small files, from `ome hub`"
        throw_away = [part for name in names for part in ("-o", "/dev/null", f"{endpoint}/bench/shards/resolve/main/{name}")]
        limit = limit_of(server, title, [program("curl"), "-sf", *throw_away], None, 40 * size, args.rounds)
        compare(title, server, contenders, args.rounds, 40 * size, limit=limit)
    finally:
        end([hub])
        shutil.rmtree(folder + "/models", ignore_errors=True)


# ---- Xet --------------------------------------------------------------------------------------------------------------

UPLOAD = """
const { uploadFiles } = require("@huggingface/hub");
const fs = require("fs"), { pathToFileURL } = require("url");
(async () => {
  for (const name of fs.readdirSync(process.argv[1]))
    await uploadFiles({ repo: "acme/xet", hubUrl: process.env.HF_ENDPOINT, accessToken: "hf_good", useXet: true,
                        files: [{ path: name, content: pathToFileURL(process.argv[1] + "/" + name) }] });
})();
"""
SERVE = "import sys, threading; sys.path.insert(0, sys.argv[1]); import xet_hub; h = xet_hub.XetHub(); print(h.url, flush=True); threading.Event().wait()"
XET_FILES, SHARED = 8, 0.3


def xet(folder, args, _):
    source, part = make(folder + "/xet"), args.size // XET_FILES
    shared = os.urandom(int(part * SHARED))
    for i in range(XET_FILES):  # what files share is at another place in each
        own = os.urandom(part - len(shared))
        cut = len(own) * i // XET_FILES
        with open(f"{source}/model-{i}.safetensors", "wb") as out:
            out.write(own[:cut] + shared + own[cut:])
    if not os.path.isdir(PEERS + "/node_modules/@huggingface/hub"):
        print("  xet: @huggingface/hub, which fills the storage, is not installed")
        return
    hub = subprocess.Popen([sys.executable, "-c", SERVE, HOME + "/tests/scenario"], stdout=subprocess.PIPE, text=True)
    try:
        endpoint = hub.stdout.readline().strip()
        node = {**os.environ, "PATH": PATH, "NODE_PATH": PEERS + "/node_modules", "HF_ENDPOINT": endpoint}
        subprocess.run([program("node"), "-e", UPLOAD, source], check=True, env=node)
        digests = {name: sha256(f"{source}/{name}") for name in os.listdir(source)}
        shutil.rmtree(source)
        server = Server(folder, hub.pid)
        contenders = {"ome": ome_pull("hf://acme/xet", HF_ENDPOINT=endpoint, HF_TOKEN="hf_good"),
                      "huggingface_hub, hf_xet": hub_python("acme/xet", endpoint, folder, HF_TOKEN="hf_good")}
        look_once(digests, server, *contenders["ome"])
        compare(f"Xet, {size_text(args.size)} in {XET_FILES} files, {SHARED:.0%} of each in all", server, contenders,
                args.rounds, args.size, fresh=folder + "/hf")
    finally:
        end([hub])


# ---- kit --------------------------------------------------------------------------------------------------------------

def make(folder):
    os.makedirs(folder)
    return folder


def sha256(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def end(processes):
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
