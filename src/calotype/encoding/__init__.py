"""Encoding: from pictures to files."""

from __future__ import annotations

from calotype.encoding.pipeline import encode_latents, encode_pictures

__all__ = ["encode_latents", "encode_pictures"]
