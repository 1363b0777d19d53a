#!/usr/bin/env python3
"""The model store: what models share is fetched and kept once, whoever asks at the same time; it survives `kill -9` at any
moment; damage is found, and no more than the damaged range fetched again; no name that a remote lists leads out of a
folder."""

import hashlib
import http.server
import json
import os
import random
import shutil
import threading
import time

import scenario
from scenario import DEADLINE, Hub, Line, Store, check_files, wait_for

MIB = 1 << 20
PIECE = 4 * MIB  # what damage is located to


def make_models(folder):
    """Two models that share their weights; their files' digests by path."""
    weights = os.urandom(40 * MIB)
    models = {}
    for name in ("one", "two"):
        files = {"weights.bin": weights, "config.json": b'{"model_type": "llama"}', "of/" + name: name.encode() * 1000}
        models[name] = scenario.write_files(f"{folder}/test/{name}", files)
    return models


def inode(*parts):
    return os.stat("/".join(parts)).st_ino


def shares(folder, hub, models):
    """The second model costs what only it has; what only the first had goes with its folder."""
    line = Line(hub.port)
    store = Store(folder + "/shares", line.url)
    store.pull("one", "a")
    before = line.passed
    store.pull("two", "b")
    assert line.passed - before < MIB, f"{line.passed - before} bytes for a model that was there but for {MIB}"
    check_files(store.folder + "/a", models["one"])
    check_files(store.folder + "/b", models["two"])
    assert inode(store.folder, "a/weights.bin") == inode(store.folder, "b/weights.bin")
    assert len(store.blobs()) == 4 and not store.staged()
    listed = {entry["uri"]: entry for entry in store.verb("list")}
    assert listed["hf://test/one"]["bytes"] > 40 * MIB and listed["hf://test/one"]["uniqueBytes"] == 3000, listed
    shutil.rmtree(store.folder + "/a")
    freed = store.verb("gc")
    assert freed == {"bytes": 3000, "blobs": 1, "stagings": 0, "references": 1}, freed
    check_files(store.folder + "/b", models["two"])
    before = line.passed
    store.pull("one", "a", "--include", "config.json", "--include", "*.bin")
    assert line.passed - before < MIB and sorted(os.listdir(store.folder + "/a")) == ["config.json", "weights.bin"]
    line.close()


def at_once(folder, hub, models):
    """Whoever comes second waits for the first, names it, and fetches nothing; two for one folder take turns."""
    line = Line(hub.port, 10 * MIB)
    store = Store(folder + "/at-once", line.url)
    first = store.start("one", "a", "--connections", "1")
    wait_for("the first to fetch", lambda: line.passed > 4 * MIB)
    others = [store.start("two", "b"), store.start("one", "a")]
    said = [process.communicate(timeout=DEADLINE) for process in others]
    assert first.wait(DEADLINE) == 0 and [process.returncode for process in others] == [0, 0], said
    assert f"is being fetched by process {first.pid} (hf://test/one)" in said[0][0], said[0]
    assert f"is being brought by process {first.pid} (hf://test/one)" in said[1][0], said[1]
    assert line.passed < 41 * MIB, f"{line.passed} bytes fetched of 40 MiB"
    check_files(store.folder + "/a", models["one"])
    check_files(store.folder + "/b", models["two"])
    line.close()


