"""Integers to bytes and back: rANS, shipped frequency tables, an integer-valued context model.

::

    integers ── coding_pass (order of positions and their context) ── model (mean, scale)
                     │                                                   │
                     └── symbols, rans (bytes) ◄── tables (frequencies) ◄┘

* ``coding_pass`` is the loop over all latents, which encoder and decoder share;
* ``model`` holds the context model, whose ``network`` layers compute in integers;
* ``tables`` selects the frequency table for a predicted mean and scale;
* ``symbols`` turns integers into symbols of these tables, and ``rans`` turns symbols into bytes;
* ``integers`` is the decoder of a payload that may still be arriving.

All arithmetic is in integers, with numpy only, and has the same results on every machine.
"""

from __future__ import annotations

from calotype.entropy.coding_pass import (
    BASE_SPACING,
    CodingPass,
    MissingIntegers,
    PassResult,
    Prediction,
    Site,
    coding_order,
)
from calotype.entropy.integers import IntegerDecoder, decode_integers
from calotype.entropy.model import CONTEXT_PEAK, ContextModel, SiteNet, read_context_model
from calotype.entropy.network import Product, reference_product
from calotype.entropy.symbols import SymbolDecoder, SymbolEncoder

__all__ = [
    "BASE_SPACING",
    "CONTEXT_PEAK",
    "CodingPass",
    "ContextModel",
    "IntegerDecoder",
    "MissingIntegers",
    "PassResult",
    "Prediction",
    "Product",
    "Site",
    "SiteNet",
    "SymbolDecoder",
    "SymbolEncoder",
    "coding_order",
    "decode_integers",
    "read_context_model",
    "reference_product",
]
