"""Integers to bytes and back: rANS, shipped frequency tables, an integer-valued context model.

::

    integers ── lattice (which position next, what is known) ── network (mean, scale)
                     │                                              │
                     └── rans (bytes)  ◄── tables (frequencies) ◄───┘

Everything that a decoder needs is integer arithmetic, numpy only, the same on every machine.
"""

from __future__ import annotations

from calotype.entropy.coding_pass import (
    BLOCK,
    CodingPass,
    Missing,
    PassResult,
    Prediction,
    SymbolCoder,
    coding_pass,
    sites,
)
from calotype.entropy.integers import IntegerDecoder, decode_integers
from calotype.entropy.model import CONTEXT_PEAK, ContextModel, SiteNet, load_model
from calotype.entropy.symbols import SymbolDecoder, SymbolEncoder

__all__ = [
    "BLOCK",
    "CONTEXT_PEAK",
    "CodingPass",
    "ContextModel",
    "IntegerDecoder",
    "Missing",
    "PassResult",
    "Prediction",
    "SiteNet",
    "SymbolCoder",
    "SymbolDecoder",
    "SymbolEncoder",
    "coding_pass",
    "decode_integers",
    "load_model",
    "sites",
]
