#!/usr/bin/env python3
"""Xet storage: a file that @huggingface/hub has chunked and uploaded, read by huggingface_hub with hf_xet (which proves
the double), then by `ome pull`, whole and in the face of faults."""

import os
import random
import subprocess

import peers
from scenario import DEADLINE, OME, digests_below, scratch
from xet_hub import REPO, XetHub, chunks_of

MIB = 1 << 20
UPLOAD = """
const { uploadFiles } = require("@huggingface/hub");
const fs = require("fs");
(async () => {
  const names = fs.readdirSync(process.argv[1]);
  await uploadFiles({ repo: "acme/xet", hubUrl: process.env.HF_ENDPOINT, accessToken: "hf_good", useXet: true,
                      files: names.map((path) => ({ path, content: new Blob([fs.readFileSync(process.argv[1] + "/" + path)]) })) });
})();
"""
DOWNLOAD = """
import sys
from huggingface_hub import hf_hub_download
for name in sys.argv[2:]:
    hf_hub_download("acme/xet", name, local_dir=sys.argv[1])
"""
FAULTS = {  # name -> what the message says of it
    "no-json": "cannot be used", "truncated": "not all of them came", "version": "unknown version",
    "scheme": "compressed in an unknown way", "overflow": "longer than chunks may be"}


def make_files(folder):
    """Content that does not compress, that does, whose bytes do in groups of four, and that is there twice."""
    os.makedirs(folder)
    dice = random.Random(7)
    noise, shared = dice.randbytes(3 * MIB + 17), dice.randbytes(2 * MIB)
    floats = b"".join(bytes((dice.randrange(256), 7, dice.randrange(4), 63)) for _ in range(MIB // 2))
    for name, data in (("model-1.safetensors", noise + shared + b"abcd" * MIB + floats),
                       ("model-2.safetensors", floats + shared + b"\0" * MIB + noise[:MIB]), ("one.bin", b"x")):
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data)


def pull(hub, folder, *options):
    return subprocess.run([OME, "pull", "hf://" + REPO, folder, "-o", "json", *options], capture_output=True, text=True,
                          timeout=DEADLINE, env=dict(os.environ, HOME=folder + ".home", HF_ENDPOINT=hub.url,
                                                     HF_TOKEN="hf_good"))


def check_pull(hub, folder, wanted):
    done = pull(hub, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert digests_below(folder) == wanted
    assert hub.count("^GET /acme/xet/resolve") == 0, "not from Xet storage"
    assert "cas-" not in done.stdout + done.stderr and "hf_good" not in done.stdout + done.stderr


def check_fault(hub, folder, fault, said):
    hub.faults = {fault: 1000000}
    done = pull(hub, os.path.join(folder, "fault-" + fault))
    hub.faults = {}
    assert done.returncode == 1 and said in done.stdout + done.stderr, (fault, done.stdout + done.stderr)
    assert "model-" in done.stderr or "one.bin" in done.stderr, done.stderr


def main():
    node = peers.node("@huggingface/hub")
    python = peers.python("huggingface_hub", "hf_xet")
    with scratch() as folder:
        source = os.path.join(folder, "source")
        make_files(source)
        wanted = digests_below(source)
        hub = XetHub()
        subprocess.run(["node", "-e", UPLOAD, source], check=True, timeout=DEADLINE, env=dict(node, HF_ENDPOINT=hub.url))
        assert set(hub.files) == set(wanted)
        schemes = {scheme for xorb in hub.xorbs.values() for _, _, scheme in chunks_of(xorb)[0]}
        assert schemes == {0, 1, 2}, schemes
        theirs = os.path.join(folder, "theirs")
        subprocess.run([python, "-c", DOWNLOAD, theirs, *wanted], check=True, timeout=DEADLINE, stderr=subprocess.DEVNULL,
                       env=dict(os.environ, HOME=folder, HF_ENDPOINT=hub.url, HF_TOKEN="hf_good"))
        assert {n: d for n, d in digests_below(theirs).items() if not n.startswith(".cache")} == wanted
        hub.requests.clear()
        hub.tokens = 0
        check_pull(hub, os.path.join(folder, "ours"), wanted)
        assert hub.tokens == 1, hub.tokens
        hub.versions = ("v1",)
        check_pull(hub, os.path.join(folder, "ours-v1"), wanted)
        hub.versions = ("v2",)
        hub.faults = {"token": 1, "expired": 1}
        check_pull(hub, os.path.join(folder, "refreshed"), wanted)
        for fault, said in FAULTS.items():
            check_fault(hub, folder, fault, said)
        hub.faults = {"flipped": 1}
        done = pull(hub, os.path.join(folder, "flipped"))
        assert done.returncode == 1 or digests_below(os.path.join(folder, "flipped")) == wanted, done.stdout
        assert done.returncode == 1 or hub.faults["flipped"] <= 0


if __name__ == "__main__":
    main()
