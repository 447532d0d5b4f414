"""Vectors to measure with, made from nothing, and kept for the next time.

Each set is a file of little-endian f32, one vector of length 1 after the other. The first 500 are the queries, what follows is the
base. A set grows at its end, so that what a larger run makes is of use to a smaller one.

| set | texts | model | dimensions |
| --- | --- | --- | --- |
| `wordnet` | WordNet's 117,659 entries | all-MiniLM-L6-v2 | 384 |
| `wordnet-128` | the same: the first 128 numbers | | 128 |
| `debian` | sentences and paragraphs that describe Debian's packages, over 300,000 | static-MiniLM | 256 |
| `manuals` | sentences and paragraphs of the documentation of Linux and of a dictionary, over 300,000 | static-MiniLM | 256 |
| `debian-768`, `-1536`, `-4096` | the same: vectors of 3, 6 or 16 windows that overlap, one after the other | static-MiniLM | 768 to 4096 |
| `made` | none: loose clusters, with a spectrum that falls off | | 384 |

MiniLM embeds some 130 to 300 texts a second and thread, static-MiniLM 24,000. Both run in the library itself.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import numpy
import texts

QUERIES = 500
BATCH = 2000
WINDOWS = {"debian-768": 3, "debian-1536": 6, "debian-4096": 16}
STATIC, MINILM = "static-MiniLM", "all-MiniLM-L6-v2"
CORPORA = {"wordnet": texts.wordnet, "debian": texts.debian, "manuals": texts.manuals}


@dataclass
class Set:
    """Vectors of one kind: a file, and how many of it are asked for."""

    name: str
    path: Path
    rows: int
    dimensions: int

    def all(self) -> numpy.ndarray:
        """Queries and base, mapped, not read."""
        there = self.path.stat().st_size // (4 * self.dimensions)
        return numpy.memmap(self.path, "<f4", "r", shape=(there, self.dimensions))

    def queries(self) -> numpy.ndarray:
        """In memory."""
        return numpy.array(self.all()[:QUERIES])

    def base(self) -> numpy.ndarray:
        """As many rows as asked for."""
        return self.all()[QUERIES : QUERIES + self.rows]


def dimensions(name: str) -> int:
    """Of a set."""
    if name in WINDOWS:
        return 256 * WINDOWS[name]
    return {"wordnet": 384, "wordnet-128": 128, "debian": 256, "manuals": 256, "made": 384}[name]


def prepare(name: str, rows: int, folder: Path, library: str) -> Set:
    """The set with at least so many rows of base, made as far as it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.f32"
    wanted = rows + QUERIES
    there = path.stat().st_size // (4 * dimensions(name)) if path.exists() else 0
    if there < wanted:
        print(f"data: making {wanted - there:,} vectors of {name}", flush=True)
        grow(name, path, there, wanted, folder, library)
    there = path.stat().st_size // (4 * dimensions(name))
    if there < wanted:
        raise SystemExit(f"data: expected {wanted:,} vectors of {name}, not the {there:,} that there are texts for")
    return Set(name, path, rows, dimensions(name))


def grow(name: str, path: Path, there: int, wanted: int, folder: Path, library: str) -> None:
    """Adds vectors to the end of the file, batch by batch, so that a run that is stopped has kept what it made."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.truncate(4 * dimensions(name) * there)
        file.seek(0, os.SEEK_END)
        for vectors in batches(name, there, wanted, folder, library):
            file.write(unit(vectors).astype("<f4").tobytes())


def batches(name: str, there: int, wanted: int, folder: Path, library: str) -> Iterator[numpy.ndarray]:
    """The vectors from one place to another."""
    if name == "made":
        yield from made(there, wanted)
        return
    if name == "wordnet-128":
        yield prepare("wordnet", wanted - QUERIES, folder, library).all()[there:wanted, :128]
        return
    corpus = name.partition("-")[0]
    lines = CORPORA[corpus](folder)
    model, count = MINILM if corpus == "wordnet" else STATIC, WINDOWS.get(name, 1)
    connection = connect(library)
    for at in range(there, min(wanted, len(lines)), BATCH):
        some = lines[at : min(at + BATCH, wanted)]
        parts = [part for text in some for part in windows(text, count)]
        yield embedded(connection, model, parts).reshape(len(some), -1)
        progress(f"data: {name}, {at + len(some):,} of {wanted:,}")
    progress("")


def unit(vectors: numpy.ndarray) -> numpy.ndarray:
    """At length 1."""
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def made(there: int, wanted: int) -> Iterator[numpy.ndarray]:
    """What behaves like embeddings of sentences: 2,000 loose clusters, a spectrum that falls off. Each block has a seed of its own."""
    size, block = dimensions("made"), 50_000
    rng = numpy.random.default_rng(7)
    spectrum = (1 + numpy.arange(size)) ** -0.4
    basis = numpy.linalg.qr(rng.standard_normal((size, size)))[0].astype("f4")
    centres = (rng.standard_normal((2000, size)) * spectrum).astype("f4")
    for number in range(there // block, -(-wanted // block)):
        own = numpy.random.default_rng([7, number])
        near = centres[own.integers(0, 2000, block)] + (own.standard_normal((block, size), "f4") * spectrum).astype("f4")
        first = number * block
        yield (near @ basis)[max(0, there - first) : wanted - first]


def windows(text: str, count: int) -> list[str]:
    """The text itself, and windows of half its words that overlap."""
    words = text.split()
    length = max(1, len(words) // 2)
    steps = max(1, count - 2)
    starts = [(len(words) - length) * number // steps for number in range(count - 1)]
    return [text, *(" ".join(words[start : start + length]) for start in starts)]


def connect(library: str) -> Any:
    """A connection with the library, which embeds on all cores."""
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(library)
    connection.execute("SELECT fafcas_config('embed_threads', ?)", (os.cpu_count() or 1,))
    connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT)")
    return connection


def embedded(connection: Any, model: str, parts: list[str]) -> numpy.ndarray:
    """The vector of each text."""
    connection.execute("DELETE FROM texts")
    connection.executemany("INSERT INTO texts (id, text) VALUES (?, ?)", enumerate(parts))
    rows = dict(connection.execute("SELECT rowid, embedding FROM embed_rows('texts', 'text', ?)", (model,)))
    return numpy.stack([numpy.frombuffer(rows[at], "<f4") for at in range(len(parts))])


def progress(text: str) -> None:
    """A line that the next one overwrites, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
