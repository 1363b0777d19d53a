"""`ome pull` and `ome push` of one storage plugin against a server of a test, with nothing of this machine's identities."""

import hashlib
import os
import subprocess

from scenario import DEADLINE, NO_HOME, OME, check_files, plugins_conf


def sums(contents):
    return {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}


class Puller:
    """The plugin NAME in FOLDER; a subclass says what its settings usually are.

    uri, model   what is pulled unless a test says otherwise, and what it holds
    hidden       beginnings of environment variables that are this machine's
    secrets      what may never be printed"""

    name, uri, model, hidden, secrets = "", "", {}, (), ()

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.count, self.conf = folder, 0, None

    def settings(self):
        return {}

    def plugins(self, name, **more):
        """A plugins.conf with the usual settings and MORE, without those that are None."""
        settings = {k: v for k, v in {**self.settings(), **more}.items() if v is not None}
        return plugins_conf(f"{self.folder}/{name}", "storage-" + self.name, **{self.name: settings})

    def command(self, verb, *args, conf=None, before=(), **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(tuple(self.hidden))}
        return {"args": [*before, OME, verb, *args, "--plugins", conf or self.conf, "-o", "json"], "text": True,
                "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**clean, "HOME": NO_HOME, **environment}}

    def ome(self, *args, **more):
        done = subprocess.run(timeout=DEADLINE, check=False, **self.command(*args, **more))
        for secret in self.secrets:
            assert secret not in done.stdout + done.stderr, f"{secret} was printed: {done.stderr}"
        return done.returncode, done.stderr

    def pull(self, uri=None, *options, contents=None, digests=None, **more):
        self.count += 1
        target = f"{self.folder}/pulled-{self.count}"
        code, errors = self.ome("pull", uri or self.uri, target, *options, **more)
        assert code == 0, errors
        check_files(target, digests or sums(self.model if contents is None else contents))

    def refused(self, *words, uri=None, options=(), **more):
        self.count += 1
        code, errors = self.ome("pull", uri or self.uri, f"{self.folder}/refused-{self.count}", *options, **more)
        assert code == 1 and all(w in errors for w in words), errors
