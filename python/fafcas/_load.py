"""Loading the library into a connection, whoever made it."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ._library import LoadError, loadable_path
from ._vector import bindable
from .models import ensure_model

_WANTED = "a connection of sqlite3, pysqlite3, apsw, SQLAlchemy or Django, or a SQLAlchemy Engine"

# Of the library, beside the one that SQLite finds by itself.
_SCHEMA_SEARCH = "sqlite3_fafcas_schema_search_init"
_LOAD_BY_ENTRY = "SELECT load_extension(?, ?)"


def load(connection: Any, *, schema_search: bool = False) -> None:
    """Gives a connection fafcas's SQL functions, and lets numpy arrays be bound as vectors.

    `connection` is one of `sqlite3`, `pysqlite3` or `apsw`, of Django or SQLAlchemy, or an `Engine` or `AsyncEngine`. An engine,
    and a database of Django, then has them in all its connections, later ones too. Loading extensions is switched off again
    afterwards. With `fafcas[embed]` installed, the first call ever fetches the model; `fafcas.fetch_model` tells how.

    `schema_search` lets views and triggers that a database file stores search on this connection, or those of this engine.
    It is only for files that you trust: they could read other attached databases. TEMP views and triggers always search. The
    last load of a connection decides.

    Raises `LoadError` if this build of SQLite or Python cannot load extensions, and `TypeError` for what is no such connection.
    """
    if _is_async(connection):
        name = type(connection).__name__
        way = "await connection.run_sync(fafcas.load)" if name == "AsyncConnection" else "await fafcas.load_async(connection)"
        raise TypeError(f"fafcas.load: expected a connection to call at once, not {_named(connection)}, which is awaited: {way}")
    _prepare_embedding()
    if hasattr(connection, "vendor") and hasattr(connection, "ensure_connection"):
        _load_into_django(connection, schema_search)
    elif hasattr(connection, "load_extension") or hasattr(connection, "cursor"):
        _load_into(connection, schema_search)
    elif hasattr(connection, "dialect"):
        _load_into_sqlalchemy(connection, schema_search)
    else:
        raise TypeError(f"fafcas.load: expected {_WANTED}, not {_named(connection)}")


async def load_async(connection: Any, *, schema_search: bool = False) -> None:
    """`load` for a connection of `aiosqlite`, or an `AsyncConnection` or `AsyncEngine` of SQLAlchemy over it."""
    import asyncio

    # It may fetch the model.
    await asyncio.to_thread(_prepare_embedding)
    if hasattr(connection, "run_sync"):
        await connection.run_sync(load, schema_search=schema_search)
    elif _is_async(connection):
        await _load_into_aiosqlite(connection, schema_search)
    else:
        load(connection, schema_search=schema_search)


def _is_async(connection: Any) -> bool:
    """Not an AsyncEngine: what is loaded into its connections is loaded when one is taken."""
    return inspect.iscoroutinefunction(getattr(connection, "load_extension", None)) or hasattr(connection, "run_sync")


def _named(connection: Any) -> str:
    kind = type(connection)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _load_into(connection: Any, schema_search: bool = False) -> None:
    """Loads into a connection of a database module."""
    library = loadable_path()
    if not hasattr(connection, "enable_load_extension"):
        raise LoadError(_no_extensions(connection))
    connection.enable_load_extension(True)
    try:
        if schema_search:
            _load_by_entry(connection, library, _SCHEMA_SEARCH)
        else:
            connection.load_extension(library)
    except Exception as error:
        raise LoadError(f"fafcas: {library} could not be loaded: {error}") from error
    finally:
        connection.enable_load_extension(False)
    _take_arrays(connection)


def _load_by_entry(connection: Any, library: str, entry: str) -> None:
    try:
        connection.load_extension(library, entrypoint=entry)
    except TypeError:
        # sqlite3 before Python 3.12, and pysqlite3.
        connection.cursor().execute(_LOAD_BY_ENTRY, (library, entry)).fetchall()


async def _load_into_aiosqlite(connection: Any, schema_search: bool) -> None:
    import sqlite3

    library = loadable_path()
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        raise LoadError(_built_without("sqlite3"))
    await connection.enable_load_extension(True)
    try:
        if schema_search:
            await connection.execute_fetchall(_LOAD_BY_ENTRY, (library, _SCHEMA_SEARCH))
        else:
            await connection.load_extension(library)
    except Exception as error:
        raise LoadError(f"fafcas: {library} could not be loaded: {error}") from error
    finally:
        await connection.enable_load_extension(False)
    _adapt_arrays(sqlite3)


def _no_extensions(connection: Any) -> str:
    """Why, by what the connection is: sqlite3's own has the call or was built without, and others may not know it at all."""
    modules = [kind.__module__.split(".")[0] for kind in type(connection).__mro__]
    ours = next((module for module in modules if module in ("sqlite3", "pysqlite3")), None)
    if ours is not None:
        return _built_without(ours)
    # libsql is made with PyO3, which names no module.
    name = "libsql" if modules[0] == "builtins" and hasattr(connection, "sync") else _named(connection)
    return (
        f"fafcas.load: expected a connection that can load extensions, not one of {name}, which has no enable_load_extension: "
        f"open the file with sqlite3, apsw (pip install apsw) or pysqlite3 (pip install pysqlite3-binary)"
    )


