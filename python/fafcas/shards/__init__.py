"""A database split over files, so that it may outgrow one machine: one SQLite file per shard, in one folder.

    from fafcas import shards

    shards.split("notes.db", "notes.shards", table="notes", column="embedding", shards=8)
    notes = shards.Shards("notes.shards")
    notes.build_indexes()
    for hit in notes.search(vector, 10, columns=["title"]):
        print(hit.score, hit.id, hit.columns["title"])

`Shards` works in this process, on one shard after the other; those of `fafcas.dask` and `fafcas.spark` are the same, and
bring the work to their workers. Every shard gives its own nearest k rows, so the best k of all these are the nearest k rows
of the whole. A shard that is missing, damaged, foreign or older than it should be is an error, and no hits are returned.

Not here: joins and transactions across shards, UNIQUE across shards other than the id, and moving rows to another number of
shards, which is a new split.
"""

from ._files import ShardError, shard_of
from ._shards import Shards
from ._split import split
from ._work import Hit

__all__ = ["Hit", "ShardError", "Shards", "shard_of", "split"]
