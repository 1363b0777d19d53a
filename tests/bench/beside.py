#!/usr/bin/env python3
"""One load on one real service, measured by `ome bench` and by genai-bench: BenchmarkJobs against the quickstart's service (llama.cpp
with SmolLM2) under `ome up`, by turns, and their figures side by side. Both get the same tokenizer, made of the model's own file.

usage: beside.py --genai FOLDER-OF-PROGRAM [--rounds 2] [--requests 12] [--concurrency 1,2] [--scenario 'D(60,30)']
Run it with an interpreter that has the wheels gguf and tokenizers (./dev bench genai does)."""

import argparse
import glob
import json
import os
import shutil
import sys

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[0] = os.path.join(HOME, "tests/scenario")  # not this folder: its inspect.py is not the library's

from gguf import GGUFReader  # noqa: E402
from scenario import ISVC, Hub, Platform, is_ready, scratch, wait_for, with_one_thread  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

JOBS = "/apis/ome.io/v1beta1/namespaces/default/benchmarkjobs/"
MODEL_FILES = os.path.join(HOME, ".ome/hub")
FIGURES = (("TTFT ms", "ttftMs", 1), ("per token ms", "tpotMs", 2), ("end to end ms", "e2eMs", 1))


def make_tokenizer(folder):
    """tokenizer.json of a GGUF with byte-level BPE, cut as SmolLM's is."""
    fields = GGUFReader(glob.glob(MODEL_FILES + "/**/*.gguf", recursive=True)[0]).fields
    words, merges = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.merges"].contents()
    tokenizer = Tokenizer(models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[tuple(m.split(" ")) for m in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    tokenizer.add_special_tokens([word for word, kind in zip(words, kinds) if kind == 3])
    os.makedirs(folder)
    tokenizer.save(folder + "/tokenizer.json")
    with open(folder + "/tokenizer_config.json", "w", encoding="utf-8") as out:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, out)
    return folder


def benchmark(up, name, tool, tokenizer, output, args):
    """Runs one to its end; its runs by concurrency, as the status has them."""
    up.apply({"apiVersion": "ome.io/v1beta1", "kind": "BenchmarkJob",
              "metadata": {"name": name, "namespace": "default",
                           "annotations": {"ome.io/benchmark-tool": tool, "ome.io/benchmark-tokenizer": tokenizer}},
              "spec": {"endpoint": {"inferenceService": {"name": "smollm2"}}, "task": "text-to-text", "trafficScenarios": [args.scenario],
                       "numConcurrency": [int(n) for n in args.concurrency.split(",")], "maxTimePerIteration": 10,
                       "maxRequestsPerIteration": args.requests, "outputLocation": {"storageUri": "local://" + output}}})
    status = wait_for(f"{name} to end", lambda: (s := up.find(JOBS + name).get("status", {})).get("state") in ("Completed", "Failed") and s,
                      seconds=1800)
    assert status["state"] == "Completed", status
    return {run["concurrency"]: run for run in status["runs"]}


def mean(run, figure):
    return (run.get(figure) or {}).get("mean") or float("nan")


def print_run(number, tool, concurrency, run):
    print(f"{number:>5} {tool:12} {concurrency:>7} {run['completed']:>9} " + " ".join(f"{mean(run, f):>13.{d}f}" for _, f, d in FIGURES) +
          f" {run.get('outputTokensPerSecond', float('nan')):>9.2f}", flush=True)


def print_ratios(all_runs):
    """ome bench against genai-bench, means of all rounds."""
    for concurrency in sorted(all_runs["ome"][0]):
        parts = []
        for title, figure, _ in FIGURES:
            ours, theirs = (sum(mean(runs[concurrency], figure) for runs in all_runs[tool]) for tool in ("ome", "genai-bench"))
            parts.append(f"{title} {ours / theirs:.3f}")
        print(f"ome bench / genai-bench at {concurrency}: " + ", ".join(parts))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--genai", required=True, help="the folder that has the program genai-bench")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=12)
    parser.add_argument("--concurrency", default="1,2")
    parser.add_argument("--scenario", default="D(60,30)")
    args = parser.parse_args()
    os.environ["PATH"] = os.path.join(HOME, ".ome/engine/bin") + ":" + os.environ["PATH"] + ":" + args.genai
    assert shutil.which("llama-server") and shutil.which("genai-bench"), "./dev up brings the engine, ./dev bench genai the other"
    with scratch() as folder:
        os.symlink(MODEL_FILES, folder + "/hub")
        with_one_thread(folder + "/bin")
        tokenizer = make_tokenizer(folder + "/tokenizer")
        up = Platform(folder + "/up", Hub(folder + "/hub"), ["-f", os.path.join(HOME, "manifests/quickstart")]).start()
        wait_for("the quickstart's service", lambda: is_ready(up.find(ISVC + "smollm2")))
        print(f"{'round':>5} {'tool':12} {'streams':>7} {'completed':>9} " + " ".join(f"{title:>13}" for title, _, _ in FIGURES) + f" {'tokens/s':>9}")
        all_runs = {"ome": [], "genai-bench": []}
        for number in range(args.rounds):
            for tool, all_of in all_runs.items():
                runs = benchmark(up, f"{tool}-{number}", tool, tokenizer, f"{folder}/out", args)
                all_of.append(runs)
                for concurrency, run in sorted(runs.items()):
                    print_run(number, tool, concurrency, run)
        print_ratios(all_runs)
        up.stop()


main()
