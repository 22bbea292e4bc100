"""Latents as data: .calo files from and to arrays, and the files in which trainers cache latents.

::

    .calo file ─ read_latents ──► float32[4, h, w] ──► pack_cache ─── .npz, .safetensors
    .calo file ◄─ write_latents ─ float32[4, h, w] ◄── unpack_cache ─ .npz, .safetensors
"""

from __future__ import annotations

from calotype.latent_files.cache import CACHE_FORMATS, CachedLatents, pack_cache, unpack_cache
from calotype.latent_files.convert import read_latents, write_latents

__all__ = [
    "CACHE_FORMATS",
    "CachedLatents",
    "pack_cache",
    "read_latents",
    "unpack_cache",
    "write_latents",
]
