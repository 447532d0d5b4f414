"""Turns the rows of `vec_trace` into spans of OpenTelemetry, and drops those that were told.

Call `report` now and then, such as every ten seconds, with a connection of the process that searches. Each search becomes a span.
Its stages become spans below it, one after the other in the order in which a search goes through them. The list tells how long
each took, not when it began.
"""

import json
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

STAGES = ("planning", "embedding", "opening", "sweeping", "fetching")
COUNTS = ("k", "rows", "candidates", "rescored", "cache_misses")
QUERY = f"""
    SELECT rowid, json_object('began', began, 'total', total_ms, 'function', function, 'source', source, 'column', column_name,
        'path', path, 'error', error, {", ".join(f"'{name}', {name}_ms" for name in STAGES)},
        {", ".join(f"'{name}', {name}" for name in COUNTS)})
    FROM vec_trace ORDER BY rowid"""


def report(connection: Any, tracer: Tracer) -> int:
    """Makes a span of each search that is in the list, and says how many there were."""
    found = connection.execute(QUERY).fetchall()
    for rowid, text in found:
        span(tracer, json.loads(text))
        connection.execute("DELETE FROM vec_trace WHERE rowid = ?", (rowid,))
    return len(found)


def span(tracer: Tracer, search: dict[str, Any]) -> None:
    """One search and its stages."""
    start = int(search["began"] * 1e9)
    names = {"db.system.name": "sqlite", "db.operation.name": search["function"], "db.collection.name": search["source"]}
    counts = {f"fafcas.{name}": search[name] for name in ("column", "path", *COUNTS)}
    known = {name: value for name, value in {**names, **counts}.items() if value is not None}
    parent = tracer.start_span(search["function"], start_time=start, attributes=known)
    if search["error"] is not None:
        parent.set_status(Status(StatusCode.ERROR, search["error"]))
    stages(tracer, parent, search, start)
    parent.end(end_time=start + int(search["total"] * 1e6))


def stages(tracer: Tracer, parent: Span, search: dict[str, Any], start: int) -> None:
    """The stages that took any time."""
    for name in STAGES:
        if search[name] > 0:
            stage = tracer.start_span(name, context=set_span_in_context(parent), start_time=start)
            start += int(search[name] * 1e6)
            stage.end(end_time=start)
