#!/usr/bin/env python3
"""A random walk over a cluster of 20 nodes: real agents, each with a small disk of its own and a line to the API that can be cut,
a controller, one API server and one hub. Models come, change, are disabled and go; nodes are relabelled, cordoned, lost and come
back; agents are killed; disks run full; bits flip; files, labels and records are tampered with. Every so often everything that
is broken is mended, and when it is quiet:

  labels, records and disks say the same, and every file of a Ready model has its digest;
  what belongs on a node with room is there, and nothing else is;
  what was deleted is gone, object, labels, records and files;
  what a service uses, and nobody touched, is still the same file.

usage: walk_test.py [STEPS [NODES]]    (OME_SEED repeats a walk)
"""

import asyncio
import collections
import json
import os
import random
import subprocess
import sys
import threading
import time

import agents
import scenario
from agents import Agent
from scenario import MODEL, Controller, Hub, Refused, wait_for

KIB, MIB = 1 << 10, 1 << 20
MODELS, REPOSITORIES, DISK = 12, 6, 40 * MIB
BLOB_TIME = 315532800  # of a content that is as it was verified: 1980-01-01
BETWEEN = 25  # steps until everything is mended and looked at
PATIENCE = 180 * float(os.environ.get("OME_PATIENCE", "1"))  # an attempt that failed is made again after a minute at most
TRUTH = 5  # seconds until a label says what has become of files
POOLS = ("a", "b", "c")
LABEL, KEY = "models.ome.io/clusterbasemodel.", "clusterbasemodel."
MERGE = "application/merge-patch+json"


class Cable:
    """A line to FAR, host and port, that can be cut: connections end, new ones are not answered."""

    def __init__(self, cables, *far):
        self.cables, self.far, self.is_cut, self.ends = cables, far, False, set()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.carry, "127.0.0.1", 0), cables.loop).result()
        self.port = server.sockets[0].getsockname()[1]

    async def carry(self, reader, writer):
        if self.is_cut:
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.far)
        except OSError:
            writer.close()
            return
        ends = (writer, far_writer)
        self.ends.update(ends)
        await asyncio.gather(self.copy(reader, far_writer), self.copy(far_reader, writer))
        self.ends.difference_update(ends)

    @staticmethod
    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self):
        def now():
            for end in list(self.ends):
                end.transport.abort()
        self.is_cut = True
        self.cables.loop.call_soon_threadsafe(now)

    def mend(self):
        self.is_cut = False


class Cables:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()


class Node:
    """A node with a disk and a line of its own. Small ones have room for a few models only."""

    def __init__(self, walk, name, small):
        self.name, self.small, self.agent = name, small, None
        self.cable = Cable(walk.cables, *walk.server.endpoint)
        options = ("--store-capacity", "3Mi") if small else ()
        self.agent = Agent(walk.server, walk.folder, name, walk.hub.url, options=options)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", self.agent.store], check=True)
        config = os.path.join(self.agent.folder, "kubeconfig")
        account = self.agent.command.index("--kubeconfig") + 1
        walk.server.write_kubeconfig(config, self.cable.port, self.agent.command[account])
        self.agent.command[account] = config
        self.agent.command[self.agent.command.index("--port") + 1] = "0"  # a number could be somebody's when it starts again
        self.was_full = False  # what made room then comes back when somebody uses it
        self.is_there, self.ballast = False, os.path.join(self.agent.store, "ballast")

    def is_running(self):
        return self.agent.process is not None and self.agent.process.poll() is None

    def kill(self):
        if self.is_running():
            self.agent.kill()

    def close(self):
        self.kill()
        subprocess.run(["umount", "-l", self.agent.store], check=False)


