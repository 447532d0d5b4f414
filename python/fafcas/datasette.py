"""Datasette's hook: every connection has fafcas's functions as soon as the package is installed."""

from __future__ import annotations

import os
from typing import Any

from datasette import hookimpl

from ._load import load

# Visitors write SQL of their own: they search, but do not set threads and memory.
os.environ.setdefault("FAFCAS_LOCK_CONFIG", "1")


@hookimpl
def prepare_connection(conn: Any) -> None:
    load(conn)
