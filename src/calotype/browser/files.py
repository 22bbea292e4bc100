"""The files of the browser's decoder, with its weights."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from pathlib import Path

from calotype.errors import ModelError
from calotype.models import DEFAULT_CONTEXT_MODEL, read_weights

__all__ = ["SCRIPTS", "decoder_files", "embedded_scripts", "is_built"]

SCRIPTS = (
    "calotype.js",
    "calotype-auto.js",
    "calotype-worker.js",
    "calotype-sw.js",
    "kernels.wasm",
    "kernels-relaxed.wasm",
)
"""The scripts and kernels of a page; the weights lie beside them."""

_WORKER = ("calotype-worker.js", "kernels.wasm", "kernels-relaxed.wasm")
_EMBEDDED = "calotype-embedded.js"
_FOLDER = Path(__file__).parent / "decoder"
_MEMORY_LEVEL = 9
_GZIP = 16 + zlib.MAX_WBITS
"""The window bits of ``zlib`` for a stream with a gzip header."""


def is_built() -> bool:
    """Returns whether the scripts are here: always in a released wheel, in a checkout after ``make web``."""
    return all((_FOLDER / name).is_file() for name in (*SCRIPTS, _EMBEDDED))


def decoder_files(network: str) -> dict[str, bytes]:
    """Returns the content of every file of the decoder by its name; all belong into one folder.

    ``network`` is the embedded decoder network, such as "pocket". Raises :class:`ModelError` if the scripts
    were not built.
    """
    scripts = {name: _read_built(name) for name in SCRIPTS}
    return scripts | _weights(network)


def embedded_scripts(network: str) -> dict[str, str]:
    """Returns scripts by name for pages that are opened from disk, where browsers fetch nothing for scripts.

    They are ordinary scripts, to be loaded in this order; then ``calotype`` is what calotype.js exports.
    Errors: see :func:`decoder_files`.
    """
    files = {
        name: _read_built(name) for name in ("calotype-worker.js", "kernels.wasm", "kernels-relaxed.wasm")
    }
    texts = {name: base64.b64encode(data).decode() for name, data in (files | _weights(network)).items()}
    return {
        "calotype-files.js": f"globalThis.calotypeFiles = {json.dumps(texts)};\n",
        _EMBEDDED: _read_built(_EMBEDDED).decode(),
    }


@cache
def _weights(network: str) -> dict[str, bytes]:
    weights = read_weights(network, DEFAULT_CONTEXT_MODEL)
    # Weights repeat nothing: the strategy that prefers single bytes to short matches makes them smaller.
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP, _MEMORY_LEVEL, zlib.Z_FILTERED)
    return {
        f"{network}-decoder.onnx.gz": packer.compress(weights.decoder) + packer.flush(),
        f"context-{DEFAULT_CONTEXT_MODEL}.npz": weights.context_model,
        "thumbnail.npz": weights.thumbnail_network,
    }


def _read_built(name: str) -> bytes:
    path = _FOLDER / name
    if not path.is_file():
        raise ModelError(
            f"the browser's decoder is not here ({name} is missing): run 'make web' in a checkout of"
            " Calotype, or install a released wheel"
        )
    return path.read_bytes()
