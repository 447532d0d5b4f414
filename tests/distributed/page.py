"""Runs the Python programs of docs/beyond-one-machine.md, which must print what stands below them.

    page.py dask|spark

Needs what `shards.py` needs.
"""

import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import apsw

import fafcas
from nodes import LIMIT_S, PAGE, Process, commands

NOTES = [
    ("fact", "With a write-ahead log, queries go on while one connection appends."),
    ("recipe", "Yeast turns sugar into gas, which makes the dough rise."),
    ("fact", "The moon pulls the sea into two bulges."),
    ("recipe", "Salt the water before the noodles go in."),
]


def programs():
    """The page's programs, each with what it prints."""
    blocks = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    texts = [block.partition("\n")[2] for block in blocks]
    kinds = [block.partition("\n")[0] for block in blocks]
    below = [*zip(kinds, texts), ("", "")][1:]
    return [(text, printed if what == "text" else "")
            for kind, text, (what, printed) in zip(kinds, texts, below) if kind == "python"]


def on_several_machines(folder):
    """The scheduler and the workers of the page, each a process of its own."""
    from distributed import Client

    from fafcas.dask import Shards

    with ExitStack() as stack:
        started = commands("dask")
        for name, command in zip(("scheduler", "worker"), started):
            process = Process(folder, name, [sys.executable, "-m", *command])
            stack.callback(process.kill)
        client = stack.enter_context(Client(started[1][2], timeout=LIMIT_S))
        client.wait_for_workers(1, timeout=LIMIT_S)
        found = Shards(folder / "notes.shards", client).search("why are there tides", 1, columns=["body"])
        assert "moon" in found[0].columns["body"], found


def main(engine):
    wanted = ("shards.split", f"fafcas.{engine}")
    found = [(program, printed) for program, printed in programs() if any(word in program for word in wanted)]
    assert len(found) == 2, found
    with tempfile.TemporaryDirectory() as folder:
        with closing(apsw.Connection(f"{folder}/notes.db")) as connection:
            fafcas.load(connection)
            connection.execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, kind TEXT, body TEXT, embedding BLOB)")
            connection.executemany("INSERT INTO notes(kind, body, embedding) VALUES (?1, ?2, embed(?2))", NOTES)
        for program, printed in found:
            file = Path(folder, "program.py")
            file.write_text(program, encoding="utf-8")
            ran = subprocess.run([sys.executable, file], cwd=folder, text=True, capture_output=True, check=False)
            assert ran.returncode == 0 and ran.stdout == printed, f"{program}\nprinted\n{ran.stdout}{ran.stderr}"
        if engine == "dask":
            on_several_machines(Path(folder))
    print(f"the page's programs on {engine} print what it says")


if __name__ == "__main__":
    main(sys.argv[1])
