#!/usr/bin/env python3
"""BenchmarkJobs under `ome up`: against a service whose engine has fixed times, results in a folder, a claim and an S3 server;
what goes wrong has its reason, and what was measured is kept."""

import json
import os
import subprocess
import sys

import peers
from scenario import DEADLINE, HOME, ISVC, OME, Hub, Platform, is_ready, make_tiny, model, runtime, scratch, service, wait_for

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("boto3")
    os.execv(python, [python, "-B", *sys.argv])

import yaml  # noqa: E402
from benchmarkjobs import FILES, Jobs, job  # noqa: E402
from bucket import Bucket  # noqa: E402

STUB = sys.argv[1]

# What genai-bench leaves behind, in its place.
GENAI = """#!/bin/sh
test "$MODEL_API_KEY" = s3same || exit 3
case " $* " in *.localhost*) echo "Name or service not known" >&2; exit 2;; *" --api-key "*" --api-base http://127.0.0.1:"*/default/chat*|*" --api-base http://127.0.0.1:"*/default/chat*" --api-key "*) ;; *) echo "API key is required for openai backend" >&2; exit 2;; esac
while [ $# -gt 0 ]; do case $1 in --experiment-base-dir) base=$2;; --experiment-folder-name) name=$2;; esac; shift; done
mkdir -p "$base/$name"
echo '{"aggregated_metrics": {"scenario": "D(10,5)", "num_concurrency": 2, "num_requests": 8, "num_completed_requests": 8,
 "mean_output_throughput_tokens_per_s": 50.5, "stats": {"ttft": {"mean": 0.02, "stddev": 0.001, "p50": 0.02, "p99": 0.03}}},
 "_time_unit": "s"}' >"$base/$name/D10_5_text-to-text_concurrency_2_time_1s.json"
"""


def endpoint(url):
    return {"endpoint": {"url": url, "apiFormat": "openai"}}


