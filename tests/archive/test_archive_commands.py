"""The commands that read an archive: list, get, verify, stats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archive_samples import archived, write_picture

from calotype.archive import Archive
from calotype.cli import main


@pytest.fixture
def address(pictures: Path, tmp_path: Path) -> Path:
    """An archive of ten pictures in several parts, two of which have the same name, and one error."""
    write_picture(pictures / "more" / "0.png", 20)
    archived(pictures, tmp_path / "archive", part_size=100)
    archived(write_picture(tmp_path / "elsewhere" / "0.png", 21), tmp_path / "archive")
    return tmp_path / "archive"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def called(*arguments: object) -> tuple[int, str, str]:
        code = main(["archive", *map(str, arguments)])
        return code, *capsys.readouterr()

    return called


def test_list_names_each_picture_without_its_payload(address: Path, run: Any) -> None:
    code, printed, _ = run("list", address)
    lines = printed.splitlines()
    assert code == 0 and len(lines) == 10
    with Archive(address) as archive:
        row = archive.get("sub/7.png")
    assert f"{row['id']}  16x16  {row['payload_bytes']} bytes  sub/7.png" in lines
    code, printed, _ = run("list", "--json", address)
    records = [json.loads(line) for line in printed.splitlines()]
    assert len(records) == 10 and all("payload" not in record for record in records)
    assert {record["name"] for record in records} >= {"0.png", "more/0.png", "sub/7.png"}


def test_list_of_errors_says_why(address: Path, pictures: Path, run: Any) -> None:
    code, printed, _ = run("list", "--errors", address)
    assert (code, printed) == (
        0,
        f"{pictures / 'broken.jpg'}: broken.jpg is not an image in a format that can be read (1 attempts)\n",
    )


def test_get_writes_the_file_of_an_id_or_a_name(address: Path, tmp_path: Path, run: Any) -> None:
    with Archive(address) as archive:
        row = archive.get("3.png")
    for number, key in enumerate((row["id"], "3.png")):
        out = tmp_path / f"{number}.calo"
        code, _, said = run("get", address, key, out)
        assert code == 0 and f"3.png ({row['id']}) -> {out}: {row['payload_bytes']} bytes" in said
        assert out.read_bytes() == row["payload"]
    assert run("get", address, "3.png", out)[0] == 1
    assert run("get", "--force", address, "3.png", out)[0] == 0
    code, _, said = run("get", address, "0.png", tmp_path / "two.calo")
    assert code == 1 and "2 pictures are named '0.png': ask for one by its id" in said
    code, _, said = run("get", address, "broken.jpg", tmp_path / "none.calo")
    assert code == 1 and "has no picture 'broken.jpg': broken.jpg is not an image" in said


def test_get_does_not_read_the_parts_of_other_pictures(address: Path, tmp_path: Path, run: Any) -> None:
    """All other parts are replaced by as many zeros."""
    with Archive(address) as archive:
        wanted, expected = archive.records[1], archive.get("4.png")["payload"]
        assert any(row["name"] == "4.png" for row in archive.part_rows(wanted, ["name"]))
        for record in archive.records:
            if record != wanted:
                (address / record.name).write_bytes(bytes(record.size))
    assert run("get", address, "4.png", tmp_path / "4.calo")[0] == 0
    assert (tmp_path / "4.calo").read_bytes() == expected
    assert run("get", address, "1.png", tmp_path / "1.calo")[0] == 3


def test_verify_names_every_problem(address: Path, run: Any) -> None:
    code, _, said = run("verify", address)
    assert (code, said.splitlines()[-1]) == (0, "10 pictures in 4 parts: no problems")
    with Archive(address) as archive:
        payload = archive.get("3.png")["payload"]
        parts = [address / record.name for record in archive.records]
    (part,) = (path for path in parts if payload in path.read_bytes())
    data = bytearray(part.read_bytes())
    data[data.index(payload) + 30] ^= 1
    part.write_bytes(data)
    code, _, said = run("verify", address)
    assert code == 3 and "does not match its SHA-256" in said and "its payload does not match" in said
    assert "10 pictures in 4 parts: 2 problems" in said


def test_stats_are_sums_over_all_rows(address: Path, run: Any) -> None:
    code, printed, _ = run("stats", "--json", address)
    figures = json.loads(printed)
    with Archive(address) as archive:
        rows = list(archive.rows())
    assert code == 0 and (figures["pictures"], figures["parts"], figures["errors"]) == (10, 4, 1)
    for name in ("source_bytes", "payload_bytes"):
        assert figures[name] == sum(row[name] for row in rows)
    assert figures["pixels"] == 10 * 16 * 16
    assert figures["file_bytes"] == sum(path.stat().st_size for path in (address / "parts").iterdir())
    code, printed, _ = run("stats", address)
    assert code == 0 and "pictures        10" in printed
