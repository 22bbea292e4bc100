"""The HTTP interface, request by request."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from web_samples import ADDRESS, client_of, picture

import calotype
from calotype.browser import decoder_files, is_built
from calotype.container import MAGIC, MEDIA_TYPE
from calotype.errors import OutOfMemoryError
from calotype.web import Settings
from calotype.web.decoder_files import browser_network
from calotype.web.guard import POLICY, SECURITY_HEADERS
from calotype.web.studio import BASELINES, PictureService


def test_encode_makes_a_file_of_the_size_asked_for(client: TestClient, png: bytes) -> None:
    answer = client.post("/encode?target_size=400&effort=1", content=png)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert len(answer.content) <= 400
    info = calotype.read_info(answer.content)
    assert (info.width, info.height, info.encoder) == (64, 48, "tiny")


def test_encode_takes_quality_and_bits_per_pixel(client: TestClient, png: bytes) -> None:
    low, high = (client.post(f"/encode?quality={q}&effort=1", content=png).content for q in (20, 80))
    assert len(low) < len(high)
    assert len(client.post("/encode?bpp=1&effort=1", content=png).content) <= 64 * 48 / 8


def test_metadata_does_not_travel(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = client.post("/encode?effort=1", content=picture(format="JPEG", exif=exif)).content
    assert calotype.read_info(data).chunks == ()


def test_decode_gives_what_the_library_gives(client: TestClient, calo: bytes) -> None:
    answer = client.post("/decode", content=calo)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.array_equal(shown, calotype.decode(calo, model="tiny", as_array=True))


def test_a_record_is_made_and_shown_on_request(client: TestClient) -> None:
    # Noise, which the tiny model cannot hold.
    pixels = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    photo = io.BytesIO()
    Image.fromarray(pixels).save(photo, "PNG")
    plain, recorded = (
        client.post(f"/encode?target_size=2000&record={record}", content=photo.getvalue()).content
        for record in (False, True)
    )
    assert calotype.read_info(plain).fidelity is None
    assert calotype.read_info(recorded).fidelity is not None
    assert len(recorded) <= 2000
    shown, marked = (
        client.post(f"/decode?overlay={overlay}", content=recorded).content for overlay in (False, True)
    )
    with Image.open(io.BytesIO(marked)) as image:
        wanted = calotype.decode(recorded, model="tiny", overlay=True, as_array=True)
        assert np.array_equal(np.asarray(image), wanted)
    assert shown != marked
    with client_of() as own_client:  # of this test alone: pytest has its own hook for warnings
        answer = own_client.post("/decode?overlay=true", content=plain)
    assert answer.status_code == 200
    assert "no record" in answer.headers["X-Calotype-Remark"]


def test_info_of_a_file_and_of_the_server(client: TestClient, calo: bytes) -> None:
    info = client.post("/info", content=calo).json()
    assert (info["width"], info["height"], info["file_size"]) == (64, 48, len(calo))
    server = client.get("/info").json()
    assert server["version"] == calotype.__version__
    assert server["media_type"] == MEDIA_TYPE
    assert (server["max_upload"], server["baselines"]) == (100_000, ["jpeg", "webp", "avif"])


def test_prepare_turns_and_shrinks(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    answer = client.post("/prepare?side=32", content=picture(64, 48, "JPEG", exif=exif))
    assert Image.open(io.BytesIO(answer.content)).size == (24, 32)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_to_the_budget_or_give_the_smallest(client: TestClient, png: bytes, name: str) -> None:
    roomy, tight = (client.post(f"/baselines/{name}?max_size={size}", content=png) for size in (900, 1))
    assert roomy.status_code == tight.status_code == 200
    assert roomy.headers["content-type"] == BASELINES[name]().media_type == f"image/{name}"
    assert 1 < len(tight.content) <= len(roomy.content) <= 900
    assert Image.open(io.BytesIO(roomy.content)).size == (64, 48)


def test_baselines_see_transparent_parts_over_white(client: TestClient) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(file, "PNG")
    answer = client.post("/baselines/jpeg?max_size=5000", content=file.getvalue())
    assert np.asarray(Image.open(io.BytesIO(answer.content))).min() > 250


def test_what_was_left_out_is_remarked() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    with client_of() as client:  # of this test alone: pytest has its own hook for warnings
        answer = client.post("/encode?effort=1", content=file.getvalue())
        refused = client.post("/encode?effort=1&strict=true", content=file.getvalue())
    assert "several frames" in answer.headers["x-calotype-remark"]
    assert refused.status_code == 422
    assert "several frames" in refused.json()["error"]


def test_too_small_a_target_names_the_smallest(client: TestClient, png: bytes) -> None:
    answer = client.post("/encode?target_size=5&effort=1", content=png)
    assert answer.status_code == 422
    smallest = answer.json()["smallest"]
    again = client.post(f"/encode?target_size={smallest}&effort=1", content=png)
    assert (again.status_code, len(again.content)) == (200, smallest)


def test_a_promise_that_cannot_be_kept_is_refused(client: TestClient) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    photo = io.BytesIO()
    Image.fromarray(pixels).save(photo, "PNG")
    answer = client.post("/encode?target_size=400&effort=1&faithful=0", content=photo.getvalue())
    assert answer.status_code == 422
    assert "within 400 bytes" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/encode", bytes(100_001), 413, "100,000 bytes"),
        ("/encode", picture(400, 300), 413, "400x300 pixels"),
        ("/encode", b"no picture at all", 415, "not an image"),
        ("/encode", picture()[:90], 422, "cannot be read"),
        ("/encode", b"", 422, "empty"),
        ("/encode?quality=50&bpp=1", picture(), 422, "exclude each other"),
        ("/encode?quality=101", picture(), 422, "quality"),
        ("/encode?quality=nan", picture(), 422, "quality"),
        ("/encode?bpp=inf", picture(), 422, "bpp"),
        ("/encode?scale=nan", picture(), 422, "scale"),
        ("/encode?quality=50&quality=60", picture(), 422, "quality: given more than once"),
        ("/decode?strict=1&strict=1", b"", 422, "strict: given more than once"),
        ("/info?strict=1", b"", 422, "strict"),
        ("/prepare?sides=5", picture(), 422, "sides"),
        ("/encode?model=pocket", picture(), 422, "model"),
        ("/encode?bpp=1e-300", picture(), 422, "too small"),
        ("/encode?faithful=1.1", picture(), 422, "faithful"),
        ("/decode", b"no file of ours", 415, "not a .calo file"),
        ("/decode", MAGIC, 422, "end"),
        ("/info", picture(), 415, "not a .calo file"),
        ("/baselines/bmp?max_size=9", picture(), 422, "name"),
        ("/baselines/jpeg", picture(), 422, "max_size"),
        ("/nowhere", b"", 404, "Not Found"),
    ],
)
def test_refusals_are_one_clear_sentence(
    client: TestClient, path: str, content: bytes, status: int, said: str
) -> None:
    answer = client.post(path, content=content)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert ".py" not in answer.text


def test_every_damaged_file_is_refused_or_shown(client: TestClient, calo: bytes) -> None:
    for position in range(0, len(calo), 16):
        damaged = bytearray(calo)
        damaged[position] ^= 0x55
        answer = client.post("/decode", content=bytes(damaged))
        assert answer.status_code in (413, 415, 422, 503), answer.text


def test_a_body_without_a_declared_length_is_bounded_too(client: TestClient) -> None:
    answer = client.post("/encode", content=(bytes(50_000) for _ in range(3)))
    assert answer.status_code == 413


def test_a_fault_shows_nothing_of_the_inside(monkeypatch: pytest.MonkeyPatch, png: bytes) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/secret/path.py is broken")

    monkeypatch.setattr(PictureService, "encode", broken)
    with client_of() as client:
        answer = client.post("/encode", content=png)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError(), None])
def test_too_little_memory_is_no_fault_of_the_server(
    monkeypatch: pytest.MonkeyPatch, png: bytes, error: Exception | None
) -> None:
    def greedy(*_: object) -> None:
        if error is not None:
            raise error
        np.empty(1 << 60, np.uint8)  # numpy has its own

    monkeypatch.setattr(PictureService, "encode", greedy)
    with client_of() as client:
        answer = client.post("/encode", content=png)
    assert answer.status_code == 503
    assert "not enough memory" in answer.json()["error"]
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/info", "/openapi.json", "/static/app.js", "/static/base.css", "/nowhere", "/fault"],
)
def test_every_answer_has_the_strict_policy(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    if path == "/fault":
        monkeypatch.setattr("calotype.web.api.client_key", lambda host: 1 // 0)
    answer = client.post("/info", content=b"?") if path == "/fault" else client.get(path)
    assert (answer.status_code == 500) == (path == "/fault")
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in POLICY.replace("'wasm-unsafe-eval'", "")  # WebAssembly, of the browser's decoder
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.skipif(not is_built(), reason="the browser's decoder is not built: run make web")
def test_the_decoder_for_browsers_is_loaded_once(client: TestClient) -> None:
    assert client.get("/info").json()["browser_decoder"] == "tiny"
    for name, content in decoder_files("tiny").items():
        answer = client.get(f"/decoder/{name}")
        assert (answer.status_code, answer.content) == (200, content)
        again = client.get(f"/decoder/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/decoder/calotype.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/decoder/kernels.wasm").headers["content-type"] == "application/wasm"
    assert client.get("/decoder/secret.js").status_code == 404


def test_other_decoders_run_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser_network(Settings(decoder="taesd")) is None
    monkeypatch.setattr("calotype.web.decoder_files.is_built", lambda: True)
    assert browser_network(Settings()) == "pocket"
    monkeypatch.setattr("calotype.web.decoder_files.is_built", lambda: False)
    assert browser_network(Settings()) is None
    with client_of() as client:
        assert client.get("/info").json()["browser_decoder"] is None
        assert client.get("/decoder/calotype.js").status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/info", "/openapi.json", "/static/app.js"])
def test_head_answers_as_get_does_without_the_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/", {"GET", "HEAD"}),
        ("/docs", {"GET", "HEAD"}),
        ("/static/app.js", {"GET", "HEAD"}),
        ("/static/base.css", {"GET", "HEAD"}),
        ("/info", {"GET", "HEAD", "POST"}),
        ("/encode", {"POST"}),
        ("/baselines/jpeg", {"POST"}),
    ],
)
def test_a_refused_method_gets_the_list_of_allowed_ones(
    client: TestClient, path: str, methods: set[str]
) -> None:
    for method in ("DELETE", "OPTIONS"):
        answer = client.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == methods
        assert answer.json()["error"] == "Method Not Allowed"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_hold_nothing_inline_and_nothing_foreign(client: TestClient, path: str) -> None:
    page = client.get(path).text
    assert "style=" not in page
    assert "<style" not in page
    assert " on" not in page.replace(" one", "")
    assert "//" not in page
    assert page.count("<script") == page.count("<script src=")


def test_other_sites_may_not_use_the_server(client: TestClient, png: bytes) -> None:
    foreign = client.post("/encode", content=png, headers={"Origin": "https://example.org"})
    renamed = client.get("/info", headers={"Host": "example.org"})
    own = client.get("/info", headers={"Origin": ADDRESS})
    assert (foreign.status_code, renamed.status_code, own.status_code) == (403, 403, 200)


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "http://a]b", "null", "", "http://", "//127.0.0.1"]
)
def test_an_origin_that_makes_no_sense_is_another_site(client: TestClient, origin: str) -> None:
    answer = client.get("/info", headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("LocalHost", "http://localhost"),
        ("LOCALHOST:8000", "http://LocalHost:8000"),
        ("localhost:80", "http://localhost"),
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("localhost", "https://localhost"),  # behind a proxy that speaks TLS
        ("localhost", "https://localhost:443"),  # behind a proxy that speaks TLS
    ],
)
def test_names_are_compared_without_case_and_usual_ports(client: TestClient, host: str, origin: str) -> None:
    answer = client.get("/info", headers={"Host": host, "Origin": origin})
    assert answer.status_code == 200


def test_on_the_network_any_host_name_is_accepted() -> None:
    with client_of(hosts=None) as client:
        assert client.get("/info", headers={"Host": "studio.example:8000"}).status_code == 200
