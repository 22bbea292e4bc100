"""The schemas of requests and answers, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from calotype.container import MEDIA_TYPE
from calotype.limits import MAX_SIDE
from calotype.options import DEFAULT_EFFORT
from calotype.web.form import MEDIA_TYPE as FORM_TYPE

__all__ = [
    "CALO_BODY",
    "PICTURE_BODY",
    "BaselineQuery",
    "DecodeQuery",
    "EncodeQuery",
    "NoQuery",
    "PrepareQuery",
    "Problem",
    "ServerInfo",
    "documented_answers",
]


class NoQuery(BaseModel):
    """The model of no parameters; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")


class EncodeQuery(NoQuery):
    """The rate: at most one of ``target_size``, ``quality`` and ``bpp``."""

    target_size: int | None = Field(
        None, ge=1, le=1 << 40, description="The largest size of the file, in bytes"
    )
    quality: float | None = Field(None, ge=0, le=100, description="0 to 100, higher is better")
    bpp: float | None = Field(None, gt=0, le=1000, description="The target size in bits per pixel")
    scale: float | None = Field(
        None, ge=0.125, le=2, description="The factor of width and height; by default the best one"
    )
    effort: int = Field(DEFAULT_EFFORT, ge=1, le=9, description="1 is fastest, 9 makes the smallest files")
    strict: bool = Field(False, description="Refuse the picture where a remark would be made otherwise")
    record: bool = Field(
        False,
        description="Record the parts of the picture that are uncertain, in at most 3 % of the bytes",
    )
    faithful: float | None = Field(
        None, ge=0, le=1, description="The largest invention that the decoded picture may have"
    )


class DecodeQuery(NoQuery):
    strict: bool = Field(False, description="Refuse files with damaged ancillary parts, such as metadata")
    overlay: bool = Field(
        False, description="Mark the parts that are uncertain by the file's record with stripes"
    )


class PrepareQuery(NoQuery):
    side: int = Field(MAX_SIDE, ge=1, le=MAX_SIDE, description="The limit of the longer side, in pixels")


class BaselineQuery(NoQuery):
    max_size: int = Field(ge=1, le=1 << 40, description="The size that the file should not exceed, in bytes")


class Problem(BaseModel):
    """The reason of a refusal, in one sentence."""

    error: str
    smallest: int | None = Field(None, description="Bytes of the smallest file, if the target was smaller")


class ServerInfo(BaseModel):
    """The server's version and limits."""

    name: str
    version: str
    media_type: str
    extension: str
    model: str
    decoder: str | None
    browser_decoder: str | None = Field(
        description="The decoder network with which browsers may decode too; null if only the server can"
    )
    baselines: list[str]
    max_upload: int = Field(description="Bytes")
    max_pixels: int
    max_side: int = Field(description="Pixels")
    per_client: int = Field(description="Requests at once from one address")
    work_time: float = Field(description="Seconds")


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REFUSALS = {
    403: "The request comes from a page of another site, or names another host",
    408: "The upload took too long",
    413: "Too many bytes, or too many pixels",
    415: "The upload is not of the kind asked for",
    422: "The upload is damaged, or a parameter cannot be met",
    429: "Too many requests at once from this address",
    500: "A fault of the server",
    503: "The server is busy or out of memory, lacks a model or codec, or the work took too long",
}


def _upload_schema(media_type: str, description: str) -> dict[str, Any]:
    """Describes an upload for ``openapi_extra``: the file itself, of any media type, or a form that holds
    it."""
    form = {"type": "object", "properties": {"file": _BINARY["schema"]}, "required": ["file"]}
    content = {media_type: _BINARY, FORM_TYPE: {"schema": form | {"additionalProperties": False}}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def documented_answers(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """Returns the ``responses`` of an operation: one of ``media_types`` (none: as modelled), or a refusal."""
    documented: dict[int | str, dict[str, Any]] = {
        code: {"model": Problem, "description": sentence} for code, sentence in _REFUSALS.items()
    }
    if media_types:
        remark = {
            "schema": {"type": "string"},
            "description": "Remarks about the result, if there are any",
        }
        documented[200] = {
            "content": dict.fromkeys(media_types, _BINARY),
            "headers": {"X-Calotype-Remark": remark},
            "description": "The file",
        }
    return documented


CALO_BODY = _upload_schema(MEDIA_TYPE, "The .calo file")
PICTURE_BODY = _upload_schema("application/octet-stream", "The picture, in any format that Pillow reads")
