#!/usr/bin/env python3
"""`ome controller` in a hostile cluster: killed between writes, watches dropped and expired, requests refused, answers lost,
cut short or slow, another controller at its side, a lease that is stolen, clocks that jump, an API server that restarts
without a past and shows an expired certificate. After each of these the objects are those of `ome render`, field by
field: none doubled, none left over, no finalizer lost, nobody's fields overwritten.

usage: hostile_test.py PRELOAD [KILLS [WATCH_DROPS [SECONDS_OF_ERRORS [LEASES_STOLEN]]]]
"""

import contextlib
import datetime
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import rendered
import scenario
from rendered import CHILDREN
from scenario import ISVC, MODEL, OME, ApiServer, install, wait_for

SERVICES = [f"chat-{i}" for i in range(6)]
KEPT = SERVICES[:3]  # never deleted: what others wrote to them and their objects has to stay
MODELS = ["tiny", "small"]
LEASE = "/apis/coordination.k8s.io/v1/namespaces/ome/leases/ome-controller-manager-leader-lock"
NS = "namespaces/default/"
FINALIZER = "example.com/keep"
PRELOAD = sys.argv[1]  # fault_preload, for clocks that jump


def quiet(call, *arguments):
    """Somebody else may have been faster, or the object be gone."""
    with contextlib.suppress(scenario.Refused):
        return call(*arguments)


