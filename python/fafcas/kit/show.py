"""Prints what people read: reports and aligned tables."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from .health import Row
    from .ingest import Report

T = TypeVar("T")

# Of so many files of a kind that is not read, such as pictures, each has a line.
OTHERS = 20


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def report(found: Report, out: TextIO) -> None:
    """What an ingest did, and every note it could not read."""
    done = f"{found.new:,} new, {found.changed:,} changed, {found.same:,} as before, {found.gone:,} gone"
    print(f"notes in {clean(found.name)}: {done}; {count(found.links, 'link')} between them", file=out)
    if found.open_links:
        print(f"  {count(found.open_links, 'link')} to notes that are not there (yet)", file=out)
    if found.embedded:
        print(f"  {count(found.embedded, 'text')} embedded", file=out)
    for title, places in (("passed over", found.skipped), ("taken with a fault", found.warnings)):
        for path, why in sorted(places.items()):
            print(f"  {title}: {clean(path or '.')}: {clean(why)}", file=out)
    for ending, paths in sorted(found.others.items()):
        for path in paths[:OTHERS]:
            print(f"  passed over: {clean(path)}: of another kind ({clean(ending)})", file=out)
        if len(paths) > OTHERS:
            print(f"  passed over: {len(paths) - OTHERS:,} more of another kind ({clean(ending)})", file=out)


@contextlib.contextmanager
def bar(length: int, what: str) -> Iterator[Callable[[int], None]]:
    """How far something is, on standard error where that is a terminal. Gives what to call with the size of each step."""
    if not length or not sys.stderr.isatty():
        yield lambda _size: None
        return
    import click

    with click.progressbar(length=length, label=what, width=0, show_pos=True, file=sys.stderr) as shown:
        yield shown.update


def batches(most: int) -> Iterator[int]:
    """Sizes of batches, small at first: after a second there is something to tell the time left from."""
    size = 8
    while True:
        yield min(size, most)
        size *= 2


def watched(items: list[T], what: str) -> Iterator[T]:
    """The items, with a bar that tells how many of them are done."""
    with bar(len(items), what) as step:
        for item in items:
            yield item
            step(1)


def table(rows: Iterable[Sequence[Any]], heads: Sequence[str], out: TextIO, right: Sequence[int] = ()) -> None:
    """Aligned columns; the last takes what room there is."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(heads, *rows)]
    room = (shutil.get_terminal_size() if sys.stdout.isatty() else os.terminal_size((140, 24))).columns
    room -= 2 + 2 * (len(widths) - 1)
    widths[-1] = max(20, min(widths[-1], room - sum(widths[:-1])))
    while sum(widths) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    for row in [list(heads), *rows]:
        cells = [
            padded(shortened(cell, size), size, at in right) for at, (cell, size) in enumerate(zip(row, widths))
        ]
        print(("  " + "  ".join(cells)).rstrip(), file=out)


def clean(cell: Any) -> str:
    """One line, in which nothing does anything to a terminal."""
    if cell is None:
        return ""
    text = f"{cell:.3f}" if isinstance(cell, float) else " ".join(str(cell).split())
    return text if text.isprintable() else "".join(map(harmless, text))


# Between letters of Persian and in emoji.
JOINERS = "\u200c\u200d"


def harmless(letter: str) -> str:
    """What is not seen, such as a change of direction, is left away, and what a terminal would obey is only shown to be there."""
    kind = unicodedata.category(letter)
    if kind == "Cc":
        return "\ufffd"
    return "" if kind == "Cf" and letter not in JOINERS else letter


def width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def shortened(text: str, size: int) -> str:
    while width(text) > size:
        text = text[: max(0, len(text) - 4 - (width(text) - size) // 2)].rstrip() + "..."
    return text


def padded(text: str, size: int, right: bool) -> str:
    gap = " " * (size - width(text))
    return gap + text if right else text + gap


def show_health(rows: Sequence[Row], out: TextIO) -> int:
    """Prints the rules, what is broken with its remedy, and gives the number of those as an exit status."""
    table([("ok" if ok else "NO", rule, expected, actual) for rule, expected, actual, ok, _ in rows],
          ("", "rule", "expected", "actual"), out)
    broken = [(rule, remedy) for rule, _, _, ok, remedy in rows if not ok]
    for rule, remedy in broken:
        if remedy:
            print(f"{rule}: {clean(remedy)}", file=out)
    return 1 if broken else 0


def passage(text: str, question: str) -> str:
    """The sentence with the most words of the question, as far as beginnings of words tell; else the first."""
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip() and not part.startswith("#")]
    asked = stems(question)
    return max(sentences[:200], key=lambda sentence: len(asked & stems(sentence)), default="")


def stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"\w{4,}", text.casefold())}
