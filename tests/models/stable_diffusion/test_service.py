"""Properties that a service needs: batches, and lack of memory and interrupts in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.models.stable_diffusion.networks import Network

ANNOUNCED = """
import os, sys
from calotype.cli import main
from calotype.models.stable_diffusion.networks import Network

def announced(call):
    def wrapper(*arguments):
        os.write(1, b"computing\\n")  # whole, even if two threads announce at once
        return call(*arguments)
    return wrapper

for name in ("__call__", "differentiate"):
    setattr(Network, name, announced(getattr(Network, name)))
sys.exit(main(sys.argv[1:]))
"""

SHORT_OF_MEMORY = """
import re, resource, sys
from pathlib import Path
import numpy as np, torch
import calotype
torch.set_num_threads(1)
options = calotype.DiffusionOptions(
    weights=sys.argv[1], device="cpu", dtype="float32", tile=1024, denoise="off"
)
codec = calotype.Codec()
rgb = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
data = calotype.encode(rgb, model="tiny", quality=0, scale=1, effort=1)
small = calotype.encode(rgb[:64, :64], model="sd-1.5", effort=1, diffusion=options)
codec.decode(small, model="sd-1.5", diffusion=options)
size = 1024 * int(re.search(r"VmSize:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_AS, (size + 140 * 10**6,) * 2)
picture = codec.decode(data, model="sd-1.5", diffusion=options)
print(picture.size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's limit of address space")
def test_memory_that_really_runs_out(pipeline: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(pipeline)],
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"},  # what is freed is free at once
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1024, 1024)\n"
    assert "CalotypeWarning: sd-1.5's vae does not fit in memory: going on with tiles of" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("command", ["decode", "decode -j 2", "encode -e 9"])
def test_an_interrupt_leaves_nothing_behind(
    command: str, pipeline: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for name in "ab":
        Image.fromarray(photo).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.calo").write_bytes(calotype.encode(photo, model="tiny", quality=0, effort=1))
    before = sorted(tmp_path.iterdir())
    arguments = command.split()
    arguments += ["--weights", str(pipeline), "--device", "cpu", "-m", "sd-1.5"]
    if "decode" in command:
        arguments += ["--denoise", "999", "--steps", "1000"]  # half a minute, if nobody interrupts
        arguments += ["a.calo", "b.calo", "out/"] if "-j" in command else ["a.calo", "out.png"]
    else:
        arguments += ["--decoder", "sd-1.5", "--target-size", "300", "a.png", "out.calo"]
    process = subprocess.Popen(
        [sys.executable, "-c", ANNOUNCED, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "computing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert said.strip() == "calotype: error: interrupted"
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert left == ([tmp_path / "out"] if "-j" in command else [])


@pytest.fixture
def options(pipeline: Path) -> calotype.DiffusionOptions:
    return calotype.DiffusionOptions(weights=str(pipeline), device="cpu", dtype="float32", steps=2)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(network, pictures at once) of each pass."""
    passes_made: list[tuple[str, int]] = []
    call = Network.__call__

    def counted(network: Network, function: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        passes_made.append((network.name.split()[-1], len(x)))
        return call(network, function, x)

    monkeypatch.setattr(Network, "__call__", counted)
    return passes_made


@pytest.fixture
def photos(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Three of one size and one of another."""
    return [photo, photo[::-1], photo[:40], photo[:, ::-1]]


def test_pictures_of_one_size_go_through_together(
    photos: list[NDArray[np.uint8]], options: calotype.DiffusionOptions, passes: list[tuple[str, int]]
) -> None:
    codec = calotype.Codec()
    encoding = calotype.EncodeOptions(model="sd-1.5", quality=20, scale=1, effort=1, diffusion=options)
    decoding = calotype.DecodeOptions(model="sd-1.5", diffusion=options)
    files = list(codec.encode_many(photos, encoding))
    assert passes == [("vae", 3), ("vae", 1)]
    passes.clear()
    pictures = [np.asarray(picture) for picture in codec.decode_many(iter(files), decoding)]
    assert passes == [("unet", 3), ("unet", 3), ("vae", 3), ("unet", 1), ("unet", 1), ("vae", 1)]
    for rgb, data, picture in zip(photos, files, pictures, strict=True):
        alone = codec.decode(codec.encode(rgb, encoding), decoding, as_array=True)
        assert calotype.read_info(data).width == rgb.shape[1]
        assert np.abs(picture.astype(int) - alone).max() <= 1
    passes.clear()
    assert len(list(codec.encode_many(photos, encoding, batch=2))) == 4
    assert passes == [("vae", 2), ("vae", 1), ("vae", 1)]
    with pytest.raises(ValueError, match=r"batch \(=0\) must be positive"):
        next(codec.encode_many(photos, batch=0))


def test_other_models_take_one_after_the_other(photos: list[NDArray[np.uint8]]) -> None:
    files = list(calotype.Codec().encode_many(photos, model="tiny", effort=1))
    assert files == [calotype.encode(rgb, model="tiny", effort=1) for rgb in photos]
    shapes = [np.asarray(picture).shape for picture in calotype.Codec().decode_many(files, model="tiny")]
    assert shapes == [rgb.shape for rgb in photos]


def test_a_batch_too_large_for_the_memory_is_divided(
    photos: list[NDArray[np.uint8]], options: calotype.DiffusionOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = calotype.EncodeOptions(model="sd-1.5", quality=20, scale=1, effort=1, diffusion=options)
    files = [calotype.encode(rgb, encoding) for rgb in (photos[0], photos[1], photos[3])]
    decoding = calotype.DecodeOptions(model="sd-1.5", diffusion=options)
    alone = [calotype.decode(data, decoding, as_array=True) for data in files]
    call = Network.__call__

    def short_of_memory(network: Network, function: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(x) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return call(network, function, x)

    monkeypatch.setattr(Network, "__call__", short_of_memory)
    with pytest.warns(calotype.CalotypeWarning) as warned:
        pictures = list(calotype.Codec().decode_many(files, decoding))
    assert [str(warning.message) for warning in warned] == [
        f"sd-1.5's {part} does not fit in memory: going on with 1 at a time" for part in ("unet", "vae")
    ]
    for picture, wanted in zip(pictures, alone, strict=True):
        assert np.abs(np.asarray(picture).astype(int) - wanted).max() <= 1
