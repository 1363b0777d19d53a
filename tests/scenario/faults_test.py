#!/usr/bin/env python3
"""`ome pull` against everything that goes wrong: it ends complete and verified, or with one message that names the file,
the cause and what to do. Requests are counted, every byte is compared; what failed goes on when the trouble is over.

Prints what happened as a table, also by `./dev faults`: the fault, how many requests for bytes the hub saw (the first row is of
a pull that nothing befalls), how it ended, and the last thing that it said. "Refused" goes on to be whole when the fault is gone."""

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
from scenario import DEADLINE, NO_HOME, OME

MIB = 1 << 20
FILES = {"config.json": b"{}" * 500, "model.bin": os.urandom(6 * MIB), "deep/er/other.bin": os.urandom(700_000)}
SMALL = {"config.json": b"{}" * 500, "model.bin": os.urandom(3 * MIB // 2), "deep/er/other.bin": os.urandom(70_000)}
NAME = "(config.json|model.bin|other.bin)"
PRELOAD = sys.argv[1]
MOST_CALLS = 200  # of one kind, in a pull of SMALL


def digests_of(files):
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def pull(url, target, uri="hf://test/model", **env):
    full = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "http", "HTTP"))}
    return subprocess.run([OME, "pull", uri, target], capture_output=True, text=True, timeout=DEADLINE,
                          env={**full, "HF_ENDPOINT": url, "HOME": NO_HOME, **env})


def check_whole(target, files=FILES):
    found = {}
    for folder, _, names in os.walk(target):
        for name in names:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, target)] = open(full, "rb").read()
    assert found == files, {path: len(data) for path, data in found.items()}


def message_of(done, *words):
    """The one message of a failure; retries are told before it."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ome: "), done.stderr
    for word in words:
        assert re.search(word, last), (word, last)
    assert re.search("; [a-z]", last) and not last.endswith("?"), ("it does not say what to do", last)
    assert "secret" not in done.stderr, done.stderr
    return last


def briefly(message):
    """For the table: what is another name in each run by what it is."""
    for pattern, word in ((r"https?://(127.0.0.1|localhost):\d+/", "HUB/"), ("resolve/[0-9a-f]{40}", "resolve/COMMIT"),
                          (r"dir-[0-9a-f]{16}", "NAME"), ("blobs/[0-9a-f]{2}", "blobs/XX"), ("manifests/[0-9a-f]{64}", "manifests/ID"),
                          (r"/\S*ome-scenario-\w+", "")):
        message = re.sub(pattern, word, message)
    return message.removeprefix("ome: ")


def last_of(done):
    """What was said last where it went well: of a retry, if there was any."""
    told = [line for line in done.stderr.strip().splitlines() if line.startswith("ome: ")]
    return told[-1] if told else ""


class Case:
    """One fault of the hub's; whole() and refused() give its row."""

    def __init__(self, folder, name):
        self.target, self.name = os.path.join(folder, name.replace(" ", "-")), name

    def whole(self, fault, at_most, **env):
        """Survives FAULT with no more than AT_MOST requests; the target is whole."""
        with FaultyHub(FILES, digests_of(FILES)) as hub:
            hub.fault = fault(hub)
            done = pull(hub.url, self.target, **env)
            assert done.returncode == 0, (self.name, done.stderr)
            assert hub.count <= at_most, (self.name, hub.count)
        check_whole(self.target)
        return [(self.name, hub.count, "whole", last_of(done))]

    def refused(self, fault, *words, at_most=200, **env):
        """Fails with one message of these WORDS; nothing is published; goes on when the hub is well again."""
        with FaultyHub(FILES, digests_of(FILES)) as hub:
            hub.fault = fault(hub)
            done = pull(hub.url, self.target, **env)
            message = message_of(done, *words)
            count = hub.count
            assert count <= at_most, (self.name, count)
            published = {os.path.join(at, name) for at, _, names in os.walk(self.target) for name in names if "/.ome-store" not in at}
            assert not published, published
            hub.fault = None
            assert pull(hub.url, self.target).returncode == 0
        check_whole(self.target)
        return [(self.name, count, "refused", message)]


def busy(case):
    """A time that one answer says to come back at holds every request to that host."""
    refused, asked = [], []

    def fault(request, first, last):
        asked.append(time.monotonic())
        if first == 0 and request.name == "model.bin" and not refused:
            refused.append(time.monotonic())
            raise Answer(429, Retry_After="4")

    rows = case.whole(lambda hub: fault, 12)
    # What was on its way then may come in within a second.
    assert not [t for t in asked if refused[0] + 1 < t < refused[0] + 3.9], (refused, asked)
    assert max(asked) >= refused[0] + 3.9, (refused, asked)
    return rows


