#!/usr/bin/env python3
"""A disk that fails once under `ome apiserver` while many write at a time: who was told of a write finds it, also after a start
anew; who was refused is told why, and the same write made again is taken; a watch tells of each object once.

usage: apiserver_disk_test.py PRELOAD
"""

import json
import os
import sys
import threading

import scenario
from scenario import ApiServer, wait_for

PRELOAD = sys.argv[1]
MAPS = "/api/v1/namespaces/default/configmaps"
WRITERS, EACH = 8, 15
FLUSHES = (14, 18, 24, 30)  # which of the disk's answers is EIO; to start takes a few


class Watch(threading.Thread):
    """The names that a watch from VERSION on tells of, in order."""

    def __init__(self, server, version):
        super().__init__(daemon=True)
        self.connection = server.ask_for("GET", f"{MAPS}?watch=true&resourceVersion={version}")
        self.names = []
        self.start()

    def run(self):
        for line in self.connection.getresponse():
            event = json.loads(line)
            assert event["type"] == "ADDED", event
            self.names.append(event["object"]["metadata"]["name"])


def write(server, names, refused):
    for name in names:
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}}
        status, body, _ = server.answer("POST", MAPS, json.dumps(document))
        if status != 201:
            refused[name] = (status, body)


def names_of(server):
    return sorted(o["metadata"]["name"] for o in server.api("GET", MAPS)["items"])


def fails_at(folder, number):
    """How many writes were refused for the flush that failed."""
    server = ApiServer(folder)
    hit = folder + "/hit"
    server.env.update(LD_PRELOAD=PRELOAD, FAULT=f"fdatasync:{number}:5", FAULT_DIR=server.data, FAULT_HIT=hit)
    server.start()
    watch = Watch(server, server.api("GET", MAPS)["metadata"]["resourceVersion"])
    refused = {}
    wanted = [f"m-{i}-{j}" for i in range(WRITERS) for j in range(EACH)]
    writers = [threading.Thread(target=write, args=(server, wanted[i * EACH:(i + 1) * EACH], refused)) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert os.path.exists(hit), f"the disk was not asked {number} times"
    assert refused, "the disk failed and nobody was told"
    for name, (status, body) in refused.items():
        assert status == 500 and "Input/output error" in body, (name, status, body)
    there = set(names_of(server))
    assert not set(wanted) - there - set(refused), "what was acknowledged is gone"
    again = {}
    write(server, sorted(refused), again)
    assert all(status == 409 for status, _ in again.values()), again  # it was kept after all
    wait_for("the watch to tell of all", lambda: len(watch.names) >= len(wanted))
    assert sorted(watch.names) == sorted(wanted), watch.names
    server.kill()
    server = ApiServer(folder)
    server.start()
    assert names_of(server) == sorted(wanted), "a start anew found something else"
    server.stop()
    return len(refused)


def main():
    with scenario.scratch() as folder:
        refused = [fails_at(f"{folder}/{number}", number) for number in FLUSHES]
    print(f"{len(FLUSHES)} disks that failed once under {WRITERS} writers: {sum(refused)} of {len(FLUSHES) * WRITERS * EACH} "
          "writes refused, each taken when it was made again; nothing that was acknowledged was lost")


if __name__ == "__main__":
    main()
