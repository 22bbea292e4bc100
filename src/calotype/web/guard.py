"""What holds for every request and every answer, whoever handles it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calotype.web.settings import Settings

__all__ = ["POLICY", "Guard"]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""The content security policy: nothing inline, nothing from elsewhere."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DRAIN_SECONDS = 2.0


class Guard:
    """ASGI middleware: refuses other sites' pages, sets the security headers, lets refused uploads end."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        arriving = True

        async def receive_noting_the_end() -> Message:
            nonlocal arriving
            message = await receive()
            arriving = bool(message.get("more_body", False))
            return message

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if arriving and "expect" not in headers:
                    await self._drain(receive_noting_the_end, lambda: arriving)
                guarded = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    guarded[name] = value
                guarded.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(headers)
        if refusal is None:
            await self._app(scope, receive_noting_the_end, send_guarded)
        else:
            await JSONResponse({"error": refusal}, 403)(scope, receive, send_guarded)

    def _refusal(self, headers: Headers) -> str | None:
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self._settings.hosts is not None and name not in self._settings.hosts:
            return "this server is not known by that name: open it as http://127.0.0.1 or http://localhost"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "pages of other sites may not use this server"
        return None

    async def _drain(self, receive: Receive, arriving: Callable[[], bool]) -> None:
        """Takes in, for a moment, what is still being sent: most clients read no answer before."""
        left = 2 * self._settings.max_upload
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while arriving() and left > 0:
                    left -= len((await receive()).get("body", b""))
