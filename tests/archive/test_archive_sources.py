"""Where pictures come from: patterns, manifests, tar files, URLs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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
from calotype.errors import LimitError, ModelError, SourceError
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


def test_patterns_match_as_in_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b/c.png", "b/d/e.png", "b/.hidden.png", ".f/g.png"):
        write_picture(tmp_path / name, 1)
    monkeypatch.chdir(tmp_path)

    def matched(pattern: str) -> list[str]:
        return [item.uri for item in listed(pattern)]

    assert matched("*.png") == ["a.png"]
    assert matched("**") == matched("**/**/*.png") == ["a.png", "b/c.png", "b/d/e.png"]
    assert matched("b/**/e.png") == matched("?/*/e.png") == matched("b/*/*.[p]ng") == ["b/d/e.png"]
    assert matched("./b/*/*") == ["./b/d/e.png"]
    assert matched("b/.h*") == ["b/.hidden.png"]
    assert matched(".*/*") == [".f/g.png"]
    assert matched(f"{tmp_path}/*") == [f"{tmp_path}/a.png"]
    for pattern in ("*.jpg", "*/", "nothing/*"):
        with pytest.raises(SourceError, match="matches no file"):
            listed(pattern)


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    """Two such links make 2**40 paths to each picture, which a pattern with ** must not try."""
    folder = tmp_path / "in"
    write_picture(folder / "sub" / "a.png", 1)
    for name in ("one", "two"):
        (folder / "sub" / name).symlink_to(folder)
    (folder / "itself.png").symlink_to(folder / "itself.png")
    for source in (folder, folder / "**", folder / "**" / "*.png"):
        found = listed(source)
        assert [item.uri for item in found if isinstance(item, Item)] == [
            str(folder / name) for name in ("itself.png", "sub/a.png")
        ]
        problems = [(item.name, item.reason) for item in found if isinstance(item, Problem)]
        assert problems == [(name, "is a link to a folder that it is in") for name in ("one", "two")]
    counts = archived(folder, tmp_path / "archive")
    assert (counts.archived, counts.failed) == (1, 3)


def test_a_folder_that_cannot_be_read_is_reported(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def forbidding(path: str) -> list[str]:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr("calotype.archive.sources.files.os.listdir", forbidding)
    for source in (pictures, pictures / "**" / "*.png", pictures / "s*" / "*.png"):
        (problem,) = (item for item in listed(source) if isinstance(item, Problem))
        assert (problem.name, problem.reason) == ("sub", "cannot be read (permission denied)")


def test_pictures_of_one_name_are_told_apart_by_their_absolute_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, year in enumerate(("2023", "2024")):
        picture = write_picture(tmp_path / year / "photos" / "0.png", number)
        (tmp_path / year / "list.csv").write_text("uri\nphotos/0.png\n")
        make_tar(tmp_path / year / "a.tar", ["0.png"])
        monkeypatch.chdir(tmp_path / year)
        for source in ("photos", "list.csv", "a.tar"):
            counts = archived(source, tmp_path / f"of-{source}")
            assert (counts.archived, counts.already) == (1, 0)
        for same in ("./photos/", picture, f"file://{picture}", "photos/*.png"):
            counts = archived(same, tmp_path / "of-photos")
            assert (counts.archived, counts.already) == (0, 1)
    counts = archived([tmp_path / "2023" / "list.csv", tmp_path / "2024" / "list.csv"], tmp_path / "both")
    assert counts.archived == 2
    with Archive(tmp_path / "both") as archive:
        assert [row["uri"] for row in archive.find("0.png")] == ["photos/0.png"] * 2
        with pytest.raises(SourceError, match=r"2 pictures are named .*: ask for one by its id"):
            archive.get("0.png")


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
    pq.write_table(pa.table({"url": names[:1], "name": [7]}), pictures / "numbers.parquet")
    assert [item.name for item in listed(pictures / "numbers.parquet")] == ["7"]
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


@pytest.fixture
def server(pictures: Path) -> Iterator[str]:
    """The address of a server of the pictures."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            return None

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(pictures)))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_pictures_are_fetched_from_the_web(server: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs pip install 'calotype[archive]'")
    addresses = [
        f"{server}/0.png",
        f"{server}/sub/7.png?size=full",
        f"{server}/broken.jpg",
        f"{server}/x.png",
    ]
    (tmp_path / "list.txt").write_text("\n".join(addresses))
    counts = archived(tmp_path / "list.txt", tmp_path / "archive")
    assert (counts.archived, counts.failed) == (2, 2)
    with Archive(tmp_path / "archive") as archive:
        names = {row["uri"]: row["name"] for row in archive.rows(["uri", "name"])}
        assert names == {addresses[0]: "0.png", addresses[1]: "7.png"}
        reasons = {row["uri"]: row["reason"] for row in archive.errors()}
    assert reasons[addresses[3]] == "cannot be read (no such file or directory)"
    assert archived(addresses, tmp_path / "archive").already == 2


def test_file_systems_do_not_log_to_the_terminal(tmp_path: Path) -> None:
    code = """
import logging
from calotype.archive.extras import filesystems
filesystems()
logging.getLogger("gcsfs").warning("a traceback")
logging.getLogger("other").warning("shown")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "shown\n")


def test_a_package_that_is_missing_is_named(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        for sources, destination in (
            ([pictures, f"{scheme}://bucket/photos"], tmp_path / "a"),
            ([pictures], f"{scheme}://bucket/a"),
        ):
            with pytest.raises(ModelError, match=f"^{scheme}:// needs another package: .*{package}"):
                archived(sources, destination)
    assert not (tmp_path / "a").exists()


def test_a_missing_file_system_gives_an_error_of_one_sentence(tmp_path: Path) -> None:
    assert archived("nosuch://bucket/x.png", tmp_path / "archive").failed == 1
    with Archive(tmp_path / "archive") as archive:
        assert "cannot be listed" in archive.errors()[0]["reason"]


def test_a_file_longer_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 1)
    (item,) = listed(path)
    assert isinstance(item, Item)
    limits = Limits(max_pixels=1, max_metadata_bytes=1)
    with pytest.raises(LimitError, match="is longer than the 9 bytes allowed"):
        item.read(limits)
    with (tmp_path / "enormous.png").open("wb") as file:
        file.truncate(1 << 40)  # a file with a hole, of which nothing is read
    counts = archived(tmp_path, tmp_path / "archive")
    assert (counts.archived, counts.failed) == (1, 1)
