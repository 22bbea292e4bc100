"""docs/format.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from container_sample import HEADER

from calotype.container import Chunk, ChunkType, Coding, parse_file, serialise_file
from calotype.container.header import FORMAT_VERSION
from calotype.limits import MAX_SIDE, Limits

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def test_the_example_of_the_document_is_a_valid_file() -> None:
    block = DOCUMENT.partition("### Example\n")[2].partition("```text\n")[2].partition("```")[0]
    data = bytes.fromhex("".join(re.split(r"  +[a-z]", line)[0] for line in block.splitlines()))
    ids = {"space": 240, "context_model": 241, "encoder": 242}
    header = replace(HEADER, width=512, height=512, level=56, **ids)
    chunks = (Chunk(ChunkType.ALPHA, b"ab"), Chunk(ChunkType.ICC, b"xyz"))
    assert data == serialise_file(header, b"\x12\x34\x56", 0xDEADBEEF, chunks)
    assert parse_file(data, limits=Limits(), strict=True).chunks == chunks


def test_the_document_lists_every_id() -> None:
    chunks = re.findall(r"^\| 0x(\w\w) \| (\w+) \|", DOCUMENT, re.MULTILINE)
    assert {name: int(value, 16) for value, name in chunks} == {kind.name: kind.value for kind in ChunkType}
    codings = re.findall(r"^\| coding \| (\d+) \| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert {name: int(value) for value, name in codings} == {kind.name.lower(): kind.value for kind in Coding}
    assert f"| version | {FORMAT_VERSION} |" in DOCUMENT


def test_the_document_lists_the_limits() -> None:
    rows = re.findall(r"^\| `(max_\w+)` \| ([\d,]+) \|", DOCUMENT, re.MULTILINE)
    assert {name: int(value.replace(",", "")) for name, value in rows} == vars(Limits())
    assert f"cannot describe a side of more than {MAX_SIDE:,} pixels" in DOCUMENT