# Pieces of the files above: 1 MiB at least, so 6 and 1 and 1, and what is asked again.
def survive():
    few = lambda action, times=2: lambda hub: FaultyHub.limited(times, getattr(hub, action))
    answers = lambda times, *a, **k: lambda hub: FaultyHub.limited(times, hub.status(*a, **k))
    yield "nothing", lambda c: c.whole(lambda hub: None, 8)
    yield "drop", lambda c: c.whole(few("drop", 4), 20)
    yield "stall", lambda c: c.whole(few("stall", 2), 12)
    yield "truncate", lambda c: c.whole(few("truncate", 4), 20)
    yield "wrong Content-Range", lambda c: c.whole(few("wrong_range", 1), 24)
    yield "Range ignored", lambda c: c.whole(few("no_ranges", None), 24)
    yield "wrong bytes, right length", lambda c: c.whole(few("wrong_bytes", 1), 24)
    yield "ETag changes in mid-file", lambda c: c.whole(few("other_etag", 1), 24)
    yield "500 three times", lambda c: c.whole(answers(3, 500), 20)
    yield "503 three times", lambda c: c.whole(answers(3, 503, Retry_After="1"), 20)
    yield "429 storm", lambda c: c.whole(answers(12, 429, Retry_After="1"), 40)
    yield "429 that says when", busy
    yield "416 once", lambda c: c.whole(answers(1, 416), 24)
    yield "clock jumps by a day", lambda c: c.whole(few("drop", 2), 20, LD_PRELOAD=PRELOAD, FAULT_CLOCK="86400")


def refuse():
    always = lambda action: lambda hub: FaultyHub.limited(None, getattr(hub, action))
    answers = lambda *a, **k: lambda hub: FaultyHub.limited(None, hub.status(*a, **k))
    leads = lambda where: lambda hub: FaultyHub.limited(None, hub.status(302, Location=where))
    yield "401", lambda c: c.refused(answers(401), NAME, "401", "token")
    yield "403 gated", lambda c: c.refused(answers(403, X_Error_Code="GatedRepo", X_Error_Message="Ask the author."),
                                           NAME, "GatedRepo: Ask the author", "terms")
    yield "404", lambda c: c.refused(answers(404), NAME, "404", "revision")
    yield "416 always", lambda c: c.refused(answers(416), NAME, "range.*416", "run it again")
    yield "429 for an hour", lambda c: c.refused(answers(429, Retry_After="3600"), NAME, "429", "try later", at_most=8)
    yield "500 always", lambda c: c.refused(answers(500), NAME, "500", "try again later", at_most=70)
    yield "wrong bytes always", lambda c: c.refused(always("wrong_bytes"), NAME, "digest")
    yield "wrong Content-Range always", lambda c: c.refused(always("wrong_range"), NAME, "another range|another size", "run it again")
    yield "redirect loop", lambda c: c.refused(
        lambda hub: FaultyHub.limited(None, lambda r, a, b: (_ for _ in ()).throw(Answer(302, Location=r.path))),
        NAME, "redirects", "address")
    yield "redirect to a host without DNS", lambda c: c.refused(leads("http://no-such-host.invalid/x"), NAME,
                                                                "no-such-host.invalid", "resolve")
    yield "redirect to nobody", lambda c: c.refused(leads(f"http://127.0.0.1:{scenario.free_port()}/x"), NAME, "connect")


# ---- redirects --------------------------------------------------------------------------------------------------------

def other_host(folder, expires):
    """The token stays at home; the way is asked once a file; an address that has run out is asked for again."""
    name = "signed URL expires in mid-file" if expires else "redirect to another host"
    target, expired = f"{folder}/redirect-{expires}", threading.Event()

    def cdn_fault(request, first, last):
        assert "sig=" in request.path
        if "sig=old" in request.path and expired.is_set():
            raise Answer(403)

    with FaultyHub(FILES, digests_of(FILES), cdn_fault) as cdn, FaultyHub(FILES, digests_of(FILES)) as hub:
        def away(request, first, last):
            signature = "new" if expired.is_set() else "old"
            if hub.count >= 3 and expires:
                expired.set()
            raise Answer(302, Location=f"{cdn.url}/cdn/{request.name}?sig={signature}-secret")

        hub.fault = away
        # Another name of this machine, so that it is another host.
        done = pull(hub.url.replace("127.0.0.1", "localhost"), target, HF_TOKEN="hf_secret")
        assert done.returncode == 0, done.stderr
        assert "secret" not in done.stderr
        assert set(hub.authorizations) == {"Bearer hf_secret"}, hub.authorizations
        assert set(cdn.authorizations) == {None}, cdn.authorizations
        assert hub.count <= (24 if expires else 8) and cdn.count <= 24, (hub.count, cdn.count)
    check_whole(target)
    return [(name, hub.count + cdn.count, "whole", last_of(done))]


# ---- no way to the server ---------------------------------------------------------------------------------------------

def unreachable(folder):
    dns = message_of(pull("http://no-such-host.invalid", folder + "/dns"), "no-such-host.invalid", "resolve")
    port = scenario.free_port()
    return [("DNS failure", 0, "refused", dns),
            ("nobody listens", 0, "refused", message_of(pull(f"http://127.0.0.1:{port}", folder + "/port"), f":{port}", "connect"))]


