#!/usr/bin/env python3
"""`ome push` to a repository of the Hub: a double takes what huggingface_hub sends first, then the same from us."""

import os
import subprocess
import sys

import peers
from scenario import DEADLINE, NO_HOME, OME, scratch, write_files

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("huggingface_hub")
    os.execv(python, [python, "-B", *sys.argv])

os.environ["HF_HUB_DISABLE_XET"] = "1"
from huggingface_hub import HfApi  # noqa: E402
from writable_hub import TOKEN, WritableHub  # noqa: E402

MIB = 1 << 20
FILES = {"config.json": b'{"model_type": "llama"}', "empty": b"", "deep/a b&é.txt": b"x",
         "model.safetensors": os.urandom(3 * MIB + 5), "report.json": os.urandom(2 * MIB)}


def ome(hub, *args, token=TOKEN):
    done = subprocess.run([OME, "push", *args, "-o", "json"], capture_output=True, text=True, timeout=DEADLINE,
                          env=dict(os.environ, HF_ENDPOINT=hub.url, HF_TOKEN=token, HOME=NO_HOME))
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stderr


def main():
    with scratch() as folder:
        model = folder + "/model"
        write_files(model, FILES)
        hub = WritableHub({"acme/theirs", "acme/ours"})
        HfApi(endpoint=hub.url, token=TOKEN).upload_folder(repo_id="acme/theirs", folder_path=model, path_in_repo="v1")
        assert hub.below("acme/theirs", "v1/") == FILES, "the double does not understand the client"
        theirs = {path: lfs for (repo, path), (_, lfs) in hub.files.items() if repo == "acme/theirs"}
        print("ok huggingface_hub and the double agree", flush=True)
        hub.objects.clear()

        code, errors = ome(hub, model, "hf://acme/ours/v1")
        assert code == 0 and hub.below("acme/ours", "v1/") == FILES, errors
        ours = {path: lfs for (repo, path), (_, lfs) in hub.files.items() if repo == "acme/ours"}
        assert ours == theirs and any(ours.values()) and not all(ours.values()), "what goes to LFS is the hub's to say"
        before = len(hub.commits)
        code, errors = ome(hub, model, "hf://acme/ours/v1")
        assert code == 0 and len(hub.commits) == before, "what is there was committed again"
        print("ok every file, once", flush=True)

        for uri, token, more, words in (("hf://acme/ours/x", "hf_wrong", None, ("acme/ours", "token is not valid")),
                                        ("hf://acme/absent", TOKEN, None, ("acme/absent", "no such model")),
                                        ("hf://acme/ours/y", TOKEN, "k.secret", ("k.secret", ".gitignore"))):
            if more:
                write_files(folder + "/more", {more: b"1"})
            code, errors = ome(hub, folder + "/more" if more else model, uri, token=token)
            assert code == 1 and all(word in errors for word in words), (uri, errors)
        print("ok refusals", flush=True)


main()
