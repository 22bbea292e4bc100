"""Fetching from a hub on loopback: what goes well, and everything that goes wrong."""

from __future__ import annotations

import errno
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants as constants
import huggingface_hub.file_download as file_download
import numpy as np
import pytest
from fake_hub import COMMIT, FakeHub
from numpy.typing import NDArray
from sd_weights import write_pipeline

import calotype
from calotype.errors import ModelError, OutputError
from calotype.models import list_models
from calotype.models.stable_diffusion import FetchedModel, fetched_model
from calotype.models.stable_diffusion import fetch as module
from calotype.models.stable_diffusion.fetch import fetch_model
from calotype.models.stable_diffusion.store import (
    fetched_location,
    is_licence_accepted,
    read_record,
    record_acceptance,
)
from calotype.options import DiffusionOptions

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def source() -> FetchedModel:
    source = fetched_model("sd-1.5")
    assert source is not None
    return source


@pytest.fixture
def hub(
    source: FetchedModel, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeHub]:
    folder = tmp_path / "repository"
    shutil.copytree(pipeline, folder)
    hub = FakeHub(folder, source.repository)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)  # what is lost with a connection
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    huggingface_hub.utils.disable_progress_bars()
    yield hub
    hub.close()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def agreed(source: FetchedModel, home: Path) -> None:
    record_acceptance(source.licence)


def blobs(home: Path, ending: str = "") -> list[Path]:
    return sorted(path for path in home.glob("hub/models--*/blobs/*") if path.name.endswith(ending))


@pytest.mark.usefixtures("agreed")
def test_a_model_is_fetched_recorded_and_used(
    hub: FakeHub, source: FetchedModel, pipeline: Path, photo: NDArray[np.uint8], home: Path
) -> None:
    record = fetch_model(source)
    assert record.commit == COMMIT
    assert read_record(source) == record
    where = fetched_location(source)
    assert (
        where.path == home / "hub" / "models--stable-diffusion-v1-5--stable-diffusion-v1-5/snapshots" / COMMIT
    )
    assert sorted(record.size) == sorted(source.files())
    for name in source.files():
        assert (where.path / name).read_bytes() == (pipeline / name).read_bytes()
    assert not blobs(home, ".incomplete")
    (info,) = (model for model in list_models() if model.name == "sd-1.5")
    assert info.available
    assert info.sha256 == record.sha256
    assert info.size_bytes == sum(record.size.values())
    options = DiffusionOptions(device="cpu", dtype="float32")
    data = calotype.encode(photo, model="sd-1.5", quality=20, effort=1, diffusion=options)
    decoded = calotype.decode(data, model="sd-1.5", diffusion=options, as_array=True)
    local = DiffusionOptions(weights=str(pipeline), device="cpu", dtype="float32")
    np.testing.assert_array_equal(
        decoded, calotype.decode(data, model="sd-1.5", diffusion=local, as_array=True)
    )


@pytest.mark.usefixtures("agreed")
def test_the_hubs_own_client_finds_the_files(hub: FakeHub, source: FetchedModel) -> None:
    fetch_model(source)
    path = huggingface_hub.hf_hub_download(
        source.repository, UNET, cache_dir=constants.HF_HUB_CACHE, local_files_only=True
    )
    assert Path(path).resolve() == (fetched_location(source).path / UNET).resolve()