class Setting(Jobs):
    """`ome up` with one service, "chat"; FOLDER is the scenario's."""

    def __init__(self, folder):
        self.folder = folder
        make_tiny(folder + "/hub", "acme/tiny", "hello")
        self.hub = Hub(folder + "/hub")
        os.makedirs(folder + "/bin")
        with open(folder + "/bin/genai-bench", "w", encoding="utf-8") as out:
            out.write(GENAI)
        os.chmod(folder + "/bin/genai-bench", 0o755)
        os.environ["PATH"] = folder + "/bin:" + os.environ["PATH"]
        super().__init__(Platform(folder + "/up", self.hub).start())
        self.up.apply(model("tiny", "hf://acme/tiny"))
        engine = runtime("stub")
        runner = engine["spec"]["engineConfig"]["runner"]
        runner.update({"command": [STUB], "args": [folder + "/stub.port", "20", "5", "8080"], "image": "acme/stub:1.2.3"})
        # The runner preloads something of its own, which sanitizers do not like.
        runner["env"].append({"name": "ASAN_OPTIONS", "value": "verify_asan_link_order=0"})
        self.up.apply(engine)

    def serve(self):
        self.up.apply(service("chat", "tiny"))
        wait_for("the service", lambda: is_ready(self.up.find(ISVC + "chat")))

    def ome(self, *args):
        done = subprocess.run([OME, "bench", *args, "--kubeconfig", self.up.kubeconfig], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
        return done.returncode, done.stdout, done.stderr


def waits_for_its_service(s):
    """The original announcement's manifest, as it is, and one of ours: both wait, and say what for."""
    with open(os.path.join(HOME, "tests/scenario/benchmarks/announcement.yaml"), encoding="utf-8") as text:
        first = yaml.safe_load(text)
    first["metadata"].setdefault("namespace", "default")
    s.up.apply(first)
    s.up.apply(job("local", {"inferenceService": {"name": "chat"}}, "local://" + s.folder + "/out",
                   serviceMetadata={"engine": "vLLM", "version": "9", "gpuType": "H100", "gpuCount": 2}))
    for name, of in (("llama-70b-production-benchmark", "llama-chat-optimized"), ("local", "chat")):
        status = wait_for("a status", lambda name=name: s.status(name))
        assert status["state"] == "Pending" and of in status["details"], status


def keeps_a_report(s):
    """The service comes, the benchmark runs, its report is in the folder with what was measured beside it."""
    s.serve()
    status = s.ended("local")
    assert status["progress"] == "2/2" and status["startTime"] and status["completionTime"], status
    assert [(r["scenario"], r["concurrency"], r["completed"]) for r in status["runs"]] == [("D(10,5)", 1, 20), ("D(10,5)", 4, 20)]
    run = status["runs"][0]
    assert 19 < run["ttftMs"]["p50"] < 200 and 4 < run["tpotMs"]["p50"] < 100 and run["outputTokensPerSecond"] > 5, run
    where = status["reportURI"].removeprefix("local://")
    assert where.startswith(s.folder + "/out/local-") and FILES < set(os.listdir(where)), os.listdir(where)
    with open(where + "/report.json", encoding="utf-8") as text:
        report = json.load(text)
    facts = report["config"]["metadata"]
    assert facts["engine"] == "vLLM" and facts["gpuCount"] == 2 and facts["runtime"]["name"] == "stub", facts
    assert facts["runtime"]["image"] == "acme/stub:1.2.3" and facts["model"]["name"] == "tiny", facts
    assert facts["selection"]["selected"]["runtime"] == "stub" and facts["service"]["name"] == "chat", facts
    assert report["config"]["model"] == "stub", "the server was asked what it serves"
    batch = s.batch("local")
    assert batch["metadata"]["labels"]["benchmark"] == "local"
    events = s.up.api("GET", "/api/v1/namespaces/default/events")["items"]
    assert {"BenchmarkStarted", "BenchmarkCompleted"} <= {e["reason"] for e in events}, [e["reason"] for e in events]


def lists_and_compares(s):
    s.run(job("again", {"inferenceService": {"name": "chat", "namespace": "default"}}, "pvc://results/night"))
    status = s.status("again")
    assert status["reportURI"].startswith("pvc://results/night/again-"), status
    claim = s.up.data + "/claims/default/results/night/" + status["reportURI"].rsplit("/", 1)[1]
    assert FILES < set(os.listdir(claim)), claim
    code, out, errors = s.ome("list")
    assert code == 0 and "again" in out and "2/2" in out and status["reportURI"] in out, out + errors
    code, out, errors = s.ome("compare", "local", "default/again", "--threshold", "1000", "-o", "json")
    assert code == 0 and json.loads(out)["compared"] == 2, out + errors
    code, out, errors = s.ome("compare", "local", "llama-70b-production-benchmark")
    assert code == 1 and "no figures" in errors, errors


def takes_what_is_asked_for(s):
    """Dataset, parameters, key, pod, queue."""
    s.secret("key", **{"api-key": "s3same"})
    with open(s.folder + "/prompts.jsonl", "w", encoding="utf-8") as out:
        out.write('{"prompt": "one", "max_tokens": 3}\n{"prompt": 5}\ntwo\n')
    document = job("asked", {"inferenceService": {"name": "chat"}, "apiKeySecret": {"name": "key"}},
                   "local://" + s.folder + "/out", trafficScenarios=["dataset"], numConcurrency=[2],
                   dataset={"storageUri": "local://" + s.folder + "/prompts.jsonl"}, resultFolderName="named",
                   additionalRequestParams={"temperature": "0.5", "user": "me"},
                   podOverride={"env": [{"name": "MORE", "value": "1"}], "resources": {"limits": {"memory": "512Mi"}},
                                "tolerations": [{"operator": "Exists"}]})
    document["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "night", "scheduling.x-k8s.io/pod-group": "gang"}
    status = s.run(document)
    assert status["reportURI"] == "local://" + s.folder + "/out/named", status
    with open(s.folder + "/out/named/report.json", encoding="utf-8") as text:
        config = json.load(text)["config"]
    assert config["params"] == {"temperature": 0.5, "user": "me"}, config["params"]
    assert config["dataset"]["rows"] == 2 and config["dataset"]["badRows"] == 1, config["dataset"]
    batch = s.batch("asked")
    for labels in (batch["metadata"]["labels"], batch["spec"]["template"]["metadata"]["labels"]):
        assert labels["kueue.x-k8s.io/queue-name"] == "night" and labels["scheduling.x-k8s.io/pod-group"] == "gang", labels
    pod = batch["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"operator": "Exists"}], pod
    main = pod["containers"][0]
    assert {"name": "MORE", "value": "1"} in main["env"] and main["resources"]["limits"]["memory"] == "512Mi", main
    assert "s3same" not in json.dumps(batch)


def takes_annotations(s):
    """What OME's API has no field for: conversations, arrivals at their own times, repeats, the model's tokenizer."""
    with open(s.folder + "/trace.jsonl", "w", encoding="utf-8") as out:
        out.write("".join(f'{{"timestamp": {1000 + 0.05 * i}, "prompt": "prompt {i}", "max_tokens": 3}}\n' for i in range(6)))
    for name, annotations, spec, said in (
            ("talks", {"turns": "3", "warmup": "2", "cooldown": "4", "repeat": "3", "seed": "7"}, {},
             {"turns": 3, "warmupRequests": 2, "cooldownRequests": 4, "repeats": 3, "seed": 7}),
            ("comes", {"rate": "200", "arrival": "constant"}, {}, {"arrival": "constant", "rates": [200.0]}),
            ("replays", {"arrival": "replay"}, {"dataset": {"storageUri": "local://" + s.folder + "/trace.jsonl"}, "trafficScenarios": ["dataset"]},
             {"arrival": "replay"})):
        document = job(name, {"inferenceService": {"name": "chat"}}, "local://" + s.folder + "/out", **{"numConcurrency": [4], **spec})
        document["metadata"]["annotations"] = {"ome.io/benchmark-" + key: value for key, value in annotations.items()}
        status = s.run(document)
        with open(status["reportURI"].removeprefix("local://") + "/report.json", encoding="utf-8") as text:
            report = json.load(text)
        assert {key: report["config"][key] for key in said} == said, (name, report["config"])
        run = report["runs"][0]
        assert run["errors"] == {} and run["completed"] == {"talks": 60, "comes": 20, "replays": 6}[name], (name, run)
        assert name != "replays" or run["seconds"] >= 0.25, run
    document = job("odd", {"inferenceService": {"name": "chat"}}, "local://" + s.folder + "/out")
    document["metadata"]["annotations"] = {"ome.io/benchmark-turns": "many"}
    assert "many" in s.run(document, "Failed")["failureMessage"]
    document = job("counted", {"inferenceService": {"name": "chat"}}, "local://" + s.folder + "/out")
    document["metadata"]["annotations"] = {"ome.io/benchmark-tokenizer": "model"}
    assert "tokenizer.json" in s.run(document, "Failed")["failureMessage"], "the tiny model has none, and the pod looked there"


def drives_genai_bench(s):
    """Where the image asks for it; its results go the same way."""
    status = s.run(job("genai", {"inferenceService": {"name": "chat"}, "apiKeySecret": {"name": "key"}},
                       "local://" + s.folder + "/out", podOverride={"image": "ghcr.io/sgl-project/genai-bench:0.1.132"}))
    assert status["runs"][0]["completed"] == 8 and status["runs"][0]["ttftMs"]["mean"] == 20, status["runs"]
    where = status["reportURI"].removeprefix("local://")
    assert os.listdir(where) == ["D10_5_text-to-text_concurrency_2_time_1s.json"]
    first = s.batch("genai")["spec"]["template"]["spec"]["initContainers"][0]
    args = first["args"]
    assert os.path.isdir(args[args.index("--model-tokenizer") + 1]) and args[args.index("--num-concurrency") + 1] == "1", args
    assert "s3same" not in json.dumps(first)


def runs_anew(s):
    """A new spec is a new benchmark; the old one's Job goes.  So does everything with the BenchmarkJob."""
    before = s.batch("local")["metadata"]["uid"]
    s.up.api("PATCH", s.path("local"), {"spec": {"numConcurrency": [3]}}, "application/merge-patch+json")
    wait_for("another Job", lambda: (s.batch("local") or {"metadata": {"uid": before}})["metadata"]["uid"] != before)
    wait_for("its figures", lambda: s.status("local").get("observedGeneration") == 2 and s.status("local")["state"] == "Completed")
    status = s.status("local")
    assert [r["concurrency"] for r in status["runs"]] == [3] and status["reportURI"].endswith("-2"), status
    s.up.api("DELETE", s.path("local"))
    wait_for("the Job to go", lambda: s.batch("local") is None)
    wait_for("its ConfigMap to go", lambda: s.up.find("/api/v1/namespaces/default/configmaps/local-benchmark") is None)


def fails_with_the_reason(s):
    """Endpoints that do not answer, a store that refuses, what cannot be read: each is named, figures are kept."""
    status = s.run(job("nobody", endpoint("http://127.0.0.1:1"), "local://" + s.folder + "/out",
                       endpoint={"endpoint": {"url": "http://127.0.0.1:1", "apiFormat": "openai", "modelName": "m"}}), "Failed")
    assert "connection" in status["failureMessage"] and status["runs"][0]["errors"] == {"connection": 20}, status
    assert FILES < set(os.listdir(status["reportURI"].removeprefix("local://"))), "what was found is kept"
    where = {"inferenceService": {"name": "chat"}}
    with open(s.folder + "/file", "w", encoding="utf-8") as out:
        out.write("no folder")
    for name, change, word in (
            ("refused", {"outputLocation": {"storageUri": "local://" + s.folder + "/file/below"}}, "could not be sent"),
            ("scenario", {"trafficScenarios": ["D(5"]}, "D(5"), ("zero", {"numConcurrency": [0]}, "0 is not 1 to"),
            ("nostore", {"outputLocation": {"storageUri": "gopher://there/it"}}, "gopher"),
            ("readonly", {"outputLocation": {"storageUri": "http://127.0.0.1:1/results"}}, "the storage plugin http only reads"),
            ("nodata", {"dataset": {"storageUri": "local:///nonexistent"}}, "nonexistent"),
            ("format", {"endpoint": {"endpoint": {"url": "http://127.0.0.1:1", "apiFormat": "cohere"}}}, "cohere")):
        status = s.run(job(name, where, "local://" + s.folder + "/out", **change), "Failed")
        assert word in status["failureMessage"], (name, status["failureMessage"])
        assert "reportURI" not in status, status
        if name == "refused":
            assert status["runs"][0]["completed"] == 20, "the figures are in the status all the same"


def keeps_what_there_is(s):
    """A pod that is told to end saves what was measured until then, and says that it is partial."""
    s.up.apply(job("early", {"inferenceService": {"name": "chat"}}, "local://" + s.folder + "/early", numConcurrency=[2],
                   maxTimePerIteration=60, maxRequestsPerIteration=100000000))
    wait_for("it runs", lambda: s.status("early").get("state") == "Running" and s.status("early").get("progress") == "0/1")
    before = s.up.ask("chat", "/stats")["answered"]
    wait_for("something to keep", lambda: s.up.ask("chat", "/stats")["answered"] >= before + 3)  # two at a time: one has ended for the client too
    s.up.api("DELETE", s.path("early"))
    report = wait_for("the report", lambda: next((path for path, _, names in os.walk(s.folder + "/early") if FILES <= set(names)), None))
    with open(report + "/report.json", encoding="utf-8") as text:
        kept = json.load(text)
    assert kept["partial"] and kept["runs"][0]["completed"] > 0, kept["partial"]


def sends_to_s3(s):
    """With the keys of a Secret, which are in no command line, no Job, no log; and refused without."""
    bucket = Bucket(s.folder + "/ceph")
    s.secret("s3-keys", **bucket.keys)
    status = s.run(job("cloud", {"inferenceService": {"name": "chat"}}, bucket.output("s3-keys")))
    assert FILES < bucket.names(status["reportURI"]), status["reportURI"]
    assert json.loads(bucket.read(status["reportURI"] + "/report.json"))["runs"][0]["completed"] == 20
    everything = json.dumps(s.batch("cloud")) + open(s.up.data + "/ome.log", encoding="utf-8", errors="replace").read()
    assert bucket.keys["secret_access_key"] not in everything
    s.secret("wrong-keys", **{**bucket.keys, "secret_access_key": "no"})
    status = s.run(job("denied", {"inferenceService": {"name": "chat"}}, bucket.output("wrong-keys")), "Failed")
    assert "could not be sent" in status["failureMessage"] and status["runs"][0]["completed"] == 20, status


def main():
    with scratch() as folder:
        s = Setting(folder)
        for check in (waits_for_its_service, keeps_a_report, lists_and_compares, takes_what_is_asked_for, takes_annotations, drives_genai_bench,
                      runs_anew, fails_with_the_reason, keeps_what_there_is, sends_to_s3):
            check(s)
            print("ok", check.__name__.replace("_", " "), flush=True)
        s.up.stop()


main()
