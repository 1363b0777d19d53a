#!/usr/bin/env python3
"""What is installed in a cluster: applied in one step, and with the rights that controller and agent use, no more."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import scenario
from scenario import DEADLINE, HOME, ISVC, MODEL, OME, ApiServer, Hub, free_port, wait_for

INSTALL = os.path.join(HOME, "manifests/install")
BASE = os.path.join(INSTALL, "base")
CLASSES = "/apis/ome.io/v1beta1/acceleratorclasses"
RBAC = "/apis/rbac.authorization.k8s.io/v1/"

# Rights for what this scenario does not come to: an event that is repeated is counted.
NOT_SEEN = {("", "events", "patch")}
# Verbs that mean the same right to whoever may use one of them: a cache lists and watches, and reads what it missed.
TOGETHER = [{"get", "list", "watch"}, {"create", "patch", "delete"}]


def kubectl(server, *words):
    done = subprocess.run(["kubectl", "--kubeconfig", server.kubeconfig, *words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def built(folder):
    """The objects of a kustomization, as JSON lines would have them: text of YAML documents."""
    done = subprocess.run(["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def block(text, path):
    """The lines below PATH of values.yaml, without their indentation, or the value behind it."""
    lines = text.splitlines()
    at, depth = 0, 0
    for key in path:
        at = next(i for i in range(at, len(lines)) if re.match(" " * depth + re.escape(key) + ":", lines[i]))
        value = lines[at].split(":", 1)[1].strip()
        at, depth = at + 1, depth + 2
    if value:
        return value
    return "\n".join(line[depth:] for line in itertools.takewhile(lambda l: l.startswith(" " * depth), lines[at:]))


def chart_text(name):
    """A template of the chart with its default values, in namespace ome: the few constructs that it uses."""
    with open(f"{INSTALL}/chart/values.yaml") as values, open(f"{INSTALL}/chart/templates/{name}") as source:
        values, text = values.read(), source.read()
    text = text.replace("{{ .Release.Namespace }}", "ome")
    text = re.sub(r"\{\{- toYaml \.Values\.([\w.]+) \| nindent (\d+) \}\}", lambda m: "\n" + "\n".join(
        " " * int(m[2]) + line for line in block(values, m[1].split(".")).splitlines()), text)
    text = re.sub(r"\{\{ \.Values\.([\w.]+) \}\}", lambda m: block(values, m[1].split(".")), text)
    assert "{{" not in text, text
    return text


def check_derived(folder):
    """ome.yaml and the chart's templates are those that base/ gives; the chart with its defaults installs the same objects;
    where there is Helm, it thinks so too."""
    made = folder + "/made"
    subprocess.run([sys.executable, INSTALL + "/generate.py", made], check=True)
    templates = sorted(os.listdir(made + "/chart/templates"))
    for name in ["ome.yaml", *("chart/templates/" + t for t in templates)]:
        assert open(f"{made}/{name}").read() == open(f"{INSTALL}/{name}").read(), f"{name} is old; run generate.py"
    chart = folder + "/chart"
    os.makedirs(chart)
    for name in templates:
        with open(f"{chart}/{name}", "w") as out:
            out.write(chart_text(name))
    with open(chart + "/kustomization.yaml", "w") as out:
        resources = [*templates, os.path.relpath(BASE + "/namespace.yaml", chart),
                     *(os.path.relpath(f"{INSTALL}/chart/crds/{c}", chart) for c in os.listdir(INSTALL + "/chart/crds"))]
        json.dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}, out)
    documents = lambda text: sorted(text.split("---\n"))
    assert documents(built(chart)) == documents(built(BASE)), "the chart's objects are not those of base/"
    helm = shutil.which("helm")
    if helm:
        subprocess.run([helm, "lint", INSTALL + "/chart"], check=True, stdout=subprocess.DEVNULL)
        text = subprocess.run([helm, "template", "ome", INSTALL + "/chart", "--namespace", "ome", "--kube-version", "1.28.0"],
                              check=True, capture_output=True, text=True).stdout
        with open(chart + "/templates.yaml", "w") as out:
            out.write(text)
        with open(chart + "/kustomization.yaml", "w") as out:
            json.dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [
                "templates.yaml", *resources[len(templates):]]}, out)
        assert documents(built(chart)) == documents(built(BASE)), "Helm's objects are not those of base/"
    print("ome.yaml and the chart are those of base/" + ("; Helm agrees" if helm else "; no Helm here to ask"))


def violations(pod):
    """What of a pod template's spec Pod Security "restricted" (v1.32) forbids."""
    found = set()
    outer = pod.get("securityContext", {})
    for volume in pod.get("volumes", []):
        found |= {f"volume {kind}" for kind in volume if kind not in (
            "name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")}
    found |= {key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)}
    for container in pod["containers"] + pod.get("initContainers", []):
        inner = {**outer, **container.get("securityContext", {})}
        capabilities = inner.get("capabilities", {})
        found |= {f"capability {c}" for c in capabilities.get("add", []) if c != "NET_BIND_SERVICE"}
        if "ALL" not in capabilities.get("drop", []):
            found.add("capabilities kept")
        if inner.get("allowPrivilegeEscalation", True) or inner.get("privileged"):
            found.add("privilege escalation")
        if not inner.get("runAsNonRoot") or inner.get("runAsUser", 1) == 0:
            found.add("root")
        if inner.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.add("seccomp")
        found |= {"hostPort" for port in container.get("ports", []) if port.get("hostPort")}
        if not inner.get("readOnlyRootFilesystem"):
            found.add("writable root")  # more than "restricted" asks for
    return found


