#!/usr/bin/env python3
"""`ome push` and the `local` plugin: round trips, what is there already, hostile links and names, claims."""

import json
import os
import subprocess

from scenario import DEADLINE, OME, digests_below, plugins_conf, scratch

MIB = 1 << 20


def make_model(folder):
    contents = {"config.json": b'{"model_type": "llama"}', "empty": b"", "deep/er/small.bin": os.urandom(1000),
                "deep/a name with blanks & more.txt": b"x", "model.safetensors": os.urandom(5 * MIB + 3)}
    for path, data in contents.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as out:
            out.write(data)
    return digests_below(folder)


def ome(verb, *args):
    """Exit code, events and standard error of one `ome push` or `ome pull`."""
    done = subprocess.run([OME, verb, *args, "-o", "json"], capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def round_trip(folder, digests):
    model, store, back = (os.path.join(folder, name) for name in ("model", "store/made/here", "back"))
    with open(os.path.join(model, ".hidden"), "w") as out:
        out.write("stays here")
    code, events, errors = ome("push", model, "local://" + store)
    assert code == 0 and events[-1]["event"] == "done", errors
    assert [e["event"] for e in events].count("file") == len(digests), events
    assert digests_below(store) == digests, "other bytes arrived, or what is hidden, or temporary files"
    code, events, errors = ome("pull", "local://" + store, back)
    assert code == 0, errors
    assert digests_below(back) == digests
    os.remove(os.path.join(model, ".hidden"))


def only_what_is_new(folder, digests):
    model, store = os.path.join(folder, "model"), os.path.join(folder, "store/made/here")
    code, events, errors = ome("push", model, "local://" + store)
    assert code == 0 and events[-1]["event"] == "done", errors
    assert "file" not in [e["event"] for e in events], "what is there was sent again"
    with open(os.path.join(store, "model.safetensors"), "r+b") as damaged:
        damaged.write(b"damage")
    code, events, errors = ome("push", model, "local://" + store)
    assert code == 0 and [e["message"] for e in events if e["event"] == "file"] == ["model.safetensors"], events
    assert digests_below(store) == digests


def some(folder, digests):
    model, store = os.path.join(folder, "model"), os.path.join(folder, "some")
    code, _, errors = ome("push", model, "file://" + store, "--include", "*.json", "--include", "deep/*", "--exclude",
                          "*small*")
    assert code == 0, errors
    assert sorted(digests_below(store)) == ["config.json", "deep/a name with blanks & more.txt"]
    code, _, errors = ome("push", os.path.join(model, "config.json"), "file://" + store + "/one")
    assert code == 0, errors
    assert digests_below(store + "/one") == {"config.json": digests["config.json"]}
    code, _, errors = ome("push", model, "file://" + store, "--include", "nothing")
    assert code == 1 and "nothing to push" in errors, errors


def links(folder, digests):
    """A hub cache's links are followed; links to folders are not; circles and dangling ones are named."""
    cache = os.path.join(folder, "cache")
    os.makedirs(cache + "/snapshot")
    os.symlink("../../model/config.json", cache + "/snapshot/config.json")
    os.symlink("../snapshot", cache + "/snapshot/again")
    code, _, errors = ome("pull", "local://" + cache + "/snapshot", folder + "/followed")
    assert code == 0, errors
    assert digests_below(folder + "/followed") == {"config.json": digests["config.json"]}
    os.symlink("loop", cache + "/snapshot/loop")
    code, _, errors = ome("pull", "local://" + cache + "/snapshot", folder + "/loop")
    assert code == 1 and "snapshot/loop" in errors and "circles" in errors, errors
    os.remove(cache + "/snapshot/loop")
    os.symlink("gone", cache + "/snapshot/dangling")
    code, _, errors = ome("pull", "local://" + cache + "/snapshot", folder + "/dangling")
    assert code == 1 and "snapshot/dangling" in errors, errors
    os.remove(cache + "/snapshot/dangling")
    with open(cache + "/snapshot/two\nlines", "w") as out:
        out.write("hostile")
    code, _, errors = ome("pull", "local://" + cache + "/snapshot", folder + "/hostile")
    assert code == 1 and errors.count("\n") == 1, errors
    # Writing does not go through a link either.
    os.makedirs(folder + "/outside")
    os.makedirs(folder + "/linked")
    os.symlink("../outside", folder + "/linked/deep")
    code, _, errors = ome("push", os.path.join(folder, "model"), "local://" + folder + "/linked")
    assert code == 1 and "deep/" in errors, errors
    assert os.listdir(folder + "/outside") == []


def claims(folder, digests):
    root = os.path.join(folder, "claims")
    os.makedirs(root + "/space/models")
    os.makedirs(root + "/plain")
    conf = plugins_conf(folder + "/plugins.conf", "storage-local", local={"pvc_root": root})
    model = os.path.join(folder, "model")
    for uri, where in (("pvc://space:models/weights/v1", "space/models/weights/v1"), ("pvc://plain/w", "plain/w")):
        code, _, errors = ome("push", model, uri, "--plugins", conf)
        assert code == 0, errors
        assert digests_below(os.path.join(root, where)) == digests
        code, _, errors = ome("pull", uri, os.path.join(folder, "from", where), "--plugins", conf)
        assert code == 0, errors
        assert digests_below(os.path.join(folder, "from", where)) == digests
    # What a claim holds leads nowhere else.
    secret = os.path.join(folder, "secret")
    with open(secret, "w") as out:
        out.write("the node's")
    for target in (secret, "../../../secret", "../" * 30 + secret):
        os.makedirs(root + "/plain/evil", exist_ok=True)
        os.symlink(target, root + "/plain/evil/weights")
        code, _, errors = ome("pull", "pvc://plain/evil", folder + "/evil", "--plugins", conf)
        assert code == 1 and "evil/weights" in errors, errors
        os.remove(root + "/plain/evil/weights")
    os.symlink("/etc", root + "/plain/etc")
    code, _, errors = ome("pull", "pvc://plain/etc", folder + "/evil", "--plugins", conf)
    assert code == 1, "a claim's link led out"
    os.symlink("/w/config.json", root + "/plain/evil/inside")  # as a container with the claim for its root sees it
    code, _, errors = ome("pull", "pvc://plain/evil", folder + "/inside", "--plugins", conf)
    assert code == 0, errors
    assert digests_below(folder + "/inside") == {"inside": digests["config.json"]}
    for uri in ("pvc://plain", "pvc://plain/", "pvc://../x", "pvc://a:b:c/x", "pvc://UPPER/x", "pvc://plain/../x"):
        code, _, errors = ome("pull", uri, folder + "/refused", "--plugins", conf)
        assert code == 1 and "pvc://[NAMESPACE:]CLAIM/PATH" in errors, (uri, errors)


def refusals(folder):
    code, _, errors = ome("push", folder + "/absent", "local://" + folder + "/x")
    assert code == 1 and folder + "/absent" in errors, errors
    code, _, errors = ome("push", folder + "/model", "http://127.0.0.1:1/b")
    assert code == 1 and errors, errors
    code, _, errors = ome("push", folder + "/model", "nowhere://a/b")
    assert code == 1 and "nowhere" in errors and "local://" in errors, errors
    code, _, errors = ome("pull", "local://" + folder + "/absent", folder + "/x")
    assert code == 1 and "absent" in errors, errors


def main():
    with scratch() as folder:
        digests = make_model(os.path.join(folder, "model"))
        round_trip(folder, digests)
        only_what_is_new(folder, digests)
        some(folder, digests)
        links(folder, digests)
        claims(folder, digests)
        refusals(folder)
    print("push: ok")


if __name__ == "__main__":
    main()