def one_folder(folder, hub, models):
    """Two pulls into one folder that has no store beside it: both end well, and the store in it goes with the last."""
    line = Line(hub.port, 20 * MIB)
    store = Store(folder + "/one-folder", line.url)
    store.root = None
    processes = [store.start("one", "a") for _ in range(3)]
    said = [process.communicate(timeout=DEADLINE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert line.passed < 41 * MIB, f"{line.passed} bytes fetched of 40 MiB"
    check_files(store.folder + "/a", models["one"])
    line.close()


def killed(folder, hub, models, chance):
    """Killed again and again, two at a time: no wrong byte in the folder, little fetched again, nothing left behind."""
    line = Line(hub.port, 60 * MIB)
    store = Store(folder + "/killed", line.url)
    for _ in range(12):
        processes = [store.start("one", "a", "--connections", "2"), store.start("two", "b", "--connections", "2")]
        time.sleep(chance.uniform(0.0, 0.4))  # the point of time is the subject
        for process in processes:
            process.kill()
            process.communicate()
        for target, name in (("a", "one"), ("b", "two")):
            weights = f"{store.folder}/{target}/weights.bin"
            if os.path.exists(weights):
                digest = hashlib.sha256(open(weights, "rb").read()).hexdigest()
                assert digest == models[name]["weights.bin"], "a wrong byte was published"
    store.pull("one", "a")
    store.pull("two", "b")
    check_files(store.folder + "/a", models["one"])
    check_files(store.folder + "/b", models["two"])
    assert not store.staged() and store.verb("gc")["bytes"] == 0
    line.close()


def flip(path, at):
    """One bit, as a disk does: without a trace."""
    before = os.stat(path)
    with open(path, "r+b") as blob:
        blob.seek(at)
        byte = blob.read(1)[0]
        blob.seek(at)
        blob.write(bytes([byte ^ 4]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def damaged(folder, hub, models):
    """Scrub finds a flipped bit and fetches its piece; what a program writes into a folder is seen without a scrub."""
    line = Line(hub.port)
    store = Store(folder + "/damaged", line.url)
    store.pull("one", "a")
    store.pull("two", "b")
    assert store.verb("scrub")["damaged"] == []
    flip(store.folder + "/a/weights.bin", 13 * MIB)
    before = line.passed
    found = store.verb("scrub")
    assert [d["path"] for d in found["damaged"]] == ["weights.bin"], found
    assert found["damaged"][0]["damagedBytes"] == PIECE and found["damaged"][0]["repaired"], found
    assert PIECE <= line.passed - before < PIECE + MIB, f"{line.passed - before} bytes fetched for a piece of {PIECE}"
    check_files(store.folder + "/a", models["one"])
    check_files(store.folder + "/b", models["two"])
    with open(store.folder + "/a/weights.bin", "r+b") as weights:
        weights.write(b"scribble")
    before = line.passed
    store.pull("one", "a")
    assert line.passed - before < PIECE + MIB, f"{line.passed - before} bytes fetched for a piece of {PIECE}"
    check_files(store.folder + "/a", models["one"])
    with open(store.folder + "/a/of/one", "wb") as small:
        small.write(b"?" * 3000)
    code, _, errors = store.run(store.command("one", "a", "--verify-only"))
    assert code == 1 and "1 of 3 files" in errors, errors
    store.pull("one", "a")
    store.pull("one", "a", "--verify-only")
    line.close()


class Hostile(http.server.BaseHTTPRequestHandler):
    """A hub that lists one file, by whatever name the model's name stands for."""

    names = {}
    content = b"evil"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        model = self.path.split("/")[4] if self.path.startswith("/api/") else ""
        if "/revision/" in self.path:
            self.answer(json.dumps({"sha": "a" * 40}).encode())
        elif "/tree/" in self.path:
            self.answer(json.dumps([{"type": "file", "path": path, "size": len(self.content),
                                     "lfs": {"oid": hashlib.sha256(self.content).hexdigest()}}
                                    for path in self.names[model]]).encode())
        else:
            self.answer(self.content)

    def log_message(self, *_):
        pass


def everything_below(folder):
    return sorted(os.path.join(path, name) for path, folders, files in os.walk(folder) for name in files + folders)


def hostile(folder):
    """Names that lead out are refused and nothing is written; strange ones that lead nowhere are files like others."""
    refused = ["../evil", "/evil", "a/../../evil", "a/./evil", "a//evil", "evil/", "..", "a\0b", "a\nb", "a\\..\\b",
               "x" * 256, "/".join(["d" * 200] * 6), ""]
    strange = ["dev/null", "CON", "nul.txt", "aux", "...", ".hidden", "-rf", "~root", "$(id)", "a b", "\u2603", "e:vil"]
    Hostile.names = {f"m{i}": [name] for i, name in enumerate(refused)}
    Hostile.names.update({"strange": strange, "case": ["readme", "README"], "link": ["sub/evil"], "twice": ["a", "a"],
                          "both": ["a", "a/b"], "fifo": ["pipe"]})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store = Store(folder + "/hostile", f"http://127.0.0.1:{server.server_address[1]}")
    scenario.write_files(store.folder + "/outside", {"there": b"mine"})
    os.makedirs(store.folder + "/t")
    os.symlink("../outside", store.folder + "/t/sub")
    os.mkfifo(store.folder + "/t/pipe")
    for model in [name for name in Hostile.names if name[0] == "m"] + ["twice", "both", "link"]:
        code, _, errors = store.run(store.command(model, "t"))
        assert code == 1 and errors.startswith("ome: ") and "\n" not in errors.strip(), (model, errors)
        assert everything_below(store.folder + "/outside") == [store.folder + "/outside/there"], Hostile.names[model]
        assert set(os.listdir(store.folder)) <= {"outside", "store", "t"}, Hostile.names[model]
    assert sorted(os.listdir(store.folder + "/t")) == ["pipe", "sub"]
    store.pull("strange", "strange")
    assert {os.path.relpath(name, store.folder + "/strange") for name in
            everything_below(store.folder + "/strange")} == set(strange) | {"dev"}
    store.pull("case", "case")
    assert sorted(os.listdir(store.folder + "/case")) == ["README", "readme"]
    store.pull("fifo", "t")  # it is replaced, and nobody waits for a writer
    assert open(store.folder + "/t/pipe", "rb").read() == Hostile.content
    server.shutdown()


def main():
    seed = int(os.environ.get("OME_SEED", time.time()))
    print(f"seed {seed}")
    with scenario.scratch() as folder:
        models = make_models(folder + "/hub")
        hub = Hub(folder + "/hub")
        shares(folder, hub, models)
        at_once(folder, hub, models)
        one_folder(folder, hub, models)
        killed(folder, hub, models, random.Random(seed))
        damaged(folder, hub, models)
        hostile(folder)
        hub.stop()
    print("shared, waited for, killed, damaged and repaired; hostile names lead nowhere")


main()
