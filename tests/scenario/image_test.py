#!/usr/bin/env python3
"""The image, as a cluster runs it: as the user that it names, without rights, on a root that cannot be written to. Every plugin loads,
and its controller, with the account of a pod, makes a Deployment of a service.

usage: image_test.py ROOT CONFIG    the unpacked image, and what `buildah inspect` says of it; `./dev image` makes both
"""

import json
import os
import signal
import subprocess
import sys

import scenario
from scenario import DEADLINE, ApiServer, end_with_us, wait_for

ROOT, CONFIG = sys.argv[1:]
RIGHTS = "-all,+sys_chroot,+setuid,+setgid"  # that it takes to become the image's user
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"  # below a link of the image, /var/run
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/chat-engine"


class Image:
    """FOLDER is the scenario's; ACCOUNT in it is what a pod is given of its account."""

    def __init__(self, folder):
        with open(CONFIG, encoding="utf-8") as text:
            self.config = json.load(text)["OCIv1"]["config"]
        self.account = folder + "/account"
        os.makedirs(self.account)

    def command(self, *words):
        """Runs WORDS in a mount namespace of their own, as a container would be: the image's user, no rights, nothing to write to."""
        user, group = self.config["User"].split(":")
        script = (f"mount --make-rprivate / && mount --bind {ROOT} {ROOT} && mount -t tmpfs none {ROOT}/run && mkdir -p {ROOT}/{ACCOUNT} && "
                  f"mount --bind {self.account} {ROOT}/{ACCOUNT} && mount -t proc none {ROOT}/proc && mount --bind /dev {ROOT}/dev && "
                  f"mount -o remount,ro {ROOT}/run && mount -o remount,bind,ro {ROOT} && "
                  f'exec setpriv --no-new-privs --bounding-set={RIGHTS} chroot --userspec={user}:{group} --groups= {ROOT} "$@"')
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", *words]

    def run(self, *words, **more):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=DEADLINE, check=False, **more)


def is_confined(image):
    """The test of the test: it is nobody, with no capability, and can write nowhere."""
    done = image.run("/bin/sh", "-c", "id -u; grep CapEff /proc/self/status; for at in / /tmp /run /usr /home; do touch $at/x && echo wrote $at; done")
    said = done.stdout.split()
    assert said[0] == image.config["User"].split(":")[0] != "0" and said[1:] == ["CapEff:", "0000000000000000"], (done.stdout, done.stderr)


def plugins(image):
    done = image.run(*image.config["Entrypoint"], "plugin", "list", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 15 and not [p for p in found if p["error"]], found
    return len(found)


def controller(image, server):
    authority, token = server._credentials()
    for name, text in (("token", token), ("ca.crt", authority), ("namespace", "ome")):
        with open(f"{image.account}/{name}", "w", encoding="utf-8") as out:
            out.write(text)
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "KUBERNETES_SERVICE_HOST": "127.0.0.1", "POD_NAMESPACE": "ome",
                   "KUBERNETES_SERVICE_PORT": str(server.port)}
    process = end_with_us(subprocess.Popen(image.command(*image.config["Entrypoint"], "controller", "--health-port", "0"), env=environment))
    model = scenario.model("tiny", "hf://example/tiny")
    model["spec"].update({"modelFormat": {"name": "gguf"}, "modelArchitecture": "LlamaForCausalLM"})
    for document in (model, scenario.runtime("engine"), scenario.service("chat", "tiny")):
        server.apply(document)
    wait_for("a Deployment", lambda: process.poll() is None and server.find(DEPLOYMENT))
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:  # the first of its process namespace
        os.kill(int(children.read()), signal.SIGTERM)
    assert process.wait(DEADLINE) == 0


def size():
    """Of the image's files, and of those that are OME's."""
    found = {os.stat(os.path.join(at, name), follow_symlinks=False).st_ino: os.stat(os.path.join(at, name), follow_symlinks=False).st_size
             for at, _, names in os.walk(ROOT) for name in names}
    own = sum(os.path.getsize(os.path.join(at, name)) for folder in ("/usr/lib/ome", "/usr/share/ome")
              for at, _, names in os.walk(ROOT + folder) for name in names) + os.path.getsize(ROOT + "/usr/bin/ome")
    return sum(found.values()) / 2**20, own / 2**20


def main():
    with scenario.scratch() as folder:
        image = Image(folder)
        assert image.config["Entrypoint"] == ["/usr/bin/ome"], image.config
        is_confined(image)
        count = plugins(image)
        server = ApiServer(folder).start()
        scenario.install(server)
        controller(image, server)
        server.stop()
        whole, own = size()
    print(f"image: {whole:.0f} MiB, of that {own:.1f} OME's; {count} plugins load; its controller reconciles as {image.config['User']}")


if __name__ == "__main__":
    main()
