"""The application: operations, page, and the common form of all refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount
from starlette.types import ASGIApp

import calotype
from calotype.compare import page as shared
from calotype.errors import (
    CalotypeError,
    FormatError,
    InventionError,
    LimitError,
    ModelError,
    OutOfMemoryError,
    SourceError,
    TargetSizeError,
)
from calotype.web import decoder_files
from calotype.web.api import Server, router
from calotype.web.form import MediaError
from calotype.web.guard import Guard
from calotype.web.settings import RETRY, Settings
from calotype.web.studio import PictureService, remarks_collected
from calotype.web.work_queue import WorkQueue

__all__ = ["create_app"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_OF_FILES = ("GET", "HEAD")
_STATIC = Path(__file__).parent / "static"
_STATUS: dict[type[CalotypeError], int] = {
    MediaError: 415,
    LimitError: 413,
    SourceError: 422,
    TargetSizeError: 422,
    InventionError: 422,
    FormatError: 422,
    ModelError: 503,
}


class _Application(FastAPI):
    """The application, whose guard encloses everything, including the handler of internal errors."""

    def __init__(self, settings: Settings, **more: Any) -> None:
        super().__init__(**more)
        self._settings = settings

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self._settings)


def create_app(settings: Settings | None = None, studio: PictureService | None = None) -> FastAPI:
    """Creates the ASGI application, which any server can run; ``studio`` may have loaded models."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        desk = WorkQueue(settings)
        app.state.server = Server(settings, studio or PictureService(settings), desk)
        with remarks_collected():
            yield
        desk.close()

    app = _Application(
        settings,
        title="Calotype",
        version=calotype.__version__,
        description="Photographs as a few kilobytes. The body of every POST request is the file itself,"
        " or a form that holds it.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(CalotypeError, _calotype_error)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _nobody_listens)
    app.add_exception_handler(MemoryError, _no_memory)
    # Without a handler of its own, this error would go to that of CalotypeError.
    app.add_exception_handler(OutOfMemoryError, _no_memory)
    app.add_exception_handler(Exception, _fault)
    app.include_router(router)
    app.include_router(decoder_files.router)
    pages = {"/": _STATIC / "index.html", "/docs": _STATIC / "docs.html"}
    pages |= {f"/static/{name}": Path(shared.__file__).with_name(name) for name in shared.SHARED}
    for address, file in pages.items():
        app.add_api_route(address, _static_page(file), methods=list(_OF_FILES), include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app


def _static_page(file: Path) -> Callable[[], Awaitable[FileResponse]]:
    async def page() -> FileResponse:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return page


def _refusal_response(status: int, sentence: str, **more: object) -> JSONResponse:
    return JSONResponse({"error": sentence.replace("\n", " "), **more}, status)


async def _calotype_error(_: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, TargetSizeError):
        return _refusal_response(status, str(error), smallest=error.smallest)
    return _refusal_response(status, str(error))


async def _bad_parameter(_: Request, error: Exception) -> JSONResponse:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": ("?",), "msg": ""}
    return _refusal_response(422, f"{first['loc'][-1]}: {first['msg']}")


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    answer = _refusal_response(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(_allowed_methods(request))
    return answer


def _allowed_methods(request: Request) -> list[str]:
    """Returns the methods of the address of ``request``, over all of its routes."""

    def knows(method: str) -> bool:
        path = request.scope["path"]
        scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
        matching = [route for route in request.app.routes if route.matches(scope)[0] is Match.FULL]
        return any(not isinstance(route, Mount) or method in _OF_FILES for route in matching)

    return [method for method in _METHODS if knows(method)]


async def _nobody_listens(_: Request, __: Exception) -> JSONResponse:
    return _refusal_response(408, "the connection was closed before the end of the upload")


async def _no_memory(_: Request, __: Exception) -> JSONResponse:
    answer = _refusal_response(
        503, "there is not enough memory for this now: try again, or a smaller picture"
    )
    answer.headers.update(RETRY)
    return answer


async def _fault(_: Request, __: Exception) -> JSONResponse:
    return _refusal_response(500, "an internal error, which the server's log describes")
