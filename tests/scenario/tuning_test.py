#!/usr/bin/env python3
"""Tuning from documents to pods: the same settings in `ome explain` and `ome render`; what runtime and person set wins."""

import json
import os
import subprocess

import scenario
from scenario import HOME, OME

MANIFESTS = [word for folder in ("models", "runtimes", "accelerators")
             for word in ("-f", os.path.join(HOME, "manifests", folder))]


def ome(command, folder, documents, *more):
    path = os.path.join(folder, "input.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n---\n".join(json.dumps(d) for d in documents))
    done = subprocess.run([OME, command, *MANIFESTS, "-f", path, "-o", "json", *more], capture_output=True, text=True,
                          timeout=scenario.DEADLINE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def service(annotations=None, runtime=None, engine=None, model="llama-3-3-70b-instruct", accelerator="h100-80g"):
    spec = {"model": {"name": model}, "engine": engine or {"minReplicas": 1}}
    if accelerator:
        spec["acceleratorSelector"] = {"acceleratorClass": accelerator}
    if runtime:
        spec["runtime"] = {"name": runtime}
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
            "metadata": {"name": "chat", "namespace": "demo", "annotations": annotations or {}}, "spec": spec}


def model(name, **dimensions):
    """A model whose files the agent has read."""
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterBaseModel", "metadata": {"name": name},
            "spec": {"modelFormat": {"name": "safetensors"}, "modelArchitecture": "LlamaForCausalLM",
                     "modelParameterSize": "70.55B", "maxTokens": 131072, "storage": {"storageUri": "hf://m/m"},
                     "modelConfiguration": dimensions}}


READ = model("read", model_size_bytes=141107412992, kv_bytes_per_token=327680, num_layers=80, num_attention_heads=64,
             num_kv_heads=8, head_size=128, hidden_size=8192, intermediate_size=28672, vocab_size=128256)


def runtime(name, command, args=None, gpus=None, env=None):
    runner = {"name": "ome-container", "image": "i", "command": command}
    if args:
        runner["args"] = args
    if env:
        runner["env"] = env
    if gpus:
        runner["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterServingRuntime", "metadata": {"name": name},
            "spec": {"supportedModelFormats": [{"modelFormat": {"name": "safetensors"},
                                                "modelArchitecture": "LlamaForCausalLM", "autoSelect": False}],
                     "engineConfig": {"runner": runner}}}


def container(folder, documents):
    for o in ome("render", folder, documents)["items"]:
        if o["kind"] == "Deployment":
            return o["spec"]["template"]["spec"]["containers"][0]
    raise AssertionError("no Deployment")


def settings(folder, documents):
    record = ome("explain", folder, documents)[0]
    for s in record.get("tuning", []):
        assert s["reason"] and s["by"] and s["component"] == "engine", s
    return {s["name"]: s["value"] for s in record.get("tuning", []) if s["applied"]}, record


def adaptive(folder):
    """One runtime, any accelerator: the fewest devices, tensor parallelism to match."""
    bare = runtime("bare", ["vllm", "serve", "$(MODEL_PATH)"])
    for accelerator, gpus in (("h100-80g", "4"), ("h200-141g", "2"), ("b200-180g", "2"), ("a100-40g", "8")):
        documents = [READ, bare, service(runtime="bare", model="read", accelerator=accelerator)]
        found, _ = settings(folder, documents)
        c = container(folder, documents)
        assert found["--tensor-parallel-size"] == found["nvidia.com/gpu"] == gpus, (accelerator, found)
        assert c["resources"]["limits"]["nvidia.com/gpu"] == gpus, (accelerator, c["resources"])
        at = c["args"].index("--tensor-parallel-size")
        assert c["args"][at + 1] == gpus, c["args"]
    documents = [READ, bare, service(runtime="bare", model="read", accelerator="mi300x-192g")]
    assert list(container(folder, documents)["resources"]["limits"]) == ["amd.com/gpu"]


def what_is_set_wins(folder):
    wishes = {"ome.io/context-length": "16384", "ome.io/concurrency": "8"}
    stated = runtime("stated", ["vllm", "serve", "x"], ["--max-model-len", "4096", "-tp", "8"], gpus=8)
    found, _ = settings(folder, [READ, stated, service(wishes, "stated", model="read")])
    assert found == {"--max-num-seqs": "8", "--gpu-memory-utilization": "0.90"}, found
    c = container(folder, [READ, stated, service(wishes, "stated", model="read")])
    assert c["resources"]["limits"]["nvidia.com/gpu"] in (8, "8"), "a class of one device takes none away from eight"
    own = {"runner": {"name": "ome-container", "args": ["--max-num-seqs=3"]}}
    found, _ = settings(folder, [READ, stated, service(wishes, "stated", own, "read")])
    assert "--max-num-seqs" not in found, found
    llama = runtime("llama", ["llama-server"], env=[{"name": "LLAMA_ARG_N_PARALLEL", "value": "1"}])
    found, _ = settings(folder, [READ, llama, service(wishes, "llama", model="read")])
    assert "LLAMA_ARG_N_PARALLEL" not in found and found["LLAMA_ARG_CTX_SIZE"] == "131072", found


def off(folder):
    for documents in ([service({"ome.io/tuning": "off"})], [service(accelerator=None)]):
        found, record = settings(folder, documents)
        assert found == {} and record["selected"], record
        assert "args" not in container(folder, documents)


def shells(folder):
    """Behind the last command of a script; a script that goes on is left alone, and the record says so."""
    wishes = {"ome.io/context-length": "16384"}
    ends = runtime("ends", ["sh", "-c"], ["prepare && exec vllm serve \"$MODEL_PATH\" \\\n  --port 8080 \\\n"], gpus=4)
    c = container(folder, [READ, ends, service(wishes, "ends", model="read")])
    assert "--port 8080 --tensor-parallel-size 4" in c["args"][0], c["args"]
    goes_on = runtime("goes-on", ["bash", "-c", "vllm serve x | tee /log"], gpus=4)
    found, record = settings(folder, [READ, goes_on, service(wishes, "goes-on", model="read")])
    assert found == {} and all("goes on behind the engine" in s["reason"] for s in record.get("tuning", [])), record["tuning"]


def does_not_fit(folder):
    wishes = {"ome.io/concurrency": "4", "ome.io/context-length": "131072"}
    two = runtime("two", ["vllm", "serve", "x"], gpus=2)
    _, record = settings(folder, [READ, two, service(wishes, "two", model="read", accelerator="a100-80g")])
    assert "what would: " in record["warning"] and "devices, or a context of" in record["warning"], record["warning"]
    _, record = settings(folder, [READ, two, service({"ome.io/concurrency": "many"}, "two", model="read")])
    assert 'annotation ome.io/concurrency: "many" is no number' in record["warning"], record["warning"]


def main():
    with scenario.scratch() as folder:
        for part in (adaptive, what_is_set_wins, off, shells, does_not_fit):
            part(folder)
            print(f"{part.__name__}: ok")


if __name__ == "__main__":
    main()
