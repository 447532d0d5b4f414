"""A column type of SQLAlchemy (package `sqlalchemy`) for vectors, and the search for a column of it.

    from fafcas.sqlalchemy import Vector

    class Note(Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        embedding = mapped_column(Vector(384))

    fafcas.load(engine)
    nearest = Note.embedding.topk(vector, 10)
    session.execute(select(Note, nearest.c.score).join(nearest, nearest.c.rowid == Note.id).order_by(nearest.c.score.desc()))
"""

from __future__ import annotations

import json
from typing import Any, Optional

from sqlalchemy import Float, Integer, LargeBinary, String, column, func, literal
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeDecorator

from ._matrix import as_array
from ._vector import checked
from .kit.source import path_of


class Vector(TypeDecorator[Any]):
    """Vectors as BLOBs of 4-byte floats: of lists, arrays of numpy and of the standard library, and BLOBs that are ready.

    What is read back is an array of numpy where numpy is, else the BLOB. With `dimensions`, a vector of another length is
    refused. Numbers are stored as they are given; `func.fafcas_normalize(...)` scales them to unit length.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, dimensions: Optional[int] = None) -> None:
        super().__init__()
        self.dimensions = dimensions

    def process_bind_param(self, value: Any, dialect: Any) -> Optional[bytes]:
        return checked(value, self.dimensions, "fafcas.sqlalchemy.Vector")

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return as_array(value)

    def literal_processor(self, dialect: Any) -> Any:
        def literal_of(value: Any) -> str:
            blob = self.process_bind_param(value, dialect)
            return "NULL" if blob is None else f"x'{blob.hex()}'"

        return literal_of

    class comparator_factory(TypeDecorator.Comparator[Any]):  # noqa: N801, as SQLAlchemy names it
        def topk(self, query: Any, k: Optional[int] = None, *, name: str = "nearest", **options: Any) -> TableValuedAlias:
            """`vec_topk` over this column: a table of `rowid`, `id`, `score`, `distance`, `rank` and `source`, to join.

            With k, the k nearest rows. Without, all of them, best first, for a statement that filters and has a LIMIT. `query`
            is a vector, or an expression such as `func.embed_query("a question")`. `options` are those of vec_topk.
            """
            expression: Any = self.expr
            table = expression.table
            path = ".".join(path_of(part) for part in (table.schema, table.name) if part)
            wanted = query if isinstance(query, ClauseElement) else literal(query, self.type)
            packed = json.dumps(options) if options else None
            return func.vec_topk(path, expression.name, wanted, k, packed).table_valued(
                column("rowid", Integer),
                column("id"),
                column("score", Float),
                column("distance", Float),
                column("rank", Integer),
                column("source", String),
                name=name,
            )
