"""The points of a map: where each row is, what it is called, and which colour it has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from datasette.utils.sqlite import sqlite3

from ..kit import source as sources
from ..kit import statement
from ..kit.scripts import Refused
from ..kit.source import Source, quoted
from .answer import choices, kinds_of, limited

# More dots than this cover each other. Of more rows, every second, third ... is drawn.
MOST = 20_000

# How many values have a colour of their own; the palette of map.js has as many, and a grey for all others.
COLOURS = 9

MAP = """
SELECT n.id, n.title, m.x, m.y, n.domain AS colour
FROM   vec_map('nodes', 'embedding') AS m
JOIN   nodes AS n ON n.seq = m.rowid
ORDER  BY n.seq"""

EVERY = "WHERE  m.rowid % {every} = 0\n"

# No column at all.
NONE = ""


@dataclass(frozen=True)
class Offered:
    """What a map can be coloured by, what it is coloured by, and its SQL."""

    columns: tuple[str, ...]
    by: str | None
    sql: str


def offered(connection: Any, source: Source, by: str | None) -> Offered:
    by = coloured_by(connection, source, by)
    columns = tuple(name for name in kinds_of(connection, source) if name not in (source.text, source.title))
    return Offered(columns, by, sql_of(source, by, step(connection, source)))


def sql_of(source: Source, by: str | None, every: int) -> str:
    sql = MAP.strip() if by or not source.is_kit else MAP.strip().replace("n.domain", "NULL")
    if every > 1:
        sql = sql.replace("ORDER", EVERY.format(every=every) + "ORDER")
    return statement.on(source, sql, by)


def coloured_by(connection: Any, source: Source, by: str | None) -> str | None:
    if by:
        return sources.with_vectors(source, by).vectors
    if by == NONE:
        return None
    few = choices(connection, source)
    return next((name for name in ("domain", "type") if source.is_kit and name in few), next(iter(few), None))


def step(connection: Any, source: Source) -> int:
    (rows,) = connection.execute(f"SELECT count(*) FROM {quoted(source.table)}").fetchone()
    return max(1, -(-rows // MOST))


def points(connection: Any, source: Source, by: str | None, seconds: float) -> dict[str, Any]:
    by = coloured_by(connection, source, by)
    every = step(connection, source)
    try:
        with limited(connection, seconds):
            rows = connection.execute(sql_of(source, by, every)).fetchall()
    except sqlite3.Error as error:
        if str(error) != "interrupted":
            raise
        raise Refused(f"expected a map within {seconds:g} s, which the setting sql_time_limit_ms allows") from error
    labels, groups = grouped([row[4] for row in rows])
    return {
        "id": [row[0] if isinstance(row[0], (int, str)) else str(row[0]) for row in rows],
        "title": [str(row[0] if row[1] in (None, "") else row[1])[:200] for row in rows],
        "x": [row[2] for row in rows],
        "y": [row[3] for row in rows],
        "group": groups,
        "labels": labels if by else ["all rows"],
        "every": every,
    }


def grouped(values: list[Any]) -> tuple[list[str], list[int]]:
    """Names of groups, and the group of each value: a value, a range of numbers, or what is left."""
    counts = Counter(values)
    there = [value for value in counts if value is not None]
    numbers = all(isinstance(value, (int, float)) for value in there)
    if len(there) > COLOURS and numbers:
        return ranges(values, sorted(value for value in values if value is not None))
    common = [value for value, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))) if value is not None]
    common = sorted(common) if numbers and len(common) <= COLOURS else common
    own = {value: at for at, value in enumerate(common[:COLOURS])}
    labels = [shown(value) for value in own]
    rest = len(labels)
    groups = [own.get(value, rest) for value in values]
    if rest in groups:
        labels.append("others" if len(common) > COLOURS else "none")
    return labels, groups


def ranges(values: list[Any], ordered: list[Any]) -> tuple[list[str], list[int]]:
    """Six ranges with about as many values each."""
    bounds = sorted({ordered[len(ordered) * part // 6] for part in range(6)})
    labels = [f"{shown(low)} to {shown(high)}" for low, high in zip(bounds, bounds[1:] + [ordered[-1]])]
    groups = [len(labels) if value is None else max(sum(bound <= value for bound in bounds) - 1, 0) for value in values]
    if len(labels) in groups:
        labels.append("none")
    return labels, groups


def shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:60]
