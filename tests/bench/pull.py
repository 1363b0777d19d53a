#!/usr/bin/env python3
"""How fast `ome pull` is beside what others use: the same server and files, everything in memory; rounds in turn, so
that what else the machine does hits all alike, and the median of each.

  ./dev bench pull [--rows http,tls,small,s3,shards,xet,memory] [--size 4g] [--rounds 5]

Every number is wall-clock seconds, with the processor seconds of client and server beside it. `ome` always verifies
SHA-256; of the others only what says so does.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import backends
from limit import limit_of
from measure import GIB, MIB, OME, Server, compare, free_port, measure, program, size_text

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = os.urandom(16 * MIB)
ROWS = ["http", "tls", "small", "s3", "shards", "xet", "memory"]


# ---- the site ---------------------------------------------------------------------------------------------------------

def write_file(path, size, salt):
    """SIZE bytes that differ from file to file; their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        left = size
        while left:
            part = salt.to_bytes(8, "little") + BLOCK[8:min(left, len(BLOCK))]
            part = part[:left]
            salt += 1
            out.write(part)
            digest.update(part)
            left -= len(part)
    return digest.hexdigest()


class Site(Server):
    """nginx over a folder in memory that also looks like a model hub: the API's answers are files."""

    def __init__(self, folder):
        super().__init__(folder)
        self.models = {}
        os.makedirs(folder + "/www/api/models")
        os.makedirs(folder + "/tmp")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder + "/key.pem",
                        "-out", folder + "/cert.pem"], check=True, capture_output=True)
        self.ca = folder + "/cert.pem"

    def add(self, name, sizes):
        """A model of files of these SIZES by path."""
        root = f"{self.folder}/www/bench/{name}/resolve/{COMMIT}"
        entries = []
        for number, (path, size) in enumerate(sorted(sizes.items())):
            os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
            digest = write_file(f"{root}/{path}", size, number << 32)
            entries.append({"type": "file", "path": path, "size": size, "oid": digest[:40],
                            "lfs": {"oid": digest, "size": size, "pointerSize": 130}})
            self.models.setdefault(name, {})[path] = digest
        os.symlink(COMMIT, f"{root}/../main")
        api = f"{self.folder}/www/api/models/bench/{name}"
        for place, document in (("revision/main", {"id": "bench/" + name, "sha": COMMIT,
                                                   "siblings": [{"rfilename": e["path"]} for e in entries]}),
                                ("tree/" + COMMIT, entries)):
            os.makedirs(os.path.dirname(f"{api}/{place}"), exist_ok=True)
            with open(f"{api}/{place}", "w") as out:
                json.dump(document, out)
            os.makedirs(os.path.dirname(f"{api}/{place.replace(COMMIT, 'main')}"), exist_ok=True)
        for alias in ("revision/" + COMMIT, "tree/main"):
            source = "main" if alias.startswith("revision") else COMMIT
            os.symlink(source, f"{api}/{alias}")

    def remove(self, name):
        shutil.rmtree(f"{self.folder}/www/bench/{name}")

    def start(self):
        self.http, self.tls = free_port(), free_port()
        with open(self.folder + "/nginx.conf", "w") as out:
            out.write(f"""
worker_processes 2; daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {self.folder}/tmp; proxy_temp_path {self.folder}/tmp; fastcgi_temp_path {self.folder}/tmp;
  uwsgi_temp_path {self.folder}/tmp; scgi_temp_path {self.folder}/tmp; open_file_cache max=20000;
  ssl_certificate {self.folder}/cert.pem; ssl_certificate_key {self.folder}/key.pem; ssl_session_cache shared:a:1m;
  server {{
    listen 127.0.0.1:{self.http}; listen 127.0.0.1:{self.tls} ssl http2;
    root {self.folder}/www;
    location /api/ {{ default_type application/json; }}
    location ~ ^/bench/[^/]+/resolve/[^/]+/ {{ add_header X-Repo-Commit {COMMIT}; }}
  }}
}}
""")
        self.process = subprocess.Popen([program("nginx"), "-c", self.folder + "/nginx.conf", "-p", self.folder])
        self.pids = [self.process.pid]
        for _ in range(500):
            if subprocess.run([program("curl"), "-s", "-o", "/dev/null", self.url("")]).returncode == 0:
                return
            time.sleep(0.01)
        sys.exit("nginx did not start; see " + self.folder + "/error.log")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def url(self, path, tls=False):
        return f"https://localhost:{self.tls}/{path}" if tls else f"http://127.0.0.1:{self.http}/{path}"

    def file_url(self, name, path, tls=False):
        return self.url(f"bench/{name}/resolve/{COMMIT}/{path}", tls)


def ome(site, name, tls=False, *options):
    endpoint = site.url("", tls).rstrip("/")
    return ([OME if os.path.exists(OME) else None, "pull", "hf://bench/" + name, "ome", *options],
            {"HF_ENDPOINT": endpoint, "SSL_CERT_FILE": site.ca, "HOME": "/nonexistent"})  # no store that lasts


