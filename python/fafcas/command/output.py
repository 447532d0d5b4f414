"""How the command speaks: results for people or for programs, and one line on standard error for what people should know."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..kit.show import clean, passage, shortened, width
from ..kit.statement import reason


def said(text: str) -> None:
    text = clean(text)
    click.echo(f"fafcas: {text[8:] if text.startswith('fafcas: ') else text}", err=True)


# Those that JSON itself lets stand as they are, though terminals obey them.
CONTROL = re.compile(r"[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    """A JSON array, with a line for each row."""
    lines = [CONTROL.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(row, ensure_ascii=False, default=bytes.hex)) for row in rows]
    click.echo("[" + ",\n ".join(lines) + "]")


def print_hits(rows: Sequence[dict[str, Any]], question: str, as_json: bool) -> None:
    hits = [hit(row) for row in rows]
    if as_json:
        print_json(hits)
    elif sys.stdout.isatty():
        for_people(hits, question)
    else:
        for row in hits:
            fields = (row["score"], row.get("by", ""), row["id"], row["title"], row["text"])
            click.echo("\t".join(map(clean, fields)))


def hit(row: dict[str, Any]) -> dict[str, Any]:
    """A row of an answer, with a word on why it is there."""
    row = dict(row)
    if "by_vector" in row and "by_words" in row:
        row["by"] = reason(row.pop("by_vector"), row.pop("by_words"))
    return row


def for_people(hits: Sequence[dict[str, Any]], question: str) -> None:
    room = max(20, shutil.get_terminal_size().columns)
    if not hits:
        click.echo("nothing found")
    for row in hits:
        title = clean(row["title"]) or clean(row["id"])
        head = f"{row['rank']:>2}  {clean(row['score'])}  "
        why = f"  {row['by']}" if row.get("by") else ""
        title = shortened(title, max(8, room - width(head) - width(why)))
        click.echo(head + click.style(title, bold=True) + click.style(why, dim=True))
        indent = "    "
        if clean(row["title"]):
            click.echo(indent + click.style(shortened(clean(row["id"]), room - 4), dim=True))
        text = clean(passage(row["text"] or "", question))
        if text:
            click.echo(indent + shortened(text, room - 4))
