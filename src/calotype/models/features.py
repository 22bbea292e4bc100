"""Activations within the embedded encoder, which describe the structure of a picture at several scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calotype.models.onnx_session import OnnxSession
from calotype.models.protobuf import pack_message

__all__ = ["FeatureNetwork", "with_outputs"]

_GRAPH, _OUTPUT, _NAME = 7, 12, 1
"""Field numbers of ``ModelProto.graph``, ``GraphProto.output`` and ``ValueInfoProto.name`` in onnx.proto."""


class FeatureNetwork:
    """The encoder's ``graph``, with the activations ``names`` as outputs.

    ``margin`` is the radius of the receptive field in latent positions, made even. Threads may share
    it. Raises :class:`ModelError` for a graph without these activations.
    """

    def __init__(self, graph: bytes, names: Sequence[str], margin: int, threads: int | None = None) -> None:
        self.margin = margin + margin % 2
        self._names = list(names)
        self._session = OnnxSession(with_outputs(graph, names), threads)

    def features(self, pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Returns each activation float32[channels, h, w] of sRGB float32[3, H, W] in [0, 1].

        H and W are multiples of 16.
        """
        return self._session.run_named(self._names, pixels=pixels)


def with_outputs(graph: bytes, names: Sequence[str]) -> bytes:
    """Returns the ONNX model ``graph`` with more outputs.

    Protocol Buffers merge the copies of a message that occurs twice, and join its repeated fields. Additional
    outputs can therefore be appended.
    """
    outputs = [(_OUTPUT, pack_message([(_NAME, name.encode())])) for name in names]
    return graph + pack_message([(_GRAPH, pack_message(outputs))])
