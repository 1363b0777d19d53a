#!/usr/bin/env python3
"""An engine loads from its node: huggingface_hub reads a Ready model of the node's agent, over TLS with the certificate
that the Node announces.  What needs a credential, or is not Ready, is not there; nothing of it is for peers.
"""

import base64
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import agents
import peers
import scenario
from agents import Agent
from scenario import Hub, Line, wait_for

MIB = 1 << 20
CLIENT = """
import sys
from huggingface_hub import HfApi, snapshot_download
folder, name, revision, commit = sys.argv[1:]
info = HfApi().model_info(name, revision=revision or None, files_metadata=True)
print("commit", info.sha)
assert not commit or info.sha == commit, info.sha
snapshot_download(name, local_dir=folder, revision=revision or None)
print("tree", sorted(f.path for f in HfApi().list_repo_tree(name, recursive=True, revision=revision or None) if hasattr(f, "blob_id")))
"""


def make_model(folder, name, seed=None):
    return scenario.write_files(f"{folder}/test/{name}", {
        "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
        "sub/empty.txt": b"",
        "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + random.Random(seed or name).randbytes(9 * MIB)})


class Node:
    """The agent's endpoint as somebody sees it who has read the Node."""

    def __init__(self, agent, folder):
        peer = json.loads(wait_for("the announcement", lambda: agent.node()["metadata"].get("annotations", {})
                                   .get("models.ome.io/peer")))
        self.url, self.certificate = "https://" + peer["address"], folder + "/node.pem"
        self.context = ssl.create_default_context(cadata=peer["certificate"])
        with open(self.certificate, "w") as out:
            out.write(peer["certificate"])

    def ask(self, path, **headers):
        """Status, headers and body."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=scenario.DEADLINE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read()

    def statuses(self, name):
        """Of the model's info, list and a file."""
        return [self.ask(path)[0] for path in (f"/api/models/{name}", f"/api/models/{name}/tree/main?cursor=0",
                                               f"/{name}/resolve/main/config.json")]

    def load(self, folder, name, revision="", commit=""):
        """Digests of what huggingface_hub makes of it."""
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("HF_")}
        env.update(HF_ENDPOINT=self.url, SSL_CERT_FILE=self.certificate, HF_HOME=folder + "-home", HF_HUB_DISABLE_XET="1")
        done = subprocess.run([peers.python("huggingface_hub"), "-c", CLIENT, folder, name, revision, commit], env=env,
                              capture_output=True, text=True, timeout=scenario.DEADLINE)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(folder + "/.cache", ignore_errors=True)
        return scenario.digests_below(folder)


def public(server, folder, hub, agent):
    digests = make_model(hub.folder, "open")
    server.apply(scenario.model("open", "hf://test/open"))
    wait_for("the model", lambda: agent.label("open") == "Ready")
    with urllib.request.urlopen(f"{hub.url}/api/models/test/open") as answer:
        commit = json.load(answer)["sha"]
    node = Node(agent, folder)
    assert node.load(folder + "/loaded", "test/open") == digests
    assert node.load(folder + "/pinned", "test/open", commit, commit) == digests
    sent = agent.metrics()['model_agent_served_bytes_total{to="client"}']
    assert sent >= 2 * 9 * MIB, sent
    status, headers, body = node.ask("/test/open/resolve/main/model.safetensors", Range="bytes=5-9")
    with open(f"{hub.folder}/test/open/model.safetensors", "rb") as of:
        assert (status, body) == (206, of.read()[5:10])
    assert headers["X-Repo-Commit"] == commit
    for path in ("/api/models/test/open/revision/" + "0" * 40, "/test/open/resolve/main/none",
                 "/test/open/resolve/main/../../../config.json", "/test/open/resolve/main/%2e%2e/config.json",
                 "/api/models/test", "/api/models/open", "/api/models/test/none", "/", "/etc/passwd"):
        assert node.ask(path)[0] == 404, path
    return node


def refusal(answer):
    """The hub's word for it."""
    status, headers, _ = answer
    return status, headers["X-Error-Code"]


def revisions(server, folder, hub, agent, node):
    """Two models of one repository at different commits: each is found by its commit, its branch and its bytes; main is the one
    that names none, or the first."""
    commit = lambda revision: json.loads(node.ask("/api/models/test/two/revision/" + revision)[2]).get("sha")
    found, digests = {}, {}
    for name, uri in (("v1", "hf://test/two@v1"), ("v2", "hf://test/two@v2"), ("main", "hf://test/two")):
        digests[name] = make_model(hub.folder, "two", seed=name)
        server.apply(scenario.model("two-" + name, uri))
        wait_for("the revision", lambda name=name: agent.label("two-" + name) == "Ready")
        with urllib.request.urlopen(f"{hub.url}/api/models/test/two") as answer:
            found[name] = json.load(answer)["sha"]
        assert commit("main") == found["main" if name == "main" else "v1"]
    assert len(set(found.values())) == 3, found
    for name, sha in found.items():
        assert commit(name) == commit(sha) == sha, (name, found)
        assert node.load(f"{folder}/two-{name}", "test/two", sha) == digests[name]
        assert node.load(f"{folder}/two-{name}-named", "test/two", name, sha) == digests[name]
    for revision in ("0" * 40, "v3", "%2e%2e"):
        assert refusal(node.ask("/api/models/test/two/revision/" + revision)) == (404, "RevisionNotFound"), revision
        assert refusal(node.ask(f"/test/two/resolve/{revision}/config.json")) == (404, "RevisionNotFound"), revision
    assert refusal(node.ask("/api/models/test/none/revision/v1")) == (404, "RepoNotFound")
    server.api("DELETE", scenario.MODEL + "two-v1")
    wait_for("one of them to be gone", lambda: node.ask("/api/models/test/two/revision/v1")[0] == 404)
    assert commit(found["v2"]) == found["v2"]


def by_name(server, folder, hub, agent, node):
    """What is no repository of a hub is called as in Kubernetes."""
    url = f"{hub.url}/test/open/resolve/main/model.safetensors"
    server.apply(scenario.model("plain", url))
    wait_for("the file", lambda: agent.label("plain") == "Ready")
    loaded = node.load(folder + "/plain", "plain")
    assert list(loaded.values()) == [scenario.digests_below(f"{hub.folder}/test/open")["model.safetensors"]], loaded


def private(server, hub, agent, node):
    """A credential, on a model or given to it later, closes it; also lists that were read before."""
    make_model(hub.folder, "closed")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub", "namespace": server.ome_ns},
              "data": {"token": base64.b64encode(b"hf_x").decode()}}
    server.apply(secret)
    with_token = scenario.model("closed", "hf://test/closed")
    with_token["spec"]["storage"]["parameters"] = {"token": "hf_x"}
    server.apply(with_token)
    wait_for("the private model", lambda: agent.label("closed") == "Ready")
    assert node.statuses("test/closed") == [404] * 3
    assert node.statuses("closed") == [404] * 3
    assert node.statuses("test/open") == [200] * 3
    document = scenario.model("open", "hf://test/open")
    document["spec"]["storage"]["key"] = "hub"
    server.apply(document)
    wait_for("it to be closed", lambda: node.statuses("test/open") == [404] * 3)


