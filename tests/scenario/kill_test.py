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


def digests(folder):
    found = {}
    for path, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(path, name), "rb") as data:
                found[name] = hashlib.file_digest(data, "sha256").hexdigest()
    return found


def check_models(platform, hub):
    """A model that says Ready has all of the right bytes.  True when the large one did."""
    ready = False
    for name in ("tiny", "large"):
        if (platform.find(MODEL + name) or {}).get("status", {}).get("state") == "Ready":
            found = digests(f"{platform.data}/store/models/clusterbasemodel.{name}")
            assert found == hub.digests[name], f"{name} is Ready and wrong: {found}"
            ready = name == "large"
    return ready


def kill_while_starting(platform, moment):
    platform.spawn()
    time.sleep(moment / 10)  # a start takes some tenths of a second
    platform.kill()


def one_round(platform, hub, acknowledged, moment):
    platform.start()
    if check_models(platform, hub):
        platform.api("DELETE", MODEL + "large")  # to be killed in the middle of the next download
        wait_for("the large model to go", lambda: not platform.find(MODEL + "large"))
    platform.apply(scenario.model("tiny", "hf://test/tiny"))
    platform.apply(scenario.model("large", "hf://test/large"))
    platform.apply(scenario.runtime())
    platform.apply(scenario.service("chat", "tiny"))
    writer = Writer(platform, acknowledged)
    writer.start()
    time.sleep(moment)  # the random point is the subject of the test
    platform.kill()
    writer.join()
    wait_for("the processes to end", lambda: not scenario.processes_with(platform.data))


def start_hub(folder):
    """A hub with a model that answers and one that takes a while to download; knows the digests of their files."""
    scenario.make_tiny(folder, "test/tiny", SENTENCE)
    scenario.make_tiny(folder, "test/large", SENTENCE)
    for number in range(2):
        with open(f"{folder}/test/large/{number}.bin", "wb") as out:
            out.write(os.urandom(48 << 20))
    hub = Hub(folder)
    hub.digests = {name: digests(f"{folder}/test/{name}") for name in ("tiny", "large")}
    return hub


def after_all(platform, hub, acknowledged):
    """Everything is there and everything works, without anybody's help."""
    platform.start()
    stored = {o["metadata"]["name"] for o in platform.api("GET", "/api/v1/namespaces/default/configmaps")["items"]}
    lost = [name for name in acknowledged if name not in stored]
    assert not lost, f"{len(lost)} acknowledged objects are gone: {lost[:5]}"
    wait_for("the service to be Ready", lambda: is_ready(platform.find(ISVC + "chat")))
    assert wait_for("an answer", lambda: platform.chat("chat")) == SENTENCE
    wait_for("the large model to be whole", lambda: check_models(platform, hub))
    pods = platform.api("GET", "/api/v1/namespaces/default/pods")["items"]
    assert len(pods) == 1, [p["metadata"]["name"] for p in pods]
    platform.stop()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(os.environ.get("OME_SEED", time.time()))
    print(f"seed {seed}")
    chance = random.Random(seed)
    scenario.need_engine()
    with scenario.scratch() as folder:
        hub = start_hub(folder + "/hub")
        platform = Platform(folder, hub)
        acknowledged = []
        for number in range(rounds):
            if number % 5 == 4:
                kill_while_starting(platform, chance.uniform(0.0, 2.5))
            one_round(platform, hub, acknowledged, chance.uniform(0.0, 2.5))
        after_all(platform, hub, acknowledged)
        hub.stop()
        assert not scenario.processes_with(platform.data)
    print(f"{rounds + rounds // 5} kills survived, {len(acknowledged)} acknowledged objects kept")


main()
