"""The field of Django, its searches, and the library in connections that Django opens anew."""

import subprocess
import sys
import tempfile
from array import array
from pathlib import Path

import django
import fafcas
import numpy as np
import pytest
from django.conf import settings

FOLDER = Path(tempfile.mkdtemp())
FILES = {name: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / f"{name}.db")} for name in ("default", "other")}
if not settings.configured:
    settings.configure(DATABASES=FILES, INSTALLED_APPS=["fafcas.django.Fafcas"], DEFAULT_AUTO_FIELD="django.db.models.AutoField")
    django.setup()

from django.core import serializers  # noqa: E402
from django.db import connection, connections, models  # noqa: E402
from django.db.migrations.writer import MigrationWriter  # noqa: E402
from fafcas.django import VectorField, nearest  # noqa: E402

ROWS = np.random.default_rng(3).standard_normal((50, 4))


class Note(models.Model):
    kind = models.TextField()
    embedding = VectorField(4, null=True, db_column="vector of it")

    class Meta:
        app_label = "fafcas"
        db_table = "my notes"


@pytest.fixture(autouse=True)
def table():
    with connection.schema_editor() as editor:
        editor.create_model(Note)
    Note.objects.bulk_create(Note(kind="ab"[at % 2], embedding=row) for at, row in enumerate(ROWS))
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Note)


def best(rows, query, k):
    return np.argsort(-(rows @ query), kind="stable")[:k]


def test_each_kind_of_vector_is_stored_as_4_byte_floats():
    for values in ([1, 2, 3, 4], np.array([1, 2, 3, 4]), np.array([1.0, 2, 3, 4]), array("d", [1, 2, 3, 4]), fafcas.vector([1, 2, 3, 4])):
        note = Note.objects.create(kind="x", embedding=values)
        with connection.cursor() as cursor:
            cursor.execute('SELECT hex("vector of it") FROM "my notes" WHERE id = %s', [note.id])
            assert cursor.fetchone() == ("0000803F000000400000404000008040",)
        assert Note.objects.get(id=note.id).embedding.tolist() == [1, 2, 3, 4]
        assert Note.objects.filter(embedding=values, id=note.id).exists()
    assert Note.objects.get(id=Note.objects.create(kind="x").id).embedding is None


@pytest.mark.parametrize(("wrong", "told"), [(np.ones((2, 2)), "one dimension, not of 2"), (np.ones(5), "VectorField embedding: expected 4 dimensions, not 5"), ("x", "not the text 'x'")])
def test_what_is_no_vector_is_refused(wrong, told):
    with pytest.raises((TypeError, ValueError), match=told):
        Note.objects.create(kind="x", embedding=wrong)


def test_the_nearest_rows_of_a_queryset():
    query = ROWS[7] * 2
    found = nearest(Note.objects, "embedding", query, 5)
    assert [note.id - 1 for note in found] == best(ROWS, query, 5).tolist()
    np.testing.assert_allclose([note.score for note in found], (ROWS @ query)[best(ROWS, query, 5)], rtol=1e-5)
    found = nearest(Note.objects.filter(kind="a").exclude(id=1), "embedding", query, 5)
    assert [note.id - 1 for note in found] == [2 * at for at in best(ROWS[::2], query, 6) if at][:5]
    assert nearest(Note.objects.filter(kind="none"), "embedding", query) == []
    assert nearest(Note.objects.none(), "embedding", query) == []
    assert {note.id for note in nearest(Note.objects.order_by("id")[:3], "embedding", query, 5)} == {1, 2, 3}
    cosines = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    assert [note.id - 1 for note in nearest(Note.objects.all(), "embedding", query, 3, metric="cosine")] == best(cosines, query, 3).tolist()


def test_connections_that_are_opened_again_have_it():
    for _ in range(2):
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT vec_dot('[1,2]', '[3,4]')")
            assert cursor.fetchone() == (11,)


@pytest.mark.parametrize("trusted", [True, False])
def test_the_last_load_decides_for_later_connections_too(trusted):
    other = connections["other"]
    fafcas.load(other, schema_search=not trusted)
    fafcas.load(other, schema_search=trusted)
    other.close()
    with other.cursor() as cursor:
        cursor.execute("DROP VIEW IF EXISTS found")
        cursor.execute("CREATE TABLE IF NOT EXISTS t (v)")
        cursor.execute("CREATE VIEW found AS SELECT * FROM vec_topk('t', 'v', '[1,0]', 1)")
        if trusted:
            assert cursor.execute("SELECT * FROM found").fetchall() == []
        else:
            with pytest.raises(django.db.OperationalError, match="unsafe|FAFCAS_SCHEMA_SEARCH|schema"):
                cursor.execute("SELECT * FROM found")


def test_fields_are_written_to_migrations_and_fixtures():
    text, _ = MigrationWriter.serialize(Note._meta.get_field("embedding"))
    assert "fafcas.django.VectorField" in text and "dimensions=4" in text
    (note,) = serializers.deserialize("json", serializers.serialize("json", [Note(id=900, kind="x", embedding=[1, 2, 3, 4])]))
    note.save()
    assert Note.objects.get(id=900).embedding.tolist() == [1, 2, 3, 4]


def test_one_connection_without_the_app():
    program = f"""if 1:
        import django, fafcas
        from django.conf import settings
        settings.configure(DATABASES={FILES!r})
        django.setup()
        from django.db import connections
        fafcas.load(connections["default"])
        for name, wanted in (("default", None), ("other", "no such function")):
            for _ in range(2):
                try:
                    assert connections[name].cursor().execute("SELECT vec_version()").fetchone() and wanted is None
                except django.db.OperationalError as error:
                    assert wanted and wanted in str(error), error
                connections[name].close()
        class Other:
            vendor, alias = "postgresql", "default"
            def ensure_connection(self): raise AssertionError
        try:
            fafcas.load(Other())
        except TypeError as error:
            assert "not the postgresql database 'default' of Django" in str(error)
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", program], check=True)
    assert connections["other"].cursor().execute("SELECT vec_version()").fetchone()
