"""`ome render` and `ome explain` against golden files, and against the announcement's and OME's own manifests.

Each folder beside this file is a case: input.yaml goes in; render.yaml, explain.json and problems.txt are what comes out.
The samples of each deployment mode are in manifests/samples, what comes out of them in samples/. Of OME's own samples
there are digests, in shared.txt: see with `ome render` on either side of a change what has become of an object.
`golden_test.py --update` writes them anew: read the difference before you commit it.

OME_SHARED_DIR (or ../shared beside the checkout) may hold samples/seed and samples/ome; without it that part is skipped.
"""

import hashlib
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.environ.get("OME_HOME", os.path.dirname(os.path.dirname(os.path.dirname(HERE))))
OME = os.environ.get("OME_BIN", os.path.join(HOME, "build/bin/ome"))
SHARED = os.environ.get("OME_SHARED_DIR", os.path.join(os.path.dirname(HOME), "shared"))
UPDATE = "--update" in sys.argv


def ome(*args):
    """Exit code, output and complaints of a run."""
    done = subprocess.run([OME, *args], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def compare(path, text):
    if UPDATE:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return
    with open(path, encoding="utf-8") as f:
        expected = f.read()
    assert text == expected, f"{path} differs; got:\n{text}"


def check_case(folder):
    source = ["-f", os.path.join(folder, "input.yaml")]
    code, rendered, complaints = ome("render", *source)
    assert ome("render", *source)[1] == rendered, "two runs differ"
    compare(os.path.join(folder, "render.yaml"), rendered)
    compare(os.path.join(folder, "problems.txt"), complaints)
    assert (code != 0) == any("warning" not in line for line in complaints.splitlines()), (code, complaints)
    _, explained, heard = ome("explain", *source, "-o", "json")
    compare(os.path.join(folder, "explain.json"), explained)
    # What is wrong with the documents themselves both say alike.
    said = [line for line in complaints.splitlines() if line.startswith("ome: render: input: ")]
    assert [line.replace("explain", "render", 1) for line in heard.splitlines() if ": input: " in line] == said, (heard, said)


def check_modes(folder):
    """One sample a deployment mode, and the objects it becomes."""
    names = sorted(os.listdir(folder))
    assert len(names) >= 10, names
    for name in names:
        source = ["-f", os.path.join(folder, name)]
        code, rendered, complaints = ome("render", *source)
        assert code == 0 and not complaints, (name, complaints)
        assert ome("render", *source)[1] == rendered, "two runs differ"
        compare(os.path.join(HERE, "samples", name), rendered)
        print("mode", name)


def digests(items):
    """A line for each object: its own words are their authors', so that here is only whether they are the same."""
    return "".join(f"{i['kind']} {i['metadata']['namespace']}/{i['metadata']['name']} "
                   f"{hashlib.sha256(json.dumps(i, sort_keys=True).encode()).hexdigest()[:16]}\n" for i in items)


def check_seed(folder):
    """The manifests of the announcement: the service gets the runtime that its author had in mind."""
    code, out, complaints = ome("explain", "-f", folder, "-o", "json")
    assert code == 0, complaints
    (record,) = json.loads(out)
    assert record["model"] == "llama-3-70b-instruct", record
    assert record["selected"]["runtime"] == "sglang-llama-70b", record
    assert record["selected"]["score"] == sum(t["points"] for t in record["candidates"][0]["terms"]), record
    # Its runtime has no container: that is said for engine and decoder, and nothing is rendered.
    code, out, complaints = ome("render", "-f", folder, "-o", "json")
    assert code == 1 and json.loads(out)["items"] == [], (code, out)
    assert complaints.count("no containers found") == 2, complaints


def choices(source):
    """The decision table: what every model gets, and what every service does."""
    lines = []
    for words in (["--matrix"], []):
        code, out, complaints = ome("explain", *words, *source, "-o", "json")
        assert code == 0, complaints
        for row in json.loads(out):
            assert row["reason"], row
            chosen = row if words else row["selected"] or {}
            name = row["model"] if words else f"{row['namespace']}/{row['name']}"
            lines.append("\t".join(str(v) for v in ("model" if words else "service", name, chosen.get("runtime") or "-",
                                                    chosen.get("score", 0), chosen.get("mode") or "-")))
    return "\n".join(lines) + "\n"


def check_samples(folder):
    """OME's own manifests: every object has a name, an owner label, and its one place; two runs give the same bytes."""
    source = [arg for part in ("models", "runtimes", "services") for arg in ("-f", os.path.join(folder, part))]
    _, out, complaints = ome("render", *source, "-o", "json")
    assert ome("render", *source, "-o", "json")[1] == out, "two runs differ"
    items = json.loads(out)["items"]
    assert len(items) > 40, complaints
    names = [(i["kind"], i["metadata"]["namespace"], i["metadata"]["name"]) for i in items]
    assert len(set(names)) == len(names)
    for item in items:
        assert item["metadata"]["labels"]["ome.io/inferenceservice"], item
    # None is of the documents: whatever of theirs goes on to pods is not called without effect.
    for line in complaints.splitlines():
        assert line.startswith("ome: render: InferenceService "), line
    compare(os.path.join(HERE, "shared.txt"), digests(items))
    compare(os.path.join(HERE, "shared-choices.tsv"), choices(source))


def main():
    cases = sorted(d for d in os.listdir(HERE) if os.path.isfile(os.path.join(HERE, d, "input.yaml")))
    assert cases, "no cases"
    for case in cases:
        check_case(os.path.join(HERE, case))
        print("case", case)
    check_modes(os.path.join(HOME, "manifests/samples"))
    if not os.path.isdir(os.path.join(SHARED, "samples")):
        print("SKIPPED: the samples are not here (OME_SHARED_DIR); the golden cases passed")
        sys.exit(77)
    check_seed(os.path.join(SHARED, "samples/seed"))
    check_samples(os.path.join(SHARED, "samples/ome"))
    print("the samples too")


if __name__ == "__main__":
    main()
