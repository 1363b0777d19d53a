#!/usr/bin/env python3
"""Holds the counts of tests/unit/model/families.json against the transformers library: builds each model that it knows
without memory for its weights, and names those with another number of parameters.  Needs torch and transformers, which
the project needs for nothing else and no test installs:

  python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers
  /tmp/oracle/bin/python tests/tools/family_oracle.py [NAME...]

Some ten minutes.  What the library has no class for is listed at the end; a row whose configuration is of its makers'
own code and not of the library's can differ for that.
"""

import json
import os
import sys
import warnings

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../unit/model/families.json")


def parameters(transformers, torch, config):
    """Those of the architecture that CONFIG names, with what else its weights hold; None where there is no such class."""
    mapping = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    architecture = (config.get("architectures") or [""])[0].replace("Qwen2_5OmniModel", "Qwen2_5OmniForConditionalGeneration")
    built = getattr(transformers, architecture, None)
    if built is None or config.get("model_type") not in mapping:
        return None
    fields = {k: v for k, v in config.items() if k not in ("model_type", "quantization_config")}
    with torch.device("meta"):
        model = built(mapping[config["model_type"]](**fields))
    model.tie_weights()
    named = set(dict(model.named_parameters(remove_duplicate=False)))
    buffers = sum(v.numel() for k, v in model.state_dict().items() if k not in named)
    return sum(p.numel() for p in model.parameters()) + buffers


def main():
    import torch
    import transformers
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    with open(FIXTURES, encoding="utf-8") as file:
        models = [m for m in json.load(file) if "parameters" in m["expect"]]
    equal, different, unknown = 0, 0, []
    for model in models:
        if sys.argv[1:] and model["name"] not in sys.argv[1:]:
            continue
        wanted = model["expect"]["parameters"]
        try:
            found = parameters(transformers, torch, model["config"])
        except Exception as e:  # whatever the library has to say about a configuration
            print(f"{model['name']}: {e!r:.150}", flush=True)
            found = None
        if found is None:
            unknown.append(model["name"])
        elif found == wanted:
            equal += 1
        else:
            different += 1
            print(f"{model['name']}: {wanted:,} here, {found:,} there", flush=True)
    print(f"{equal} equal, {different} different; not known there: {', '.join(unknown)}")


if __name__ == "__main__":
    main()
