"""Errors cross the boundaries of processes, as those of the standard library do."""

from __future__ import annotations

import builtins
import copy
import importlib
import inspect
import multiprocessing
import pickle
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import calotype
from calotype.errors import CalotypeError, ModelError, OutOfMemoryError, TargetSizeError

SAMPLES = {int: 7, str: "a sentence", tuple[int, int]: (7, 8), tuple[int, int, int, int]: (1, 2, 3, 4)}


def error_modules() -> list[str]:
    """The modules that define an exception: a class of which a base has the name of one.

    They are found by their text. To import every module would take seconds, and most have no exception.
    """
    package = Path(calotype.__file__).parent
    defined = [  # module, class, bases
        (path.relative_to(package.parent).with_suffix(""), match[1], re.split(r"[^\w]+", match[2]))
        for path in package.rglob("*.py")
        for match in re.finditer(r"^ *class (\w+)\(([^)]*)\):", path.read_text("utf-8"), re.MULTILINE)
    ]
    names = {name for name, value in vars(builtins).items() if inspect.isclass(value)}
    exceptions = {name for name in names if issubclass(getattr(builtins, name), BaseException)}
    count = 0
    while count < len(exceptions):
        count = len(exceptions)
        exceptions |= {name for _, name, bases in defined if exceptions.intersection(bases)}
    modules = {module for module, name, _ in defined if name in exceptions}
    return sorted(".".join(module.parts).removesuffix(".__init__") for module in modules)


def error_classes() -> list[type[BaseException]]:
    """Every exception class that the modules define for which the packages are installed."""
    errors_by_name = {}
    for module in error_modules():
        try:
            imported = importlib.import_module(module)
        except (ModuleNotFoundError, ModelError):  # the module of an extra that is not installed
            continue
        for kind in vars(imported).values():
            if inspect.isclass(kind) and issubclass(kind, BaseException) and kind.__module__ == module:
                errors_by_name[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return [errors_by_name[name] for name in sorted(errors_by_name)]


def made(kind: type[BaseException]) -> BaseException:
    """An error of the class, with an argument of the right type for each parameter."""
    if "__init__" not in vars(kind):
        return kind("a sentence")
    parameters = list(inspect.signature(kind, eval_str=True).parameters.values())
    return kind(*(SAMPLES[parameter.annotation] for parameter in parameters))


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_can_be_pickled_and_copied(kind: type[BaseException]) -> None:
    error = made(kind)
    error.add_note("a note")
    again = [pickle.loads(pickle.dumps(error, number)) for number in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for other in (*again, copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_the_tree_is_complete() -> None:
    names = {kind.__name__ for kind in error_classes()}
    assert {"CalotypeError", "TargetSizeError", "OutOfMemoryError", "ProfileError"} <= names
    if all(map(find_spec, ("fastapi", "python_multipart"))):
        assert "MediaError" in names  # of calotype.web.form


def test_what_a_target_size_error_knows() -> None:
    error = TargetSizeError(target=5, smallest=50)
    assert (error.target, error.smallest, error.exit_code) == (5, 50, 1)
    assert "target size 5 bytes is too small" in str(error)


def test_out_of_memory_is_a_memory_error() -> None:
    assert issubclass(OutOfMemoryError, MemoryError)
    assert issubclass(OutOfMemoryError, CalotypeError)
    assert OutOfMemoryError("no").exit_code == 4


def _too_small(value: int) -> int:
    return len(calotype.encode(np.full((16, 16, 3), value, np.uint8), target_size=5, effort=1, model="tiny"))


@pytest.fixture
def pool() -> Iterator[multiprocessing.pool.Pool]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.mark.slow
def test_an_error_leaves_a_pool(pool: multiprocessing.pool.Pool) -> None:
    with pytest.raises(TargetSizeError, match="5 bytes is too small") as caught:
        pool.map_async(_too_small, [1, 2]).get(timeout=60)
    assert caught.value.target == 5
    assert caught.value.smallest > 5
