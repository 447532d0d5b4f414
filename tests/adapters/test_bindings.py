"""Loading into each kind of connection: it works, or the error says why it cannot."""

import sqlite3

import aiosqlite
import fafcas
import libsql
import numpy as np
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

ASK = "SELECT vec_dot('[1,2]', '[3,4]'), length(?)"


async def test_aiosqlite():
    async with aiosqlite.connect(":memory:") as connection:
        with pytest.raises(TypeError, match=r"not aiosqlite.core.Connection, which is awaited: await fafcas.load_async\(connection\)"):
            fafcas.load(connection)
        await fafcas.load_async(connection)
        async with connection.execute(ASK, [np.ones(3)]) as cursor:
            assert await cursor.fetchone() == (11, 12)
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            await connection.execute("SELECT load_extension(?)", [fafcas.loadable_path()])


@pytest.mark.parametrize("way", ["engine", "load_async engine", "run_sync", "load_async"])
async def test_asynchronous_engines_of_sqlalchemy(way):
    engine = create_async_engine("sqlite+aiosqlite://")
    if way == "engine":
        fafcas.load(engine)
    elif way == "load_async engine":
        await fafcas.load_async(engine)
    async with engine.connect() as connection:
        if way == "run_sync":
            await connection.run_sync(fafcas.load)
        elif way == "load_async":
            with pytest.raises(TypeError, match=r"AsyncConnection, which is awaited: await connection.run_sync\(fafcas.load\)"):
                fafcas.load(connection)
            await fafcas.load_async(connection)
        found = await connection.execute(text(ASK.replace("?", ":v")), {"v": np.ones(3)})
        assert tuple(found.one()) == (11, 12)
    await engine.dispose()


async def test_load_async_takes_other_connections_too():
    connection = sqlite3.connect(":memory:")
    await fafcas.load_async(connection)
    assert connection.execute(ASK, [np.ones(3)]).fetchone() == (11, 12)


def test_libsql_cannot_load_and_is_told_so():
    with pytest.raises(fafcas.LoadError, match="not one of libsql, which has no enable_load_extension: open the file with sqlite3, apsw"):
        fafcas.load(libsql.connect(":memory:"))


def test_what_is_no_connection():
    for wrong in ("notes.db", None, 7, create_engine):
        with pytest.raises(TypeError, match="expected a connection of sqlite3, .* not "):
            fafcas.load(wrong)


def test_a_connection_that_is_closed_or_has_another_library():
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        fafcas.load(connection)


def test_a_file_that_is_no_library(monkeypatch):
    monkeypatch.setenv("FAFCAS_LIBRARY", "/nowhere/fafcas.so")
    with pytest.raises(fafcas.LoadError, match="/nowhere/fafcas.so could not be loaded"):
        fafcas.load(sqlite3.connect(":memory:"))
