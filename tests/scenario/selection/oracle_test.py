#!/usr/bin/env python3
"""The winner is OME's wherever OME decides without a defect: random models and runtimes, against rules written anew.

The seed is printed; OME_SEED gives it."""

import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import oracle
import scenario
from scenario import OME

WORLDS, MODELS, RUNTIMES = 12, 60, 25
VERSIONS = ["1.0.0", "1.0", "v1.0.0", "1.1.0", "2.0.0", "1.0.0-rc1", "1.0.0.dev0", "2"]
SIZES = ["500M", "1B", "7B", "7.5B", "13B", "70B", "405B", "1T"]


def maybe(rng, chance, make):
    return make() if rng.random() < chance else None


def named(rng, names, of_runtime):
    out = {"name": rng.choice(names)}
    version = maybe(rng, 0.4, lambda: rng.choice(VERSIONS))
    if version:
        out["version"] = version
    if of_runtime and version and rng.random() < 0.7:
        out["operator"] = rng.choice(["Equal", "GreaterThan", "GreaterThanOrEqual"])
    if of_runtime and rng.random() < 0.4:
        out["weight"] = rng.randint(1, 5)
    return out


def shared(rng, out, of_runtime):
    out["modelFormat"] = named(rng, ["safetensors", "gguf"], of_runtime)
    for key, chance, make in (
            ("modelFramework", 0.7, lambda: named(rng, ["transformers", "pytorch"], of_runtime)),
            ("modelArchitecture", 0.9, lambda: rng.choice(["LlamaForCausalLM", "Qwen3ForCausalLM"])),
            ("quantization", 0.3, lambda: rng.choice(["fp8", "int4"]))):
        value = maybe(rng, chance, make)
        if value:
            out[key] = value
    return out


def model(rng, i):
    spec = shared(rng, {"storage": {"storageUri": "hf://a/b"}}, False)
    if rng.random() < 0.8:
        spec["modelParameterSize"] = rng.choice(SIZES)
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterBaseModel", "metadata": {"name": f"m{i}"}, "spec": spec}


def entry(rng):
    out = shared(rng, {}, True)
    if rng.random() < 0.9:
        out["autoSelect"] = rng.random() < 0.85
    if rng.random() < 0.5:
        out["priority"] = rng.randint(1, 4)
    return out


def runtime(rng, i):
    spec = {"supportedModelFormats": [entry(rng) for _ in range(rng.randint(1, 5))],
            "engineConfig": {"runner": {"name": "ome-container", "image": "i"}}}
    if rng.random() < 0.1:
        spec["disabled"] = True
    if rng.random() < 0.5:
        low, high = sorted(rng.sample(SIZES, 2), key=oracle.size)
        spec["modelSizeRange"] = {"min": low, "max": high}
    out = {"apiVersion": "ome.io/v1beta1", "kind": "ClusterServingRuntime", "metadata": {"name": f"r{i}"}, "spec": spec}
    if rng.random() < 0.2:
        out["kind"] = "ServingRuntime"
        out["metadata"]["namespace"] = rng.choice(["default", "elsewhere"])
    return out


def world(rng, folder):
    """(choices compared, those with a winner, those left to a defect)"""
    models, runtimes = [model(rng, i) for i in range(MODELS)], [runtime(rng, i) for i in range(RUNTIMES)]
    path = os.path.join(folder, "world.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n---\n".join(json.dumps(d) for d in models + runtimes))
    done = subprocess.run([OME, "explain", "-f", path, "--matrix", "-o", "json"], capture_output=True, text=True,
                          timeout=scenario.DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    ours = {r["model"]: r for r in json.loads(done.stdout)}
    won = defects = 0
    for m in models:
        name = m["metadata"]["name"]
        want, defect = oracle.choose(m, runtimes, "default")
        if defect:
            defects += 1
        elif want:
            won += 1
            assert ours[name]["runtime"] == want, (m, want, ours[name],
                                                   [r for r in runtimes if r["metadata"]["name"] in
                                                    (want, ours[name]["runtime"])])
    return len(models), won, defects


def main():
    seed = int(os.environ.get("OME_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    with scenario.scratch() as folder:
        total, won, defects = map(sum, zip(*(world(rng, folder) for _ in range(WORLDS))))
    print(f"{total} choices: {won} as OME's, {defects} where a defect of OME's takes part, the rest OME refuses")
    assert won >= 50, "too few choices to show anything"


if __name__ == "__main__":
    main()
