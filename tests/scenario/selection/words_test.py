#!/usr/bin/env python3
"""What cannot work is answered in the same words everywhere: bad.yaml in a cluster, its services' conditions and events
beside what `ome explain -f bad.yaml` says.  And a service that names no model, of which nothing is said."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import scenario
from scenario import OME, Controller, install, wait_for

BAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad.yaml")
MODELLESS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden/modelless/input.yaml")
SERVICES = "/apis/ome.io/v1beta1/namespaces/{}/inferenceservices/{}"
EVENTS = "/api/v1/namespaces/{}/events"
# RuntimeReady of each: what suits is True, a model whose files are not read yet is none's failure.
STATUS = {"none-suits": "False", "no-size": "False", "no-facts": "Unknown", "wrong-namespace": "False",
          "no-memory": "True", "equals": "True"}


def read(server, path):
    """The manifests at PATH, in namespaces of the scenario's."""
    with open(path, encoding="utf-8") as source:
        text = re.sub(r"namespace: (other|team)\b", rf"namespace: {server.ns}-\1", source.read())
    return re.sub(r"(kind: InferenceService\nmetadata: {name: [\w-]+)}", rf"\1, namespace: {server.ns}}}", text)


def explained(text):
    done = subprocess.run([OME, "explain", "-f", "-", "-o", "json"], input=text, capture_output=True, text=True, check=True)
    return {record["name"]: record for record in json.loads(done.stdout)}


def apply_all(server, text):
    for document in text.split("\n---\n"):
        apply(server, document)


def apply(server, text):
    """TEXT as it is, YAML and all."""
    name, namespace = re.search(r"^metadata:\s+{?name: ([\w-]+)(?:,?\s+namespace: ([\w-]+))?", text, re.M).groups()
    document = {"apiVersion": "ome.io/v1beta1", "kind": re.search(r"^kind: (\w+)", text, re.M).group(1),
                "metadata": {"name": name, "namespace": namespace}}
    path = server.path_of(document)
    if not namespace:
        scenario.claim(server, path)
    status, answer = server.raw("PATCH", path + "?fieldManager=scenario&force=true", text,
                                "application/apply-patch+yaml")
    assert status < 300, f"{document}: {answer}"


def check(server, record):
    name = record["name"]
    words = record.get("warning") or record["reason"]

    def condition():
        conditions = server.find(SERVICES.format(server.ns, name)).get("status", {}).get("conditions", [])
        ready = next((c for c in conditions if c["type"] == "RuntimeReady"), {})
        return (ready.get("status"), ready.get("message")) == (STATUS[name], words)

    def event():
        return [e for e in server.find(EVENTS.format(server.ns))["items"]
                if e["involvedObject"]["name"] == name and words in e["message"]]

    wait_for(f"the condition of {name}: {words}", condition)
    wait_for(f"the event of {name}: {words}", event)
    selection = server.find(SERVICES.format(server.ns, name))["status"]["selection"]
    assert selection["reason"] == record["reason"], selection
    assert selection.get("warning") == record.get("warning"), selection


def check_whole_record(server, record):
    """What the command line says is in a ConfigMap where that is asked for, no runtime found or not."""
    path = SERVICES.format(server.ns, record["name"])
    place = f"/api/v1/namespaces/{server.ns}/configmaps/{record['name']}-selection"

    def ask(how):
        server.api("PATCH", path, {"metadata": {"annotations": {"ome.io/selection-record": how}}}, "application/merge-patch+json")

    assert server.find(place) is None
    ask("full")
    found = wait_for("the record", lambda: server.find(place))
    told = json.loads(found["data"]["record.json"])
    assert told.keys() - record.keys() <= {"generation"}, told
    assert {k: told[k] for k in record if k != "inputs"} == {k: v for k, v in record.items() if k != "inputs"}, told
    wait_for("its name", lambda: server.find(path)["status"]["selection"].get("configMap") == record["name"] + "-selection")
    ask(None)
    wait_for("it to go", lambda: server.find(place) is None)
    wait_for("its name to go", lambda: "configMap" not in server.find(path)["status"]["selection"])


def check_modelless(server):
    apply_all(server, read(server, MODELLESS))
    service = SERVICES.format(f"{server.ns}-team", "chat")
    wait_for("a Deployment without a model", lambda: server.find(
        f"/apis/apps/v1/namespaces/{server.ns}-team/deployments/chat-engine"))
    wait_for("the status", lambda: server.find(service).get("status", {}).get("selection"))
    status = server.find(service)["status"]
    conditions = {c["type"]: c for c in status["conditions"]}
    assert conditions["RuntimeReady"]["status"] == "True" and "ModelReady" not in conditions, conditions
    assert "modelStatus" not in status, status


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        bad = read(server, BAD)
        records = explained(bad)
        assert records.keys() == STATUS.keys(), records.keys()
        server.create_namespace(f"{server.ns}-other")
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        apply_all(server, bad)
        for record in records.values():
            check(server, record)
        check_whole_record(server, records["none-suits"])
        check_whole_record(server, records["equals"])
        server.create_namespace(f"{server.ns}-team")
        check_modelless(server)
        controller.stop()
    print(f"{len(records)} services, each with the same words in condition, event and on the command line")


if __name__ == "__main__":
    main()
