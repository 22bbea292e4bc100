"""Integers to bytes and back: rANS, shipped frequency tables, an integer-valued context model.

::

    integers ── lattice (which position next, what is known) ── network (mean, scale)
                     │                                              │
                     └── rans (bytes)  ◄── tables (frequencies) ◄───┘

Everything that a decoder needs is integer arithmetic, numpy only, the same on every machine.
"""

from __future__ import annotations

from calotype.entropy.lattice import BLOCK, Prediction, Visitor, Walked, sites, walk
from calotype.entropy.model import CONTEXT_PEAK, ContextModel, SiteNet, load_model
from calotype.entropy.stream import StreamDecoder, StreamEncoder, decode_integers

__all__ = [
    "BLOCK",
    "CONTEXT_PEAK",
    "ContextModel",
    "Prediction",
    "SiteNet",
    "StreamDecoder",
    "StreamEncoder",
    "Visitor",
    "Walked",
    "decode_integers",
    "load_model",
    "sites",
    "walk",
]
