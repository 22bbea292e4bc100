"""A server with the tiny model, within the process."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="needs pip install 'calotype[web]'")

from starlette.testclient import TestClient
from web_samples import client_of, picture

import calotype


@pytest.fixture(scope="session")
def png() -> bytes:
    return picture()


@pytest.fixture(scope="session")
def calo(png: bytes) -> bytes:
    return calotype.encode(io.BytesIO(png), model="tiny", effort=1)


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with client_of(max_upload=100_000, max_pixels=100_000) as client:
        yield client
