"""What is measured: the parts of the short form and of the long one."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import data

OURS = ["fafcas, index, 1 thread", "fafcas, index, 2 threads", "fafcas, scan"]
VEC0, FAST_SCAN = "sqlite-vec, vec0 flat", "FAISS, IVF-PQ fast scan, refined"
# Those that read or score all rows, and so build in short.
FLAT = [*OURS, VEC0, "sqlite-vector, quantised", "vec1, flat", "FAISS, flat"]
# Those that go along the other axes: of each kind one or two.
SOME = [*FLAT, "hnswlib"]
CROWDS = [1, 2, 8, 64, 1000]
SHARES = [1000, 500, 10, 1]
SETS = ("wordnet-128", "debian", "debian-768", "debian-1536", "debian-4096")


@dataclass
class Part:
    """One place on one axis: these systems on these vectors."""

    axis: str
    value: Any
    set: str
    rows: int
    k: int = 10
    # All, if empty.
    only: list[str] = field(default_factory=list)
    rounds: int = 3
    seconds: float = 3.0
    # No more rounds begin where only so many seconds of the run would be left after them.
    reserve: float = 0.0
    # Numbers below which the part of a row must be, of 1000.
    below: list[int] = field(default_factory=list)
    many: bool = False
    connections: list[int] = field(default_factory=list)
    operation: str = ""

    def key(self) -> str:
        """What it measures, whichever systems take part. A run that goes on skips what has this key."""
        return str({name: value for name, value in asdict(self).items() if name not in ("only", "reserve")})

    def words(self) -> set[str]:
        """What `ONLY=` may call it."""
        return {self.axis, f"{self.axis}={self.value}", self.operation} - {""}


def short(rows: int) -> list[Part]:
    """What takes minutes: all curves on one set, and the axes for a few systems on smaller ones."""
    small = min(rows, 10_000)
    return [
        Part("recall", rows, "wordnet", rows, seconds=0.6, reserve=320),
        *operations(rows),
        Part("connections", "1 to 1000", "wordnet", rows, only=[OURS[0], VEC0], connections=CROWDS, rounds=1, seconds=2),
        Part("filter", "all to 0.1 %", "wordnet", rows, only=[OURS[0], VEC0, "vec1, flat", "NumPy"], below=SHARES, rounds=1, seconds=1),
        Part("batch", "450 queries", "wordnet", rows, only=[*OURS, "FAISS, flat", "NumPy"], many=True, rounds=1),
        *(Part("rows", n, "wordnet", n, only=SOME, rounds=1, seconds=0.5) for n in sorted({1000, small})),
        *(Part("k", k, "wordnet", small, k, only=OURS, rounds=1, seconds=0.5) for k in (1, 100, 1000)),
        *(Part("dimensions", data.dimensions(name), name, small, only=[*OURS, VEC0], rounds=1, seconds=0.5) for name in SETS),
    ]  # fmt: skip


def full(rows: int) -> list[Part]:
    """What takes up to an hour: one axis after the other around these rows, two more corpora, a million rows and ten million."""
    corpora = [*SOME, "USearch", FAST_SCAN, "vec1, trained, PQ, reranked"]
    million = [*FLAT, FAST_SCAN]
    return [
        Part("corpus", "manuals", "manuals", 300_000, only=[name for name in corpora if name != "hnswlib"], rounds=2, seconds=1.5),
        Part("corpus", "debian", "debian", 300_000, only=corpora, rounds=2, seconds=1.5),
        Part("rows", 1_000_000, "made", 1_000_000, only=million, rounds=1),
        Part("k", 10_000, "wordnet", rows, 10_000, only=FLAT, rounds=1, seconds=1.5),
        *(Part("k", k, "wordnet", rows, k, only=FLAT, rounds=1, seconds=1.5) for k in (1, 100, 1000)),
        *(Part("dimensions", data.dimensions(name), name, rows, only=FLAT, rounds=1, seconds=1.5) for name in SETS),
        Part("recall", rows, "wordnet", rows, seconds=1),
        *operations(rows),
        Part("connections", "1 to 1000", "wordnet", rows, only=[OURS[0], OURS[2], VEC0], connections=CROWDS, rounds=1, seconds=4),
        Part("filter", "all to 0.1 %", "wordnet", rows, below=SHARES, rounds=2, seconds=1),
        Part("batch", "450 queries", "wordnet", rows, only=[*FLAT, "USearch", FAST_SCAN, "NumPy"], many=True, rounds=2),
        *(Part("rows", n, "wordnet", n, only=[*SOME, "USearch", FAST_SCAN, "sqlite-vec, vec0 DiskANN"], rounds=2, seconds=1) for n in (1000, 10_000)),
        Part("rows", 10_000_000, "made", 10_000_000, only=[OURS[1]], rounds=1),
    ]  # fmt: skip


def operations(rows: int) -> list[Part]:
    """What only fafcas is measured in."""
    return [
        Part("operation", name, "wordnet", rows, operation=name) for name in ("profile", "deletes", "inserts", "edges", "kit")
    ]


def chosen(parts: list[Part], known: Collection[str], only: list[str]) -> Iterator[tuple[Part, list[str]]]:
    """Parts with their systems. `only` has axes, places on them (`rows=1000000`), operations, or beginnings of systems."""
    named = {word for part in parts for word in part.words()}
    wanted, beginnings = {word for word in only if word in named}, [word.lower() for word in only if word not in named]
    for part in parts:
        if wanted and not part.words() & wanted:
            continue
        names = [name for name in part.only or known if name in known]
        if beginnings:
            names = [name for name in names if name.lower().startswith(tuple(beginnings))]
        if names and not (part.operation and beginnings and not wanted):
            yield part, names
