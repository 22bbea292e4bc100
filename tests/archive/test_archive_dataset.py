"""Archives as data sets for training."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from archive_samples import TINY, archived, write_picture

import calotype
from calotype.archive import Archive, Dataset, Work
from calotype.errors import ChecksumError, FormatError

COUNT = 30


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 31 pictures in row groups of three: two thirds are 16 pixels wide, the others 24."""
    folder = tmp_path_factory.mktemp("dataset")
    for number in range(COUNT):
        write_picture(folder / "in" / f"{number:02d}.png", number, 24 if number % 3 == 2 else 16)
    (folder / "in" / "copy.png").write_bytes((folder / "in" / "00.png").read_bytes())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("calotype.archive.part_writer.GROUP_ROWS", 3)
        archived(folder / "in", folder / "archive", part_size=250, dedupe=True)
    with Archive(folder / "archive") as archive:
        assert len(archive.records) >= 3 and max(len(record.groups) for record in archive.records) >= 2
    return folder / "archive"


def names(items: Any) -> list[str]:
    return [item["name"] for item in items]


def test_pictures_have_numbers_in_the_order_of_the_archive(address: Path) -> None:
    dataset = Dataset(address)
    with Archive(address) as archive:
        rows = [archive.resolved(row) for row in archive.rows()]
    expected = [{"id": row["id"], "name": row["name"], "payload": row["payload"]} for row in rows]
    assert len(dataset) == COUNT + 1
    assert [dataset[number] for number in range(len(dataset))] == expected == list(dataset)
    assert dataset.__getitems__([-1, 7, 0, 7]) == [expected[number] for number in (-1, 7, 0, 7)]
    for number in (COUNT + 1, -COUNT - 2):
        with pytest.raises(IndexError, match=rf"index \(={number}\) is out of range"):
            dataset[number]


