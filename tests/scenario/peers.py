"""Servers and clients of other projects that scenarios stand ours against.  `./dev test` installs them (the lists at the
head of `dev`); where a test is run without, it is skipped and says what is missing."""

import os
import shutil
import sys

ROOT = os.path.join(os.environ.get("OME_HOME", os.getcwd()), ".ome/peers")
PYTHON = os.path.join(ROOT, "venv/bin/python")
NODE_MODULES = os.path.join(ROOT, "node_modules")
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def missing(what):
    """Ends the test as skipped; where everything has to be there, as failed."""
    if os.environ.get("OME_PEERS_REQUIRED"):
        sys.exit(f"{what} is not installed; `./dev test` should have done it")
    print(f"skipped: {what} is not installed; ./dev test installs it")
    sys.exit(77)


def program(name):
    """Path of a program: of a wheel, of a Debian package."""
    path = shutil.which(name, path=os.path.join(ROOT, "venv/bin") + ":" + SYSTEM_PATH)
    return path or missing(name)


def python(*modules):
    """The interpreter that has these wheels."""
    site = os.path.join(ROOT, "venv/lib")
    folders = [os.path.join(site, v, "site-packages") for v in os.listdir(site)] if os.path.isdir(site) else []
    for module in modules:
        if not any(os.path.isdir(os.path.join(f, module)) for f in folders):
            missing("the wheel " + module)
    return PYTHON


def node(*modules):
    """Environment for `node` scripts that import these npm modules."""
    for module in modules:
        if not os.path.isdir(os.path.join(NODE_MODULES, module)):
            missing("the npm module " + module)
    program("node")
    return dict(os.environ, NODE_PATH=NODE_MODULES)
