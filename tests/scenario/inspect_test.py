#!/usr/bin/env python3
"""ome inspect: a remote model by its first bytes, all requests in flight together; adapters, memory, strangers' files."""

import hashlib
import json
import os
import struct
import subprocess
import threading

import scenario
from faulty_hub import FaultyHub
from scenario import OME

SHARDS, TENSORS = 200, 40
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100,
          "max_position_embeddings": 4096, "torch_dtype": "bfloat16"}


def inspect(*arguments, env=None, code=0):
    done = subprocess.run([OME, "inspect", *arguments], capture_output=True, text=True, timeout=scenario.DEADLINE,
                          env=dict(os.environ, **(env or {})), check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return json.loads(done.stdout) if code == 0 and "table" not in arguments else done.stdout + done.stderr


def header(tensors):
    """The first bytes of a safetensors file: NAME -> (dtype, shape, bytes)."""
    entries, at = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text, at


def sparse(folder, name, tensors):
    """A file with a header and as much nothing as it speaks of: (path, size) as FaultyHub serves it."""
    text, data = header(tensors)
    path = os.path.join(folder, name)
    with open(path, "wb") as out:
        out.write(text)
        out.truncate(len(text) + data)
    return path, len(text) + data


class Together:
    """Holds answers back until a request for each shard waits for one."""

    def __init__(self):
        self.news, self.waiting, self.most, self.sent = threading.Condition(), 0, 0, 0

    def __call__(self, request, first, last):
        if not request.name.endswith(".safetensors"):
            return
        with self.news:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.sent += last + 1 - first
            self.news.notify_all()
            self.news.wait_for(lambda: self.most >= SHARDS, timeout=scenario.DEADLINE)
            self.waiting -= 1


def remote_shards(folder):
    """200 shards of 16 MiB each: one ranged request a shard, of its header."""
    files, weight_map = {}, {}
    for i in range(SHARDS):
        name = f"model-{i + 1:05}-of-{SHARDS:05}.safetensors"
        tensors = {f"model.layers.{i}.block.{k}.weight": ["BF16", [512, 400], 409600] for k in range(TENSORS)}
        files[name] = sparse(folder, name, tensors)
        weight_map.update(dict.fromkeys(tensors, name))
    files["config.json"] = json.dumps(CONFIG).encode()
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    files["README.md"] = b"---\nlicense: apache-2.0\n---\n" + b"x" * 1000000
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in files}
    together = Together()
    with FaultyHub(files, digests, together) as hub:
        facts = inspect("hf://test/model", "-o", "json", env={"HF_ENDPOINT": hub.url})
        shards = sum(n for (path, _), n in hub.ranges.items() if path.endswith(".safetensors"))
        others = sum(n for (path, _), n in hub.ranges.items() if not path.endswith(".safetensors"))
    assert facts["parameterCount"] == SHARDS * TENSORS * 512 * 400, facts
    assert facts["parameterCountSource"] == "safetensors" and facts["weightBytes"] == SHARDS * TENSORS * 409600, facts
    assert facts["license"] == "apache-2.0" and facts["modelType"] == "llama", facts
    twice = [(key, n) for key, n in hub.ranges.items() if n > 1]
    assert shards == SHARDS, f"{shards} requests for {SHARDS} shards: {twice[:4]}"
    assert others <= 4, f"{others} requests for small files"
    assert together.most == SHARDS, together.most
    assert together.sent < SHARDS * 32768, together.sent
    print(f"{SHARDS} shards of {facts['weightBytes'] >> 30} GiB: {shards} ranged requests, {together.most} at once, "
          f"{together.sent >> 10} KiB; {others} for small files")


def remote_troubles(folder):
    """What passes is asked again; what does not is an error that names the file."""
    files = {"config.json": json.dumps(CONFIG).encode(),
             "model.safetensors": sparse(folder, "one.safetensors", {"a": ["F16", [8, 8], 128]})}
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in files}
    with FaultyHub(files, digests) as hub:
        hub.fault = hub.limited(2, hub.status(503))
        assert inspect("hf://test/model", "-o", "json", env={"HF_ENDPOINT": hub.url})["parameterCount"] == 64
    files["model.safetensors"] = struct.pack("<Q", 1 << 40) + b"{}"
    with FaultyHub(files, digests) as hub:
        said = inspect("hf://test/model", env={"HF_ENDPOINT": hub.url}, code=1)
        assert "hf://test/model" in said and "model.safetensors" in said and "longer than the file" in said, said
    assert "no-such" in inspect("no-such://x", code=1)


def local_kinds(folder):
    adapter = os.path.join(folder, "adapter")
    text, _ = header({"a": ["F32", [16, 4], 256]})
    scenario.write_files(adapter, {
        "adapter_config.json": json.dumps({"peft_type": "LORA", "r": 16, "base_model_name_or_path": "org/base",
                                           "target_modules": ["q_proj"]}).encode(),
        "adapter_model.safetensors": text + bytes(256)})
    facts = inspect(adapter, "-o", "json")
    assert facts["adapter"] == {"type": "LORA", "baseModel": "org/base", "rank": 16, "alpha": 0,
                                "targetModules": "q_proj"}, facts
    assert facts["parameterCount"] == 64 and "LORA of rank 16" in inspect(adapter, "-o", "table")


def memory(folder):
    model = os.path.join(folder, "shaped")
    scenario.write_files(model, {"config.json": json.dumps(dict(
        CONFIG, hidden_size=8192, num_hidden_layers=80, num_attention_heads=64, num_key_value_heads=8, head_dim=128,
        intermediate_size=28672, vocab_size=128256)).encode()})
    ask = [model, "-o", "json", "--memory", "--accelerator", "h100-80g", "--context", "32k", "--concurrency"]
    one = inspect(*ask, "1", env={"OME_MANIFESTS": os.path.join(scenario.HOME, "manifests")})["memory"]
    assert one["accelerator"] == "h100-80g" and one["contextLength"] == 32768, one
    assert one["devices"] == 4 and not one["plans"][0]["fits"] and one["plans"][2]["fits"], one
    # 80 layers, 8 heads of 128, keys and values of two bytes, divided among four
    assert one["plans"][2]["kvBytes"] == 80 * 8 * 128 * 2 * 2 * 32768 // 4, one
    many = inspect(*ask, "40", env={"OME_MANIFESTS": os.path.join(scenario.HOME, "manifests")})["memory"]
    assert many["devices"] == 8 and many["plans"][4]["maxConcurrency"] >= 40, many
    said = inspect(model, "--memory", "--accelerator", "h999", code=1)
    assert "h999" in said and "h100-80g" in said, said
    assert "go together" in inspect(model, "--memory", code=2)


def strangers(folder):
    for name, content, says in [("array", b"[]", "config.json"), ("garbage", b'{"model_type":"\xff\xfe"}', "config.json"),
                                ("empty", b"", "config.json")]:
        place = os.path.join(folder, name)
        scenario.write_files(place, {"config.json": content})
        assert says in inspect(place, code=1), name
    place = os.path.join(folder, "large")
    scenario.write_files(place, {"config.json": b"{"})
    os.truncate(place + "/config.json", 1 << 30)
    assert "too many" in inspect(place, code=1)
    place = os.path.join(folder, "link")
    os.mkdir(place)
    os.symlink("/etc/shadow", place + "/config.json")
    said = inspect(place, code=1)
    assert "leads out" in said and "root:" not in said, said


def main():
    with scenario.scratch() as folder:
        for part in remote_shards, remote_troubles, local_kinds, memory, strangers:
            part(folder)
            print(f"{part.__name__}: ok", flush=True)


main()
