"""Gathers searches of many tasks into one `vec_topk_many`, which reads each row once for all of them.

    batcher = Batcher(connect, "notes", "embedding", k=10)
    rows = await batcher.search(vector)          # [(rowid, score), ...]
    await batcher.close()

The first request waits 10 ms for others. A single thread searches, with a connection of its own that `connect()` opens, with fafcas
loaded. So a server keeps answering while a search runs, and searches do not fight for the threads.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

Rows = list[tuple[int, float]]


class Request(NamedTuple):
    """A vector as a BLOB or JSON text, and where its answer goes."""

    query: bytes | str
    answer: "asyncio.Future[Rows]"


class Batcher:
    """Searches of one column. Make it, and call it, in one event loop."""

    def __init__(self, connect: Callable[[], Any], table: str, column: str, *, k: int, wait: float = 0.010, most: int = 1000) -> None:
        self.arguments = (table, column, k)
        self.wait, self.most, self.connect = wait, most, connect
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="fafcas")
        self.connection: Any = None
        self.waiting: list[Request] = []
        self.running: set[asyncio.Task[None]] = set()
        self.timer: asyncio.TimerHandle | None = None

    async def search(self, query: bytes | str) -> Rows:
        """The k nearest rows. A request that is wrong fails alone."""
        loop = asyncio.get_running_loop()
        request = Request(query, loop.create_future())
        self.waiting.append(request)
        if len(self.waiting) >= self.most:
            self.send()
        elif self.timer is None:
            self.timer = loop.call_later(self.wait, self.send)
        return await request.answer

    def send(self) -> None:
        """Hands over what waits."""
        if self.timer:
            self.timer.cancel()
        batch, self.waiting, self.timer = self.waiting, [], None
        if batch:
            task = asyncio.get_running_loop().create_task(self.run(batch))
            self.running.add(task)
            task.add_done_callback(self.running.discard)

    async def run(self, batch: list[Request]) -> None:
        """Waits for the thread, and gives each request its answer. Some may have been cancelled meanwhile."""
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self.thread, self.answers, [request.query for request in batch])
        except Exception as error:
            answers = [error] * len(batch)
        for request, answer in zip(batch, answers, strict=True):
            if request.answer.done():
                continue
            if isinstance(answer, Exception):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)

    def answers(self, queries: list[bytes | str]) -> list[Rows | Exception]:
        """In the thread: all at once. If one of them is wrong, each alone, so that the others have their rows."""
        if self.connection is None:
            self.connection = self.connect()
            self.connection.execute("CREATE TEMP TABLE asked(number INTEGER PRIMARY KEY, query)")
        try:
            return list(self.together(queries))
        except Exception:
            return [self.alone(query) for query in queries]

    def together(self, queries: list[bytes | str]) -> list[Rows]:
        """One search for all."""
        table, column, k = self.arguments
        self.connection.execute("DELETE FROM asked")
        self.connection.executemany("INSERT INTO asked VALUES (?, ?)", list(enumerate(queries)))
        found: list[Rows] = [[] for _ in queries]
        sql = "SELECT query_rowid, rowid, score FROM vec_topk_many(?, ?, 'temp.asked', 'query', ?)"
        for number, rowid, score in self.connection.execute(sql, (table, column, k)):
            found[number].append((rowid, score))
        return found

    def alone(self, query: bytes | str) -> Rows | Exception:
        """One search for one."""
        table, column, k = self.arguments
        try:
            sql = "SELECT rowid, score FROM vec_topk(?, ?, ?, ?)"
            return self.connection.execute(sql, (table, column, query, k)).fetchall()
        except Exception as error:
            return error

    async def close(self) -> None:
        """Answers what waits, and closes the connection."""
        self.send()
        await asyncio.gather(*self.running)
        if self.connection is not None:
            await asyncio.get_running_loop().run_in_executor(self.thread, self.connection.close)
        self.thread.shutdown()
