#!/usr/bin/env python3
"""Bad input of every sort: each gives a clear message that names the field or the cause, and leaves nothing half-made."""

import json
import os
import socket
import subprocess

import scenario
from scenario import MODEL, OME, Hub, Platform, Refused, wait_for

MAPS = "/api/v1/namespaces/default/configmaps"


def refused(platform, method, path, body, status, *words):
    """The API says STATUS, and its message holds WORDS."""
    got, text = platform.raw(method, path, body if isinstance(body, str) else json.dumps(body))
    assert got == status, f"{method} {path}: {got} instead of {status}: {text[:300]}"
    message = json.loads(text)["message"]
    for word in words:
        assert word in message, f"{message!r} does not say {word!r}"


def bad_objects(platform):
    before = platform.api("GET", MAPS)["items"]
    model = scenario.model("typed", "hf://a/b")
    model["spec"]["storage"] = "hf://a/b"
    refused(platform, "POST", MODEL.rstrip("/"), model, 422, "spec.storage")
    refused(platform, "POST", MAPS, {"apiVersion": "v1", "kind": "Nonsense", "metadata": {"name": "x"}}, 400, "Nonsense")
    refused(platform, "POST", "/apis/ome.io/v1beta1/nonsenses", {}, 404)
    refused(platform, "POST", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "../x"}}, 422,
            "metadata.name", "../x")
    big = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"x": "y" * (20 << 20)}}
    status, text = platform.raw("POST", MAPS, json.dumps(big))
    assert status == 413 and "too large" in text.lower(), (status, text)
    refused(platform, "POST", MAPS, '{"a":' * 10000 + "1" + "}" * 10000, 400, "nested")
    refused(platform, "POST", MAPS, '{"apiVersion": "v1", "kind"', 400)
    assert platform.api("GET", MAPS)["items"] == before
    assert platform.find(MODEL + "typed") is None


def occupied_port(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--port", "--gateway-port"):
            other = {"--port": "--gateway-port", "--gateway-port": "--port"}[option]
            done = subprocess.run([OME, "up", "--data", folder + "/occupied", option, str(port), other, "0"],
                                  capture_output=True, text=True, timeout=scenario.DEADLINE, check=False)
            assert done.returncode == 1, done
            assert str(port) in done.stderr and "use" in done.stderr, done.stderr


def corrupt_database(folder, platform):
    database = os.path.join(platform.data, "store.db")
    size = os.path.getsize(database)
    kept = open(database, "rb").read()
    with open(database, "r+b") as out:
        out.write(os.urandom(min(size, 65536)))
    broken = open(database, "rb").read()
    done = subprocess.run(platform.command(), capture_output=True, text=True, timeout=scenario.DEADLINE, check=False)
    assert done.returncode == 1, done
    assert "store.db" in done.stderr, done.stderr
    assert open(database, "rb").read() == broken, "a file that cannot be read must be left alone"
    open(database, "wb").write(kept)
    platform.start()
    platform.stop()


def second_platform(platform):
    done = subprocess.run(platform.command("--port", "0"), capture_output=True, text=True, timeout=scenario.DEADLINE,
                          check=False)
    assert done.returncode == 1 and str(platform.process.pid) in done.stderr, done.stderr


def bad_hubs(folder):
    """A hub that refuses, throttles or breaks: the model says so and is never Ready; nothing crashes."""
    scenario.make_tiny(folder + "/hub", "test/tiny", "Hello there .")
    for fault, words in (("status=401", ("401",)), ("status=404", ("not found", "404")), ("status=429", ("429",)),
                         ("status=500", ("500",))):
        hub = Hub(folder + "/hub", "--fault", fault)
        platform = Platform(folder + "/" + fault.replace("=", "-"), hub).start()
        platform.apply(scenario.model("tiny", "hf://test/tiny"))

        def complaint():
            maps = platform.api("GET", "/api/v1/namespaces/ome/configmaps")["items"]
            entries = [json.loads(m["data"]["clusterbasemodel.tiny"]) for m in maps
                       if "clusterbasemodel.tiny" in m.get("data", {})]
            return next((e["message"] for e in entries if e.get("message")), None)

        message = wait_for(f"a complaint about {fault}", complaint)
        assert any(word.lower() in message.lower() for word in words), (fault, message)
        assert platform.find(MODEL + "tiny").get("status", {}).get("state") != "Ready"
        assert not [f for _, _, files in os.walk(platform.data + "/store/models") for f in files if f.endswith(".gguf")]
        platform.stop()
        hub.stop()


def hub_that_hangs_up(folder):
    """A hub that hangs up after every five thousand bytes costs time, not the model."""
    hub = Hub(folder + "/hub", "--fault", "cut=5000")
    platform = Platform(folder + "/cut", hub).start()
    platform.apply(scenario.model("tiny", "hf://test/tiny"))
    wait_for("the model in spite of the hub",
             lambda: (platform.find(MODEL + "tiny") or {}).get("status", {}).get("state") == "Ready")
    platform.stop()
    hub.stop()


def main():
    with scenario.scratch() as folder:
        occupied_port(folder)
        platform = Platform(folder).start()
        bad_objects(platform)
        second_platform(platform)
        platform.stop()
        corrupt_database(folder, platform)
        bad_hubs(folder)
        hub_that_hangs_up(folder)
    print("every bad input was refused with a reason")


main()
