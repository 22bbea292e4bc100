"""The stages from an image to its file, in order.

::

    image ─ load, prepare ─ network ─ latents ─ scale ─ faces ─ colours ─ patches ─ descent ─ write ─ file
                                         │
                                         └─ palette ─ write ─ file

The stage "scale" makes the first candidate. Each later stage takes a candidate and returns another one, or
the same. Which stages run depends on the plan, that is on the effort, and on the picture:

* "faces": at coarse levels if the plan has it, and for regions of interest at every level;
* "colours": with an embedded model. At coarse levels, where colour errors are visible as tints, and where the
  plan has the round-trip correction, latents are corrected in a closed loop. At finer levels the encoder
  solves for the latents of small pictures, of which every effort takes the time;
* "patches": with an embedded model, if the plan has it;
* "descent": if the plan has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.batches import in_batches
from calotype.container import Chunk, Coding, Header
from calotype.encoding.candidate import Candidate, code_latents, code_palette
from calotype.encoding.closed_loop import has_visible_tints
from calotype.encoding.faithful import (
    coarsest_options,
    finer_options,
    patches_over,
    smaller_options,
    with_patches,
    worst_rectangles,
)
from calotype.encoding.optimise import optimise_latents
from calotype.encoding.plan import Plan, size_target
from calotype.encoding.prepare import PreparedPicture, load_pictures
from calotype.encoding.protection import allows_patches, with_protection
from calotype.encoding.record import file_fidelity, with_record
from calotype.encoding.regions import distorts_faces
from calotype.encoding.resolution import starting_at_best_scale
from calotype.encoding.stages import (
    code_at_best_scale,
    fitted,
    with_corrected_colours,
    with_finer_regions,
    with_solved_colours,
)
from calotype.encoding.underlay import pixels_under_patches
from calotype.encoding.write import write_verified_file
from calotype.errors import InventionError, ModelError, TargetSizeError
from calotype.imaging import PictureSource
from calotype.models import Encoder, ModelCache, TextFinder, is_embedded
from calotype.models.tiling import encode_all
from calotype.options import EncodeOptions

__all__ = ["encode_latents", "encode_pictures"]


def encode_pictures(
    images: Iterable[PictureSource],
    options: EncodeOptions,
    models: ModelCache,
    *,
    batch: int,
    progress: Callable[[], None],
) -> Iterator[bytes]:
    """Yields the file of each image, in order; up to ``batch`` images are loaded and encoded together.

    ``progress`` is called after each iteration of the descent. An error ends the iterator, after the files of
    the images before. Raises :class:`SourceError`, :class:`LimitError`, :class:`TargetSizeError`,
    :class:`InventionError` and :class:`ModelError`.
    """
    encoder = models.encoder(options.model, options.diffusion)
    for images_of_batch in in_batches(images, batch):
        loaded, failure = load_pictures(images_of_batch, options)
        if loaded:
            pictures = [_at_first_scale(picture, options) for picture in loaded]
            pixels = [picture.pixels(picture.header) for picture in pictures]
            all_latents = encode_all(encoder, pixels, [picture.header.extension for picture in pictures])
            for picture, latents in zip(pictures, all_latents, strict=True):
                encoding = _PictureEncoding(picture, latents, encoder, models, progress)
                file = encoding.file(options)
                yield with_record(file, picture, options, models) if options.record else file
        if failure is not None:
            raise failure


def _at_first_scale(picture: PreparedPicture, options: EncodeOptions) -> PreparedPicture:
    header = picture.header
    return starting_at_best_scale(picture, size_target(options, header.width, header.height))


def encode_latents(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: tuple[Chunk, ...] = ()
) -> bytes:
    """Returns the file of latents float32[4, h, w] of any encoder, without the stages that need a network.

    ``header`` defines coding, ids and sizes. There is no picture to compare with: ``record`` and
    ``faithful`` have no effect.
    Raises :class:`TargetSizeError`.
    """
    options = replace(options, record=False, faithful=None)
    if header.coding == Coding.PALETTE:
        return write_verified_file(code_palette(latents, header, chunks))
    plan = Plan.of(options, header.width, header.height)
    return write_verified_file(code_latents(latents, header, chunks, plan.rate, plan.rdo))


@dataclass(frozen=True)
class _PictureEncoding:
    """One picture and what encodes it. Its methods take options, since bounding the invention tries several.

    ``latents`` float32[4, h, w] are those of ``encoder`` at the scale of the ``picture``.
    """

    picture: PreparedPicture
    latents: NDArray[np.float32]
    encoder: Encoder
    models: ModelCache
    progress: Callable[[], None]

    def file(self, options: EncodeOptions) -> bytes:
        """Returns the file, whose invention is bounded with the option ``faithful``."""
        if options.faithful is None:
            return self._best_file(options)
        return self._faithful_file(options, options.faithful)

    def _best_file(self, options: EncodeOptions) -> bytes:
        """Returns the file of the best candidate, verified."""
        return write_verified_file(self._best_candidate(options))

    def _faithful_file(self, options: EncodeOptions, limit: float) -> bytes:
        """Returns the first file whose invention is at most ``limit``.

        Raises :class:`InventionError` if no file has so little, within the target size if there is one.
        """
        picture, models, lowest = self.picture, self.models, 1.0
        size = size_target(options, picture.header.width, picture.header.height)
        for finer in finer_options(options):
            file = self._best_file(finer)
            fidelity = file_fidelity(file, picture, models)
            lowest = min(lowest, fidelity.invention)
            if lowest <= limit:
                return file
        # Patches over the worst parts of the last file, then of smaller files; at last over everything.
        for smaller in (None, *smaller_options(options, size), coarsest_options(options)):
            if smaller is not None:
                try:
                    file = self._best_file(smaller)
                except TargetSizeError:
                    continue
                fidelity = file_fidelity(file, picture, models)
            covers_everything = smaller == coarsest_options(options)
            rectangles = [] if covers_everything else worst_rectangles(fidelity, limit, file)
            for patches in patches_over(picture.rgb, rectangles) if rectangles or covers_everything else ():
                patched = with_patches(file, patches, options)
                if patched is None:
                    break
                lowest = min(lowest, file_fidelity(patched, picture, models).invention)
                if lowest <= limit:
                    return patched
        within = "" if size is None else f" within {size} bytes"
        raise InventionError(
            f"the invention of this picture is {lowest:.3f} at best{within}, above {limit:g}: allow more"
            + (" of it" if size is None else " bytes")
        )

    def _best_candidate(self, options: EncodeOptions) -> Candidate:
        """Returns the best candidate for the picture: calls the stages in order."""
        picture, encoder, models = self.picture, self.encoder, self.models
        header = picture.header
        if header.coding == Coding.PALETTE:
            return code_palette(self.latents, header, picture.chunks)
        plan = Plan.of(options, header.width, header.height)
        best = code_at_best_scale(self.latents, picture, plan, encoder)
        finder = models.face_finder(options.model) if plan.faces and distorts_faces(best) else None
        if finder is not None or picture.interest is not None:
            best = with_finer_regions(best, picture, plan, encoder, finder)
        # Other models than the embedded ones would take too long to decode and encode once more.
        can_decode = is_embedded(options.model)
        if can_decode and plan.closed_loop and (plan.round_trip or has_visible_tints(best)):
            decoder = models.analysis_decoder(options.model, header.space, options.diffusion)
            best = with_corrected_colours(best, picture.pixels(best.header), plan, encoder, decoder)
        is_small = header.extended  # The borders of small pictures are extended (MAX_EXTENDED_SIDE).
        if can_decode and is_small and not has_visible_tints(best):
            decoder = models.analysis_decoder(options.model, header.space, options.diffusion)
            best = with_solved_colours(best, picture, plan, encoder, decoder)
        if plan.patches and can_decode:
            text_finder = _text_finder(options, plan, models)
            if allows_patches(best, picture, plan):
                decoder = models.analysis_decoder(options.model, header.space, options.diffusion)
                face_finder = models.face_finder(options.model) if plan.faces else None
                best = with_protection(best, picture, plan, encoder, decoder, face_finder, text_finder)
        best = fitted(best, picture, plan, encoder)
        if plan.descent:
            best = optimise_latents(
                best,
                pixels_under_patches(best, picture),
                models.decoder(options.decoder, header.space, options.diffusion, header.encoder),
                max_size=best.size if plan.rate.size is None else plan.rate.size,
                seconds=options.time_limit,
                lpips=options.lpips,
                progress=self.progress,
            )
        return best


def _text_finder(options: EncodeOptions, plan: Plan, models: ModelCache) -> TextFinder | None:
    """Returns the finder of text; None if text is not to be protected, or only if there is a finder.

    Raises :class:`ModelError` without ``calotype[truth]``.
    """
    if plan.text:
        return models.text_finder()
    if plan.patches and "text?" in options.protected:
        with suppress(ModelError):
            return models.text_finder()
    return None
