#!/usr/bin/env python3
"""What a BenchmarkJob asks of an API server, whichever it is: nothing before its service is there; then a Job, with keys by
reference alone; another one for another spec; what the Job says is what the benchmark says; a Job of somebody else stays as it
is; with the BenchmarkJob all of it goes. That benchmarks measure is in benchmark_test.py."""

import json

import scenario
from benchmarkjobs import Jobs, job
from scenario import Controller, install, wait_for

CHAT = {"inferenceService": {"name": "chat"}}
URL = {"endpoint": {"url": "http://127.0.0.1:1", "apiFormat": "openai", "modelName": "m"}}
MERGE = "application/merge-patch+json"
SECRET = "sk-9f8e7d6c5b4a"
NOW = "2026-11-27T12:00:00Z"


def says(jobs, name, state, word):
    """Waits until NAME is in STATE, with WORD in what it says."""
    def said():
        status = jobs.status(name)
        return status.get("state") == state and word in status.get("failureMessage", status.get("details", "")) and status
    return wait_for(f"{name} to be {state}, with {word!r}", said)


def waits_for_its_service(jobs):
    jobs.up.apply(job("first", CHAT, "pvc://results/night"))
    says(jobs, "first", "Pending", "chat")
    assert jobs.batch("first") is None, "nothing to measure is there"
    jobs.up.apply(scenario.runtime("objects-engine"))
    jobs.up.apply(scenario.model("objects-tiny", "hf://example/tiny"))
    jobs.up.apply(scenario.service("chat", "objects-tiny"))


def makes_a_job(jobs):
    jobs.secret("key", **{"api-key": SECRET})
    jobs.up.apply(job("asked", {**URL, "apiKeySecret": {"name": "key"}}, "pvc://results/night",
                      podOverride={"tolerations": [{"operator": "Exists"}]}))
    batch = wait_for("its Job", lambda: jobs.batch("asked"))
    uid = jobs.get("asked")["metadata"]["uid"]
    assert [o["uid"] for o in batch["metadata"]["ownerReferences"]] == [uid], batch["metadata"]
    pod = batch["spec"]["template"]["spec"]
    assert batch["spec"]["backoffLimit"] == 0 and {"operator": "Exists"}.items() <= pod["tolerations"][0].items(), pod
    assert "key" in json.dumps(pod) and SECRET not in json.dumps(batch), "a key goes by reference"
    claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["results"], pod["volumes"]
    config = jobs.up.find(jobs.path("asked-benchmark", "configmaps", "v1"))
    assert [o["uid"] for o in config["metadata"]["ownerReferences"]] == [uid], config["metadata"]


def ends(jobs, name, *conditions, **more):
    """The Job of NAME says so, as a cluster's own controller would."""
    jobs.up.api("PATCH", jobs.path(name, "jobs", "batch/v1") + "/status", {"status": {"startTime": NOW, **more, "conditions": [
        {"type": kind, "status": "True", "reason": "Said", "message": "as said", "lastTransitionTime": NOW,
         "lastProbeTime": NOW} for kind in conditions]}}, MERGE)


def follows_its_job(jobs):
    """Kubernetes wants the second condition only with the first."""
    says(jobs, "asked", "Pending", "pod")
    ends(jobs, "asked", "FailureTarget", "Failed")
    status = says(jobs, "asked", "Failed", "as said")
    assert status["startTime"] == NOW and status["jobName"] == "asked", status
    jobs.up.apply(job("well", URL, "pvc://results/night"))
    wait_for("its Job", lambda: jobs.batch("well"))
    ends(jobs, "well", "SuccessCriteriaMet", "Complete", completionTime=NOW)
    assert says(jobs, "well", "Completed", "done")["completionTime"] == NOW


def runs_anew(jobs):
    before = jobs.batch("asked")["metadata"]["uid"]
    jobs.up.api("PATCH", jobs.path("asked"), {"spec": {"numConcurrency": [3]}}, MERGE)
    after = wait_for("another Job", lambda: (lambda b: b and b["metadata"]["uid"] != before and b)(jobs.batch("asked")))
    assert jobs.get("asked")["metadata"]["generation"] == 2 and "deletionTimestamp" not in after["metadata"], after


def respects_others(jobs):
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "taken"}, "spec": {"suspend": True, "template": {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
    jobs.up.api("POST", jobs.path("", "jobs", "batch/v1").rstrip("/"), theirs)
    before = jobs.batch("taken")
    jobs.up.apply(job("taken", URL, "pvc://results/night"))
    says(jobs, "taken", "Pending", "belongs to somebody else")
    assert jobs.batch("taken")["spec"] == before["spec"], "somebody else's Job was written to"


def refuses(jobs):
    """What a pod could only fail with is said without one."""
    other = {"endpoint": {**URL["endpoint"], "apiFormat": "cohere"}}
    jobs.up.apply(job("format", other, "pvc://results/night"))
    says(jobs, "format", "Failed", "cohere")
    assert jobs.batch("format") is None


def goes(jobs):
    jobs.up.api("DELETE", jobs.path("asked"))
    for resource, version, name in (("jobs", "batch/v1", "asked"), ("configmaps", "v1", "asked-benchmark")):
        wait_for(f"{resource} to go", lambda path=jobs.path(name, resource, version): jobs.up.find(path) is None)


def main():
    with scenario.scratch() as folder, scenario.served(folder) as server:
        install(server)
        controller = Controller(server)
        wait_for("the controller", controller.ready)
        jobs = Jobs(server)
        waits_for_its_service(jobs)
        makes_a_job(jobs)
        if not server.attended:  # a cluster runs Jobs itself
            follows_its_job(jobs)
        runs_anew(jobs)
        respects_others(jobs)
        refuses(jobs)
        goes(jobs)
        controller.stop()
    print("benchmark jobs: all true")


if __name__ == "__main__":
    main()
