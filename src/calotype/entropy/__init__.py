"""Integers to bytes and back: rANS, shipped frequency tables, an integer-valued context model.

::

    integers ── coding order (which position next, what is known) ── network (mean, scale)
                     │                                              │
                     └── rans (bytes)  ◄── tables (frequencies) ◄───┘

Everything that a decoder needs is integer arithmetic, numpy only, the same on every machine.
"""

from __future__ import annotations

from calotype.entropy.coding_pass import (
    BLOCK,
    CodingPass,
    IntegerSupplier,
    MissingIntegers,
    PassResult,
    Prediction,
    coding_order,
    coding_pass,
)
from calotype.entropy.integers import IntegerDecoder, decode_integers
from calotype.entropy.model import CONTEXT_PEAK, ContextModel, SiteNet, read_context_model
from calotype.entropy.network import Product, reference_product
from calotype.entropy.symbols import SymbolDecoder, SymbolEncoder

__all__ = [
    "BLOCK",
    "CONTEXT_PEAK",
    "CodingPass",
    "ContextModel",
    "IntegerDecoder",
    "IntegerSupplier",
    "MissingIntegers",
    "PassResult",
    "Prediction",
    "Product",
    "SiteNet",
    "SymbolDecoder",
    "SymbolEncoder",
    "coding_order",
    "coding_pass",
    "decode_integers",
    "read_context_model",
    "reference_product",
]
