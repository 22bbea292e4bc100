"""The browser's decoder, as the page loads it: its scripts and weights below ``/decoder``."""

from __future__ import annotations

import hashlib
from functools import cache
from mimetypes import guess_type

from fastapi import APIRouter, HTTPException, Request, Response

from calotype.browser import decoder_files, is_built
from calotype.latents import SD1
from calotype.models import decoder_name, is_embedded
from calotype.web.settings import Settings

__all__ = ["browser_network", "decoder_file", "router"]

router = APIRouter(include_in_schema=False)


def browser_network(settings: Settings) -> str | None:
    """Returns the network with which browsers decode as this server does.

    It is None if only the server can: with a decoder that is no part of the package, or in a checkout
    without ``make web``.
    """
    name = decoder_name(settings.decoder, SD1.id)
    return name if is_embedded(name) and is_built() else None


@router.head("/decoder/{name}")
@router.get("/decoder/{name}")
def decoder_file(request: Request, name: str) -> Response:
    """Returns a file of the decoder, or 304 to a browser that has it."""
    network = browser_network(request.app.state.server.settings)
    files = {} if network is None else _files_with_tags(network)
    if name not in files:
        raise HTTPException(404, "the browser's decoder has no such file")
    content, tag = files[name]
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    media_type = "application/octet-stream" if name.endswith(".gz") else guess_type(name)[0]
    return Response(content, media_type=media_type or "application/octet-stream", headers=headers)


@cache
def _files_with_tags(network: str) -> dict[str, tuple[bytes, str]]:
    """Returns (content, entity tag) of each file; about 9 MB."""
    return {
        name: (content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for name, content in decoder_files(network).items()
    }
