#!/usr/bin/env python3
"""How long `ome inspect --each` takes for a folder of models: 1,000 by default, each with a configuration, an index and
four shards of forty tensors, a tokenizer's configuration and a card. The first run warms the page cache. Prints the
median and the worst; with --limit SECONDS the median must stay below it.

usage: inspect.py [MODELS] [RUNS] [--limit SECONDS]
"""

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scenario"))
import scenario  # noqa: E402

LAYERS, SHARDS, HIDDEN = 40, 4, 64
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
          "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100,
          "max_position_embeddings": 4096, "torch_dtype": "bfloat16"}


def shard(first):
    """A header of ten layers with four tensors each, and no more bytes on the disk than that."""
    entries, at = {}, 0
    for layer in range(first, first + LAYERS // SHARDS):
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"):
            size = HIDDEN * HIDDEN * 2
            entries[f"model.layers.{layer}.{part}.weight"] = {"dtype": "BF16", "shape": [HIDDEN, HIDDEN],
                                                              "data_offsets": [at, at + size]}
            at += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text, at, list(entries)


def make(folder, models):
    shards, weight_map = {}, {}
    for number in range(SHARDS):
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        head, data, tensors = shard(number * LAYERS // SHARDS)
        shards[name] = (head, data)
        weight_map.update(dict.fromkeys(tensors, name))
    small = {"config.json": json.dumps(CONFIG), "generation_config.json": "{}",
             "model.safetensors.index.json": json.dumps({"weight_map": weight_map}),
             "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}" * 100}),
             "README.md": "---\nlicense: apache-2.0\n---\n" + "words\n" * 1000}
    for number in range(models):
        place = os.path.join(folder, f"org-{number % 10}", f"model-{number}")
        scenario.write_files(place, {name: text.encode() for name, text in small.items()})
        for name, (head, data) in shards.items():
            with open(os.path.join(place, name), "wb") as out:
                out.write(head)
                out.truncate(len(head) + data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="?", type=int, default=1000)
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    times = []
    with scenario.scratch() as folder:
        make(folder, options.models)
        for _ in range(options.runs + 1):
            began = time.monotonic()
            done = subprocess.run([scenario.OME, "inspect", "--each", folder, "-o", "json"], capture_output=True, check=True)
            times.append(time.monotonic() - began)
        listed = json.loads(done.stdout)
    assert len(listed) == options.models and all(o["parameterCount"] == 4 * LAYERS * HIDDEN * HIDDEN for o in listed)
    warm = statistics.median(times[1:])
    print(f"inspect --each of {options.models} models: median {warm:.3f} s, worst {max(times[1:]):.3f} s of {options.runs} "
          f"warm; first {times[0]:.3f} s")
    if options.limit and warm > options.limit:
        sys.exit(f"that is more than {options.limit} s")


if __name__ == "__main__":
    main()
