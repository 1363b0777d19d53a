"""`ome bench` against an engine with fixed times that says afterwards what it did: counts are equal, times agree, every
way to go wrong has its class, and what was measured before survives.

Times are compared with the engine's own, so that a slow machine moves both.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request

from scenario import DEADLINE, OME, wait_for

STUB = sys.argv[1]


class Engine:
    """The stub, its address, and what it has done since it started."""

    def __init__(self, folder, ttft, itl):
        port_file = os.path.join(folder, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        self.process = subprocess.Popen([STUB, port_file, str(ttft), str(itl)])
        wait_for("the engine answers", lambda: os.path.exists(port_file))
        with open(port_file, encoding="utf-8") as port:
            self.url = f"http://127.0.0.1:{port.read().strip()}"

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=DEADLINE) as answer:
            return json.load(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(DEADLINE)


def bench(*args, code=0):
    """Exit code, report (None: none was printed), standard error."""
    done = subprocess.run([OME, "bench", "-o", "json", *args], capture_output=True, text=True, timeout=2 * DEADLINE,
                          check=False)
    assert done.returncode == code, (done.returncode, done.stderr)
    return json.loads(done.stdout) if done.stdout else None, done.stderr


def near(measured, told, tolerance):
    assert abs(measured - told) <= tolerance, f"measured {measured}, the engine says {told}"


def measures_what_the_engine_did(folder):
    with Engine(folder, 80, 20) as engine:
        report, _ = bench(engine.url, "-m", "m", "-s", "D(100,20)", "-c", "500", "-n", "1000")
        run, told = report["runs"][0], engine.stats()
        assert run["requests"] == run["completed"] == told["answered"] == 1000, run
        assert run["errors"] == {} and not run["partial"] and run["tokenSource"] == "usage"
        assert run["outputTokens"] == told["tokens"] == 20000
        assert run["inputTokens"] == told["promptTokens"] == 100000
        # Streams start a few at a time, an answer takes 460 ms: on a slow machine the first can end before the last begins.
        assert 400 <= told["peak"] <= 500, told
        assert run["ttftMs"]["count"] == 1000 and run["itlMs"]["count"] == 19000
        near(run["itlMs"]["mean"], told["gapMs"], 0.1 * told["gapMs"])
        near(run["tpotMs"]["mean"], told["gapMs"], 0.1 * told["gapMs"])
        assert run["ttftMs"]["min"] >= 80 * 0.99
        assert run["e2eMs"]["p50"] >= run["ttftMs"]["p50"] + 19 * run["tpotMs"]["p50"] * 0.9
        assert sum(slot["outputTokens"] for slot in run["timeline"]) == 20000
        assert sum(slot["completed"] for slot in run["timeline"]) == 1000
    with Engine(folder, 80, 20) as engine:
        report, _ = bench(engine.url, "-m", "m", "-s", "D(100,3)", "-n", "10")
        run, told = report["runs"][0], engine.stats()
        near(run["ttftMs"]["mean"], told["ttftMs"], 0.3 * told["ttftMs"])
        near(run["itlMs"]["mean"], told["gapMs"], 0.2 * told["gapMs"])


def holds_conversations(folder):
    """Three turns each, the later ones with all that was said: prompts of 10, 10 + 5 + 10 and 10 + 5 + 10 + 5 + 10 words."""
    with Engine(folder, 5, 1) as engine:
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,5)", "-c", "1", "-n", "6", "--turns", "3")
        run, told = report["runs"][0], engine.stats()
        assert run["completed"] == 6 and run["inputTokens"] == told["promptTokens"] == 2 * (10 + 25 + 40), run
        assert report["config"]["turns"] == 3, report["config"]
        bench(engine.url, "-m", "m", "-s", "E(10)", "--task", "embeddings", "-n", "1", "--turns", "3", code=1)


def counts_with_a_tokenizer(folder):
    """Where the server does not count: prompts are as long as asked, answers (" w0 w1 ...": space, letter, digit) are counted."""
    path = os.path.join(folder, "tokenizer.json")
    words = {f"\u2581{word}": n for n, word in enumerate("den noc rok huis boom boek land water time day".split())}
    letters = {letter: 50 + n for n, letter in enumerate("\u2581w0123456789")}
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"model": {"type": "BPE", "ignore_merges": True, "vocab": {**words, **letters}, "merges": []},
                   "pre_tokenizer": {"type": "Metaspace"}}, out)
    with Engine(folder, 5, 1) as engine:
        report, _ = bench(engine.url, "-m", "nousage", "-s", "D(40,6)", "-n", "5", "--tokenizer", path)
        run = report["runs"][0]
        # The stub counts spaces: a prompt of 40 words has 39.
        assert run["inputTokens"] == 200 and engine.stats()["promptTokens"] == 195, run
        assert run["outputTokens"] == 5 * 6 * 3 and run["tokenSource"] == "tokenizer", run
        assert abs(run["tpotMs"]["mean"] * 17 - run["itlMs"]["mean"] * 5) < 0.1, run  # 18 tokens in six pieces
        assert report["config"]["tokenizer"] == path
        report, _ = bench(engine.url, "-m", "m", "-s", "D(40,6)", "-n", "5", "--tokenizer", folder)
        assert report["runs"][0]["tokenSource"] == "usage" and report["runs"][0]["outputTokens"] == 30, report["runs"][0]
        report, err = bench(engine.url, "-m", "m", "-n", "1", "--tokenizer", "/nonexistent", code=1)
        assert report is None and "/nonexistent" in err, err


def cools_down(folder):
    """The last requests that count end under full load; what keeps it up is no figure, and is cut."""
    with Engine(folder, 30, 5) as engine:
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,20)", "-c", "8", "-n", "12", "--cooldown", "100")
        run, told = report["runs"][0], engine.stats()
        assert run["requests"] == run["completed"] == 12 and run["cut"] == 0 and not run["partial"], run
        assert run["outputTokens"] == 240 == sum(slot["outputTokens"] for slot in run["timeline"])
        assert 12 < told["requests"] <= 112 and told["peak"] == 8 and report["config"]["cooldownRequests"] == 100, told
        assert run["connectMs"]["count"] == 8 and run["itlMs"]["count"] == 12 * 19, run


def tells_as_it_goes(folder):
    """Events for machines: progress, then the figures in short; the model is the server's own, files are sent on."""
    out = os.path.join(folder, "sent")
    credentials = os.path.join(folder, "credentials")
    os.mkdir(credentials)
    for name, text in (("token", "t"), ("other", "o\n"), ("..data", "never read")):
        with open(os.path.join(credentials, name), "w", encoding="utf-8") as file:
            file.write(text)
    with Engine(folder, 5, 1) as engine:
        done = subprocess.run([OME, "bench", engine.url, "-o", "events", "-s", "D(10,4)", "-c", "1,2", "-n", "10", "--report",
                               os.path.join(folder, "events"), "--upload", "local://" + out, "--credentials", credentials],
                              capture_output=True, text=True, timeout=DEADLINE, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and events[0]["event"] == "progress" and events[0]["points"] == 2, events
    last = events[-1]
    assert last["event"] == "done" and last["uploaded"] == "local://" + out and not last["partial"], last
    assert [(r["concurrency"], r["completed"]) for r in last["runs"]] == [(1, 10), (2, 10)] and last["runs"][0]["ttftMs"]["count"] == 10
    with open(os.path.join(out, "report.json"), encoding="utf-8") as text:
        assert json.load(text)["config"]["model"] == "stub"
    again = subprocess.run([OME, "bench", "upload", os.path.join(folder, "events"), "--upload", "local://" + out + "2", "-o",
                            "events"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert json.loads(again.stdout)["runs"] == last["runs"] and os.path.exists(out + "2/report.html"), again


def sweeps(folder):
    with Engine(folder, 5, 1) as engine:
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,4)", "-s", "U(5,9)/(3,6)", "-c", "1,2", "-c", "4", "-n", "12",
                          "--warmup", "3")
        runs = report["runs"]
        assert [(r["scenario"], r["concurrency"]) for r in runs] == [
            (s, c) for s in ("D(10,4)", "U(5,9)/(3,6)") for c in (1, 2, 4)], runs
        assert all(r["completed"] == 12 for r in runs)
        assert engine.stats()["requests"] == 6 * (12 + 3)
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,4)", "-c", "2", "-n", "10", "--repeat", "3")
        run = report["runs"][0]
        assert len(run["repeats"]) == 3 and run["completed"] == 30
        near(run["confidence"]["ttftMs"]["mean"], run["ttftMs"]["mean"], 0.001 * run["ttftMs"]["mean"])
        assert run["confidence"]["outputTokensPerSecond"]["margin"] > 0 and report["config"]["latenciesFrom"] == "sending", run
        again, _ = bench(engine.url, "-m", "m", "-s", "D(10,4)", "-n", "1")
        assert again["config"]["seed"] != report["config"]["seed"], "other prompts, which no server has cached"
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,4)", "-c", "2", "-n", "10", "--repeat", "50", "--stable", "100")
        assert 3 <= len(report["runs"][0]["repeats"]) < 50, "stops when it is known well enough"
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,4)", "--arrival", "ramp", "--rate", "10,100", "-d", "1s")
        run = report["runs"][0]
        assert 40 <= run["completed"] <= 60 and run["unsent"] == 0 and report["config"]["latenciesFrom"] == "intended start", run