def _built_without(module: str) -> str:
    return (
        f"fafcas.load: expected a connection that can load extensions, not one of {module}, which this Python "
        f"({sys.executable}) was built without: use apsw (pip install apsw) or pysqlite3 (pip install pysqlite3-binary), "
        "or a Python built with --enable-loadable-sqlite-extensions, such as Debian's /usr/bin/python3"
    )


def _load_into_django(connection: Any, schema_search: bool) -> None:
    """Into this connection, and into each that Django opens for this database later: it closes them between requests."""
    if connection.vendor != "sqlite":
        raise TypeError(f"fafcas.load: expected a database of sqlite, not the {connection.vendor} database {connection.alias!r} of Django")
    from django.db.backends.signals import connection_created

    alias = connection.alias

    def loaded(connection: Any, **_: Any) -> None:
        if connection.alias == alias:
            _load_into(connection.connection, schema_search)

    connection.ensure_connection()
    _load_into(connection.connection, schema_search)
    # In place of that of an earlier load.
    connection_created.disconnect(dispatch_uid=f"fafcas {alias}")
    connection_created.connect(loaded, weak=False, dispatch_uid=f"fafcas {alias}")


def _load_into_sqlalchemy(target: Any, schema_search: bool) -> None:
    if target.dialect.name != "sqlite":
        raise TypeError(f"fafcas.load: expected a database of dialect sqlite, not {target.dialect.name}")
    if hasattr(target, "connection"):
        _load_into_pooled(target.connection.dbapi_connection, schema_search)
        return
    from sqlalchemy import event

    # At every checkout and not once at the connect: connections that the pool holds already need it too.
    def loaded(connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.get("fafcas") is not schema_search:
            _load_into_pooled(connection, schema_search)
            record.info["fafcas"] = schema_search

    event.listen(getattr(target, "sync_engine", target), "checkout", loaded)


def _load_into_pooled(connection: Any, schema_search: bool) -> None:
    """An asynchronous driver's connection comes in a wrapper that has awaitables run."""

    async def loaded(connection: Any) -> None:
        if not _is_async(connection):
            raise LoadError(_no_extensions(connection))
        await _load_into_aiosqlite(connection, schema_search)

    if hasattr(connection, "run_async"):
        connection.run_async(loaded)
    else:
        _load_into(connection, schema_search)


def _prepare_embedding() -> None:
    """Names ONNX Runtime's library, if the package is there, before fafcas looks for it; and sees to the model."""
    library = _onnxruntime()
    if library is not None:
        os.environ.setdefault("FAFCAS_ONNXRUNTIME", str(library))
        ensure_model()


def _onnxruntime() -> Path | None:
    """The library in the package onnxruntime, which is found but not imported: that takes a while and is not needed."""
    found = importlib.util.find_spec("onnxruntime")
    for folder in (found and found.submodule_search_locations) or []:
        for pattern in ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll"):
            libraries = sorted(Path(folder, "capi").glob(pattern))
            if libraries:
                return libraries[0]
    return None


def _take_arrays(connection: Any) -> None:
    if hasattr(connection, "cursor_factory"):
        _take_arrays_in_apsw(connection)
        return
    modules = (sys.modules.get(kind.__module__) for kind in type(connection).__mro__)
    module: Any = next((module for module in modules if hasattr(module, "register_adapter")), None)
    if module:
        _adapt_arrays(module)


def _adapt_arrays(module: Any) -> None:
    # These modules know adapters for the whole process. One that the program has made is left in place.
    known = getattr(module, "adapters", {})
    for kind in _array_kinds():
        if (kind, getattr(module, "PrepareProtocol", None)) not in known:
            module.register_adapter(kind, bindable)


def _array_kinds() -> tuple[type[Any], ...]:
    if importlib.util.find_spec("numpy") is None:
        return (array,)
    import numpy

    return (array, numpy.ndarray)


def _take_arrays_in_apsw(connection: Any) -> None:
    import apsw

    if connection.cursor_factory is not apsw.Cursor:
        return
    kinds = _array_kinds()

    def taken(value: Any) -> Any:
        return value if not isinstance(value, kinds) else bindable(value)

    def all_taken(bindings: Any) -> Any:
        if isinstance(bindings, Mapping):
            return {name: taken(value) for name, value in bindings.items()}
        return bindings if bindings is None else tuple(map(taken, bindings))

    class Cursor(apsw.Cursor):
        """apsw binds an array as its bytes and asks nobody; here it is made a vector before."""

        def execute(self, statements: str, bindings: Any = None, **options: Any) -> Any:
            return super().execute(statements, all_taken(bindings), **options)

        def executemany(self, statements: str, sequenceofbindings: Iterable[Any], **options: Any) -> Any:
            return super().executemany(statements, map(all_taken, sequenceofbindings), **options)

    connection.cursor_factory = Cursor
