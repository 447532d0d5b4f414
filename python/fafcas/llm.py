"""The plugin for the command `llm`: the library's models to embed with, and the search in its embeddings as they are stored.

    llm embed-multi notes --files . '*.md' -m fafcas --store
    llm fafcas notes -c "why are there tides"

`llm` keeps its vectors as BLOBs of 4-byte floats, so nothing is converted: `llm fafcas` gives the rows of `llm similar`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import click
import llm
from llm.models import EmbeddingModel

from ._vector import numbers
from .models.fetch import CONVERTED, DEFAULT_MODEL

OPTIONS = '{"metric": "cosine"}'


@llm.hookimpl
def register_embedding_models(register: Any) -> None:
    for name in _models():
        register(Model(name), aliases=("fafcas",) if name == DEFAULT_MODEL else ())


def _models() -> list[str]:
    """Those that are fetched at first use, and those in the folder that FAFCAS_MODEL_DIR names."""
    folder = Path(os.environ.get("FAFCAS_MODEL_DIR") or os.devnull)
    own = {path.parent.name for path in folder.glob("*/tokenizer.json")}
    return [*CONVERTED, *sorted(own - set(CONVERTED))]


class Model(EmbeddingModel):
    """A model of the library's. Its vectors have unit length."""

    batch_size = 100

    def __init__(self, name: str) -> None:
        self.name, self.model_id = name, f"fafcas/{name}"

    def embed_batch(self, items: Iterable[Any], **_: Any) -> Iterator[list[float]]:
        from ._collection import embedded

        for blob in embedded(map(str, items), self.name):
            yield numbers(blob)


@llm.hookimpl
def register_commands(cli: Any) -> None:
    @cli.command(name="fafcas")
    @click.argument("collection")
    @click.argument("id", required=False)
    @click.option("-c", "--content", help="Content to compare with")
    @click.option("-n", "--number", type=int, default=10, help="Number of results")
    @click.option("-d", "--database", type=click.Path(exists=True, dir_okay=False), help="File with the embeddings, in place of llm's own")
    @click.option("--prefix", help="Only ids with this prefix")
    def command(collection: str, id: Optional[str], content: Optional[str], number: int, database: Optional[str], prefix: Optional[str]) -> None:
        """The items of a collection nearest to a text or to one of them, as `llm similar` gives them, searched by fafcas."""
        if not id and not content:
            raise click.ClickException("expected -c CONTENT or an ID to compare with")
        path = database or str(llm.user_dir() / "embeddings.db")
        try:
            for item in similar(path, collection, content, id=id, number=number, prefix=prefix):
                click.echo(json.dumps(item))
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def similar(
    path: str | os.PathLike[str],
    collection: str,
    content: Optional[str] = None,
    *,
    id: Optional[str] = None,
    vector: Any = None,
    number: int = 10,
    prefix: Optional[str] = None,
) -> list[dict[str, Any]]:
    """The items of a collection in a database of `llm` that are nearest to a text, an item or a vector, best first.

    The text is embedded by the collection's own model. The database is read and not changed.
    """
    from ._collection import _connect
    from ._load import load
    from ._vector import checked

    if not os.path.exists(path):
        raise ValueError(f"fafcas.llm: expected a file of llm's embeddings, not {os.fspath(path)}, which is not there")
    connection = _connect(path)
    load(connection)
    cursor = connection.cursor()
    found = cursor.execute("SELECT id, model FROM collections WHERE name = ?", (collection,)).fetchall()
    if not found:
        names = [name for (name,) in cursor.execute("SELECT name FROM collections ORDER BY name").fetchall()]
        raise ValueError(f"fafcas.llm: expected a collection out of {', '.join(names) or 'none'}, not {collection}")
    ((number_of, model),) = found
    if id is not None:
        rows = cursor.execute("SELECT embedding FROM embeddings WHERE collection_id = ? AND id = ?", (number_of, id)).fetchall()
        if not rows:
            raise ValueError(f"fafcas.llm: expected the id of an item of {collection}, not {id}")
        vector = rows[0][0]
    elif vector is None:
        vector = llm.get_embedding_model(model).embed(content or "")
    # Other collections may have vectors of other lengths.
    cursor.execute(f"CREATE TEMP VIEW fafcas_collection AS SELECT rowid, embedding FROM main.embeddings WHERE collection_id = {int(number_of)}")
    conditions = ["(:prefix IS NULL OR e.id LIKE :prefix || '%')", "(:id IS NULL OR e.id != :id)"]
    values = {"query": checked(vector, None, "fafcas.llm"), "options": OPTIONS, "prefix": prefix, "id": id, "number": number}
    rows = cursor.execute(
        f"""SELECT e.id, t.score, e.content, e.metadata
            FROM   vec_topk('temp.fafcas_collection', 'embedding', :query, NULL, :options) AS t
            JOIN   main.embeddings AS e ON e.rowid = t.rowid
            WHERE  {' AND '.join(conditions)}
            ORDER  BY t.score DESC LIMIT :number""",
        values,
    ).fetchall()
    connection.close()
    return [{"id": id, "score": score, "content": text, "metadata": json.loads(meta) if meta else None} for id, score, text, meta in rows]