def check_pods(server):
    """The controller's pods meet "restricted"; the agents' need what docs/install.md says, and no more."""
    path = "/apis/apps/v1/namespaces/ome/"
    deployment = server.api("GET", path + "deployments/ome-controller-manager")
    assert not violations(deployment["spec"]["template"]["spec"]), violations(deployment["spec"]["template"]["spec"])
    agent = server.api("GET", path + "daemonsets/ome-model-agent-daemonset")["spec"]["template"]["spec"]
    assert violations(agent) == {"volume hostPath", "root", "capability CHOWN", "capability DAC_OVERRIDE",
                                 "capability FOWNER"}, violations(agent)


def selects(policy, labels):
    return policy["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()


def check_policies(server):
    """Every pod of ours is behind a NetworkPolicy, which lets in what its ports are for, each of them, and nothing else; only agents
    and pods of services reach where agents give models away."""
    services = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "ome.io/inferenceservice", "operator": "Exists"}]}}
    path = "/apis/networking.k8s.io/v1/namespaces/ome/networkpolicies"
    policies = server.api("GET", path)["items"]
    for workload in ("deployments/ome-controller-manager", "daemonsets/ome-model-agent-daemonset"):
        template = server.api("GET", f"/apis/apps/v1/namespaces/ome/{workload}")["spec"]["template"]
        labels = template["metadata"]["labels"]
        rules = [rule for p in policies if selects(p, labels) and "Ingress" in p["spec"]["policyTypes"] for rule in p["spec"]["ingress"]]
        assert rules and all(rule.get("ports") for rule in rules), f"{workload} may be reached at any port"
        ports = {p["name"]: p["containerPort"] for c in template["spec"]["containers"] for p in c["ports"]}
        allowed = {ports.get(p["port"], p["port"]): rule.get("from") for rule in rules for p in rule["ports"]}
        assert allowed.keys() == set(ports.values()), (workload, allowed, ports)
        for name, port in ports.items():
            peers = [{"podSelector": {"matchLabels": labels}}, services] if name == "peers" else None
            assert allowed[port] == peers, (workload, name, allowed[port])


def needed(path):
    """The libraries that the ELF file PATH names itself."""
    done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=False)
    return set(re.findall(r"\(NEEDED\).*\[([^\]]+)\]", done.stdout))