@pytest.mark.usefixtures("agreed")
def test_the_users_token_stays_with_the_hub(
    hub: FakeHub, source: FetchedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch_model(source)
    assert hub.shown_to_storage == []


@pytest.mark.usefixtures("agreed")
def test_a_fetched_model_is_not_fetched_again(hub: FakeHub, source: FetchedModel) -> None:
    fetch_model(source)
    hub.requests.clear()
    fetch_model(source)
    assert hub.requests == []


@pytest.mark.usefixtures("agreed")
def test_a_cut_connection_is_resumed_at_once(hub: FakeHub, source: FetchedModel) -> None:
    hub.cut_after = 12_288
    fetch_model(source)
    assert [byte_range for method, _, byte_range in hub.requests if method == "GET" and byte_range] == [
        "bytes=12288-"
    ]


@pytest.mark.usefixtures("agreed")
def test_after_a_lost_network_the_next_call_keeps_the_complete_files(
    hub: FakeHub, source: FetchedModel, home: Path
) -> None:
    hub.cut_after, hub.gone_after_cut = 12_288, True
    with pytest.raises(ModelError, match=r"could not be fetched .*run 'calotype models fetch sd-1\.5' again"):
        fetch_model(source)
    assert read_record(source) is None
    complete = blobs(home)
    assert complete
    assert not blobs(home, ".incomplete")
    hub.cut_after = None
    hub.requests.clear()
    fetch_model(source)
    fetched = [path for method, path, _ in hub.requests if method == "GET"]
    assert len(fetched) + len(complete) == len(blobs(home))
    assert not blobs(home, ".incomplete")


@pytest.mark.usefixtures("agreed")
@pytest.mark.parametrize("name", [UNET, "vae/config.json"])
def test_a_wrong_hash_is_refused(hub: FakeHub, source: FetchedModel, name: str, home: Path) -> None:
    right = (hub.folder / name).read_bytes()
    hub.spoil[name] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(ModelError, match=r"arrived damaged: its hash is [0-9a-f]+, not [0-9a-f]+"):
        fetch_model(source)
    assert read_record(source) is None
    assert not blobs(home, ".incomplete")
    hub.spoil.clear()
    fetch_model(source)


@pytest.mark.usefixtures("agreed")
def test_a_missing_file_and_a_missing_repository(hub: FakeHub, source: FetchedModel) -> None:
    (hub.folder / UNET).unlink()
    with pytest.raises(ModelError, match=f"^the hub has no {UNET} of stable-diffusion-v1-5/"):
        fetch_model(source)
    hub.repository = "someone/else"
    with pytest.raises(
        ModelError, match=r"^the hub has no stable-diffusion-v1-5/stable-diffusion-v1-5, or wants"
    ):
        fetch_model(source)


@pytest.mark.usefixtures("agreed")
def test_a_hub_that_cannot_be_reached_is_one_error(hub: FakeHub, source: FetchedModel) -> None:
    hub.close()
    with pytest.raises(ModelError, match=r"config\.json of .* could not be fetched"):
        fetch_model(source)


@pytest.mark.usefixtures("agreed")
def test_too_little_space_is_said_before_anything_is_fetched(
    hub: FakeHub, source: FetchedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"sd-1\.5 needs .* GB more in .*, where 0\.00 GB are free"):
        fetch_model(source)
    assert not [path for method, path, _ in hub.requests if method == "GET"]


@pytest.mark.usefixtures("agreed")
def test_a_disk_that_fills_up_keeps_what_there_is(
    hub: FakeHub, source: FetchedModel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file_download.http_get

    def full(url: str, file: object, **options: object) -> None:
        if "unet" in url:
            file.write(b"x" * 100)  # type: ignore[attr-defined]
            raise OSError(errno.ENOSPC, "No space left on device")
        real(url, file, **options)

    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(OutputError, match=r"cannot be written \(no space left on device\)"):
        fetch_model(source)
    assert blobs(home)
    assert not blobs(home, ".incomplete")
    assert read_record(source) is None


@pytest.mark.usefixtures("agreed")
def test_an_interrupt_leaves_no_incomplete_file(
    hub: FakeHub, source: FetchedModel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(url: str, file: object, **options: object) -> None:
        file.write((hub.folder / UNET).read_bytes()[:100] if "unet" in url else b"")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    fetch_all = file_download.http_get
    monkeypatch.setattr(file_download, "http_get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_model(source)
    assert read_record(source) is None
    assert not blobs(home, ".incomplete")
    monkeypatch.setattr(file_download, "http_get", fetch_all)
    fetch_model(source)
    assert not blobs(home, ".incomplete")


@pytest.mark.usefixtures("no_network")
def test_offline_opens_no_socket(source: FetchedModel) -> None:
    with pytest.raises(ModelError, match="is not on this machine, and --offline"):
        fetch_model(source, offline=True)


@pytest.mark.usefixtures("agreed")
def test_a_fetched_model_needs_no_network(
    hub: FakeHub, source: FetchedModel, photo: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    fetch_model(source)
    request.getfixturevalue("no_network")
    fetch_model(source, offline=True)
    options = DiffusionOptions(device="cpu", dtype="float32")
    data = calotype.encode(photo, model="sd-1.5", quality=20, effort=1, diffusion=options)
    calotype.decode(data, model="sd-1.5", diffusion=options)


@pytest.mark.usefixtures("agreed")
def test_a_changed_file_is_refused_with_both_hashes(
    hub: FakeHub, source: FetchedModel, photo: NDArray[np.uint8]
) -> None:
    record = fetch_model(source)
    path = fetched_location(source).path / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.resolve().write_bytes(data)
    expected = record.sha256["vae/diffusion_pytorch_model.safetensors"]
    with pytest.raises(ModelError, match=f"has changed .*its sha256 is [0-9a-f]{{64}}, not {expected}"):
        calotype.encode(photo, model="sd-1.5")
    with pytest.raises(ModelError, match=f"not {expected}"):
        fetch_model(source)
    fetch_model(source, force=True)
    calotype.encode(photo, model="sd-1.5", effort=1)


@pytest.mark.usefixtures("agreed")
def test_a_changed_file_without_a_record_is_fetched_anew(
    hub: FakeHub, source: FetchedModel, home: Path
) -> None:
    record = fetch_model(source)
    path = fetched_location(source).path / UNET
    right = path.read_bytes()
    path.resolve().write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    (home / "calotype" / "sd-1.5.json").unlink()
    assert fetch_model(source).sha256 == record.sha256
    assert path.read_bytes() == right


@pytest.mark.usefixtures("agreed")
def test_lost_and_damaged_records(hub: FakeHub, source: FetchedModel, home: Path) -> None:
    fetch_model(source)
    (fetched_location(source).path / UNET).unlink()
    with pytest.raises(ModelError, match=f"{UNET} of sd-1.5 is missing: run"):
        fetched_location(source)
    fetch_model(source)
    fetched_location(source)
    (home / "calotype" / "sd-1.5.json").write_text("{")
    with pytest.raises(ModelError, match=r"is damaged: run 'calotype models fetch --force sd-1\.5'"):
        fetched_location(source)
    assert not next(model for model in list_models() if model.name == "sd-1.5").available
    fetch_model(source, force=True)
    fetched_location(source)


@pytest.mark.usefixtures("agreed")
def test_a_new_version_comes_only_when_forced(hub: FakeHub, source: FetchedModel) -> None:
    first = fetch_model(source)
    newer = write_pipeline(hub.folder.parent / "newer", seed=1)
    hub.folder, hub.commit = newer, COMMIT[::-1]
    assert fetch_model(source) == first
    second = fetch_model(source, force=True)
    assert second.commit == hub.commit
    assert second.sha256[UNET] != first.sha256[UNET]


def test_nothing_is_fetched_before_the_licence_is_accepted(
    hub: FakeHub, source: FetchedModel, home: Path
) -> None:
    with pytest.raises(
        ModelError, match=r"Open RAIL-M .*accept it with 'calotype models fetch sd-1\.5 --accept"
    ):
        fetch_model(source)
    assert hub.requests == []
    record_acceptance(source.licence)
    assert is_licence_accepted(source.licence)
    assert list(json.loads((home / "calotype" / "licences.json").read_text())) == [source.licence.name]
    mit = fetched_model("taesd")
    assert mit is not None
    assert is_licence_accepted(mit.licence)


@pytest.mark.usefixtures("agreed")
def test_sixteen_bit_weights_are_fetched_on_request(hub: FakeHub, source: FetchedModel) -> None:
    for path in list(hub.folder.rglob("*.safetensors")):
        path.rename(path.with_suffix(".fp16.safetensors"))
    record = fetch_model(source, half=True)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in record.size
    assert sorted(record.size) == sorted(source.files(half=True))
