#!/usr/bin/env python3
"""How true `ome bench` is, and what it costs: beside an engine with fixed times that knows what it did, from 1 stream to 2,000;
how much one core could send; and, with --genai, beside genai-bench at the same concurrency on the same engine.

Exit status 1: a figure is further than 1 % and 0.2 ms from the truth. A machine that does other things meanwhile keeps the generator
from running; --realtime keeps those out (needs root).

usage: bench.py [--streams 1,100,500,1000,2000] [--realtime] [--genai PROGRAM --tokenizer FOLDER [--concurrency 64] [--requests 256]]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request

OME = os.environ["OME_BIN"]
STUB = os.path.join(os.path.dirname(OME), "stub_engine")
EXACT = os.path.join(os.path.dirname(OME), "..", "bench", "exact_engine")
TIMES = {1: (80, 20), 100: (80, 20), 500: (80, 20)}  # milliseconds; what one core of an engine can keep
MANY = (200, 100)


class Engine:
    def __init__(self, folder, prefix, program, ttft, itl):
        port = os.path.join(folder, "port")
        if os.path.exists(port):
            os.remove(port)
        self.process = subprocess.Popen([*prefix, program, port, str(ttft), str(itl)])
        while not (os.path.exists(port) and os.path.getsize(port)):
            assert self.process.poll() is None, "the engine does not start"
            time.sleep(0.02)
        with open(port, encoding="utf-8") as text:
            self.url = "http://127.0.0.1:" + text.read().strip()

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=60) as answer:
            return json.load(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def side(args, number):
    """The engine has one processor and the generator the other, as far as there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[number % len(cores)]), *(["chrt", "-f", "10"] if args.realtime else [])]


def run(command, **options):
    """Standard output; processor seconds and peak KiB of the command alone."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as process:
        out = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (command, process.returncode)
    return out, used.ru_utime + used.ru_stime, used.ru_maxrss


def ome_bench(prefix, engine, streams, requests, lengths):
    out, cpu, memory = run([*prefix, OME, "bench", engine.url, "-m", "m", "-s", lengths, "-c", str(streams), "-n", str(requests), "-o", "json"])
    report = json.loads(out)["runs"][0]
    assert report["completed"] == requests, report["errors"]
    return report, cpu, memory


def is_true(measured, truth):
    return abs(measured - truth) <= max(0.01 * truth, 0.2)


def accuracy(folder, args):
    """Whether every figure is within 1 % or 0.2 ms of what the engine did."""
    good = True
    print(f"{'streams':>8} {'figure':>7} {'mean':>9} {'engine':>9} {'p50':>9} {'engine':>9} {'p99':>9} {'engine':>9} {'worst off':>15} "
          f"{'tokens/s':>9} {'CPU us/token':>13} {'MiB':>6}")
    for streams in (int(n) for n in args.streams.split(",")):
        with Engine(folder, side(args, 0), EXACT, *TIMES.get(streams, MANY)) as engine:
            report, cpu, memory = ome_bench(side(args, 1), engine, streams, max(10, 2 * streams), "D(100,50)")
            told = engine.stats()
        more = f"{report['outputTokensPerSecond']:9.0f} {cpu / report['outputTokens'] * 1e6:13.1f} {memory / 1024:6.1f}"
        for name in ("ttftMs", "itlMs", "e2eMs"):
            pairs = [(report[name][of], told[name][of]) for of in ("mean", "p50", "p99")]
            measured, truth = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
            good = good and all(is_true(*pair) for pair in pairs)
            print(f"{streams:8} {name[:-2]:>7} " + " ".join(f"{m:9.3f} {e:9.3f}" for m, e in pairs) +
                  f" {measured - truth:+6.3f} {measured / truth - 1:+7.2%} {more}", flush=True)
            more = ""
    print("every figure is within 1 % or 0.2 ms" if good else "NOT every figure is within 1 % or 0.2 ms")
    return good


def ceiling(folder, args):
    """What a core could send: its work a piece, whatever the engine keeps up with."""
    for what, lengths, figure in (("streams", "D(1,1)", "requests"), ("tokens", "D(1,500)", "outputTokens")):
        with Engine(folder, side(args, 0), STUB, 1, 1) as engine:
            report, cpu, _ = ome_bench(side(args, 1), engine, 64, 20000 if figure == "requests" else 500, lengths)
        print(f"one core: {report[figure] / cpu:.0f} {what}/s")


def beside_genai(folder, args):
    prefix = side(args, 1)
    with Engine(folder, side(args, 0), STUB, 80, 20) as engine:
        with open(os.path.join(folder, "genai.log"), "wb") as log:
            _, cpu, memory = run([*prefix, args.genai, "benchmark", "--api-backend", "openai", "--api-base", engine.url, "--api-key", "x",
                                  "--api-model-name", "m", "--model-tokenizer", args.tokenizer, "--task", "text-to-text",
                                  "--max-time-per-run", "1", "--max-requests-per-run", str(args.requests), "--traffic-scenario",
                                  "D(100,50)", "--num-concurrency", str(args.concurrency), "--experiment-base-dir", folder],
                                 stderr=log, cwd=folder)
        requests = engine.stats()["answered"]
    with Engine(folder, side(args, 0), STUB, 80, 20) as engine:
        _, own_cpu, own_memory = ome_bench(prefix, engine, args.concurrency, requests, "D(100,50)")
    print(f"{'':12} {'requests':>9} {'CPU s':>8} {'MiB':>8}")
    print(f"{'genai-bench':12} {requests:9} {cpu:8.2f} {memory / 1024:8.1f}")
    print(f"{'ome bench':12} {requests:9} {own_cpu:8.2f} {own_memory / 1024:8.1f}")
    print(f"{'ratio':12} {'':9} {cpu / own_cpu:8.0f} {memory / own_memory:8.0f}")
    return cpu >= 20 * own_cpu and memory >= 10 * own_memory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", default="1,100,500,1000,2000", help="how many at a time, several by commas")
    parser.add_argument("--realtime", action="store_true", help="before everything else on the machine")
    parser.add_argument("--genai", type=os.path.abspath, help="the program, installed somewhere: it brings 1.3 GB")
    parser.add_argument("--tokenizer", type=os.path.abspath, help="a folder with tokenizer.json, which it needs")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--requests", type=int, default=256)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="ome-bench-") as folder:
        good = accuracy(folder, args)
        ceiling(folder, args)
        good = (not args.genai or beside_genai(folder, args)) and good
        return 0 if good else 1


sys.exit(main())
