"""Native runtimes: forked processes, and the lack of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import calotype
from calotype.errors import ModelError, OutOfMemoryError
from calotype.models.native import PerProcess, native_memory_errors

FORK = """
import os, signal, sys, numpy, calotype
codec = calotype.Codec(threads={threads}, backend="{backend}")
picture = numpy.zeros((16, 16, 3), "uint8")
file = codec.encode(picture, model="tiny")
child = os.fork()
if child == 0:
    signal.alarm(30)
    {child}
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or codec.encode(picture, model="tiny") != file)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.extra)])
@pytest.mark.parametrize(
    "child", ["pass", "assert codec.encode(picture, model='tiny') == file; codec.decode(file, model='tiny')"]
)
def test_a_forked_child_ends_and_may_use_the_codec(child: str, backend: str, threads: int) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = FORK.format(threads=threads, backend=backend, child=child)
    # From Python 3.12 on every fork of a process with threads is warned of.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_process_makes_its_own() -> None:
    objects: list[object] = []

    def make() -> object:
        objects.append(object())
        return objects[-1]

    per_process = PerProcess(make)
    assert per_process.get() is per_process.get() is objects[0]
    per_process.forget()
    assert per_process.get() is per_process.get() is objects[1]
    assert len(objects) == 2


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Non-zero status code returned while running Conv node: std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        ImportError("libonnxruntime.so: failed to map segment from shared object"),
    ],
)
def test_lack_of_memory_is_one_error(error: Exception) -> None:
    with (
        pytest.raises(OutOfMemoryError, match=r"^there is not enough memory$") as caught,
        native_memory_errors(),
    ):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ModelError("torch is out of memory"), RuntimeError("shapes differ")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, native_memory_errors():
        raise error
    assert caught.value is error


LITTLE = """
import resource, sys, numpy, calotype
codec = calotype.Codec(threads=1)
picture = numpy.zeros((1024, 1024, 3), "uint8")
codec.encode(picture[:16, :16], effort=1)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (48 << 20),) * 2)
try:
    codec.encode(picture, effort=1)
except MemoryError:
    sys.exit("not enough")
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux to limit the address space")
def test_a_network_without_memory_raises_one_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LITTLE], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (1, "not enough\n")


def test_a_memory_error_of_numpy_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own error for the lack of memory passes through the package as what it is."""

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "pad", full)
    with pytest.raises(MemoryError):
        calotype.encode(np.zeros((9, 9, 3), np.uint8), model="tiny", effort=1)