def untrusted(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", folder + "/key.pem", "-out", folder + "/cert.pem"],
                   check=True, capture_output=True)
    pair = folder + "/cert.pem", folder + "/key.pem"
    with FaultyHub(FILES, digests_of(FILES), tls=pair) as hub:
        message = message_of(pull(hub.url, folder + "/tls"), hub.url, "certificate")
        assert hub.count == 0
        done = pull(hub.url, folder + "/tls", SSL_CERT_FILE=pair[0])
        assert done.returncode == 0, done.stderr
    check_whole(folder + "/tls")
    rows = [("TLS failure", 0, "refused", message)]
    with FaultyHub(FILES, digests_of(FILES), tls=pair) as cdn:
        rows += Case(folder, "redirect to a host of no trust").refused(
            lambda hub: FaultyHub.limited(None, hub.status(302, Location=cdn.url + "/cdn/x")), NAME, "certificate")
    return rows


# ---- the disk ---------------------------------------------------------------------------------------------------------

def disk(folder, call, code):
    """CALL fails with CODE the first time in one pull, the second time in another, ... up to the last that there is: each
    ends whole, or with a message, and whole when it goes on."""
    failed, survived, requests, messages = 0, 0, [], set()
    hit = f"{folder}/hit-{call}-{code}"
    for number in range(1, MOST_CALLS):
        target = f"{folder}/disk-{call}-{code}-{number}"
        with FaultyHub(SMALL, digests_of(SMALL)) as hub:
            done = pull(hub.url, target, LD_PRELOAD=PRELOAD, FAULT=f"{call}:{number}:{code}", FAULT_DIR=target, FAULT_HIT=hit)
            if not os.path.exists(hit):
                assert done.returncode == 0, done.stderr
                break
            os.remove(hit)
            if done.returncode == 0:
                survived += 1
            else:
                failed += 1
                message = message_of(done, re.escape(os.strerror(code)) + "|space", "/|config|model|other|dir-")
                messages.add(briefly(message.replace(target, "DIR")))
                done = pull(hub.url, target)
                assert done.returncode == 0, (call, done.stderr)
            requests.append(hub.count)
        check_whole(target, SMALL)
    else:
        raise AssertionError(f"{call}() has no end")
    assert requests, f"{call}() was never called"
    first = (f"{errno.errorcode[code]} at each of {failed + survived} {call}()", f"{min(requests)}-{max(requests)}",
             f"{failed} refused, {survived} whole")
    return [(*(first if i == 0 else ("", "", "")), message) for i, message in enumerate(sorted(messages) or [""])]


CALLS = ("openat", "open", "pwrite", "write", "ftruncate", "fallocate", "fdatasync", "fsync", "syncfs", "mkdir", "mkdirat", "linkat",
         "rename", "renameat")


def read_only(folder):
    if os.geteuid() == 0:  # root may write everywhere: a file where a folder has to be
        open(folder + "/taken", "w").close()
        target = folder + "/taken/target"
    else:
        os.makedirs(folder + "/locked", mode=0o500)
        target = folder + "/locked/target"
    with FaultyHub(FILES, digests_of(FILES)) as hub:
        message = message_of(pull(hub.url, target), os.path.basename(os.path.dirname(target)), "denied|directory|file")
        assert hub.count == 0, "bytes were asked for without a place for them"
    return [("folder that cannot be written", 0, "refused", message)]


# ---- all of it --------------------------------------------------------------------------------------------------------

def jobs_of(folder):
    for name, run in [*survive(), *refuse()]:
        yield name, run, Case(folder, name)
    for expires in (False, True):
        yield f"other host {expires}", lambda f, e=expires: other_host(f, e), folder
    for run in (unreachable, untrusted, read_only):
        yield run.__name__, run, folder
    for code in (errno.ENOSPC, errno.EIO):
        for call in CALLS:
            if call != "fallocate" or code == errno.ENOSPC:  # of that nothing else is an answer
                yield f"{errno.errorcode[code]} {call}", lambda f, c=call, n=code: disk(f, c, n), folder


def main():
    with scenario.scratch() as folder, concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [(name, pool.submit(run, where)) for name, run, where in jobs_of(folder)]
        rows, failed = [("FAULT", "REQUESTS", "ENDS", "LAST MESSAGE")], []
        for name, job in jobs:
            try:
                rows += job.result()
            except Exception as error:  # told when all have ended
                failed.append((name, error))
        widths = [max(len(str(row[i])) for row in rows) for i in range(3)]
        for row in rows:
            print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + "  " + briefly(row[3]))
        for name, error in failed:
            print(f"FAILED: {name}: {error!r}")
        print(f"{len(jobs) - len(failed)} passed, {len(failed)} failed")
        sys.exit(1 if failed else 0)


main()
