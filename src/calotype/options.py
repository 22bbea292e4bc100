"""How to encode and how to decode: immutable option sets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal

from calotype.arguments import check_fields, check_type
from calotype.limits import Limits

__all__ = [
    "BACKENDS",
    "DEFAULT_BACKEND",
    "DEFAULT_EFFORT",
    "DEFAULT_QUALITY",
    "REDUCTIONS",
    "DecodeOptions",
    "DiffusionOptions",
    "EncodeOptions",
    "Roi",
    "check_device",
]

DEFAULT_QUALITY = 50.0
"""About 0.15 bits per pixel, 5 kB at 512x512."""

DEFAULT_EFFORT = 6

BACKENDS = ("onnxruntime", "openvino", "openvino-bf16")
"""The runtimes of the embedded networks; the last one computes in bfloat16 if the processor can."""

DEFAULT_BACKEND = BACKENDS[0]

_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:\d+)?", re.ASCII)
_MAX_BPP = 1_000_000
"""The largest ``bpp``, far above that of any file. It keeps the number of bytes finite."""

REDUCTIONS = (1, 8, 16)
"""The divisors of width and height at which a picture can be decoded."""

_DTYPES = ("auto", "float32", "bfloat16", "float16")


def check_device(device: str, dtype: str) -> None:
    """Raises ``TypeError`` or ``ValueError`` unless these are names of a device and of a number format."""
    check_type("device", device, str)
    check_type("dtype", dtype, str)
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"device (={device}) must be auto, cpu, cuda or mps, or one such as cuda:1")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype (={dtype}) must be one of {', '.join(_DTYPES)}")


@dataclass(frozen=True)
class DiffusionOptions:
    """The options of the Stable Diffusion models; other models ignore them.

    ``weights`` is a folder in diffusers layout, or an original single file, to use instead of the fetched
    weights. ``vae`` is the name of another VAE of the space, or the path of its weights. ``device`` is
    "auto", "cpu", "cuda" or "mps", with a number after a colon where there are several. ``dtype`` is "auto",
    "float32", "bfloat16" or "float16". ``tile`` is the longest side in pixels, a multiple of 8, that passes a
    network at once.

    ``denoise`` is "auto" (the timestep with as much noise as the quantiser added), "off", or a timestep of
    the scheduler, 0 to 999. ``steps`` is the number of deterministic denoising steps from there to the
    picture. With a ``seed``, 0 to 2**64 - 1, noise is added first to latents that have less than the timestep
    says. Raises ``TypeError`` and ``ValueError``.
    """

    weights: str | os.PathLike[str] | None = None
    vae: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    tile: int = 512
    denoise: str | int = "auto"
    steps: int = 1
    seed: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_device(self.device, self.dtype)
        # 8 is the factor of the latent space, which lies above this module.
        if self.tile < 256 or self.tile % 8:
            raise ValueError(f"tile (={self.tile}) must be a multiple of 8 pixels, at least 256")
        if self.denoise not in ("auto", "off") and self.denoise not in range(1000):
            raise ValueError(f"denoise (={self.denoise}) must be auto, off or a timestep from 0 to 999")
        if not 0 <= self.steps <= 1000:
            raise ValueError(f"steps (={self.steps}) must be between 0 and 1000")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed (={self.seed}) must be between 0 and 2**64 - 1")


@dataclass(frozen=True)
class Roi:
    """A region of interest: a rectangle in pixels of the upright picture and a weight, above 0 and up to 1.

    Raises ``TypeError`` and ``ValueError``.
    """

    left: int
    top: int
    width: int
    height: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.left < 0 or self.top < 0 or self.width < 1 or self.height < 1:
            raise ValueError(f"the region {self} must have pixels, and start within the picture")
        if not 0 < self.weight <= 1:
            raise ValueError(f"the weight of the region {self} must be above 0 and at most 1")

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width},{self.height},{self.weight:g}"


@dataclass(frozen=True)
class EncodeOptions:
    """The options of the encoder.

    At most one of ``quality`` (0 to 100, higher is better), ``target_size`` (bytes of the whole file,
    never exceeded) and ``bpp`` (bits per pixel, of the whole file) may be given; with none of them the
    quality is ``DEFAULT_QUALITY``. ``scale`` (1/8 to 2) multiplies width and height before the picture is
    coded; the decoder scales it back. ``None`` chooses the best scale, which is smaller for few bytes and
    larger for many. ``effort`` is 1 (fastest) to 9 (smallest files). ``model`` is the name of the encoder,
    and ``diffusion`` has its options if it is a Stable Diffusion model. ``keep_metadata`` keeps EXIF, XMP and
    the ICC profile, which are dropped by default. ``strict`` makes errors of warnings, such as that for an
    animation, of which the first frame is coded.

    ``recipe`` "palette" codes the latents as in 2022 (see ``latents.palette``). Such a file has one size:
    quality, target size and bpp cannot be chosen, and effort has no effect.

    ``protect`` "faces", "text" or a tuple of both protects them at efforts of 5 and more, within the same
    target size. Parts that gain enough structure for their bytes become patches, which AV1 or VP8 codes.
    Others get finer latents than the rest, faces only at coarse levels (below a quality of about 42). Text
    needs ``calotype[truth]``. "auto" protects faces, and text if that is installed; "none" treats all parts
    alike. ``roi`` are regions that get finer latents at every effort, at the cost of the rest. Each is a
    :class:`Roi`, which may become a patch instead unless ``protect`` is "none", or the path of a mask: a
    picture of the same size, white in the region. Weights scale the refinement; where regions overlap, the
    largest weight holds.

    ``record`` decodes the file, compares the picture with the original, and adds a record of where it is
    uncertain, of at most 3 % of the bytes (``Info.fidelity``, ``DecodeOptions.overlay``).

    ``faithful``, 0 to 1, is the largest invention that the decoded picture may have (``calotype.verify``).
    A file that invents more is coded again: with finer latents unless there is a target size, then with
    patches over the parts that invent most, at last with a patch over everything.

    Effort 9 optimises the latents for the decoder ``decoder`` (``None``: the default one of the latent space)
    if torch is installed. It takes up to ``time_limit`` seconds for a picture. With the path of an ``lpips``
    graph, that metric is part of the distortion. Raises ``ValueError`` for values out of range, and
    ``TypeError``.
    """

    quality: float | None = None
    target_size: int | None = None
    bpp: float | None = None
    scale: float | None = None
    effort: int = DEFAULT_EFFORT
    recipe: Literal["hierarchical", "palette"] = "hierarchical"
    protect: str | tuple[str, ...] = "faces"
    roi: tuple[Roi | str | os.PathLike[str], ...] = ()
    decoder: str | None = None
    time_limit: float = 60.0
    lpips: str | os.PathLike[str] | None = None
    model: str = "pocket"
    keep_metadata: bool = False
    record: bool = False
    faithful: float | None = None
    strict: bool = False
    limits: Limits = field(default_factory=Limits)
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)

    def __post_init__(self) -> None:
        check_fields(self)
        given = [n for n in ("quality", "target_size", "bpp") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: give one")
        if self.quality is not None and not 0 <= self.quality <= 100:
            raise ValueError(f"quality (={self.quality}) must be between 0 and 100")
        if self.target_size is not None and self.target_size < 1:
            raise ValueError(f"target_size (={self.target_size}) must be a positive number of bytes")
        if self.bpp is not None and not 0 < self.bpp <= _MAX_BPP:
            raise ValueError(f"bpp (={self.bpp}) must be positive and at most {_MAX_BPP}")
        if self.scale is not None and not 0.125 <= self.scale <= 2:
            raise ValueError(f"scale (={self.scale}) must be between 0.125 and 2")
        if self.effort not in range(1, 10):
            raise ValueError(f"effort (={self.effort}) must be between 1 and 9")
        if not self.time_limit > 0:
            raise ValueError(f"time_limit (={self.time_limit}) must be a positive number of seconds")
        if self.recipe not in ("hierarchical", "palette"):
            raise ValueError(f"recipe (={self.recipe!r}) must be 'hierarchical' or 'palette'")
        _check_protect(self.protect)
        if self.faithful is not None and not 0 <= self.faithful <= 1:
            raise ValueError(f"faithful (={self.faithful}) must be between 0 and 1")
        if self.recipe == "palette" and self.faithful is not None:
            raise ValueError("faithful cannot be chosen with the palette recipe, which has one size")
        for roi in self.roi:
            check_type("roi", roi, Roi | str | os.PathLike)
        if self.recipe == "palette" and self.roi:
            raise ValueError("roi cannot be chosen with the palette recipe, which has one quantiser for all")
        if self.recipe == "palette" and given:
            raise ValueError(f"{given[0]} cannot be chosen with the palette recipe, which has one size")

    @property
    def protected(self) -> frozenset[str]:
        """What ``protect`` names: some of "faces" and "text", and "text?" for text if it can be found."""
        names = {self.protect} if isinstance(self.protect, str) else set(self.protect)
        if "auto" in names:
            names |= {"faces"} if "text" in names else {"faces", "text?"}
        return frozenset(names - {"auto", "none"})


def _check_protect(protect: str | tuple[str, ...]) -> None:
    """Raises ``ValueError`` and ``TypeError`` for what cannot be protected."""
    names = (protect,) if isinstance(protect, str) else protect
    for name in names:
        check_type("protect", name, str)
    if not names or not {"auto", "faces", "text", "none"}.issuperset(names):
        raise ValueError(f"protect (={protect!r}) must be 'auto', 'faces', 'text' or 'none', or some of them")
    if "none" in names and len(set(names)) > 1:
        raise ValueError(f"protect (={protect!r}) cannot name 'none' and something else")


@dataclass(frozen=True)
class DecodeOptions:
    """The options of the decoder.

    ``model`` is the name of the decoder (``None``: the default one of the file's latent space), and
    ``diffusion`` has its options if it is a Stable Diffusion model. ``strict`` makes errors of damaged
    ancillary chunks and trailing bytes, instead of warnings. ``partial`` also decodes a file that ends too
    early, as far as it goes. There is a :class:`PartialPictureWarning` then, and ``image.info["partial"]`` is
    the fraction of the file that is there. ``keep_metadata`` attaches the file's EXIF, XMP and ICC profile,
    and converts the pixels back to that profile. ``provenance`` adds a note on the origin of the picture:
    ``image.info["provenance"]``, a sentence, and ``image.info["software"]``. ``overlay`` marks the parts of
    the picture that are uncertain according to the file's record, with a warning if the file has none.

    ``reduce`` 8 or 16 makes a picture with an eighth or a sixteenth of the width and height, rounded up. It
    takes a small part of the time, because no decoder network runs: ``model`` and ``diffusion`` have no
    effect. For 16 only the coarse latents are decoded, without the checksum, which is that of all latents;
    ``strict`` decodes and verifies them all. ``box`` (left, top, right, bottom) decodes only this part, in
    pixels of the whole picture to show. With ``reduce`` it is enlarged to whole pixels of the smaller
    picture. Raises ``TypeError`` and ``ValueError``.
    """

    model: str | None = None
    strict: bool = False
    partial: bool = False
    keep_metadata: bool = True
    provenance: bool = True
    overlay: bool = False
    reduce: int = 1
    box: tuple[int, int, int, int] | None = None
    limits: Limits = field(default_factory=Limits)
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.reduce not in REDUCTIONS:
            raise ValueError(f"reduce (={self.reduce}) must be one of {', '.join(map(str, REDUCTIONS))}")
        if self.box is not None:
            _check_box(self.box)


def _check_box(box: tuple[int, ...]) -> None:
    """Raises ``ValueError`` and ``TypeError`` unless ``box`` can be a box in some picture."""
    if len(box) != 4:
        raise ValueError(f"box (={box}) must have four sides: left, top, right, bottom")
    for name, side in zip(("left", "top", "right", "bottom"), box, strict=True):
        check_type(f"{name} of box", side, int)
    left, top, right, bottom = box
    if left < 0 or top < 0:
        raise ValueError(f"box (={box}) must begin within the picture: left and top are at least 0")
    if left >= right or top >= bottom:
        raise ValueError(f"box (={box}) is empty: right must be above left, and bottom above top")
