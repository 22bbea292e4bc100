"""The photograph that tests of the codec encode."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.png"


def open_photo() -> Image.Image:
    """Returns the photograph, 512x512 pixels."""
    return Image.open(SAMPLE).convert("RGB")


def open_small_photo() -> Image.Image:
    """Returns the photograph reduced to 88x60 pixels."""
    return open_photo().resize((88, 60))
