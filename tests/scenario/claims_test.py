#!/usr/bin/env python3
"""Models on claims under `ome up`: a Job reads their files where they are and their specs say what it found; nothing is copied.
What is not there, or is no model, is a reason of its own, and is looked at again when the Job goes.
"""

import json
import os
import shutil
import struct

import scenario
from scenario import Platform, wait_for

MODELS = "/apis/ome.io/v1beta1/clusterbasemodels/"
OWN = "/apis/ome.io/v1beta1/namespaces/default/basemodels/"
WEIGHTS = "/apis/ome.io/v1beta1/finetunedweights/"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
          "max_position_embeddings": 4096, "torch_dtype": "bfloat16"}


def tensors(**shapes):
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


class Claim:
    def __init__(self, platform, name):
        self.platform, self.folder = platform, f"{platform.data}/claims/default/{name}"
        platform.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
                        "spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}})
        wait_for("the claim to be bound", lambda: platform.find(
            f"/api/v1/namespaces/default/persistentvolumeclaims/{name}").get("status", {}).get("phase") == "Bound")

    def write(self, path, **files):
        scenario.write_files(f"{self.folder}/{path}", {name.replace("__", "."): data for name, data in files.items()})

    def write_model(self, path):
        self.write(path, config__json=json.dumps(CONFIG).encode(), model__safetensors=tensors(a=(64, 64), b=(256, 64)))


def own(name, uri, **spec):
    return {"apiVersion": "ome.io/v1beta1", "kind": "BaseModel", "metadata": {"name": name, "namespace": "default"},
            "spec": {"storage": {"storageUri": uri}, **spec}}


def conditions(platform, path):
    found = (platform.find(path) or {}).get("status", {}).get("conditions", [])
    return {c["type"]: c for c in found}


def wait_reason(platform, path, kind, reason):
    wait_for(f"{kind} {reason} of {path}, not {conditions(platform, path)}",
             lambda: conditions(platform, path).get(kind, {}).get("reason") == reason)
    return conditions(platform, path)


def jobs(platform):
    return {j["metadata"]["name"]: j for j in platform.api("GET", JOBS)["items"]}


def reads(platform, claim):
    """Both scopes; what a person wrote stays, and is said where the files differ."""
    claim.write_model("models/llama")
    platform.apply(scenario.model("shared", "pvc://default:disk/models/llama"))
    platform.apply(own("mine", "pvc://disk/models/llama", modelArchitecture="MistralForCausalLM"))
    for path in (MODELS + "shared", OWN + "mine"):
        said = wait_reason(platform, path, "Ready", "PVCMetadataReady")
        assert said["Ready"]["status"] == "True" and said["SourceReachable"]["reason"] == "PVCValidated", said
    found = platform.find(MODELS + "shared")
    spec = found["spec"]
    assert found["status"]["state"] == "Ready", found
    assert spec["modelArchitecture"] == "LlamaForCausalLM" and spec["modelType"] == "llama", spec
    assert spec["modelFormat"]["name"] == "safetensors" and spec["maxTokens"] == 4096 and spec["modelParameterSize"], spec
    assert spec["modelConfiguration"]["context_length"] == 4096, spec
    assert conditions(platform, MODELS + "shared")["SpecAgrees"]["status"] == "True"
    assert platform.find(OWN + "mine")["spec"]["modelArchitecture"] == "MistralForCausalLM"
    assert conditions(platform, OWN + "mine")["SpecAgrees"]["reason"] == "Disagrees"
    wait_for("no Job to be left", lambda: not jobs(platform))


def misses(platform, claim):
    """No such claim; no such folder in it, which is looked for again; a folder without a model; a configuration that is none."""
    platform.apply(own("nowhere", "pvc://lost/models"))
    said = wait_reason(platform, OWN + "nowhere", "SourceReachable", "PVCNotFound")
    assert "PersistentVolumeClaim default/lost is not there" in said["Ready"]["message"], said
    claim.write("models/notes", readme__txt=b"no model")
    claim.write("models/broken", config__json=b'{"architectures": [', model__safetensors=tensors(a=(4, 4)))
    for name, reached, words in (("late", "SourceNotReachable", "No such file"), ("notes", "PVCValidated", "says what it is"),
                                 ("broken", "PVCValidated", "config.json")):
        platform.apply(own(name, f"pvc://disk/models/{name}"))
        said = wait_reason(platform, OWN + name, "Ready", "PVCMetadataExtractionFailed")
        assert said["SourceReachable"]["reason"] == reached and words in said["Ready"]["message"], said
        assert platform.find(OWN + name)["status"]["state"] == "Failed"
    claim.write_model("models/late")
    for name in [n for n in jobs(platform) if n.startswith("late-metadata-")]:
        platform.api("DELETE", f"{JOBS}/{name}")
    wait_reason(platform, OWN + "late", "Ready", "PVCMetadataReady")
    assert platform.find(OWN + "late")["spec"]["modelArchitecture"] == "LlamaForCausalLM"


