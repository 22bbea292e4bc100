"""The work on pictures, as functions of bytes that do not depend on HTTP. It runs on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

import calotype
from calotype.compare.codecs import PillowCodec, avif, jpeg, webp
from calotype.container import MAGIC, MEDIA_TYPE
from calotype.cores import threads_per_worker
from calotype.errors import CalotypeWarning, ModelError, SourceError
from calotype.imaging import FORMATS, Picture, load_picture, over_white, pack_picture, to_pillow_image
from calotype.imaging.source import open_picture_source
from calotype.limits import Limits
from calotype.options import DecodeOptions, EncodeOptions
from calotype.warning_hook import intercepted_warnings
from calotype.web.form import MediaError
from calotype.web.settings import Settings

__all__ = ["BASELINES", "MadeFile", "PictureService", "remarks_collected"]

BASELINES: dict[str, Callable[[], PillowCodec]] = {
    "jpeg": jpeg,
    "webp": webp,
    # A person waits. This speed takes a tenth of the time of that in reports, for 3 % more bytes.
    "avif": lambda: replace(avif(), settings={"speed": 6, "max_threads": 1}),
}
"""The baseline codecs by their names in addresses, which are those of their media types."""

_QUICK_PNG = replace(FORMATS["png"], parameters={"compress_level": 4})
"""The PNG encoder of answers: half the time of the default level, for a few per cent more bytes."""


@dataclass(frozen=True)
class MadeFile:
    """A file, its media type, and remarks about how it was made."""

    data: bytes
    media_type: str
    remarks: tuple[str, ...] = ()


class PictureService:
    """Encodes, decodes, prepares and compares pictures; safe to use from several threads.

    ``baselines``: the baseline codecs that can run here, by name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.limits
        self.baselines: dict[str, PillowCodec] = {}
        for name, make in BASELINES.items():
            with suppress(ModelError):  # This Pillow was built without the codec; a request for it says so.
                self.baselines[name] = make()
        self._codec = calotype.Codec(threads=threads_per_worker(settings.jobs))

    def warm_up(self) -> None:
        """Loads the models. Raises :class:`calotype.errors.ModelError` if one is missing."""
        data = self._codec.encode(np.zeros((8, 8, 3), np.uint8), model=self._settings.model)
        self._codec.decode(data, model=self._settings.decoder)

    def encode(self, upload: bytes, options: EncodeOptions) -> MadeFile:
        """Encodes a picture to a .calo file without metadata, by the server's model and within its limits."""
        file = _picture_file(upload, self._limits)
        options = replace(options, model=self._settings.model, limits=self._limits)
        return _make_with_remarks(lambda: self._codec.encode(file, options), MEDIA_TYPE)

    def decode(self, upload: bytes, *, strict: bool, overlay: bool) -> MadeFile:
        """Decodes a .calo file to a PNG file in sRGB, without metadata.

        With ``overlay`` stripes mark the parts that are uncertain by the file's record.
        """
        _check_magic(upload)
        options = DecodeOptions(
            model=self._settings.decoder,
            strict=strict,
            keep_metadata=False,
            limits=self._limits,
            overlay=overlay,
        )
        return _make_with_remarks(lambda: _pack_png(self._codec.decode(upload, options)), "image/png")

    def prepare(self, upload: bytes, side: int) -> MadeFile:
        """Converts a picture to a PNG file of the codec's input, with a longer side of at most ``side``
        pixels."""

        def reduced() -> bytes:
            picture = self._load(upload)
            image = to_pillow_image(picture.rgb, picture.alpha, picture.grey)
            image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
            return _pack_png(image)

        return _make_with_remarks(reduced, "image/png")

    def baseline(self, upload: bytes, name: str, max_size: int) -> MadeFile:
        """Compresses a picture, over white where it is transparent, with another codec.

        The file has at most ``max_size`` bytes, or is the codec's smallest one. Raises :class:`ModelError`
        if this build of Pillow lacks the codec.
        """
        baseline = self.baselines[name] if name in self.baselines else BASELINES[name]()

        def best() -> bytes:
            picture = self._load(upload)
            ((data, _),) = baseline.within(over_white(picture.rgb, picture.alpha), [max_size])
            return data

        return _make_with_remarks(best, baseline.media_type)

    def describe(self, upload: bytes) -> calotype.Info:
        """Returns the description of a .calo file."""
        _check_magic(upload)
        return calotype.read_info(upload, limits=self._limits)

    def _load(self, upload: bytes) -> Picture:
        return load_picture(_picture_file(upload, self._limits), limits=self._limits, strict=False, keep=())


class _Upload(BytesIO):
    name = "the picture"  # Messages name the upload by this.


def _picture_file(upload: bytes, limits: Limits) -> BytesIO:
    """Returns the upload as a file after a check of its header, which detects data that are no picture."""
    file = _Upload(upload)
    try:
        with open_picture_source(file, limits):
            return file
    except SourceError as error:
        raise MediaError(str(error)) from error


def _check_magic(upload: bytes) -> None:
    if not upload.startswith(MAGIC):
        raise MediaError("this is not a .calo file")


def _pack_png(image: Image.Image) -> bytes:
    return pack_picture(image, _QUICK_PNG)


_this_thread = threading.local()


def _make_with_remarks(make: Callable[[], bytes], media_type: str) -> MadeFile:
    remarks: list[str] = []
    _this_thread.remarks = remarks
    try:
        return MadeFile(make(), media_type, tuple(remarks))
    finally:
        del _this_thread.remarks


@contextmanager
def remarks_collected() -> Iterator[None]:
    """Within the block, Calotype's warnings become remarks on the result of the thread that warns.

    Other warnings are handled as before.
    """

    def take(message: str, category: type[Warning]) -> bool:
        remarks = getattr(_this_thread, "remarks", None)
        if remarks is None or not issubclass(category, CalotypeWarning):
            return False
        remarks.append(message)
        return True

    with intercepted_warnings(take):
        yield
