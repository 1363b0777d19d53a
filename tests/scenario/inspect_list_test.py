#!/usr/bin/env python3
"""ome inspect --each on a folder of models, --families, and the table in docs/model-facts.md that is made of it.

usage: inspect_list_test.py [--write]     --write brings the table up to date
"""

import json
import os
import struct
import subprocess
import sys

import scenario
from scenario import OME

FIXTURES = os.path.join(scenario.HOME, "tests", "unit", "model", "families.json")
DOC = os.path.join(scenario.HOME, "docs", "model-facts.md")
HEADING = "## Families\n\n"


def inspect(*arguments, code=0):
    done = subprocess.run([OME, "inspect", *arguments], capture_output=True, text=True, timeout=scenario.DEADLINE,
                          check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def families():
    return json.loads(inspect("--families", "-o", "json"))


def config(**fields):
    return json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 64,
                       "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100,
                       "max_position_embeddings": 4096, "torch_dtype": "bfloat16", **fields}).encode()


def weights(elements):
    text = json.dumps({"a": {"dtype": "F16", "shape": [elements], "data_offsets": [0, 2 * elements]}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(2 * elements)


def each(folder):
    """One entry a model in the order of names; what is inside of a model is none, and a broken one says why."""
    scenario.write_files(os.path.join(folder, "org", "chat"), {
        "config.json": config(), "model.safetensors": weights(640), "original/config.json": config()})
    scenario.write_files(os.path.join(folder, "broken"), {"config.json": b"[]"})
    scenario.write_files(os.path.join(folder, "vectors"), {"config.json": config(architectures=["Qwen2Model"])})
    scenario.write_files(os.path.join(folder, "notes"), {"README.md": b"no model"})
    listed = json.loads(inspect("--each", folder, "-o", "json"))
    assert [os.path.relpath(o["path"], folder) for o in listed] == ["broken", "org/chat", "vectors"], listed
    broken, chat, vectors = listed
    assert "config.json" in broken["error"] and "modelType" not in broken, broken
    assert chat["parameterCount"] == 640 and chat["parameterCountSource"] == "safetensors" and "error" not in chat, chat
    assert vectors["modelCapabilities"] == ["EMBEDDING"] and vectors["parameterCountSource"] == "config", vectors
    alone = json.loads(inspect(chat.pop("path"), "-o", "json"))
    assert chat == alone, (chat, alone)


def each_for_people(folder):
    rows = [line.split() for line in inspect("--each", folder, "-o", "table").splitlines()]
    assert rows[0] == ["PATH", "TYPE", "SIZE", "CONTEXT", "QUANTIZATION", "CAPABILITIES"], rows
    chat = next(row for row in rows if row[0].endswith("org/chat"))
    assert chat[1:] == ["qwen2", "640", "4096", "-", "TEXT_TO_TEXT"], chat
    assert any("no object" in " ".join(row) for row in rows if row[0].endswith("broken")), rows


def each_wrongly(folder):
    assert "no folder in it holds a model" in inspect("--each", os.path.join(folder, "notes"), code=1)
    said = inspect("--each", os.path.join(folder, "nowhere"), code=1)
    assert "nowhere" in said, said
    assert "--memory is of one model" in inspect("--each", folder, "--memory", "--accelerator", "h100-80g", code=2)
    assert "--families stands alone" in inspect("--families", folder, code=2)


def families_are_understood(folder):
    """Each model_type that is listed is one that a configuration is then known by."""
    listed = families()
    types = [t for row in listed for t in row["modelTypes"]]
    assert len(types) == len(set(types)) and len(listed) > 100, types
    for number, model_type in enumerate(types):
        scenario.write_files(os.path.join(folder, "types", f"{number:04}"), {
            "config.json": json.dumps({"model_type": model_type}).encode()})
    found = json.loads(inspect("--each", os.path.join(folder, "types"), "-o", "json"))
    assert [o["modelType"] for o in found] == types, found
    named = [row["modelArchitecture"] for row in listed for _ in row["modelTypes"]]
    assert [o["modelArchitecture"] for o in found] == named
    assert len(inspect("--families", "-o", "table").splitlines()) == len(listed) + 1


def fixtures_are_counted(folder):
    """Each configuration with a published count, as a folder with nothing else in it."""
    with open(FIXTURES, encoding="utf-8") as file:
        models = json.load(file)
    for number, model in enumerate(models):
        scenario.write_files(os.path.join(folder, "fixtures", f"{number:04}"), {
            "config.json": json.dumps(model["config"]).encode()})
    found = json.loads(inspect("--each", os.path.join(folder, "fixtures"), "-o", "json"))
    assert len(found) == len(models) > 230
    for model, facts in zip(models, found):
        expect = model["expect"]
        assert facts["parameterCountSource"] == "config" and facts["family"], (model["name"], facts)
        assert facts["parameterCount"] == expect.get("parameters", facts["parameterCount"]), (model["name"], facts)
        assert facts["contextLength"] == expect.get("context", facts["contextLength"]), (model["name"], facts)
    print(f"{len(models)} configurations with {sum('parameters' in m['expect'] for m in models)} published counts")


def table():
    """The families as docs/model-facts.md has them."""
    lines = ["| family | `model_type` | architecture where none is named | count | notes |", "|---|---|---|---|---|"]
    for row in families():
        types = " ".join(f"`{t}`" for t in row["modelTypes"])
        lines.append(f"| {row['family']} | {types} | {row['modelArchitecture']} | {row['count']} | {row['notes']} |")
    return "\n".join(lines) + "\n"


def families_are_documented(_):
    with open(DOC, encoding="utf-8") as file:
        before, _, now = file.read().partition(HEADING)
    assert before and now == table(), f"{DOC}: its table is another than --families gives; {sys.argv[0]} --write mends it"


def write():
    with open(DOC, encoding="utf-8") as file:
        before, _, _ = file.read().partition(HEADING)
    with open(DOC, "w", encoding="utf-8") as file:
        file.write(before + HEADING + table())


def main():
    if sys.argv[1:] == ["--write"]:
        return write()
    with scenario.scratch() as folder:
        for part in each, each_for_people, each_wrongly, families_are_understood, fixtures_are_counted, families_are_documented:
            part(folder)
            print(f"{part.__name__}: ok", flush=True)


main()