def package_of(library):
    """The Debian package that LIBRARY is of, as this machine has it."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    path = os.path.realpath(re.search(rf"^\s{re.escape(library)} .*=> (\S+)$", known, re.M)[1])
    owner = subprocess.run(["dpkg", "-S", "*/" + os.path.basename(path)], capture_output=True, text=True, check=True).stdout
    return owner.split(":", 1)[0]


def check_image(folder):
    """What the image file copies is all there, runs from there, and finds its libraries in the packages that are installed."""
    if not shutil.which("dpkg") or not shutil.which("readelf"):
        print("image: not looked at, this is no Debian")
        return
    with open(INSTALL + "/image/Dockerfile") as source:
        last = source.read().split("\nFROM ")[-1].replace("\\\n", " ")
    there = set(re.search(r"--no-install-recommends (.*?) &&", last)[1].split()) | {"libc6", "libgcc-s1", "libstdc++6"}
    assert re.search(r"^USER [1-9]\d*:", last, re.M) and 'ENTRYPOINT ["/usr/bin/ome"]' in last, "root, or no ome"
    out = folder + "/image"
    subprocess.run(["cmake", "--install", os.path.dirname(os.path.dirname(OME)), "--prefix", "/usr"], check=True,
                   env=dict(os.environ, DESTDIR=out), stdout=subprocess.DEVNULL)
    shared = [os.path.join(at, name) for at, _, names in os.walk(out) for name in names
              if name.endswith(".so")]
    libraries = {l for path in [out + "/usr/bin/ome", *shared] for l in needed(path) if not re.match(r"lib([atu]b?san|ubsan)", l)}
    wanted = {package_of(l) for l in libraries if not l.startswith(("libc.", "libm.", "ld-linux"))}
    assert "libjson-c5" in wanted, wanted
    assert wanted <= there, f"the image lacks {wanted - there}"
    said = subprocess.run([out + "/usr/bin/ome", "plugin", "list", "-o", "json"], capture_output=True, text=True, check=True)
    plugins = json.loads(said.stdout)
    for verb in ("status", "explain", "render", "plugin", "wait"):
        subprocess.run(["kubectl", "ome", verb, "--help"], env=dict(os.environ, PATH=f"{out}/usr/bin:{os.environ['PATH']}"), check=True,
                       stdout=subprocess.DEVNULL)
    copied = {path for path in shared if "/plugins/" in path}
    assert {p["file"] for p in plugins if not p["error"]} == copied, (said.stdout, copied)
    print(f"image: {len(plugins)} plugins load from where they are installed; libraries of {len(wanted)} packages")


def check_overlays(server):
    """Each can be applied over what is there: the server knows every field."""
    overlays = sorted(os.listdir(INSTALL + "/overlays"))
    for name in overlays:
        folder = f"{INSTALL}/overlays/{name}"
        if name == "namespace":  # its objects have a namespace that is not there yet
            assert "namespace: ome\n" not in built(folder), "something stays in namespace ome"
            continue
        kubectl(server, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", folder)
    print("overlays:", ", ".join(overlays))


def rules_of(server, account):
    """[namespace or None for anywhere, apiGroups, resources, verbs, names] of every rule bound to ACCOUNT."""
    found = []
    for kind, roles in (("rolebindings", "roles"), ("clusterrolebindings", "clusterroles")):
        for binding in server.api("GET", RBAC + kind)["items"]:
            if account not in [s["name"] for s in binding.get("subjects", [])]:
                continue
            namespace = binding["metadata"].get("namespace")
            path = f"namespaces/{namespace}/" if namespace else ""
            role = server.api("GET", f"{RBAC}{path}{roles}/{binding['roleRef']['name']}")
            found += [(namespace, rule) for rule in role["rules"]]
    return found


def covers(namespace, rule, request):
    resource = request["resource"] + ("/" + request["subresource"] if request["subresource"] else "")
    return (namespace in (None, request["namespace"]) and request["apiGroup"] in rule["apiGroups"]
            and resource in rule["resources"] and request["verb"] in rule["verbs"]
            and (not rule.get("resourceNames") or request["name"] in rule["resourceNames"]))


def asked(log, begin, part):
    """The requests of our own PART, controller or agent, since BEGIN."""
    requests = []
    with open(log) as lines:
        lines.seek(begin)
        for line in lines:
            event = json.loads(line)
            if re.fullmatch(rf"ome/\S+ \({part}\)", event["userAgent"]):
                requests.append({**event["objectRef"], "verb": event["verb"]})
    return requests


def check_allowed(server, account, requests):
    rules = rules_of(server, account)
    assert rules, account
    denied = {(r["apiGroup"], r["resource"], r["subresource"], r["namespace"], r["name"], r["verb"]) for r in requests
              if not any(covers(namespace, rule, r) for namespace, rule in rules)}
    assert not denied, f"{account} is not allowed what it does: {sorted(denied)}"
    return rules


def check_rights(server, account, requests):
    rules = check_allowed(server, account, requests)
    used = {(r["apiGroup"], r["resource"] + ("/" + r["subresource"] if r["subresource"] else ""), r["verb"])
            for r in requests}
    idle = set()
    for _, rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    same = next((verbs for verbs in TOGETHER if verb in verbs), {verb})
                    if not any((group, resource, v) in used for v in same):
                        idle.add((group, resource, verb))
    idle = {right for right in idle if right not in NOT_SEEN and not (right[:2] in children() and right[2] in CHILD_VERBS)}
    assert not idle, f"{account} may do what it never does: {sorted(idle)}"
    print(f"{account}: {len(requests)} requests, all allowed; {len(used)} rights used")


CHILD_VERBS = {"get", "list", "watch", "create", "patch", "delete"}


def children():
    """Group and resource of the kinds in the controller's table of what services are made of; it does the same with all of them,
    and most are of projects that this server has not."""
    with open(os.path.join(HOME, "host/controller/kinds.c")) as source:
        kinds = set(re.findall(r'^ +\{\{"([^"]*)", "\w+", "(\w+)", "[A-Z]\w+",', source.read(), re.M))
    assert len(kinds) > 8, kinds
    return kinds


def check_children(server):
    """Each of them has a rule."""
    rules = rules_of(server, "ome-controller-manager")
    for group, resource in children():
        assert any(group in rule["apiGroups"] and "patch" in rule["verbs"] and resource in rule["resources"]
                   for _, rule in rules), f"no rule lets the controller write {resource}.{group}"


def check_handed_on(server):
    """The controller has every right itself that it gives to routers, anywhere: an API server refuses a Role or a binding that
    raises who writes it, and the verbs that would get around that, escalate and bind, it does not have."""
    sample = os.path.join(HOME, "manifests/samples/router.yaml")
    done = subprocess.run([scenario.OME, "render", "-f", sample, "-o", "json"], capture_output=True, text=True, check=True)
    (role,) = [o for o in json.loads(done.stdout)["items"] if o["kind"] == "Role"]
    rules = rules_of(server, "ome-controller-manager")
    for given in role["rules"]:
        for resource in given["resources"]:
            for verb in given["verbs"]:
                assert any(namespace is None and set(given["apiGroups"]) <= set(rule["apiGroups"])
                           and resource in rule["resources"] and verb in rule["verbs"] for namespace, rule in rules), (
                    f"the controller gives routers {verb} {resource} and may not itself")
    assert not [rule for _, rule in rules if {"escalate", "bind", "*"} & set(rule["verbs"])]


def start(server, *words):
    return scenario.end_with_us(subprocess.Popen([OME, *words, "--kubeconfig", server.kubeconfig], stderr=subprocess.PIPE,
                                                 text=True))


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0, process.stderr.read()
    process.stderr.close()


def condition(server, path, kind):
    found = (server.find(path) or {}).get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind), None)


def pinned(server):
    """A service cannot be pinned to a revision that is not there, then is to the runtime, which is edited until a revision goes."""
    engine = scenario.runtime("engine")
    service = scenario.service("pinned", "tiny")
    service["spec"]["runtime"] = {"name": "engine", "autoSync": False, "revision": "cr-engine-00000000"}
    try:
        server.apply(service)
        raise AssertionError("a revision that is not there was taken")
    except scenario.Refused as refused:
        assert "pinned cr-engine-00000000, which is not there" in str(refused), refused
    del service["spec"]["runtime"]["revision"]
    server.apply(service)
    numbers = lambda: {r["revision"] for r in
                       server.api("GET", "/apis/apps/v1/namespaces/ome/controllerrevisions")["items"]}
    for i in (1, 2, 3, 4):
        wait_for(f"revision {i}", lambda n=i: n in numbers())
        engine["spec"]["engineConfig"]["runner"]["image"] = f"engine:{i}"
        server.apply(engine)
    wait_for("the second to go", lambda: 2 not in numbers())
    server.api("DELETE", ISVC + "pinned")


def further_models(server):
    """One in a namespace, and weights: they have a status and are let go as all models are."""
    model = {"apiVersion": "ome.io/v1beta1", "kind": "BaseModel", "metadata": {"name": "own", "namespace": "default"},
             "spec": {"storage": {"storageUri": "hf://example/tiny"}}}
    weights = {"apiVersion": "ome.io/v1beta1", "kind": "FineTunedWeight", "metadata": {"name": "tuned"}, "spec": {
        "baseModelRef": {"name": "tiny"}, "modelType": "LoRA", "hyperParameters": {}, "storage": {"storageUri": "hf://example/tuned"}}}
    for document in (model, weights):
        server.apply(document)
        path = server.path_of(document)
        wait_for(f"{path} to be looked at", lambda path=path: server.find(path).get("status") and server.find(path)["metadata"].get("finalizers"))
        server.api("DELETE", path)
        wait_for(f"{path} to go", lambda path=path: server.find(path) is None)


def benchmark_runs(server):
    """Its Job has a pod that runs: its log is asked for. That it began is an event."""
    batch = wait_for("its Job", lambda: server.find("/apis/batch/v1/namespaces/default/jobs/job"))
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": batch["metadata"]["uid"], "controller": True}
    template = batch["spec"]["template"]
    pods = "/api/v1/namespaces/default/pods"
    server.api("POST", pods, {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": {
        **template["metadata"], "name": "job-pod", "ownerReferences": [owner]}})
    server.api("PATCH", pods + "/job-pod/status", {"status": {"phase": "Running"}}, "application/merge-patch+json")
    wait_for("the benchmark to run", lambda: server.find(
        "/apis/ome.io/v1beta1/namespaces/default/benchmarkjobs/job")["status"]["state"] == "Running")
    wait_for("the event", lambda: "BenchmarkStarted" in [e["reason"] for e in server.api("GET", "/api/v1/events")["items"]])


def controller(server, log):
    """A model, a runtime, a class, a job and services come and go."""
    begin = os.path.getsize(log)
    webhooks = lambda: start(server, "controller", "--leader-elect", "--health-port", "0", *scenario.webhook_options(),
                             "--runtime-revision-retention", "1", "--runtime-revision-grace-period", "1ms")
    process = webhooks()
    hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/inferenceservice.ome.io"
    wait_for("the webhooks", lambda: server.find(hooks))
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    model["spec"]["storage"]["path"] = "/models/tiny"
    server.apply(model)
    server.apply(scenario.runtime("engine"))
    for kind in ("ClusterServingRuntime", "ServingRuntime"):
        heir = {"apiVersion": "ome.io/v1beta1", "kind": kind, "metadata": {
            "name": "heir-of-" + kind.lower(), "annotations": {"ome.io/inherit-from": "engine"}},
                "spec": {"disabled": True}}
        server.apply(heir)
        scope = "" if kind.startswith("Cluster") else "namespaces/default/"
        path = f"/apis/ome.io/v1beta1/{scope}{kind.lower()}s/{heir['metadata']['name']}"
        wait_for("the chain of an heir", lambda: server.find(path).get("status", {}).get("inheritanceChain"))
    server.api("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    server.api("POST", CLASSES, {"apiVersion": "ome.io/v1beta1", "kind": "AcceleratorClass", "metadata": {
        "name": "cpu", "finalizers": ["acceleratorclasses.ome.io/finalizer"]},
                                 "spec": {"discovery": {}, "capabilities": {}}})
    job = {"apiVersion": "ome.io/v1beta1", "kind": "BenchmarkJob", "metadata": {
        "name": "job", "finalizers": ["benchmarkjob.finalizers"]}, "spec": {
        "endpoint": {"endpoint": {"url": "http://127.0.0.1:1", "apiFormat": "openai"}}, "task": "text-to-text",
        "maxTimePerIteration": 1, "maxRequestsPerIteration": 1, "outputLocation": {"storageUri": "local:///tmp"}}}
    jobs = "/apis/ome.io/v1beta1/namespaces/default/benchmarkjobs"
    server.api("POST", jobs, job)
    service = scenario.service("chat", "tiny")
    service["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
    server.apply(service)
    wait_for("a Deployment", lambda: server.find("/apis/apps/v1/namespaces/default/deployments/chat-engine"))
    wait_for("the service's conditions", lambda: condition(server, ISVC + "chat", "Ready"))
    wait_for("the job's status", lambda: server.find(jobs + "/job").get("status", {}).get("state"))
    wait_for("the class's status", lambda: server.find(CLASSES + "/cpu").get("status", {}).get("lastUpdated"))
    benchmark_runs(server)
    further_models(server)
    pinned(server)
    for path in (ISVC + "chat", jobs + "/job", CLASSES + "/cpu", MODEL + "tiny"):
        server.api("DELETE", path)
        wait_for(f"{path} to go", lambda path=path: server.find(path) is None)
    stop(process)
    secret = "/api/v1/namespaces/ome/secrets/ome-webhook-server-cert"
    server.api("PATCH", secret, {"data": None}, "application/merge-patch+json")
    process = webhooks()
    wait_for("another certificate", lambda: server.find(secret).get("data"))
    stop(process)
    check_rights(server, "ome-controller-manager", asked(log, begin, "controller"))


def agent(server, log, folder, hub):
    """A model with a Secret comes to a node and leaves it."""
    begin = os.path.getsize(log)
    server.api("POST", "/api/v1/namespaces/ome/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"},
                                                          "stringData": {"token": "t"}})
    model = scenario.model("tiny", "hf://acme/tiny")
    model["spec"]["storage"]["key"] = "hub"
    server.apply(model)
    os.environ["HF_ENDPOINT"] = hub.url
    manager = start(server, "controller", "--health-port", "0")
    process = start(server, "agent", "--node-name", "n1", "--models-root-dir", folder + "/models", "--port", "0")
    label = lambda: [v for k, v in server.find("/api/v1/nodes/n1")["metadata"].get("labels", {}).items()
                     if k.startswith("models.ome.io/")]
    wait_for("the node's label", lambda: label() == ["Ready"])
    server.api("DELETE", MODEL + "tiny")
    wait_for("the label to go", lambda: not label())
    others = ({"apiVersion": "ome.io/v1beta1", "kind": "BaseModel", "metadata": {"name": "own", "namespace": "default"},
               "spec": {"storage": {"storageUri": "hf://acme/tiny"}}},
              {"apiVersion": "ome.io/v1beta1", "kind": "FineTunedWeight", "metadata": {"name": "tuned"}, "spec": {
                  "baseModelRef": {"name": "tiny"}, "modelType": "LoRA", "hyperParameters": {},
                  "storage": {"storageUri": "hf://acme/tuned"}}})
    for document in others:
        server.apply(document)
        wait_for("the node's label", lambda: label() == ["Ready"])
        server.api("DELETE", server.path_of(document))
        wait_for("the label to go", lambda: not label())
    stop(process)
    stop(manager)
    check_rights(server, "ome-model-agent", asked(log, begin, "agent"))
    assert not [rule for _, rule in rules_of(server, "ome-model-agent") if "secrets" in rule["resources"]]
    handed = [r for r in asked(log, begin, "controller") if r["resource"] == "secrets"]
    assert handed and {(r["verb"], r["namespace"], r["name"]) for r in handed} == {("get", "ome", "hub")}, handed
    check_allowed(server, "ome-controller-manager", handed)


def uninstall(server):
    """As docs/install.md says: nothing of ours is left, and nothing stands in the way of others."""
    kubectl(server, "delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "inferenceservice.ome.io",
            "servingruntime.ome.io", "clusterservingruntime.ome.io", "benchmarkjob.ome.io", "modelagent.ome.io",
            "runtimerevision.ome.io",
            "--ignore-not-found")
    kubectl(server, "delete", "-k", BASE, "--ignore-not-found", "--wait=false")
    wait_for("the namespace to go", lambda: server.find("/api/v1/namespaces/ome") is None)
    for path in ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", RBAC + "clusterroles", RBAC + "clusterrolebindings",
                 "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
                 "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"):
        left = lambda: [o["metadata"]["name"] for o in server.api("GET", path)["items"] if "ome" in o["metadata"]["name"]]
        wait_for(f"{path} to be empty of ours", lambda: not left())


def main():
    with scenario.scratch() as folder:
        log = folder + "/audit.log"
        server = ApiServer(folder).start("--audit-log-path", log)
        check_derived(folder)
        check_image(folder)
        kubectl(server, "apply", "--server-side", "-f", INSTALL + "/ome.yaml")
        again = kubectl(server, "apply", "--server-side", "-k", BASE)
        assert "deployment.apps/ome-controller-manager serverside-applied" in again, again
        check_pods(server)
        check_policies(server)
        check_overlays(server)
        check_children(server)
        check_handed_on(server)
        controller(server, log)
        os.makedirs(folder + "/hub/acme/tiny")
        scenario.write_files(folder + "/hub/acme", {"tiny/config.json": b'{"model_type": "llama"}',
                                                    "tuned/adapter_config.json": b'{"peft_type": "LORA", "r": 16}'})
        hub = Hub(folder + "/hub")
        agent(server, log, folder, hub)
        hub.stop()
        uninstall(server)
        server.stop()
    print("install: all true")


if __name__ == "__main__":
    main()
