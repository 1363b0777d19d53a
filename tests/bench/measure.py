"""What the rows of `./dev bench pull` share: running a program and measuring it, rounds in turn, a table of medians."""

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OME = os.environ.get("OME_BIN", HOME + "/build/bin/ome")
PEERS = os.path.join(HOME, ".ome/peers")
TOOLS = os.path.join(HOME, ".ome/bench/venv/bin")
PATH = f"{TOOLS}:{PEERS}/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MIB, GIB = 1 << 20, 1 << 30


def program(name):
    return shutil.which(name, path=PATH)


def bytes_of(text):
    """"1g", "512m", "4096": how many."""
    found = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if not found:
        sys.exit(f"{text}: is no size, as 1g or 512m")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]


def size_text(size):
    return f"{size / GIB:g} GiB" if size >= GIB else f"{size / MIB:g} MiB"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_of(pid):
    """Processor seconds of a process and its children so far."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    total = 0
    for one in [str(pid), *children.stdout.split()]:
        with contextlib.suppress(OSError):
            fields = open(f"/proc/{one}/stat").read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Server:
    """Processes of a server, and a folder beside its content that targets go to."""

    def __init__(self, folder, *pids):
        self.folder, self.pids = folder, pids

    def cpu(self):
        return sum(cpu_of(pid) for pid in self.pids)


class Run:
    def __init__(self, wall, client, server, memory):
        self.wall, self.client, self.server, self.memory = wall, client, server, memory


class Memory(threading.Thread):
    """The most memory that a process has had resident; what wait4() says of that counts the process that forked it."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            with contextlib.suppress(OSError):
                for line in open(f"/proc/{self.pid}/status"):
                    if line.startswith("VmHWM:"):
                        self.most = max(self.most, int(line.split()[1]) / 1024)

    def end(self):
        self.over.set()
        self.join()
        return self.most


def measure(site, command, target, env=None, check=None):
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    before, began = site.cpu(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=target,
                               env={**os.environ, "PATH": PATH, "HOME": site.folder, **(env or {})})
    watch = Memory(process.pid)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed with {process.returncode}: {errors.decode(errors='replace')[-1000:]}")
    if check:
        check(target)
    return Run(wall, usage.ru_utime + usage.ru_stime, site.cpu() - before, watch.end())


def compare(title, site, contenders, rounds, size, check=None, fresh=None, limit=None):
    """CONTENDERS: name to (command, environment), SIZE bytes for each.  FRESH is a cache that none may find; LIMIT what
    a client that verifies can be at best (limit.py).  Prints a table; the medians by name."""
    target = site.folder + "/target"
    runs = {name: [] for name, c in contenders.items() if c[0][0]}
    for name in sorted(set(contenders) - set(runs)):
        print(f"  {name}: not installed")
    for _ in range(rounds):
        for name in runs:
            command, env = contenders[name]
            if fresh:
                shutil.rmtree(fresh, ignore_errors=True)
            runs[name].append(measure(site, command, target, env, check))
    shutil.rmtree(target, ignore_errors=True)
    medians = {name: statistics.median(r.wall for r in rs) for name, rs in runs.items()}
    print(f"\n{title} (median of {rounds})")
    print(f"  {'':34}{'seconds':>9}{'MiB/s':>9}{'client s':>10}{'server s':>10}{'MiB RSS':>9}{'ome is':>9}"
          + (f"{'at most':>9}" if limit else ""))
    for name, rs in runs.items():
        median = lambda key: statistics.median(getattr(r, key) for r in rs)
        ratio = f"{medians[name] / medians['ome']:.2f} x" if "ome" in medians else ""
        best = f"{f'{medians[name] / limit.verified:.2f} x':>9}" if limit else ""
        print(f"  {name:34}{median('wall'):9.2f}{size / MIB / median('wall'):9.0f}{median('client'):10.2f}"
              f"{median('server'):10.2f}{median('memory'):9.0f}{ratio:>9}{best}", flush=True)
    if limit and "ome" in medians:
        print(f"  ome is at {limit.verified / medians['ome']:.2f} of the limit", flush=True)
    return medians
