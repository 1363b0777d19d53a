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


def strangers_weights():
    """What strangers write into weight files: name -> (file, bytes, what the answer says, whether there are facts)."""
    def tensor(shape, begin, end, kind="F16"):
        return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}

    def file_of(entries, data=0):
        text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
        return struct.pack("<Q", len(text)) + text + bytes(data)

    def gguf(tensors, pairs, rest=b""):
        return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + rest

    one, a = json.dumps(tensor([4], 0, 8)).encode(), struct.pack("<Q", 1) + b"a"
    many = {f"layers.{i}.w": tensor([2], 4 * i, 4 * i + 4) for i in range(100000)}
    safetensors = {
        "longer": (struct.pack("<Q", 1 << 40) + b"{}", "at byte 8 is longer than the file", False),
        "overlap": (file_of({"a": tensor([4], 0, 8), "b": tensor([4], 4, 12)}, 12), "overlap at byte 4", False),
        "offsets": (file_of({"a": tensor([4], 0, (1 << 63) - 1)}, 8), "its entry is at byte 9", False),
        "type": (file_of({"a": tensor([4], 0, 8, "F3_ODD")}, 8), "F3_ODD", True),
        "dimensions": (file_of({"a": tensor([1 << 63, 2], 0, 8)}, 8), "its entry is at byte 9", False),
        "many": (file_of(many, 400000), "", True),
        "twice": (file_of(b'{"a":' + one + b',"a":' + one + b"}", 8), "tensor a twice, again at byte", False),
        "garbage": (file_of(b'{"\xff\xfe":' + one + b"}", 8), "invalid utf-8", False)}
    ggufs = {
        "tensors": (gguf(1 << 40, 0), "more than a model has", False),
        "array": (gguf(0, 1, a + struct.pack("<IIQ", 9, 4, 1 << 40)), "at byte 49", False),
        "text": (gguf(0, 1, struct.pack("<Q", 1 << 60)), "at byte 32", False),
        "tensor": (gguf(1, 0, a + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0)), "at byte 53", False)}
    pickle = b"cos\nsystem\n(S'touch %s'\ntR."
    return ([(n, "model.safetensors", *case) for n, case in safetensors.items()] +
            [(n + "-gguf", "model.gguf", *case) for n, case in ggufs.items()] +
            [("pickle", "pytorch_model.bin", pickle, "cannot be told without running it", True)])


def strangers(folder):
    for name, content, says in [("array", b"[]", "config.json"), ("garbage", b'{"model_type":"\xff\xfe"}', "config.json"),
                                ("empty", b"", "config.json"), ("deep", b'{"a":' * 100000, "at offset")]:
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
    ran = os.path.join(folder, "ran")
    for name, path, content, says, is_read in strangers_weights():
        place = os.path.join(folder, "weights", name)
        scenario.write_files(place, {"config.json": json.dumps(CONFIG).encode(),
                                     path: content % ran.encode() if path.endswith(".bin") else content})
        said = inspect(place, "-o", "json", code=0 if is_read else 1)
        said = said if isinstance(said, str) else " ".join(said["warnings"])
        assert says in said and (is_read or path in said), (name, said)
    assert not os.path.exists(ran)


def main():
    with scenario.scratch() as folder:
        for part in remote_shards, remote_troubles, local_kinds, memory, strangers:
            part(folder)
            print(f"{part.__name__}: ok", flush=True)


main()
