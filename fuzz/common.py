"""What the fuzz harnesses share.

A harness is a file ``harness_NAME.py`` with a function ``one_input(data: bytes)`` that raises only if it
has found a bug, and starts like this::

    from common import main, refusals_are_fine, watched

    with watched():
        from calotype.container import parse


    @refusals_are_fine
    def one_input(data: bytes) -> None: ...


    if __name__ == "__main__":
        main(one_input)

With atheris (``pip install atheris``) ``python fuzz/harness_NAME.py -max_total_time=60`` fuzzes for a
minute, starting from ``corpus/NAME``; inputs worth keeping go to the folder named on the command line, if
one is. Without atheris, or with files named, it replays these, or ``corpus/NAME``. The test suite replays
every corpus through its harness; ``make_corpus.py`` makes them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

__all__ = ["CORPORA", "corpus_files", "main", "refusals_are_fine", "watched"]

CORPORA = Path(__file__).parent / "corpus"

OneInput = Callable[[bytes], None]


def watched() -> AbstractContextManager[object]:
    """A context in which imported modules are instrumented for coverage, if atheris is there."""
    return atheris.instrument_imports(include=["calotype"]) if atheris else nullcontext()


with watched():  # importing any module of the package imports most of them
    from calotype.errors import CalotypeError


def refusals_are_fine(function: OneInput) -> OneInput:
    """A :class:`CalotypeError` is a right answer to bad bytes; any other exception is a bug."""

    @functools.wraps(function)
    def one_input(data: bytes) -> None:
        with suppress(CalotypeError):
            function(data)

    return one_input


def corpus_files(*places: Path) -> list[Path]:
    """The files among ``places`` and in the folders among them."""
    files = []
    for place in places:
        files += sorted(place.iterdir()) if place.is_dir() else [place]
    return files


def main(one_input: OneInput) -> None:
    """Fuzzes with atheris; replays if there is none, or if files are named."""
    corpus = CORPORA / Path(sys.argv[0]).stem.removeprefix("harness_")
    named = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if atheris and all(place.is_dir() for place in named):
        # As seeds, because libFuzzer adds its finds to the first folder that it is given.
        seeds = ",".join(map(str, corpus_files(corpus)))
        atheris.Setup([*sys.argv, f"-seed_inputs={seeds}"], one_input)
        atheris.Fuzz()
        return
    files = corpus_files(*(named or [corpus]))
    for file in files:
        one_input(file.read_bytes())
    print(
        f"{len(files)} inputs replayed, no bug found" + ("" if atheris else "; to fuzz: pip install atheris")
    )
