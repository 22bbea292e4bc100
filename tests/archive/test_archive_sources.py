"""Where pictures come from: patterns, manifests, tar files, URLs."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_samples import archived, contents, write_picture

from calotype.archive import Archive
from calotype.archive.counts import Counts
from calotype.archive.sources import scan
from calotype.archive.sources.item import Item, Problem
from calotype.archive.sources.names import expand_braces
from calotype.limits import Limits


def listed(*sources: object) -> list[Item | Problem]:
    return list(scan([str(source) for source in sources], Counts()))


def make_tar(path: Path, names: list[str], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for number, name in enumerate(names):
            data = write_picture(path.parent / "in" / f"{number}.png", number).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_patterns_name_files_whatever_they_are(pictures: Path) -> None:
    names = listed(pictures / "[0-2].*", pictures / "**" / "7.png", pictures / "notes.*")
    assert [item.name for item in names] == ["0.png", "1.png", "2.png", "7.png", "notes.txt"]


def test_braces_stand_for_several_names(tmp_path: Path) -> None:
    assert expand_braces("a-{08..10}.{tar,zip}")[:3] == ["a-08.tar", "a-08.zip", "a-09.tar"]
    assert expand_braces("a-{3..1}{x}") == ["a-{3..1}{x}"]
    for number in range(2):
        make_tar(tmp_path / f"s-{number}.tar", ["x.png"])
    assert len(listed(tmp_path / "s-{0..1}.tar")) == 2


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz")])
def test_tar_files_keep_pictures_of_one_name_apart(name: str, mode: str, tmp_path: Path) -> None:
    shard = make_tar(tmp_path / name, ["k/1.png", "k/1.json", "k/2.png", "k/1.png"], mode)
    counts = archived(shard, tmp_path / "archive")
    assert (counts.input, counts.archived, counts.ignored) == (3, 3, 1)
    with Archive(tmp_path / "archive") as archive:
        rows = list(archive.rows())
        assert len(archive.find("k/1.png")) == 2
    assert [row["uri"] for row in rows] == [f"tar://k/{n}.png::{shard}" for n in (1, 2, 1)]
    assert len({row["id"] for row in rows}) == 3
    assert rows[0]["source_sha256"] != rows[2]["source_sha256"]
    with fsspec.open(rows[1]["uri"]) as file:
        assert len(file.read()) == rows[1]["source_bytes"]


def test_a_tar_file_that_ends_too_early_gives_what_it_has(tmp_path: Path) -> None:
    shard = make_tar(tmp_path / "a.tar.gz", ["1.png", "2.png"], "w:gz")
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    *_, last = listed(shard)
    assert isinstance(last, Problem) and "cannot be read to its end" in last.reason


def test_manifests_name_pictures_relative_to_themselves(pictures: Path, tmp_path: Path) -> None:
    names = ["0.png", "sub/7.png", "missing.png"]
    (pictures / "list.csv").write_text("name,uri\nfirst,0.png\n,sub/7.png\n,missing.png\n,\n")
    (pictures / "list.txt").write_text("\n# a comment\n" + "\n".join(names))
    pq.write_table(pa.table({"url": names, "name": ["first", None, None]}), pictures / "list.parquet")
    for suffix in ("csv", "parquet"):
        counts = archived(pictures / f"list.{suffix}", tmp_path / suffix)
        assert (counts.archived, counts.failed) == (2, 2 if suffix == "csv" else 1)
        assert sorted(contents(tmp_path / suffix)) == ["7.png", "first"]
    assert [item.uri for item in listed(pictures / "list.txt")] == names
    (pictures / "wrong.csv").write_text("a,b\n1,2\n")
    (problem,) = listed(pictures / "wrong.csv")
    assert isinstance(problem, Problem) and "has no column of addresses" in problem.reason


def test_addresses_are_read_through_fsspec(pictures: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(pictures), "/pictures", recursive=True)
    counts = archived("memory://pictures", "memory://archive")
    assert (counts.archived, counts.failed, counts.ignored) == (8, 1, 1)
    with Archive("memory://archive") as archive:
        assert archive.get("sub/7.png")["uri"] == "memory:///pictures/sub/7.png"
        assert not any(archive.verify())
    assert archived("memory://pictures/*.png", "memory://archive").already == 6
    assert archived("memory://nothing/x.png", tmp_path / "other").failed == 1
    memory.store.clear()


def test_a_file_system_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    assert archived("nosuch://bucket/x.png", tmp_path / "archive").failed == 1
    with Archive(tmp_path / "archive") as archive:
        assert "cannot be listed" in archive.errors()[0]["reason"]


def test_a_file_longer_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 1)
    (item,) = listed(path)
    assert isinstance(item, Item)
    limits = Limits(max_pixels=1, max_metadata_bytes=1)
    with pytest.raises(Exception, match="is longer than the 9 bytes allowed"):
        item.read(limits)
