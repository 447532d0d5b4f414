"""Datasette's plugin: every connection has fafcas's functions, and each table with vectors a page to search it and a map.

The pages are /DATABASE/TABLE/-/search and /DATABASE/TABLE/-/map; docs/page.md tells how they are used.
"""

from __future__ import annotations

import os
from html import escape
from typing import Any, Callable, Optional

from datasette import hookimpl

from .._load import load
from . import known, pages

# Visitors write SQL of their own: they search, but do not set threads and memory.
os.environ.setdefault("FAFCAS_LOCK_CONFIG", "1")


@hookimpl
def prepare_connection(conn: Any) -> None:
    load(conn)


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    table = r"^/(?P<database>[^/]+)/(?P<table>[^/]+)/-/"
    return [(table + "search$", pages.search), (table + "map$", pages.draw), (table + r"map\.json$", pages.points)]


@hookimpl
def table_actions(datasette: Any, database: str, table: str) -> list[dict[str, str]]:
    if table not in known.of(datasette, database).tables:
        return []
    address = datasette.urls.table(database, table)
    return [{"href": f"{address}/-/search", "label": "Search by meaning"}, {"href": f"{address}/-/map", "label": "Map of its vectors"}]


@hookimpl(optionalhook=True)
def get_metadata(datasette: Any, database: Optional[str]) -> dict[str, Any]:
    """Tables behind an index are hidden, and tables with vectors lead to their pages. What users write themselves goes before it."""
    names = [database] if database else list(datasette.databases)
    return {"databases": {name: {"tables": described(datasette, name)} for name in names if name in datasette.databases}}


def described(datasette: Any, database: str) -> dict[str, dict[str, Any]]:
    found = known.of(datasette, database)
    tables: dict[str, dict[str, Any]] = {name: {"hidden": True} for name in found.hidden}
    for name in found.tables:
        address = escape(datasette.urls.table(database, name))
        tables[name] = {
            "description_html": f'<a href="{address}/-/search">Search by meaning</a>, or see the <a href="{address}/-/map">map</a>'
        }
    return tables
