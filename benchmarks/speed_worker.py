"""One measurement of ``benchmarks.speed``, in a process of its own; prints it as JSON.

Arguments: model, operation, size (WIDTHxHEIGHT), file, threads, repeats after the first call.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.pictures import SAMPLE, load_rgb, mirror_to
from calotype.compare.codecs.avif import avif
from calotype.compare.codecs.base import decode_with_pillow
from calotype.compare.codecs.jxl import jpeg_xl
from calotype.compare.codecs.pillow import PillowCodec
from calotype.options import DEFAULT_BACKEND

__all__ = ["main"]

_MAX_UNTILED = 2048 * 2048  # pixels; networks alone process larger pictures in tiles
_TARGET_BPP = 0.15
_PILLOW_QUALITY = 50


def main(model: str, operation: str, size: str, file: str, threads: str, repeats: str) -> None:
    """Times the operation and prints ``{"seconds", "first", "processor", "peak"}``."""
    width, height = (int(side) for side in size.split("x"))
    run = _OPERATIONS[model, operation](width, height, Path(file), int(threads))
    times, processor_times = [], []
    for _ in range(1 + int(repeats)):
        start, processor_start = time.perf_counter(), time.process_time()
        run()
        times.append(time.perf_counter() - start)
        processor_times.append(time.process_time() - processor_start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    seconds, processor = (min(values[1:] or values) for values in (times, processor_times))
    figures = {"seconds": seconds, "first": times[0], "processor": processor, "peak": peak / 1e6}
    print(json.dumps(figures))


# Each of these functions returns the function that is timed. Imports are not timed; loading of weights is.


def _pocket_encode(
    width: int, height: int, file: Path, threads: int, backend: str = DEFAULT_BACKEND
) -> Callable[[], object]:
    import calotype

    codec = calotype.Codec(threads=threads, backend=backend)
    rgb = mirror_to(load_rgb(SAMPLE), width, height)
    return lambda: file.write_bytes(codec.encode(rgb))


def _pocket_target(width: int, height: int, file: Path, threads: int) -> Callable[[], object]:
    import calotype

    codec = calotype.Codec(threads=threads)
    rgb = mirror_to(load_rgb(SAMPLE), width, height)
    return lambda: codec.encode(rgb, bpp=_TARGET_BPP)


def _pocket_decode(
    width: int, height: int, file: Path, threads: int, backend: str = DEFAULT_BACKEND
) -> Callable[[], object]:
    import calotype

    codec, data = calotype.Codec(threads=threads, backend=backend), file.read_bytes()
    return lambda: codec.decode(data)


def _pocket_entropy(width: int, height: int, file: Path, threads: int) -> Callable[[], object]:
    from calotype import Limits
    from calotype.container import parse_file
    from calotype.decoding import decode_latents

    data = file.read_bytes()
    return lambda: decode_latents(parse_file(data, limits=Limits()))


def _networks_encode(
    width: int, height: int, file: Path, threads: int, name: str = "Taesd"
) -> Callable[[], object]:
    from benchmarks import networks

    model, rgb = getattr(networks, name)(threads), mirror_to(load_rgb(SAMPLE), width, height)
    tile = networks.TILE if width * height > _MAX_UNTILED else None

    def run() -> None:
        with file.open("wb") as out:
            np.save(out, model.encode(rgb, tile))

    return run


def _networks_decode(
    width: int, height: int, file: Path, threads: int, name: str = "Taesd"
) -> Callable[[], object]:
    from benchmarks import networks

    model, latents = getattr(networks, name)(threads), np.load(file)
    tile = networks.TILE if width * height > _MAX_UNTILED else None
    return lambda: model.decode(latents, tile)


def _pillow_encode(
    width: int, height: int, file: Path, threads: int, codec: Callable[[], PillowCodec]
) -> Callable[[], object]:
    rgb, chosen = mirror_to(load_rgb(SAMPLE), width, height), codec()
    return lambda: file.write_bytes(chosen.encode(rgb, _PILLOW_QUALITY))


def _pillow_decode(
    width: int, height: int, file: Path, threads: int, codec: Callable[[], PillowCodec]
) -> Callable[[], object]:
    codec()  # This adds the format to Pillow.
    return partial(decode_with_pillow, file.read_bytes())


_OPERATIONS: dict[tuple[str, str], Callable[[int, int, Path, int], Callable[[], object]]] = {
    ("pocket", "encode"): _pocket_encode,
    ("pocket", "decode"): _pocket_decode,
    ("pocket", "entropy"): _pocket_entropy,
    ("pocket", "target"): _pocket_target,
    ("pocket-openvino", "encode"): partial(_pocket_encode, backend="openvino"),
    ("pocket-openvino", "decode"): partial(_pocket_decode, backend="openvino"),
    ("pocket-openvino-bf16", "encode"): partial(_pocket_encode, backend="openvino-bf16"),
    ("pocket-openvino-bf16", "decode"): partial(_pocket_decode, backend="openvino-bf16"),
    ("pocket-networks", "encode"): partial(_networks_encode, name="Pocket"),
    ("pocket-networks", "decode"): partial(_networks_decode, name="Pocket"),
    ("taesd", "encode"): _networks_encode,
    ("taesd", "decode"): _networks_decode,
    ("taesd-bf16", "encode"): partial(_networks_encode, name="TaesdBfloat16"),
    ("taesd-bf16", "decode"): partial(_networks_decode, name="TaesdBfloat16"),
    ("avif", "encode"): partial(_pillow_encode, codec=partial(avif, speed=6)),
    ("avif", "decode"): partial(_pillow_decode, codec=partial(avif, speed=6)),
    ("jxl", "encode"): partial(_pillow_encode, codec=jpeg_xl),
    ("jxl", "decode"): partial(_pillow_decode, codec=jpeg_xl),
}

if __name__ == "__main__":
    main(*sys.argv[1:])