class Cluster:
    """The API server, and what people do to it meanwhile."""

    def __init__(self, folder, chance):
        self.folder, self.chance = folder, chance
        self.visited = False
        self.server = ApiServer(folder)
        self.log = folder + "/audit.log"
        self.start()
        install(self.server)
        for name in MODELS:
            model = scenario.model(name, "hf://example/" + name)
            model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
            model["spec"]["storage"]["path"] = "/models/" + name
            self.server.apply(model)
        self.server.apply(self.runtime(1))
        for name in SERVICES:
            self.server.apply(scenario.service(name, MODELS[0]))
        for name in KEPT:
            self.server.api("PATCH", ISVC + name, {"metadata": {"finalizers": [FINALIZER]}}, "application/merge-patch+json")

    def start(self):
        self.server.start("--faults", "--audit-log-path", self.log)

    def runtime(self, version):
        runtime = scenario.runtime("engine")
        runtime["spec"]["engineConfig"]["runner"]["image"] = f"server:{version}"
        return runtime

    def faults(self, **config):
        return self.server.api("PUT", "/faults", dict(config, seed=self.chance.randrange(1, 1 << 32), agent="ome/"))

    def mutate(self):
        """One thing that people do."""
        name = self.chance.choice(SERVICES)
        child = self.chance.choice(list(CHILDREN))
        path = CHILDREN[child].format(NS)
        what = self.chance.randrange(6)
        service = scenario.service(name, self.chance.choice(MODELS), self.chance.randint(1, 3))
        if what == 0:
            self.server.apply(self.runtime(self.chance.randint(1, 99)))
        elif what == 1 and name not in KEPT:  # deleted, and made again at once with the same name
            quiet(self.server.api, "DELETE", ISVC + name)
            quiet(self.server.apply, service)
        elif what == 2 and not (name in KEPT and child == "Service"):  # a child goes
            quiet(self.server.api, "DELETE", f"{path}/{name}-engine")
        elif what == 3:  # a child is edited by hand, in a field that is ours
            quiet(self.server.api, "PATCH", f"{CHILDREN['Deployment'].format(NS)}/{name}-engine",
                  {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": self.chance.randint(1, 9)}}}},
                  "application/merge-patch+json")
        else:
            self.server.apply(service)

    def visit(self):
        """Others write fields of their own to our objects."""
        self.visited = True
        for name in KEPT:
            path = f"{CHILDREN['Service'].format(NS)}/{name}-engine"
            note = {"apiVersion": "v1", "kind": "Service", "metadata": {
                "name": f"{name}-engine", "annotations": {"example.com/visited": name}, "labels": {"visitor": name}}}
            self.server.api("PATCH", path + "?fieldManager=visitor", note, "application/apply-patch+yaml")

    # ---- what has to be true ----

    def items(self, path):
        return self.server.api("GET", path)["items"]

    def children(self):
        return rendered.children(self.server)

    def check(self, phase):
        rendered.settled(self.server, self.folder, phase)
        for name in KEPT:
            assert FINALIZER in self.server.find(ISVC + name)["metadata"].get("finalizers", []), f"{phase}: {name} lost it"
            if self.visited:
                o = self.server.find(f"{CHILDREN['Service'].format(NS)}/{name}-engine")["metadata"]
                assert o["annotations"].get("example.com/visited") == name and o["labels"].get("visitor") == name, (phase, o)


class Controller:
    """`ome controller`, started again and again."""

    def __init__(self, cluster, *options, **env):
        self.cluster = cluster
        self.options, self.env = options, env
        self.process = None
        self.start()

    def start(self):
        self.process = scenario.end_with_us(subprocess.Popen(
            [OME, "controller", "--kubeconfig", self.cluster.server.kubeconfig, "--health-port", "0", *self.options],
            env=dict(os.environ, **self.env), stderr=open(self.cluster.folder + "/controller.log", "a")))

    def again(self):
        """Starts it where it ended by itself, which only a lost lease makes it do."""
        if self.process.poll() is not None:
            self.start()
            return True
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(scenario.DEADLINE)
        assert code in (0, 1), f"it ended with {code}"


def kills(cluster, times):
    """Killed after the Nth write since it started, or while it still starts."""
    controller, writes = None, 0
    with open(cluster.log) as log:
        for _ in range(times):
            cluster.mutate()
            log.seek(0, os.SEEK_END)
            controller = Controller(cluster)
            left = cluster.chance.randint(0, 8)
            end = time.monotonic() + cluster.chance.uniform(0.02, 0.4)
            while left and time.monotonic() < end:
                line = log.readline()
                if '"userAgent":"ome/' in line and '"verb":"patch"' in line or '"verb":"update"' in line:
                    left -= 1
                    writes += 1
                elif not line:
                    time.sleep(0.001)
            controller.kill()
    controller.start()
    cluster.check("kills")
    cluster.visit()
    controller.kill()
    return f"{times} kills, after {writes} writes in all"


def watch_drops(cluster, times):
    controller = Controller(cluster)
    cluster.check("a start")
    before = cluster.server.api("GET", "/faults")
    cluster.faults(watchLifeMs=150, expire=0.1)
    told = lambda: {k: v - before[k] for k, v in cluster.server.api("GET", "/faults").items()}
    while told()["watchesEnded"] < times:
        cluster.mutate()
        time.sleep(0.05)
    done = told()
    cluster.faults()
    cluster.check("watch drops")
    controller.kill()
    return f"{done['watchesEnded']} watches cut, {done['expired']} answered 410"


def errors(cluster, seconds):
    controller = Controller(cluster)
    before = cluster.server.api("GET", "/faults")
    cluster.faults(refuse={"409": 0.1, "429": 0.02, "500": 0.05, "503": 0.05}, retryAfterSeconds=1, loseAnswers=0.02,
                   truncateAnswers=0.02, slowAnswers=0.02, latencyMs=20, watchLifeMs=5000, expire=0.05)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        cluster.mutate()
        time.sleep(cluster.chance.uniform(0, 0.3))
    after = cluster.server.api("GET", "/faults")
    done = {k: v - before[k] for k, v in after.items()}
    cluster.faults()
    assert controller.process.poll() is None, "the controller ended"
    cluster.check("errors")
    controller.kill()
    return f"{seconds:.0f} s: " + ", ".join(f"{v} {k}" for k, v in done.items())


def leases(cluster, times):
    """Two with a lease that somebody steals again and again, and two that both believe they lead."""
    both = [Controller(cluster, "--leader-elect") for _ in range(2)]
    wait_for("a leader", lambda: (cluster.server.find(LEASE) or {}).get("spec", {}).get("holderIdentity"))
    restarts = 0
    for _ in range(times):
        lease = cluster.server.find(LEASE)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease["spec"].update({"holderIdentity": "thief", "renewTime": now, "leaseDurationSeconds": 1})
        quiet(cluster.server.api, "PUT", LEASE, lease)
        for _ in range(5):
            cluster.mutate()
            time.sleep(0.2)
            restarts += sum(c.again() for c in both)
    wait_for("a leader", lambda: [c.again() for c in both] and
             cluster.server.find(LEASE)["spec"]["holderIdentity"] != "thief")
    cluster.check("a flapping lease")
    for controller in both:
        controller.kill()
    rivals = [Controller(cluster) for _ in range(2)]
    for _ in range(times):
        cluster.mutate()
        time.sleep(0.05)
    cluster.check("two that lead at once")
    for controller in rivals:
        controller.kill()
    return f"{times} leases stolen, {restarts} restarts; {times} changes with two leaders"


def sanitizers():
    """The libraries of sanitizers that the binary wants to find loaded first."""
    linked = subprocess.run(["ldd", OME], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+/lib[at]san\.so\S*)", linked)


def clocks(cluster, times):
    """The server's clock and ours jump by hours, each its own way."""
    shift = cluster.folder + "/shift"

    def set_shift(seconds):
        with open(shift + ".new", "w") as out:
            out.write(str(seconds))
        os.rename(shift + ".new", shift)
    set_shift(0)
    controller = Controller(cluster, "--leader-elect", LD_PRELOAD=":".join([*sanitizers(), PRELOAD]), FAULT_CLOCK_FILE=shift)
    for _ in range(times):
        set_shift(cluster.chance.randint(-48, 48) * 3600)
        cluster.faults(clockSkewSeconds=cluster.chance.randint(-100000, 100000))
        for _ in range(3):
            cluster.mutate()
            time.sleep(0.1)
        controller.again()
    cluster.faults()
    set_shift(0)
    cluster.check("clock jumps")
    controller.kill()
    return f"{times} jumps of both clocks"


def restarts(cluster, times):
    """The API server comes back without its past, once with an expired certificate."""
    controller = Controller(cluster)
    cluster.check("a start")
    for _ in range(times):
        cluster.server.kill()
        cluster.start()
        for _ in range(3):
            cluster.mutate()
        time.sleep(cluster.chance.uniform(0, 0.5))
    cluster.faults(certificate="expired", watchLifeMs=100)
    # So do we.  One that starts meanwhile says what it waits for.
    late = Controller(cluster)
    log = cluster.folder + "/controller.log"
    wait_for("the late one to say why", lambda: re.search("certificate has expired; check .*; trying again in", open(log).read()))
    cluster.server.kill()
    cluster.start()
    cluster.mutate()
    assert controller.process.poll() is None, "the controller ended"
    cluster.check("restarts")
    controller.kill()
    cluster.mutate()
    assert late.process.poll() is None, "the late controller ended"
    cluster.check("a start in vain")
    late.kill()
    return f"{times + 1} restarts without a past, one expired certificate"


def deletions(cluster):
    """Everything goes, as soon as those who hold it let go."""
    controller = Controller(cluster)
    version = lambda: cluster.server.find(ISVC + SERVICES[0])["metadata"]["resourceVersion"]
    cluster.server.apply(scenario.service(SERVICES[0], "nobody"))
    before = version()
    wait_for("the controller to be there", lambda: version() != before)
    for name in SERVICES:
        cluster.server.api("DELETE", ISVC + name)
    wait_for("what nobody holds to go", lambda: len(cluster.items(ISVC[:-1])) == len(KEPT))
    for name in KEPT:
        assert cluster.server.find(ISVC + name)["metadata"]["finalizers"] == [FINALIZER], name
        cluster.server.api("PATCH", ISVC + name, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    wait_for("all of it to go", lambda: not cluster.items(ISVC[:-1]) and not cluster.children())
    controller.stop()
    return f"{len(SERVICES)} services gone, {len(KEPT)} of them after their finalizer"


def main():
    numbers = [int(n) for n in sys.argv[2:]] + [20, 60, 10, 4][len(sys.argv) - 2:]
    seed = int(os.environ.get("OME_SEED", time.time()))
    print(f"seed {seed}", flush=True)
    with scenario.scratch() as folder:
        cluster = Cluster(folder, random.Random(seed))
        for phase, run in (("kills between writes", lambda: kills(cluster, numbers[0])),
                           ("watch drops", lambda: watch_drops(cluster, numbers[1])),
                           ("5xx, 409, 429, lost and cut answers", lambda: errors(cluster, numbers[2])),
                           ("lease", lambda: leases(cluster, numbers[3])),
                           ("clock jumps", lambda: clocks(cluster, numbers[3])),
                           ("API server", lambda: restarts(cluster, numbers[3])),
                           ("deletion", lambda: deletions(cluster))):
            began = time.monotonic()
            said = run()
            print(f"{phase:<38} {time.monotonic() - began:6.1f} s  equal  {said}", flush=True)
        cluster.server.stop()


if __name__ == "__main__":
    main()
