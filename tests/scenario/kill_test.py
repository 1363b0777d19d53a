#!/usr/bin/env python3
"""`kill -9` of `ome up` at random points, many times: nothing acknowledged is lost, no partial model is Ready, no engine
outlives the platform, and the service comes back by itself.

usage: kill_test.py [ROUNDS]
"""

import hashlib
import os
import random
import sys
import threading
import time

import scenario
from scenario import ISVC, MODEL, Hub, Platform, is_ready, wait_for

SENTENCE = "Hello from the survivor : still here ."


class Writer(threading.Thread):
    """Creates ConfigMaps until the API goes away; remembers which were acknowledged."""

    def __init__(self, platform, acknowledged):
        super().__init__()
        self.platform, self.acknowledged = platform, acknowledged

    def run(self):
        while True:
            name = f"written-{len(self.acknowledged)}-{time.monotonic_ns()}"
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"name": name}}
            try:
                self.platform.api("POST", "/api/v1/namespaces/default/configmaps", body)
            except (OSError, scenario.http.client.HTTPException, ValueError):
                return
            self.acknowledged.append(name)


def check_models(platform, digest):
    """A model that says Ready has the right bytes."""
    stored = platform.find(MODEL + "tiny")
    if (stored or {}).get("status", {}).get("state") != "Ready":
        return
    for folder, _, files in os.walk(os.path.join(platform.data, "store")):
        if "staging" in folder:
            continue
        for name in files:
            if name.endswith(".gguf"):
                data = open(os.path.join(folder, name), "rb").read()
                assert hashlib.sha256(data).hexdigest() == digest, f"{name} is Ready and wrong"


def kill_while_starting(platform, moment):
    platform.spawn()
    time.sleep(moment / 10)  # a start takes some tenths of a second
    platform.kill()


def one_round(platform, acknowledged, digest, moment):
    platform.start()
    platform.apply(scenario.model("tiny", "hf://test/tiny"))
    platform.apply(scenario.runtime())
    platform.apply(scenario.service("chat", "tiny"))
    check_models(platform, digest)
    writer = Writer(platform, acknowledged)
    writer.start()
    time.sleep(moment)  # the random point is the subject of the test
    platform.kill()
    writer.join()
    wait_for("the processes to end", lambda: not scenario.processes_with(platform.data))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(os.environ.get("OME_SEED", time.time()))
    print(f"seed {seed}")
    chance = random.Random(seed)
    scenario.need_engine()
    with scenario.scratch() as folder:
        scenario.make_tiny(folder + "/hub", "test/tiny", SENTENCE)
        digest = hashlib.sha256(open(folder + "/hub/test/tiny/model.gguf", "rb").read()).hexdigest()
        hub = Hub(folder + "/hub")
        platform = Platform(folder, hub)
        acknowledged = []
        for number in range(rounds):
            if number % 5 == 4:
                kill_while_starting(platform, chance.uniform(0.0, 2.5))
            one_round(platform, acknowledged, digest, chance.uniform(0.0, 2.5))
        platform.start()
        stored = {o["metadata"]["name"] for o in platform.api("GET", "/api/v1/namespaces/default/configmaps")["items"]}
        lost = [name for name in acknowledged if name not in stored]
        assert not lost, f"{len(lost)} acknowledged objects are gone: {lost[:5]}"
        wait_for("the service to be Ready", lambda: is_ready(platform.find(ISVC + "chat")))
        assert wait_for("an answer", lambda: platform.chat("chat")) == SENTENCE
        check_models(platform, digest)
        platform.stop()
        hub.stop()
        assert not scenario.processes_with(platform.data)
    print(f"{rounds} kills survived, {len(acknowledged)} acknowledged objects kept")


main()