def has_every_task(folder):
    with Engine(folder, 2, 1) as engine:
        for task, scenario, more in (("completions", "D(10,3)", ()), ("chat", "D(10,3)", ("--no-stream",)),
                                     ("embeddings", "E(20,3)", ()), ("rerank", "R(20)", ("--batch", "4")),
                                     ("image", "I(64,32,2)", ()), ("text-to-embeddings", "E(7)", ())):
            before = engine.stats()
            report, _ = bench(engine.url, "-m", "m", "--task", task, "-s", scenario, "-c", "3", "-n", "9", *more)
            run, told = report["runs"][0], engine.stats()
            assert run["completed"] == 9 and run["errors"] == {}, (task, run)
            assert run["inputTokens"] == told["promptTokens"] - before["promptTokens"], (task, run)
        key = os.path.join(folder, "key")
        with open(key, "w", encoding="utf-8") as out:
            out.write("s3same\n")
        before = engine.stats()["auth"]
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,3)", "-n", "5", "--api-key-file", key)
        assert engine.stats()["auth"] == before + 5
        assert "s3same" not in json.dumps(report)


def open_loops_charge_what_waits(folder):
    """Two streams cannot carry what arrives: the wait counts."""
    with Engine(folder, 50, 1) as engine:
        report, err = bench(engine.url, "-m", "m", "-s", "D(10,3)", "--rate", "200", "--arrival", "constant", "-c", "2", "-n",
                            "60")
        run = report["runs"][0]
        assert run["completed"] == 60 and run["rate"] == 200
        near(run["ttftMs"]["min"], engine.stats()["ttftMs"], 40)
        # 60 requests at two a time take 30 times 50 ms, of which the arrivals take 0.3 s.
        assert run["ttftMs"]["max"] >= 1000, run["ttftMs"]
        assert run["startDelayMs"]["max"] >= 900, run["startDelayMs"]
        report, err = bench(engine.url, "-m", "m", "-s", "D(10,3)", "--rate", "400", "-c", "1", "-d", "400ms")
        assert report["runs"][0]["unsent"] > 50 and "raise --concurrency" in err
        replay = os.path.join(folder, "replay")
        with open(replay, "w", encoding="utf-8") as out:
            out.write("0\n0.01\n0.02\n0.3\n")
        report, _ = bench(engine.url, "-m", "m", "-s", "D(10,3)", "--replay", replay)
        assert report["runs"][0]["completed"] == 4 and report["runs"][0]["seconds"] >= 0.3


