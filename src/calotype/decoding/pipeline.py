"""The stages from a file to the picture to show, in order.

::

    file ─ parse ─ latents ─ network ─ view: crop, resize ─ patches ─ picture
              └─ patches, alpha, metadata ───────────────────┴──────────┘
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype import imaging
from calotype.batches import in_batches
from calotype.container import METADATA_CHUNKS, ChunkType, Header, ParsedFile, parse_file, unpack_record
from calotype.decoding.latents import decode_latents
from calotype.decoding.patches import DecodedPatches
from calotype.decoding.provenance import provenance_of
from calotype.decoding.view import DecodedView
from calotype.errors import CalotypeWarning, FormatError, PartialPictureWarning
from calotype.fidelity import mark_uncertain, uncertainty_plane
from calotype.imaging import Metadata, Provenance
from calotype.latents import Reconstruction, log_step_map, noise_deviations
from calotype.models import DecoderInput, ModelCache, load_thumbnail_network
from calotype.models.tiling import decode_all
from calotype.options import DecodeOptions

__all__ = ["OpenedFile", "decode_files", "decode_opened_files"]


def decode_files(
    files: Iterable[bytes], options: DecodeOptions, models: ModelCache, *, batch: int
) -> Iterator[Image.Image]:
    """Yields the picture of each file, in order; up to ``batch`` of them pass the decoder together.

    An error ends it, after the pictures of the files before. Raises :class:`FormatError`,
    :class:`LimitError`, :class:`ModelError`.
    """
    opened = (OpenedFile.of(data, options) for data in files)
    yield from decode_opened_files(opened, options, models, batch=batch)


def decode_opened_files(
    opened: Iterable[OpenedFile], options: DecodeOptions, models: ModelCache, *, batch: int = 1
) -> Iterator[Image.Image]:
    """Yields the pictures of opened files, as :func:`decode_files`."""
    for together in in_batches(opened, batch):
        for (space, encoder, small), neighbours in groupby(
            together, key=lambda file: (file.header.space, file.header.encoder, file.view.reduced)
        ):
            group = list(neighbours)
            if small:
                pictures = [file.small_picture() for file in group]
            else:
                decoder = models.decoder(options.model, space, options.diffusion, encoder)
                pictures = decode_all(decoder, [file.latents for file in group])
            for file, rgb in zip(group, pictures, strict=True):
                yield file.image(rgb)


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """A file before its latents are decoded to pixels.

    ``latents`` are those in the rows and columns that ``view`` needs. ``alpha`` and ``uncertainty`` are
    uint8[H, W], at the size of the view. ``alpha`` is None for an opaque picture. Parts with ``uncertainty``
    are marked in the picture; None marks nothing. ``fraction`` is the part of the file that has arrived: 1
    for a whole file, whose latents match their checksum.
    """

    header: Header
    view: DecodedView
    latents: DecoderInput
    alpha: NDArray[np.uint8] | None
    metadata: Metadata
    fraction: float
    provenance: Provenance | None
    uncertainty: NDArray[np.uint8] | None
    patches: DecodedPatches | None

    @classmethod
    def of(cls, data: bytes, options: DecodeOptions) -> OpenedFile:
        """Reads a file and decodes its latents.

        Raises :class:`FormatError`, :class:`LimitError` and :class:`BoxError`.
        """
        parsed = parse_file(data, limits=options.limits, strict=options.strict, partial=options.partial)
        return cls.made_of(parsed, options)

    @classmethod
    def made_of(
        cls, parsed: ParsedFile, options: DecodeOptions, reconstruction: Reconstruction | None = None
    ) -> OpenedFile:
        """Makes an opened file from a parsed file.

        ``reconstruction`` are its latents at the spacing of the view; None decodes them. While the ALPHA
        chunk has not arrived, the picture is opaque. Raises :class:`FormatError` and :class:`BoxError`.
        """
        for name in parsed.damaged:
            warnings.warn(f"a damaged part of the file was left out: {name}", CalotypeWarning, stacklevel=5)
        if parsed.missing:
            shortfall = f"at least {parsed.missing} bytes after the first {parsed.size} are missing"
            warnings.warn(f"the picture is partial: {shortfall}", PartialPictureWarning, stacklevel=5)
        header = parsed.header
        view = DecodedView.of(header, options)
        if reconstruction is None:
            reconstruction = decode_latents(parsed, view.spacing, verify=options.strict)
        noise = noise_deviations(header.noise, reconstruction.levels, reconstruction.missing)
        log_step = log_step_map(reconstruction.levels, reconstruction.missing)
        latents = DecoderInput(
            reconstruction.latents,
            log_step,
            noise,
            reconstruction.conditional_mean,
            header.extension,
            view.part,
        )
        alpha = None
        if header.alpha:
            packed = parsed.chunk(ChunkType.ALPHA)
            alpha = view.shown_plane(
                np.full((header.height, header.width), 255, np.uint8)
                if packed is None
                else imaging.unpack_alpha(packed, header.width, header.height)
            )
        keep = (
            {type_.name.lower(): parsed.chunk(type_) for type_ in METADATA_CHUNKS}
            if options.keep_metadata
            else {}
        )
        provenance = provenance_of(parsed, options.model, small=view.reduced) if options.provenance else None
        uncertainty = view.shown_plane(_uncertainty_of(parsed, options.strict)) if options.overlay else None
        metadata = Metadata(**keep)
        patches = _patches_of(parsed, options.strict)
        return cls(header, view, latents, alpha, metadata, parsed.fraction, provenance, uncertainty, patches)

    def small_picture(self) -> NDArray[np.uint8]:
        """Returns the pixels that :meth:`image` takes, without a decoder network.

        Raises :class:`ModelError`.
        """
        network = load_thumbnail_network(self.header.space)
        inputs, view = self.latents, self.view
        return network.picture(inputs.conditional_mean, inputs.log_step, view.spacing, view.part)

    def image(self, rgb: NDArray[np.uint8]) -> Image.Image:
        """Returns the picture to show, from the pixels uint8[H, W, 3] of the part that the view needs."""
        shown, grey = self.view.shown(rgb), self.header.grey
        if self.patches is not None:
            shown = self.patches.laid_over(shown, self.view)
        if self.uncertainty is not None:
            # The marks have a colour, the picture under them keeps its luma only.
            if grey:
                shown = imaging.luma(shown).astype(np.uint8)[..., None].repeat(3, -1)
            shown, grey = mark_uncertain(shown, self.uncertainty), False
        image = imaging.to_pillow_image(shown, self.alpha, grey, self.metadata)
        if self.fraction < 1:
            image.info["partial"] = self.fraction
        if self.provenance is not None:
            image.info.update(self.provenance.as_info())
        return image


def _patches_of(parsed: ParsedFile, strict: bool) -> DecodedPatches | None:
    """Returns the patches of a file; None without any, and with a warning if they cannot be used.

    Raises :class:`FormatError` for patches that cannot be used if ``strict``, and :class:`LimitError`.
    """
    data = parsed.chunk(ChunkType.PATCHES)
    if data is None:
        return None
    try:
        return DecodedPatches.of(data, (parsed.header.width, parsed.header.height))
    except FormatError as error:
        if strict:
            raise
        problem = f"a part of the file was left out: PATCHES ({error})"
    warnings.warn(problem, CalotypeWarning, stacklevel=6)
    return None


def _uncertainty_of(parsed: ParsedFile, strict: bool) -> NDArray[np.uint8]:
    """Returns the map in the file's record as uint8[height, width]; zeros, with a warning, if there is none.

    Raises :class:`FormatError` for a damaged record if ``strict``.
    """
    width, height = parsed.header.width, parsed.header.height
    data = parsed.chunk(ChunkType.FIDELITY)
    problem = "the file has no record of its fidelity, so that nothing is marked as uncertain"
    if data is not None:
        try:
            return uncertainty_plane(unpack_record(data, width, height), width, height)
        except FormatError as error:
            if strict:
                raise
            problem = f"a damaged part of the file was left out: FIDELITY ({error})"
    warnings.warn(problem, CalotypeWarning, stacklevel=6)
    return np.zeros((height, width), np.uint8)
