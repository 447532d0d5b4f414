"""The hook of sqlite-utils: every connection has fafcas's functions as soon as the package is installed."""

from __future__ import annotations

from typing import Any

from sqlite_utils import hookimpl

from ._load import load


@hookimpl
def prepare_connection(conn: Any) -> None:
    load(conn)
