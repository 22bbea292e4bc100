"""The rules of the package's modules: imports, sizes, public names."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import calotype
from calotype.errors import ModelError

PACKAGE = Path(__file__).parents[1] / "src" / "calotype"
GOLDEN_FILE = next((Path(__file__).parent / "golden").rglob("*.calo"))
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 300

# What each part of the package may import, besides itself: the parts in earlier layers.
LAYERS = (
    {"arguments", "atomic", "cores", "errors", "lazy", "telemetry", "version"},
    {"batches", "connected", "file_data", "limits", "warning_hook"},
    {"options"},
    {"container"},
    {"packets"},
    {"entropy"},
    {"latents"},
    {"imaging"},
    {"models"},
    {"browser", "fidelity"},
    {"info"},
    {"decoding"},
    {"encoding"},
    {"codec", "latent_files"},
    {"__init__"},
    {"compare"},
    {"gallery"},
    {"web"},
    {"experiments"},
    {"archive"},
    {"cli", "pillow_plugin"},
    {"__main__"},
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
NARROWER = {"imaging": {"errors", "limits"}}
FOREIGN = {  # parts that must run on few packages, or on none
    "arguments": set(),
    "atomic": set(),
    "batches": set(),
    "connected": {"numpy"},
    "cores": set(),
    "errors": set(),
    "file_data": set(),
    "lazy": set(),
    "telemetry": set(),
    "version": set(),
    "limits": set(),
    "options": set(),
    "container": set(),
    "packets": {"zfec"},
    "entropy": {"numpy"},
    "imaging": {"numpy", "PIL"},
}
# The package's __init__ offers what lies above it too, imported when it is called.
LAZY = {("__init__", "pillow_plugin")}


def name_of(module: Path) -> str:
    """Its dotted name, such as calotype.container.file."""
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULE_OF = {name_of(module): module for module in MODULES}


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file of Python, which several tests look at."""
    return ast.parse(path.read_text("utf-8"))


def part_of(name: str) -> str:
    """The part of the package that a dotted name belongs to; "__init__" for the package itself."""
    return name.split(".")[1] if "." in name else "__init__"


@cache
def imports(module: Path) -> frozenset[str]:
    """Dotted names of all that a module imports, within functions too."""
    package = name_of(module).split(".")[: None if module.stem == "__init__" else -1]
    imported: set[str] = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(base + ([node.module] if node.module else []))
            names = (f"{source}.{alias.name}" for alias in node.names)
            imported.update(name if name in MODULE_OF else source for name in names)
    return frozenset(imported)


def public_definitions(tree: ast.Module) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


