"""What the scenarios share: an `ome up` of their own in a scratch folder, its API, its gateway, its processes.

Nothing here sleeps a fixed time: every wait is for a condition, with a deadline. OME_BIN names the binary, OME_HOME the
checkout; the engine `llama-server` is looked for on the PATH. OME_TEST_KUBECONFIG names the kubeconfig of an API server, of
whatever make, for the scenarios that take it in place of one of their own; with OME_TEST_ACCOUNTS controllers and agents have the
rights there that manifests/install gives their accounts, no more.
"""

import atexit
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

HOME = os.environ.get("OME_HOME", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
NO_HOME = "/dev/null/home"  # for programs that are to have none: nobody can make it, as others have made /nonexistent
OME = os.environ.get("OME_BIN", os.path.join(HOME, "build/bin/ome"))
DEADLINE = 60.0 * float(os.environ.get("OME_PATIENCE", "1"))  # seconds; sanitizers make everything slower

sys.path.insert(0, os.path.join(HOME, "tests/tools"))

CLUSTER_SCOPED = ("Namespace", "Node", "AcceleratorClass", "FineTunedWeight", "ValidatingWebhookConfiguration",
                  "MutatingWebhookConfiguration")


class Refused(Exception):
    """The API answered with something other than 2xx."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:500]}")
        self.status, self.body = status, body


def skip(why):
    """Ends the scenario as skipped; ctest shows it and knows the code."""
    print("SKIPPED:", why)
    sys.exit(77)


def check_files(folder, digests):
    """That the files below FOLDER are those of DIGESTS, SHA-256 by path, and no others."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as data:
                found[os.path.relpath(data.name, folder)] = hashlib.file_digest(data, "sha256").hexdigest()
    assert found == digests, sorted(found)


def write_files(folder, contents):
    """Writes bytes by path below FOLDER; their digests as check_files() wants them."""
    for path, data in contents.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as out:
            out.write(data)
    return {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}


def small_disks(folder):
    """A function from a size in MiB to a context with an empty disk of that size; needs the right to mount."""
    os.makedirs(folder)

    @contextlib.contextmanager
    def disk(mib):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    return disk


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=None):
    """The first true value of CONDITION(), asked again and again; fails naming WHAT."""
    end = time.monotonic() + (seconds or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def scratch():
    """A folder that goes with the scenario; OME_KEEP=1 keeps it, to look at what went wrong."""
    folder = tempfile.mkdtemp(prefix="ome-scenario-")
    try:
        yield folder
    finally:
        if os.environ.get("OME_KEEP"):
            print("kept:", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def digest_of(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def digests_below(folder):
    """SHA-256 of every file below FOLDER, by path."""
    return {os.path.relpath(os.path.join(parent, name), folder): digest_of(os.path.join(parent, name))
            for parent, _, files in os.walk(folder) for name in files}


PLUGINS = os.path.join(os.path.dirname(os.path.dirname(OME)), "lib/ome/plugins")


def plugins_conf(path, plugin, **settings):
    """A plugins.conf at PATH that loads PLUGIN ("storage-oras") and no other, with SETTINGS by factory."""
    with open(path, "w") as out:
        json.dump({"path": [PLUGINS], "all": False,
                   "plugins": [{"file": plugin + ".so", "required": True, "settings": settings}]}, out)
    return path


def storage_suite(plugin, uri, conf=None, expect=None, upload=None, wrong=(), skips=(), **environment):
    """Runs the storage conformance suite on PLUGIN ("storage-oras").  EXPECT: digests by path.  Every check passes but
    those in SKIPS, which are left out; returns the results by check."""
    command = [OME, "plugin", "check", os.path.join(PLUGINS, plugin + ".so"), "--storage", uri, "-o", "json"]
    with tempfile.NamedTemporaryFile("w", suffix=".sha256") as sums:
        if expect is not None:
            sums.write("".join(f"{digest}  {path}\n" for path, digest in expect.items()))
            sums.flush()
            command += ["--expect", sums.name]
        for option, value in (("-p", conf), ("--upload", upload), *(("--wrong", w) for w in wrong)):
            command += [option, value] if value else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * DEADLINE,
                              env=dict(os.environ, **environment))
    results = {r["check"]: r for r in json.loads(done.stdout or "[]")}
    text = "\n".join(f"{r['result']} {r['check']}: {r['detail']}" for r in results.values())
    assert done.returncode == 0 and results, text + done.stderr
    assert sorted(skips) == sorted(c for c, r in results.items() if r["result"] == "skip"), text
    return results


def processes_with(marker):
    """Process ids whose command line or environment holds MARKER, this one left out."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            text = b"".join(open(f"/proc/{pid}/{name}", "rb").read() for name in ("cmdline", "environ"))
            state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if marker.encode() in text and state != "Z":
            found.append(int(pid))
    return found


def end_with_us(process):
    """A scenario that fails leaves nothing running."""
    atexit.register(lambda: process.poll() is None and process.kill())
    return process


class Hub:
    """`ome hub` over FOLDER."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.port_file = folder.rstrip("/") + ".port"
        if os.path.exists(self.port_file):  # of a hub before this one
            os.remove(self.port_file)
        self.process = end_with_us(subprocess.Popen(
            [OME, "hub", folder, "--port", "0", "--port-file", self.port_file, *options], stderr=subprocess.DEVNULL))
        self.port = int(wait_for("the hub's port", self._port))
        self.url = f"http://127.0.0.1:{self.port}"

    def _port(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ome hub ended with {self.process.returncode}")
        return os.path.exists(self.port_file) and open(self.port_file).read().strip()

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)


class Line:
    """A line to PORT: counts the bytes that come back; RATE bytes a second and connection at most, 0 for any number.
    After HOLD of them nothing more comes until release() (0: goes on)."""

    def __init__(self, port, rate=0, hold=0):
        self.far, self.rate, self.hold, self.passed = port, rate, hold, 0
        self.released = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.far))
            threading.Thread(target=self._copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, True), daemon=True).start()

    def _copy(self, source, target, back):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
                if back:
                    self.passed += len(piece)
                if back and self.hold and self.passed > self.hold:
                    self.released.wait()
                if back and (rate := self.rate):
                    time.sleep(len(piece) / rate)  # what makes the line slow
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def release(self):
        self.released.set()

    def close(self):
        """The thread first: it could accept what the next line's listener, of the same number, is asked for."""
        self.release()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


