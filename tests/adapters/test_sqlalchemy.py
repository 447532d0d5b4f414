"""The column type of SQLAlchemy, and searches in its statements, in both kinds of engine."""

from array import array

import fafcas
import numpy as np
import pytest
from fafcas.sqlalchemy import Vector
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, func, insert, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

ROWS = np.random.default_rng(3).standard_normal((50, 4))


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "my notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    embedding = mapped_column("vector of it", Vector(4))


@pytest.fixture()
def engine(tmp_path):
    made = create_engine(f"sqlite:///{tmp_path / 'notes.db'}")
    fafcas.load(made)
    Base.metadata.create_all(made)
    with Session(made) as session, session.begin():
        session.add_all(Note(id=at, kind="ab"[at % 2], embedding=row) for at, row in enumerate(ROWS))
    return made


def nearest(rows, query, k):
    return [int(at) for at in np.argsort(-(rows @ query), kind="stable")[:k]]


def test_each_kind_of_vector_is_stored_as_4_byte_floats(engine):
    with Session(engine) as session:
        for values in ([1, 2, 3, 4], (1.0, 2, 3, 4), np.array([1, 2, 3, 4]), np.array([1.0, 2, 3, 4], ">f8"), array("d", [1, 2, 3, 4]), fafcas.vector([1, 2, 3, 4])):
            note = Note(kind="x", embedding=values)
            session.add(note)
            session.commit()
            assert session.scalar(text('SELECT hex("vector of it") FROM "my notes" WHERE id = :id'), {"id": note.id}) == "0000803F000000400000404000008040"
            assert note.embedding.tolist() == [1, 2, 3, 4] and note.embedding.dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (np.ones((2, 2)), "one dimension, not of 2"),
        (np.ones(5), "expected 4 dimensions, not 5"),
        (np.ones(4).tobytes(), "twice as many: float64"),
        (b"12345", "4-byte floats, not 5 bytes"),
        ("[1,2,3,4]", "expected numbers, not the text"),
    ],
)
def test_what_is_no_vector_is_refused(engine, wrong, told):
    with Session(engine) as session, pytest.raises(StatementError, match=told):
        session.add(Note(kind="x", embedding=wrong))
        session.flush()


def test_the_nearest_rows_are_joined_and_filtered(engine):
    query = ROWS[7] * 2
    with Session(engine) as session:
        found = Note.embedding.topk(query, 5)
        rows = session.execute(select(Note, found.c.score).join(found, found.c.rowid == Note.id).order_by(found.c.score.desc())).all()
        assert [note.id for note, _ in rows] == nearest(ROWS, query, 5)
        np.testing.assert_allclose([score for _, score in rows], sorted(ROWS @ query, reverse=True)[:5], rtol=1e-5)

        found = Note.embedding.topk(query)
        wanted = select(Note.id).join(found, found.c.rowid == Note.id).where(Note.kind == "a").order_by(found.c.score.desc()).limit(5)
        assert session.scalars(wanted).all() == [2 * at for at in nearest(ROWS[::2], query, 5)]

        found = Note.embedding.topk(func.fafcas_normalize(array("f", query)), 3, name="by_cosine", metric="cosine")
        cosines = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
        assert session.scalars(select(found.c.id).order_by(found.c.rank)).all() == nearest(cosines, query, 3)


def test_a_table_without_classes_and_nothing_at_all(engine):
    table = Table("plain", MetaData(), Column("id", Integer, primary_key=True), Column("v", Vector))
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": 1, "v": [1, 0]}, {"id": 2, "v": None}, {"id": 3, "v": [0, 1]}])
        assert connection.execute(select(table.c.v).where(table.c.id == 2)).scalar() is None
        found = table.c.v.topk([0, 2], 1)
        assert connection.execute(select(found.c.id, found.c.score)).all() == [(3, 2.0)]
        assert connection.execute(select(table.c.id).where(table.c.v == [1, 0])).scalar() == 1
        assert "x'0000803f00000000'" in str(select(table.c.id).where(table.c.v == [1, 0]).compile(engine, compile_kwargs={"literal_binds": True}))


async def test_an_asynchronous_engine(engine, tmp_path):
    other = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'notes.db'}")
    fafcas.load(other)
    found = Note.embedding.topk(ROWS[7], 5)
    for _ in range(2):
        async with other.connect() as connection:
            assert (await connection.execute(select(found.c.id).order_by(found.c.rank))).scalars().all() == nearest(ROWS, ROWS[7], 5)
    await other.dispose()
