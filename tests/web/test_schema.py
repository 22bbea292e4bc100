"""The interface keeps to its own OpenAPI description, whatever is sent."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web_samples import picture, running_server

import calotype
from calotype.container import MEDIA_TYPE
from calotype.web.app import create_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PICTURE = picture(16, 8)
FILE = calotype.encode(io.BytesIO(PICTURE), model="tiny", effort=1)
UPLOADS = {
    "invented": None,
    "picture": PICTURE,
    "file": FILE,
    "broken picture": PICTURE[:60],
    "broken file": FILE[:-1],
    "too large": bytes(10_001),
}

schemathesis.serializer.alias(MEDIA_TYPE, "application/octet-stream")
schema = schemathesis.openapi.from_dict(create_app().openapi())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_server("--max-upload", "10000") as (address, _):
        yield address


# What is invented for the body is never a picture, so real uploads take its place too.
@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
@schema.parametrize()
@settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: Case, address: str, upload: bytes | None) -> None:
    if upload is not None and case.method == "POST":
        case.body = upload
    case.call_and_validate(base_url=address, checks=CHECKS, timeout=60)  # the first record loads networks
