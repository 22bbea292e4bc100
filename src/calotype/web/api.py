"""The operations of the HTTP interface.

The body of a request is the file itself, as ``curl --data-binary`` and a browser's ``fetch`` send it, or a
form that holds it, as ``curl -F`` and HTML send it. Both are read into memory only: no temporary
file is ever made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

import calotype
from calotype.container import EXTENSION, MEDIA_TYPE
from calotype.limits import MAX_SIDE
from calotype.options import EncodeOptions
from calotype.web.clients import client_key
from calotype.web.decoder_files import browser_network
from calotype.web.form import ENVELOPE_BYTES, file_of_form, is_form
from calotype.web.schema import (
    CALO_BODY,
    PICTURE_BODY,
    BaselineQuery,
    DecodeQuery,
    EncodeQuery,
    NoQuery,
    PrepareQuery,
    ServerInfo,
    documented_answers,
)
from calotype.web.settings import Settings
from calotype.web.studio import BASELINES, MadeFile, PictureService
from calotype.web.work_queue import WorkQueue

__all__ = ["Server", "baseline", "decode", "encode", "info", "prepare", "router", "server_info"]

_Result = TypeVar("_Result")


async def _once_each(request: Request) -> None:
    """Refuses a query that gives a parameter twice, of which the framework would take the last."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise HTTPException(422, f"{name}: given more than once")


router = APIRouter(dependencies=[Depends(_once_each)])


@dataclass(frozen=True)
class Server:
    """The state that operations share, as ``request.app.state.server``."""

    settings: Settings
    studio: PictureService
    desk: WorkQueue


@router.post(
    "/encode", response_class=Response, responses=documented_answers(MEDIA_TYPE), openapi_extra=PICTURE_BODY
)
async def encode(request: Request, query: Annotated[EncodeQuery, Query()]) -> Response:
    """Encodes a picture to a .calo file. Metadata is left out."""
    try:
        options = EncodeOptions(**query.model_dump())
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return _file_response(await _worked(request, lambda studio, upload: studio.encode(upload, options)))


@router.post(
    "/decode", response_class=Response, responses=documented_answers("image/png"), openapi_extra=CALO_BODY
)
async def decode(request: Request, query: Annotated[DecodeQuery, Query()]) -> Response:
    """Decodes a .calo file to a PNG file in sRGB, without metadata."""
    return _file_response(
        await _worked(request, lambda studio, upload: studio.decode(upload, **query.model_dump()))
    )


@router.head("/info", include_in_schema=False)
@router.get("/info", responses={code: documented_answers()[code] for code in (403, 422)})
async def server_info(request: Request, _: Annotated[NoQuery, Query()]) -> ServerInfo:
    """Returns the server's version and limits."""
    server = _server_of_request(request)
    settings = server.settings
    return ServerInfo(
        name="calotype",
        version=calotype.__version__,
        media_type=MEDIA_TYPE,
        extension=EXTENSION,
        model=settings.model,
        decoder=settings.decoder,
        browser_decoder=browser_network(settings),
        baselines=list(server.studio.baselines),
        max_upload=settings.max_upload,
        max_pixels=settings.max_pixels,
        max_side=MAX_SIDE,
        per_client=settings.per_client,
        work_time=settings.work_time,
    )


@router.post("/info", responses=documented_answers(), openapi_extra=CALO_BODY)
async def info(request: Request, _: Annotated[NoQuery, Query()]) -> dict[str, Any]:
    """Returns the header and the chunks of a .calo file, without decoding it."""
    return await _worked(request, lambda studio, upload: studio.describe(upload).as_dict())


@router.post(
    "/prepare", response_class=Response, responses=documented_answers("image/png"), openapi_extra=PICTURE_BODY
)
async def prepare(request: Request, query: Annotated[PrepareQuery, Query()]) -> Response:
    """Returns the picture as the encoder receives it: a PNG file, upright, in sRGB, of the requested size."""
    return _file_response(await _worked(request, lambda studio, upload: studio.prepare(upload, query.side)))


@router.post(
    "/baselines/{name}",
    response_class=Response,
    responses=documented_answers(*(f"image/{name}" for name in BASELINES)),
    openapi_extra=PICTURE_BODY,
)
async def baseline(
    request: Request, name: Literal["jpeg", "webp", "avif"], query: Annotated[BaselineQuery, Query()]
) -> Response:
    """Encodes a picture by another codec: its best file of at most that size, or else its smallest file.

    Transparent parts are laid over white.
    """
    return _file_response(
        await _worked(request, lambda studio, upload: studio.baseline(upload, name, query.max_size))
    )


def _server_of_request(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _file_response(file: MadeFile) -> Response:
    headers = {}
    if file.remarks:  # Header values must be single lines of ASCII.
        remark = " ".join("; ".join(file.remarks).split())
        headers["X-Calotype-Remark"] = remark.encode("ascii", "replace").decode("ascii")
    return Response(file.data, media_type=file.media_type, headers=headers)


async def _worked(request: Request, work: Callable[[PictureService, bytes], _Result]) -> _Result:
    """Returns the result of ``work`` for the upload, which is read only once there is a place for it."""
    server = _server_of_request(request)
    content_type = request.headers.get("content-type", "")
    form = is_form(content_type)
    client = client_key(request.client.host if request.client else None)
    async with server.desk.place(client) as place:
        body = await _body(request, server.settings, ENVELOPE_BYTES if form else 0)

        def worked() -> _Result:
            upload = file_of_form(body, content_type) if form else body
            if len(upload) > server.settings.max_upload:
                raise _upload_too_large(server.settings)
            if not upload:
                raise HTTPException(422, "the upload is empty")
            return work(server.studio, upload)

        return await place.run(worked, request.is_disconnected)


async def _body(request: Request, settings: Settings, envelope: int) -> bytes:
    """Returns the whole body, of at most ``max_upload`` bytes and those of the ``envelope`` around the
    file.
    """
    max_body = settings.max_upload + envelope
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_body:
        raise _upload_too_large(settings)
    body = bytearray()
    try:
        async with asyncio.timeout(settings.upload_time):
            async for piece in request.stream():
                body += piece
                if len(body) > max_body:
                    raise _upload_too_large(settings)
    except TimeoutError as error:
        raise HTTPException(408, f"the upload took longer than {settings.upload_time:g} s") from error
    return bytes(body)


def _upload_too_large(settings: Settings) -> HTTPException:
    return HTTPException(413, f"the upload is larger than the {settings.max_upload:,} bytes that are allowed")
