#!/usr/bin/env python3
"""Who takes a model from other nodes takes it from the nearest that have it: those in its zone, else in its region; from farther ones
when none of these answers.
"""

import os
import sys

import agents
import scenario
from agents import Agent
from agents_test import MIB, make_model, model
from scenario import Hub, Line, wait_for

NAME = "near"
REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
# Region and zone by node, givers first.
PLACES = {"east-1-a": ("east", "east-1"), "west-1-a": ("west", "west-1"),
          "west-1-b": ("west", "west-1"), "east-1-b": ("east", "east-1"), "east-2-a": ("east", "east-2"), "west-1-c": ("west", "west-1")}
GIVERS, TAKERS = tuple(PLACES)[:2], tuple(PLACES)[2:]


class World:
    def __init__(self, folder, server):
        self.server = server
        scenario.install(server)
        os.makedirs(folder + "/hub")
        self.hub = Hub(folder + "/hub")
        self.line = Line(self.hub.port)
        # Three pieces in all: as many as one node may be asked for at a time, of five.
        self.digests = make_model(self.hub.folder, NAME, 4)
        self.size = sum(os.path.getsize(f"{self.hub.folder}/test/{NAME}/{path}") for path in self.digests)
        self.agents = {}
        for name, (region, zone) in PLACES.items():
            node = agents.node(name, group="all", **{REGION: region, ZONE: zone})
            server.apply({**node, "spec": {"unschedulable": name in TAKERS}})
            self.agents[name] = Agent(server, folder, name, self.line.url)
        server.apply(model(NAME, NAME, nodeSelector={"group": "all"}))

    def begin(self):
        """Takers want it and are cordoned: so givers have met them before they ask."""
        for names, state in ((TAKERS, "Updating"), (GIVERS, "Ready")):
            for name in names:
                self.agents[name].start()
            wait_for(f"{names} to be {state}", lambda names=names, state=state: all(self.agents[n].label(NAME) == state for n in names))

    def given(self):
        return {name: a.metrics().get('model_agent_served_bytes_total{to="node"}', 0.0)
                for name, a in self.agents.items() if a.process.poll() is None}

    def take(self, name, *nearest):
        """NAME may begin, and takes all of it from those of NEAREST."""
        agent, before, passed = self.agents[name], self.given(), self.line.passed
        self.server.api("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None}}, "application/merge-patch+json")
        wait_for(f"it on {name}", lambda: agent.label(NAME) == "Ready")
        scenario.check_files(agent.folder_of(NAME), self.digests)
        came = lambda: {other: now - before[other] for other, now in self.given().items() if now > before[other]}
        wait_for("it to be counted", lambda: sum(came().values()) >= self.size)
        gave = came()
        assert set(gave) <= set(nearest) and sum(gave.values()) == self.size, (name, nearest, gave, self.size)
        assert agent.fetched("peer") == self.size and self.line.passed - passed < MIB, (agent.metrics(), self.line.passed - passed)
        print(name, "took", ", ".join(f"{int(n)} bytes from {other}" for other, n in gave.items()), flush=True)


def main():
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        w = World(folder, server)
        w.begin()
        w.take("west-1-b", "west-1-a")
        w.take("east-1-b", "east-1-a")
        w.take("east-2-a", "east-1-a", "east-1-b")
        for name in ("west-1-a", "west-1-b"):
            w.agents[name].kill()
        w.take("west-1-c", "east-1-a", "east-1-b", "east-2-a")
        for agent in w.agents.values():
            if agent.process.poll() is None:
                agent.stop()
        w.hub.stop()


if __name__ == "__main__":
    sys.exit(main())
