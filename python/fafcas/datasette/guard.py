"""What stands before Datasette in `fafcas serve`: it answers only this machine's own browser, on pages that it made itself.

The port is on the loopback address, and yet any page of the web that is open in the same browser can send requests there. It
cannot read the answers of another origin, unless its own name is made to lead to this machine. It can show them in a frame, and
it can make them cost time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

App = Callable[[Any, Any, Any], Awaitable[None]]

HEADERS = {
    b"content-security-policy": b"default-src 'self' 'unsafe-inline' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    b"frame-ancestors 'none'",
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}


class Guard:
    """An ASGI application in front of another."""

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.hosts = tuple(f"{host}:{port}" for host in ("127.0.0.1", "localhost"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            # The start and the end of the server. There are no other kinds in Datasette.
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is not None:
            await answered(send, *refusal)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                there = {name.lower() for name, _ in headers}
                message = {**message, "headers": headers + [pair for pair in HEADERS.items() if pair[0] not in there]}
            await send(message)

        await self.app(scope, receive, guarded)

    def refusal(self, scope: Any) -> tuple[int, str] | None:
        """A status and why, for what is not answered."""
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "").lower() not in self.hosts:
            return 403, f"fafcas serve: expected the host {self.hosts[0]}, not {headers.get('host', '')[:100]!r}"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, f"fafcas serve: expected GET, as it only reads, not {scope['method']}"
        if is_elsewhere(headers, self.hosts) and (not is_visit(headers) or scope["query_string"]):
            return 403, "fafcas serve: expected a request of its own pages, not of another site; type the address to go there"
        return None


def is_elsewhere(headers: dict[str, str], hosts: tuple[str, ...]) -> bool:
    """Whether a page of another origin asks. Another port of this machine is another origin too."""
    origin = headers.get("origin")
    if origin is not None and origin not in [f"http://{host}" for host in hosts]:
        return True
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def is_visit(headers: dict[str, str]) -> bool:
    """Somebody followed a link: the page is shown in a window of its own, to nobody else."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


async def answered(send: Any, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode() + b"\n"})