class Store:
    """Pulls from the hub at URL into folders in FOLDER, which has a model store of its own."""

    def __init__(self, folder, url):
        self.folder, self.root = folder, folder + "/store"
        self.environment = dict(os.environ, HF_ENDPOINT=url, HOME=NO_HOME)

    def command(self, model, target, *options):
        store = ["--store", self.root] if self.root else []
        return [OME, "pull", f"hf://test/{model}", f"{self.folder}/{target}", *store, "-o", "json", *options]

    def run(self, command):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
        return done.returncode, done.stdout, done.stderr

    def start(self, *arguments):
        return end_with_us(subprocess.Popen(self.command(*arguments), env=self.environment, text=True,
                                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def pull(self, *arguments):
        code, out, errors = self.run(self.command(*arguments))
        assert code == 0, errors
        return [json.loads(line) for line in out.splitlines()]

    def verb(self, name):
        code, out, errors = self.run([OME, "store", name, "--store", self.root, "-o", "json"])
        assert code == 0, errors
        return json.loads(out)

    def blobs(self):
        return [f"{path}/{name}" for path, _, names in os.walk(self.root + "/blobs") for name in names if len(name) == 64]

    def staged(self):
        return os.listdir(self.root + "/staging")


class Platform:
    """One `ome up` in FOLDER; start() and kill() it as often as you like."""

    UP = "ome is up"  # what it says when it is
    ns, ome_ns = "default", "ome"  # where services are, and OME's own objects
    address = "127.0.0.1"  # where the API is
    accounts = False  # whether it knows who may do what: what manifests/install gives to accounts
    attended = True  # somebody runs what workloads ask for, and says how they are

    def __init__(self, folder, hub=None, options=()):
        self.data = os.path.join(folder, "data")
        self.report = os.path.join(folder, "report.txt")  # what `ome up` told its terminal
        os.makedirs(folder, exist_ok=True)
        self.port, self.gateway = free_port(), free_port()
        self.options = list(options)
        self.env = dict(os.environ, HF_ENDPOINT=hub.url if hub else "http://127.0.0.1:1")
        self.process = None

    def command(self, *more):
        return [OME, "up", "--data", self.data, "--port", str(self.port), "--gateway-port", str(self.gateway),
                *self.options, *more]

    def spawn(self, *more):
        """Starts it and waits for nothing."""
        with open(self.report, "w") as report:
            self.process = end_with_us(subprocess.Popen(self.command(*more), env=self.env, stderr=report))

    def start(self, *more):
        self.spawn(*more)
        wait_for("ome up to be up", self.is_up)
        return self

    def said(self):
        return open(self.report).read()

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ome up ended with {self.process.returncode}: {self.said()}")
        return self.UP in self.said()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            if self.process.wait(DEADLINE) != 0:
                raise AssertionError(f"ome up ended with {self.process.returncode}: {self.said()}")

    @property
    def kubeconfig(self):
        return os.path.join(self.data, "kubeconfig")

    def grant(self):
        """Makes the accounts of controller and agent, with their rights: an API server of ours has one user, who may do everything."""

    def account(self, _name, _node=None):
        """The kubeconfig of who acts as the account _NAME, on _NODE."""
        return self.kubeconfig

    @property
    def endpoint(self):
        """Host and port of the API."""
        return self.address, self.port

    def write_kubeconfig(self, path, port, _account=None):
        """One at PATH as _ACCOUNT, an account()'s, that reaches the API by PORT of this machine, which leads to it."""
        with open(self.kubeconfig) as own:
            write_private(path, own.read().replace(f"//{self.address}:{self.port}", f"//127.0.0.1:{port}"))

    def _credentials(self):
        text = open(self.kubeconfig).read()
        authority = base64.b64decode(re.search(r"certificate-authority-data: *\"?([A-Za-z0-9+/=]+)", text).group(1))
        token = re.search(r"token: *\"?([^\s\"]+)", text).group(1)
        return authority.decode(), token

    def raw(self, *request, **more):
        return self.answer(*request, **more)[:2]

    def ask_for(self, method, path, body=None, kind="application/json", accept="application/json"):
        """A connection on which that has been asked."""
        authority, token = self._credentials()
        context = ssl.create_default_context(cadata=authority)
        connection = http.client.HTTPSConnection(self.address, self.port, context=context, timeout=DEADLINE)
        connection.request(method, path, body, {"Authorization": f"Bearer {token}", "Content-Type": kind, "Accept": accept})
        return connection

    def answer(self, *request, **more):
        """Status, body and headers."""
        with contextlib.closing(self.ask_for(*request, **more)) as connection:
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())

    def api(self, method, path, body=None, kind="application/json"):
        status, text = self.raw(method, path, json.dumps(body) if body is not None else None, kind)
        if status >= 300:
            raise Refused(status, text)
        return json.loads(text)

    def find(self, path):
        """The object at PATH, None where there is none."""
        try:
            return self.api("GET", path)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def create(self, path, document):
        return self.api("POST", path, document)

    create_missing = create

    def removes(self, *paths):
        """What was made in no namespace of the scenario's, otherwise than by create() and apply(), and is to go with it: here,
        with the server."""

    def create_namespace(self, name):
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def path_of(self, document):
        """The path of one object of the kinds that the scenarios use."""
        kind = document["kind"]
        group = f"/apis/{document['apiVersion']}" if "/" in document["apiVersion"] else f"/api/{document['apiVersion']}"
        namespace = "" if kind.startswith("Cluster") or kind in CLUSTER_SCOPED else \
            f"/namespaces/{document['metadata'].get('namespace', self.ns)}"
        plural = kind.lower() + ("es" if kind.endswith("s") else "s")
        return f"{group}{namespace}/{plural}/{document['metadata']['name']}"

    def apply(self, document):
        """Server-side apply of one object."""
        path = self.path_of(document) + "?fieldManager=scenario&force=true"
        return self.api("PATCH", path, document, "application/apply-patch+yaml")

    def ask(self, name, path, namespace="default"):
        """The JSON that the service NAME answers to a GET of PATH through the gateway."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.gateway}{path}",
                                         headers={"Host": f"{name}.{namespace}.localhost"})
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.load(answer)

    def chat(self, name, prompt="hello", namespace="default"):
        """The text of a chat completion through the gateway; None while the service does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=DEADLINE)
        with contextlib.closing(connection):
            try:
                connection.request("POST", "/v1/chat/completions",
                                   json.dumps({"messages": [{"role": "user", "content": prompt}], "max_tokens": 40}),
                                   {"Host": f"{name}.{namespace}.localhost", "Content-Type": "application/json"})
                answer = connection.getresponse()
                body = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                return None
            return body["choices"][0]["message"]["content"] if answer.status == 200 else None


