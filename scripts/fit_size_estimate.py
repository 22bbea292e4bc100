"""Fits ``calotype/encoding/size_estimate.py`` to photographs: ``python -m scripts.fit_size_estimate``.

Run the script after a change of the encoder or the context model, and copy the line that it prints to
``_BITS``. It uses photographs of training in the folder of ``CALOTYPE_ASSETS``, none of them held out, and
takes a few minutes of one core. It also prints the error of the estimate on photographs that were not used
for the fit.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.encoding import size_estimate
from calotype.encoding.plan import EFFORTS
from calotype.encoding.rate import TrialEncoder
from calotype.encoding.size_estimate import KNOTS, SizeEstimate, deviation_histogram
from calotype.models import DEFAULT_CONTEXT_MODEL, load_context_model, load_encoder
from calotype.models.tiling import encode_tiled
from calotype.options import DEFAULT_EFFORT

ROOT = Path(__file__).resolve().parents[1]
LEVELS = (24, 40, 52, 64, 76, 88, 100)
SIDES = (512, 384, 256)


def photographs(count: int) -> list[NDArray[np.uint8]]:
    """Returns square crops of ``count`` photographs that are not held out, in different sizes."""
    held_out = set((ROOT / "training" / "held_out.txt").read_text("utf-8").split())
    folder = Path(os.environ["CALOTYPE_ASSETS"]) / "data" / "train"
    paths = [path for path in sorted(folder.iterdir()) if path.name not in held_out and path.suffix != ".tsv"]
    crops = []
    for number, path in enumerate(paths[:: max(1, len(paths) // count)][:count]):
        image, side = Image.open(path).convert("RGB"), SIDES[number % len(SIDES)]
        edge = min(512, *image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        crops.append(np.asarray(image.resize((side, side), box=(left, top, left + edge, top + edge))))
    return crops


def rows_of(latents: NDArray[np.float32], level: int) -> NDArray[np.float64]:
    """Returns the number of latents of each knot at a level, by linear interpolation.

    The estimate of the size is the sum of these numbers times the bits of the knots.
    """
    histogram = deviation_histogram(latents)
    ratio = size_estimate.ratios(level)
    return np.array([histogram @ np.interp(ratio, KNOTS, unit) for unit in np.eye(len(KNOTS))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=48, help="number of photographs")
    count = parser.parse_args().count
    encoder, model = load_encoder("pocket"), load_context_model(DEFAULT_CONTEXT_MODEL)
    rdo = EFFORTS[DEFAULT_EFFORT].rdo
    rows, sizes, fitted = [], [], []
    for number, rgb in enumerate(photographs(count)):
        latents = encode_tiled(encoder, rgb)
        trials = TrialEncoder(latents, model, rdo.lambda_, rdo.cascades[0], rdo.error_diffusion)
        for level in LEVELS:
            rows.append(rows_of(latents, level))
            sizes.append(trials.trial(level).bits)
            fitted.append(number % 4 != 3)
    matrix, wanted, used = np.array(rows), np.array(sizes), np.array(fitted)
    # The fit minimises relative errors. Bits rise with the deviation: their increments are fitted, none
    # negative.
    increments = np.tril(np.ones((len(KNOTS), len(KNOTS))))
    scaled = (matrix @ increments / wanted[:, None])[used]
    solution = np.full(len(KNOTS), 0.1)
    smooth = 0.02 * np.eye(len(KNOTS))
    for _ in range(20_000):  # Projected gradient descent, with ridge regularisation.
        gradient = scaled.T @ (scaled @ solution - 1) / len(scaled) + smooth @ solution / len(scaled)
        solution = np.maximum(solution - gradient / np.linalg.norm(scaled, 2) ** 2 * len(scaled), 0)
    bits = increments @ solution
    print("_BITS = np.array([" + ", ".join(f"{value:.3f}" for value in bits) + "])")
    for name, part in (("fitted", used), ("not fitted", ~used)):
        error = np.log(matrix[part] @ bits / wanted[part])
        print(f"{name}: root mean square of the error of ln(size) {np.sqrt(np.square(error).mean()):.3f}")
        for level in LEVELS:
            of_level = error[(np.array(LEVELS * (len(wanted) // len(LEVELS))) == level)[part]]
            print(f"  level {level}: mean {of_level.mean():+.3f}, deviation {of_level.std():.3f}")
    size_estimate._BITS = bits
    estimate = SizeEstimate(encode_tiled(encoder, photographs(1)[0]))
    print("slopes:", ", ".join(f"{level}: {estimate.slope(level):.4f}" for level in LEVELS))


if __name__ == "__main__":
    main()
