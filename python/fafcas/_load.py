"""Loading the library into a connection, whoever made it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ._library import LoadError, loadable_path
from ._vector import bindable
from .models import ensure_model

_NOT_A_CONNECTION = "a connection of sqlite3, pysqlite3, apsw or SQLAlchemy, or a SQLAlchemy Engine"


# Of the library, beside the one that SQLite finds by itself.
_SCHEMA_SEARCH = "sqlite3_fafcas_schema_search_init"


def load(connection: Any, *, schema_search: bool = False) -> None:
    """Gives a connection fafcas's SQL functions, and lets numpy arrays be bound as vectors.

    `connection` is one of `sqlite3`, `pysqlite3` or `apsw`, a SQLAlchemy `Connection`, or an `Engine`, all of whose
    connections then have them. Loading extensions is switched off again afterwards. With `fafcas[embed]` installed, the
    first call ever fetches the model; `fafcas.fetch_model` tells how.

    `schema_search` lets views and triggers that a database file stores search on this connection, or those of this engine.
    It is only for files that you trust: they could read other attached databases. TEMP views and triggers always search. The
    last load of a connection decides.

    Raises `LoadError` if this build of SQLite or Python cannot load extensions.
    """
    _prepare_embedding()
    if hasattr(connection, "load_extension") or hasattr(connection, "cursor"):
        _load_into(connection, schema_search)
    elif hasattr(connection, "dialect"):
        _load_into_sqlalchemy(connection, schema_search)
    else:
        raise TypeError(f"fafcas.load: expected {_NOT_A_CONNECTION}, not {type(connection).__qualname__}")


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
        connection.cursor().execute("SELECT load_extension(?, ?)", (library, entry)).fetchall()


def _no_extensions(connection: Any) -> str:
    module = type(connection).__module__
    return (
        f"fafcas.load: expected a connection that can load extensions, not one of {module}, which this Python "
        f"({sys.executable}) was built without: use apsw (pip install apsw) or pysqlite3 (pip install pysqlite3-binary), "
        "or a Python built with --enable-loadable-sqlite-extensions, such as Debian's /usr/bin/python3"
    )


def _load_into_sqlalchemy(target: Any, schema_search: bool) -> None:
    if target.dialect.name != "sqlite":
        raise TypeError(f"fafcas.load: expected a database of dialect sqlite, not {target.dialect.name}")
    if hasattr(target, "connection"):
        _load_into(target.connection.driver_connection, schema_search)
        return
    from sqlalchemy import event

    # At every checkout and not once at the connect: connections that the pool holds already need it too.
    def loaded(connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.get("fafcas") is not schema_search:
            _load_into(connection, schema_search)
            record.info["fafcas"] = schema_search

    event.listen(target, "checkout", loaded)


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
    if importlib.util.find_spec("numpy") is None:
        return
    if hasattr(connection, "cursor_factory"):
        _take_arrays_in_apsw(connection)
        return
    import numpy

    modules = (sys.modules.get(kind.__module__) for kind in type(connection).__mro__)
    module: Any = next((module for module in modules if hasattr(module, "register_adapter")), None)
    # These modules know adapters for the whole process. One that the program has made is left in place.
    known = getattr(module, "adapters", {})
    if module and (numpy.ndarray, getattr(module, "PrepareProtocol", None)) not in known:
        module.register_adapter(numpy.ndarray, bindable)


def _take_arrays_in_apsw(connection: Any) -> None:
    import apsw
    import numpy

    if connection.cursor_factory is not apsw.Cursor:
        return

    def taken(value: Any) -> Any:
        return bindable(value) if isinstance(value, numpy.ndarray) else value

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