def least_is_given(platform):
    """The pod that reads has no account, and the claim read-only."""
    job = next(j for n, j in jobs(platform).items() if n.startswith("broken-metadata-"))
    labels, pod = job["metadata"]["labels"], job["spec"]["template"]["spec"]
    assert labels["app.kubernetes.io/component"] == "ome-model-metadata-job" and labels["models.ome/model-scope"] == "namespaced"
    assert labels["models.ome/model-name"] == "broken", labels
    assert pod["automountServiceAccountToken"] is False and pod["volumes"][0]["persistentVolumeClaim"]["readOnly"] is True, pod
    assert pod["containers"][0]["volumeMounts"][0]["readOnly"] is True, pod


def changes(platform, claim):
    """Another address is read anew; what is to be left alone is; adapters are read as agents read them."""
    path = OWN + "mine"
    claim.write("models/mistral", config__json=json.dumps(dict(CONFIG, architectures=["MistralForCausalLM"],
                                                              model_type="mistral")).encode())
    platform.api("PATCH", path, {"spec": {"storage": {"storageUri": "pvc://disk/models/mistral"}}}, "application/merge-patch+json")
    wait_for("the new files to be read", lambda: "mistral" in json.dumps(platform.find(path)["metadata"]["annotations"]))
    wait_for("the spec to agree", lambda: "modelArchitecture" not in conditions(platform, path)["SpecAgrees"].get("message", ""))
    left = own("left", "pvc://disk/models/llama")
    left["metadata"]["annotations"] = {"ome.oracle.com/skip-config-parsing": "true"}
    platform.apply(left)
    wait_reason(platform, OWN + "left", "Ready", "PVCMetadataReady")
    assert "modelArchitecture" not in platform.find(OWN + "left")["spec"]
    claim.write("adapters/law", adapter_config__json=json.dumps({"peft_type": "LORA", "r": 8}).encode(),
                adapter_model__safetensors=tensors(a=(8, 4)))
    platform.apply({"apiVersion": "ome.io/v1beta1", "kind": "FineTunedWeight", "metadata": {"name": "law"},
                    "spec": {"baseModelRef": {"name": "shared"}, "modelType": "LoRA", "hyperParameters": {},
                             "storage": {"storageUri": "pvc://default:disk/adapters/law"}}})
    wait_reason(platform, WEIGHTS + "law", "Ready", "PVCMetadataReady")
    assert platform.find(WEIGHTS + "law")["spec"]["hyperParameters"]["strategy"] == "lora"


def goes(platform, claim):
    """A claim that goes makes its models unready; models that go leave no Job behind."""
    platform.api("DELETE", "/api/v1/namespaces/default/persistentvolumeclaims/disk")
    wait_reason(platform, MODELS + "shared", "Ready", "PVCNotFound")
    for path in (MODELS + "shared", *(OWN + n for n in ("mine", "nowhere", "late", "notes", "broken", "left")), WEIGHTS + "law"):
        platform.api("DELETE", path)
    wait_for("no Job to be left", lambda: not jobs(platform))
    wait_for("no pod to be left", lambda: not platform.api("GET", "/api/v1/namespaces/default/pods")["items"])
    store = platform.data + "/store/models"
    assert not os.path.exists(store) or not os.listdir(store), os.listdir(store)
    shutil.rmtree(claim.folder)


def main():
    with scenario.scratch() as folder:
        platform = Platform(folder).start()
        claim = Claim(platform, "disk")
        reads(platform, claim)
        misses(platform, claim)
        least_is_given(platform)
        changes(platform, claim)
        goes(platform, claim)
        platform.stop()
    print("models on a claim are read where they are")


if __name__ == "__main__":
    main()
