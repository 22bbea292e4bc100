"""The constants of :mod:`calotype.fidelity`, fitted to planted edits in photographs that training has seen.

::

    original ─ coded, decoded ─┐
                               ├─ each against each original ─ statistics of blocks ─ logistic regressions
    edited   ─ coded, decoded ─┘

Compared with the other original a decoded picture has edits. Compared with its own original it has none, and
all differences are errors of the codec. The edits are coded, too: otherwise the absence of the codec's errors
would reveal them.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from benchmarks.pictures import centre, load_rgb, training_photographs
from benchmarks.planted import KINDS, Edit, at_equal_error, face_scenes, faded, scenes
from calotype.fidelity.calibration import Calibration
from calotype.fidelity.statistics import BLOCK, Scale, compare_activations
from calotype.models import FeatureNetwork, load_features
from calotype.models.tiling import pixels_to_unit_range

__all__ = ["CALIBRATION", "ENCODER", "calibrate", "covered", "decode_rgb", "last_activations", "near"]

ENCODER = "pocket-240-encoder.onnx"
CALIBRATION = Path(str(files("calotype.fidelity"))) / "calibration.json"

SIDE = 384
QUALITIES = (50, 25, 75)
SHARES = (1.0, 0.5)
_COVERED = 0.25
"""A block counts as edited if an edit covers more than this fraction of it."""

_PENALTY = 0.1
"""The weight of the squared coefficients of standardised terms."""

_ITERATIONS = 30

_KEPT = 0.15
"""The fraction of the blocks without an edit that are used."""

_KINDS = ("", *KINDS, "text added")
_EXCHANGED = {
    "window added": "window removed",
    "window removed": "window added",
    "text removed": "text added",
}
"""The kind of an edit if the edited picture is taken for the original; other kinds do not change."""

_UNCHANGED = 0
_INVENTED = tuple(_KINDS.index(kind) for kind in ("window added", "text added"))
_LOST = tuple(_KINDS.index(kind) for kind in ("window removed", "text removed"))

_Samples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Terms of change and of direction, each float32[terms, n], kinds and ways int64[n]."""


def calibrate(count: int, codec: calotype.Codec, out: Path = CALIBRATION) -> None:
    """Fits the constants to scenes of ``count`` photographs and as many faces, and writes them to ``out``."""
    pool = training_photographs(SIDE)
    chosen = [pool[i] for i in np.random.default_rng(5).permutation(len(pool))[: count + 1]]
    pictures = [centre(load_rgb(path), SIDE) for path in chosen]
    activations = last_activations((files("calotype.models") / "weights" / ENCODER).read_bytes())
    network = load_features(activations, 1)
    scales = _scales(network, pictures)
    groups: list[Sequence[Edit]] = []
    for number, (rgb, other) in enumerate(pairwise(pictures)):
        replaced, text, no_text, added, removed = scenes(rgb, other, number)
        groups.append((replaced, text, added) if number % 2 else (replaced, no_text, removed))
    paths = {path.name: path for path in pool}
    groups += [(edit,) for edit in face_scenes(paths, 3, SIDE, count)]
    samples: list[_Samples] = []
    for number, edits in enumerate(groups):
        samples += _samples(edits, number, network, scales, codec)
        samples += _samples_of_flat(number, network, scales)
        print(f"{number + 1} of {len(groups)}", file=sys.stderr, flush=True)
    change_terms, direction_terms, kinds, ways = (
        np.concatenate(parts, -1) for parts in zip(*samples, strict=True)
    )
    edited = kinds != _UNCHANGED
    change = _regression(change_terms, edited, _balanced(np.where(edited, 2 * kinds + ways, 0)))
    directed = np.isin(kinds, _INVENTED + _LOST)
    invented = np.isin(kinds[directed], _INVENTED)
    direction = _regression(direction_terms[:, directed], invented, _balanced(invented))
    out.write_text(json.dumps(_as_dict(scales, activations, change, direction), indent=1) + "\n", "utf-8")


def last_activations(graph: bytes) -> tuple[str, ...]:
    """Returns the names of the results of the encoder's last residual block at each resolution."""
    names = []
    for place in ("at_half", "at_quarter", "at_eighth"):
        blocks = re.findall(rb"/%b/%b\.(\d+)/Add_output_0" % (place.encode(), place.encode()), graph)
        names.append(f"/{place}/{place}.{max(map(int, blocks))}/Add_output_0")
    return tuple(names)


