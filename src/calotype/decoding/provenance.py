"""The provenance note of a decoded picture: from how many bytes and by which models."""

from __future__ import annotations

from calotype.container import ParsedFile
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
        " Fine detail is synthesised: it may differ from the original.",
    )
