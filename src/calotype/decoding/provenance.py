"""The provenance note of a decoded picture: from how many bytes and by which models."""

from __future__ import annotations

from calotype.container import ChunkType, ParsedFile, unpack_record
from calotype.errors import FormatError
from calotype.imaging import Provenance
from calotype.models import decoder_name, model_name_of_id
from calotype.version import __version__

__all__ = ["provenance_of"]


def provenance_of(parsed: ParsedFile, model: str | None, *, small: bool = False) -> Provenance:
    """Returns the note for a file that the decoder ``model`` decodes; None: that of its latent space.

    A ``small`` picture is made without a decoder.
    Raises :class:`UnsupportedError` if the file names an encoder that is unknown here.
    """
    software = f"Calotype {__version__}"
    header = parsed.header
    arrived = "the first " if parsed.missing else ""
    decoder = "no decoder" if small else f"decoder {decoder_name(model, header.space)}"
    models = f"encoder {model_name_of_id(header.encoder)}, {decoder}"
    return Provenance(
        software,
        f"Decoded by {software} from {arrived}{parsed.size:,} bytes ({models})."
        f" Fine detail is synthesised: it may differ from the original.{_recorded_scores(parsed)}",
    )


def _recorded_scores(parsed: ParsedFile) -> str:
    """Returns a sentence on what the encoder has recorded of the picture's fidelity; "" without a record."""
    data = parsed.chunk(ChunkType.FIDELITY)
    if data is None:
        return ""
    try:
        record = unpack_record(data, parsed.header.width, parsed.header.height)
    except FormatError:
        return ""
    return (
        f" Its encoder compared it with the original: invention {record.invention:.2f},"
        f" loss {record.loss:.2f} (0 to 1)."
    )
