"""Shards searched by the executors of a Spark cluster (package `pyspark`).

    from pyspark.sql import SparkSession
    from fafcas.spark import Shards

    notes = Shards("/shared/notes.shards", SparkSession.builder.getOrCreate())
    notes.search(vector, 10, columns=["title"])

Executors need a Python whose SQLite can load extensions (set PYSPARK_PYTHON to it) and the shards under the same path. This
package and its library are sent to them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Union

from pyspark import SparkFiles
from pyspark.sql import SparkSession

from . import shards
from ._library import loadable_path
from .shards._work import Task, perform


class Shards(shards.Shards):
    """The shards in a folder, worked on by the executors of a session, all at once.

    Spark itself gives the tasks of a lost executor to another, as often as `spark.task.maxFailures` allows.
    """

    def __init__(self, folder: str | os.PathLike[str], session: SparkSession) -> None:
        super().__init__(folder)
        self._context = session.sparkContext
        self._library = Path(loadable_path()).name
        self._context.addFile(loadable_path())
        self._context.addPyFile(str(_package()))

    def run(self, tasks: Sequence[Task]) -> list[Any]:
        # One task of Spark's for each core of the cluster, and not for each shard: it costs more than many a search.
        slices = min(len(tasks), self._context.defaultParallelism)
        library = self._library
        results = self._context.parallelize(tasks, slices).map(lambda task: _attempt(task, library)).collect()
        for result in results:
            if isinstance(result, shards.ShardError):
                raise result
        return list(results)


def _attempt(task: Task, library: str) -> Union[Any, shards.ShardError]:
    """An error goes back as a value: raised, it would be tried again and again, and come out as a page of Java."""
    os.environ["FAFCAS_LIBRARY"] = SparkFiles.get(library)
    try:
        return perform(task)
    except shards.ShardError as error:
        return error


@cache
def _package() -> Path:
    """This package's Python files in an archive that Python imports from. It is there as long as this process: an executor
    fetches it when its first task comes."""
    home = Path(__file__).parent
    folder = Path(tempfile.mkdtemp(prefix="fafcas-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "fafcas.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in home.rglob("*.py"):
            archive.write(file, file.relative_to(home.parent))
    return path
