#!/usr/bin/env python3
"""The quickstart, and BenchmarkJobs against its service: a real engine and a real model, reports in a folder and in an S3
server, figures that agree with each other and with what was asked for."""

import json
import os
import sys

import peers
from scenario import HOME, ISVC, Hub, Platform, is_ready, need_engine, scratch, wait_for, with_one_thread

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("boto3")
    os.execv(python, [python, "-B", *sys.argv])

from benchmarkjobs import FILES, Jobs, job  # noqa: E402
from bucket import Bucket  # noqa: E402

MODEL_FILES = os.path.join(HOME, ".ome/hub")  # ./dev puts them there
REQUESTS, INPUT, OUTPUT = 2, 20, 10
TEMPLATE = 60  # tokens at most that the chat template and its system prompt add to a prompt


def check_run(run, concurrency):
    """One run of report.json."""
    assert (run["scenario"], run["concurrency"]) == (f"D({INPUT},{OUTPUT})", concurrency), run
    assert run["requests"] == run["completed"] == REQUESTS and run["errors"] == {} and not run["partial"], run
    assert run["outputTokens"] == REQUESTS * OUTPUT and run["tokenSource"] == "usage", run
    assert INPUT / 2 < run["inputTokens"] / REQUESTS < INPUT + TEMPLATE, run["inputTokens"]
    assert run["ttftMs"]["count"] == run["tpotMs"]["count"] == REQUESTS, run
    assert 0 < run["ttftMs"]["min"] < run["e2eMs"]["max"] < run["seconds"] * 1001, run
    assert run["tpotMs"]["min"] > 0, run
    # An answer takes its first token and the OUTPUT - 1 gaps after it; the stream's end comes a little later.
    answer = run["ttftMs"]["mean"] + (OUTPUT - 1) * run["tpotMs"]["mean"]
    assert 0.98 * answer <= run["e2eMs"]["mean"], run
    assert abs(run["outputTokensPerSecond"] * run["seconds"] / run["outputTokens"] - 1) < 0.01, run


def check_report(report):
    config = report["config"]
    assert config["model"] == "smollm2", config["model"]  # as the server calls it
    facts = config["metadata"]
    assert (facts["service"]["name"], facts["runtime"]["name"]) == ("smollm2", "llama-cpp"), facts
    assert facts["model"]["name"] == "smollm2-135m-instruct", facts["model"]
    assert [run["concurrency"] for run in report["runs"]] == [1, 2], report["runs"]
    for run, concurrency in zip(report["runs"], (1, 2), strict=True):
        check_run(run, concurrency)


def benchmark(jobs, name, output):
    """Runs one to its end; the report's address."""
    status = jobs.run(job(name, {"inferenceService": {"name": "smollm2"}}, output, trafficScenarios=[f"D({INPUT},{OUTPUT})"],
                          numConcurrency=[1, 2], maxRequestsPerIteration=REQUESTS))
    assert status["progress"] == "2/2" and [r["completed"] for r in status["runs"]] == [REQUESTS, REQUESTS], status
    return status["reportURI"]


def main():
    need_engine()
    with scratch() as folder:
        with_one_thread(folder + "/bin")
        os.symlink(MODEL_FILES, folder + "/hub")
        up = Platform(folder + "/up", Hub(folder + "/hub"), ["-f", os.path.join(HOME, "manifests/quickstart")]).start()
        jobs, bucket = Jobs(up), Bucket(folder + "/ceph")
        wait_for("the quickstart's service", lambda: is_ready(up.find(ISVC + "smollm2")))

        where = benchmark(jobs, "here", "local://" + folder + "/out").removeprefix("local://")
        assert FILES < set(os.listdir(where)), os.listdir(where)
        with open(where + "/report.json", encoding="utf-8") as text:
            check_report(json.load(text))
        print("ok a report in a folder", flush=True)

        jobs.secret("s3-keys", **bucket.keys)
        uri = benchmark(jobs, "there", bucket.output("s3-keys"))
        assert FILES < bucket.names(uri), uri
        check_report(json.loads(bucket.read(uri + "/report.json")))
        print("ok a report in an S3 server", flush=True)
        up.stop()


main()
