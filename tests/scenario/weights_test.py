#!/usr/bin/env python3
"""FineTunedWeights on a node: an agent brings an adapter, the controller takes what its files say into the spec and says where
it is; a wrong base model is told, a person's words stay, an archive is brought as it is, and deletion lets go of the files.
"""

import json
import os
import struct

import agents
import scenario
from agents import Agent
from scenario import Controller, Hub, wait_for

WEIGHTS = "/apis/ome.io/v1beta1/finetunedweights/"


def adapter(folder, name, **more):
    header = json.dumps({"a": {"dtype": "F32", "shape": [16, 4], "data_offsets": [0, 256]}}).encode()
    config = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"],
              "base_model_name_or_path": "test/base", **more}
    return scenario.write_files(f"{folder}/test/{name}", {
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": struct.pack("<Q", len(header)) + header + bytes(256)})


def weights(name, base="base", **spec):
    return {"apiVersion": "ome.io/v1beta1", "kind": "FineTunedWeight", "metadata": {"name": name},
            "spec": {"baseModelRef": {"name": base}, "modelType": "LoRA", "hyperParameters": {},
                     "storage": {"storageUri": f"hf://test/{name}"}, **spec}}


def status(server, name):
    return (server.find(WEIGHTS + name) or {}).get("status", {})


def condition(server, name, kind):
    return next((c for c in status(server, name).get("conditions", []) if c["type"] == kind), {})


def arrives(server, node, hub):
    digests = adapter(hub.folder, "tuned")
    server.apply(weights("tuned"))
    wait_for("the weights", lambda: status(server, "tuned").get("state") == "Ready")
    found = server.find(WEIGHTS + "tuned")
    assert found["status"]["nodesReady"] == ["one"], found
    assert found["spec"]["hyperParameters"] == {"strategy": "lora"}, found
    assert found["spec"]["configuration"] == {
        "peft_type": "LORA", "base_model_name_or_path": "test/base", "target_modules": ["q_proj", "v_proj"], "r": 16,
        "lora_alpha": 32, "parameter_count": 64, "model_size_bytes": 256}, found
    assert node.node()["metadata"]["labels"]["models.ome.io/finetunedweight.tuned"] == "Ready"
    assert found["spec"]["storage"]["path"].endswith("/models/finetunedweight.tuned"), found
    scenario.check_files(os.path.join(node.store, "models", "finetunedweight.tuned"), digests)
    wait_for("agreement", lambda: condition(server, "tuned", "SpecAgrees").get("status") == "True")


def disagrees(server, hub):
    """The base is another model, and the rank is said to be another: the spec stays as it is."""
    adapter(hub.folder, "strange", base_model_name_or_path="other/model")
    server.apply(weights("strange", hyperParameters={"strategy": "tfew"}, configuration={"r": 8, "merged_weights": False}))
    wait_for("the disagreement", lambda: condition(server, "strange", "SpecAgrees").get("status") == "False")
    said = condition(server, "strange", "SpecAgrees")["message"]
    for part in ("spec.hyperParameters.strategy is tfew, the files say LORA", "spec.configuration.r is 8, the files say 16",
                 "spec.baseModelRef is base, from hf://test/base; the files are for other/model"):
        assert part in said, said
    spec = server.find(WEIGHTS + "strange")["spec"]
    assert spec["hyperParameters"] == {"strategy": "tfew"} and spec["configuration"]["r"] == 8, spec
    assert spec["configuration"]["merged_weights"] is False, spec
    server.apply(scenario.model("base", "hf://other/model"))  # the base changes, and what is said of the weights with it
    wait_for("no more of the base", lambda: "other/model" not in condition(server, "strange", "SpecAgrees")["message"])


def archive(server, hub):
    """OME's own adapters are archives that a pod's init container unpacks: nothing in them says what they are."""
    scenario.write_files(f"{hub.folder}/test/packed", {"weights.zip": b"PK" + bytes(100)})
    server.apply(weights("packed", hyperParameters={"strategy": "lora"}))
    wait_for("the archive", lambda: status(server, "packed").get("state") == "Ready")
    assert "configuration" not in server.find(WEIGHTS + "packed")["spec"]


def goes(server, node):
    folder = os.path.join(node.store, "models", "finetunedweight.tuned")
    server.api("DELETE", WEIGHTS + "tuned")
    wait_for("its end", lambda: server.find(WEIGHTS + "tuned") is None)
    wait_for("the end of its files", lambda: not os.path.exists(folder))
    assert "models.ome.io/finetunedweight.tuned" not in node.node()["metadata"]["labels"]
    assert status(server, "packed")["state"] == "Ready"


def main():
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        scenario.install(server)
        os.makedirs(folder + "/hub")
        hub = Hub(folder + "/hub")
        server.apply(scenario.model("base", "hf://test/base"))
        server.apply(agents.node("one"))
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        node = Agent(server, folder, "one", hub.url).start()
        for part in (lambda: arrives(server, node, hub), lambda: disagrees(server, hub), lambda: archive(server, hub),
                     lambda: goes(server, node)):
            part()
        node.stop()
        controller.stop()
        hub.stop()
    print("fine-tuned weights: brought, described, compared, let go")


main()
