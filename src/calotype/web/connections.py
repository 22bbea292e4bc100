"""Connections: their number, and deadlines for each.

::

    connection ── header ── body ── work ── answer ── next header, or idle
      503, 429     408      408     503     cut off if nobody reads it

uvicorn implements the protocol. It bounds idle connections only; the other bounds are added here. The time
for the body and the work is bounded where these are done, in :mod:`calotype.web.api` and
:mod:`calotype.web.work_queue`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import h11
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from calotype.web.clients import client_key
from calotype.web.guard import SECURITY_HEADERS, Guard
from calotype.web.settings import RETRY, Settings

__all__ = ["bounded_server"]

_LEAST_RATE = 4096  # In bytes a second: the least rate at which a client must read an answer.
_RATE_SECONDS = 15.0  # In seconds: the time over which the rate is measured.


def bounded_server(app: ASGIApp, settings: Settings, *, log_level: str) -> uvicorn.Server:
    """Returns a server of ``app`` for HTTP/1.1, which bounds its connections by ``settings``."""

    def protocol(*arguments: Any, **more: Any) -> _Connection:
        return _Connection(settings, *arguments, **more)

    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # uvicorn only calls it
        ws="none",
        log_level=log_level,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    return uvicorn.Server(config)


class _Connection(H11Protocol):
    """One connection of a client, with deadlines."""

    def __init__(self, settings: Settings, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._settings = settings
        self._header_timer: asyncio.TimerHandle | None = None
        self._rate_timer: asyncio.TimerHandle | None = None
        self._waits_since = self.loop.time()
        self._client = ""

    @property
    def _waits(self) -> bool:
        """Returns whether the server only waits for the client."""
        answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        return self.conn.their_state is h11.IDLE or (answered and self.conn.their_state is h11.SEND_BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it too
        self._client = client_key(self.client[0] if self.client else None)
        self._start_header_timer()
        self._claim()

    def _claim(self) -> None:
        """Makes room for this connection by closing a waiting one, or refuses its request."""
        settings = self._settings
        others = [
            connection
            for connection in self.connections
            if isinstance(connection, _Connection) and connection is not self
        ]
        own = [connection for connection in others if connection._client == self._client]
        # Beyond twice the number, connections are closed without a refusal in words.
        if len(others) >= 2 * settings.connections:
            self.transport.abort()
        elif len(own) >= settings.connections_per_client and not _close_longest_waiting(own):
            sentence = f"at most {settings.connections_per_client} connections from one address are taken"
            self._refuse_request(429, sentence)
        elif len(others) >= settings.connections and not _close_longest_waiting(others):
            self._refuse_request(503, "the server is busy: try again soon")

    def _refuse_request(self, status: int, sentence: str) -> None:
        headers = RETRY | {"Connection": "close"}
        self.app = Guard(JSONResponse({"error": sentence}, status, headers), self._settings)

    def _start_header_timer(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self._settings.header_time, self._header_late)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_late(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._answer(408, f"the header took longer than {self._settings.header_time:g} s")
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits:
            self._start_header_timer()
        else:
            self._stop_header_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._waits_since = self.loop.time()
        if self.conn.their_state is h11.SEND_BODY:  # The rest of the upload is dropped, for a limited time.
            self._start_header_timer()

    def send_400_response(self, msg: str) -> None:
        """Answers invalid HTTP in the common form of all refusals."""
        self._answer(400, msg.rstrip("."))
        self.transport.close()

    def _answer(self, status: int, sentence: str) -> None:
        """Sends an answer instead of the application's, if there is none yet."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
            return
        body = json.dumps({"error": sentence}).encode()
        more = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        headers = list((SECURITY_HEADERS | more).items())
        response = h11.Response(status_code=status, headers=headers)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_rate()

    def _watch_rate(self, expected: float = float("inf")) -> None:
        """Closes the connection of a client that does not read its answer, which takes memory."""
        unread = self.transport.get_write_buffer_size()
        if unread > expected:
            self.transport.abort()
            return
        later = unread - _LEAST_RATE * _RATE_SECONDS
        self._rate_timer = self.loop.call_later(_RATE_SECONDS, self._watch_rate, later)

    def _stop_rate_timer(self) -> None:
        if self._rate_timer is not None:
            self._rate_timer.cancel()
            self._rate_timer = None

    def resume_writing(self) -> None:
        self._stop_rate_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_rate_timer()
        super().connection_lost(exc)


def _close_longest_waiting(connections: Iterable[_Connection]) -> bool:
    """Closes the longest waiting connection of the client with the most connections."""
    connections = list(connections)
    waiting = [connection for connection in connections if connection._waits]
    if not waiting:
        return False
    held = Counter(connection._client for connection in connections)
    victim = min(waiting, key=lambda connection: (-held[connection._client], connection._waits_since))
    victim.connections.discard(victim)  # It closes at once, not at the next turn of the event loop.
    victim.transport.abort()
    return True
