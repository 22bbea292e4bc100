"""The matrix product of the context model on the processor's 8-bit instructions, through ONNX Runtime.

On one core of a processor with VNNI it is four times as fast as a float32 product. It uses one thread:
the matrices of the context model are small, and threads would wait for each other longer than they compute,
above all beside other processes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import Product, reference_product
from calotype.errors import ModelError
from calotype.models.native import PerProcess, native_memory_errors
from calotype.models.onnx_file import Node
from calotype.models.onnx_session import open_session
from calotype.models.protobuf import pack_message, pack_node, pack_tensor, pack_value_info

__all__ = [
    "SignedWeights",
    "UnsignedWeights",
    "gives_known_answer",
    "has_exact_int8",
    "integer_product",
]

_IR_VERSION, _OPSET = 8, 13
_SIGN = 128


def integer_product(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[Any]:
    """Returns the exact product of uint8[N, K] and int8[K, O], by the fastest way that is exact on this
    machine.
    """
    return _choose_product()(columns, weight)


def has_exact_int8() -> bool:
    """Returns whether ONNX Runtime multiplies uint8 by int8 exactly and fast on this machine."""
    return isinstance(_choose_product(), SignedWeights)


@cache
def _choose_product() -> Product:
    """Returns the first product that gives the known answer.

    Some processors add pairs of products of signed weights in 16 bits, where they saturate. With weights
    from 0 to 255 ONNX Runtime avoids that, at half the speed.
    """
    for kind in (SignedWeights, UnsignedWeights):
        try:
            product = kind()
        except ModelError:  # ONNX Runtime may be missing: torch may compute the other networks.
            continue
        if gives_known_answer(product):
            return product
    return reference_product


def gives_known_answer(product: Product) -> bool:
    """Returns whether ``product`` is exact at the extremes of its arguments, for several shapes."""
    rng = np.random.default_rng(1)
    for positions, inputs, outputs in ((1, 48, 2), (7, 144, 17), (40, 864, 48)):
        columns = rng.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (positions, inputs))
        weight = rng.choice(np.array([-127, -1, 0, 126, 127], np.int8), (inputs, outputs))
        columns[0], weight[:, 0], weight[:, 1] = 255, 127, -127
        if not np.array_equal(product(columns, weight), reference_product(columns, weight)):
            return False
    return True


class SignedWeights:
    """The product of ONNX Runtime, with signed weights."""

    def __init__(self) -> None:
        self._session = PerProcess(lambda: open_session(_matmul_model("int8", {}), 1, "the integer product"))

    def __call__(self, columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[Any]:
        with native_memory_errors():
            product: NDArray[Any] = self._session.get().run(["y"], {"a": columns, "b": weight})[0]
        return product


class UnsignedWeights:
    """The product with 128 added to the weights, which the operator subtracts again."""

    def __init__(self) -> None:
        zeros = {"a_zero": 0, "b_zero": _SIGN}
        self._session = PerProcess(
            lambda: open_session(_matmul_model("uint8", zeros), 1, "the integer product")
        )

    def __call__(self, columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[Any]:
        raised = weight.view(np.uint8) ^ np.uint8(_SIGN)
        with native_memory_errors():
            product: NDArray[Any] = self._session.get().run(["y"], {"a": columns, "b": raised})[0]
        return product


def _matmul_model(weight_type: str, zeros: dict[str, int]) -> bytes:
    """Returns an ONNX model of one MatMulInteger, with the zero points ``zeros``."""
    constants = [pack_tensor(name, np.array(value, np.uint8)) for name, value in zeros.items()]
    values = [pack_value_info("a", "uint8", 2), pack_value_info("b", weight_type, 2)]
    graph = pack_message(
        [(1, pack_node(Node("MatMulInteger", ("a", "b", *zeros), ("y",), {}))), (2, b"product")]
        + [(5, constant) for constant in constants]
        + [(11, value) for value in values]
        + [(12, pack_value_info("y", "int32", 2))]
    )
    return pack_message([(1, _IR_VERSION), (7, graph), (8, pack_message([(1, b""), (2, _OPSET)]))])
