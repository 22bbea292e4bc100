"""The guard: checks of every request, and headers of every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calotype.web.settings import Settings

__all__ = ["POLICY", "SECURITY_HEADERS", "Guard"]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types calotype",
    )
)
"""The content security policy: no inline scripts or styles, nothing from other origins, and WebAssembly."""

SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The headers of every answer."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DRAIN_SECONDS = 2.0


class Guard:
    """ASGI middleware that refuses other sites' pages, sets security headers and drains refused uploads."""

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
                for name, value in SECURITY_HEADERS.items():
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
        known = self._settings.hosts
        if known is not None and _name_and_port(host)[0] not in {name.lower() for name in known}:
            return "this server is not known by that name: open it as http://127.0.0.1 or http://localhost"
        if not all(_is_same_site(origin, host) for origin in headers.getlist("origin")):
            return "pages of other sites may not use this server"
        return None

    async def _drain(self, receive: Receive, arriving: Callable[[], bool]) -> None:
        """Receives the rest of an upload for a short time: most clients do not read an answer before they
        have sent it."""
        left = 2 * self._settings.max_upload
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while arriving() and left > 0:
                    left -= len((await receive()).get("body", b""))


def _name_and_port(authority: str) -> tuple[str, str]:
    """Returns (the name in lower case, the port or "") of a ``Host`` header."""
    name, _, port = authority.rpartition(":")
    return (name.lower(), port) if port.isdecimal() else (authority.lower(), "")


def _is_same_site(origin: str, host: str) -> bool:
    """Returns whether ``Origin`` names the server of ``Host``; the scheme's default port may be left out."""
    scheme, separator, authority = origin.partition("://")
    usual = _DEFAULT_PORTS.get(scheme.lower())
    if not separator or usual is None:
        return False
    ours, theirs = (_name_and_port(address) for address in (host, authority))
    return (ours[0], ours[1] or str(usual)) == (theirs[0], theirs[1] or str(usual))
