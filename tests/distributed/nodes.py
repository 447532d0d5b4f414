"""Server processes for a test: started by the commands of docs/beyond-one-machine.md, on free ports of loopback, waited for,
killed by their process id, and never left behind.
"""

import contextlib
import ctypes
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

# Ends what hangs. Nothing that goes well comes near it: a node that loads its model takes half a second, and 20 where eight
# other programs want the same two cores.
LIMIT_S = 300
PAGE = Path(__file__).parents[2] / "docs" / "beyond-one-machine.md"


def free_ports(count):
    """Ports that nobody listens to."""
    with contextlib.ExitStack() as sockets:
        taken = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


def commands(program):
    """The lines of the page's blocks that run a program, split into arguments. Their ports are replaced by free ones."""
    blocks = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(program + " ")]
    ports = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", "\n".join(lines))))
    free = dict(zip(ports, free_ports(len(ports))))
    lines = [re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: str(free[port[0]]), line) for line in lines]
    return [shlex.split(line, comments=True) for line in lines]


def waited(condition, what):
    """The condition's value as soon as it is true. What cannot be reached yet counts as false."""
    end = time.monotonic() + LIMIT_S
    last = None
    while time.monotonic() < end:
        try:
            found = condition()
            if found:
                return found
        except (OSError, Refused) as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {LIMIT_S} s ({last})")


class Refused(Exception):
    """A server's answer that it cannot do it."""


def asked(url, body=None, limit=LIMIT_S):
    """The JSON that a server answers with, to a GET or to the POST of a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=limit) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(error.read().decode(errors="replace")) from error


def _die_with_parent():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """A server that runs in a folder, its command kept so that it can be started again."""

    def __init__(self, folder, name, command):
        self.name, self.folder, self.command = name, folder, command
        self.log = folder / f"{name}.log"
        self.start()

    def argument(self, option):
        """What follows an option in the command."""
        return self.command[self.command.index(option) + 1]

    def start(self):
        with open(self.log, "ab") as log:
            self.running = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder, preexec_fn=_die_with_parent)

    def kill(self):
        """As a machine that loses power."""
        self.running.kill()
        self.running.wait()

    def ended(self):
        return self.running.poll() is not None

    def said(self):
        return self.log.read_text(encoding="utf-8", errors="replace")
