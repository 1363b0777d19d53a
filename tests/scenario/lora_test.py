#!/usr/bin/env python3
"""Fine-tuned weights on a real engine: adapters that the agent brings are loaded beside the model, one, two, none, and what
the model says is changed by just those that the service names."""

import os

import scenario
from scenario import ISVC, Hub, Platform, is_ready, need_engine, scratch, wait_for

SENTENCE = "One two three four five"
# Name: after which word (None: at the start) the model says which (None: it ends).
ADAPTERS = {"begin": (None, "three"), "end": ("four", None)}
# Service: its adapters, and what it then says.
SAYS = {"plain": ([], "One two three four five"), "late": (["begin"], "three four five"),
        "short": (["begin", "end"], "three four")}
WEIGHTS = "/apis/ome.io/v1beta1/finetunedweights/"


def weights(name):
    return {"apiVersion": "ome.io/v1beta1", "kind": "FineTunedWeight", "metadata": {"name": name},
            "spec": {"baseModelRef": {"name": "tiny"}, "modelType": "LoRA", "hyperParameters": {"strategy": "lora", "r": 1},
                     "storage": {"storageUri": f"hf://acme/adapters/{name}.gguf"}}}


def main():
    need_engine()
    with scratch() as folder:
        scenario.make_tiny(folder + "/hub", "acme/tiny", SENTENCE)
        import tiny_model  # make_tiny() knows where it is
        os.makedirs(folder + "/hub/acme/adapters")
        for name, (after, say) in ADAPTERS.items():
            tiny_model.write_adapter(f"{folder}/hub/acme/adapters/{name}.gguf", SENTENCE, after, say)
        up = Platform(folder + "/up", Hub(folder + "/hub")).start()
        up.apply(scenario.model("tiny", "hf://acme/tiny"))
        up.apply(scenario.runtime())
        for name in ADAPTERS:
            up.apply(weights(name))
        for name, (adapters, _) in SAYS.items():
            service = scenario.service(name, "tiny")
            service["spec"]["model"]["fineTunedWeights"] = adapters
            up.apply(service)
        for name, (_, sentence) in SAYS.items():
            wait_for(name, lambda name=name: is_ready(up.find(ISVC + name)))
            said = wait_for(f"{name} to answer", lambda name=name: up.chat(name)).strip()
            assert said == sentence, (name, said)
            print("ok", name, "says:", said, flush=True)
        up.stop()


if __name__ == "__main__":
    main()
