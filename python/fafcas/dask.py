"""Shards searched by the workers of a Dask cluster (package `distributed`).

    from distributed import Client
    from fafcas.dask import Shards

    notes = Shards("/shared/notes.shards", Client("tcp://scheduler:8786"))
    notes.search(vector, 10, columns=["title"])

Every worker needs this package, a Python whose SQLite can load extensions, and the shards under the same path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from typing import Any

from distributed import Client, wait

from . import shards
from .shards._work import Task, perform


class Shards(shards.Shards):
    """The shards in a folder, worked on by the workers of a cluster, all at once.

    Dask itself gives the tasks of a lost worker to another. `retries` is how often a task that failed is tried again, on
    whatever worker is free, before its error is raised.
    """

    def __init__(self, folder: str | os.PathLike[str], client: Client, *, retries: int = 3) -> None:
        super().__init__(folder)
        self._client: Any = client
        self._retries = retries

    def run(self, tasks: Sequence[Task]) -> list[Any]:
        # One task of Dask's for each thread of the workers, and not for each shard: it costs more than many a search. A shard
        # goes to the same worker each time, as long as there is that worker, which has its blocks in memory.
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        threads = sorted((number, address) for address in workers for number in range(workers[address]["nthreads"]))
        shares: dict[int, list[Task]] = {}
        for task in tasks:
            shares.setdefault(task.shard.number % max(1, len(threads)), []).append(task)
        futures = [self._submitted(share, threads[number][1] if threads else None) for number, share in shares.items()]
        # All have ended before an error is raised, so that no write comes after what the caller does next.
        wait(futures)  # type: ignore[no-untyped-call, unused-ignore]
        done = zip(chain(*shares.values()), chain(*self._client.gather(futures)))
        results = {task.shard.number: result for task, result in done}
        return [results[task.shard.number] for task in tasks]

    def _submitted(self, share: list[Task], address: str | None) -> Any:
        where = {"workers": address, "allow_other_workers": True} if address else {}
        return self._client.submit(_perform_all, share, pure=False, retries=self._retries, **where)


def _perform_all(tasks: list[Task]) -> list[Any]:
    return [perform(task) for task in tasks]
