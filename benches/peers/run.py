"""Runs the systems beside each other: each in processes of its own, rounds interleaved, results written as they come.

Every line of the file of results is a JSON object. Lines of one run have its number; a later run of a part (`ONLY=`) is added, and
the record takes the newest of each part. What fails, or takes too long, has a line of its own, and the rest goes on. A part that ran
to its end has a line `done` for each system: the long form skips these when it is run again with the same versions.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import data
import measures
import numpy
import systems
from parts import Part, chosen, full, short

HERE = Path(__file__).resolve().parent


class Run:
    """One run: its file of results, its folder, and when it must end."""

    def __init__(self, results: Path, folder: Path, library: str, minutes: float, limit: float) -> None:
        self.results, self.folder, self.library = results, folder, library
        self.number, self.limit = int(time.time()), limit
        self.until = time.monotonic() + 60 * minutes
        self.known: dict[str, dict[str, Any]] = {}

    def write(self, **line: Any) -> None:
        """A result. What went wrong is told without the folders of the machine, as records are published."""
        if "why" in line:
            line["why"] = re.sub(r"/(?:[^\s/:'\"]+/)+", "", line["why"])
        with open(self.results, "a", encoding="utf-8") as file:
            file.write(json.dumps({"run": self.number, **line}) + "\n")

    def begin(self, long: bool) -> dict[str, str]:
        """The machine, and what can be imported of the systems. It gives the versions."""
        packages: dict[str, str] = {}
        for file in systems.FILES:
            lines, why = self.step("names", file, 120)
            for line in lines:
                self.known[line["system"]] = {**line, "file": file}
                packages[line["package"]] = version(line["package"])
            if why:
                self.write(kind="missing", system=file, why=why)
                print(f"{file}: LEFT OUT: {why}", flush=True)
        self.write(kind="machine", long=long, packages=packages, **machine())
        return packages

    def step(self, step: str, argument: str, limit: float) -> tuple[list[dict[str, Any]], str]:
        """A process: the lines that it wrote, and what went wrong, if anything did."""
        environment = {**os.environ, "FAFCAS_LIBRARY": self.library, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
        # Threads that wait let others work: where the machine has something else to do, FAISS trains twenty times as fast.
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
        if step != "build":
            environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with tempfile.TemporaryFile("w+", dir=self.folder) as said, tempfile.TemporaryFile("w+", dir=self.folder) as complained:
            command = [sys.executable, str(HERE), "worker", step, argument]
            why = ""
            try:
                code = subprocess.run(command, stdout=said, stderr=complained, env=environment, timeout=max(1, limit)).returncode
            except subprocess.TimeoutExpired:
                code, why = 0, f"not done after {limit:.0f} s"
            said.seek(0)
            complained.seek(0)
            lines = [json.loads(line) for line in said if line.startswith("{") and line.endswith("}\n")]
            if code:
                last = [line for line in complained.read().strip().splitlines() if line.strip()]
                why = last[-1][:300] if code > 0 and last else f"the process ended with {code}"
        return lines, why

    def left(self) -> float:
        """Seconds until the run must end."""
        return self.until - time.monotonic()

    def part(self, part: Part, names: list[str]) -> None:
        """One place on one axis. Building is not interleaved: it is slow, and done once."""
        self.expect_room(part, names)
        vectors = data.prepare(part.set, part.rows, self.folder.parent / "data", self.library)
        job = {
            "set": part.set,
            "vectors": str(vectors.path),
            "rows": part.rows,
            "k": part.k,
            "rounds": part.rounds,
            "seconds": part.seconds,
        }
        job |= {"below": part.below, "many": part.many, "connections": part.connections, "name": part.operation}
        place = {"axis": part.axis, "value": part.value, "set": part.set, "rows": part.rows, "dimensions": vectors.dimensions}
        print(f"== {part.axis} {part.value}: {part.rows:,} x {vectors.dimensions}, k = {part.k}", flush=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if part.operation:
                if self.order("operation", {**job, "folder": folder}, self.limit * 2, place):
                    self.write(kind="done", part=part.key(), system="fafcas", **place)
                return
            built = [line for name in names if (line := self.build(name, job, place, Path(folder), name in part.only))]
            truth = Truth(vectors, part.k) if not part.connections and not part.many else None
            took = 0.0
            for number in range(part.rounds):
                start = time.monotonic()
                if number and self.left() - took < part.reserve:
                    self.write(kind="missing", system="all", why=f"rounds after {number}, for the time of what follows", **place)
                    break
                for own in built if number % 2 == 0 else built[::-1]:
                    if part.connections:
                        self.order("connections", own, 120 + 5 * self.limit, {**place, "system": own["system"]})
                        continue
                    self.search({**own, "round": number}, place, truth)
                took = time.monotonic() - start
        if self.left() > 5:
            for name in names:
                self.write(kind="done", part=part.key(), system=name, **place)

    def expect_room(self, part: Part, names: list[str]) -> None:
        """The vectors, and for each system a file with them and what it adds. A search that finds the disk full measures nothing."""
        sets = 1.0 if part.operation else 1.4 * len(names)
        there = self.folder.parent / "data" / f"{part.set}.f32"
        needed = 4 * part.rows * data.dimensions(part.set) * (sets + 1) - (there.stat().st_size if there.exists() else 0)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise RuntimeError(f"expected {needed / 1e9:.0f} GB of free disk, not {free / 1e9:.0f}")

    def build(self, name: str, job: dict[str, Any], place: dict[str, Any], folder: Path, named: bool) -> dict[str, Any] | None:
        """What a system's later steps are told, if it could be built."""
        known = self.known[name]
        missing = "ask_filtered" if job["below"] else "ask_many" if job["many"] else ""
        if missing and missing not in known["can"]:
            return None
        own = {**job, "file": known["file"], "system": name, "folder": str(folder / str(len(list(folder.iterdir()))))}
        place = {**place, "system": name}
        if known["slow"] and not named:
            self.write(kind="missing", why=known["slow"], **place)
            return None
        if not self.order("build", own, self.limit, place):
            shutil.rmtree(own["folder"], ignore_errors=True)
            return None
        return own

    def order(self, step: str, job: dict[str, Any], limit: float, place: dict[str, Any]) -> bool:
        """A step whose lines are results as they are. Whether all of it was done."""
        Path(job["folder"]).mkdir(exist_ok=True)
        name = place.get("system", place["value"])
        if self.left() < 5:
            lines, why = [], "the time of the run was up"
        else:
            lines, why = self.step(step, json.dumps(job), min(limit, self.left()))
        for line in lines:
            self.write(**{**place, **line})
            numbers = ", ".join(f"{key} {number(value)}" for key, value in line.items() if key not in ("kind", "settings"))
            print(f"{name}: {line['kind']}: {numbers}", flush=True)
        if why:
            self.write(kind="missing", why=f"{step}: {why}", **place)
            print(f"{name}: {step}: LEFT OUT: {why}", flush=True)
        return not why

    def search(self, job: dict[str, Any], place: dict[str, Any], truth: "Truth | None") -> None:
        """A round of one system: all its points in a warm process, then the first query with nothing of its files in memory."""
        place = {**place, "system": job["system"], "round": job["round"]}
        steps = [{}] if job["many"] or job["below"] else [{}, {"cold": True}]
        for more in steps:
            (evict if more else read)(Path(job["folder"]))
            if self.left() < 5:
                lines, why = [], "the time of the run was up"
            else:
                lines, why = self.step("search", json.dumps({**job, **more}), min(self.limit, self.left()))
            for line in lines:
                if truth and "hits" in line:
                    line["recall"] = truth.recall(line.pop("hits"), line.get("below"))
                self.write(**{**place, **line})
                if line["kind"] == "search":
                    where = f"{line.get('point', '') or ''} {line.get('below', '')}".strip()
                    print(f"{job['system']} {where}: {line['p50']:.3f} ms, recall {line['recall']:.4f}", flush=True)
                if line["kind"] == "batch":
                    print(f"{job['system']}: {line['ms']:.4f} ms a query", flush=True)
            if why:
                self.write(kind="missing", why=f"search: {why}", **place)
                print(f"{job['system']}: search: LEFT OUT: {why}", flush=True)


