"""A field of Django (package `django`) for vectors, and the search among the rows of a queryset.

    INSTALLED_APPS = [..., "fafcas.django.Fafcas"]

    class Note(models.Model):
        body = models.TextField()
        embedding = VectorField(384, null=True)

    nearest(Note.objects.filter(kind="sea"), "embedding", vector, 10)

The app loads the library into each connection to an SQLite database. Without the app, `fafcas.load(connection)` does so for one.
"""

from __future__ import annotations

import json
from typing import Any, Optional

from django.apps import AppConfig
from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.backends.signals import connection_created

from ._load import _load_into, _prepare_embedding
from ._matrix import as_array
from ._vector import checked
from .kit.source import path_of


class Fafcas(AppConfig):
    name = "fafcas.django"
    label = "fafcas"
    verbose_name = "fafcas"

    def ready(self) -> None:
        _prepare_embedding()
        connection_created.connect(_load_into_new, dispatch_uid="fafcas")


def _load_into_new(connection: Any, **_: Any) -> None:
    if connection.vendor == "sqlite":
        _load_into(connection.connection)


class VectorField(models.BinaryField):  # type: ignore[type-arg, unused-ignore]
    """Vectors as BLOBs of 4-byte floats: of lists, arrays of numpy and of the standard library, and BLOBs that are ready.

    What is read back is an array of numpy where numpy is, else the BLOB. With `dimensions`, a vector of another length is
    refused.
    """

    description = "A vector of 4-byte floats"

    def __init__(self, dimensions: Optional[int] = None, **named: Any) -> None:
        self.dimensions = dimensions
        super().__init__(**named)

    def deconstruct(self) -> Any:
        name, path, arguments, named = super().deconstruct()
        return name, path, arguments, {**named, "dimensions": self.dimensions}

    def get_prep_value(self, value: Any) -> Any:
        # An expression, such as Func("body", function="embed"), is SQL's to compute.
        if hasattr(value, "resolve_expression"):
            return value
        return checked(value, self.dimensions, f"fafcas.django.VectorField {self.name}")

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return as_array(value)

    def value_to_string(self, obj: Any) -> str:
        blob = self.get_prep_value(self.value_from_object(obj))
        return "" if blob is None else bytes(blob).hex()

    def to_python(self, value: Any) -> Any:
        """A text is that of a fixture."""
        if isinstance(value, str):
            return as_array(bytes.fromhex(value) or None)
        return value


def nearest(rows: Any, field: str, query: Any, k: int = 10, **options: Any) -> list[Any]:
    """The k rows of a queryset or manager whose vectors are nearest to the query, best first, each with its `score`.

    There are k whenever the queryset has so many with a vector. `query` is a vector; `options` are those of vec_topk.
    """
    rows = rows.all()
    model, connection = rows.model, connections[rows.db]
    values = [path_of(model._meta.db_table), model._meta.get_field(field).column, checked(query, None, "fafcas.django.nearest")]
    values.append(json.dumps(options) if options else None)
    condition = ""
    if not _is_whole(rows.query):
        try:
            inner, params = rows.values("pk").query.get_compiler(rows.db).as_sql()
        except EmptyResultSet:
            return []
        condition = f"WHERE t.id IN ({inner})"
        values.extend(params)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT t.id, t.score FROM vec_topk(%s, %s, %s, NULL, %s) AS t {condition} ORDER BY t.score DESC LIMIT %s", [*values, k])
        scores = dict(cursor.fetchall())
    key = model._meta.pk
    # Django filters no slice.
    among = model._default_manager.using(rows.db) if rows.query.is_sliced else rows
    found = {key.get_db_prep_value(row.pk, connection): row for row in among.filter(pk__in=[key.to_python(name) for name in scores])}
    for name, row in found.items():
        row.score = scores[name]
    return [found[name] for name in scores]


def _is_whole(query: Any) -> bool:
    """Whether it has all rows of one table, so that no condition is needed."""
    restricted = query.where or query.is_sliced or query.distinct or query.combinator or query.extra_tables or query.is_empty()
    return not restricted and len(query.alias_map) < 2
