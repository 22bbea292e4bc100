"""Adds the record of a file's fidelity: the encoder decodes its own file and compares it with the picture."""

from __future__ import annotations

import numpy as np

from calotype.decoding import decode_files
from calotype.encoding.plan import size_target
from calotype.encoding.prepare import PreparedPicture
from calotype.fidelity import Fidelity, load_calibration, most_record_bytes, picture_fidelity, record_chunk
from calotype.limits import ANY_SIZE
from calotype.models import ModelCache, decoder_name, model_id
from calotype.options import DecodeOptions, EncodeOptions

__all__ = ["file_fidelity", "with_record"]


def file_fidelity(file: bytes, picture: PreparedPicture, models: ModelCache) -> Fidelity:
    """Decodes ``file`` with the default decoder and returns the fidelity of the result to the picture.

    Raises :class:`ModelError`.
    """
    decoding = DecodeOptions(limits=ANY_SIZE, keep_metadata=False, provenance=False)
    (decoded,) = decode_files([file], decoding, models, batch=1)
    network = models.features(load_calibration().activations)
    alpha = np.asarray(decoded.getchannel("A")) if decoded.mode.endswith("A") else None  # it is lossless
    return picture_fidelity(picture.rgb, alpha, decoded, network)


def with_record(file: bytes, picture: PreparedPicture, options: EncodeOptions, models: ModelCache) -> bytes:
    """Returns the ``file`` of a picture with a FIDELITY chunk at its end.

    The record is that of the default decoder. Raises :class:`ModelError`.
    """
    fidelity = file_fidelity(file, picture, models)
    decoder = model_id(decoder_name(None, picture.header.space))
    size = size_target(options, picture.header.width, picture.header.height)
    return file + record_chunk(fidelity, decoder, most_record_bytes(len(file) if size is None else size))