def declared_all(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


modules = pytest.mark.parametrize("module", MODULES, ids=name_of)


def test_the_modules_of_the_package_are_found() -> None:
    assert {"calotype.errors", "calotype.container.file"} <= {name_of(module) for module in MODULES}


@modules
def test_imports_go_one_way(module: Path) -> None:
    part = part_of(name_of(module))
    assert part in RANK, f"give {part} a place in LAYERS"
    for name in imports(module):
        if name.split(".")[0] != "calotype":
            continue
        target = part_of(name)
        if target == part or (part, target) in LAZY:
            continue
        assert RANK[target] < RANK[part], f"{name_of(module)} imports {name}, which lies above it"
        assert target in NARROWER.get(part, {target}), f"{name_of(module)} must not know {name}"


def test_decoding_knows_nothing_of_encoding() -> None:
    known = {name for module in MODULES for name in imports(module) if "decoding" in name_of(module)}
    assert known and not {name for name in known if "encoding" in name.split(".")}


# Within encoding: what each step may build on is what stands before it.
STEPS = (
    {"patch_coding", "structure"},
    {"patch_choice"},
    {"bit_budget", "interest"},
    {"rdo"},
    {"plan", "prepare", "size_estimate"},
    {"rate"},
    {"candidate"},
    {"colour_error", "underlay"},
    {"optimise", "resolution", "regions", "closed_loop", "colour_solver", "write", "record"},
    {"faithful", "protection"},
    {"stages"},
    {"pipeline"},
    {"__init__"},
)


def test_the_steps_of_encoding_build_on_those_before() -> None:
    rank = {step: number for number, steps in enumerate(STEPS) for step in steps}
    for module in (PACKAGE / "encoding").rglob("*.py"):
        inside = name_of(module).split(".")[2:] or ["__init__"]
        for name in imports(module):
            parts = name.split(".")
            if parts[:2] != ["calotype", "encoding"] or parts[2:3] == inside[:1]:
                continue
            assert parts[2:], f"{name_of(module)} imports all of encoding"
            assert rank[parts[2]] < rank[inside[0]], f"{name_of(module)} imports {name}, which comes later"


def modules_below(name: str) -> set[str]:
    """The dotted names of all modules that a module imports, directly or through others."""
    below: set[str] = set()
    new = {name}
    while new:
        new = {name for module in new & MODULE_OF.keys() for name in imports(MODULE_OF[module])} - below
        below |= new
    return below


# The calls from a module to one above it that encoding makes. None of them passes options or a picture.
CALLS_UPWARDS = {
    ("calotype.models.native", "calotype.models.onnx_session"),  # opens a session anew after a fork
    ("calotype.models.native", "calotype.models.products"),  # likewise
    ("calotype.entropy.network", "calotype.models.products"),  # matrix products of the context model
}


@pytest.mark.slow  # every call is recorded
def test_encoding_only_calls_downwards() -> None:
    """No module that encoding runs calls one above it: docs/architecture.md, "The way through encode"."""
    below = {name: modules_below(name) for name in MODULE_OF}
    calls: set[tuple[str, str]] = set()

    def record(frame: FrameType, event: str, _: object) -> None:
        callee, caller = frame.f_globals.get("__name__", ""), frame.f_back
        is_import = frame.f_code.co_name == "<module>"
        is_generated = frame.f_code.co_filename.startswith("<")  # by dataclasses
        if event != "call" or callee not in MODULE_OF or is_import or is_generated:
            return
        while caller is not None and caller.f_globals.get("__name__") not in MODULE_OF:
            caller = caller.f_back
        if caller is not None:
            calls.add((caller.f_globals["__name__"], callee))

    noise = np.random.default_rng(1).integers(0, 256, (72, 72, 3), np.uint8)
    codec, box = calotype.Codec(threads=1), calotype.Roi(0, 0, 8, 8)
    sys.setprofile(record)
    try:
        codec.encode(noise, effort=7, quality=30, roi=(box,))
        codec.encode(noise, effort=5, target_size=500)
        codec.encode(noise, recipe="palette")
    finally:
        sys.setprofile(None)
    assert ("calotype.codec", "calotype.encoding.pipeline") in calls
    assert ("calotype.encoding.stages", "calotype.encoding.candidate") in calls
    upwards = {(caller, callee) for caller, callee in calls if caller in below[callee]}
    assert upwards <= CALLS_UPWARDS


@modules
def test_low_layers_need_few_packages(module: Path) -> None:
    part = part_of(name_of(module))
    allowed = {"calotype", *sys.stdlib_module_names, *FOREIGN.get(part, set())}
    if part in FOREIGN:
        assert {name.split(".")[0] for name in imports(module)} <= allowed


@modules
def test_modules_are_short(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


# Modules that import torch or the web server's packages, which takes seconds.
OF_EXTRAS = (
    "calotype.encoding.optimise.",
    "calotype.models.onnx_torch",
    "calotype.models.torch_session",
    "calotype.web.",
)


@pytest.mark.parametrize("module", [m for m in MODULES if m.stem != "__main__"], ids=name_of)
def test_all_lists_what_is_public(module: Path) -> None:
    tree = parsed(module)
    names = declared_all(tree)
    assert names is not None, "no __all__"
    assert len(set(names)) == len(names)
    assert public_definitions(tree) <= set(names)


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(path, id=name, marks=[pytest.mark.extra] if name.startswith(OF_EXTRAS) else [])
        for name, path in MODULE_OF.items()
        if path.stem != "__main__"
    ],
)
def test_all_lists_what_is_there(module: Path) -> None:
    names = declared_all(parsed(module)) or []
    try:
        imported = importlib.import_module(name_of(module))
    except (ModuleNotFoundError, ModelError) as error:  # the module of an extra that is not installed
        if (getattr(error, "name", None) or "").split(".")[0] == "calotype":
            raise
        pytest.skip(str(error))
    assert [name for name in names if not hasattr(imported, name)] == []


