#!/usr/bin/env python3
"""kill -9 at random instants of a large `ome pull`: never a wrong byte in place, at most one range per connection fetched
again for each kill.

  kill_pull_test.py KILLS [MIB]      40 kills of a 256 MiB pull without arguments; the issue's own: 1000 2048
"""

import hashlib
import os
import random
import subprocess
import sys
import time

import scenario
from faulty_hub import FaultyHub
from scenario import DEADLINE, NO_HOME, OME

MIB = 1 << 20
CONNECTIONS = 4
CHUNK = 16 * MIB
KILLS = 25  # of each pull


def make_files(folder, size):
    """Two large files and some small ones: where they are and how long, and their digests."""
    files, digests = {}, {}
    noise = os.urandom(CHUNK)
    for number, (path, left) in enumerate([("a/model-1.bin", size // 2), ("a/model-2.bin", size - size // 2),
                                           *((f"small/{i}.json", 5000 + i) for i in range(20))]):
        full = f"{folder}/source-{number}"
        digest, files[path] = hashlib.sha256(), (full, left)
        with open(full, "wb") as out:
            while left:
                part = (os.urandom(8) + noise[8:left])[:left]
                out.write(part)
                digest.update(part)
                left -= len(part)
        digests[path] = digest.hexdigest()
    return files, digests


def digest_of(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def check_published(target, digests, sizes, whole):
    """What is in place is right, whatever happened; WHOLE: and all of it is."""
    for path, digest in digests.items():
        full = os.path.join(target, path)
        if os.path.exists(full) or whole:
            assert os.path.getsize(full) == sizes[path][1], (path, os.path.getsize(full))
            assert digest_of(full) == digest, f"{path}: wrong bytes in place"


def check_requests(hub, kills):
    """A range that was asked for again from its beginning or from its middle was lost with a kill."""
    again = sum(n - 1 for n in hub.ranges.values())
    assert again <= kills * CONNECTIONS, f"{again} ranges were fetched again after {kills} kills"
    return again


def one_model(folder, hub, digests, kills, longest):
    """Pulls the model once, killed up to KILLS times; how often it was."""
    target, killed = folder + "/target", 0
    hub.ranges.clear()
    command = [OME, "pull", "hf://test/model", target, "--connections", str(CONNECTIONS)]
    env = dict(os.environ, HF_ENDPOINT=hub.url, HOME=NO_HOME)
    while True:
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            process.wait(random.uniform(0, longest) if killed < kills else DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if process.returncode == 0:
            break
        assert process.returncode == -9, process.returncode
        if killed % 10 == 0:
            check_published(target, digests, hub.files, False)
    check_published(target, digests, hub.files, True)
    again = check_requests(hub, killed)
    subprocess.run(["rm", "-rf", target], check=True)
    return killed, again


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    size = int(sys.argv[2]) * MIB if len(sys.argv) > 2 else 256 * MIB
    seed = int(os.environ.get("OME_SEED", time.time_ns() % 1_000_000))
    random.seed(seed)
    done = again = models = 0
    with scenario.scratch() as folder:
        files, digests = make_files(folder, size)
        with FaultyHub(files, digests) as hub:
            began = time.monotonic()
            one_model(folder, hub, digests, 0, 0)
            longest = (time.monotonic() - began) * 2 / KILLS
            while done < kills:
                killed, lost = one_model(folder, hub, digests, min(kills - done, KILLS), longest)
                longest *= 0.7 if killed < KILLS else 1.1  # so that they reach from the beginning to the end
                done, again, models = done + killed, again + lost, models + 1
                print(f"{done} of {kills} kills", flush=True)
    print(f"{done} kills in {models} pulls of {size // MIB} MiB, {again} ranges fetched again, no wrong byte (seed {seed})")


main()
