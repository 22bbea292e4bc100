"""Encoding: from a picture to a file."""

from __future__ import annotations

from calotype.encoding.write import encode_latents

__all__ = ["encode_latents"]
