"""OME v0.1.5's choice of a runtime, written anew from its rules: what ours is compared with.

choose(model, runtimes, ns) is (winner, why): the name or None, and "" or the defect of OME's that takes part in this
choice, where ours is meant to differ (docs/selection.md)."""

import functools
import re

NUMBER = re.compile(r"0|[1-9][0-9]*")


def parse_version(text):
    """((major, minor, patch), (pre, build, dev), prefixed, precision), or None."""
    parts = text.split(".", 2)
    prefixed = parts[0].startswith("v")
    parts[0] = parts[0][1:] if prefixed else parts[0]
    tails = [[], [], []]
    if len(parts) == 3:
        for i, mark in ((1, "+"), (0, "-"), (2, ".")):
            parts[2], found, tail = parts[2].partition(mark)
            tails[i] = tail.split(".") if found else []
    if not all(NUMBER.fullmatch(p) for p in parts) or any(not t for tail in tails for t in tail):
        return None
    numbers = [int(p) for p in parts]
    return (tuple(numbers + [0] * (3 - len(parts))), tuple(map(tuple, tails)), prefixed, len(parts))


def version_matches(runtime, op, model):
    r, m = parse_version(runtime), parse_version(model)
    if r is None or m is None:
        return False
    order = ((r[0], r[1]) > (m[0], m[1])) - ((r[0], r[1]) < (m[0], m[1]))
    if any(r[1]) or any(m[1]) or op == "Equal":
        return order == 0
    if r[2:] != m[2:]:
        return False
    return {"GreaterThan": order > 0, "GreaterThanOrEqual": order >= 0}.get(op, order == 0)


def versions_agree(entry, model):
    have, want = model.get("version"), entry.get("version")
    if bool(have) != bool(want):
        return False
    return not have or version_matches(want, entry.get("operator", "Equal"), have)


def entry_matches(entry, spec):
    for key in ("modelArchitecture", "quantization"):
        if entry.get(key, "") != spec.get(key, ""):
            return False
    if entry["modelFormat"]["name"] != spec["modelFormat"]["name"]:
        return False
    if not versions_agree(entry["modelFormat"], spec["modelFormat"]):
        return False
    mine, theirs = entry.get("modelFramework"), spec.get("modelFramework")
    if bool(mine) != bool(theirs):
        return False
    return not mine or (mine["name"] == theirs["name"] and versions_agree(mine, theirs))


def size(text):
    return float(text[:-1]) * {"T": 1e12, "B": 1e9, "M": 1e6}[text[-1]]


def part(entry, model):
    """(does it match, its weight) of a format or a framework; None: it ends the score."""
    if not entry or not model:
        return False, 0
    if entry["name"] != model["name"]:
        return None
    both = entry.get("version") and model.get("version")
    if both and not version_matches(entry["version"], entry.get("operator", "Equal"), model["version"]):
        return None
    return True, entry.get("weight", 1)


def format_score(entry, spec):
    fmt = part(entry["modelFormat"], spec["modelFormat"])
    framework = part(entry.get("modelFramework"), spec.get("modelFramework"))
    if fmt is None or framework is None:
        return 0
    if not framework[0] and (entry.get("modelFramework") or spec.get("modelFramework")):
        return 0
    return (fmt[1] + framework[1]) * entry.get("priority", 1)


def candidate(runtime, spec):
    """(score, distance) by OME's rules, and the score by the entries that match; None: it is none."""
    r = runtime["spec"]
    entries = r["supportedModelFormats"]
    matching = [e for e in entries if entry_matches(e, spec)]
    if r.get("disabled") or not matching:
        return None
    distance, bounds = 0, r.get("modelSizeRange")
    if bounds and spec.get("modelParameterSize"):
        n, low, high = size(spec["modelParameterSize"]), size(bounds["min"]), size(bounds["max"])
        if not low <= n <= high:
            return None
        distance = int(abs(low - n) + abs(high - n))
    if not any(e.get("autoSelect") for e in entries):
        return None
    allowed = [e for e in entries if e.get("autoSelect") is not False]
    score = max((format_score(e, spec) for e in allowed), default=0)
    intended = max((format_score(e, spec) for e in allowed if e in matching), default=0)
    return score, distance, intended


def choose(model, runtimes, ns):
    spec = model["spec"]
    scopes, defect = ([], []), ""
    for r in runtimes:
        c = candidate(r, spec)
        if c is None:
            continue
        if c[0] != c[2]:
            defect = "an entry that does not match lifts the score"
        if c[0] > 0 and (r["kind"] == "ClusterServingRuntime" or r["metadata"]["namespace"] == ns):
            scopes[r["kind"] == "ClusterServingRuntime"].append((c, r))

    def before(a, b):
        (x, r), (y, s) = a, b
        if x[0] != y[0]:
            return y[0] - x[0]
        if x[1] != y[1]:
            return x[1] - y[1]
        return -1 if r["metadata"]["name"] < s["metadata"]["name"] else 1

    ranked = [c for scope in scopes for c in sorted(scope, key=functools.cmp_to_key(before))]
    if not ranked:
        return None, defect
    best = ranked[0]
    rivals = [r for c, r in ranked if c[0] == best[0][0] and r["kind"] == best[1]["kind"]]
    if spec.get("modelParameterSize") and len({bool(r["spec"].get("modelSizeRange")) for r in rivals}) > 1:
        defect = defect or "no size range is closer than any"
    return best[1]["metadata"]["name"], defect
