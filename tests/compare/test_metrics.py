"""The metrics, compared with known values and with other implementations."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.compare.metrics import (
    METRICS,
    Lpips,
    MsSsim,
    Psnr,
    Ssimulacra2,
    UnmeasurableError,
    available_metrics,
)
from calotype.errors import ModelError

Pixels = NDArray[np.uint8]
ASSETS = Path(os.environ.get("CALOTYPE_ASSETS", Path(__file__).resolve().parents[3] / "shared"))
GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"


def jpeg(rgb: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def ramp() -> tuple[Pixels, Pixels]:
    """Two pictures of 192x256 that any implementation can make: smooth stripes, and with a pattern added."""
    y, x, c = np.mgrid[:192, :256, :3]
    clean = 128 + 60 * np.sin(x / (9 + c)) + 50 * np.cos(y / 13)
    return clean.astype(np.uint8), (clean + 12 * ((x * y) % 3 - 1)).astype(np.uint8)


def test_psnr_of_equal_pictures_is_infinite(photo: Pixels) -> None:
    assert Psnr()(photo, photo) == math.inf


def test_psnr_of_a_constant_difference() -> None:
    a = np.full((4, 4, 3), 100, np.uint8)
    assert Psnr()(a, a + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5))


@pytest.fixture
def ms_ssim() -> MsSsim:
    pytest.importorskip("skimage", reason="scikit-image is not installed: pip install 'calotype[compare]'")
    return MsSsim()


def test_ms_ssim_of_equal_pictures_is_one(ms_ssim: MsSsim, photo: Pixels) -> None:
    assert ms_ssim(photo, photo) == pytest.approx(1)


def test_ms_ssim_agrees_with_pytorch_msssim(ms_ssim: MsSsim) -> None:
    assert ms_ssim(*ramp()) == pytest.approx(0.965039, abs=2e-6)


@pytest.mark.parametrize("sides", [(192, 208), (191, 177)])
def test_ms_ssim_is_made_of_the_ssim_of_torchmetrics(
    ms_ssim: MsSsim, photo: Pixels, sides: tuple[int, int]
) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("torchmetrics.functional.image")
    pair = [rgb[: sides[0], : sides[1]] for rgb in (photo, jpeg(photo, 5))]
    channels = [torch.from_numpy(rgb.transpose(2, 0, 1)[:, None].astype(np.float64)) for rgb in pair]
    product = torch.ones(3)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            channels = [torch.nn.functional.avg_pool2d(plane, 2) for plane in channels]
        kind = "return_full_image" if scale == 4 else "return_contrast_sensitivity"
        expected = library.structural_similarity_index_measure(
            *channels, data_range=255.0, reduction="none", **{kind: True}
        )[1]
        within = expected[..., 5:-5, 5:-5].mean((1, 2, 3)) if scale == 4 else expected  # without its padding
        product = product * within**weight
    assert ms_ssim(*pair) == pytest.approx(float(product.mean()), abs=1e-9)


def test_small_pictures_have_no_ms_ssim(ms_ssim: MsSsim) -> None:
    small = np.zeros((175, 300, 3), np.uint8)
    with pytest.raises(UnmeasurableError, match="176 pixels"):
        ms_ssim(small, small)


def test_ssimulacra2_is_100_for_equal_pictures_and_falls_with_damage(photo: Pixels) -> None:
    pytest.importorskip("ssimulacra2")
    assert Ssimulacra2()(photo, photo) == pytest.approx(100)
    assert Ssimulacra2()(photo, jpeg(photo, 8)) < 40


@pytest.mark.skipif(not GRAPH.exists(), reason="CALOTYPE_ASSETS has no graph of LPIPS")
def test_lpips_is_0_for_equal_pictures_and_rises_with_damage(photo: Pixels) -> None:
    lpips = Lpips(GRAPH, threads=1)
    assert lpips(photo, photo) == pytest.approx(0, abs=1e-6)
    assert 0.1 < lpips(photo, jpeg(photo, 20)) < lpips(photo, jpeg(photo, 8)) < 0.7
    with pytest.raises(UnmeasurableError):
        lpips(photo[:16], photo[:16])


def test_metrics_that_cannot_run_give_the_reason(tmp_path: Path) -> None:
    metrics, missing = available_metrics()
    assert "psnr" in metrics
    assert "--lpips FILE" in missing["lpips"]
    assert set(metrics) | set(missing) == set(METRICS)
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"cannot load the LPIPS graph .*graph\.onnx"):
        available_metrics(tmp_path / "graph.onnx")
