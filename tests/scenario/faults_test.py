#!/usr/bin/env python3
"""`ome pull` against everything that goes wrong: it ends complete and verified, or with one message that names the file,
the cause and what to do. Requests are counted, every byte is compared; what failed goes on when the trouble is over."""

import concurrent.futures
import errno
import hashlib
import os
import re
import subprocess
import sys
import threading
import time

import scenario
from faulty_hub import Answer, FaultyHub
from scenario import DEADLINE, OME

MIB = 1 << 20
FILES = {"config.json": b"{}" * 500, "model.bin": os.urandom(6 * MIB), "deep/er/other.bin": os.urandom(700_000)}
DIGESTS = {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}
PRELOAD = sys.argv[1]


def pull(url, target, uri="hf://test/model", **env):
    full = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "http", "HTTP"))}
    return subprocess.run([OME, "pull", uri, target], capture_output=True, text=True, timeout=DEADLINE,
                          env={**full, "HF_ENDPOINT": url, "HOME": "/nonexistent", **env})


def check_whole(target):
    found = {}
    for folder, _, names in os.walk(target):
        for name in names:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, target)] = open(full, "rb").read()
    assert found == FILES, {path: len(data) for path, data in found.items()}


def message_of(done, *words):
    """The one message of a failure; retries are told before it."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ome: "), done.stderr
    for word in words:
        assert re.search(word, last), (word, last)
    assert "secret" not in done.stderr, done.stderr
    return last


class Case:
    def __init__(self, folder, name):
        self.target, self.name = os.path.join(folder, name), name

    def whole(self, fault, at_most, **env):
        """Survives FAULT with no more than AT_MOST requests; the target is whole."""
        with FaultyHub(FILES, DIGESTS) as hub:
            hub.fault = fault(hub)
            done = pull(hub.url, self.target, **env)
            assert done.returncode == 0, (self.name, done.stderr)
            assert hub.count <= at_most, (self.name, hub.count)
        check_whole(self.target)

    def refused(self, fault, *words, at_most=200, **env):
        """Fails with one message of these WORDS; nothing is published; goes on when the hub is well again."""
        with FaultyHub(FILES, DIGESTS) as hub:
            hub.fault = fault(hub)
            done = pull(hub.url, self.target, **env)
            message_of(done, *words)
            assert hub.count <= at_most, (self.name, hub.count)
            hub.fault = None
            assert pull(hub.url, self.target).returncode == 0
        check_whole(self.target)


def busy(case):
    """A time that one answer says to come back at holds every request to that host."""
    refused, asked = [], []

    def fault(request, first, last):
        asked.append(time.monotonic())
        if first == 0 and request.name == "model.bin" and not refused:
            refused.append(time.monotonic())
            raise Answer(429, Retry_After="4")

    case.whole(lambda hub: fault, 12)
    # What was on its way then may come in within a second.
    assert not [t for t in asked if refused[0] + 1 < t < refused[0] + 3.9], (refused, asked)
    assert max(asked) >= refused[0] + 3.9, (refused, asked)


# Pieces of the files above: 1 MiB at least, so 6 and 1 and 1, and what is asked again.
def survive(folder):
    few = lambda action, times=2: lambda hub: FaultyHub.limited(times, getattr(hub, action))
    answers = lambda times, *a, **k: lambda hub: FaultyHub.limited(times, hub.status(*a, **k))
    yield "stall", lambda c: c.whole(few("stall", 2), 12)
    yield "busy", busy
    yield "drop", lambda c: c.whole(few("drop", 4), 20)
    yield "truncate", lambda c: c.whole(few("truncate", 4), 20)
    yield "wrong-range", lambda c: c.whole(few("wrong_range", 1), 24)
    yield "no-ranges", lambda c: c.whole(few("no_ranges", None), 24)
    yield "wrong-bytes", lambda c: c.whole(few("wrong_bytes", 1), 24)
    yield "other-etag", lambda c: c.whole(few("other_etag", 1), 24)
    yield "status-500", lambda c: c.whole(answers(3, 500), 20)
    yield "status-503", lambda c: c.whole(answers(3, 503, Retry_After="1"), 20)
    yield "storm-429", lambda c: c.whole(answers(12, 429, Retry_After="1"), 40)
    yield "status-416", lambda c: c.whole(answers(1, 416), 24)
    yield "clock", lambda c: c.whole(few("drop", 2), 20, LD_PRELOAD=PRELOAD, FAULT_CLOCK="86400")


def refuse(folder):
    always = lambda action: lambda hub: FaultyHub.limited(None, getattr(hub, action))
    answers = lambda *a, **k: lambda hub: FaultyHub.limited(None, hub.status(*a, **k))
    name = "(config.json|model.bin|other.bin)"
    yield "401", lambda c: c.refused(answers(401), name, "401", "token")
    yield "403-gated", lambda c: c.refused(answers(403, X_Error_Code="GatedRepo", X_Error_Message="Ask the author."),
                                           name, "GatedRepo: Ask the author", "terms")
    yield "404", lambda c: c.refused(answers(404), name, "404", "revision")
    yield "416", lambda c: c.refused(answers(416), name, "range")
    yield "429", lambda c: c.refused(answers(429, Retry_After="3600"), name, "429", "try later", at_most=8)
    yield "500", lambda c: c.refused(answers(500), name, "500", "try again later", at_most=70)
    yield "wrong-bytes-always", lambda c: c.refused(always("wrong_bytes"), name, "digest")
    yield "wrong-range-always", lambda c: c.refused(always("wrong_range"), name, "another range|another size")
    yield "redirect-loop", lambda c: c.refused(
        lambda hub: FaultyHub.limited(None, lambda r, a, b: (_ for _ in ()).throw(Answer(302, Location=r.path))),
        name, "redirects", "address")


# ---- redirects --------------------------------------------------------------------------------------------------------

def other_host(folder):
    """The token stays at home; the way is asked once a file; an address that has run out is asked for again."""
    expired = threading.Event()

    def cdn_fault(request, first, last):
        assert "sig=" in request.path
        if "sig=old" in request.path and expired.is_set():
            raise Answer(403)

    with FaultyHub(FILES, DIGESTS, cdn_fault) as cdn, FaultyHub(FILES, DIGESTS) as hub:
        def away(request, first, last):
            signature = "new" if expired.is_set() else "old"
            if hub.count >= 3:
                expired.set()
            raise Answer(302, Location=f"{cdn.url}/cdn/{request.name}?sig={signature}-secret")

        hub.fault = away
        # Another name of this machine, so that it is another host.
        done = pull(hub.url.replace("127.0.0.1", "localhost"), folder + "/redirect", HF_TOKEN="hf_secret")
        assert done.returncode == 0, done.stderr
        assert "secret" not in done.stderr
        assert set(hub.authorizations) == {"Bearer hf_secret"}, hub.authorizations
        assert set(cdn.authorizations) == {None}, cdn.authorizations
    check_whole(folder + "/redirect")


# ---- no way to the server ---------------------------------------------------------------------------------------------

def unreachable(folder):
    message_of(pull("http://no-such-host.invalid", folder + "/dns"), "no-such-host.invalid", "resolve")
    message_of(pull(f"http://127.0.0.1:{scenario.free_port()}", folder + "/port"), "connect")


def untrusted(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", folder + "/key.pem", "-out", folder + "/cert.pem"],
                   check=True, capture_output=True)
    with FaultyHub(FILES, DIGESTS, tls=(folder + "/cert.pem", folder + "/key.pem")) as hub:
        message_of(pull(hub.url, folder + "/tls"), "certificate")
        done = pull(hub.url, folder + "/tls", SSL_CERT_FILE=folder + "/cert.pem")
        assert done.returncode == 0, done.stderr
    check_whole(folder + "/tls")


# ---- the disk ---------------------------------------------------------------------------------------------------------

def disk(folder, call, code, most):
    """CALL fails with CODE the first time, the second, ... until it is not called that often."""
    target = f"{folder}/disk-{call}-{code}"
    hit = 0
    with FaultyHub(FILES, DIGESTS) as hub:
        for number in range(1, most + 1):
            done = pull(hub.url, target, LD_PRELOAD=PRELOAD, FAULT=f"{call}:{number}:{code}", FAULT_DIR=target)
            if done.returncode == 0:
                check_whole(target)
                break
            hit += 1
            message_of(done, re.escape(os.strerror(code)) + "|space", "/|config|model|other|dir-")
        done = pull(hub.url, target)
        assert done.returncode == 0, (call, done.stderr)
    check_whole(target)
    assert hit or call in ("fallocate",), f"{call}() was never called"


def read_only(folder):
    if os.geteuid() == 0:  # root may write everywhere: a file where a folder has to be
        open(folder + "/taken", "w").close()
        target = folder + "/taken/target"
    else:
        os.makedirs(folder + "/locked", mode=0o500)
        target = folder + "/locked/target"
    with FaultyHub(FILES, DIGESTS) as hub:
        message_of(pull(hub.url, target), os.path.basename(os.path.dirname(target)), "denied|directory|file")
        assert hub.count == 0, "bytes were asked for without a place for them"


def main():
    with scenario.scratch() as folder, concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = {}
        for name, run in [*survive(folder), *refuse(folder)]:
            jobs[pool.submit(run, Case(folder, name))] = name
        for run in (other_host, unreachable, untrusted, read_only):
            jobs[pool.submit(run, folder)] = run.__name__
        for call, most in (("pwrite", 12), ("write", 8), ("open", 5), ("ftruncate", 3), ("fdatasync", 3), ("syncfs", 2),
                           ("rename", 4), ("fallocate", 2)):
            for code in (errno.ENOSPC, errno.EIO):
                if call != "fallocate" or code == errno.ENOSPC:  # of that nothing else is an answer
                    jobs[pool.submit(disk, folder, call, code, most)] = f"{call} {errno.errorcode[code]}"
        failed = 0
        for job in concurrent.futures.as_completed(jobs):
            error = job.exception()
            failed += error is not None
            print(f"{'FAILED' if error else 'ok'}: {jobs[job]}" + (f": {error!r}" if error else ""), flush=True)
        sys.exit(1 if failed else 0)


main()
