#!/usr/bin/env python3
"""Holds the sources to CONTRIBUTING.md: functions of at most 60 lines and 15 branches, files below 800 lines, no name for
two functions of the program. Exceptions, each with its reason, are in tests/limits.txt. Prints what breaks a limit; exit
1 then."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_LINES, MAX_BRANCHES, MAX_FILE = 60, 15, 800


def sources():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "host", "plugins", "sdk"], capture_output=True, text=True,
                            check=True).stdout.split("\n")
    return [name for name in listed if name.endswith((".c", ".h"))]


def exceptions():
    allowed = {}
    with open(os.path.join(ROOT, "tests/limits.txt"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                place, reason = line.split(None, 1)
                allowed[place] = reason.strip()
    return allowed


def functions(names):
    """(file, function, lines, branches) by pmccabe: its columns are complexity twice, statements, first line, lines,
    file(line) and name."""
    out = subprocess.run(["pmccabe", *names], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for row in out.splitlines():
        complexity, _, _, _, lines, place = row.split("\t")
        file, function = place.split("(", 1)[0], place.rsplit(" ", 1)[-1]
        yield file, function, int(lines), int(complexity)


def shared_names(names):
    """(name, files) of functions that several files of the program define for all of it. The linker takes the first such in
    the archives of the rooms, and says nothing."""
    files = {}
    for name in names:
        if not name.startswith(("host/", "sdk/conform/")) or not name.endswith(".c"):
            continue
        with open(os.path.join(ROOT, name), encoding="utf-8") as text:
            heads = re.findall(r"^(?!static |typedef |extern )[a-z_][\w *]*?\b(\w+)\([^;{}]*\) \{$", text.read(), re.M)
        for function in set(heads) - {"main"}:
            files.setdefault(function, []).append(name)
    return [(function, where) for function, where in sorted(files.items()) if len(where) > 1]


def main():
    names = sources()
    allowed = exceptions()
    used, broken = set(), []

    def check(place, value, limit, what):
        if value <= limit:
            return
        if place in allowed:
            used.add(place)
        else:
            broken.append(f"{place}: {value} {what}, at most {limit}")

    for file, function, lines, branches in functions([name for name in names if name.endswith(".c")]):
        place = f"{file}:{function.rstrip('()')}"
        check(place, lines, MAX_LINES, "lines")
        check(place, branches, MAX_BRANCHES, "branches")
    for name in names:
        with open(os.path.join(ROOT, name), encoding="utf-8") as text:
            check(name, sum(1 for _ in text), MAX_FILE, "lines in a file")
    broken += [f"{function}: defined in {' and '.join(where)}" for function, where in shared_names(names)]
    broken += [f"tests/limits.txt: {place} needs no exception any more" for place in sorted(set(allowed) - used)]
    print("\n".join(broken) if broken else f"{len(names)} files within their limits, {len(used)} exceptions")
    sys.exit(1 if broken else 0)


main()
