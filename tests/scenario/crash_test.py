#!/usr/bin/env python3
"""The model store killed right before a call that changes what is on disk, one run a call: while a model is brought, while
another revision takes its place, and while damage is repaired. Whatever is left, no wrong file is in the folder and the
next pull makes everything right without anybody's help.

usage: crash_test.py PRELOAD [EVERY]     each EVERYth call, from a random one on; 1 for all of them
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import scenario
from scenario import DEADLINE, OME, Hub, Store, check_files

PRELOAD = sys.argv[1]
EVERY = int(sys.argv[2]) if len(sys.argv) > 2 else 1
MIB = 1 << 20
WEIGHTS = os.urandom(9 * MIB)  # three pieces
OLD = {"weights.bin": WEIGHTS, "config.json": b"{}", "gone/away": b"old"}
NEW = {"weights.bin": WEIGHTS, "config.json": b'{"model_type": "llama"}', "of/late": b"new"}


def flip(path):
    before = os.stat(path)
    with open(path, "r+b") as blob:
        blob.seek(5 * MIB)
        blob.write(bytes([WEIGHTS[5 * MIB] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class Round:
    """One state of the store and one command on it, killed again and again."""

    def __init__(self, folder, hub, prepare, command, allowed):
        self.folder, self.hub, self.command, self.allowed = folder, hub, command, allowed
        self.prepared = folder + "/prepared"
        os.makedirs(folder + "/work")  # references know their folder by its path
        prepare(Store(folder + "/work", hub.url))
        os.rename(folder + "/work", self.prepared)

    def fresh(self):
        """A copy of the prepared state, links and all."""
        shutil.rmtree(self.folder + "/work", ignore_errors=True)
        subprocess.run(["cp", "-a", self.prepared, self.folder + "/work"], check=True)
        return Store(self.folder + "/work", self.hub.url)

    def check(self, store, digests):
        """What is in the folder is what the command found there or what it was to bring, each file whole."""
        for path, _, names in os.walk(store.folder + "/m"):
            for name in names:
                full = os.path.join(path, name)
                relative = os.path.relpath(full, store.folder + "/m")
                with open(full, "rb") as data:
                    assert name.startswith(".ome-") or data.read() in self.allowed.get(relative, []), relative
        store.pull("m", "m")
        check_files(store.folder + "/m", digests)
        assert not store.staged()
        store.verb("gc")
        assert len(store.blobs()) == len(digests)

    def run(self, digests):
        """The number of kills, until the command came to its end."""
        kills = 0
        for number in range(random.randint(1, EVERY), 5000, EVERY):
            store = self.fresh()
            done = subprocess.run(self.command(store), capture_output=True, timeout=DEADLINE, check=False, env=dict(
                store.environment, LD_PRELOAD=PRELOAD, CRASH_AT=str(number)))
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            self.check(store, digests)
            if done.returncode == 0:
                return kills
            kills += 1
        raise AssertionError("it does not come to an end")


def both(*contents):
    """By path: what may be there."""
    found = {}
    for files in contents:
        for path, data in files.items():
            found.setdefault(path, []).append(data)
    return found


def pull(store):
    return store.command("m", "m", "--connections", "1")


def scrub(store):
    return [OME, "store", "scrub", "--store", store.root]


def main():
    if os.path.isdir("/dev/shm"):
        tempfile.tempdir = "/dev/shm"  # hundreds of runs that sync; what a kill loses is the same
    seed = int(os.environ.get("OME_SEED", time.time()))
    print(f"seed {seed}")
    random.seed(seed)
    with scenario.scratch() as folder:
        digests = scenario.write_files(folder + "/hub/test/m", NEW)
        hub = Hub(folder + "/hub")
        fresh = Round(folder + "/fresh", hub, lambda store: None, pull, both(NEW)).run(digests)

        def old(store):
            shutil.rmtree(folder + "/hub/test/m")
            scenario.write_files(folder + "/hub/test/m", OLD)
            store.pull("m", "m")
            shutil.rmtree(folder + "/hub/test/m")
            scenario.write_files(folder + "/hub/test/m", NEW)

        update = Round(folder + "/update", hub, old, pull, both(OLD, NEW)).run(digests)

        def damaged(store):
            store.pull("m", "m")
            flip(store.folder + "/m/weights.bin")

        wrong = bytearray(WEIGHTS)
        wrong[5 * MIB] ^= 1
        repair = Round(folder + "/repair", hub, damaged, scrub, both(NEW, {"weights.bin": bytes(wrong)})).run(digests)
        hub.stop()
    print(f"{fresh} kills of a pull, {update} of an update, {repair} of a repair: each before another call")


main()
