"""Time and memory of each stage in the life of a database: `make profile DB=file`.

It works on a copy of the file, so that nothing of it changes. Each stage is a row of the table and a bar of the picture:
`wall` and `cpu` are milliseconds, `resident` is the memory of the process after the stage and `pages` what SQLite's page cache has of
it, in MB. `read` and `written` are MB that the process asked the system for, also where the system had them in memory. `waits` says
how often a lock was waited for.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import matplotlib
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from fafcas.kit import source as sources  # noqa: E402

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

MB = 1 << 20
ROWS = 1000


class Stage(NamedTuple):
    """What one stage took, and what the process has after it."""

    name: str
    wall: float
    cpu: float
    resident: float
    pages: float
    read: float
    written: float
    waits: int


class Profile:
    """One process, one connection, and what it has done so far."""

    def __init__(self, path: Path, library: str) -> None:
        self.path, self.library = path, library
        self.process = psutil.Process()
        self.connection: Any = None
        self.waits = 0
        self.stages: list[Stage] = []

    def stage(self, name: str, work: Callable[[], object]) -> None:
        """Runs one stage. If it cannot run here, a line says why."""
        before, waits = self.bytes(), self.waits
        start, cpu = time.perf_counter(), time.process_time()
        try:
            work()
        except apsw.Error as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            return
        wall, cpu = (time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3
        read, written = (after - earlier for after, earlier in zip(self.bytes(), before, strict=True))
        pages = self.connection.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0]
        resident = self.process.memory_info().rss
        self.stages.append(Stage(name, wall, cpu, resident / MB, pages / MB, read / MB, written / MB, self.waits - waits))

    def bytes(self) -> tuple[int, int]:
        """Bytes that the process has read and written; 0 where the system does not tell."""
        if not hasattr(self.process, "io_counters"):
            return 0, 0
        counters = self.process.io_counters()
        return getattr(counters, "read_chars", counters.read_bytes), getattr(counters, "write_chars", counters.write_bytes)

    def open(self) -> None:
        """The connection, with the library. Each try to get a lock is counted."""
        self.connection = apsw.Connection(str(self.path))
        self.connection.enable_load_extension(True)
        self.connection.load_extension(self.library)
        self.connection.set_busy_handler(self.wait)
        self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()

    def wait(self, tries: int) -> bool:
        """SQLite's busy handler: waits for five seconds in all."""
        self.waits += 1
        time.sleep(0.01)
        return tries < 500

    def run(self, sql: str, *values: object) -> None:
        """A statement to its end."""
        self.connection.execute(sql, values).fetchall()


def profile(path: Path, library: str, table: str | None, column: str | None) -> list[Stage]:
    """All stages, on a file that may be changed."""
    life = Profile(path, library)
    life.stage("opening", life.open)
    db = life.connection
    found = [sources.find(db, table, column)] if table else sources.sources(db)
    source = next((source for source in found if source.vectors), None)
    if source is None:
        sys.exit(f"{path.name}: expected a column of vectors, not none: say TABLE= and COLUMN=")
    name, quoted = sources.path_of(source.table), '"' + source.vectors.replace('"', '""') + '"'
    search = "SELECT rowid FROM vec_topk(?, ?, ?, 10)"
    queries = [row[0] for row in db.execute(f"SELECT {quoted} FROM {name} WHERE {quoted} IS NOT NULL LIMIT {ROWS + 1}")]

    def ask(at: int) -> None:
        life.run(search, name, source.vectors, queries[at % len(queries)])

    life.stage("first search", lambda: ask(0))
    life.stage(f"{ROWS - 2} searches", lambda: [ask(at) for at in range(1, ROWS - 1)])
    life.stage("thousandth search", lambda: ask(ROWS))
    life.stage("first embedding", lambda: life.run("SELECT embed('how do readers and writers coexist')"))
    some = f"SELECT rowid FROM {name} WHERE {quoted} IS NOT NULL LIMIT {ROWS}"
    # The vector that points the other way: SQLite would not write a value that is as before.
    rewrite = f"UPDATE {name} SET {quoted} = vec_sub({quoted}, vec_add({quoted}, {quoted})) WHERE rowid IN ({some})"
    life.stage(f"{ROWS} rows written", lambda: life.run(rewrite))
    life.stage("search after it", lambda: ask(1))
    index = indexed(db, source.table)
    if index:
        life.stage("merge", lambda: life.run(f"INSERT INTO {index}({index}) VALUES ('merge')"))
    life.stage("map", lambda: life.run("SELECT count(*) FROM vec_map(?, ?)", name, source.vectors))
    db.close()
    return life.stages


def indexed(db: Any, table: str) -> str | None:
    """The name of an index of the table, in quotes."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? AND name LIKE '%\\_update' ESCAPE '\\' AND sql LIKE '%pending%'"
    row = db.execute(sql, (table,)).fetchone()
    return '"' + row[0].removesuffix("_update").replace('"', '""') + '"' if row else None


def show(stages: list[Stage]) -> None:
    """The table."""
    print(f"{'stage':20}" + "".join(f"{name:>10}" for name in Stage._fields[1:]))
    for name, *numbers, waits in stages:
        print(f"{name:20}" + "".join(f"{number:10.1f}" for number in numbers) + f"{waits:10}")


def draw(stages: list[Stage], path: Path) -> None:
    """The picture: milliseconds and memory of each stage."""
    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    names = [stage.name for stage in stages][::-1]
    times.barh(names, [stage.wall for stage in stages][::-1])
    times.set(xscale="log", xlabel="milliseconds")
    memory.barh(names, [stage.resident for stage in stages][::-1], label="resident")
    memory.barh(names, [stage.pages for stage in stages][::-1], label="page cache")
    memory.set(xlabel="MB after the stage")
    memory.legend()
    figure.savefig(path)


def main() -> None:
    """Copies the file, and profiles the copy."""
    parser = argparse.ArgumentParser(description="Time and memory of each stage in the life of a database.")
    parser.add_argument("library")
    parser.add_argument("database", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--table")
    parser.add_argument("--column")
    given = parser.parse_args()
    if not given.database.is_file():
        sys.exit(f"{given.database}: expected a database, not nothing")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / given.database.name
        with apsw.Connection(str(given.database), flags=apsw.SQLITE_OPEN_READONLY) as original, apsw.Connection(str(copy)) as target:
            with target.backup("main", original, "main") as backup:
                backup.step()
        stages = profile(copy, given.library, given.table, given.column)
    show(stages)
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    draw(stages, given.picture)
    print(f"picture: {given.picture}")


if __name__ == "__main__":
    main()
