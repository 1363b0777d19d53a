"""The least time that a client can take which verifies what it fetches, on this machine and beside this server.

Every byte has to be sent, received, written and hashed, and each of these costs processor time that no program is spared.
Their sum over all processors is a bound, and so is the longest of those that one processor does alone.  Programs that do
not hash have a bound of their own."""

import collections
import hashlib
import os
import resource
import shutil
import statistics

from measure import MIB, measure, size_text

BLOCK = 256 << 10
Limit = collections.namedtuple("Limit", "verified unverified")


def seconds_of(work):
    """Processor seconds of this process for WORK."""
    used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    before = used()
    work()
    return used() - before


def hash_blocks(size):
    digest, block = hashlib.sha256(), os.urandom(BLOCK)  # it stays in the cache: nothing but the hash is measured
    for _ in range(size // BLOCK):
        digest.update(block)


def write_blocks(path, size):
    block = os.urandom(BLOCK)
    with open(path, "wb", buffering=0) as out:
        for _ in range(size // BLOCK):
            out.write(block)
    os.unlink(path)


def limit_of(server, title, receive, env, size, rounds):
    """RECEIVE: a command that fetches the SIZE bytes from SERVER and throws them away."""
    runs = [measure(server, receive, server.folder + "/target", env) for _ in range(rounds)]
    median = lambda work: statistics.median(seconds_of(work) for _ in range(3))
    sent, received = statistics.median(r.server for r in runs), statistics.median(r.client for r in runs)
    hashed = median(lambda: hash_blocks(size))
    written = median(lambda: write_blocks(server.folder + "/target/f", size))
    cpus = len(os.sched_getaffinity(0))
    moved = sent + received + written
    limit = Limit(max((moved + hashed) / cpus, hashed), moved / cpus)
    shutil.rmtree(server.folder + "/target", ignore_errors=True)
    print(f"\nprocessor time that {title} cannot be had without, in seconds, of {cpus} processors")
    print(f"  server sends {sent:.2f} + receive to /dev/null {received:.2f} + write {written:.2f} + SHA-256 {hashed:.2f} "
          f"({size / MIB / hashed:.0f} MiB/s)")
    print(f"  a client that verifies takes {limit.verified:.2f} s at least, one that does not {limit.unverified:.2f} s", flush=True)
    return limit
