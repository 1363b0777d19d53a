"""BenchmarkJobs of an `ome up` or another API server."""

from scenario import wait_for

FILES = {"report.json", "report.md", "report.html", "experiment_metadata.json"}


def job(name, where, output, **spec):
    """One against WHERE (its endpoint) with results to OUTPUT: an address, or all of outputLocation."""
    return {"apiVersion": "ome.io/v1beta1", "kind": "BenchmarkJob", "metadata": {"name": name}, "spec": {
        "endpoint": where, "task": "text-to-text", "trafficScenarios": ["D(10,5)"], "numConcurrency": [1, 4],
        "maxTimePerIteration": 5, "maxRequestsPerIteration": 20,
        "outputLocation": output if isinstance(output, dict) else {"storageUri": output}, **spec}}


class Jobs:
    """Those of UP, a Platform, or whichever server, in its own namespace."""

    def __init__(self, up):
        self.up = up

    def path(self, name, resource="benchmarkjobs", version="ome.io/v1beta1"):
        return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{self.up.ns}/{resource}/{name}"

    def batch(self, name):
        """Its Job."""
        return self.up.find(self.path(name, "jobs", "batch/v1"))

    def get(self, name):
        return self.up.find(self.path(name))

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
        self.up.api("POST", f"/api/v1/namespaces/{self.up.ns}/secrets", {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})
