#!/usr/bin/env python3
"""The model store on a small disk: what does not fit is refused with numbers before the first byte, beside what other
transfers have reserved; garbage goes before that; a disk that fills up in the middle costs nothing that is there."""

import os
import shutil
import subprocess
import sys
import tempfile

import scenario
from scenario import Hub, Line, Store, check_files, wait_for

MIB = 1 << 20


def make_models(folder):
    """About 40 MiB each: "b" two large files, "a" and "c" so many that most have no room on the disk yet when the first
    arrive."""
    models = {}
    for name, count, size in (("a", 400, 100 << 10), ("b", 2, 20 * MIB), ("c", 400, 100 << 10)):
        contents = {f"{number}.bin": os.urandom(size) for number in range(count)}
        models[name] = scenario.write_files(f"{folder}/test/{name}", contents)
    return models


def refused(store, line, *words, need="needs 40.0 MiB (41943040 bytes)"):
    """That "b" is refused with WORDS and not a byte of it is fetched."""
    before = line.passed
    code, _, errors = store.run(store.command("b", "b"))
    assert code == 1 and "\n" not in errors.strip(), errors
    for word in (need, *words):
        assert word in errors, (word, errors)
    return line.passed - before


def too_small(disk, hub):
    line = Line(hub.port)
    with disk(24) as folder:
        store = Store(folder, line.url)
        assert refused(store, line, "24.0 MiB is free", "0 B is reserved") < MIB
        assert not os.listdir(folder + "/b")
    line.close()


def reserved(disk, hub, models):
    """A transfer that is under way has its room, also what it has not taken up yet."""
    line, other = Line(hub.port, hold=4 * MIB), Line(hub.port)
    with disk(78) as folder:
        store = Store(folder, line.url)
        first = store.start("a", "a", "--connections", "1")
        wait_for("the first to fetch", lambda: line.passed > 4 * MIB or first.poll() is not None)
        assert first.poll() is None, first.communicate()
        assert os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize > 41 * MIB, "it would be refused anyway"
        refused(Store(folder, other.url), other, "MiB is reserved")
        line.release()
        _, errors = first.communicate(timeout=scenario.DEADLINE)
        assert first.returncode == 0, errors
        check_files(folder + "/a", models["a"])
    line.close()
    other.close()


def collected(disk, hub, models):
    """What nobody wants any more makes room by itself; what somebody wants does not."""
    line = Line(hub.port)
    with disk(72) as folder:
        store = Store(folder, line.url)
        store.pull("a", "a")
        refused(store, line, "0 B is reserved")
        shutil.rmtree(folder + "/a")
        store.pull("b", "b")
        check_files(folder + "/b", models["b"])
    line.close()


def copies(disk, hub, models):
    """A folder on another file system than the store: room for its copies is looked at first as well."""
    line = Line(hub.port)
    with disk(24) as folder, tempfile.TemporaryDirectory() as elsewhere:
        store = Store(folder, line.url)
        store.root = elsewhere + "/store"
        assert refused(store, line, "24.0 MiB is free", need="needs 40.0 MiB") < MIB
        store.pull("b", "b", "--include", "0.bin")
        check_files(folder + "/b", {"0.bin": models["b"]["0.bin"]})
    line.close()


def filled(disk, hub, models):
    """Somebody else takes the room in the middle: one message, and what is there is not fetched again."""
    line = Line(hub.port, hold=4 * MIB)
    with disk(56) as folder:
        store = Store(folder, line.url)
        first = store.start("c", "c", "--connections", "1")
        wait_for("the first files", lambda: line.passed > 4 * MIB or first.poll() is not None)
        assert first.poll() is None, first.communicate()
        subprocess.run(["dd", "if=/dev/zero", f"of={folder}/filler", "bs=1M"], stderr=subprocess.DEVNULL, check=False)
        line.release()
        _, errors = first.communicate(timeout=scenario.DEADLINE)
        assert first.returncode == 1 and "space" in errors and "\n" not in errors.strip(), (first.returncode, errors)
        os.remove(folder + "/filler")
        store.pull("c", "c")
        check_files(folder + "/c", models["c"])
    assert line.passed < 61 * MIB, f"{line.passed} bytes fetched of 40 MiB and a range of at most 20"
    line.close()


def taken_away(disk, hub, models):
    """The disk of a store is not mounted any more, in the middle: its folder, on the disk below, stays empty."""
    for what, model in (("store", "b"), ("folder", "c")):  # the first file of "b" is half of it
        line = Line(hub.port, hold=4 * MIB)
        with disk(100) as folder, tempfile.TemporaryDirectory() as elsewhere:
            store = Store(folder if what == "store" else elsewhere, line.url)
            target = f"{folder if what == 'folder' else elsewhere}/{model}"
            command = [*store.command(model, model), "--connections", "1", *(["--max-rate", "12Mi"] if what == "store" else [])]
            command[3] = target
            first = scenario.end_with_us(subprocess.Popen(command, env=store.environment, text=True, stdout=subprocess.PIPE,
                                                          stderr=subprocess.PIPE))
            wait_for("the first files", lambda: line.passed > 4 * MIB or first.poll() is not None)
            assert first.poll() is None, first.communicate()
            subprocess.run(["umount", "-l", folder], check=True)
            line.release()
            _, errors = first.communicate(timeout=scenario.DEADLINE)
            assert first.returncode == 1 and "mount its disk again" in errors and "\n" not in errors.strip(), errors
            assert not os.listdir(folder), f"{os.listdir(folder)} on the disk below"
            subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)  # for who takes it away
        if what == "store":
            assert line.passed < 30 * MIB, f"{line.passed} bytes for a store that is not there"
        line.close()


def removed(disk, hub, models):
    """What is removed on the disk where it was is made again: that is what was asked for."""
    line = Line(hub.port, hold=4 * MIB)
    with disk(100) as folder:
        store = Store(folder, line.url)
        first = store.start("c", "c", "--connections", "1")
        wait_for("the first files", lambda: line.passed > 4 * MIB or first.poll() is not None)
        os.rmdir(folder + "/c")
        line.release()
        _, errors = first.communicate(timeout=scenario.DEADLINE)
        assert first.returncode == 0, errors
        check_files(folder + "/c", models["c"])
    line.close()


def main():
    if sys.argv[1:] != ["inside"]:
        if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
            scenario.skip("this machine lets nobody mount a small disk (unshare -rm)")
        os.execvp("unshare", ["unshare", "-rm", sys.executable, "-B", __file__, "inside"])
    with scenario.scratch() as folder:
        disk = scenario.small_disks(folder + "/disk")
        models = make_models(folder + "/hub")
        hub = Hub(folder + "/hub")
        too_small(disk, hub)
        reserved(disk, hub, models)
        collected(disk, hub, models)
        copies(disk, hub, models)
        filled(disk, hub, models)
        taken_away(disk, hub, models)
        removed(disk, hub, models)
        hub.stop()
    print("refused with numbers, reserved, collected, and gone on with after the disk was full, nothing where a disk was")


main()
