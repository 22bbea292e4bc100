"""The description of a file, read without decoding it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from calotype.arguments import check_type
from calotype.container import (
    ChunkInfo,
    ChunkType,
    Coding,
    FidelityRecord,
    ParsedFile,
    parse_file,
    unpack_record,
)
from calotype.errors import FormatError
from calotype.file_data import DataLike, read_file_data
from calotype.latents import step_of_level
from calotype.limits import Limits
from calotype.models import latent_space_of_id, model_name_of_id

__all__ = ["Info", "describe_file", "read_info"]


@dataclass(frozen=True)
class Info:
    """The description of a .calo file.

    ``width`` and ``height`` are those of the picture to show, and ``coded_width`` and ``coded_height`` those
    of the picture that the latents describe, in pixels. ``step`` is the quantiser's, in scaled-latent units.
    ``file_size`` and ``payload_size`` are in bytes. ``mode`` is that of the Pillow image.

    ``missing`` is 0 and ``fraction`` 1 for a complete file. For a file that ends too early, ``file_size``
    counts the bytes that are there, ``missing`` is the least number of bytes that are not, and ``fraction``
    is the part of the file that is there.

    ``fidelity`` is the encoder's record of where the picture is uncertain. It is None if the file has no such
    record, or a damaged one.
    """

    format_version: int
    width: int
    height: int
    coded_width: int
    coded_height: int
    mode: str
    coding: str
    space: str
    context_model: int
    encoder: str
    level: int
    step: float
    file_size: int
    missing: int
    fraction: float
    payload_size: int
    bpp: float
    chunks: tuple[ChunkInfo, ...]
    fidelity: FidelityRecord | None

    @property
    def scaled(self) -> bool:
        """Returns whether the coded size differs from the size to show."""
        return (self.coded_width, self.coded_height) != (self.width, self.height)

    def as_dict(self) -> dict[str, Any]:
        """Returns the same as plain values, ready for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """Returns a table, for notebooks."""
        from html import escape  # This import takes as long as that of the whole module.

        rows = [
            (name, str(value)) for name, value in self.as_dict().items() if name not in ("chunks", "fidelity")
        ]
        rows += [
            (f"chunk {chunk.name}", f"{chunk.size:,} bytes" + ("" if chunk.intact else ", damaged"))
            for chunk in self.chunks
        ]
        if self.fidelity is not None:
            rows.append(
                ("fidelity", f"invention {self.fidelity.invention:.3f}, loss {self.fidelity.loss:.3f}")
            )
        cells = "".join(
            f'<tr><th scope="row" style="text-align: left">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in rows
        )
        return f"<table><caption>Calotype file</caption><tbody>{cells}</tbody></table>"


def read_info(data: DataLike, limits: Limits | None = None, *, partial: bool = False) -> Info:
    """Reads the header and the list of chunks of a .calo file, without decoding it.

    With ``partial`` the file may end too early. Raises :class:`FormatError` and :class:`LimitError`.
    """
    check_type("limits", limits, Limits | None)
    check_type("partial", partial, bool)
    return describe_file(parse_file(read_file_data(data), limits=limits or Limits(), partial=partial))


def describe_file(parsed: ParsedFile) -> Info:
    """Returns the description of a file from its header and its list of chunks."""
    header = parsed.header
    return Info(
        format_version=header.version,
        width=header.width,
        height=header.height,
        coded_width=header.coded_size[0],
        coded_height=header.coded_size[1],
        mode=("L" if header.grey else "RGB") + ("A" if header.alpha else ""),
        coding=Coding(header.coding).name.lower(),
        space=latent_space_of_id(header.space).name,
        context_model=header.context_model,
        encoder=model_name_of_id(header.encoder),
        level=header.level,
        step=round(step_of_level(header.level), 5),
        file_size=parsed.size,
        missing=parsed.missing,
        fraction=round(parsed.fraction, 4),
        payload_size=parsed.payload_size,
        bpp=round(8 * parsed.size / (header.width * header.height), 4),
        chunks=parsed.found,
        fidelity=_record_of(parsed),
    )


def _record_of(parsed: ParsedFile) -> FidelityRecord | None:
    """Returns the content of the FIDELITY chunk; None if there is none, or if it cannot be read."""
    data = parsed.chunk(ChunkType.FIDELITY)
    if data is None:
        return None
    try:
        return unpack_record(data, parsed.header.width, parsed.header.height)
    except FormatError:
        return None
