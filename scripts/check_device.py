"""Checks and times the embedded networks on a GPU: ``python -m scripts.check_device --device cuda``.

The script needs this checkout, numpy, Pillow, click and torch; ONNX Runtime is used if it is installed. It
takes less than two minutes. Every check prints one line, and the exit code is 1 if one of them fails::

    integers    files of the CPU, among them the golden ones, decode to integers with the right checksums
    pixels      GPU against CPU, in 255ths: float32 within 1, bfloat16 and float16 within their tolerance
    batches     pictures in a batch give the same results as single pictures
    tiles       a picture in tiles equals the untiled picture
    sizes       an encoder on the GPU keeps to target sizes
    times       milliseconds a picture, encoder and decoder, alone and in batches, and the whole codec
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

import calotype  # noqa: E402
from calotype.decoding import OpenedFile  # noqa: E402
from calotype.latents import SD1  # noqa: E402
from calotype.models import (  # noqa: E402
    DecoderInput,
    load_decoder,
    load_encoder,
    tiling,
)
from calotype.models.places import CPU, Place, choose_place  # noqa: E402
from calotype.models.tiling import decode_all, decode_tiled, encode_all, encode_tiled  # noqa: E402

TOLERANCES = {"float32": (0.2, 1), "float16": (0.5, 3), "bfloat16": (1.0, 6)}
"""Root mean square and peak of the difference from the CPU in 255ths, as docs/guide.md states them."""

LATENT_TOLERANCES = {"float32": 0.001, "float16": 0.02, "bfloat16": 0.15}
"""The largest difference from the CPU of a latent, whose standard deviation is about 1."""

SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "hubble.png", "grace_hopper.jpg", "rocket.jpg")


class Checks:
    """Prints each check and counts those that fail."""

    def __init__(self) -> None:
        self.failed = 0
        self.records: dict[str, Any] = {}

    def check(self, name: str, passed: bool, figures: str) -> None:
        self.failed += not passed
        print(f"{'ok  ' if passed else 'FAIL'}  {name:<26} {figures}", flush=True)
        self.records[name] = figures

    def time(self, name: str, milliseconds: float, note: str = "") -> None:
        print(f"time  {name:<26} {milliseconds:9.1f} ms  {note}", flush=True)
        self.records[name] = milliseconds


def pictures(side: int) -> Iterator[NDArray[np.uint8]]:
    """Yields the sample photographs, cropped to squares and resized."""
    for name in SAMPLES:
        image = Image.open(ROOT / "samples" / name).convert("RGB")
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        yield np.asarray(image.resize((side, side), box=(left, top, left + edge, top + edge)))


def median_ms(function: Callable[[], Any], repeats: int = 5) -> float:
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times)[len(times) // 2]


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[int, float]:
    """Returns the largest difference and the root mean square, in 255ths."""
    apart = a.astype(np.int64) - b.astype(np.int64)
    return int(np.abs(apart).max()), float(np.sqrt(np.square(apart).mean()))


def reference_place() -> Place:
    """Returns the CPU through ONNX Runtime, or through torch where that is missing."""
    return CPU if find_spec("onnxruntime") else Place("torch", "cpu", "float32")


def inputs_of(data: bytes) -> DecoderInput:
    """Returns the inputs of the decoder for a file."""
    return OpenedFile.of(data, calotype.DecodeOptions()).latents


def check_pixels(checks: Checks, place: Place, reference: Place, files: list[bytes]) -> None:
    """Compares latents and pixels of the place with those of the CPU."""
    expected_encoder, expected_decoder = (
        load_encoder("pocket", place=reference),
        load_decoder("pocket", SD1.id, place=reference),
    )
    encoder, decoder = load_encoder("pocket", place=place), load_decoder("pocket", SD1.id, place=place)
    rgb = next(pictures(256))
    apart = np.abs(encode_tiled(encoder, rgb) - encode_tiled(expected_encoder, rgb)).max()
    checks.check(
        f"latents {place.dtype}",
        bool(apart < LATENT_TOLERANCES[place.dtype]),
        f"largest difference {apart:.5f}",
    )
    worst, root = 0, 0.0
    for data in files:
        inputs = inputs_of(data)
        largest, rms = difference(decode_tiled(decoder, inputs), decode_tiled(expected_decoder, inputs))
        worst, root = max(worst, largest), max(root, rms)
    allowed_root, allowed = TOLERANCES[place.dtype]
    figures = f"largest {worst} of 255 (allowed {allowed}), root mean square {root:.3f} ({allowed_root})"
    checks.check(f"pixels {place.dtype}", worst <= allowed and root <= allowed_root, figures)


def check_batches_and_tiles(checks: Checks, place: Place, files: list[bytes]) -> None:
    """Compares batches with single pictures, and tiles with the untiled picture."""
    encoder, decoder = load_encoder("pocket", place=place), load_decoder("pocket", SD1.id, place=place)
    small = list(pictures(256))
    together = encode_all(encoder, small, [0] * len(small))
    apart = max(np.abs(a - encode_tiled(encoder, rgb)).max() for a, rgb in zip(together, small, strict=True))
    inputs = [inputs_of(data) for data in files]
    decoded = decode_all(decoder, inputs)
    alone = [decode_tiled(decoder, single) for single in inputs]
    worst = max(difference(a, b)[0] for a, b in zip(decoded, alone, strict=True))
    checks.check("batches", bool(apart < 1e-3) and worst <= 1, f"latents {apart:.6f}, pixels {worst} of 255")
    whole, max_positions = decode_tiled(decoder, inputs[0]), tiling.MAX_POSITIONS
    try:
        tiling.MAX_POSITIONS = 16 * 16
        tiled = decode_tiled(decoder, inputs[0])
    finally:
        tiling.MAX_POSITIONS = max_positions
    largest, _ = difference(whole, tiled)
    checks.check("tiles", largest <= 1, f"largest difference {largest} of 255")


def check_files(checks: Checks, device: str, dtype: str, cpu_files: list[bytes]) -> None:
    """Encodes and decodes through the public interface."""
    codec = calotype.Codec(device=device, dtype=dtype)
    wrong = []
    for data in cpu_files:
        try:
            codec.decode(data, strict=True)
        except calotype.CalotypeError as error:  # Wrong integers have a wrong checksum.
            wrong.append(str(error))
    figures = (
        "; ".join(wrong) or f"{len(cpu_files)} files have the checksums of their integers, {codec.place}"
    )
    checks.check(f"integers {dtype}", not wrong, figures)
    sizes = []
    for rgb in pictures(256):
        data = codec.encode(rgb, target_size=1500)
        sizes.append(len(data))
        codec.decode(data)
    checks.check(f"sizes {dtype}", max(sizes) <= 1500, f"at most 1500 bytes: {sizes}")


def time_networks(checks: Checks, place: Place, side: int, batch: int) -> None:
    """Times encoder and decoder, alone and in a batch."""
    encoder, decoder = load_encoder("pocket", place=place), load_decoder("pocket", SD1.id, place=place)
    rgb = next(pictures(side))
    latents = encode_tiled(encoder, rgb)
    inputs = DecoderInput(
        latents, np.full((1, *latents.shape[1:]), -1.5, np.float32), np.full(4, 0.1), latents
    )
    name = f"{place.device} {place.dtype} {side}"
    checks.time(f"encoder {name}", median_ms(lambda: encode_tiled(encoder, rgb)), str(place))
    checks.time(f"decoder {name}", median_ms(lambda: decode_tiled(decoder, inputs)), str(place))
    if batch > 1:
        per_picture = median_ms(lambda: encode_all(encoder, [rgb] * batch, [0] * batch), 3) / batch
        checks.time(f"encoder {name} x{batch}", per_picture, "a picture")
        per_picture = median_ms(lambda: decode_all(decoder, [inputs] * batch), 3) / batch
        checks.time(f"decoder {name} x{batch}", per_picture, "a picture")


def time_codec(checks: Checks, device: str, dtype: str) -> None:
    """Times the whole codec: one picture, and several at once."""
    codec = calotype.Codec(device=device, dtype=dtype)
    photos = list(pictures(512))
    data = codec.encode(photos[0])
    checks.time(f"encode {dtype}", median_ms(lambda: codec.encode(photos[0]), 3), codec.place)
    checks.time(f"encode 5 kB {dtype}", median_ms(lambda: codec.encode(photos[0], target_size=5000), 3))
    checks.time(f"decode {dtype}", median_ms(lambda: codec.decode(data), 3))
    count = len(photos)
    checks.time(f"encode_many {dtype}", median_ms(lambda: list(codec.encode_many(photos)), 2) / count)


def main() -> int:
    """Runs all checks; returns 1 if one failed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--dtypes", help="number formats, with commas; by default float32, and on a GPU bfloat16 and float16"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--seconds", type=float, default=100, help="begin no check after this time")
    options = parser.parse_args()
    started, checks = time.perf_counter(), Checks()
    reference = reference_place()
    place = choose_place(options.device)
    print(f"{place} against {reference}, numpy {np.__version__}, Python {sys.version.split()[0]}")
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
        print(f"torch {torch.__version__}, {name}")
    encoder = load_encoder("pocket", place=reference)
    sides = [(256, 1500), (96, 400)]
    files = [
        calotype.write_latents(encode_tiled(encoder, rgb), target_size=size)
        for side, size in sides
        for rgb in list(pictures(side))[:3]
    ]
    golden = sorted((ROOT / "tests" / "golden").rglob("*.calo"))
    files_of_all = files + [path.read_bytes() for path in golden]
    by_default = "float32" if options.device == "cpu" else "float32,bfloat16,float16"
    dtypes = (options.dtypes or by_default).split(",")
    steps: list[Callable[[], None]] = []
    for dtype in dtypes:
        place_of_dtype = choose_place(options.device, dtype)
        steps.append(lambda place=place_of_dtype: check_pixels(checks, place, reference, files))
    steps.append(lambda: check_batches_and_tiles(checks, place, files[:3]))
    steps.append(lambda: check_files(checks, options.device, "float32", files_of_all))
    for dtype in dtypes:
        place_of_dtype = choose_place(options.device, dtype)
        for side, batch in ((512, 8), (1024, 1)):
            steps.append(lambda p=place_of_dtype, s=side, b=batch: time_networks(checks, p, s, b))
    steps.append(lambda: time_networks(checks, reference, 512, 1))
    steps += [lambda d=dtype: time_codec(checks, options.device, d) for dtype in dtypes]
    for number, step in enumerate(steps):
        if time.perf_counter() - started > options.seconds:
            print(f"left out for lack of time: the last {len(steps) - number} checks")
            break
        step()
    seconds = time.perf_counter() - started
    print(f"{checks.failed} of the checks failed; {seconds:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(checks.records | {"seconds": seconds}, indent=2) + "\n")
    return min(checks.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
