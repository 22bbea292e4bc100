"""The files in which trainers of Stable Diffusion cache the latents of their pictures, one for each picture.

The layout in ``.npz`` is that of kohya-ss/sd-scripts: arrays ``latents`` [4, h, w], ``original_size`` (width,
height) and ``crop_ltrb``, optionally with the size of the latents behind the name (``latents_64x48``: rows,
columns). In ``.safetensors`` the names are the same. ComfyUI's ``latent_tensor`` is read too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calotype.errors import SourceError
from calotype.latent_files.arrays import read_npz, read_safetensors, write_npz, write_safetensors
from calotype.latents import SD1
from calotype.limits import Limits

__all__ = ["CACHE_FORMATS", "CachedLatents", "pack_cache", "unpack_cache"]

CACHE_FORMATS = ("npz", "safetensors")

_NAME = re.compile(r"(latents|latent_tensor)(?:_(\d+)x(\d+))?")
_PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
_SMALLEST_DEVIATION, _LARGEST_DEVIATION = 0.4, 2.5


@dataclass(frozen=True, eq=False)
class CachedLatents:
    """The latents of one picture, ``scaled`` float32[4, h, w], and its ``width`` and ``height`` in pixels.

    Trainers crop pictures to buckets: then these are the sides of the bucket.
    """

    scaled: NDArray[np.float32]
    width: int
    height: int

    @property
    def looks_scaled_right(self) -> bool:
        """Returns whether the standard deviation is that of scaled latents; if not, they may be unscaled."""
        return _SMALLEST_DEVIATION < float(self.scaled.std()) < _LARGEST_DEVIATION


def pack_cache(
    latents: CachedLatents,
    format_name: str,
    *,
    dtype: Literal["float32", "float16"] = "float32",
    scaled: bool = False,
    size_in_names: bool = False,
) -> bytes:
    """Returns the cache file of one picture, in one of ``CACHE_FORMATS``.

    Trainers cache latents that are not ``scaled`` by 0.18215. ``size_in_names`` puts rows and columns behind
    the names of arrays. Raises :class:`ModelError` for safetensors without the package.
    """
    values = latents.scaled if scaled else latents.scaled / np.float32(SD1.scaling)
    rows, columns = values.shape[1:]
    suffix = f"_{rows}x{columns}" if size_in_names else ""
    arrays: dict[str, NDArray[Any]] = {
        "latents": values.astype(dtype),
        "original_size": np.array([latents.width, latents.height]),
        "crop_ltrb": np.array([0, 0, latents.width, latents.height]),
    }
    arrays = {name + suffix: array for name, array in arrays.items()}
    return write_npz(arrays) if format_name == "npz" else write_safetensors(arrays)


def unpack_cache(
    data: bytes, name: str, *, scaled: bool = False, size: str | None = None, limits: Limits | None = None
) -> tuple[CachedLatents, tuple[str, ...]]:
    """Returns (the latents in a cache file, the names of the arrays that were not used).

    ``name`` is that of the file: its extension says the format. ``scaled`` says whether the latents were
    multiplied by 0.18215. ``size``, such as "64x48" (rows, columns), chooses among several. Raises
    :class:`SourceError`,
    :class:`LimitError`, and :class:`ModelError` for safetensors without the package.
    """
    limits = limits or Limits()
    # The first member of an archive of torch.save is data.pkl.
    if name.lower().endswith(_PICKLES) or b"/data.pkl" in data[:256]:
        raise SourceError(
            "is a pickle, which can run any code when it is read: save its tensors as .npz or .safetensors"
        )

    def wanted(array: str) -> bool:
        match = _NAME.fullmatch(array)
        return match is not None and (size is None or match[2] is None or f"{match[2]}x{match[3]}" == size)

    read = read_npz if data.startswith(b"PK") else read_safetensors
    arrays, others = read(data, wanted, limits)
    if size is not None:
        arrays = {key: array for key, array in arrays.items() if _size_text(array) == size}
    if len(arrays) != 1:
        sizes = ", ".join(_size_text(array) for array in arrays.values())
        raise SourceError(
            f"holds latents of several sizes ({sizes}): choose one"
            if arrays
            else f"holds no latents{f' of size {size}' if size else ''}: its arrays are {', '.join(others)}"
        )
    values = _single_array(arrays)
    if not scaled:
        values = values * np.float32(SD1.scaling)
    rows, columns = values.shape[1:]
    unused = tuple(name for name in others if not name.startswith(("original_size", "crop_ltrb")))
    unused = tuple(name for name in unused if not name.startswith("latent_format_version"))
    return CachedLatents(values, SD1.factor * columns, SD1.factor * rows), unused


def _size_text(array: NDArray[Any]) -> str:
    return "x".join(map(str, array.shape[-2:]))


def _single_array(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Returns the only array as float32[4, h, w]. Raises :class:`SourceError`."""
    ((name, array),) = arrays.items()
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3 or array.shape[0] != SD1.channels or 0 in array.shape:
        raise SourceError(
            f"holds {name} of shape {array.shape}: Stable Diffusion 1.x has latents of shape (4, h, w)"
        )
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise SourceError(f"holds {name} with values that are no numbers")
    return values