ISVC = "/apis/ome.io/v1beta1/namespaces/default/inferenceservices/"
MODEL = "/apis/ome.io/v1beta1/clusterbasemodels/"


class ApiServer(Platform):
    """`ome apiserver` alone."""

    UP = "serving on port"
    attended = False

    def command(self, *more):
        return [OME, "apiserver", "--data", self.data, "--port", str(self.port), *more]


class GivenServer:
    """Any API server, by the kubeconfig that OME_TEST_KUBECONFIG names: in namespaces of its own, which go with the rest
    of what the scenario made. Requests pass through `kubectl proxy`, which knows every way to prove who one is."""

    process = None  # none that is ours to stop or to kill

    def __init__(self, folder, kubeconfig):
        self.ns = f"ome-test-{os.urandom(4).hex()}"
        self.ome_ns = self.ns + "-ome"
        self.attended = not os.environ.get("OME_TEST_UNATTENDED")
        self.accounts = bool(os.environ.get("OME_TEST_ACCOUNTS"))
        self.made = []  # paths, in the order in which they were made
        self.folder, self.kubeconfig = folder, os.path.join(folder, "given.kubeconfig")
        os.makedirs(folder, exist_ok=True)
        self.config = json.loads(self.kubectl(kubeconfig, "config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self.config["contexts"][0]["context"]["namespace"] = self.ns
        write_private(self.kubeconfig, json.dumps(self.config))

    @staticmethod
    def kubectl(kubeconfig, *words, given=None):
        done = subprocess.run(["kubectl", "--kubeconfig", kubeconfig, *words], input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        self.proxy = end_with_us(subprocess.Popen(["kubectl", "--kubeconfig", self.kubeconfig, "proxy", "--port", "0"],
                                                  stdout=subprocess.PIPE, text=True))
        said = self.proxy.stdout.readline()
        assert "Starting to serve on" in said, f"kubectl proxy said {said!r}"
        self.port = int(said.rsplit(":", 1)[1])
        self.create_namespace(self.ns)
        return self

    def answer(self, *request, **more):
        """As Platform.answer(); a server that asks for patience is asked again."""
        def answered():
            answer = Platform.answer(self, *request, **more)
            return (answer[0] != 429 or "Retry-After" not in answer[2]) and answer
        return wait_for("a server that has time", answered)

    def grant(self):
        """As manifests/install does, in OME's namespace of the scenario."""
        if not self.accounts:
            return
        claim(self, *CLUSTER_RIGHTS)
        documents = installed(self.folder, self.ome_ns, "controller-rbac.yaml", "agent.yaml")
        rights = [d for d in documents if re.search(r"^kind: (ServiceAccount|(Cluster)?Role(Binding)?)$", d, re.M)]
        assert len(rights) == 10, rights
        self.kubectl(self.kubeconfig, "apply", "--server-side", "-f", "-", given="---\n".join(rights))

    def account(self, name, node=None):
        """The kubeconfig of who acts as the account NAME that grant() has made; with NODE as the kubelet there lets a pod of it in."""
        if not self.accounts:
            return self.kubeconfig
        return self.kubeconfig_of(name, self.pod_of(name, node) if node else None)

    def kubeconfig_of(self, name, bound=None):
        """The same with a token that is bound to the object BOUND."""
        reference = {"boundObjectRef": {"apiVersion": "v1", "kind": bound["kind"], "name": bound["metadata"]["name"],
                                        "uid": bound["metadata"]["uid"]}} if bound else {}
        token = self.api("POST", f"/api/v1/namespaces/{self.ome_ns}/serviceaccounts/{name}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600, **reference}})
        user = {"name": self.config["users"][0]["name"], "user": {"token": token["status"]["token"]}}
        path = os.path.join(self.folder, "-".join([name, *([bound["kind"], bound["metadata"]["name"]] if bound else [])]))
        write_private(path, json.dumps({**self.config, "users": [user]}))
        return path

    def pod_of(self, name, node):
        """The pod of account NAME on NODE, made when absent: nothing runs in it."""
        pods, pod = f"/api/v1/namespaces/{self.ome_ns}/pods", f"{name}-{node}"
        return self.find(f"{pods}/{pod}") or self.api("POST", pods, {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": {
                "serviceAccountName": name, "nodeName": node, "containers": [{"name": "main", "image": "none"}]}})

    def write_kubeconfig(self, path, port, account=None):
        """As Platform.write_kubeconfig()."""
        with open(account or self.kubeconfig) as own:
            config = json.load(own)
        config["clusters"][0]["cluster"].update({"server": f"https://127.0.0.1:{port}", "tls-server-name": self.endpoint[0]})
        write_private(path, json.dumps(config))

    def create(self, path, document):
        """Makes DOCUMENT, which is to go with the scenario."""
        made = self.api("POST", path, document)
        self.removes(f"{path}/{made['metadata']['name']}")
        return made

    def create_missing(self, path, document):
        """What is there already is not ours to remove."""
        if self.find(f"{path}/{document['metadata']['name']}") is None:
            self.create(path, document)

    def removes(self, *paths):
        self.made.extend(path for path in paths if path not in self.made)

    def apply(self, document):
        """As Platform.apply(); what goes with no namespace of ours has to go by itself."""
        path = self.path_of(document)
        if not path.split("/namespaces/")[-1].startswith((self.ns + "/", self.ome_ns + "/")) and path not in self.made:
            claim(self, path)
        return Platform.apply(self, document)

    def names(self, path):
        """Of the objects at PATH; none where there is no such kind."""
        return [o["metadata"]["name"] for o in (self.find(path) or {"items": []})["items"]]

    def remove(self, paths):
        """All of PATHS, in this order, and waits until they are gone."""
        for path in paths:
            status, text = self.raw("DELETE", path)
            assert status in (200, 202, 404), f"DELETE {path}: {text}"
            if path.startswith("/apis/ome.io/"):  # nobody is left to let go of it
                self.raw("PATCH", path, '{"metadata": {"finalizers": null}}', "application/merge-patch+json")
        for path in paths:
            try:
                wait_for(f"{path} to go", lambda path=path: self.find(path) is None)
            except AssertionError as stays:
                raise AssertionError(f"{path} does not go: {(self.find(path) or {}).get('status')}") from stays

    def stop(self):
        """Removes what was made: objects, then namespaces, then kinds."""
        for ns in (self.ns, self.ome_ns):
            for kind in ("inferenceservices", "basemodels"):  # which have finalizers
                path = f"/apis/ome.io/v1beta1/namespaces/{ns}/{kind}"
                self.removes(*(f"{path}/{name}" for name in self.names(path)))
        for pods in (f"/api/v1/namespaces/{ns}/pods" for ns in (self.ns, self.ome_ns)):
            for name in self.names(pods):  # those on nodes of a scenario's making end for nobody else
                self.raw("DELETE", f"{pods}/{name}?gracePeriodSeconds=0")
        # A namespace takes Kubernetes seconds, many no more than one. What one holds is not known to be gone while its kinds go.
        is_namespace = re.compile("/api/v1/namespaces/[^/]+$").match
        step_of = lambda path: 2 if path.startswith(CRDS) else 1 if is_namespace(path) else 0
        for step in range(2):
            self.remove([path for path in reversed(self.made) if step_of(path) == step])
        for path in reversed(self.made):  # one by one: while one goes Kubernetes cannot say what there is of another
            if step_of(path) == 2:
                self.remove([path])
        self.proxy.terminate()
        self.proxy.wait(DEADLINE)
        self.proxy.stdout.close()

    def ask_for(self, method, path, body=None, kind="application/json", accept="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.request(method, path, body, {"Content-Type": kind, "Accept": accept})
        return connection

    @property
    def endpoint(self):
        url = urllib.parse.urlsplit(self.config["clusters"][0]["cluster"]["server"])
        return url.hostname, url.port or 443

    raw, api, find, path_of = Platform.raw, Platform.api, Platform.find, Platform.path_of
    create_namespace = Platform.create_namespace


def api_server(folder):
    """The API server that OME_TEST_KUBECONFIG gives, else an `ome apiserver` of the scenario's own; to be started."""
    given = os.environ.get("OME_TEST_KUBECONFIG")
    return GivenServer(folder, given) if given else ApiServer(folder)


@contextlib.contextmanager
def served(folder, *options):
    """api_server(), started and in the end as it was. OPTIONS: of an `ome apiserver`; one that is given takes none."""
    server = api_server(folder)
    server.start(*(options if isinstance(server, ApiServer) else ()))
    try:
        yield server
    finally:
        server.stop()


class Controller:
    """One `ome controller` against SERVER, with its health on a port of its own."""

    def __init__(self, server, *options):
        self.port = free_port()
        self.process = end_with_us(subprocess.Popen(
            [OME, "controller", "--kubeconfig", server.account("ome-controller-manager"), "--ome-namespace", server.ome_ns,
             "--health-address", "127.0.0.1", "--health-port", str(self.port), *options], stderr=subprocess.PIPE, text=True))

    def ready(self):
        assert self.process.poll() is None, self.process.stderr.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=DEADLINE) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, seconds=DEADLINE):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(seconds) == 0, self.process.stderr.read()
        self.process.stderr.close()


def installed(folder, namespace, *files):
    """FILES of manifests/install/base as texts, an object each, with NAMESPACE for OME's; FOLDER is for scratch."""
    with open(os.path.join(folder, "kustomization.yaml"), "w") as out:
        base = os.path.relpath(os.path.join(HOME, "manifests/install/base"), os.path.realpath(folder))
        json.dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": namespace,
                   "resources": [f"{base}/{name}" for name in files]}, out)
    return subprocess.run(["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder], capture_output=True,
                          text=True, check=True).stdout.split("---\n")


def install(server):
    """What a controller needs: the CRDs, OME's namespace, and the accounts that act there."""
    crds = json.loads(subprocess.run([OME, "crds", "-o", "json"], capture_output=True, text=True, check=True).stdout)
    for crd in crds if isinstance(crds, list) else crds["items"]:
        server.create_missing(CRDS, crd)
    server.create_namespace(server.ome_ns)
    server.grant()


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/"
# What manifests/install has of rights in no namespace.
CLUSTER_RIGHTS = tuple("/apis/rbac.authorization.k8s.io/v1/cluster" + path for path in (
    "roles/ome-manager-role", "rolebindings/ome-manager-rolebinding", "roles/ome-model-agent", "rolebindings/ome-model-agent"))


def apply_files(server, path):
    """`ome apply` of what is at PATH."""
    done = subprocess.run([OME, "apply", "--kubeconfig", server.kubeconfig, "-f", path], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr


def install_crds(server, folder):
    """The CRDs in FOLDER; those that were not there go with the scenario."""
    names = lambda: {f"{CRDS}/{o['metadata']['name']}" for o in server.api("GET", CRDS)["items"]}
    before = names()
    apply_files(server, folder)
    server.removes(*(names() - before))


def write_private(path, text):
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)


def claim(server, *paths):
    """PATHS are the scenario's to make and to remove."""
    for path in paths:
        assert server.find(path) is None, f"{path} is somebody else's"
    server.removes(*paths)


def webhook_options():
    """Options of a controller that serves its webhooks where an API server reaches them: OME_TEST_ADDRESS names the address that this
    machine has for one that is elsewhere."""
    address, port = os.environ.get("OME_TEST_ADDRESS", "127.0.0.1"), free_port()
    return ["--webhook-address", address, "--webhook-port", str(port), "--webhook-url", f"https://{address}:{port}"]


def webhooks(server):
    """webhook_options(); what is registered for them goes with the scenario."""
    for kind, names in (("validating", ("inferenceservice", "servingruntime", "clusterservingruntime", "benchmarkjob",
                                        "modelagent", "runtimerevision")), ("mutating", ("inferenceservice",))):
        claim(server, *(f"{WEBHOOKS}{kind}webhookconfigurations/{name}.ome.io" for name in names))
    return webhook_options()


def is_ready(service):
    conditions = (service or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def model(name, uri):
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterBaseModel", "metadata": {"name": name},
            "spec": {"storage": {"storageUri": uri}}}


def runtime(name="llama-cpp"):
    """llama.cpp as the quickstart runs it, for models of any size."""
    script = 'set -- "$MODEL_PATH"/*.gguf; exec llama-server --model "$1" --host "$POD_IP" --port 8080'
    container = {
        "name": "ome-container", "image": "example.com/llama.cpp:server", "command": ["sh", "-c"], "args": [script],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"containerPort": 8080, "name": "http1"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 60}}
    formats = [{"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM", "autoSelect": True,
                "priority": 1}]
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterServingRuntime", "metadata": {"name": name},
            "spec": {"supportedModelFormats": formats, "protocolVersions": ["openAI"],
                     "engineConfig": {"runner": container}}}


def service(name, model_name, replicas=1):
    return {"apiVersion": "ome.io/v1beta1", "kind": "InferenceService",
            "metadata": {"name": name},
            "spec": {"model": {"name": model_name}, "engine": {"minReplicas": replicas, "maxReplicas": replicas}}}


def need_engine():
    if not shutil.which("llama-server"):
        raise AssertionError("no llama-server on the PATH; ./dev test puts one there")


def with_one_thread(folder):
    """The engine of the PATH with one thread: two that wait for each other on a busy machine are ten times as slow."""
    os.makedirs(folder)
    with open(folder + "/llama-server", "w", encoding="utf-8") as out:
        out.write(f'#!/bin/sh\nexec "{shutil.which("llama-server")}" "$@" --threads 1\n')
    os.chmod(folder + "/llama-server", 0o755)
    os.environ["PATH"] = folder + ":" + os.environ["PATH"]


def make_tiny(folder, repository, sentence):
    """A model of FOLDER/REPOSITORY that says SENTENCE."""
    import tiny_model
    target = os.path.join(folder, repository)
    os.makedirs(target, exist_ok=True)
    tiny_model.write(os.path.join(target, "model.gguf"), sentence)
