"""Uploads as forms, as ``curl -F``, browsers and most HTTP libraries send them."""

from __future__ import annotations

import math

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from calotype.errors import CalotypeError, SourceError

__all__ = ["ENVELOPE_BYTES", "MEDIA_TYPE", "MediaError", "file_of_form", "is_form"]

MEDIA_TYPE = "multipart/form-data"

ENVELOPE_BYTES = 64 << 10
"""The largest number of bytes of a form beside its file: boundaries and the headers of the parts."""


class MediaError(CalotypeError):
    """The upload has an unsupported media type."""


def is_form(content_type: str) -> bool:
    """Returns whether a body of ``content_type`` (the header's value) is a form that holds a file.

    Raises :class:`MediaError` for the other kinds of ``multipart``, which no client sends for an upload.
    """
    kind = parse_options_header(content_type)[0].decode("latin-1").lower()
    if kind.startswith("multipart/") and kind != MEDIA_TYPE:
        raise MediaError(f"{kind} cannot be read: send the file itself as the body, or {MEDIA_TYPE}")
    return kind == MEDIA_TYPE


def file_of_form(body: bytes, content_type: str) -> bytes:
    """Returns the content of the one file in ``body``, a form of ``content_type``; it uses no disk.

    Raises :class:`SourceError` for a form that is damaged, or does not hold one file and nothing else.
    """
    files: list[bytes] = []
    ended = False

    def on_file(file: File) -> None:
        if files:
            raise SourceError("the form holds several files: send one in each request")
        file.file_object.seek(0)
        files.append(file.file_object.read())

    def on_field(field: Field) -> None:
        name = (field.field_name or b"").decode("utf-8", "replace")
        raise SourceError(
            f"the form's field {name!r} is not a file: put parameters into the address, after '?'"
        )

    def on_end() -> None:
        nonlocal ended
        ended = True

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    config = {"MAX_MEMORY_FILE_SIZE": math.inf, "UPLOAD_ERROR_ON_BAD_CTE": True}
    try:
        parser = FormParser(MEDIA_TYPE, on_field, on_file, on_end, boundary, config=config)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise SourceError(f"the form cannot be read: {error}") from error
    if not ended:
        raise SourceError("the form ends too early: its last boundary is missing")
    if not files:
        raise SourceError("the form holds no file")
    return files[0]
