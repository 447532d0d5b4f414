"""ctrl-C ends the statement that runs, or else the next one before it begins.

Python's own way would be too late for a statement, which may take minutes, and too early for all else: an exception between any
two of its steps, such as after a BEGIN and before there is somebody to roll back.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import apsw


@contextlib.contextmanager
def interruptible(connection: apsw.Connection) -> Iterator[None]:
    """Inside, a statement of the connection fails with `apsw.InterruptError` after ctrl-C. The second time Python itself stops."""
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    def begin(_cursor: Any, sql: str, _bindings: Any) -> bool:
        if asked.is_set() and not sql.startswith("ROLLBACK"):
            raise apsw.InterruptError("interrupted")
        return True

    before = signal.signal(signal.SIGINT, ask)
    connection.set_exec_trace(begin)
    try:
        with watched(connection):
            yield
    finally:
        connection.set_exec_trace(None)
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def watched(connection: apsw.Connection) -> Iterator[None]:
    """Python calls its handlers between two statements; that a signal came is written to a socket at once."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    watcher = threading.Thread(target=watch, args=(reader, connection), daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        watcher.join()
        reader.close()


def watch(reader: socket.socket, connection: apsw.Connection) -> None:
    while signals := reader.recv(16):
        if signal.SIGINT in signals:
            connection.interrupt()


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Inside, ctrl-C is KeyboardInterrupt again: where somebody is waited for, and no statement runs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
