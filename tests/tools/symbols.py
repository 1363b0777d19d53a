#!/usr/bin/env python3
"""No two rooms define the same global name: the linker would take the first of two archives' without a word.

usage: symbols.py FOLDER     with host/ROOM/libhost_ROOM.a below it, as a build leaves them; exit 1 names what is there twice"""

import collections
import glob
import os
import subprocess
import sys


def main():
    archives = sorted(glob.glob(os.path.join(sys.argv[1], "host/*/libhost_*.a")))
    assert len(archives) > 10, archives
    defined = collections.defaultdict(set)
    for archive in archives:
        listed = subprocess.run(["nm", "--defined-only", "--extern-only", archive], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in "TDBR":
                defined[fields[2]].add(os.path.basename(archive))
    twice = {name: rooms for name, rooms in defined.items() if len(rooms) > 1}
    for name, rooms in sorted(twice.items()):
        print(f"{name}: defined in {' and '.join(sorted(rooms))}")
    if twice:
        sys.exit(1)
    print(f"{len(defined)} names of {len(archives)} rooms, each once")


main()
