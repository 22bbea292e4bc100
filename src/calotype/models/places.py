"""Chooses where the embedded networks are computed: on the CPU or a GPU, by which runtime, in which format.

The context model always runs on the CPU, in integers: the integers of a file do not depend on a GPU.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from calotype.errors import ModelError
from calotype.models.native import native_memory_errors
from calotype.models.onnx_session import import_onnxruntime, provider_starts
from calotype.models.shipped import read_shipped_file
from calotype.options import DEFAULT_BACKEND

__all__ = ["CPU", "Place", "choose_place"]

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
"""The provider of ONNX Runtime for a kind of device."""

_AUTOMATIC_PROVIDERS = ("CUDAExecutionProvider", "DmlExecutionProvider")
"""The providers that ``auto`` uses, in this order. Only builds of ONNX Runtime for GPUs have them."""


_PROBE = "tiny-250-encoder.onnx"
"""A small graph, which tells whether a provider works."""


@dataclass(frozen=True)
class Place:
    """The place where networks are computed.

    ``runtime`` is "onnxruntime", "openvino" or "torch"; ``device`` "cpu", or "cuda", "mps" or "directml",
    with a number after a colon if there are several; ``dtype`` "float32", "bfloat16", "float16" or, within
    the encoder, "int8"; ``provider`` is that of ONNX Runtime, "" on the CPU.
    """

    runtime: str = DEFAULT_BACKEND
    device: str = "cpu"
    dtype: str = "float32"
    provider: str = ""

    def __str__(self) -> str:
        return f"{self.device} ({self.runtime}, {self.dtype})"

    @property
    def number(self) -> int:
        """Returns the number of the device among those of its kind."""
        return int(self.device.partition(":")[2] or 0)


CPU = Place()


def choose_place(device: str = "auto", dtype: str = "auto", backend: str = DEFAULT_BACKEND) -> Place:
    """Returns the place for a device ("auto", "cpu", "cuda", "mps", or one such as "cuda:1") and a dtype.

    "auto" takes a GPU if that costs no time to start: if ONNX Runtime is a build for one, or if the process
    has imported torch already and torch has one. A GPU that is named is used through ONNX Runtime or, if its
    build cannot, through torch. Raises :class:`ModelError` for a device or a dtype that is not available.
    """
    if backend != DEFAULT_BACKEND:
        if device not in ("auto", "cpu"):
            raise ModelError(f"the backend {backend} computes on the CPU, not on {device}: name one of both")
        return Place("openvino", dtype="bfloat16" if backend.endswith("bf16") else "float32")
    exact = dtype in ("auto", "float32")
    if exact and device in ("auto", "cpu"):
        return CPU if device == "cpu" else _automatic_place()
    if device == "auto":
        device = _gpu_of_torch(_torch()) or "cpu"
    if device == "cpu":
        raise ModelError(f"{dtype} needs a GPU: on the CPU use the backend openvino-bf16, or float32")
    kind = device.partition(":")[0]
    named = Place(device=device, provider=_PROVIDERS.get(kind, ""))
    if exact and kind == "cuda" and _has_provider(named.provider, named.number):
        return named
    return _place_in_torch(device, "float32" if dtype == "auto" else dtype)


def _automatic_place() -> Place:
    for provider in _AUTOMATIC_PROVIDERS:
        if _has_provider(provider):
            return Place(device="cuda" if provider.startswith("CUDA") else "directml", provider=provider)
    torch = sys.modules.get("torch")
    device = _gpu_of_torch(torch) if hasattr(torch, "cuda") else ""
    return Place("torch", device) if device else CPU


def _place_in_torch(device: str, dtype: str) -> Place:
    kind = device.partition(":")[0]
    try:
        torch = _torch()
    except ModelError:
        if kind == "mps" and dtype == "float32" and _has_provider(_PROVIDERS[kind]):
            return Place(device=device, provider=_PROVIDERS[kind])
        raise
    place = Place("torch", device, dtype)
    if place.number >= _count(torch, kind):
        raise ModelError(f"the device {device} is not available here: use --device auto or cpu")
    return place


def _gpu_of_torch(torch: Any) -> str:
    """Returns the kind of the GPU that torch has, or "" without one."""
    return next((kind for kind in ("cuda", "mps") if _count(torch, kind)), "")


def _count(torch: Any, kind: str) -> int:
    return int(torch.cuda.device_count() if kind == "cuda" else torch.backends.mps.is_available())


def _has_provider(provider: str, number: int = 0) -> bool:
    """Returns whether ONNX Runtime is installed with this provider, and whether it works here."""
    try:
        built = import_onnxruntime().get_available_providers()
    except ModelError:
        return False
    return provider in built and provider_starts(read_shipped_file(_PROBE), provider, number)


def _torch() -> Any:
    try:
        with native_memory_errors():
            import torch
    except ImportError as error:
        raise ModelError("torch is missing: pip install 'calotype[sd]'") from error
    return torch