def not_ready(server, hub, line, agent, node):
    make_model(hub.folder, "half")
    line.hold = line.passed + 4 * MIB
    server.apply(scenario.model("half", "hf://test/half"))
    wait_for("half of it", lambda: line.passed >= line.hold)
    assert agent.label("half") == "Updating"
    assert node.statuses("test/half") == [404] * 3
    line.hold = 0
    line.release()
    wait_for("the rest of it", lambda: node.statuses("test/half") == [200] * 3)
    server.api("DELETE", "/apis/ome.io/v1beta1/clusterbasemodels/half")
    wait_for("it to be gone", lambda: node.statuses("test/half") == [404] * 3)


def not_for_peers(node):
    for key in ("clusterbasemodel.open", "clusterbasemodel.plain", "clusterbasemodel.none"):
        for path in (f"/peers/v1/{key}", f"/peers/v1/{key}/" + "0" * 64):
            assert node.ask(path, **{"X-Ome-Node": "node-0"})[0] == 403, path


def without(server, folder, line):
    """--no-hub, and an agent with a token of its own."""
    for name, options, env, name_of_file in (("no-hub", ("--no-hub",), {}, 404), ("token", (), {"HF_TOKEN": "hf_x"}, 200)):
        server.apply(agents.node(name))
        agent = Agent(server, folder, name, line.url, options=options)
        agent.env.update(env)
        agent.start()
        os.makedirs(folder + "/of-" + name)
        wait_for("the models", lambda: agent.label("plain") == "Ready" and agent.label("again") == "Ready")
        node = Node(agent, folder + "/of-" + name)
        assert node.ask("/api/models/test/again")[0] == 404
        assert node.ask("/api/models/plain")[0] == name_of_file
        agent.stop()


def main():
    peers.python("huggingface_hub")
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME"):  # an agent with a token of its own is another case
        os.environ.pop(name, None)
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        scenario.install(server)
        os.makedirs(folder + "/hub")
        hub = Hub(folder + "/hub")
        line = Line(hub.port)
        server.apply(agents.node("node-0"))
        agent = Agent(server, folder, "node-0", line.url).start()
        node = public(server, folder, hub, agent)
        revisions(server, folder, hub, agent, node)
        by_name(server, folder, hub, agent, node)
        not_for_peers(node)
        private(server, hub, agent, node)
        not_ready(server, hub, line, agent, node)
        make_model(hub.folder, "again")
        server.apply(scenario.model("again", "hf://test/again"))
        wait_for("the last", lambda: node.statuses("test/again") == [200] * 3)
        without(server, folder, line)
        agent.stop()
        hub.stop()


if __name__ == "__main__":
    sys.exit(main())
