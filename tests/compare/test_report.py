"""The files of a report: their content, and that the page needs no others."""

from __future__ import annotations

import json
import os
import re
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from report_settings import RULES, SIZES

import calotype
from calotype.compare import Row, Rules, widget, write_report, write_stage_pages
from calotype.compare.bench import Settings, run_bench
from calotype.compare.rows import read_rows
from calotype.errors import CalotypeError, ModelError, OutOfMemoryError, OutputError, SourceError

Report = tuple[Path, list[Row]]


class Addresses(HTMLParser):
    """Every address that a page names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]


def data_of(page: str) -> dict[str, list[dict[str, list[list[dict[str, str]]]]]]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    data: dict[str, list[dict[str, list[list[dict[str, str]]]]]] = json.loads(text)
    return data


def test_every_codec_stands_at_every_size(report: Report) -> None:
    out, rows = report
    assert len(rows) == 2 * 4 * len(SIZES)
    for row in rows:
        assert row.size <= row.budget if row.fits else row.size > row.budget
    assert any(not row.fits for row in rows)
    assert [row.as_dict() for row in read_rows(out / "figures.csv")] == [row.as_dict() for row in rows]
    assert json.loads((out / "figures.json").read_text())["rows"] == [row.as_dict() for row in rows]


def test_coded_files_have_the_bytes_that_the_report_states(report: Report) -> None:
    out, rows = report
    sizes = {path.stem: path.stat().st_size for path in out.rglob("*") if path.suffix in (".jpg", ".webp")}
    for row in rows:
        if row.codec in ("jpeg", "webp"):
            assert sizes[f"{row.codec}-{row.size}"] == row.size
    for path in out.rglob("*.calo"):
        assert calotype.read_info(path).file_size == int(path.stem.rsplit("-", 1)[1])


def test_pictures_are_what_the_files_decode_to(report: Report) -> None:
    out, _ = report
    file = next(out.rglob("calotype-tiny-*.calo"))
    with Image.open(file.with_suffix(".png")) as shown:
        assert np.array_equal(np.asarray(shown), np.asarray(calotype.decode(file, model="tiny")))
    with Image.open(file.with_name(f"{file.stem}-latents.png")) as latents:
        info = calotype.read_info(file)
        assert latents.size == (-(-info.coded_width // 8), -(-info.coded_height // 8))


def test_marked_pictures_have_stripes_where_verify_finds_a_change(report: Report, photos: list[Path]) -> None:
    out, _ = report
    file = min(out.rglob("calotype-tiny-*.calo"), key=lambda path: path.stat().st_size)
    photo = photos[0 if "01-" in str(file) else 1]
    fidelity = calotype.Codec(threads=1).verify(photo, file, model="tiny")
    changed = np.maximum(fidelity.invented, fidelity.lost) > 0.5
    assert changed.any()
    shape = changed.repeat(16, 0).repeat(16, 1)[: fidelity.height, : fidelity.width]
    with (
        Image.open(file.with_suffix(".png")) as plain,
        Image.open(f"{file.with_suffix('')}-marked.png") as marked,
    ):
        differs = (np.asarray(plain) != np.asarray(marked)).any(-1)
    assert not differs[~shape].any()
    assert 0.3 < differs[shape].mean() < 0.6


def test_the_page_names_only_files_beside_it(report: Report) -> None:
    out, _ = report
    page = (out / "index.html").read_text("utf-8")
    addresses = set(Addresses(page).found)
    for picture in data_of(page)["pictures"]:
        addresses |= {column["src"] for size in picture["sizes"] for column in size if "src" in column}
    assert len(addresses) > 10
    for address in addresses:
        assert (out / address).is_file(), address
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in page


def test_names_are_escaped(report: Report) -> None:
    out, _ = report
    page = (out / "index.html").read_text("utf-8")
    assert "<b> &" not in page and "a &lt;b&gt; &amp;" in page
    original, *_ = data_of(page)["pictures"][0]["sizes"][0]
    assert original["alt"] == "a <b> & 'c', the original"


def test_what_is_missing_is_explained(report: Report) -> None:
    page = (report[0] / "index.html").read_text("utf-8")
    assert page.count("needs a graph of the metric: --lpips FILE") >= 2


def test_embedded_the_page_is_one_file(photos: list[Path], tmp_path: Path) -> None:
    rules = Rules(models=(), codecs=("jpeg",))
    write_report(photos[:1], tmp_path / "one", sizes=[2000], rules=rules, embed=True)
    page = (tmp_path / "one" / "index.html").read_text("utf-8")
    sources = [column["src"] for column in data_of(page)["pictures"][0]["sizes"][0]]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not list(tmp_path.rglob("*.png"))


def test_a_codec_whose_weights_are_not_here_is_explained(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ModelError("the weights are not here")

    monkeypatch.setattr("calotype.models.cache.load_encoder", absent)
    rows = write_report(photos[:1], tmp_path / "report", sizes=[2000], rules=RULES)
    assert {row.codec for row in rows} == {"jpeg", "webp"}
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "The weights are not here." in page
    (columns,) = data_of(page)["pictures"][0]["sizes"]
    assert {"id": "calotype-tiny", "label": "calotype-tiny", "why": "the weights are not here"} in columns
    with pytest.raises(ModelError, match="the weights are not here"):
        write_report(photos[:1], tmp_path / "none", sizes=[2000], rules=Rules(("tiny",), ()))


def test_nothing_is_overwritten_unasked_and_nothing_left_half_written(
    photos: list[Path], tmp_path: Path
) -> None:
    rules = Rules(models=(), codecs=("jpeg",))
    write_report(photos[:1], tmp_path / "report", sizes=[2000], rules=rules)
    with pytest.raises(OutputError, match="exists already"):
        write_report(photos[:1], tmp_path / "report", sizes=[2000], rules=rules)
    write_report(photos, tmp_path / "report", sizes=[2000], rules=rules, force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("keep me")
    with pytest.raises(OutputError, match="holds other files"):
        write_report(photos[:1], tmp_path / "mine", sizes=[2000], rules=rules, force=True)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(SourceError):
        write_report([*photos, tmp_path / "broken.png"], tmp_path / "half", sizes=[2000], rules=rules)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png", "mine", "report"]


def test_broken_photos_are_reported_and_left_out(photos: list[Path], tmp_path: Path) -> None:
    rules, failed = Rules(models=(), codecs=("jpeg",)), []
    broken = tmp_path / "broken.png"
    broken.write_bytes(photos[0].read_bytes()[:300])

    def tell(photo: Path, error: CalotypeError) -> None:
        failed.append(photo)

    rows = write_report(
        [broken, photos[0], tmp_path / "absent.png", photos[1]],
        tmp_path / "report",
        sizes=[2000],
        rules=rules,
        failed=tell,
    )
    assert [row.picture for row in rows] == [photo.stem for photo in photos]
    assert failed == [broken, tmp_path / "absent.png"]
    with pytest.raises(SourceError, match="no picture left"):
        write_report([broken, broken], tmp_path / "none", sizes=[2000], rules=rules, failed=tell)
    assert not (tmp_path / "none").exists()


def test_transparent_pictures_are_compared_over_white(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 100:] = 255
    Image.fromarray(np.dstack([photo, alpha])).save(tmp_path / "cut.png")
    write_report([tmp_path / "cut.png"], tmp_path / "out", sizes=[4000], rules=Rules((), ("jpeg",)))
    with Image.open(tmp_path / "out" / "pictures" / "01-cut" / "original.png") as image:
        shown = np.asarray(image)
    assert (shown[:, :100] == 255).all() and np.array_equal(shown[:, 100:], photo[:, 100:])


def test_the_widget_is_the_page_in_a_frame(photo: NDArray[np.uint8]) -> None:
    element = widget(photo, sizes=[2000], rules=Rules((), ("jpeg",)), name='"quoted"', height=700)
    html = element._repr_html_()
    assert html.startswith("<iframe") and 'sandbox="allow-scripts"' in html and "height: 700px" in html
    frame = HTMLParser()
    addresses: list[str] = []
    frame.handle_starttag = lambda tag, attrs: addresses.append(dict(attrs)["srcdoc"] or "")  # type: ignore[method-assign]
    frame.feed(html)
    assert addresses == [element.page]
    assert "figures.csv" not in element.page
    assert element.rows[0].codec == "jpeg"


def test_a_codec_that_cannot_code_a_picture_is_explained(tmp_path: Path) -> None:
    for name, width in (("wide", 16_384), ("usual", 40)):
        Image.new("RGB", (width, 2), "gold").save(tmp_path / f"{name}.png")
    photos = [tmp_path / "wide.png", tmp_path / "usual.png"]
    rules = Rules((), ("jpeg", "webp"), threads=1)
    rows = write_report(photos, tmp_path / "both", sizes=[90_000], rules=rules)
    assert [(row.picture, row.codec) for row in rows] == [
        ("wide", "jpeg"),
        ("usual", "jpeg"),
        ("usual", "webp"),
    ]
    page = (tmp_path / "both" / "index.html").read_text("utf-8")
    wide, usual = data_of(page)["pictures"]
    assert [column["id"] for column in wide["sizes"][0]] == ["original", "jpeg", "webp"]
    assert "16384x2 pixels" in wide["sizes"][0][-1]["why"]
    assert [column.get("why") for column in usual["sizes"][0]] == [None] * 3
    assert "Means over the 1 of 2 pictures that every codec can code" in page

    failed: list[tuple[Path, str]] = []
    only = Rules((), ("webp",), threads=1)

    def tell(photo: Path, error: CalotypeError) -> None:
        failed.append((photo, str(error)))

    rows = write_report(photos, tmp_path / "only", sizes=[90_000], rules=only, failed=tell)
    assert [row.picture for row in rows] == ["usual"]
    assert [photo for photo, _ in failed] == photos[:1]
    with pytest.raises(SourceError, match="16384x2 pixels"):
        write_report(photos[:1], tmp_path / "none", sizes=[90_000], rules=only)


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError()])
def test_lack_of_memory_stops_one_codec_only(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def greedy(*_: object) -> None:
        raise error

    monkeypatch.setattr("calotype.compare.codecs.calotype.CalotypeCodec.compress", greedy)
    rows = write_report(photos[:1], tmp_path / "out", sizes=SIZES, rules=RULES)
    assert {row.codec for row in rows} == {"jpeg", "webp", "palette"}
    assert "not enough memory" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_pictures_with_equal_names_are_numbered(photos: list[Path], tmp_path: Path) -> None:
    twice = [photos[1], photos[1]]
    rows = write_report(twice, tmp_path / "out", sizes=[900], rules=Rules((), ("jpeg",), threads=1))
    assert [row.picture for row in rows] == ["tall", "tall (2)"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9", "caf\\xe9"),
        ("café | “x”".encode(), "café | “x”"),
        (b"a\nb\tc", "a\\nb\\tc"),
        ("line\u2028separator\x85".encode(), "line\\u2028separator\\x85"),
        (b"y" * 251, "y" * 251),
    ],
)
def test_every_file_name_can_be_shown(
    photo: NDArray[np.uint8], tmp_path: Path, name: bytes, shown: str
) -> None:
    file = tmp_path / os.fsdecode(name + b".png")
    try:
        Image.fromarray(photo[:16, :16]).save(file)
    except (OSError, ValueError):
        pytest.skip("this file system has no such names")
    rows = write_report([file], tmp_path / "report", sizes=[900], rules=Rules((), ("jpeg",), threads=1))
    assert [row.picture for row in rows] == [shown]
    assert [row.picture for row in read_rows(tmp_path / "report" / "figures.csv")] == [shown]
    assert escape(shown) in (tmp_path / "report" / "index.html").read_text("utf-8")
    write_stage_pages(file, tmp_path / "stages", model="tiny", target_size=500)
    page = (tmp_path / "stages" / "index.html").read_text("utf-8")
    (coded,) = (tmp_path / "stages").glob("*.calo")
    assert f'href="{coded.name}" download' in page
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    file.rename(folder / file.name)
    rows = run_bench(folder, tmp_path / "bench", Settings(Rules((), ("jpeg",), threads=1), sizes=(900,)))
    assert [row.picture for row in rows] == [f"{shown}.png"]
    assert (tmp_path / "bench" / "summary.md").read_text("utf-8").startswith(f"## {shown}: 1 pictures")
    assert run_bench(folder, tmp_path / "bench", Settings(Rules((), ("jpeg",), threads=1), sizes=(900,)))


def test_without_matplotlib_the_report_lacks_only_the_curves(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    rules, said = Rules((), ("jpeg",), threads=1), list[str]()
    write_report(photos[:1], tmp_path / "report", sizes=[900], rules=rules)
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "Not drawn: curves need a package: pip install" in page
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "curves.png").write_bytes(b"of an earlier run")
    run_bench(photos[0].parent, tmp_path / "bench", Settings(rules, sizes=(900,)), remark=said.append)
    assert not (tmp_path / "bench" / "curves.png").exists()
    assert any(text.startswith("curves.png is left out: curves need") for text in said)
