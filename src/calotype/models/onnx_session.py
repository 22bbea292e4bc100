"""ONNX graphs run by ONNX Runtime, on the CPU or by another provider of its build."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.cores import available_cores
from calotype.errors import CalotypeError, ModelError
from calotype.models.native import PerProcess, native_memory_errors

__all__ = ["OnnxSession", "import_onnxruntime", "open_session", "provider_starts"]

_FATAL = 4
"""The severity from which ONNX Runtime prints to standard error. Errors are raised, and need not be printed.
"""


class OnnxSession:
    """One graph; ``threads`` None means a thread for every core that the process may use.

    ``provider`` computes it on the device with this ``number``; "" is the CPU. Errors call the graph
    ``name``. Raises :class:`ModelError` without the runtime, or for a graph that it cannot run, and
    :class:`OutOfMemoryError`.
    """

    def __init__(
        self,
        graph: bytes,
        threads: int | None,
        provider: str = "",
        number: int = 0,
        *,
        name: str = "the embedded model",
    ) -> None:
        self._session = PerProcess(partial(open_session, graph, threads, name, provider, number))
        self.inputs = frozenset(value.name for value in self._session.get().get_inputs())

    def run(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Returns the graph's output for inputs without their first axis, of length 1; from any thread."""
        return self._run(None, inputs)[0]

    def run_named(self, names: Sequence[str], **inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Returns the graph's outputs of these names, as :meth:`run`."""
        return self._run(names, inputs)

    def _run(self, names: Sequence[str] | None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        feed = {name: np.ascontiguousarray(array[None]) for name, array in inputs.items()}
        with native_memory_errors():
            session = self._session.get()
            return [output[0] for output in session.run(names, feed, _freeing_options())]


def open_session(graph: bytes, threads: int | None, name: str, provider: str = "", number: int = 0) -> Any:
    """Returns a session; for the arguments see :class:`OnnxSession`."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    # The number is never 0: the runtime would then bind its threads to cores, the same ones in every process.
    options.intra_op_num_threads = threads or available_cores()
    # Threads that wait in a loop take the cores from other sessions and processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    options.enable_mem_pattern = False  # Windows differ in size: a pattern would be kept for each.
    try:
        with native_memory_errors():
            return onnxruntime.InferenceSession(graph, options, providers=_providers(provider, number))
    except CalotypeError:
        raise
    except Exception as error:  # The runtime's exceptions have no public base class in common.
        raise ModelError(f"ONNX Runtime cannot load {name}: {error}") from error


def _freeing_options() -> Any:
    """Returns options of a run after which the memory of its activations is freed.

    Within a run, activations share the memory of ONNX Runtime's arena. Without the arena each of them gets
    new pages from the system, which takes a tenth to a quarter of the time.
    """
    options = import_onnxruntime().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _providers(provider: str, number: int) -> list[Any]:
    """Returns the provider with its settings, and the CPU's for what the other one lacks."""
    settings = {"device_id": str(number)} if number else {}
    if provider == "CUDAExecutionProvider":
        settings["use_tf32"] = "0"  # Sums are in float32, as on the CPU.
    return [(provider, settings)] * bool(provider) + ["CPUExecutionProvider"]


def provider_starts(graph: bytes, provider: str, number: int) -> bool:
    """Returns whether a provider computes ``graph`` on this machine.

    ONNX Runtime uses the CPU where the provider's libraries or its device are missing, and does not say so.
    """
    try:
        active = open_session(graph, 1, "the embedded model", provider, number).get_providers()
    except ModelError:
        return False
    return provider in active


def import_onnxruntime() -> Any:
    """Imports the library; on Linux and macOS :mod:`calotype.telemetry` has switched its reports off
    already.
    """
    try:
        with native_memory_errors():
            import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelError("ONNX Runtime is missing: pip install onnxruntime") from error
    except ImportError as error:
        raise ModelError(f"ONNX Runtime cannot be loaded: {error}") from error
    onnxruntime.disable_telemetry_events()  # On Windows it would report to the system's event log.
    return onnxruntime
