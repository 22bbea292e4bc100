"""Stable Diffusion 1.x and TAESD, run by torch and diffusers: ``pip install 'calotype[sd]'``.

::

    catalogue ─ fetch ─ store ─ weights ─ networks ─┬─ model ─ the Encoder and Decoder protocols
       names     hub     hashes   layouts   device   └─ text, denoise, tiles, noise

Importing this loads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calotype.lazy import lazy_names

if TYPE_CHECKING:
    from calotype.models.stable_diffusion.catalogue import CATALOGUE, FetchedModel, fetched_model
    from calotype.models.stable_diffusion.model import open_decoder, open_encoder
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "catalogue": ("CATALOGUE", "FetchedModel", "fetched_model"),
            "model": ("open_decoder", "open_encoder"),
        },
    )

__all__ = ["CATALOGUE", "FetchedModel", "fetched_model", "open_decoder", "open_encoder"]
