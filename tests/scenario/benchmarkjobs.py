"""BenchmarkJobs of an `ome up`, and a bucket for what they find."""

import os

import boto3
from botocore.config import Config
from radosgw import ACCESS_KEY, SECRET_KEY, RadosGateway
from scenario import wait_for

JOBS = "/apis/ome.io/v1beta1/namespaces/default/benchmarkjobs"
FILES = {"report.json", "report.md", "report.html", "experiment_metadata.json"}


def job(name, where, output, **spec):
    """One against WHERE (its endpoint) with results to OUTPUT: an address, or all of outputLocation."""
    return {"apiVersion": "ome.io/v1beta1", "kind": "BenchmarkJob", "metadata": {"name": name, "namespace": "default"}, "spec": {
        "endpoint": where, "task": "text-to-text", "trafficScenarios": ["D(10,5)"], "numConcurrency": [1, 4],
        "maxTimePerIteration": 5, "maxRequestsPerIteration": 20,
        "outputLocation": output if isinstance(output, dict) else {"storageUri": output}, **spec}}


class Jobs:
    """Those of UP, a Platform."""

    def __init__(self, up):
        self.up = up

    def get(self, name):
        return self.up.find(f"{JOBS}/{name}")

    def status(self, name):
        return (self.get(name) or {}).get("status", {})

    def ended(self, name, state="Completed"):
        wait_for(f"{name} to end", lambda: self.status(name).get("state") in ("Completed", "Failed"))
        status = self.status(name)
        assert status["state"] == state, status
        verdict = next(c for c in status["conditions"] if c["type"] == "Succeeded")
        assert verdict["status"] == str(state == "Completed") and verdict["message"], status
        return status

    def run(self, document, state="Completed"):
        self.up.apply(document)
        return self.ended(document["metadata"]["name"], state)

    def secret(self, name, **values):
        self.up.api("POST", "/api/v1/namespaces/default/secrets", {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})


class Bucket:
    """The bucket "results" of an S3 server of its own in FOLDER, and an outputLocation in it."""

    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}  # of a Secret

    def __init__(self, folder):
        os.makedirs(folder)
        gateway = RadosGateway(folder)
        self.url = gateway.url
        self.client = boto3.client("s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
                                   region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))
        self.client.create_bucket(Bucket="results")

    def output(self, secret):
        return {"storageUri": "s3://results/nightly", "key": secret,
                "parameters": {"endpoint": self.url, "addressing_style": "path"}}

    def names(self, uri):
        """Of the objects below URI."""
        prefix = uri.removeprefix("s3://results/") + "/"
        found = self.client.list_objects_v2(Bucket="results", Prefix=prefix)
        return {o["Key"].removeprefix(prefix) for o in found.get("Contents", [])}

    def read(self, uri):
        return self.client.get_object(Bucket="results", Key=uri.removeprefix("s3://results/"))["Body"].read()