class Walk:
    def __init__(self, folder, server, nodes, chance):
        self.folder, self.server, self.chance, self.cables = folder, server, chance, Cables()
        self.services = f"/apis/ome.io/v1beta1/namespaces/{server.ns}/inferenceservices"
        self.records = f"/api/v1/namespaces/{server.ome_ns}/configmaps"
        scenario.install(self.server)
        os.makedirs(folder + "/hub")
        self.digests = {f"r{i}": self.make_repository(i) for i in range(REPOSITORIES)}
        self.hub = Hub(folder + "/hub")
        self.controller = Controller(self.server)
        self.nodes = [Node(self, f"n{i:02}", i % 4 == 3) for i in range(nodes)]
        self.did, self.last = collections.Counter(), collections.deque(maxlen=2 * BETWEEN)
        self.touched = set()  # (node or None, model or None) since it was last quiet
        self.held = {}  # (node, model) -> inodes, of what a service used then
        for node in self.nodes:
            self.return_node(node)

    def make_repository(self, i):
        noise = random.Random(i)
        shared = random.Random("shared").randbytes(100 * KIB)  # two models share a file
        return scenario.write_files(f"{self.folder}/hub/test/r{i}", {
            "config.json": json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": i}).encode(),
            "tokenizer.json": shared if i < 2 else shared[:1000 * i],
            "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + noise.randbytes(200 * KIB * (i + 1))})

    # ---- the world as it should be ---------------------------------------------------------------------------------------

    def models(self):
        return {m["metadata"]["name"]: m for m in self.server.api("GET", MODEL.rstrip("/"))["items"]
                if m["spec"]["storage"]["storageUri"].startswith("hf://test/")}  # ours, on a server with others

    def cluster(self):
        """Nodes by name; records by node; models by name."""
        nodes = {n["metadata"]["name"]: n for n in self.server.api("GET", "/api/v1/nodes")["items"]}
        maps = self.server.api("GET", self.records + "?labelSelector=models.ome/basemodel-status=true")["items"]
        return nodes, {m["metadata"]["name"]: m.get("data", {}) for m in maps}, self.models()

    def used(self):
        return {s["spec"]["model"]["name"] for s in self.server.api("GET", self.services)["items"]}

    @staticmethod
    def belongs(model, node):
        """Kubernetes' own rules, for the few forms that the walk uses."""
        labels, spec = node["metadata"].get("labels", {}), model["spec"]
        if spec.get("disabled") or model["metadata"].get("deletionTimestamp"):
            return False
        storage = spec["storage"]
        if any(labels.get(k) != v for k, v in storage.get("nodeSelector", {}).items()):
            return False
        required = storage.get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
        if not required:
            return True
        return any(term.get("matchExpressions") and all(
            (labels.get(e["key"]) in e["values"]) == (e["operator"] == "In") for e in term["matchExpressions"])
            for term in required["nodeSelectorTerms"])

    def repository(self, model):
        name = model["spec"]["storage"]["storageUri"].rsplit("/", 1)[1]
        return self.digests.get(name)

    # ---- steps -----------------------------------------------------------------------------------------------------------

    def some_place(self):
        """A selector, an affinity, or neither: everywhere."""
        pool = self.chance.choice(POOLS)
        where = self.chance.randrange(4)
        term = lambda operator: {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "pool", "operator": operator, "values": [pool]}]}]}}}
        return {} if where == 0 else {"nodeSelector": {"pool": pool}} if where == 1 else term("In" if where == 2 else "NotIn")

    def some_uri(self):
        return f"hf://test/r{self.chance.randrange(REPOSITORIES)}" if self.chance.random() < 0.9 else "hf://test/absent"

    def some_model(self):
        return self.chance.choice(sorted(self.models()) or [None])

    def some_node(self, *, running=False):
        return self.chance.choice([n for n in self.nodes if n.is_there and (not running or n.is_running())] or [None])

    def patch(self, path, body):
        """Of an object that may have gone meanwhile."""
        try:
            self.server.api("PATCH", path, body, MERGE)
        except Refused as refused:
            if refused.status != 404:
                raise

    def create(self):
        name = f"m{self.chance.randrange(MODELS)}"
        document = scenario.model(name, self.some_uri())
        document["spec"]["storage"].update(self.some_place())
        self.touched.add((None, name))
        try:
            self.server.create(MODEL.rstrip("/"), document)
        except Refused as refused:
            if refused.status != 409:
                raise
        return name

    def update(self):
        name = self.some_model()
        if name:
            self.touched.add((None, name))
            place = {"nodeSelector": None, "nodeAffinity": None, **self.some_place()}
            change = {"storageUri": self.some_uri()} if self.chance.random() < 0.6 else place
            self.patch(MODEL + name, {"spec": {"storage": change}})
        return name

    def disable(self):
        name = self.some_model()
        if name:
            self.touched.add((None, name))
            self.patch(MODEL + name, {"spec": {"disabled": self.chance.random() < 0.5}})
        return name

    def delete(self):
        name = self.some_model()
        if name:
            self.touched.add((None, name))
            try:
                self.server.api("DELETE", MODEL + name)
            except Refused as refused:
                if refused.status != 404:
                    raise
        return name

    def use(self):
        """A service comes, or goes."""
        name = self.some_model()
        there = self.server.api("GET", self.services)["items"]
        if there and self.chance.random() < 0.5:
            gone = self.chance.choice(there)
            self.touched.add((None, gone["spec"]["model"]["name"]))
            self.server.api("DELETE", f"{self.services}/{gone['metadata']['name']}")
            return "no more " + gone["metadata"]["name"]
        if name:
            self.server.apply({"apiVersion": "ome.io/v1beta1", "kind": "InferenceService", "metadata": {
                "name": "of-" + name}, "spec": {"model": {"name": name}, "engine": {"minReplicas": 0}}})
        return name

    def relabel(self):
        node = self.some_node()
        if node:
            self.touched.add((node.name, None))
            self.patch(f"/api/v1/nodes/{node.name}", {"metadata": {"labels": {
                "pool": self.chance.choice((*POOLS, None))}}})
        return node and node.name

    def cordon(self):
        node = self.some_node()
        if node:
            self.patch(f"/api/v1/nodes/{node.name}", {"spec": {"unschedulable": self.chance.random() < 0.4 or None}})
        return node and node.name

    def kill_agent(self):
        node = self.some_node(running=True)
        if node:
            node.kill()
        return node and node.name

    def start_agent(self):
        down = [n for n in self.nodes if n.is_there and not n.is_running()]
        if down:
            self.chance.choice(down).agent.start()
        return len(down)

    def lose_node(self):
        node = self.some_node()
        if node:
            self.touched.add((node.name, None))
            node.kill()
            self.server.api("DELETE", f"/api/v1/nodes/{node.name}")
            node.is_there = False
        return node and node.name

    def find_node(self):
        lost = [n for n in self.nodes if not n.is_there]
        if lost:
            self.return_node(self.chance.choice(lost))
        return len(lost)

    def return_node(self, node):
        self.touched.add((node.name, None))
        self.server.create("/api/v1/nodes", agents.node(node.name, pool=self.chance.choice(POOLS)))
        node.is_there = True
        if not node.is_running():
            node.agent.start()

    def fill_disk(self):
        node = self.some_node()
        if node:
            node.was_full = True
            stat = os.statvfs(node.agent.store)
            try:
                with open(node.ballast, "ab") as out:
                    out.write(bytes(stat.f_bavail * stat.f_frsize))
            except OSError:  # it is full
                pass
        return node and node.name

    def empty_disk(self):
        node = self.some_node()
        if node and os.path.exists(node.ballast):
            os.remove(node.ballast)
        return node and node.name

    def some_file(self, node):
        folder = os.path.join(node.agent.store, "models")
        found = [(model, os.path.join(parent, name)) for model in (os.listdir(folder) if os.path.isdir(folder) else ())
                 for parent, _, names in os.walk(os.path.join(folder, model)) for name in names]
        return self.chance.choice(sorted(found)) if found else (None, None)

    def flip_bits(self):
        node = self.some_node()
        _, path = self.some_file(node) if node else (None, None)
        try:
            if path and os.path.getsize(path):
                self.touched.add((node.name, None))  # models share files
                os.chmod(path, 0o644)
                with open(path, "r+b") as data:
                    at = self.chance.randrange(os.path.getsize(path))
                    data.seek(at)
                    old = data.read(1)
                    data.seek(at)
                    data.write(bytes([old[0] ^ 1 << self.chance.randrange(8)]))
        except FileNotFoundError:  # it goes while we look
            pass
        return path

    def delete_file(self):
        node = self.some_node()
        model, path = self.some_file(node) if node else (None, None)
        if path:
            self.touched.add((node.name, model[len(KEY):]))
            try:
                os.remove(path)
            except FileNotFoundError:
                pass
        return path

    def tamper(self):
        """Somebody edits a label, or removes or edits a record."""
        node, name = self.some_node(), f"m{self.chance.randrange(MODELS)}"
        if not node:
            return None
        what = self.chance.randrange(3)
        if what == 0:
            value = self.chance.choice((None, "Ready", "Failed", "Updating"))
            self.patch(f"/api/v1/nodes/{node.name}", {"metadata": {"labels": {LABEL + name: value}}})
        elif what == 1:
            self.patch(f"{self.records}/{node.name}", {"data": {
                KEY + name: self.chance.choice((None, json.dumps({"name": name, "status": "Ready"})))}})
        else:
            try:
                self.server.api("DELETE", f"{self.records}/{node.name}")
            except Refused as refused:
                if refused.status != 404:
                    raise
        return f"{node.name} {name} {what}"

    def partition(self):
        node = self.some_node()
        if node:
            node.cable.cut()
        return node and node.name

    def reconnect(self):
        cut = [n for n in self.nodes if n.cable.is_cut]
        if cut:
            self.chance.choice(cut).cable.mend()
        return len(cut)

    STEPS = (("create", 16), ("update", 10), ("disable", 6), ("delete", 8), ("use", 12), ("relabel", 8), ("cordon", 5),
             ("kill_agent", 6), ("start_agent", 6), ("lose_node", 2), ("find_node", 3), ("fill_disk", 3), ("empty_disk", 4),
             ("flip_bits", 5), ("delete_file", 4), ("tamper", 6), ("partition", 3), ("reconnect", 4))

    def step(self):
        names, weights = zip(*self.STEPS)
        (name,) = self.chance.choices(names, weights)
        what = getattr(self, name)()
        self.did[name] += what not in (None, 0)
        self.last.append(f"{name} {what}")

    # ---- quiet -----------------------------------------------------------------------------------------------------------

    def mend(self):
        """What is broken is whole again; cordons stay."""
        for node in self.nodes:
            node.cable.mend()
            if os.path.exists(node.ballast):
                os.remove(node.ballast)
            if node.is_there and not node.is_running():
                node.agent.start()

    def problems(self):
        """What is not as it should be; nothing yet of the contents of files."""
        nodes, records, models = self.cluster()
        used = self.used()
        found = [f"{m['metadata']['name']} is not gone" for m in models.values() if m["metadata"].get("deletionTimestamp")]
        found += [f"record of {name}, which is gone" for name in records if name not in nodes]
        for node in self.nodes:
            if node.is_there:
                record = records.get(node.name, {})
                found += [f"{node.name}: {p}" for p in self.problems_of(node, nodes[node.name], record, models, used)]
        return found

    def problems_of(self, node, document, record, models, used):
        labels = {k[len(LABEL):]: v for k, v in document["metadata"].get("labels", {}).items() if k.startswith(LABEL)}
        entries = {k[len(KEY):]: json.loads(v) for k, v in record.items()}
        wanted = {name: m for name, m in models.items() if self.belongs(m, document)}
        cordoned = document.get("spec", {}).get("unschedulable", False)
        if not node.is_running():
            yield f"its agent ended: {node.agent.said()[-500:]}"
        if {k: e["status"] for k, e in entries.items()} != labels:
            yield f"labels {labels}, record { {k: e['status'] for k, e in entries.items()} }"
        for name in labels.keys() ^ wanted.keys():
            yield f"{name} is {labels.get(name, 'not there')} and {'belongs' if name in wanted else 'does not belong'} here"
        for name in labels.keys() & wanted.keys():
            repository, status = self.repository(wanted[name]), labels[name]
            allowed = {"Ready"} if repository else {"Failed"}
            if cordoned:
                allowed |= {"Updating"}
            if node.was_full and name not in used:
                allowed.add("Evicted")
            if node.small:
                allowed |= {"Evicted"} | ({"Failed", "Updating"} if "message" in entries.get(name, {}) else set())
            if status not in allowed:
                yield f"{name} is {status}, not {allowed}: {entries.get(name, {}).get('message')}"
        folder = os.path.join(node.agent.store, "models")
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name[len(KEY):] not in labels:
                yield f"the files of {name} are left"

    def check_files(self):
        """Contents of what is Ready, by inode and digest; as (node, model) -> inodes."""
        nodes, _, models = self.cluster()
        found, known = {}, {}
        for node in filter(lambda n: n.is_there, self.nodes):
            for label, value in nodes[node.name]["metadata"].get("labels", {}).items():
                if not label.startswith(LABEL) or value != "Ready":
                    continue
                name = label[len(LABEL):]
                try:
                    found[node.name, name] = self.check_model(node, name, self.repository(models[name]), known)
                except (AssertionError, FileNotFoundError):
                    labels = self.server.api("GET", f"/api/v1/nodes/{node.name}")["metadata"]["labels"]
                    if not node.small or labels.get(label) == "Ready":  # small ones make room for what waits, at any time
                        raise
            if not node.small and not nodes[node.name].get("spec", {}).get("unschedulable"):
                self.check_store(node)
        return found

    @staticmethod
    def check_model(node, name, wanted, known):
        """Its files, as path -> inode. KNOWN: digests by node and inode."""
        folder = node.agent.folder_of(name)
        paths = {os.path.relpath(os.path.join(p, f), folder): os.stat(os.path.join(p, f)).st_ino
                 for p, _, files in os.walk(folder) for f in files}
        assert set(paths) == set(wanted), f"{node.name}: {name} has {sorted(paths)}"
        for path, inode in paths.items():
            if (node.name, inode) not in known:
                known[node.name, inode] = scenario.digest_of(os.path.join(folder, path))
            assert known[node.name, inode] == wanted[path], f"{node.name}: {name}/{path} is Ready and wrong"
        return paths

    @staticmethod
    def check_store(node):
        """Every blob that the store would trust is what its name says: one that was written to shows it by its time, and stays as
        garbage when no model has it any more. A cordoned node keeps what it has, damage and all, until it may bring it again."""
        for parent, _, names in os.walk(os.path.join(node.agent.store, "blobs")):
            for name in names:
                path = os.path.join(parent, name)
                if len(name) == 64 and os.stat(path).st_mtime == BLOB_TIME:
                    assert scenario.digest_of(path) == name, f"{node.name}: blob {name} is wrong"

    def check_held(self, ready):
        """What a service used all the time, and nobody touched, is the same file."""
        for (node, name), inodes in self.held.items():
            if {(None, name), (node, None), (node, name)} & self.touched:
                continue
            assert ready.get((node, name)) == inodes, f"{node}: {name} was used and has gone, or was brought again"
        used = self.used()
        self.held = {key: inodes for key, inodes in ready.items() if key[1] in used}
        self.touched.clear()

    def come_to_rest(self):
        begin = time.monotonic()
        self.mend()
        ready = None
        while ready is None:
            left = ["not looked yet"]
            while left and time.monotonic() - begin < PATIENCE:
                left = self.problems()
                time.sleep(0.05)
            assert not left, "after a quiet time:\n  " + "\n  ".join(left[:20])
            ready = self.check_files_after(time.monotonic() - begin)
        self.check_held(ready)
        return time.monotonic() - begin

    def check_files_after(self, seconds):
        """check_files(); None where something is wrong that may have happened just now, and is still to be told."""
        try:
            return self.check_files()
        except (AssertionError, FileNotFoundError):
            if seconds > TRUTH:
                raise
            return None

    def close(self):
        for node in self.nodes:
            node.close()


def go(walk, steps):
    longest, quiet, checked = 0.0, 0, 0
    for step in range(1, steps + 1):
        walk.step()
        if step % BETWEEN == 0 or step == steps:
            took = walk.come_to_rest()
            longest, quiet, checked = max(longest, took), quiet + 1, checked + len(walk.held)
            if step % (4 * BETWEEN) == 0:
                print(f"{step} steps, quiet after {took:.1f} s, {longest:.1f} s at most", flush=True)
    return longest, quiet, checked


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    seed = int(os.environ.get("OME_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}", flush=True)
    with scenario.scratch() as folder, scenario.served(folder + "/api") as server:
        walk = Walk(folder, server, count, random.Random(seed))
        try:
            longest, quiet, checked = go(walk, steps)
        except BaseException:
            print("last steps:\n  " + "\n  ".join(walk.last))
            raise
        finally:
            walk.close()
        done = ", ".join(f"{n} {name}" for name, n in sorted(walk.did.items()))
        walk.controller.stop()
        walk.hub.stop()
    print(f"{steps} steps over {count} nodes, quiet {quiet} times after {longest:.1f} s at most, {checked} models in use looked at "
          f"(seed {seed}): {done}")


if __name__ == "__main__":
    sys.exit(main())
