#!/usr/bin/env python3
"""Downloads that are interrupted: by `kill -9` (they go on where they were), by SIGTERM (it does not wait for them), by a
hub that is away (`ome up --detach` says so and stays; the model becomes Ready when the hub is back).
"""

import json
import os
import subprocess
import time

import scenario
from scenario import ISVC, MODEL, Hub, Line, Platform, is_ready, wait_for

MIB = 1 << 20
SIZE = 256 * MIB
IN_FLIGHT = 8 * 16 * MIB  # pieces that are fetched at once; those of an interrupted download are fetched again
SENTENCE = "Hello once more ."


def is_model_ready(platform):
    return (platform.find(MODEL + "tiny") or {}).get("status", {}).get("state") == "Ready"


def interrupted(folder):
    """Killed when most is there: that is not fetched again.  Stopped in the middle: it does not wait for the rest."""
    hub = Hub(folder + "/hub")
    line = Line(hub.port, 24 * MIB)
    platform = Platform(folder + "/interrupted", line).start()
    platform.apply(scenario.model("tiny", "hf://test/tiny"))
    wait_for("most of the model", lambda: line.passed > SIZE * 4 // 5)
    assert not is_model_ready(platform)
    platform.kill()
    platform.start()
    wait_for("the model", lambda: is_model_ready(platform))
    fetched = line.passed
    assert fetched < SIZE + IN_FLIGHT + 16 * MIB, f"{fetched} bytes were fetched for a model of {SIZE}"
    platform.api("DELETE", MODEL + "tiny")
    wait_for("the model to go", lambda: not platform.find(MODEL + "tiny"))
    platform.apply(scenario.model("tiny", "hf://test/tiny"))
    wait_for("a part of the model", lambda: line.passed > fetched + SIZE // 10)
    began = time.monotonic()
    platform.stop()
    took = time.monotonic() - began
    assert took < 5, f"SIGTERM took {took:.1f} s"
    line.close()
    hub.stop()
    return fetched, took


def hub_away(folder):
    """Detached with nobody at the other end: 1 and a reason; the platform stays and recovers by itself."""
    port = scenario.free_port()
    os.mkdir(folder + "/manifests")
    for document in (scenario.model("tiny", "hf://test/tiny"), scenario.runtime(), scenario.service("chat", "tiny")):
        with open(f"{folder}/manifests/{document['kind']}.json", "w") as out:
            json.dump(document, out)
    platform = Platform(folder + "/away")
    platform.env["HF_ENDPOINT"] = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    done = subprocess.run(platform.command("-f", folder + "/manifests", "--detach", "--timeout", "5"), env=platform.env,
                          capture_output=True, text=True, timeout=scenario.DEADLINE, check=False)
    said_after = time.monotonic() - began
    process = int(open(platform.data + "/ome.pid").read())
    try:
        assert done.returncode == 1 and "tiny" in done.stderr and str(port) in done.stderr, done
        assert not is_model_ready(platform)
        hub = Hub(folder + "/hub", "--port", str(port))
        began = time.monotonic()
        wait_for("the service to be Ready", lambda: is_ready(platform.find(ISVC + "chat")), 2 * scenario.DEADLINE)
        ready_after = time.monotonic() - began
        assert wait_for("an answer", lambda: platform.chat("chat")) == SENTENCE
        hub.stop()
    finally:
        os.kill(process, 15)
        wait_for("the platform to end", lambda: not scenario.processes_with(platform.data))
    return said_after, ready_after


def main():
    scenario.need_engine()
    with scenario.scratch() as folder:
        scenario.make_tiny(folder + "/hub", "test/tiny", SENTENCE)
        said, ready = hub_away(folder)
        with open(folder + "/hub/test/tiny/more.bin", "wb") as out:
            out.write(os.urandom(SIZE))
        fetched, took = interrupted(folder)
    print(f"{fetched / SIZE:.2f} times the model fetched over a kill; SIGTERM took {took:.2f} s")
    print(f"hub away: said so after {said:.1f} s, Ready {ready:.1f} s after it came back")


main()