class Truth:
    """The k-th exact score of each query, of all rows or of those that pass a filter, found when they are first asked for."""

    def __init__(self, vectors: data.Set, k: int) -> None:
        self.vectors, self.k, self.queries = vectors, k, vectors.queries()
        self.kept: dict[int | None, numpy.ndarray] = {}

    def bars(self, below: int | None) -> numpy.ndarray:
        """In blocks, as not all of a large set fits into memory."""
        if below not in self.kept:
            best = numpy.full((len(self.queries), 0), -numpy.inf, "f4")
            base, block = self.vectors.base(), 50_000
            parts = numpy.random.default_rng(11).permutation(len(base)) * 1000 // len(base)
            for at in range(0, len(base), block):
                rows = base[at : at + block]
                rows = rows if below is None else rows[parts[at : at + block] < below]
                best = numpy.hstack([best, self.queries @ rows.T])
                if best.shape[1] > self.k:
                    best = -numpy.partition(-best, self.k - 1, axis=1)[:, : self.k]
            self.kept[below] = best.min(axis=1)
        return self.kept[below]

    def recall(self, hits: list[tuple[int, list[int]]], below: int | None) -> float:
        """Of the queries that were asked."""
        base, bars = self.vectors.base(), self.bars(below)
        scores = [(base[sorted(set(rows))] @ self.queries[query]).tolist() for query, rows in hits]
        k = min(self.k, len(base) if below is None else -(-below * len(base) // 1000))
        return measures.recall(scores, [float(bars[query]) for query, _ in hits], k)


def number(value: Any) -> str:
    """For a person."""
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def read(folder: Path) -> None:
    """Brings the files of a system into the memory of the system. The round before has dropped them."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb", buffering=0) as content:
                while content.read(1 << 20):
                    pass


def evict(folder: Path) -> None:
    """Drops the files of a system from the memory of the system, as after a start of the machine."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def version(package: str) -> str:
    """As installed; of this repository, its commit."""
    if package != "fafcas":
        return metadata.version(package)
    return said("git", "describe", "--always", "--dirty", "--abbrev=12")


def said(*command: str) -> str:
    """The first line of a program's output, or that it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def machine() -> dict[str, Any]:
    """What figures depend on."""
    cpu = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines() if ":" in line)
    cpu = {key.strip(): value.strip() for key, value in cpu.items()}
    kept = Path("/proc/meminfo").read_text(encoding="ascii")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "cpu": f"{cpu.get('model name', platform.machine())}, family {cpu.get('cpu family')}, model {cpu.get('model')}",
        "cores": os.cpu_count(),
        "memory": round(int(kept.partition("MemTotal:")[2].split()[0]) / (1 << 20)),
        "kernel": platform.release(),
        "compiler": said("rustc", "--version"),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def main(results: Path, library: str, form: str, rows: int, only: list[str], minutes: float, limit: float) -> None:
    """A whole run, or parts of one, in a folder of its own."""
    results.parent.mkdir(parents=True, exist_ok=True)
    if form == "short" and not only and results.exists():
        results.rename(results.with_suffix(".before.jsonl"))
    with tempfile.TemporaryDirectory(prefix="run-", dir=results.parent) as folder:
        run = Run(results, Path(folder), library, minutes, limit)
        packages = run.begin(form == "full")
        there = done(results, packages) if form == "full" else set()
        for part, names in chosen(full(rows) if form == "full" else short(rows), run.known, only):
            left = [name for name in names if (part.key(), "fafcas" if part.operation else name) not in there]
            if not left:
                print(f"== {part.axis} {part.value}: done before", flush=True)
                continue
            attempt(run, part, left)
    run.write(kind="end", minutes=(time.time() - run.number) / 60)
    print(f"results in {results}, {(time.time() - run.number) / 60:.1f} minutes")


def done(results: Path, packages: dict[str, str]) -> set[tuple[str, str]]:
    """The parts and systems that earlier runs with the same versions brought to their end."""
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    same = {line["run"] for line in lines if line["kind"] == "machine" and line["packages"] == packages}
    return {(line["part"], line["system"]) for line in lines if line["kind"] == "done" and line["run"] in same}


def attempt(run: Run, part: Part, names: list[str]) -> None:
    """A part. The others can do without it, if there is no time, no room, or no text for it."""
    why = ""
    if run.left() < 5:
        why = "the time of the run was up"
    else:
        try:
            run.part(part, names)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}"
    if why:
        run.write(kind="missing", axis=part.axis, value=part.value, set=part.set, rows=part.rows, system="all", why=why)
        print(f"== {part.axis} {part.value}: LEFT OUT: {why}", flush=True)
