"""Ceph's S3 gateway on one machine: a monitor, one OSD in memory, radosgw.  It checks signatures, dates and payload hashes
as the original does.  Everything listens on loopback, on ports of its own, and ends with the scenario."""

import os
import subprocess
import urllib.error
import urllib.request
import uuid

import peers
from scenario import end_with_us, free_port, wait_for

ACCESS_KEY, SECRET_KEY = "OMEACCESSKEY", "ome+secret/key"

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = {monitor}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
paxos propose interval = 0.05
paxos min wait = 0.01
mon tick interval = 1
mon data avail crit = 1
mon data avail warn = 2
osd crush chooseleaf type = 0
osd objectstore = memstore
osd max object size = 134217728
memstore device bytes = {memory}
run dir = {folder}
admin socket = {folder}/$cluster-$name.$pid.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
rgw dns name = {domain}
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 16
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw enable quota threads = false
"""


class RadosGateway:
    """Starts it and makes one user; virtual-host style works below DOMAIN."""

    def __init__(self, folder, domain="s3.localhost", memory=2 << 30):
        self.folder, self.memory, self.processes = folder, memory, []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.domain = domain
        self.fsid = str(uuid.uuid4())
        self.monitor = f"[v2:127.0.0.1:{free_port()}/0,v1:127.0.0.1:{free_port()}/0]"
        self.conf = os.path.join(folder, "ceph.conf")
        for name in ("mon", "osd", "rgw"):
            os.makedirs(os.path.join(folder, name))
        with open(self.conf, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(fsid=self.fsid, monitor=self.monitor, folder=folder, port=self.port, domain=domain,
                                           memory=self.memory))
        self._start_cluster()
        self.gateway = self._spawn("radosgw", "-n", "client.rgw.a")
        wait_for("radosgw to answer", self._answers)
        self._run("radosgw-admin", "user", "create", "--uid=ome", "--display-name=ome", "--access-key=" + ACCESS_KEY,
                  "--secret-key=" + SECRET_KEY)

    def _run(self, name, *arguments):
        done = subprocess.run([peers.program(name), "-c", self.conf, *arguments], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"{name} failed: {done.stderr[-2000:]}")
        return done.stdout

    def _spawn(self, name, *arguments):
        """In the foreground, so that it is ours to end."""
        with open(os.path.join(self.folder, name + ".out"), "w", encoding="utf-8") as out:
            process = end_with_us(subprocess.Popen([peers.program(name), "-c", self.conf, "-f", *arguments], stdout=out,
                                                   stderr=out))
        self.processes.append(process)
        return process

    def _start_cluster(self):
        monmap = os.path.join(self.folder, "monmap")
        subprocess.run([peers.program("monmaptool"), "--create", "--fsid", self.fsid, "--addv", "a", self.monitor, monmap],
                       stdout=subprocess.DEVNULL, check=True)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        self._spawn("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._spawn("ceph-osd", "-i", "0")

    def _answers(self):
        if self.gateway.poll() is not None:
            raise AssertionError("radosgw ended: " + open(os.path.join(self.folder, "radosgw.out"), encoding="utf-8").read()[-2000:])
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False