def failures_have_their_class(folder):
    classes = {"never": "timeout", "stall": "stall", "malformed": "malformed", "noise": "malformed", "close": "closed",
               "short": "closed", "limit": "rate-limited", "broken": "server", "refuse": "client", "inside": "api",
               "silent": "empty"}
    with Engine(folder, 5, 1) as engine:
        for model, name in classes.items():
            report, err = bench(engine.url, "-m", model, "-s", "D(10,6)", "-c", "4", "-n", "4", "--timeout",
                                "1s" if model == "never" else "60s", "--stall-timeout", "300ms", code=1)
            run = report["runs"][0]
            assert run["requests"] == 4 and run["completed"] == 0 and run["errors"] == {name: 4}, (model, run["errors"])
            assert run["ttftMs"] is None and name in err and run["errorExamples"][name], (model, err)
        report, _ = bench(engine.url, "-m", "half", "-s", "D(10,6)", "-c", "2", "-n", "20")
        run = report["runs"][0]
        assert run["completed"] == 10 and run["errors"] == {"server": 10} and run["outputTokens"] == 60, run
        report, _ = bench(engine.url, "-m", "nousage", "-s", "D(10,6)", "-n", "4")
        assert report["runs"][0]["outputTokens"] == 24 and report["runs"][0]["tokenSource"] == "pieces"
    report, err = bench("http://127.0.0.1:1", "-m", "m", "-s", "D(1,2)", "-n", "3", code=1)
    assert report["runs"][0]["errors"] == {"connection": 3}


