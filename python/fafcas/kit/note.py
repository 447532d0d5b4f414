"""Reads one note: front matter, title, headings and links. It knows neither files nor the database."""

from __future__ import annotations

import bisect
import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import unquote

import yaml

# All of this takes time in proportion to the length of a text, whatever the text is.

# Front matter that has a column of its own; everything else goes into meta.
COLUMNS = ("title", "type", "domain", "layer", "date", "summary")
SUMMARY = 300

# Titles, and what else each part of a note has for itself, are cut to so many characters: else a long one times many parts would be
# stored.
SHORT = 300

# None of these belongs into a line of text: terminals obey some, and XML has no place for others.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")

FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*)$")
TICKS = re.compile("`+")
WIKI = re.compile(r"\[\[([^\[\]|#^\n]+)(?:[#^][^\[\]|\n]*)?(?:\|[^\[\]\n]*)?\]\]")
LINK = re.compile(r"\[[^\[\]\n]*\]\(\s*(?:<([^<>\n]+)>|([^\s()<>]+(?:\([^\s()]*\)[^\s()<>]*)*))(?:\s+[\"'(][^\n]{0,500}?[\"')])?\s*\)")
SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")


# Offset in the body, level and text.
Heading = tuple[int, int, str]


@dataclass
class Note:
    title: str
    body: str
    columns: dict[str, str] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    headings: list[Heading] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)  # (offset in body, target); a target that begins with / is a path from the root
    warning: Optional[str] = None


def parse(text: str, path: str) -> Note:
    """The note of this text. `path` is its path from the root of the folder, with slashes."""
    front, body, warning = split(text)
    columns = {name: column(name, front.pop(name)) for name in COLUMNS if front.get(name) is not None and column(name, front[name])}
    if "summary" not in columns and isinstance(front.get("description"), str):
        columns["summary"] = front.pop("description")
    prose = without_code(body)
    headings = [(at, level, short(text)) for at, level, text in find_headings(prose, body) if text]
    title = columns.pop("title", None) or first_title(headings) or short(posixpath.splitext(posixpath.basename(path))[0])
    return Note(title, body, columns, front, headings, find_links(prose, path), warning)


def first_title(headings: list[Heading]) -> str | None:
    return headings[0][2] if headings and headings[0][1] == 1 else None


def split(text: str) -> tuple[dict[str, Any], str, str | None]:
    """Front matter as a dictionary, the body, and what is wrong with the front matter."""
    if not text.startswith("---\n"):
        return {}, text, None
    end = re.search(r"^(---|\.\.\.)[ \t]*$", text[4:], re.MULTILINE)
    if end is None:
        return {}, text, None
    try:
        front = yaml.load(text[4 : 4 + end.start()], Loader=Front)
    # Its constructors fail in any way there is where a value does not have the form of its tag: `!!bool perhaps` is a KeyError.
    except Exception as error:
        return {}, text, f"front matter is not read: {' '.join(str(error).split())[:120] or type(error).__name__}"
    if not isinstance(front, dict):
        return {}, text, None
    return plain(front), text[4 + end.end() :].lstrip("\n"), None


