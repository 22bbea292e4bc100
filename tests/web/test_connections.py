"""Connections that send slowly, read slowly or are too many."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from starlette.types import Receive, Scope, Send

from calotype.web import Settings
from calotype.web import connections as tested
from calotype.web.clients import client_key
from calotype.web.connections import bounded_server
from calotype.web.guard import POLICY

HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half:"
WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE = 20.0
LARGE = 20_000_000  # bytes, more than the system buffers of a connection


class Application:
    """Answers at once; /held when told to; /large with many bytes."""

    def __init__(self) -> None:
        self.release = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while scope["path"] == "/held" and not self.release.is_set():
            await asyncio.sleep(0.01)
        body = bytes(LARGE) if scope["path"] == "/large" else b"done"
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(**bounds: float) -> Iterator[tuple[Callable[..., socket.socket], Application]]:
    """(what connects, from the loopback address 127.0.0.``host``; the application)."""
    application = Application()
    running = bounded_server(application, Settings(**bounds), log_level="error")  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as opened:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()

        def connect(sent: bytes = b"", host: int = 1) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port), PATIENCE, (f"127.0.0.{host}", 0))
            opened.enter_context(connection)
            connection.sendall(sent)
            return connection

        try:
            until(lambda: running.started)
            yield connect, application
        finally:
            application.release.set()
            running.should_exit = running.force_exit = True
            thread.join(PATIENCE)
    assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body)."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += _more(connection)
    return int(first.split()[1]), headers, bytes(body)


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(1 << 20)
    assert received, "the answer ends too early"
    return received


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def assert_refused(connection: socket.socket, status: int, said: str) -> dict[str, str]:
    answer_status, headers, body = answer_of(connection)
    assert answer_status == status
    assert said in json.loads(body)["error"]
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    assert headers["content-security-policy"] == POLICY
    assert is_closed(connection)
    return headers


def test_half_sent_headers_do_not_block_other_clients() -> None:
    with serving(connections=8, connections_per_client=8, header_time=60) as (connect, _):
        waiting = [connect(HALF, host=2) for _ in range(8)]
        for _ in range(3):
            assert answer_of(connect(WHOLE, host=3))[0] == 200
        assert is_closed(waiting[0])
        waiting[-1].sendall(b" y\r\n\r\n")  # and those that remain are served as well
        assert answer_of(waiting[-1])[0] == 200


def test_the_client_with_the_most_connections_loses_one() -> None:
    with serving(connections=8, connections_per_client=8, header_time=60) as (connect, _):
        patient = connect(HALF, host=2)
        greedy = [connect(HALF, host=3) for _ in range(7)]
        assert answer_of(connect(WHOLE, host=4))[0] == 200
        assert is_closed(greedy[0])
        patient.sendall(b" y\r\n\r\n")
        assert answer_of(patient)[0] == 200


def test_one_client_has_so_many_connections_at_once() -> None:
    with serving(connections=8, connections_per_client=2) as (connect, application):
        held = [connect(WHOLE.replace(b"/ ", b"/held "), host=2) for _ in range(2)]
        time.sleep(0.1)
        headers = assert_refused(connect(WHOLE, host=2), 429, "at most 2 connections")
        assert headers["retry-after"] == "2"
        assert answer_of(connect(WHOLE, host=3))[0] == 200
        application.release.set()
        assert [answer_of(connection)[0] for connection in held] == [200, 200]


def test_a_connection_beyond_the_limit_gets_503() -> None:
    with serving(connections=2) as (connect, application):
        held = [connect(WHOLE.replace(b"/ ", b"/held "), host=host) for host in (2, 3)]
        time.sleep(0.1)
        headers = assert_refused(connect(WHOLE, host=4), 503, "busy")
        assert headers["retry-after"] == "2"
        application.release.set()
        assert [answer_of(connection)[0] for connection in held] == [200, 200]


def test_a_header_has_its_time_on_every_request_of_a_connection() -> None:
    with serving(header_time=0.3) as (connect, _):
        assert_refused(connect(HALF), 408, "longer than 0.3 s")
        assert is_closed(connect())
        again = connect(WHOLE)
        assert answer_of(again)[0] == 200
        again.sendall(HALF)
        assert_refused(again, 408, "longer than 0.3 s")


def test_what_arrives_after_the_answer_is_dropped_but_not_for_ever() -> None:
    with serving(header_time=0.3) as (connect, _):
        trickling = connect(WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000000\r\n\r\n"))
        assert answer_of(trickling)[0] == 200
        for _ in range(3):
            trickling.sendall(b"x")
            time.sleep(0.02)
        assert is_closed(trickling)


def test_a_request_that_is_not_http_gets_the_usual_form_of_error() -> None:
    with serving() as (connect, _):
        assert_refused(connect(b"\x16\x03\x01\x02\r\n\r\n"), 400, "Invalid HTTP request")
        assert_refused(connect(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000), 400, "Invalid HTTP request")


def test_a_client_that_does_not_read_the_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "_RATE_SECONDS", 0.3)
    with serving() as (connect, _):
        deaf = connect(WHOLE.replace(b"/ ", b"/large "))
        time.sleep(1.0)
        received = 0
        with suppress(ConnectionError):
            while more := deaf.recv(1 << 20):
                received += len(more)
        assert received < LARGE
        reading = connect(WHOLE.replace(b"/ ", b"/large "))
        assert len(answer_of(reading)[2]) == LARGE


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_an_ipv6_network_counts_as_one_client(host: str | None, client: str) -> None:
    assert client_key(host) == client
