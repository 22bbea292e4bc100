"""Archives exported to files, pictures, latents and WebDataset shards."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from archive_samples import TINY, archived, write_picture
from PIL import Image

import calotype
from calotype.archive import Archive, Conversion, ExportCounts, ExportSettings, Work, export
from calotype.archive.engines.encoder import Failure
from calotype.archive.exporting.sinks import file_name
from calotype.cli import main
from calotype.errors import OutputError, SourceError
from calotype.options import DecodeOptions


@pytest.fixture
def address(pictures: Path, tmp_path: Path) -> Path:
    """An archive of eight pictures in two parts, and a copy of one that refers to it."""
    (pictures / "copy.png").write_bytes((pictures / "0.png").read_bytes())
    archived(pictures, tmp_path / "archive", part_size=200, dedupe=True)
    return tmp_path / "archive"


def exported(address: Any, destination: Any, **settings: Any) -> ExportCounts:
    """Exports in this process: formats other than "calo" start a worker."""
    conversion = {name: settings.pop(name) for name in ("format", "decode", "dtype") if name in settings}
    chosen = ExportSettings(Conversion(**conversion), workers=1, **settings)
    with Archive(address) as archive:
        return export(archive, destination, chosen)


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def members(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_a_folder_gets_the_stored_files(address: Path, tmp_path: Path) -> None:
    counts = exported(address, tmp_path / "out")
    assert (counts.selected, counts.exported, counts.files, counts.failed) == (9, 9, 9, 0)
    files = files_of(tmp_path / "out")
    with Archive(address) as archive:
        expected = {
            row["name"].removesuffix(".png") + ".calo": archive.get(row["id"])["payload"]
            for row in archive.rows()
        }
    assert files == expected and files["copy.calo"] == files["0.calo"]
    assert counts.bytes == sum(map(len, files.values()))


def test_names_that_would_be_one_file_get_their_ids(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "A.gif"):
        write_picture(tmp_path / "in" / name, 1)
    archived(tmp_path / "in", tmp_path / "archive")
    exported(tmp_path / "archive", tmp_path / "out")
    with Archive(tmp_path / "archive") as archive:
        first, second, third = (row["id"] for row in archive.rows(["id"]))
    assert sorted(files_of(tmp_path / "out")) == sorted(["A.calo", f"a-{second}.calo", f"a-{third}.calo"])
    assert first


def test_names_stay_within_the_folder_and_within_what_file_systems_allow() -> None:
    used = set[str]()
    expected = {
        "/etc/../../passwd.png": "etc/passwd.calo",
        "..": "id.calo",
        "C:\\photos\\..\\a.png": "C_/photos/a.calo",
        "größe/写真.jpg": "größe/写真.calo",
        "写" * 300 + "/" + "x" * 300: f"{'写' * 66}/{'x' * 200}.calo",
        "写" * 300 + "/" + "x" * 301: f"{'写' * 66}/{'x' * 200}-id.calo",
        "a\0b.png": "a_b.calo",
    }
    assert {name: file_name({"id": "id", "name": name}, ".calo", used) for name in expected} == expected
    assert max(len(part.encode()) for name in used for part in name.split("/")) <= 255


@pytest.mark.slow
def test_pictures_are_those_that_the_codec_decodes(address: Path, tmp_path: Path) -> None:
    assert exported(address, tmp_path / "out", format="png").exported == 9
    with Archive(address) as archive:
        for row in archive.rows(["id", "name"]):
            payload = archive.get(row["id"])["payload"]
            with Image.open(tmp_path / "out" / row["name"]) as image:
                assert np.array_equal(np.asarray(image), calotype.decode(payload, as_array=True))


@pytest.mark.slow
def test_originals_are_exported_as_they_are_or_converted(tmp_path: Path) -> None:
    source = write_picture(tmp_path / "in" / "a.bmp", 1)
    archived(tmp_path / "in", tmp_path / "archive", Work(TINY.options, keep_originals_over=0.0))
    exported(tmp_path / "archive", tmp_path / "stored")
    assert files_of(tmp_path / "stored") == {"a.bmp": source.read_bytes()}
    exported(tmp_path / "archive", tmp_path / "webp", format="webp")
    exported(tmp_path / "archive", tmp_path / "small", format="png", decode=DecodeOptions(reduce=8))
    with Image.open(source) as before, Image.open(tmp_path / "webp" / "a.webp") as after:
        assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))
    with Image.open(tmp_path / "small" / "a.png") as image:
        assert image.size == (2, 2)
    counts = exported(tmp_path / "archive", tmp_path / "latents", format="npz")
    assert (counts.selected, counts.exported, counts.without_latents) == (1, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["npz", "safetensors"])
def test_latents_are_those_of_the_files(format_name: str, address: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="needs pip install 'calotype[latents]'")
    from calotype.latent_files import unpack_cache

    exported(address, tmp_path / "out", format=format_name, dtype="float16")
    with Archive(address) as archive:
        expected = calotype.read_latents(archive.get("3.png")["payload"])
    path = tmp_path / "out" / f"3.{format_name}"
    cached, _ = unpack_cache(path.read_bytes(), path.name)
    assert np.allclose(cached.scaled, expected, atol=2e-3) and (cached.width, cached.height) == (16, 16)


def test_shards_are_webdataset(address: Path, tmp_path: Path) -> None:
    counts = exported(address, tmp_path / "out", webdataset=True, shard_pictures=4)
    assert (counts.exported, counts.files) == (9, 3)
    shards = {name: members(tmp_path / "out" / name) for name in sorted(files_of(tmp_path / "out"))}
    assert {name: len(found) for name, found in shards.items()} == {
        "shard-000000.tar": 8,
        "shard-000001.tar": 8,
        "shard-000002.tar": 2,
    }
    with Archive(address) as archive:
        rows = [archive.get(row["id"]) for row in archive.rows(["id"])]
    stored = [item for found in shards.values() for item in found.items()]
    for row, (name, payload), (json_name, text) in zip(rows, stored[::2], stored[1::2], strict=True):
        assert (name, json_name) == (f"{row['id']}.calo", f"{row['id']}.json")
        assert payload == row["payload"]
        assert json.loads(text)["uri"] == row["uri"]


def test_an_export_continues_where_it_stopped(address: Path, tmp_path: Path) -> None:
    for number, webdataset in enumerate((False, True)):
        whole, begun = tmp_path / f"whole{number}", tmp_path / f"begun{number}"
        settings: dict[str, Any] = {"webdataset": webdataset, "shard_pictures": 4}
        exported(address, whole, **settings)
        stop, seen = threading.Event(), []

        def progress(counts: ExportCounts, stop: threading.Event = stop, seen: list[int] = seen) -> None:
            seen.append(counts.exported)
            if len(seen) == 5:
                stop.set()

        with Archive(address) as archive:
            chosen = ExportSettings(**settings)
            assert export(archive, begun, chosen, stop=stop, progress=progress).interrupted
        assert 0 < len(files_of(begun)) < len(files_of(whole))
        with pytest.raises(OutputError, match=r"exists already .*--resume keeps it"):
            exported(address, begun, **settings)
        counts = exported(address, begun, existing="keep", **settings)
        assert counts.kept == (4 if webdataset else 5) and counts.kept + counts.exported == 9
        assert files_of(begun) == files_of(whole)
        assert exported(address, begun, existing="replace", **settings).exported == 9


def test_payloads_of_pictures_that_are_not_wanted_are_not_read(
    address: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, group = [], Archive.group

    def counting(archive: Archive, record: Any, number: int, columns: Any = None) -> Any:
        if columns is None:
            read.append(record.name)
        return group(archive, record, number, columns)

    monkeypatch.setattr(Archive, "group", counting)
    with Archive(address) as archive:
        counts = export(archive, tmp_path / "out", patterns=["sub/6.png", "sub/7*"])
        assert 0 < len(read) < sum(len(record.groups) for record in archive.records)
        with pytest.raises(SourceError, match=r"has no picture 'none\.png'"):
            export(archive, tmp_path / "out", patterns=["none.png"])
    assert counts.exported == 2 and sorted(files_of(tmp_path / "out")) == ["sub/6.calo", "sub/7.calo"]


def test_a_damaged_payload_fails_and_the_others_go_on(
    address: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, failures = Archive.group, dict[str, Failure]()

    def damaged(archive: Archive, record: Any, number: int, columns: Any = None) -> Any:
        rows = group(archive, record, number, columns)
        return [row | {"payload": b"x"} if row["name"] == "3.png" and not columns else row for row in rows]

    monkeypatch.setattr(Archive, "group", damaged)
    with Archive(address) as archive:
        counts = export(archive, tmp_path / "out", failed=failures.__setitem__)
    assert (counts.exported, counts.failed) == (8, 1)
    assert failures["3.png"].kind == "ChecksumError" and not (tmp_path / "out" / "3.calo").exists()


def test_an_export_may_go_to_a_url(address: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    assert exported(address, "memory://shards", webdataset=True).files == 1
    with memory.open("/shards/shard-000000.tar") as file, tarfile.open(fileobj=file) as tar:
        assert len(tar.getmembers()) == 18
    with pytest.raises(OutputError, match="exists already"):
        exported(address, "memory://shards", webdataset=True)
    memory.store.clear()


def test_settings_are_checked() -> None:
    for wrong in ({"format": "gif"}, {"dtype": "int8"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Conversion(**wrong)  # type: ignore[arg-type]
    for count in ({"shard_pictures": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(count))):
            ExportSettings(**count)


@pytest.mark.slow
def test_the_commands_export_and_extract(
    address: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["archive", *map(str, arguments)])
        return code, *capsys.readouterr()

    code, _, said = run("extract", address, "--out", tmp_path / "a", "sub/*")
    assert (code, said.split(" -> ")[0]) == (0, "2 pictures")
    assert sorted(files_of(tmp_path / "a")) == ["sub/6.calo", "sub/7.calo"]
    command = ["export", address, tmp_path / "b"]
    code, printed, said = run(*command, "--format", "jpg", "--webdataset", "-j", "1", "--json")
    assert code == 0, said
    record = json.loads(printed)
    assert (record["exported"], record["files"], record["ok"]) == (9, 1, True)
    pictures = [data for name, data in members(tmp_path / "b" / "shard-000000.tar").items() if "jpg" in name]
    assert len(pictures) == 9 and all(Image.open(io.BytesIO(data)).size == (16, 16) for data in pictures)
    code, _, said = run(*command, "--webdataset")
    assert code == 1 and "--resume keeps it" in said
    for extra in (["--float16"], ["--model", "pocket"], ["--shard-pictures", "3"]):
        code, _, said = run(*command, *extra)
        assert code == 2 and f"{extra[0]} would have no effect" in said
    assert run(*command, "--force", "--resume")[0] == 2
