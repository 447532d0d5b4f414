"""The pages of a table with vectors: its search, its map, and the points of the map. They only read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from datasette.utils import tilde_decode
from datasette.utils.asgi import NotFound, Response
from datasette.utils.sqlite import sqlite3

from ..kit.scripts import Refused
from ..kit.source import Source
from . import answer, picture
from .asked import OPERATORS, WAYS, Asked, Filter, asked

# What a page may load: nothing from elsewhere, and no script that stands in it. So no text of a row can do anything.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

COUNTS = (10, 25, 50, 100)


@dataclass(frozen=True)
class Place:
    """The table that an address names, and who asks."""

    datasette: Any
    request: Any
    database: str
    table: str

    @property
    def address(self) -> str:
        return str(self.datasette.urls.table(self.database, self.table))

    @property
    def seconds(self) -> float:
        return float(self.datasette.setting("sql_time_limit_ms")) / 1000

    async def read(self, function: Callable[[Any, Source], Any]) -> Any:
        """What a function says of the connection and of the table's source, in a thread of Datasette's."""
        column = self.request.args.get("vectors")

        def called(connection: Any) -> Any:
            return function(connection, answer.named_source(connection, self.table, column))

        return await self.datasette.get_database(self.database).execute_fn(called)

    async def page(self, template: str, status: int = 200, **values: Any) -> Response:
        values |= {"database": self.database, "table": self.table, "address": self.address}
        values["static"] = self.datasette.urls.static_plugins(static_name(), "")
        values["database_address"] = self.datasette.urls.database(self.database)
        html = await self.datasette.render_template(template, values, request=self.request)
        return Response.html(html, status=status, headers=HEADERS)

    def rows_where(self, key: str, value: Any) -> str:
        return f"{self.address}?{urlencode({key + '__exact': value})}"

    def sql_address(self, sql: str) -> str:
        return f"{self.datasette.urls.database(self.database)}?{urlencode({'sql': sql})}"


@functools.cache
def static_name() -> str:
    """Under which name Datasette gives out the files of this plugin: the package's where it is installed, else the module's."""
    # Not above: Datasette loads this module while that one is being read.
    from datasette.plugins import get_plugins

    here = str(Path(__file__).parent / "static")
    return next(str(plugin["name"]) for plugin in get_plugins() if plugin["static_path"] == here)


async def at(datasette: Any, request: Any) -> Place:
    """Who may not see the table in Datasette sees nothing of it here."""
    database, table = (tilde_decode(request.url_vars[name]) for name in ("database", "table"))
    if database not in datasette.databases:
        raise NotFound(f"expected a database out of {', '.join(datasette.databases)}, not {database}")
    await datasette.ensure_permissions(
        request.actor, [("view-table", (database, table)), ("view-database", database), "view-instance"]
    )
    return Place(datasette, request, database, table)


async def search(datasette: Any, request: Any) -> Response:
    place = await at(datasette, request)
    try:
        question = asked(request.args)
        form = await place.read(lambda connection, source: Form.of(connection, source, question))
    except (Refused, sqlite3.Error) as error:
        return await place.page("fafcas_search.html", status=400, error=str(error))
    values: dict[str, Any] = {"form": form, "asked": question}
    status = 200
    try:
        found = await place.read(lambda connection, source: answer.Asking(connection, source, question, place.seconds).run())
        values |= {"answer": found, "run": place.sql_address(found.sql)}
        values["links"] = [
            {"row": place.rows_where(form.key, hit.id), "like": f"?{urlencode({'like': hit.id})}"} for hit in found.hits
        ]
    except (Refused, sqlite3.Error, ValueError) as error:
        values["error"], status = str(error), 400
    return await place.page("fafcas_search.html", status=status, **values)


@dataclass(frozen=True)
class Form:
    """What the form of a source offers."""

    key: str
    columns: tuple[str, ...]
    choices: dict[str, list[Any]]
    chosen: dict[str, str]
    filters: tuple[Filter, ...]
    has_words: bool
    ways: tuple[str, ...] = tuple(WAYS)
    operators: tuple[str, ...] = tuple(OPERATORS)
    counts: tuple[int, ...] = COUNTS

    @classmethod
    def of(cls, connection: Any, source: Source, question: Asked) -> Form:
        choices = answer.choices(connection, source)
        chosen = {one.column: one.value for one in question.filters if one.operator == "is" and one.column in choices}
        others = tuple(one for one in question.filters if one.column not in chosen)
        columns = tuple(answer.kinds_of(connection, source))
        return cls(source.key, columns, choices, chosen, others, source.words is not None)


async def draw(datasette: Any, request: Any) -> Response:
    place = await at(datasette, request)
    by = request.args.get("by")
    try:
        offered = await place.read(lambda connection, source: picture.offered(connection, source, by))
    except (Refused, sqlite3.Error) as error:
        return await place.page("fafcas_map.html", status=400, error=str(error))
    points = f"{place.address}/-/map.json?{urlencode({'by': offered.by or ''})}"
    return await place.page("fafcas_map.html", offered=offered, points=points, run=place.sql_address(offered.sql))


async def points(datasette: Any, request: Any) -> Response:
    place = await at(datasette, request)
    by = request.args.get("by")
    try:
        found = await place.read(lambda connection, source: picture.points(connection, source, by, place.seconds))
    except (Refused, sqlite3.Error) as error:
        return Response.json({"error": str(error)}, status=400, headers=HEADERS)
    return Response.json(found, headers=HEADERS)