def covered(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns bool[h, w]: of which blocks a mask bool[16h, 16w] covers more than a quarter."""
    height, width = (side // BLOCK for side in mask.shape)
    shares: NDArray[np.float64] = mask.reshape(height, BLOCK, width, BLOCK).mean((1, 3))
    return shares > _COVERED


def near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns bool[h, w]: which blocks a mask bool[16h, 16w] touches, and their neighbours."""
    height, width = (side // BLOCK for side in mask.shape)
    touched = np.pad(mask.reshape(height, BLOCK, width, BLOCK).any((1, 3)), 1)
    windows = np.lib.stride_tricks.sliding_window_view(touched, (3, 3))
    return np.asarray(windows.any((2, 3)))


def decode_rgb(codec: calotype.Codec, data: bytes) -> NDArray[np.uint8]:
    """Returns the picture of a file as uint8[H, W, 3], also if it is grey."""
    return np.asarray(codec.decode(data, keep_metadata=False).convert("RGB"))


def _samples(
    edits: Sequence[Edit],
    number: int,
    network: FeatureNetwork,
    scales: Sequence[Scale],
    codec: calotype.Codec,
) -> Iterator[_Samples]:
    """Yields terms and kinds of blocks of one group of edits."""
    rng = np.random.default_rng(number)
    quality = QUALITIES[number % len(QUALITIES)]
    original, edited = edits[0].original, faded(edits, SHARES[number % len(SHARES)])
    decoded, of_edited = (
        decode_rgb(codec, codec.encode(rgb, quality=quality, effort=3)) for rgb in (original, edited)
    )
    planted = decoded
    for edit in edits:
        planted = np.where(edit.mask[..., None], at_equal_error(edit, decoded), planted)
    seen = {
        name: network.features(pixels_to_unit_range(rgb))
        for name, rgb in zip(
            ("original", "edited", "decoded", "decoded edited", "planted"),
            (original, edited, decoded, of_edited, planted),
            strict=True,
        )
    }
    known = ~np.any([near(edit.mask) & ~covered(edit.mask) for edit in edits], 0)
    kinds = np.full(known.shape, _UNCHANGED)
    for edit in edits:
        kinds[covered(edit.mask)] = _KINDS.index(edit.kind)
    exchanged = np.array([_KINDS.index(_EXCHANGED.get(kind, kind)) for kind in _KINDS])[kinds]
    nothing = np.full_like(kinds, _UNCHANGED)
    for first, second, labels, way in (
        ("original", "original", nothing, 0),
        ("original", "decoded", nothing, 0),
        ("edited", "decoded edited", nothing, 0),
        ("original", "decoded edited", kinds, 0),
        ("edited", "decoded", exchanged, 0),
        ("original", "planted", kinds, 1),
    ):
        # The blocks outside of the edits are the same in several pairs: they are used in one of them.
        kept = known & ((labels != _UNCHANGED) | ((labels is nothing) & (rng.random(known.shape) < _KEPT)))
        terms = compare_activations(seen[first], seen[second], scales)
        yield terms.change[:, kept], terms.direction[:, kept], labels[kept], np.full(kept.sum(), way)


def _samples_of_flat(number: int, network: FeatureNetwork, scales: Sequence[Scale]) -> Iterator[_Samples]:
    """Yields blocks of even areas with and without noise, of which photographs have few."""
    rng = np.random.default_rng(number)
    areas = rng.integers(0, 256, (3, 3, 3)).repeat(4 * BLOCK, 0).repeat(4 * BLOCK, 1)
    areas[:, : 4 * BLOCK] = areas[0, 0] if number % 2 else rng.choice((0, 255))
    noisy = areas + rng.normal(scale=rng.choice((0, 1, 3)), size=areas.shape)
    pair = [np.clip(rgb, 0, 255).astype(np.uint8) for rgb in (areas, noisy)]
    terms = compare_activations(*(network.features(pixels_to_unit_range(rgb)) for rgb in pair), scales)
    flat = [values.reshape(len(values), -1) for values in terms]
    zeros = np.zeros(flat[0].shape[1], np.int64)
    yield flat[0], flat[1], zeros, zeros


def _scales(
    network: FeatureNetwork, pictures: Sequence[NDArray[np.uint8]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Returns mean and deviation, float32[channels], of each activation over pictures."""
    moments: list[Any] = [0, 0, 0]
    for rgb in pictures:
        activations = network.features(pixels_to_unit_range(rgb))
        for number, values in enumerate(activations):
            both = np.stack([values.mean((1, 2), np.float64), (values**2).mean((1, 2), np.float64)])
            moments[number] += both / len(pictures)
    return [
        (mean.astype(np.float32), np.sqrt(square - mean**2).astype(np.float32)) for mean, square in moments
    ]


def _balanced(groups: NDArray[Any]) -> NDArray[np.float64]:
    """Returns weights float64[n]: half for group 0, the other half for all other groups alike."""
    _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    shares = np.full(len(counts), 0.5 / (len(counts) - 1))
    shares[0] = 0.5
    weights: NDArray[np.float64] = (shares / counts)[number]
    return weights


def _regression(
    terms: NDArray[np.float32], labels: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the weights float64[terms] of a logistic regression by Newton's method.

    ``terms`` float32[terms, n], of which one may be constant, ``labels`` bool[n], ``weights`` float64[n].
    """
    mean, deviation = terms.mean(1, dtype=np.float64), terms.std(1, dtype=np.float64)
    constant = deviation == 0
    mean[constant], deviation[constant] = 0, 1
    if not constant.any():  # Without a constant term the others must not be shifted.
        mean[:] = 0
    scaled = (terms.T - mean) / deviation
    penalty = np.where(constant, 0, _PENALTY)
    coefficients = np.zeros(len(terms))
    for _ in range(_ITERATIONS):
        probability = 0.5 * np.tanh(0.5 * scaled @ coefficients) + 0.5
        gradient = scaled.T @ (weights * (probability - labels)) + penalty * coefficients
        curvature = (scaled * (weights * probability * (1 - probability))[:, None]).T @ scaled
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-9), gradient)
        coefficients -= step
        if abs(step).max() < 1e-5:
            break
    result = coefficients / deviation
    result[constant] -= (coefficients * mean / deviation).sum()
    return result


def _as_dict(
    scales: Sequence[Scale],
    activations: Sequence[str],
    change: NDArray[np.float64],
    direction: NDArray[np.float64],
) -> dict[str, Any]:
    def rounded(values: NDArray[Any]) -> list[float]:
        return [float(f"{value:.4g}") for value in values]

    encoder = files("calotype.models") / "weights" / ENCODER
    values = {
        "encoder": hashlib.sha256(encoder.read_bytes()).hexdigest(),
        "change": rounded(change),
        "direction": rounded(direction),
        "scales": [
            {"activation": name, "mean": rounded(mean), "deviation": rounded(deviation)}
            for name, (mean, deviation) in zip(activations, scales, strict=True)
        ],
    }
    Calibration.from_dict(values)
    return values
