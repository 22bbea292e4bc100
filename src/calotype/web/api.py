"""The operations of the HTTP interface.

The body of a request is the file itself, read into memory and nowhere else, so that ``curl --data-binary``
and a browser's ``fetch`` send it alike and no temporary file is ever made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException, Query, Request, Response

import calotype
from calotype.container import EXTENSION, MEDIA_TYPE
from calotype.limits import MAX_SIDE
from calotype.options import EncodeOptions
from calotype.web.desk import Desk
from calotype.web.schema import (
    CALO_BODY,
    PICTURE_BODY,
    DecodeQuery,
    EncodeQuery,
    PrepareQuery,
    RivalQuery,
    ServerInfo,
    answers,
)
from calotype.web.settings import Settings
from calotype.web.studio import RIVALS, Made, Studio

__all__ = ["Server", "decode", "encode", "info", "prepare", "rival", "router", "server_info"]

_Result = TypeVar("_Result")

router = APIRouter()


@dataclass(frozen=True)
class Server:
    """What the operations share, as ``request.app.state.server``."""

    settings: Settings
    studio: Studio
    desk: Desk


@router.post("/encode", response_class=Response, responses=answers(MEDIA_TYPE), openapi_extra=PICTURE_BODY)
async def encode(request: Request, query: Annotated[EncodeQuery, Query()]) -> Response:
    """A picture to a .calo file. Metadata is left out."""
    try:
        options = EncodeOptions(**query.model_dump())
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return _file(await _worked(request, lambda studio, upload: studio.encode(upload, options)))


@router.post("/decode", response_class=Response, responses=answers("image/png"), openapi_extra=CALO_BODY)
async def decode(request: Request, query: Annotated[DecodeQuery, Query()]) -> Response:
    """A .calo file to a PNG file in sRGB, without metadata."""
    return _file(await _worked(request, lambda studio, upload: studio.decode(upload, query.strict)))


@router.get("/info", responses={403: answers()[403]})
async def server_info(request: Request) -> ServerInfo:
    """What the server is, and what it allows."""
    settings = _server(request).settings
    return ServerInfo(
        name="calotype",
        version=calotype.__version__,
        media_type=MEDIA_TYPE,
        extension=EXTENSION,
        model=settings.model,
        decoder=settings.decoder,
        rivals=list(RIVALS),
        max_upload=settings.max_upload,
        max_pixels=settings.max_pixels,
        max_side=MAX_SIDE,
        per_client=settings.per_client,
        work_time=settings.work_time,
    )


@router.post("/info", responses=answers(), openapi_extra=CALO_BODY)
async def info(request: Request) -> dict[str, Any]:
    """What a .calo file says of itself, without decoding it."""
    return await _worked(request, lambda studio, upload: studio.describe(upload).as_dict())


@router.post("/prepare", response_class=Response, responses=answers("image/png"), openapi_extra=PICTURE_BODY)
async def prepare(request: Request, query: Annotated[PrepareQuery, Query()]) -> Response:
    """A picture as the codec sees it: upright, in sRGB, of the size asked for. A PNG file."""
    return _file(await _worked(request, lambda studio, upload: studio.prepare(upload, query.side)))


@router.post(
    "/rivals/{name}",
    response_class=Response,
    responses=answers(*(rival.media_type for rival in RIVALS.values())),
    openapi_extra=PICTURE_BODY,
)
async def rival(
    request: Request, name: Literal["jpeg", "webp", "avif"], query: Annotated[RivalQuery, Query()]
) -> Response:
    """A picture as another codec's best file of that size, or its smallest if it can make none so small.

    Transparent parts are laid over white.
    """
    return _file(await _worked(request, lambda studio, upload: studio.rival(upload, name, query.max_size)))


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _file(made: Made) -> Response:
    headers = {}
    if made.remarks:  # header values are single lines of ASCII
        remark = " ".join("; ".join(made.remarks).split())
        headers["X-Calotype-Remark"] = remark.encode("ascii", "replace").decode("ascii")
    return Response(made.data, media_type=made.media_type, headers=headers)


async def _worked(request: Request, work: Callable[[Studio, bytes], _Result]) -> _Result:
    """What ``work`` makes of the upload, which is only read once there is a place for it."""
    server = _server(request)
    _refuse_forms(request)
    client = request.client.host if request.client else ""
    async with server.desk.place(client) as place:
        upload = await _upload(request, server.settings)
        return await place.run(lambda: work(server.studio, upload), request.is_disconnected)


def _refuse_forms(request: Request) -> None:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(415, "send the file itself as the body, not a form: curl --data-binary @FILE")


async def _upload(request: Request, settings: Settings) -> bytes:
    too_large = HTTPException(
        413, f"the upload is larger than the {settings.max_upload:,} bytes that are allowed"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.max_upload:
        raise too_large
    upload = bytearray()
    try:
        async with asyncio.timeout(settings.upload_time):
            async for piece in request.stream():
                upload += piece
                if len(upload) > settings.max_upload:
                    raise too_large
    except TimeoutError as error:
        raise HTTPException(408, f"the upload took longer than {settings.upload_time:g} s") from error
    if not upload:
        raise HTTPException(422, "the upload is empty")
    return bytes(upload)