def uses(tree: ast.Module) -> Iterator[str]:
    """The names that a module reads, other than in imports and in ``__all__``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_what_is_defined_is_used() -> None:
    """Linters take a name in ``__all__`` for used. Commands are used by what decorates them."""
    root = PACKAGE.parents[1]
    scripts = [path for name in ("benchmarks", "scripts", "training") for path in (root / name).glob("*.py")]
    used = {name for path in [*MODULES, *scripts] for name in uses(parsed(path))}
    documents = " ".join(path.read_text("utf-8") for path in [root / "README.md", *root.glob("docs/*.md")])
    for module in MODULES:
        tree = parsed(module)
        plain = (ast.FunctionDef, ast.ClassDef)
        defined = {node.name for node in tree.body if isinstance(node, plain) and not node.decorator_list}
        unused = {name for name in defined - used if not re.search(rf"\b{name}\b", documents)}
        assert not unused, f"{name_of(module)} defines {unused}, which nothing uses"


_IMPORT_OF_CONFTEST = re.compile(r"^ *(from conftest import|import (.*, *)?conftest\b)", re.MULTILINE)


def test_files_of_tests_do_not_hide_each_other() -> None:
    """pytest imports all that lies in no package by its bare name, whatever its folder.

    Every folder has a ``conftest``: which of them an import of that name finds depends on what else is run.
    """
    paths = [path for path in (PACKAGE.parents[1] / "tests").rglob("*.py") if path.name != "__init__.py"]
    bare = [path.stem for path in paths if not (path.parent / "__init__.py").exists()]
    assert {name for name in bare if bare.count(name) > 1} == {"conftest"}
    for path in paths:
        assert not _IMPORT_OF_CONFTEST.search(path.read_text("utf-8")), path


def loaded(code: str) -> set[str]:
    """The top-level packages outside the standard library that ``code`` loads in a process of its own."""
    before = "import sys; before = set(sys.modules)\n"
    after = "\nprint(*{name.split('.')[0] for name in set(sys.modules) - before})"
    done = subprocess.run([sys.executable, "-c", before + code + after], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()) - sys.stdlib_module_names - {"calotype"}


@pytest.mark.parametrize(
    "code, packages",
    [
        ("import calotype; calotype.EncodeOptions(); calotype.CalotypeError", set()),
        ("import calotype; calotype.read_info(FILE)", set()),
        ("import calotype; assert calotype.models.model_names() and calotype.container.MAGIC", set()),
        ("from calotype.cli import main; assert main(['info', FILE]) == 0", {"click"}),
        ("from calotype.cli import main; assert main(['completion', 'zsh']) == 0", {"click"}),
        ("import calotype; calotype.encode", {"numpy", "PIL"}),
    ],
)
def test_a_program_loads_only_what_it_needs(code: str, packages: set[str]) -> None:
    assert loaded(f"FILE = {str(GOLDEN_FILE)!r}\n{code}") <= packages


LAZY_PACKAGES = [module for module in MODULES if "lazy_names(" in module.read_text(encoding="utf-8")]


@pytest.mark.parametrize("module", [m for m in LAZY_PACKAGES if m.stem != "lazy"], ids=name_of)
def test_lazy_packages_give_type_checkers_the_same_names(module: Path) -> None:
    tree = parsed(module)
    (choice,) = (node for node in tree.body if isinstance(node, ast.If))
    (lazy,) = (node.value for node in choice.orelse if isinstance(node, ast.Assign))
    assert isinstance(lazy, ast.Call)
    sources = {source: tuple(names) for source, names in ast.literal_eval(lazy.args[1]).items()}
    typed = dict[str, tuple[str, ...]]()
    for node in choice.body:
        assert isinstance(node, ast.ImportFrom) and node.module is not None
        names = tuple(alias.name for alias in node.names)
        whole = node.module == name_of(module)  # of a module itself
        typed |= dict.fromkeys(names, ()) if whole else {node.module[len(name_of(module)) + 1 :]: names}
    assert sources == typed
    assert dir(importlib.import_module(name_of(module))) == sorted(declared_all(tree) or [])
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(importlib.import_module(name_of(module)), "nothing")  # noqa: B009
