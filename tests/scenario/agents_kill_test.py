#!/usr/bin/env python3
"""kill -9 of an agent at random instants, while models come, change and go: no blob ever has bytes that are not its name,
nothing is called Ready that is not whole, and in the end what is wanted is there, once, and nothing else is.

  agents_kill_test.py [KILLS [MIB]]      20 kills and models of 24 MiB without arguments; the long form: 1000 256
"""

import hashlib
import os
import random
import sys
import time

import agents
import scenario
from agents import Agent
from scenario import Hub, Line, wait_for

MIB = 1 << 20
MODELS = "/apis/ome.io/v1beta1/clusterbasemodels"
KILLS = 10  # between two looks at a world at rest


def make_repositories(folder, mib):
    """Two that share a file: digests by repository."""
    noise = random.Random(1)
    shared = b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(mib * MIB // 2 - 10)
    config = b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}'
    return {name: scenario.write_files(f"{folder}/test/{name}", {
        "config.json": config, "model-00001-of-00002.safetensors": shared,
        "model-00002-of-00002.safetensors": b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(mib * MIB // 2 - 10)})
        for name in ("one", "two")}


class World:
    def __init__(self, server, agent, digests):
        self.server, self.agent, self.digests = server, agent, digests
        self.wanted = {}  # repository by model

    def change(self):
        name = random.choice(("a", "b"))
        repository = random.choice(("one", "two", None))
        if repository:
            self.server.apply(scenario.model(name, f"hf://test/{repository}"))
            self.wanted[name] = repository
        elif self.wanted.pop(name, None):
            self.server.api("DELETE", f"{MODELS}/{name}")

    def blobs(self):
        for at, _, files in os.walk(f"{self.agent.store}/blobs"):
            for name in files:
                if len(name) == 64:
                    yield os.path.join(at, name)

    def check_truth(self):
        """While no agent runs: every blob is what it is called, and every model that is Ready is whole."""
        for path in self.blobs():
            with open(path, "rb") as data:
                found = hashlib.file_digest(data, "sha256").hexdigest()
            assert found == os.path.basename(path), f"{path} has other bytes"
        for name, repository in self.wanted.items():
            folder = self.agent.folder_of(name)
            if self.agent.label(name) == "Ready":
                assert any(self.is_whole(folder, d) for d in self.digests.values()), f"{name} ({repository}) is not whole"

    @staticmethod
    def is_whole(folder, digests):
        try:
            scenario.check_files(folder, digests)
        except (AssertionError, FileNotFoundError):
            return False
        return True

    def is_at_rest(self):
        record = (self.server.find(f"/api/v1/namespaces/{self.server.ome_ns}/configmaps/n") or {}).get("data", {})
        labels = {k for k in self.agent.node()["metadata"].get("labels", {}) if k.startswith("models.ome.io/")}
        return (all(self.agent.label(n) == "Ready" and self.is_whole(self.agent.folder_of(n), self.digests[r])
                    for n, r in self.wanted.items())
                and set(record) == {f"clusterbasemodel.{n}" for n in self.wanted}
                and labels == {f"models.ome.io/clusterbasemodel.{n}" for n in self.wanted})

    def come_to_rest(self):
        lives = self.agent.said().count("keeping models") if os.path.exists(self.agent.report) else 0
        self.agent.start()
        wait_for("the agent to start", lambda: self.agent.said().count("keeping models") > lives)
        wait_for(f"{self.wanted} and nothing else", self.is_at_rest, 2 * scenario.DEADLINE)
        self.agent.stop()
        self.check_truth()
        folders = set(os.listdir(f"{self.agent.store}/models")) if os.path.isdir(f"{self.agent.store}/models") else set()
        assert folders == {f"clusterbasemodel.{n}" for n in self.wanted}, folders


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    mib = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    seed = int(os.environ.get("OME_SEED", time.time_ns() % 1_000_000))
    random.seed(seed)
    print(f"seed {seed}", flush=True)
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        scenario.install(server)
        os.makedirs(folder + "/hub")
        digests = make_repositories(folder + "/hub", mib)
        hub = Hub(folder + "/hub")
        line = Line(hub.port, rate=mib * MIB // 12)
        server.apply(agents.node("n"))
        world = World(server, Agent(server, folder, "n", line.url, options=("--peer-address", "")), digests)
        world.change()
        began = time.monotonic()
        world.come_to_rest()
        longest = max(2 * (time.monotonic() - began), 1.0)
        for kill in range(1, kills + 1):
            world.change()
            world.agent.start()
            time.sleep(random.uniform(0, longest))  # the instant is the test
            world.change()
            world.agent.kill()
            world.check_truth()
            if kill % KILLS == 0 or kill == kills:
                world.come_to_rest()
                print(f"{kill} of {kills} kills", flush=True)
        hub.stop()
    print(f"{kills} kills, models of {mib} MiB, {line.passed // MIB} MiB fetched, no wrong byte (seed {seed})")


if __name__ == "__main__":
    sys.exit(main())