def checker(site, name):
    """Whether what `ome` made has the size that it should; the digests are its own business and looked at once."""
    def check(target):
        for path, digest in site.models[name].items():
            full = f"{target}/ome/{path}"
            with open(full, "rb") as data:
                if hashlib.file_digest(data, "sha256").hexdigest() != digest:
                    sys.exit(f"{full}: wrong bytes")
    return check


# ---- rows -------------------------------------------------------------------------------------------------------------

def big(site, args, tls):
    url, digest = site.file_url("big", "model.bin", tls), site.models["big"]["model.bin"]
    trust = {"curl": ["--cacert", site.ca], "wget2": ["--ca-certificate=" + site.ca], "aria2c": ["--ca-certificate=" + site.ca],
             "rclone": ["--ca-cert", site.ca]} if tls else {k: [] for k in ("curl", "wget2", "aria2c", "rclone")}
    aria = [program("aria2c"), "-q", "-x16", "-s16", "--file-allocation=none", *trust["aria2c"], "-o", "f"]
    contenders = {
        "ome": ome(site, "big", tls),
        "curl": ([program("curl"), "-s", "-o", "f", *trust["curl"], url], None),
        "wget2": ([program("wget2"), "-q", "-O", "f", *trust["wget2"], url], None),
        "aria2c -x16": ([*aria, url], None),
        "aria2c -x16 --checksum=sha-256": ([*aria, "--checksum=sha-256=" + digest, url], None),
        "rclone copyurl": ([program("rclone"), "copyurl", *trust["rclone"], url, "f"], None),
    }
    name = f"one file of {size_text(args.size)}, {'TLS' if tls else 'plain HTTP'}, page cache to tmpfs"
    receive = [program("curl"), "-s", "-o", "/dev/null", *trust["curl"], url]
    limit = limit_of(site, name, receive, None, args.size, args.rounds)
    compare(name, site, contenders, args.rounds, args.size, limit=limit)


def small(site, args):
    listing = site.folder + "/www/small.txt"
    with open(listing, "w") as out:
        for path in site.models["small"]:
            out.write(path + "\n")
    contenders = {
        "ome": ome(site, "small"),
        "rclone (http remote)": ([program("rclone"), "copy", "--http-url", site.url(f"bench/small/resolve/{COMMIT}/"),
                                  "--files-from", listing, "--no-traverse", "--transfers", "32", "--checkers", "32", ":http:",
                                  "r"], None),
        "curl --parallel": ([program("curl"), "-s", "--parallel", "--parallel-max", "32", "--create-dirs", "--remote-name-all",
                             "--output-dir", "c", site.file_url("small", f"[0-{max(args.files // 100 - 1, 0)}]/[0-99].json")], None),
        "huggingface_hub": backends.hub_python("bench/small", site.url("").rstrip("/"), site.folder),
    }
    if args.quick:
        del contenders["huggingface_hub"]
    return compare(f"{len(site.models['small'])} files of 8 KiB", site, contenders, args.rounds,
                   len(site.models["small"]) * 8192)


def memory(site, args):
    runs = [measure(site, *ome(site, "eight")[:1], site.folder + "/target", ome(site, "eight")[1]) for _ in range(3)]
    rss = statistics.median(r.memory for r in runs)
    shutil.rmtree(site.folder + "/target", ignore_errors=True)
    print(f"\nresident memory while moving 8 files of {size_text(args.size // 8)}: {rss:.0f} MiB (bound: 64)", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=backends.bytes_of, default=4 * GIB, help="of the one file, 4g; the shards are twice that")
    parser.add_argument("--files", type=int, default=10000, help="small ones")
    parser.add_argument("--rows", default=",".join(ROWS), help="what to measure: " + ",".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="without the clients that take minutes")
    parser.add_argument("--folder", default="/dev/shm")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    rows = set(args.rows.split(","))
    if rows - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(rows - set(ROWS)))}")
    folder = tempfile.mkdtemp(prefix="ome-bench-", dir=args.folder)
    os.chmod(folder, 0o755)
    site = Site(folder)
    try:
        site.start()
        if {"http", "tls"} & rows:
            site.add("big", {"model.bin": args.size})
        if "http" in rows:
            measure(site, *ome(site, "big")[:1], folder + "/target", ome(site, "big")[1], checker(site, "big"))
            big(site, args, False)
        if "tls" in rows:
            big(site, args, True)
        if {"http", "tls"} & rows:
            site.remove("big")
        if "small" in rows:
            site.add("small", {f"{i // 100}/{i % 100}.json": 8192 for i in range(args.files)})
            measure(site, *ome(site, "small")[:1], folder + "/target", ome(site, "small")[1], checker(site, "small"))
            small(site, args)
            site.remove("small")
        for name, row in (("s3", backends.s3), ("shards", backends.shards), ("xet", backends.xet)):
            if name in rows:
                row(folder, args, write_file)
        if "memory" in rows:
            site.add("eight", {f"model-{i}.bin": args.size // 8 for i in range(8)})
            memory(site, args)
    finally:
        site.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
