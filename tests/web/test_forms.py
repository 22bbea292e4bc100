"""Uploads as forms: what ``curl -F``, browsers and HTTP libraries send."""

from __future__ import annotations

import tempfile

import pytest
from starlette.testclient import TestClient

BOUNDARY = "gate"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(content: bytes, *headers: str) -> bytes:
    return f"--{BOUNDARY}\r\n".encode() + "\r\n".join(headers).encode() + b"\r\n\r\n" + content + b"\r\n"


def file_part(content: bytes, name: str = "photo.png") -> bytes:
    return part(content, f'Content-Disposition: form-data; name="file"; filename="{name}"')


END = f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    "operation", ["encode?effort=1", "decode", "info", "prepare", "baselines/jpeg?max_size=900"]
)
def test_a_form_gives_what_its_file_gives(
    client: TestClient, png: bytes, calo: bytes, operation: str
) -> None:
    content = calo if operation in ("decode", "info") else png
    raw = client.post(f"/{operation}", content=content)
    form = client.post(f"/{operation}", files={"picture": ("photo", content, "image/png")})
    assert raw.status_code == form.status_code == 200
    assert form.content == raw.content


def test_a_large_form_stays_in_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    answer = client.post("/encode", files={"file": bytes(99_999)})
    assert (answer.status_code, "not an image" in answer.json()["error"]) == (415, True)


def test_the_bound_of_an_upload_is_that_of_the_file_in_the_form(client: TestClient) -> None:
    least = client.post("/encode", files={"file": bytes(100_000)})
    more = client.post("/encode", files={"file": bytes(100_001)})
    response = client.post("/encode", files={"file": bytes(200_000)})
    assert (least.status_code, more.status_code, response.status_code) == (415, 413, 413)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (END, "holds no file"),
        (file_part(b"") + END, "the upload is empty"),
        (file_part(b"a") + file_part(b"b") + END, "several files"),
        (file_part(b"a") * 2000 + END, "several files"),
        (
            part(b"5000", 'Content-Disposition: form-data; name="target_size"') + END,
            "'target_size' is not a file",
        ),
        (part(b"5000", "Content-Type: text/plain") + END, "cannot be read"),
        (part(b"a", *(f"X-{number}: y" for number in range(99))) + END, "cannot be read"),
        (file_part(b"a"), "ends too early"),
        (b"no form at all", "cannot be read"),
    ],
)
def test_a_form_that_does_not_hold_one_file_is_refused(client: TestClient, body: bytes, said: str) -> None:
    answer = client.post("/encode", content=body, headers=FORM)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("content_type", "status", "said"),
    [
        ("multipart/form-data", 422, "boundary"),
        (f"multipart/form-data; boundary={'x' * 500}", 422, "oundary"),
        ("multipart/form-data; boundary=\xe9", 422, "cannot be read"),
        ("multipart/mixed; boundary=gate", 415, "multipart/mixed"),
        ("Multipart/Form-Data; Boundary=gate", 200, ""),
        (
            "application/x-www-form-urlencoded",
            415,
            "not an image",
        ),  # curl --data-binary says so
        ("\xff;;=", 415, "not an image"),
    ],
)
def test_the_media_type_decides_what_is_a_form(
    client: TestClient, png: bytes, content_type: str, status: int, said: str
) -> None:
    headers = {"Content-Type": content_type.encode("latin-1")}
    answer = client.post("/encode?effort=1", content=file_part(png) + END, headers=headers)
    assert answer.status_code == status, answer.text
    assert not said or said in answer.json()["error"]
