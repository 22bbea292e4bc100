"""A hub on loopback that serves one tiny repository as the real one does, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves ``folder`` as ``repository`` at ``commit``; large files by redirection, with ranges."""

    def __init__(self, folder: Path, repository: str) -> None:
        self.folder, self.repository, self.commit = folder, repository, COMMIT
        self.requests: list[tuple[str, str, str]] = []
        """(method, path, range) of each request."""
        self.shown_to_storage: list[str] = []
        """What storage got as authorization; it must be none of its business."""
        self.cut_after: int | None = None
        """Close the connection after so many bytes of a large file; once, then no more."""
        self.gone_after_cut = False
        """From then on close every connection for a large file at once."""
        self.spoil: dict[str, bytes] = {}
        """Bytes to send instead of a file's own, under its own hash."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                hub._answer(self, body=False)

            def do_GET(self) -> None:
                hub._answer(self, body=True)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, *, body: bool) -> None:
        wanted = handler.headers.get("Range", "")
        self.requests.append((handler.command, handler.path, wanted))
        if handler.path.startswith("/storage/"):
            name = handler.path.removeprefix("/storage/")
            self.shown_to_storage += handler.headers.get_all("Authorization", [])
            self._send(handler, name, wanted, body=body)
            return
        for revision in ("main", self.commit):
            start = f"/{self.repository}/resolve/{revision}/"
            if handler.path.startswith(start) and (self.folder / handler.path.removeprefix(start)).is_file():
                self._describe(handler, handler.path.removeprefix(start), body=body)
                return
        known = handler.path.startswith(f"/{self.repository}/")
        handler.send_response(404)
        handler.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _describe(self, handler: BaseHTTPRequestHandler, name: str, *, body: bool) -> None:
        data = (self.folder / name).read_bytes()
        large = name.endswith(".safetensors")
        handler.send_response(302 if large else 200)
        handler.send_header("X-Repo-Commit", self.commit)
        if large:
            handler.send_header("X-Linked-Etag", f'"{hashlib.sha256(data).hexdigest()}"')
            handler.send_header("X-Linked-Size", str(len(data)))
            storage = self.address.replace("127.0.0.1", "localhost")  # another host, as it is in reality
            handler.send_header("Location", f"{storage}/storage/{name}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        handler.send_header("ETag", f'"{blob}"')
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if body:
            handler.wfile.write(self.spoil.get(name, data))

    def _send(self, handler: BaseHTTPRequestHandler, name: str, wanted: str, *, body: bool) -> None:
        data = self.spoil.get(name, (self.folder / name).read_bytes())
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        part = data[start:]
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        if not body:
            return
        if self.cut_after is not None and len(part) > self.cut_after:
            handler.wfile.write(part[: self.cut_after])
            handler.wfile.flush()
            handler.close_connection = True
            self.cut_after = 0 if self.gone_after_cut else None
            return
        handler.wfile.write(part)
