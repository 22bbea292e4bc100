"""The latents of a .calo file as an array, and a .calo file of an array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calotype.arguments import check_type
from calotype.container import Coding, Header, parse_file
from calotype.decoding import decode_latents
from calotype.encoding import encode_latents
from calotype.file_data import DataLike, read_file_data
from calotype.latents import COARSEST, FINEST, SD1, step_of_level
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, model_id
from calotype.options import EncodeOptions

__all__ = ["DEFAULT_SOURCE", "read_latents", "write_latents"]

DEFAULT_SOURCE = "sd-1.5"
"""The model whose encoder made the latents that trainers cache."""

_LARGEST = 1000.0
"""The largest magnitude of a scaled latent that is accepted. Those of encoders are below 10, and 16-bit
integers can hold this one at the finest level."""


def read_latents(
    data: DataLike,
    *,
    conditional_mean: bool = False,
    scaled: bool = True,
    partial: bool = False,
    limits: Limits | None = None,
) -> NDArray[np.float32]:
    """Returns the latents of a .calo file, float32[4, h, w], without decoding them to a picture.

    ``data`` is bytes, a path or a binary file. The latents are those of the coded picture
    (``read_info(data).coded_width`` and ``coded_height``), ⌈height / 8⌉ by ⌈width / 8⌉. By default they are
    the integers of the file times their steps, and are the same on every machine. With ``conditional_mean``
    they are the conditional means, given the context model's prediction and the integers. These are nearer to
    the encoder's latents on average, and decoders without denoising receive them. ``scaled`` latents are
    multiplied by 0.18215, as for the U-Net of Stable Diffusion, and have a standard deviation of about 1;
    unscaled ones are those of its autoencoder. With ``partial`` the file may end too early; the missing
    latents are predicted.

    Raises :class:`FormatError` and :class:`LimitError`.
    """
    for name, flag in (("conditional_mean", conditional_mean), ("scaled", scaled), ("partial", partial)):
        check_type(name, flag, bool)
    check_type("limits", limits, Limits | None)
    parsed = parse_file(read_file_data(data), limits=limits or Limits(), partial=partial)
    reconstruction = decode_latents(parsed)
    latents = reconstruction.conditional_mean if conditional_mean else reconstruction.latents
    return latents if scaled else latents / np.float32(SD1.scaling)


def write_latents(
    latents: ArrayLike,
    *,
    width: int | None = None,
    height: int | None = None,
    step: float | None = None,
    model: str = DEFAULT_SOURCE,
    scaled: bool = True,
    **fields: Any,
) -> bytes:
    """Returns the .calo file of latents of Stable Diffusion 1.x: any array of numbers [4, h, w].

    ``width`` and ``height`` are those of the picture, in pixels, if they are no multiples of 8; None means
    8 w and 8 h. ``scaled``: see :func:`read_latents`. ``model`` names the model whose encoder made the
    latents; the file names it. ``fields`` are those of :class:`EncodeOptions` that concern latents: at most
    one of ``quality``, ``target_size`` and ``bpp``, and ``effort`` and ``limits``. Instead of a
    quality, ``step`` may be given: the quantiser's step in scaled latents, 0.044 to 2.83; the file has the
    nearest level. Rounding to a step adds an error with a standard deviation of about 0.29 steps. At effort 5
    and above, rate-distortion optimisation makes the file smaller and the error larger.

    The file holds the latents and nothing else: no alpha, no metadata, no finer regions, no other scale.
    Raises ``TypeError``, ``ValueError``, :class:`TargetSizeError` and :class:`LimitError`.
    """
    allowed = {"quality", "target_size", "bpp", "effort", "limits"}
    if unknown := sorted(set(fields) - allowed):
        raise TypeError(f"{unknown[0]} is no option for latents: those are {', '.join(sorted(allowed))}")
    check_type("scaled", scaled, bool)
    check_type("step", step, float | None)
    if step is not None:
        if given := sorted(
            {"quality", "target_size", "bpp"} & {n for n, v in fields.items() if v is not None}
        ):
            raise ValueError(f"step and {given[0]} exclude each other: give one")
        fields["quality"] = _quality_of_step(step)
    options = EncodeOptions(**fields)
    values = _scaled_latents(latents, scaled)
    rows, columns = values.shape[1:]
    header = Header(
        coding=Coding.HIERARCHICAL,
        space=SD1.id,
        context_model=DEFAULT_CONTEXT_MODEL,
        encoder=model_id(model),
        width=_side_in_pixels("width", width, columns),
        height=_side_in_pixels("height", height, rows),
        level=0,
    )
    options.limits.check_size(header.width, header.height)
    return encode_latents(values, header, options)


def _quality_of_step(step: float) -> float:
    if not step_of_level(FINEST) * 0.97 <= step <= step_of_level(COARSEST) * 1.03:
        raise ValueError(
            f"step (={step}) must be between {step_of_level(FINEST):.3f} and {step_of_level(COARSEST):.2f}"
        )
    level = round(16 * (math.log2(step) + 5))
    return 100 * (COARSEST - level) / (COARSEST - FINEST)


def _side_in_pixels(name: str, pixels: int | None, positions: int) -> int:
    """Returns a side of the picture in pixels. Raises ``ValueError`` if its latents are of another size."""
    check_type(name, pixels, int | None)
    if pixels is None:
        return SD1.factor * positions
    if -(-pixels // SD1.factor) != positions:
        raise ValueError(
            f"{name} (={pixels}) must be between {SD1.factor * (positions - 1) + 1} and "
            f"{SD1.factor * positions} pixels for latents of {positions} positions"
        )
    return pixels


def _scaled_latents(latents: ArrayLike, scaled: bool) -> NDArray[np.float32]:
    """Returns latents as scaled float32[4, h, w]. Raises ``TypeError`` and ``ValueError``."""
    values = np.asarray(latents)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"latents (of dtype {values.dtype}) must be an array of numbers")
    if values.ndim != 3 or values.shape[0] != SD1.channels or 0 in values.shape:
        raise ValueError(f"latents (of shape {values.shape}) must be of shape (4, h, w)")
    values = np.ascontiguousarray(values, np.float32)
    if not scaled:
        values = values * np.float32(SD1.scaling)
    if not np.isfinite(values).all() or np.abs(values).max() > _LARGEST:
        raise ValueError(f"latents must be finite, and at most {_LARGEST:g} when scaled")
    return values
