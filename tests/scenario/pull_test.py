#!/usr/bin/env python3
"""`ome hub` and `ome pull`: whole, through a cutting hub, refused in every way, and killed in the middle."""

import hashlib
import json
import os
import pty
import subprocess
import time
import urllib.request

import scenario
from scenario import DEADLINE, NO_HOME, OME, Hub, check_files, wait_for

MIB = 1 << 20


def make_model(folder):
    """Files of several sizes, one of them large enough to be LFS; their digests by path."""
    contents = {"config.json": b'{"model_type": "llama"}', "empty": b"", "deep/er/small.bin": os.urandom(1000),
                "model.bin": os.urandom(48 * MIB)}
    return scenario.write_files(os.path.join(folder, "test/model"), contents)


def start_hub(folder, *options):
    """A hub over the model; the port of the one before is forgotten."""
    if os.path.exists(folder + "/hub.port"):
        os.remove(folder + "/hub.port")
    return Hub(folder + "/hub", *options)


def command(target, *options):
    return [OME, "pull", "hf://test/model", target, "-o", "json", *options]


def environment(hub):
    return dict(os.environ, HF_ENDPOINT=hub.url, HOME=NO_HOME)


def pull(hub, target, *options):
    """Exit code, events and standard error of one `ome pull`."""
    done = subprocess.run(command(target, *options), env=environment(hub), capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def whole(folder, digests):
    hub = start_hub(folder)
    code, events, errors = pull(hub, folder + "/whole")
    assert code == 0 and events[-1]["event"] == "done", errors
    check_files(folder + "/whole", digests)
    code, events, _ = pull(hub, folder + "/whole")
    assert code == 0 and [e["event"] for e in events] == ["done"], "what is there was fetched again"
    hub.stop()


def cut(folder, digests):
    hub = start_hub(folder, "--fault", f"cut={MIB}")
    code, events, errors = pull(hub, folder + "/cut")
    assert code == 0, errors
    assert any(e["event"] == "retry" for e in events), "nothing was cut"
    check_files(folder + "/cut", digests)
    hub.stop()


def refused(folder):
    for status, word in ((401, "token"), (404, "no such"), (429, "rate"), (500, "later")):
        hub = start_hub(folder, "--fault", f"status={status}")
        code, events, errors = pull(hub, folder + "/refused")
        assert code == 1 and events[-1]["event"] == "error", status
        assert word in errors and str(status) in errors, errors
        assert "\n" not in errors.strip(), errors
        hub.stop()


def revised(folder, digests):
    """A commit or a branch by its name; one that is not there is named."""
    hub = start_hub(folder)
    with urllib.request.urlopen(hub.url + "/api/models/test/model", timeout=DEADLINE) as answer:
        commit = json.load(answer)["sha"]
    for revision in ("main", commit):
        code, _, errors = pull(hub, folder + "/revised", "--revision", revision)
        assert code == 0, errors
        check_files(folder + "/revised", digests)
    code, _, errors = pull(hub, folder + "/revised", "--revision", "0" * 40)
    assert code == 1 and "no such revision" in errors, errors
    hub.stop()


def bounded(folder, digests):
    """At most so many bytes a second; a part at a time, each of which leaves what is there."""
    hub = start_hub(folder)
    began = time.monotonic()
    code, _, errors = pull(hub, folder + "/bounded", "--max-rate", "24Mi", "--exclude", "deep/*", "--exclude", "empty")
    took = time.monotonic() - began
    assert code == 0 and took > 1.5, f"48 MiB at 24 MiB/s took {took:.1f} s {errors}"
    assert sorted(os.listdir(folder + "/bounded")) == ["config.json", "model.bin"]
    assert pull(hub, folder + "/bounded", "--include", "deep/*", "--include", "empty")[0] == 0
    check_files(folder + "/bounded", digests)
    code, events, errors = pull(hub, folder + "/bounded", "--verify-only")
    assert code == 0 and [e["event"] for e in events] == ["file"] * len(digests) + ["done"], errors
    os.truncate(folder + "/bounded/model.bin", 10)
    code, events, errors = pull(hub, folder + "/bounded", "--verify-only")
    assert code == 1 and "1 of 4 files" in errors and events[-1]["event"] == "error", errors
    assert pull(hub, folder + "/bounded", "--include", "*.none")[0] == 1
    hub.stop()


def drawn(folder, digests):
    """On a terminal: a bar for the file that is under way and one for all, and nothing of it left at the end."""
    hub = start_hub(folder)
    ours, theirs = pty.openpty()
    began = time.monotonic()
    process = scenario.end_with_us(subprocess.Popen(
        [OME, "pull", "hf://test/model", folder + "/drawn", "--parameter", "maxRate=24Mi"], env=environment(hub), stderr=theirs))
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    assert process.wait(DEADLINE) == 0 and time.monotonic() - began > 1.5, text
    frames = text.split(b"\x1b[J")
    bars = [frame for frame in frames if b"model.bin" in frame]
    assert bars and all(frame.count(b"%") == 2 and b" of 4 files" in frame for frame in bars), text
    assert b"%" not in frames[-1], text
    check_files(folder + "/drawn", digests)
    hub.stop()


def unknown(folder):
    """A scheme that no plugin knows is refused at once, with those that are known."""
    for uri in ("ftp://there/model", "github://sgl-project/ome@v0.1"):
        done = subprocess.run([OME, "pull", uri, folder + "/unknown"], capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert done.returncode == 1 and all(s + "://" in done.stderr for s in ("hf", "local", "s3", "gs", "az", "oci")), done.stderr
        assert f'"{uri.partition("//")[0]}//"' in done.stderr and not os.path.exists(folder + "/unknown"), done.stderr


def mistaken(folder):
    """What a person gets wrong: one line that names it and says what to do, nothing written."""
    empty = {"HF_ENDPOINT": "http://127.0.0.1:1", "HOME": NO_HOME}
    os.makedirs(folder + "/nothing")
    rows = ((["models/llama"], 1, ('"models/llama" is no address', "local://PATH", "hf://")),
            (["hf://test/model", "-o", "yaml"], 2, ("--output is json",)),
            (["hf://test/model", "--max-rate", "fast"], 2, ("--max-rate", "20M")),
            (["hf://test/model", "--connections", "65"], 2, ("--connections is 1 to 64",)),
            (["file:///absent/model"], 1, ("open /absent/model", "check the path")),
            (["file:///etc/hostname", "--include", "nothing"], 1, ("check --include",)),
            (["file://" + folder + "/nothing"], 1, ("there are no files; check the address",)),
            (["file:///etc/hostname", "--parameter", "include=nothing"], 1, ("leave none of its 1 files",)),
            (["file:///etc/hostname", "--parameter", "maxRate=fast"], 1, ('the parameter maxRate is "fast"', "20M")),
            (["hf://test/model"], 1, ("plugin hf: GET http://127.0.0.1:1/", "check the address and the network")),
            (["vendor://openai/models/gpt-4"], 1, ("vendor://openai/models/gpt-4", "there is nothing to pull")),
            (["vendor://openai"], 1, ('"vendor://openai" is not vendor://VENDOR/TYPE/PATH',)),
            (["s3://x"], 1, ('plugin s3: "s3://x" is not s3://BUCKET',)))
    for (uri, *options), code, words in rows:
        done = subprocess.run([OME, "pull", uri, folder + "/mistaken", *options], capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **empty})
        lines = done.stderr.splitlines()
        assert done.returncode == code and len(lines) == 1 and all(w in lines[0] for w in words), (uri, options, done)
        assert not os.path.exists(folder + "/mistaken"), uri


def killed(folder, digests):
    """kill -9 as soon as something is there, again and again; every round goes on where the one before was."""
    hub = start_hub(folder)
    target = folder + "/killed"
    for _ in range(8):
        process = subprocess.Popen(command(target, "--connections", "1"), env=environment(hub),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the transfer to begin", lambda: process.poll() is not None or
                 os.path.exists(target + "/.ome-store") or os.path.exists(target + "/model.bin"))
        time.sleep(0.02)  # the point of time is the subject
        process.kill()
        process.wait()
        if os.path.exists(target + "/model.bin"):
            assert hashlib.sha256(open(target + "/model.bin", "rb").read()).hexdigest() == digests["model.bin"]
    code, _, errors = pull(hub, target)
    assert code == 0, errors
    check_files(target, digests)
    hub.stop()


def main():
    with scenario.scratch() as folder:
        digests = make_model(folder + "/hub")
        whole(folder, digests)
        cut(folder, digests)
        refused(folder)
        unknown(folder)
        mistaken(folder)
        drawn(folder, digests)
        bounded(folder, digests)
        revised(folder, digests)
        killed(folder, digests)
    print("pulled whole, through cuts and kills; refusals say why")


main()