def test_each_row_group_is_read_once(address: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, group = [], Archive.group

    def counting(archive: Archive, record: Any, number: int, columns: Any = None) -> Any:
        read.append((record.name, number))
        return group(archive, record, number, columns)

    monkeypatch.setattr(Archive, "group", counting)
    dataset = Dataset(address)
    assert read == []
    dataset.__getitems__([5, 1, 4, 0, 3, 2])
    assert len(read) == len(set(read)) <= 3
    dataset[1], dataset[5]
    assert len(read) <= 3


def test_content_is_latents_or_pixels(address: Path) -> None:
    with Archive(address) as archive:
        payload = archive.get("02.png")["payload"]
    one = [("name", "==", "02.png")]
    (latents,) = Dataset(address, "latents", filters=one)
    assert np.array_equal(latents["latents"], calotype.read_latents(payload))
    (picture,) = Dataset(address, "picture", filters=one)
    assert np.array_equal(picture["picture"], calotype.decode(payload, as_array=True))
    assert picture["picture"].shape == (24, 24, 3)
    (plain, *_) = Dataset(address, None, columns=["width", "uri"])
    assert set(plain) == {"width", "uri"}


def test_filters_choose_and_transform_changes(address: Path) -> None:
    dataset = Dataset(address, None, filters=[("width", ">", 16), ("name", "<", "20")])
    assert names(dataset) == [f"{number:02d}.png" for number in range(2, 20, 3)]
    assert dataset[2]["name"] == "08.png" and dataset[-1]["name"] == "17.png"
    assert sorted(names(dataset.shuffled())) == names(dataset)
    either = Dataset(address, None, filters=[[("width", ">", 16)], [("name", "==", "copy.png")]])
    assert len(either) == COUNT // 3 + 1
    assert len(Dataset(address, filters=[("width", ">", 99)])) == 0
    assert list(Dataset(address, filters=[("width", ">", 99)]).shuffled()) == []
    assert Dataset(address, None, transform=lambda item: item["name"].upper())[1] == "01.PNG"


@pytest.mark.parametrize("wrong", [[("nothing", "==", 1)], [("width", "==", "x")], [("width", "~", 1)], 3])
def test_wrong_filters_are_refused(wrong: Any, address: Path) -> None:
    with pytest.raises(ValueError, match="filters"):
        Dataset(address, filters=wrong)


def test_wrong_arguments_are_refused(address: Path) -> None:
    with pytest.raises(ValueError, match="content"):
        Dataset(address, "pixels")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="columns"):
        Dataset(address, columns=["payload"])
    with pytest.raises(FormatError, match="holds no archive"):
        Dataset(address / "parts")
    for wrong in ({"worker": 2, "workers": 2}, {"skip": -1}, {"mixed_groups": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            next(Dataset(address).shuffled(**wrong))


def test_latents_leave_out_kept_originals(tmp_path: Path) -> None:
    sources = [write_picture(tmp_path / "a" / f"{number}.png", number) for number in range(3)]
    (tmp_path / "a" / "0copy.png").write_bytes(sources[0].read_bytes())
    kept = Work(TINY.options, keep_originals_over=0.0)
    archived(tmp_path / "a", tmp_path / "archive", kept, dedupe=True)
    write_picture(tmp_path / "b" / "x.png", 9)
    (tmp_path / "b" / "y.png").write_bytes((tmp_path / "b" / "x.png").read_bytes())
    archived(tmp_path / "b", tmp_path / "archive", dedupe=True)
    assert names(Dataset(tmp_path / "archive", "latents")) == ["x.png", "y.png"]
    items = {item["name"]: item for item in Dataset(tmp_path / "archive")}
    assert items["0.png"]["original"] == items["0copy.png"]["original"] == sources[0].read_bytes()
    assert [item["picture"].shape for item in Dataset(tmp_path / "archive", "picture")] == [(16, 16, 3)] * 6


def test_an_epoch_has_each_picture_once_whatever_the_number_of_workers(address: Path) -> None:
    dataset = Dataset(address, None, columns=["name"])
    every = sorted(names(dataset))
    for workers in (1, 2, 5, 20):
        shares = [
            names(dataset.shuffled(3, worker=n, workers=workers, mixed_groups=2)) for n in range(workers)
        ]
        assert sorted(name for share in shares for name in share) == every
        assert max(map(len, shares)) - min(map(len, shares)) <= 6
    one = names(dataset.shuffled(3))
    assert one == names(dataset.shuffled(3)) != names(dataset)
    assert one != names(dataset.shuffled(4)) and one != names(dataset.shuffled(3, epoch=1))


def test_an_epoch_continues_where_it_stopped(address: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(address, None, columns=["name"])
    whole = names(dataset.shuffled(1, worker=1, workers=2, mixed_groups=2))
    for skip in (0, 1, 7, len(whole), 99):
        assert names(dataset.shuffled(1, worker=1, workers=2, mixed_groups=2, skip=skip)) == whole[skip:]
    calls = Counter[str]()
    monkeypatch.setattr(Archive, "group", lambda *_: calls.update(["read"]))
    assert names(dataset.shuffled(1, worker=1, workers=2, mixed_groups=2, skip=len(whole))) == []
    assert not calls


def test_parts_are_read_one_after_the_other(address: Path) -> None:
    with Archive(address) as archive:
        part_of = {
            row["name"]: number
            for number, record in enumerate(archive.records)
            for row in archive.part_rows(record)
        }
    order = [part_of[name] for name in names(Dataset(address, None).shuffled(5, mixed_groups=1))]
    changes = sum(a != b for a, b in pairwise(order))
    assert changes == len(set(order)) - 1


def test_a_data_set_can_be_pickled_and_used_after_a_fork(address: Path) -> None:
    dataset = Dataset(address)
    items = list(dataset)
    copy = pickle.loads(pickle.dumps(dataset))
    assert list(copy) == items and copy[-1] == items[-1]
    before = copy._archive
    copy._process = -1  # as if this were a child process
    assert copy[-1] == items[-1] and copy._archive is not before
    assert len(pickle.dumps(copy)) < 5000  # neither rows nor connections


def test_a_data_set_may_be_at_a_url(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    archived(write_picture(tmp_path / "a.png", 1), "memory://archive")
    assert names(pickle.loads(pickle.dumps(Dataset("memory://archive")))) == ["a.png"]
    memory.store.clear()


def test_damage_is_found(address: Path, tmp_path: Path) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(address, copy)
    payload = Dataset(copy)[0]["payload"]
    for path in (copy / "parts").iterdir():
        path.write_bytes(path.read_bytes().replace(payload, payload[:-1] + bytes([payload[-1] ^ 1])))
    with pytest.raises(ChecksumError, match=r"picture \w{32} is damaged"):
        Dataset(copy)[0]


@pytest.mark.slow
def test_a_torch_data_loader_uses_it_with_workers(address: Path) -> None:
    pytest.importorskip("torch", reason="needs torch")
    few_cores = "ignore:This DataLoader will create 2 worker processes"
    code = f"""
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from calotype.archive import Dataset

dataset = Dataset({str(address)!r}, "latents", columns=["name"], filters=[("width", "==", 16)])

class Shuffled(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        return dataset.shuffled(1, worker=info.id, workers=info.num_workers)

assert dataset[0]
for loader in (DataLoader(dataset, 4, shuffle=True, num_workers=2), DataLoader(Shuffled(), 4, num_workers=2)):
    batches = list(loader)
    assert batches[0]["latents"].shape == (4, 4, 2, 2), batches[0]["latents"].shape
    assert sorted(n for b in batches for n in b["name"]) == sorted(i["name"] for i in dataset)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", few_cores, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
