"""What the report of the tests compares: sizes in bytes, models and codecs."""

from __future__ import annotations

from calotype.compare import Rules

SIZES = (3000, 1000)
RULES = Rules(models=("tiny",), codecs=("jpeg", "webp", "palette"), threads=1)
