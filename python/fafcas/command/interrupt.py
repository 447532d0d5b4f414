"""Lets ctrl-C end a statement that runs. Python alone sees it only when the statement is over, which may take minutes."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

import apsw


@contextlib.contextmanager
def interruptible(connection: apsw.Connection) -> Iterator[None]:
    """Inside, a statement of the connection fails with `apsw.InterruptError` on ctrl-C, or KeyboardInterrupt is raised."""
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
