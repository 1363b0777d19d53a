#!/usr/bin/env python3
"""How light `ome up` is: time from exec of an empty data folder to the first answered request, resident memory and
processor use when idle. Prints medians; asserts nothing.

usage: footprint.py [RUNS] [IDLE_SECONDS]
"""

import os
import ssl
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scenario"))
import scenario  # noqa: E402


def cold_start(folder):
    platform = scenario.Platform(folder)
    began = time.monotonic()
    platform.process = subprocess.Popen(platform.command(), env=platform.env, stderr=subprocess.PIPE, text=True)
    while True:
        try:
            if platform.raw("GET", "/apis/ome.io/v1beta1/clusterbasemodels")[0] == 200:
                break
        except (OSError, ssl.SSLError, FileNotFoundError, AttributeError):
            pass
        time.sleep(0.001)
    return platform, (time.monotonic() - began) * 1000


def resident_mib(pid):
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    idle = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    times = []
    for number in range(runs):
        with scenario.scratch() as folder:
            platform, ms = cold_start(folder)
            times.append(ms)
            if number == runs - 1:
                time.sleep(2)
                before = cpu_seconds(platform.process.pid)
                time.sleep(idle)
                used = cpu_seconds(platform.process.pid) - before
                rss = resident_mib(platform.process.pid)
            platform.stop()
    print(f"cold start to first answer: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {runs}")
    print(f"idle: {rss:.1f} MiB resident, {used / idle * 100:.2f} % of a core over {idle:.0f} s")


if __name__ == "__main__":
    main()
