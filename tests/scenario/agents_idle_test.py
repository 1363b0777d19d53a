#!/usr/bin/env python3
"""An agent that has what belongs on its node and nothing to do: at most 16 MiB resident and one wake-up a second, over all of its
threads, as the kernel counts them; while it brings 8 files, 64 MiB.

usage: agents_idle_test.py [SECONDS]   (looked at; 30)
"""

import glob
import os
import random
import re
import sys
import time

import agents
import scenario
from agents import Agent
from scenario import ApiServer, Hub, wait_for

MIB = 1 << 20
MODELS = 5


def make_model(hub, name, files, mib):
    noise = random.Random(name)
    contents = {"config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}'}
    for i in range(files):
        contents[f"model-{i}.safetensors"] = b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(mib * MIB)
    scenario.write_files(f"{hub.folder}/test/{name}", contents)


def wakeups(pid):
    """Times that a thread of PID has gone to sleep of its own will, by its name: so often it was awake."""
    found = {}
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        text = open(path).read()
        name = re.search(r"^Name:\s+(.*)$", text, re.M)[1]
        found[f"{name} {path.split('/')[4]}"] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
    return found


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    with scenario.scratch() as folder:
        server = ApiServer(folder + "/api").start()
        scenario.install(server)
        os.makedirs(folder + "/hub")
        hub = Hub(folder + "/hub")
        server.apply(agents.node("n"))
        agent = Agent(server, folder, "n", hub.url).start()
        for i in range(MODELS):
            make_model(hub, f"m{i}", 1, 1)
            server.apply(scenario.model(f"m{i}", f"hf://test/m{i}"))
        wait_for("the models", lambda: all(agent.label(f"m{i}") == "Ready" for i in range(MODELS)))
        make_model(hub, "large", 8, 32)
        server.apply(scenario.model("large", "hf://test/large"))
        wait_for("eight files", lambda: agent.label("large") == "Ready")
        most = agents.memory(agent.process)["VmHWM"] / 1024
        server.api("DELETE", scenario.MODEL + "large")  # all that is there is read again at a start
        wait_for("its files to go", lambda: not os.path.exists(agent.folder_of("large")))
        agent.stop()
        agent.start()
        wait_for("the agent", lambda: agent.said().count("keeping models") == 2)
        time.sleep(12)  # what a start takes: its lists, a look at every model, and what it gives back after that
        before = wakeups(agent.process.pid)
        time.sleep(seconds)
        after = wakeups(agent.process.pid)
        resident = agents.memory(agent.process)["VmRSS"] / 1024
        if os.environ.get("OME_SMAPS"):
            print(open(f"/proc/{agent.process.pid}/smaps").read(), file=open(os.environ["OME_SMAPS"], "w"))
        moved = {name: (count - before.get(name, 0)) / seconds for name, count in after.items() if count != before.get(name, 0)}
        rate = sum(moved.values())
        agent.stop()
        hub.stop()
        server.stop()
    print(f"idle: {resident:.1f} MiB resident, {rate:.2f} wake-ups a second; 8 files: {most:.1f} MiB at most")
    each = ", ".join(f"{name}: {count:.2f}" for name, count in sorted(moved.items(), key=lambda m: -m[1]))
    assert rate <= 1, f"{rate:.2f} wake-ups a second: {each}"
    assert resident <= 16, resident
    assert most <= 64, most


if __name__ == "__main__":
    sys.exit(main())
