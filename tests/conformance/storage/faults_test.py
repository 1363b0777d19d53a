#!/usr/bin/env python3
"""The storage suite finds each fault, with the check that is meant for it, and none where there is none."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile

FOUND_BY = {"unstable": "stable", "incomplete": "complete", "size": "bytes", "digest": "complete", "range": "ranges",
            "hostile": "hostile", "missing": "missing", "open": "denied", "secret": "denied", "deaf": "cancelled",
            "lossy": "upload", "partial": "stopped-upload"}
FILES = {"a.bin": b"a" * 100, "b.bin": b"", "deep/c.bin": b"c"}


def failed_checks(ome, plugin, sums):
    done = subprocess.run([ome, "plugin", "check", plugin, "--storage", "wrong://model", "--upload", "wrong://written",
                           "--wrong", "password=tell-nobody", "--expect", sums, "-o", "json"], capture_output=True,
                          text=True, timeout=120)
    results = json.loads(done.stdout)
    failed = [r["check"] for r in results if r["result"] == "FAIL"]
    assert done.returncode == (1 if failed else 0), done.stderr
    return failed, results


def main(ome, folder):
    with tempfile.NamedTemporaryFile("w") as sums:
        for path, data in FILES.items():
            sums.write(f"{hashlib.sha256(data).hexdigest()}  {path}\n")
        sums.flush()
        failed, results = failed_checks(ome, os.path.join(folder, "none.so"), sums.name)
        assert not failed and all(r["result"] == "pass" for r in results), results
        for fault, check in FOUND_BY.items():
            failed, results = failed_checks(ome, os.path.join(folder, fault + ".so"), sums.name)
            assert check in failed, f"{fault}: want {check} to fail, got {failed}"
    print(f"storage suite: {len(FOUND_BY)} faults found")


if __name__ == "__main__":
    main(*sys.argv[1:])
