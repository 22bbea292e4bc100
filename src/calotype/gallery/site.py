"""The site: pictures, thumbnails, the decoder with its weights, and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

import calotype
from calotype.browser import decoder_files
from calotype.compare import page as shared
from calotype.compare.folder import file_name, fresh_folder, shown_name
from calotype.errors import CalotypeError, SourceError
from calotype.limits import Limits

__all__ = ["write_gallery"]

_SUFFIX = ".calo"
_THUMBNAIL_SIDE = 320
_NETWORK = "pocket"


@dataclass(frozen=True)
class _Picture:
    """A picture of the page; ``file`` and ``thumbnail`` are addresses, ``side`` is the thumbnail's, in
    pixels."""

    title: str
    file: str
    thumbnail: str
    side: tuple[int, int]
    size: tuple[int, int]
    bytes: int


def write_gallery(
    folder: Path,
    out: Path,
    *,
    limits: Limits | None = None,
    force: bool = False,
    progress: Callable[[], object] = lambda: None,
    failed: Callable[[Path, Exception], object] | None = None,
) -> int:
    """Writes a static page of the .calo files in ``folder`` and below to ``out``; returns their number.

    ``failed`` is called for a file that cannot be read, and the others go on; without ``failed`` the error is
    raised.
    Raises :class:`SourceError` if there is no such file, :class:`ModelError` if the decoder was not built,
    :class:`OutputError`, and without ``failed`` the errors of decoding.
    """
    decoder = decoder_files(_NETWORK)
    sources = sorted(path for path in folder.rglob(f"*{_SUFFIX}") if path.is_file())
    if not sources:
        raise SourceError(f"{folder} holds no {_SUFFIX} files")
    with fresh_folder(out, force=force) as work:
        for name in ("pictures", "thumbnails", "decoder"):
            (work / name).mkdir()
        pictures = []
        for number, path in enumerate(sources, 1):
            try:
                pictures.append(_add_picture(work, folder, path, number, limits or Limits()))
            except (CalotypeError, OSError) as error:
                if failed is None:
                    raise
                failed(path, error)
            progress()
        for name, content in decoder.items():
            (work / "decoder" / name).write_bytes(content)
        (work / "index.html").write_text(_page_text(folder.resolve().name, pictures), "utf-8")
        page = files(__name__.rpartition(".")[0]) / "page"
        for name in ("gallery.css", "gallery.js"):
            (work / name).write_text((page / name).read_text("utf-8"), "utf-8")
        (work / "base.css").write_text(shared.read_page_part("base.css"), "utf-8")
    return len(pictures)


def _add_picture(work: Path, folder: Path, path: Path, number: int, limits: Limits) -> _Picture:
    """Copies a file and writes its thumbnail. Raises as ``calotype.thumbnail``."""
    data = path.read_bytes()
    info = calotype.read_info(data)
    image = calotype.thumbnail(data, _THUMBNAIL_SIDE, limits=limits, keep_metadata=False)
    stem = f"{number:04}-{file_name(path.stem)}"
    (work / "pictures" / f"{stem}{_SUFFIX}").write_bytes(data)
    thumbnail = work / "thumbnails" / f"{stem}.png"
    image.save(thumbnail, optimize=True)
    return _Picture(
        shown_name(path.relative_to(folder).with_suffix("").as_posix()),
        f"pictures/{stem}{_SUFFIX}",
        f"thumbnails/{stem}.png",
        image.size,
        (info.width, info.height),
        len(data),
    )


def _page_text(title: str, pictures: Sequence[_Picture]) -> str:
    page = files(__name__.rpartition(".")[0]) / "page" / "index.html"
    items = "\n".join(map(_picture_element, pictures))
    total = sum(picture.bytes for picture in pictures)
    return Template(page.read_text("utf-8")).substitute(
        title=escape(shown_name(title)), items=items, count=f"{len(pictures):,}", bytes=f"{total:,}"
    )


def _picture_element(picture: _Picture) -> str:
    title = escape(picture.title)
    (width, height), (wide, high) = picture.side, picture.size
    return (
        f'<li><a href="{quote(picture.file)}" data-width="{wide}" data-height="{high}">'
        f'<img src="{quote(picture.thumbnail)}" alt="{title}" width="{width}" height="{height}"'
        ' loading="lazy">'
        f"</a><span>{title}</span> <small>{wide} × {high}, {picture.bytes:,} bytes</small></li>"
    )
