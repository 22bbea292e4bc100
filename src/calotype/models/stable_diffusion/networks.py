"""Diffusers' networks with their weights on a device; each is in memory once, for all its users."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.native import native_memory_errors
from calotype.models.stable_diffusion.catalogue import FetchedModel, Part
from calotype.models.stable_diffusion.store import WeightsLocation
from calotype.models.stable_diffusion.weights import read_config, read_weights
from calotype.options import DiffusionOptions

__all__ = ["Backend", "Network", "choose_backend", "diffusers_module", "load_network", "torch_module"]

Array = NDArray[np.float32]
Backend = tuple[str, str]
"""Device and dtype as torch names them, such as ("cuda:0", "bfloat16")."""

_CLASSES = {"vae": "AutoencoderKL", "unet": "UNet2DConditionModel", "taesd": "AutoencoderTiny"}

_loaded: WeakValueDictionary[tuple[Any, ...], Network] = WeakValueDictionary()
_loading = threading.Lock()


class Network:
    """A network in evaluation mode; calls from several threads take turns, which bounds memory.

    ``module`` has the dtype of ``backend`` already and is moved to its device.
    """

    def __init__(self, module: Any, backend: Backend, name: str) -> None:
        torch = torch_module()
        device, dtype = backend
        self.name, self.backend = name, backend
        self._device, self._dtype = torch.device(device), getattr(torch, dtype)
        self._lock = threading.Lock()
        self.module = module.eval().requires_grad_(False).to(self._device, memory_format=torch.channels_last)

    def tensor(self, array: Array) -> Any:
        """Converts an array to a tensor of this network's device and dtype."""
        return torch_module().from_numpy(np.ascontiguousarray(array)).to(self._device, self._dtype)

    def times(self, times: Sequence[int]) -> Any:
        """Converts timesteps to a tensor int64[n] on this network's device."""
        return torch_module().tensor(list(times), device=self._device)

    def __call__(self, function: Callable[[Any, Any], Any], x: Array) -> Array:
        """Computes ``function(module, tensor)`` of ``x`` float32[n, c, h, w] as a float32 array.

        Raises :class:`ModelError` if the dtype's range was too small, and :class:`OutOfMemoryError`.
        """
        torch = torch_module()
        with self._lock, torch.inference_mode(), native_memory_errors():
            tensor = self.tensor(x).contiguous(memory_format=torch.channels_last)
            result: Array = function(self.module, tensor).float().cpu().numpy()
        if not np.isfinite(result).all():
            raise ModelError(
                f"{self.name} computed values that are not finite in {self.backend[1]}: use --dtype float32"
            )
        return result

    def differentiate(self, function: Callable[[Any, Any], Any], x: Any) -> Any:
        """Computes ``function(module, x)`` of a tensor float32[1, c, h, w] on the CPU, with gradients."""
        with self._lock, native_memory_errors():
            return function(self.module, x.to(self._device, self._dtype)).float().cpu()

    def free(self) -> None:
        """Releases the memory that the device's allocator caches."""
        torch = torch_module()
        if self._device.type in ("cuda", "mps"):
            getattr(torch, self._device.type).empty_cache()


def torch_module() -> Any:
    """Imports ``torch``. Raises :class:`ModelError` if it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise ModelError("torch is missing: pip install 'calotype[sd]'") from error
    return torch


def diffusers_module() -> Any:
    """Imports ``diffusers``. Raises :class:`ModelError` if it is not installed."""
    try:
        import diffusers
    except ImportError as error:
        raise ModelError("diffusers is missing: pip install 'calotype[sd]'") from error
    return diffusers


def choose_backend(options: DiffusionOptions) -> Backend:
    """Returns device and dtype for ``options``; "auto" selects the fastest one that is precise enough.

    Raises :class:`ModelError` for a device that is not available.
    """
    torch = torch_module()
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    device = options.device
    if device == "auto":
        device = next(kind for kind, number in count.items() if number)
    kind, _, number = device.partition(":")
    if int(number or 0) >= count[kind]:
        raise ModelError(f"the device {device} is not available here: use --device auto or cpu")
    if options.dtype != "auto":
        return device, options.dtype
    if kind == "cpu":
        # Without matrix units for it bfloat16 is slower than float32.
        return device, "bfloat16" if _has_matrix_units(torch) else "float32"
    bfloat16 = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return device, "bfloat16" if bfloat16 else "float16"


def _has_matrix_units(torch: Any) -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # Old releases do not have this function.
    return bool(capabilities and capabilities().get("amx_bf16"))


def load_network(location: WeightsLocation, source: FetchedModel, part: Part, backend: Backend) -> Network:
    """Loads a network with its weights. Raises :class:`ModelError` if they are missing, changed or do not
    fit."""
    key = location.path, part.name, backend
    with _loading:
        network = _loaded.get(key)
        if network is None:
            with native_memory_errors():
                network = _load_network_once(location, source, part, backend)
            _loaded[key] = network
        return network


def _load_network_once(
    location: WeightsLocation, source: FetchedModel, part: Part, backend: Backend
) -> Network:
    torch, diffusers = torch_module(), diffusers_module()
    config = read_config(location, source, part)
    wanted = config.get("_class_name", _CLASSES[part.name])
    if wanted != _CLASSES[part.name]:
        raise ModelError(f"{location.path} holds a {wanted}, not a {_CLASSES[part.name]}")
    with torch.device("meta"):  # Weights that would be overwritten are not allocated.
        module = getattr(diffusers, wanted).from_config(config)
    weights = read_weights(location, source, part, config)
    expected = module.state_dict()
    wrong = sorted(expected.keys() ^ weights.keys())
    wrong += [name for name in expected if name in weights and expected[name].shape != weights[name].shape]
    if wrong:
        few = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise ModelError(f"the weights of {part.name} in {location.path} do not fit its architecture: {few}")
    dtype = getattr(torch, backend[1])
    module.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()}, assign=True)
    return Network(module, backend, f"{source.name}'s {part.name}")
