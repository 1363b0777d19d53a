#!/usr/bin/env python3
"""What is chosen for the whole catalogue and for manifests of every age, and what docs/selection.md shows of it.

OME_SAMPLES may name a folder of other manifests (models, runtimes, services below it), which must be taken as they are.
"""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import scenario
from scenario import HOME, OME

HERE = os.path.dirname(os.path.abspath(__file__))
SHOWN, WIDTH = 3, 190  # rows of a table in docs/selection.md, characters of a line
MANIFESTS = [os.path.join(HOME, "manifests", folder) for folder in ("models", "runtimes", "accelerators")]


def ome(*words, warnings=()):
    """What it prints, and one line on stderr for each of WARNINGS, which has it."""
    done = subprocess.run([OME, *words], capture_output=True, text=True, timeout=scenario.DEADLINE, check=False)
    said = done.stderr.splitlines()
    assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr}"
    assert len(said) == len(warnings) and all(w in line for w, line in zip(warnings, said)), f"{words}: {done.stderr}"
    return done.stdout


def explain(paths, *more, warnings=()):
    return json.loads(ome("explain", *[w for p in paths for w in ("-f", p)], "-o", "json", *more, warnings=warnings))


def rows(name):
    return [line.rstrip("\n").split("\t") for line in open(os.path.join(HERE, name), encoding="utf-8")]


def catalogue():
    """Every model has the runtime of the table, or the reason."""
    subprocess.run([sys.executable, "-B", os.path.join(HOME, "manifests/runtimes.py"), "--check"], check=True)
    matrix = explain(MANIFESTS, "--matrix")
    got = "".join(f"{r['model']}\t{r['runtime'] or '-'}\n" for r in sorted(matrix, key=lambda r: r["model"]))
    if "--write" in sys.argv:
        open(os.path.join(HERE, "matrix.expected"), "w", encoding="utf-8").write(got)
    assert got == open(os.path.join(HERE, "matrix.expected"), encoding="utf-8").read(), "matrix.expected: --write"
    for r in matrix:
        assert r["reason"] and (r["runtime"] or "Excluded runtimes: " in r["reason"]), r
    assert explain(list(reversed(MANIFESTS)), "--matrix") == matrix
    return len(matrix), sum(r["runtime"] is not None for r in matrix)


def announcement():
    old = "spec.supportedModelFormats[0].modelSizeRange: Deprecated"
    [record] = explain([os.path.join(HERE, "announcement.yaml")], warnings=(old, old))
    assert record["selected"]["runtime"] == "large" and record["selected"]["score"] == 100, record
    assert [c["runtime"] for c in record["candidates"]] == ["large", "small"], record
    assert "outside supported range [1B, 20B]" in record["candidates"][1]["rejected"], record


def bad_input():
    records = {r["name"]: r for r in explain([os.path.join(HERE, "bad.yaml")])}
    for name, key, words in rows("bad.expected"):
        assert words in (records[name].get(key) or ""), f"{name}: {records[name].get(key)!r} does not say {words!r}"
    assert records["no-memory"]["selected"]["accelerator"] is None, records["no-memory"]


def disaggregated(folder):
    """The prefill-decode runtimes are taken by name and give objects for engine, decoder and router."""
    for runtime, model in (("sglang-llama-4-maverick-fp8-pd", "llama-4-maverick-17b-128e-instruct-fp8"),
                           ("sglang-deepseek-ep-pd-rdma", "deepseek-v3"), ("sglang-pd-8gpu", "llama-3-3-70b-instruct"),
                           ("vllm-pd-8gpu", "llama-3-3-70b-instruct"), ("trtllm-pd-8gpu", "llama-3-3-70b-instruct")):
        path = os.path.join(folder, runtime + ".json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"apiVersion": "ome.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "pd"},
                       "spec": {"model": {"name": model}, "runtime": {"name": runtime}, "engine": {}, "decoder": {},
                                "router": {}, "acceleratorSelector": {"policy": "MostCapable"}}}, out)
        [record] = explain([*MANIFESTS, path])
        assert record["selected"]["runtime"] == runtime and not record.get("warning"), record
        assert record["selected"]["accelerator"] in ("h200-141g", "gb200-186g"), record["selected"]


def one_question():
    """A service, a model or the matrix: one of them at a time, under each spelling."""
    for words in (("explain", "--model", "a", "--matrix"), ("explain", "isvc", "a", "--model", "b"),
                  ("runtime", "explain", "--model", "a", "--isvc", "b")):
        done = subprocess.run([OME, *words], capture_output=True, text=True, timeout=scenario.DEADLINE, check=False)
        assert done.returncode == 2 and "exclude each other" in done.stderr, (words, done)
    assert json.loads(ome("runtime", "explain", "--model", "qwen3-8b", *[w for p in MANIFESTS for w in ("-f", p)], "-o",
                          "json")) == explain(MANIFESTS, "--model", "qwen3-8b")


def shortened(line):
    return line if len(line) <= WIDTH else line[:WIDTH].rsplit(" ", 1)[0] + " ..."


def documented():
    """docs/selection.md shows what `ome explain` says of five services; --write brings it up to date."""
    text = ome("explain", *[w for p in [*MANIFESTS, os.path.join(HERE, "services.yaml")] for w in ("-f", p)])
    path = os.path.join(HOME, "docs/selection.md")
    page = open(path, encoding="utf-8").read()
    now = page
    for block in text.rstrip("\n").split("\n\n"):
        lines = block.split("\n")
        name = lines[0].split(",")[0]  # "InferenceService demo/chat"
        head = next(i for i, line in enumerate(lines) if line.startswith("  RUNTIME"))
        shown = [shortened(line.rstrip()) for line in lines[:head + 1 + SHOWN]]
        if len(lines) > head + 1 + SHOWN:
            shown.append(f"  ... and {len(lines) - head - 1 - SHOWN} more")
        block = "```\n" + "\n".join(shown) + "\n```"
        now, times = re.subn(r"```\n" + re.escape(name) + r",.*?\n```", lambda _, b=block: b, now, flags=re.S)
        assert times == 1, f"{path} does not show {name}"
    if "--write" in sys.argv:
        open(path, "w", encoding="utf-8").write(now)
    else:
        assert now == page, f"{path} is not what ome explain says now: {sys.argv[0]} --write"


def samples(root):
    taken = 0
    for folder in sorted(os.listdir(root)):
        records = explain([os.path.join(root, folder)])
        assert records and all(r["reason"] for r in records), folder
        taken += len(records)
    return taken


def main():
    models, served = catalogue()
    announcement()
    bad_input()
    documented()
    one_question()
    with scenario.scratch() as folder:
        os.chmod(folder, 0o755)
        disaggregated(folder)
    print(f"{served} of {models} models have a runtime")
    if os.environ.get("OME_SAMPLES"):
        print(f"{samples(os.environ['OME_SAMPLES'])} services of the samples have an answer")


if __name__ == "__main__":
    os.umask(0o022)
    main()