def bad_input_is_named(folder):
    dataset = os.path.join(folder, "rows")
    with Engine(folder, 2, 1) as engine:
        for args, word in ((("-s", "D(5"), "D(5"), (("-c", "0", "-s", "D(1,2)"), "--concurrency: 0"),
                           (("-s", "E(5)"), "task chat"), (("--task", "sing"), "sing"), (("--rate", "-1"), "-1"),
                           (("--timeout", "soon"), "soon"), (("--param", "x"), "NAME=VALUE"),
                           (("--dataset", "/nonexistent"), "/nonexistent"), (("--arrival", "ramp"), "ramp")):
            report, err = bench(engine.url, "-m", "m", "-n", "2", *args, code=1)
            assert report is None and word in err, (args, err)
        assert "never end" in bench(engine.url, "-m", "m", "-s", "D(1,2)", code=1)[1]
        bench(code=2)
        assert "--upload" in bench(engine.url, "-n", "1", "--upload", "local:///x", code=2)[1]
        assert "--model" in bench("http://127.0.0.1:1", "-n", "1", code=1)[1]
        with open(dataset, "w", encoding="utf-8") as out:
            out.write('first prompt\n{"prompt": 5}\n{"broken\n{"prompt": "second one", "max_tokens": 3}\n')
        report, err = bench(engine.url, "-m", "m", "-n", "4", "--dataset", dataset)
        assert report["config"]["dataset"]["rows"] == 2 and report["config"]["dataset"]["badRows"] == 2, report["config"]
        assert "line 2" in report["config"]["dataset"]["firstBadRow"] and "line 2" in err
        assert report["runs"][0]["completed"] == 4 and report["runs"][0]["scenario"] == "dataset"
        assert report["runs"][0]["outputTokens"] == 2 * (16 + 3)  # 16 is the engine's own
        with open(dataset, "w", encoding="utf-8") as out:
            out.write("{\n")
        assert "no row" in bench(engine.url, "-m", "m", "-n", "4", "--dataset", dataset, code=1)[1]
        assert engine.stats()["requests"] == 4


def ctrl_c_keeps_what_there_is(folder):
    with Engine(folder, 5, 1) as engine:
        process = subprocess.Popen([OME, "bench", engine.url, "-m", "m", "-s", "D(10,5)", "-c", "4", "-d", "1h", "-o", "json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for("requests are answered", lambda: engine.stats()["answered"] >= 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        report = json.loads(out)
        assert process.returncode == 0 and report["partial"] and "ended early" in err
        assert report["runs"][0]["completed"] >= 20 and report["runs"][0]["errors"] == {}


def reports_and_compares(folder):
    """A report in every form; a slower engine is worse, and the exit status says so."""
    for name, ttft in (("before", 20), ("after", 90)):
        with Engine(folder, ttft, 2) as engine:
            bench(engine.url, "-m", "m", "-s", "D(10,5)", "-c", "4", "-n", "60", "--report", os.path.join(folder, name))
    before = os.path.join(folder, "before")
    names = set(os.listdir(before))
    assert {"report.json", "report.md", "report.html", "experiment_metadata.json"} <= names and len(names) == 5, names
    page = open(os.path.join(before, "report.html"), encoding="utf-8").read()
    assert page.count("<svg") >= 3 and "<script" not in page and "http" not in page.replace("http://127.0.0.1", "").replace(
        "http://www.w3.org", ""), "a page that needs nothing but itself"
    for other, code, verdict in ((before, 0, "same"), (os.path.join(folder, "after"), 1, "worse")):
        done = subprocess.run([OME, "bench", "compare", before, other, "-o", "json"], capture_output=True, text=True,
                              check=False)
        assert done.returncode == code, done.stderr
        figures = json.loads(done.stdout)["figures"]
        assert verdict in [f["verdict"] for f in figures if f["figure"] == "ttftMs"], figures


def main():
    with tempfile.TemporaryDirectory(prefix="ome-bench-") as folder:
        for check in (measures_what_the_engine_did, holds_conversations, counts_with_a_tokenizer, cools_down, tells_as_it_goes, sweeps, has_every_task,
                      open_loops_charge_what_waits, failures_have_their_class, bad_input_is_named, reports_and_compares,
                      ctrl_c_keeps_what_there_is):
            check(folder)
            print("ok", check.__name__.replace("_", " "))


main()
