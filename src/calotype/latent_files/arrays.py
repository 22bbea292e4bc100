"""Named arrays in ``.npz`` and ``.safetensors``; sizes are checked before anything is allocated."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from calotype.errors import CalotypeError, ModelError, SourceError
from calotype.latents import SD1
from calotype.limits import Limits

__all__ = ["read_npz", "read_safetensors", "write_npz", "write_safetensors"]

_DTYPES = ("float16", "float32", "float64")
_SAFETENSORS_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64"}

_BAD_ARCHIVES = (ValueError, EOFError, OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""The exceptions of zipfile and numpy for archives that are damaged, encrypted or of an unknown kind."""

Arrays = dict[str, NDArray[Any]]
Wanted = Callable[[str], bool]


def write_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Returns the arrays as an uncompressed ``.npz`` file, as ``numpy.savez`` writes it."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def read_npz(data: bytes, wanted: Wanted, limits: Limits) -> tuple[Arrays, tuple[str, ...]]:
    """Returns (the arrays that are ``wanted`` by their names, the names of the others) of a ``.npz`` file.

    Raises :class:`SourceError` and :class:`LimitError`.
    """
    latents, others = {}, []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if not wanted(name):
                    others.append(name)
                    continue
                with archive.open(member) as file:
                    version = npy.read_magic(file)
                    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    shape, _, dtype = read(file)
                _check_latent_array(name, shape, str(dtype), limits)
                with archive.open(member) as file:
                    latents[name] = npy.read_array(file, allow_pickle=False)
    except CalotypeError:  # Limit errors are OSErrors too.
        raise
    except _BAD_ARCHIVES as error:
        raise SourceError(f"is no readable .npz file ({error})") from error
    return latents, tuple(others)


def write_safetensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Returns the arrays as a ``.safetensors`` file. Raises :class:`ModelError` without the package."""
    return _safetensors().save(dict(arrays))


def read_safetensors(data: bytes, wanted: Wanted, limits: Limits) -> tuple[Arrays, tuple[str, ...]]:
    """Does the same as :func:`read_npz` for a ``.safetensors`` file. Raises :class:`ModelError` without
    the package.
    """
    library = _safetensors()
    try:
        entries = dict(library.deserialize(data))
    except Exception as error:  # SafetensorError is a direct subclass of Exception.
        raise SourceError(f"is neither a .npz nor a .safetensors file ({error})") from error
    latents, others = {}, []
    for name, entry in entries.items():
        if not wanted(name):
            others.append(name)
            continue
        dtype = _SAFETENSORS_DTYPES.get(entry["dtype"], entry["dtype"])
        _check_latent_array(name, tuple(entry["shape"]), dtype, limits)
        latents[name] = np.frombuffer(entry["data"], np.dtype(dtype).newbyteorder("<")).reshape(
            entry["shape"]
        )
    return latents, tuple(others)


def _check_latent_array(name: str, shape: tuple[int, ...], dtype: str, limits: Limits) -> None:
    """Raises :class:`SourceError` and :class:`LimitError` for an array that cannot be the latents."""
    if str(dtype).lstrip("<>=|") not in (*_DTYPES, "f2", "f4", "f8"):
        raise SourceError(f"holds {name} of type {dtype}: it must be float16, float32 or float64")
    if not (len(shape) == 3 or (len(shape) == 4 and shape[0] == 1)) or shape[-3] != SD1.channels:
        raise SourceError(
            f"holds {name} of shape {shape}: Stable Diffusion 1.x has latents of shape (4, h, w)"
        )
    limits.check_size(SD1.factor * shape[-1], SD1.factor * shape[-2])


class _Safetensors:
    """The two functions of safetensors that are used."""

    def __init__(self) -> None:
        from safetensors import deserialize
        from safetensors.numpy import save

        self.deserialize: Callable[[bytes], Any] = deserialize
        self.save: Callable[[Arrays], bytes] = save


def _safetensors() -> _Safetensors:
    try:
        return _Safetensors()
    except ImportError as error:
        raise ModelError("safetensors is missing: pip install 'calotype[latents]'") from error