class Front(yaml.SafeLoader):
    """YAML without aliases, a few of which could stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)

    def number(self, node: yaml.Node) -> Any:
        """A number, or the text of one so long that Python will not print it, or takes minutes to read it."""
        if isinstance(node, yaml.ScalarNode) and len(node.value) > LONGEST_NUMBER:
            return node.value
        return self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)


LONGEST_NUMBER = 100
for tag in ("int", "float"):
    Front.add_constructor(f"tag:yaml.org,2002:{tag}", Front.number)


def plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {str(plain(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if isinstance(value, bool) or value is None or isinstance(value, int) and abs(value) < 1 << 63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value).encode("utf-8", "replace").decode().replace("\0", " ")


def column(name: str, value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
    return without_control(text) if name == "summary" else short(text)


def without_control(text: str) -> str:
    return CONTROL.sub("\ufffd", text)


def short(text: str) -> str:
    """A title, shortened at a word."""
    clean = without_control(text)
    return clean if len(clean) <= SHORT else clean[: SHORT - 4].rsplit(" ", 1)[0] + " ..."


def without_code(body: str) -> str:
    """The body with code blanked out, every character still in its place."""
    lines, fence = [], None
    for line in body.split("\n"):
        mark = FENCE.match(line)
        if fence is None and mark:
            fence = mark[1]
        elif fence is not None:
            if mark and mark[1].startswith(fence) and not line.strip(" `~\t"):
                fence = None
        else:
            lines.append(line)
            continue
        lines.append(" " * len(line))
    return without_spans("\n".join(lines))


def without_spans(text: str) -> str:
    """Code within a line begins at some backticks and ends at the next that are as many."""
    runs = [ticks.span() for ticks in TICKS.finditer(text)]
    places: dict[int, list[int]] = {}
    for number, (start, end) in enumerate(runs):
        places.setdefault(end - start, []).append(number)
    parts, done, number = [], 0, 0
    while number < len(runs):
        start, end = runs[number]
        same = places[end - start]
        after = bisect.bisect_right(same, number)
        if after == len(same):
            number += 1
            continue
        end = runs[same[after]][1]
        parts += [text[done:start], re.sub(r"[^\n]", " ", text[start:end])]
        done, number = end, same[after] + 1
    return "".join([*parts, text[done:]])


def find_headings(prose: str, body: str) -> Iterator[Heading]:
    at = 0
    for line in prose.split("\n"):
        # The words as they stand, code among them. Where the end of code is blanked out, what follows is no heading yet.
        words = HEADING.match(body[at : at + len(line)]) if HEADING.match(line) else None
        if words:
            yield at, len(words[1]), without_end(words[2])
        at += len(line) + 1


def without_end(heading: str) -> str:
    """The words of a heading, without the signs that may stand behind them."""
    words = heading.rstrip(" \t")
    bare = words.rstrip("#")
    return bare.rstrip(" \t") if bare.endswith((" ", "\t")) else words


def find_links(prose: str, path: str) -> list[tuple[int, str]]:
    """Links to other notes, each target once, in order."""
    found = [(match.start(), match[1].strip()) for match in WIKI.finditer(prose) if match[1].strip()]
    for match in LINK.finditer(prose):
        target = unquote(match[1] or match[2]).partition("#")[0].partition("?")[0]
        if not target or SCHEME.match(target) or target.startswith("//"):
            continue
        if target.startswith("/"):
            inside = posixpath.normpath(target).lstrip("/")
        else:
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if inside.startswith(".."):
            continue
        found.append((match.start(), "/" + inside))
    targets: dict[str, int] = {}
    for at, target in sorted(found):
        clean = target.encode("utf-8", "replace").decode().replace("\0", " ")
        targets.setdefault(clean, at)
    return [(at, target) for target, at in targets.items()]


def summary(body: str) -> str | None:
    """The first paragraph that is no heading, shortened at a word."""
    for paragraph in re.split(r"\n\s*\n", body):
        words = " ".join(line for line in paragraph.split("\n") if not HEADING.match(line)).split()
        if words:
            whole = " ".join(words)
            return whole if len(whole) <= SUMMARY else whole[:SUMMARY].rsplit(" ", 1)[0] + " ..."
    return None


def sections(note: Note, places: list[int]) -> Iterator[str]:
    """The titles of the parts that begin at these places in the body, which are in order: the note's, and the headings they stand under."""
    above: dict[int, str] = {}
    done = 0
    for place in places:
        while done < len(note.headings) and note.headings[done][0] <= place:
            _, level, text = note.headings[done]
            above = {other: name for other, name in above.items() if other < level} | {level: text}
            done += 1
        names = [name for _, name in sorted(above.items()) if name != note.title]
        yield short(" › ".join([note.title, *names]))
