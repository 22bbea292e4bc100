"""One measurement of ``benchmarks.stable_diffusion``, in a process of its own; prints it as JSON.

Arguments: part, dtype, side, tile, folder of the weights, file for the result.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import SAMPLE, load_rgb, mirror_to

__all__ = ["main", "peak_memory"]

STEP = 0.5
"""The quantiser's step in the benchmark of denoising, in units of a scaled latent: timestep 22."""


def main(part: str, dtype: str, side: str, tile: str, weights: str, out: str) -> None:
    """Times the part and prints its ``{"load", "seconds", "cpu", "peak"}``; ``cpu`` is processor time."""
    from calotype.models import load_decoder, load_encoder
    from calotype.models.stable_diffusion.model import DiffusionDecoder
    from calotype.models.stable_diffusion.noise import normal_deviates
    from calotype.options import DiffusionOptions

    options = DiffusionOptions(weights=weights, device="cpu", dtype=dtype, tile=int(tile))
    noise = np.full(4, STEP / 12**0.5)
    decoder = load_decoder("sd-1.5", 1, None, options)
    if not isinstance(decoder, DiffusionDecoder):
        raise TypeError(f"sd-1.5 decodes with a {type(decoder).__name__}")

    def run(side: int) -> NDArray[np.float32]:
        if part == "encode":
            rgb = mirror_to(load_rgb(SAMPLE), side, side).transpose(2, 0, 1)
            return load_encoder("sd-1.5", None, options).encode(rgb.astype(np.float32) / 255)
        latents = normal_deviates(0, (4, side // 8, side // 8))
        log_step = np.full((1, side // 8, side // 8), np.log2(STEP), np.float32)
        if part == "denoise":
            return decoder.denoised(latents[None], log_step[None], noise[None])[0]
        return decoder.decode(latents, log_step, np.zeros(4))  # Without noise the U-Net does not run.

    start = time.perf_counter()
    run(64)  # The U-Net is loaded here, and torch initialises itself.
    loaded, cpu = time.perf_counter(), time.process_time()
    result = run(int(side))
    seconds, cpu = time.perf_counter() - loaded, time.process_time() - cpu
    np.save(Path(out), result)
    print(json.dumps({"load": loaded - start, "seconds": seconds, "cpu": cpu, "peak": peak_memory() / 1e6}))


def peak_memory() -> int:
    """Returns the peak resident memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # On Linux, getrusage starts at the peak of the parent process.
        match = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if match:
            return 1024 * int(match[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
