"""One step of one system, in a process of its own: building, or searching. Lines of JSON go to standard output as they come."""

import json
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data
import measures
import numpy
import operations
import systems

WARM_UP = 50
# Even the slowest are asked so often.
LEAST = 20
MOST_IN_MEMORY = 2_000_000


def say(**line: Any) -> None:
    """A result."""
    print(json.dumps(line), flush=True)


def status(name: str) -> float:
    """Megabytes that Linux knows of the process: resident now (`VmRSS`), or at most (`VmHWM`)."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


def forget_peak() -> float:
    """Makes what is resident now the peak, and tells it."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return status("VmRSS")


def given(job: dict[str, Any]) -> tuple[Any, data.Set]:
    """The system of a job, and its vectors."""
    vectors = data.Set(job["set"], Path(job["vectors"]), job["rows"], data.dimensions(job["set"]))
    parts = numpy.random.default_rng(11).permutation(job["rows"]) * 1000 // job["rows"] if job.get("below") else None
    system = systems.find(job["file"], job["system"])(Path(job["folder"]), job["rows"], vectors.dimensions, parts)
    return system, vectors


def names(file: str) -> None:
    """The systems of a file, with what the harness wants to know of them."""
    for system in systems.of(file):
        optional = [what for what in ("ask_filtered", "ask_many") if getattr(system, what) is not getattr(systems.System, what)]
        say(
            system=system.name,
            package=system.package,
            knob=system.knob,
            threads=system.threads,
            slow=system.slow,
            can=optional,
        )


def build(job: dict[str, Any]) -> None:
    """Stores the vectors, and builds."""
    system, vectors = given(job)
    # In memory, as a user has them who builds, but for what no memory holds.
    base = numpy.array(vectors.base()) if job["rows"] <= MOST_IN_MEMORY else vectors.base()
    system.store(base)
    before, start = forget_peak(), time.perf_counter()
    system.build(base)
    seconds = time.perf_counter() - start
    peak = status("VmHWM") - before
    system.close()
    size = sum(file.stat().st_size for file in Path(job["folder"]).rglob("*") if file.is_file())
    say(kind="build", seconds=seconds, peak=peak, bytes=size, settings=system.settings())


def pin(threads: int) -> None:
    """One core for what has one thread, so that libraries that take all there are have no more of it."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-threads:])


def search(job: dict[str, Any]) -> None:
    """Opens, asks for the first time, and then all that was ordered."""
    system, vectors = given(job)
    pin(system.threads)
    queries, k = vectors.queries(), job["k"]
    middle = system.points[len(system.points) // 2]
    before, start = forget_peak(), time.perf_counter()
    system.open()
    system.point(middle)
    list(system.ask(queries[-1], k))
    say(kind="cold" if job.get("cold") else "first", ms=(time.perf_counter() - start) * 1e3)
    if job.get("cold"):
        return
    if job.get("many"):
        batch(system, queries, k)
        return
    if job.get("below"):
        for below in job["below"]:
            # Without a filter where all would pass it.
            filtered = below < 1000
            timed(
                job,
                queries,
                lambda query, b=below, f=filtered: system.ask_filtered(query, k, b) if f else system.ask(query, k),
                below=below,
            )
        return
    for point in system.points:
        system.point(point)
        timed(job, queries, lambda query: system.ask(query, k), point=point)
    say(kind="memory", peak=status("VmHWM") - before, resident=status("VmRSS") - before)


def timed(job: dict[str, Any], queries: numpy.ndarray, ask: Callable[[numpy.ndarray], Any], **place: Any) -> None:
    """Queries one after the other, until all were asked or the time is up. Each round begins with others."""
    asked = len(queries) - WARM_UP
    until = time.perf_counter() + job["seconds"] / 4
    for query in queries[-WARM_UP:]:
        ask(query)
        if time.perf_counter() > until:
            break
    order = [(job["round"] * asked // job["rounds"] + number) % asked for number in range(asked)]
    times, hits = [], []
    until = time.perf_counter() + job["seconds"]
    for number in order:
        start = time.perf_counter()
        found = ask(queries[number])
        times.append((time.perf_counter() - start) * 1e3)
        # FAISS fills up with -1 where it finds fewer than k.
        hits.append([number, [int(row) for row in found if row >= 0]])
        if start > until and len(times) >= LEAST:
            break
    shares = {f"p{share * 100:g}": measures.percentile(times, share) for share in (0.5, 0.95, 0.99)}
    say(kind="search", k=job["k"], queries=len(times), hits=hits, **shares, **place)


def batch(system: Any, queries: numpy.ndarray, k: int) -> None:
    """All queries in one call, twice, the second time a little others. That is timed."""
    asked = queries[:-WARM_UP]
    system.ask_many(asked, k)
    others = asked + numpy.float32(1e-6)
    start = time.perf_counter()
    system.ask_many(others, k)
    say(kind="batch", queries=len(asked), ms=(time.perf_counter() - start) * 1e3 / len(asked))


class Crowd:
    """Threads with a connection each, which ask at the same time."""

    def __init__(self, opened: list[Any], queries: numpy.ndarray, k: int) -> None:
        self.opened, self.queries, self.k = opened, queries, k
        self.gate, self.stop = threading.Barrier(len(opened) + 1), threading.Event()
        self.times: list[float] = []

    def work(self, number: int) -> None:
        """One thread. A little other queries each time: fafcas keeps answers to questions that come again."""
        rng, system = random.Random(number), self.opened[number]
        self.gate.wait()
        while not self.stop.is_set():
            query = self.queries[rng.randrange(len(self.queries))] + numpy.float32(rng.random() * 1e-3)
            start = time.perf_counter()
            list(system.ask(query, self.k))
            self.times.append((time.perf_counter() - start) * 1e3)

    def run(self, seconds: float) -> float:
        """For so long, and until the last has its answer: searches a second."""
        threads = [threading.Thread(target=self.work, args=(number,)) for number in range(len(self.opened))]
        for thread in threads:
            thread.start()
        self.gate.wait()
        start = time.perf_counter()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join()
        return len(self.times) / (time.perf_counter() - start)


def connections(job: dict[str, Any]) -> None:
    """Crowds of growing size."""
    queries = given(job)[1].queries()
    threading.stack_size(1 << 20)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for count in job["connections"]:
        opened = [given(job)[0] for _ in range(count)]
        for system in opened:
            system.open()
            list(system.ask(queries[-1], job["k"]))
        crowd = Crowd(opened, queries, job["k"])
        rate = crowd.run(job["seconds"])
        for system in opened:
            system.close()
        shares = {f"p{share}": measures.percentile(crowd.times, share / 100) for share in (50, 99)}
        say(kind="connections", connections=count, rate=rate, **shares)


def operation(job: dict[str, Any]) -> None:
    """Something that only fafcas is measured in."""
    vectors = data.Set(job["set"], Path(job["vectors"]), job["rows"], data.dimensions(job["set"]))
    for line in operations.ALL[job["name"]](Path(job["folder"]), vectors):
        say(kind=job["name"], **line)


STEPS = {"build": build, "search": search, "connections": connections, "operation": operation}


def main(step: str, argument: str) -> None:
    """As `python benches/peers worker STEP JOB`."""
    if step == "names":
        names(argument)
    else:
        STEPS[step](json.loads(argument))
    sys.stdout.flush()
    # Some libraries do not survive the end of the interpreter.
    os._exit(0)
