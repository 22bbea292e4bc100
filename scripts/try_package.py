"""Tries the wheel and the sdist of a folder, each in a fresh environment, away from the checkout.

Each is installed with its newest dependencies and codes the sample photograph; the sdist also runs its own
quick tests.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path

from scripts.environment import ROOT, create, run

__all__ = ["main"]

_CODE = """
import sys, calotype
from PIL import Image
data = calotype.encode(sys.argv[1], target_size=5000)
assert len(data) <= 5000, len(data)
assert calotype.decode(data).size == Image.open(sys.argv[1]).size
print(f"calotype {calotype.__version__} from {calotype.__file__}: {len(data)} bytes")
"""


def main(folder: Path) -> None:
    """Tries the wheel and the sdist in ``folder``. Raises :class:`subprocess.CalledProcessError` if a step
    fails."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    photo = (ROOT / "samples" / "coffee.png").absolute()
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        for package in (wheel, sdist):
            python = create(temporary / "environment", [str(package.absolute())])
            run(python, "-c", _CODE, photo, folder=temporary)
        with tarfile.open(sdist) as archive:
            archive.extractall(temporary, filter="data")
        (source,) = temporary.glob("calotype-*")
        python = create(temporary / "tests", [f"{source}[check]"])
        run(python, "-m", "pytest", "-m", "not slow and not extra", folder=source)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
