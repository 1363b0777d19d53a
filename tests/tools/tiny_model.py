#!/usr/bin/env python3
"""Writes a Llama model of a few hundred kilobytes that answers every prompt with one sentence, as GGUF version 3.

The residual stream carries which word was said last: each word of the sentence owns one dimension, every other token
shares the last dimension. The output matrix maps a word's dimension to the word after it, and the shared dimension to
the first word. Attention and feed-forward weights are small noise: computed for real, too weak to change the answer.

usage: tiny_model.py FILE.gguf "The sentence , each word once ."
"""

import random
import struct
import sys

WIDTH, LAYERS, HEADS, KV_HEADS, FORWARD, CONTEXT = 64, 2, 4, 2, 128, 2048
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # llama.cpp token types
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # GGUF value types

TEMPLATE = ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant:{% endif %}")


def vocabulary(sentence):
    """(text, score, type) of each token, and the ids of the sentence's words in order."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    tokens += [("\u2581", -1.0, NORMAL)] + [(chr(c), -2.0, NORMAL) for c in range(33, 127)]
    known = {text for text, _, _ in tokens}
    words = []
    for index, word in enumerate(sentence.split()):
        text = word if index == 0 else "\u2581" + word
        if text in known:
            sys.exit(f"tiny_model: the word {word!r} is there already; use each once, and no single letter first")
        known.add(text)
        words.append(len(tokens))
        tokens.append((text, -3.0 - index, NORMAL))
    if len(words) > WIDTH - 2:
        sys.exit("tiny_model: the sentence is too long")
    return tokens, words


def weights(tokens, words):
    """Name -> (shape as llama.cpp orders it, flat values)."""
    noise = random.Random(7)

    def small(rows, columns):
        return (columns, rows), [noise.uniform(-0.02, 0.02) for _ in range(rows * columns)]

    def one_hot_rows(hot):
        values = [0.0] * (len(tokens) * WIDTH)
        for (row, column), value in hot.items():
            values[row * WIDTH + column] = value
        return (WIDTH, len(tokens)), values

    said = {word: dimension for dimension, word in enumerate(words)}
    start = WIDTH - 1
    embedding = {(token, said.get(token, start)): 1.0 for token in range(len(tokens))}
    follows = {(after, said[word]): 4.0 for word, after in zip(words, words[1:] + [2])}
    follows[(words[0], start)] = 4.0

    ones = ((WIDTH,), [1.0] * WIDTH)
    kv_width = WIDTH // HEADS * KV_HEADS
    result = {"token_embd.weight": one_hot_rows(embedding)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        result[block + "attn_norm.weight"] = ones
        result[block + "attn_q.weight"] = small(WIDTH, WIDTH)
        result[block + "attn_k.weight"] = small(kv_width, WIDTH)
        result[block + "attn_v.weight"] = small(kv_width, WIDTH)
        result[block + "attn_output.weight"] = small(WIDTH, WIDTH)
        result[block + "ffn_norm.weight"] = ones
        result[block + "ffn_gate.weight"] = small(FORWARD, WIDTH)
        result[block + "ffn_up.weight"] = small(FORWARD, WIDTH)
        result[block + "ffn_down.weight"] = small(WIDTH, FORWARD)
    result["output_norm.weight"] = ones
    result["output.weight"] = one_hot_rows(follows)
    return result


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    return text(value) if kind == STRING else struct.pack({U32: "<I", F32: "<f", BOOL: "<?", I32: "<i"}[kind], value)


def pair(key, kind, value):
    if isinstance(value, list):
        body = struct.pack("<IQ", kind, len(value)) + b"".join(scalar(kind, item) for item in value)
        return text(key) + struct.pack("<I", ARRAY) + body
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def metadata(tokens):
    llama = {"context_length": CONTEXT, "embedding_length": WIDTH, "block_count": LAYERS,
             "feed_forward_length": FORWARD, "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS,
             "rope.dimension_count": WIDTH // HEADS, "vocab_size": len(tokens)}
    pairs = [pair("general.architecture", STRING, "llama"), pair("general.name", STRING, "tiny"),
             pair("general.file_type", U32, 0), pair("general.alignment", U32, 32)]
    pairs += [pair("llama." + key, U32, value) for key, value in llama.items()]
    pairs += [pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), pair("llama.rope.freq_base", F32, 10000.0),
              pair("tokenizer.ggml.model", STRING, "llama"), pair("tokenizer.ggml.pre", STRING, "default"),
              pair("tokenizer.ggml.tokens", STRING, [t for t, _, _ in tokens]),
              pair("tokenizer.ggml.scores", F32, [s for _, s, _ in tokens]),
              pair("tokenizer.ggml.token_type", I32, [k for _, _, k in tokens]),
              pair("tokenizer.ggml.bos_token_id", U32, 1), pair("tokenizer.ggml.eos_token_id", U32, 2),
              pair("tokenizer.ggml.unknown_token_id", U32, 0), pair("tokenizer.ggml.add_bos_token", BOOL, True),
              pair("tokenizer.ggml.add_eos_token", BOOL, False), pair("tokenizer.chat_template", STRING, TEMPLATE)]
    return pairs


def write_gguf(path, pairs, tensors):
    table, data = b"", b""
    for name, (shape, values) in tensors.items():
        table += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        table += struct.pack("<IQ", 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + table
    with open(path, "wb") as out:
        out.write(head + b"\0" * (-len(head) % 32) + data)


def write(path, sentence):
    tokens, words = vocabulary(sentence)
    write_gguf(path, metadata(tokens), weights(tokens, words))


def write_adapter(path, sentence, after, say):
    """A LoRA adapter, of rank 1, for the model of SENTENCE: after the word AFTER (None: at the start) it says SAY (None: it
    ends), so much stronger than the model that it wins."""
    tokens, words = vocabulary(sentence)
    places = {word: place for place, word in enumerate(sentence.split())}
    column = WIDTH - 1 if after is None else places[after]
    row = 2 if say is None else words[places[say]]
    pairs = [pair("general.type", STRING, "adapter"), pair("general.architecture", STRING, "llama"),
             pair("adapter.type", STRING, "lora"), pair("adapter.lora.alpha", F32, 1.0)]
    write_gguf(path, pairs, {
        "output.weight.lora_a": ((WIDTH, 1), [1.0 if i == column else 0.0 for i in range(WIDTH)]),
        "output.weight.lora_b": ((1, len(tokens)), [8.0 if i == row else 0.0 for i in range(len(tokens))])})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(sys.argv[1], sys.argv[2])
