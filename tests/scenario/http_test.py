#!/usr/bin/env python3
"""The `http` plugin against nginx: a file, lists of files, redirects, no ranges, a limited rate, basic authentication."""

import json
import os
import socket
import subprocess

import peers
from scenario import DEADLINE, NO_HOME, OME, check_files, end_with_us, free_port, plugins_conf, scratch, storage_suite, wait_for, write_files

MIB = 1 << 20
PASSWORD = "open sesame"
MODEL = {"config.json": b'{"model_type": "llama"}', "deep/a b&+.bin": os.urandom(1000), "empty": b"",
         "model.safetensors": os.urandom(40 * MIB + 5)}

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port}; root {folder}/root;
    location /jump/ {{ rewrite ^/jump/(.*)$ /m/$1 redirect; }}
    location /loop {{ return 302 /loop; }}
    location /whole/ {{ alias {folder}/root/m/; max_ranges 0; }}
    location /slow/ {{ alias {folder}/root/m/; limit_rate 20m; }}
    location /private/ {{ alias {folder}/root/m/; auth_basic models; auth_basic_user_file {folder}/users; }}
    location /guarded/ {{ alias {folder}/root/many/; auth_basic models; auth_basic_user_file {folder}/users; }}
    location = /half/index.json {{ }}
    location = /half/SHA256SUMS {{ return 404; }}
    location /half/ {{ return 403; }}
    location /token/ {{ if ($http_authorization != "Bearer {token}") {{ return 403; }} alias {folder}/root/m/; }}
  }}
}}
"""


class Setting:
    def __init__(self, folder):
        self.folder, self.count, self.port = folder, 0, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.digests = write_files(folder + "/root/m", MODEL)
        os.mkdir(folder + "/root/half")
        with open(folder + "/root/m/SHA256SUMS", "w") as out:
            out.write("".join(f"{digest}  {path}\n" for path, digest in self.digests.items()))
        files = [{"path": p, "size": len(MODEL[p]), "sha256": d} for p, d in self.digests.items()]
        with open(folder + "/root/m/index.json", "w") as out:
            json.dump({"files": files}, out)
        with open(folder + "/users", "w") as out:
            out.write("ome:{PLAIN}" + PASSWORD + "\n")
        with open(folder + "/nginx.conf", "w") as out:
            out.write(CONFIGURATION.format(folder=folder, port=self.port, token=PASSWORD))
        self.nginx = end_with_us(subprocess.Popen([peers.program("nginx"), "-c", folder + "/nginx.conf", "-p", folder],
                                                  stderr=subprocess.DEVNULL))
        wait_for("nginx", self.answers)

    def answers(self):
        assert self.nginx.poll() is None, open(self.folder + "/error.log").read()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def plugins(self, **settings):
        return plugins_conf(self.folder + "/plugins.conf", "storage-http", http=settings)

    def ome(self, path, parameters=(), options=(), **settings):
        self.count += 1
        target = f"{self.folder}/pulled-{self.count}"
        given = [*options, *(word for p in parameters for word in ("--parameter", p))]
        done = subprocess.run([OME, "pull", self.url + path, target, "--plugins", self.plugins(**settings), "-o", "json", *given],
                              capture_output=True, text=True, timeout=DEADLINE, env=dict(os.environ, HOME=NO_HOME))
        assert PASSWORD not in done.stdout + done.stderr, "the password was printed"
        return target, done.returncode, done.stderr

    def pull(self, path, only=None, **settings):
        target, code, errors = self.ome(path, **settings)
        assert code == 0, errors
        check_files(target, {only: self.digests[only]} if only else self.digests)

    def refused(self, path, *words, **settings):
        _, code, errors = self.ome(path, **settings)
        assert code == 1 and all(w in errors for w in words), errors


def parameters(s):
    """What a model's own parameters say, on the command line; secrets are read from a file."""
    def kept(name, text):
        with open(f"{s.folder}/{name}", "w") as out:
            out.write(text)
        return f"@{s.folder}/{name}"
    secret, wrong = kept("secret", PASSWORD + "\n"), kept("wrong", "another")
    s.pull("/private/", parameters=["username=ome", "password=" + secret])
    s.pull("/token/", parameters=["token=" + secret])
    s.refused("/token/", "403", parameters=["token=" + wrong])
    # The list is public here, the file is not: it is the transfer that is refused, and says nothing of another hub.
    with open(s.folder + "/root/m/index.json") as listed, open(s.folder + "/root/half/index.json", "w") as out:
        out.write(listed.read())
    _, code, errors = s.ome("/half/")
    assert code == 1 and "403" in errors and "credentials" in errors and "hub" not in errors, errors
    s.refused("/token/", "command line", "token=@FILE", parameters=["token=guess"])
    s.refused("/token/", "--parameter token", "absent", parameters=[f"token=@{s.folder}/absent"])
    s.refused("/token/", "KEY=VALUE", parameters=["token"])


def suite(s):
    """What every storage plugin has to do; HTTP has no writing."""
    contents = {f"dir-{i % 7}/file-{i:03}": b"x" * (i % 50) for i in range(250)}
    digests = write_files(s.folder + "/root/many", {**contents, "weights.bin": MODEL["model.safetensors"]})
    with open(s.folder + "/root/many/SHA256SUMS", "w") as out:
        out.write("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
    conf = s.plugins(origin=s.url, username="ome", password=PASSWORD)
    storage_suite("storage-http", s.url + "/guarded/", conf=conf, expect=digests, skips=["upload", "stopped-upload"],
                  wrong=["username=ome", "password=nothing"])


def main():
    with scratch() as folder:
        s = Setting(folder)
        big = "model.safetensors"
        for path in ("/m/", "/m/SHA256SUMS", "/m/index.json", "/jump/SHA256SUMS", "/slow/", "/whole/"):
            s.pull(path)
        for path in ("/m/", "/jump/", "/whole/"):
            s.pull(path + big, only=big)
            s.pull(path + big + "#sha256=" + s.digests[big], only=big)
        s.pull("/m/empty", only="empty")
        s.refused("/m/" + big + "#sha256=" + "0" * 64, big)
        s.refused("/m/absent.gguf", "404", "absent.gguf")
        s.refused("/m/", "has no revisions", "main", options=["--revision", "main"])
        s.refused("/", "SHA256SUMS", "index.json")
        s.refused("/loop/x", "loop")
        s.refused("/m/config.json#part", "#sha256=HEX")
        s.refused("/private/", "401", "credentials")
        s.pull("/private/", origin=s.url, username="ome", password=PASSWORD)
        s.refused("/private/", "401", origin="http://127.0.0.1:1", username="ome", password=PASSWORD)
        s.refused("/private/", "401", origin=s.url, username="ome", password="another")
        s.pull("/token/" + big, only=big, origin=s.url, token=PASSWORD)
        parameters(s)
        suite(s)
        with open(folder + "/root/m/config.json", "w") as out:
            out.write("other bytes than the list says")
        s.refused("/m/", "config.json")
        s.nginx.terminate()
        s.nginx.wait(DEADLINE)
    print("http: files, lists, redirects, credentials")


main()
