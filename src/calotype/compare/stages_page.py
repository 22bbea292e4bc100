"""The page of the stages."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

import calotype
from calotype.compare.folder import INDEX, PageFiles, file_name, fresh_folder, shown_name
from calotype.compare.latent_view import heat_picture, latent_picture, plane_picture
from calotype.compare.metrics import Psnr
from calotype.compare.page import build_page, fill_template
from calotype.compare.stages import Stages, encode_in_stages
from calotype.container import EXTENSION
from calotype.limits import ANY_SIZE, Limits
from calotype.options import DiffusionOptions

__all__ = ["write_stage_pages"]

_DUMPED_BYTES, _PER_LINE = 192, 16


def write_stage_pages(
    photo: Path,
    out: Path,
    *,
    target_size: int = 5000,
    model: str = "pocket",
    diffusion: DiffusionOptions | None = None,
    limits: Limits | None = None,
    embed: bool = False,
    force: bool = False,
) -> Stages:
    """Writes ``out/index.html`` with the stages of ``photo``, and its pictures beside or in the page.

    Raises what :func:`encode_in_stages` raises, and :class:`OutputError`.
    """
    result = encode_in_stages(photo, target_size=target_size, model=model, diffusion=diffusion, limits=limits)
    with fresh_folder(out, force=force) as folder:
        pictures = PageFiles(folder, embed=embed)
        coded = f"{file_name(photo.stem)}{EXTENSION}"
        pictures.write(coded, result.data)
        (folder / INDEX).write_text(
            _stages_page(shown_name(photo.stem), coded, model, result, pictures), "utf-8"
        )
    return result


def _stages_page(name: str, coded: str, model: str, stages: Stages, pictures: PageFiles) -> str:
    info = calotype.read_info(stages.data, limits=ANY_SIZE)
    height, width = stages.original.shape[:2]
    rows, columns = stages.bits.shape
    raw, floats = stages.original.nbytes, stages.latents.nbytes
    highest = float(np.quantile(stages.bits, 0.995)) or 1.0
    heat = heat_picture(stages.bits, highest)
    scale = heat_picture(np.linspace(0, highest, 128, dtype=np.float32)[None], highest)
    main = fill_template(
        "stages_main.html",
        name=escape(name),
        model=escape(model),
        width=f"{width:,}",
        height=f"{height:,}",
        shape=f"{columns} × {rows}",
        scaled=_scale_note(info),
        original=pictures.add("original", stages.original),
        latents_picture=pictures.add("latents", latent_picture(stages.latents)),
        planes=_latent_planes(stages, pictures),
        heat=pictures.add("bits", heat),
        scale=pictures.add("scale", scale),
        decoded=pictures.add("decoded", stages.decoded),
        raw=_size_as_bar(raw, raw),
        floats=_size_as_bar(floats, raw),
        plain=_size_as_bar(stages.order0_bytes, raw),
        payload=_size_as_bar(info.payload_size, raw),
        file=_size_as_bar(len(stages.data), raw),
        saved=_saving_in_per_cent(info.payload_size, stages.order0_bytes),
        step=f"{info.step:.3f}",
        lowest_integer=str(int(stages.integers.min())).replace("-", "\N{MINUS SIGN}"),
        highest_integer=str(int(stages.integers.max())),
        zeros=f"{100 * float((stages.integers == 0).mean()):.0f} %",
        highest=f"{highest:.0f}",
        mean_bits=f"{float(stages.bits.mean()):.1f}",
        header=str(len(stages.data) - info.payload_size),
        dump=_hex_dump(stages.data, len(stages.data) - info.payload_size),
        file_name=escape(coded),
        psnr=f"{Psnr()(stages.original, stages.decoded):.2f} dB",
        ratio=f"{raw / len(stages.data):.0f} : 1",
        bpp=f"{info.bpp:.3f}",
    )
    return build_page(
        f"How it works: {name}",
        f"{raw:,} bytes of pixels become a file of {len(stages.data):,} bytes, and pixels again.",
        main,
        f"<p>Made by <code>calotype stages</code>, Calotype {calotype.__version__}.</p>",
        data=None,
        scripts=("stages.js",),
    )


def _saving_in_per_cent(size: int, plain: int) -> str:
    """Returns by how much ``size`` is below ``plain`` bytes, which may be 0 for a flat or tiny picture."""
    return f"{100 * (1 - size / plain):.0f} %" if size < plain else "nothing"


def _latent_planes(stages: Stages, pictures: PageFiles) -> str:
    parts = []
    for channel, plane in enumerate(stages.integers):
        address = pictures.add(f"integers-{channel}", plane_picture(plane))
        parts.append(
            f'<img class="coarse" src="{escape(address)}" alt="The integers of channel {channel + 1}">'
        )
    return "".join(parts)


def _hex_dump(data: bytes, header: int) -> str:
    """Returns the first bytes in hexadecimal, sixteen in a line, with the header highlighted."""
    pairs = [
        f"<b>{byte:02x}</b>" if start < header else f"{byte:02x}"
        for start, byte in enumerate(data[:_DUMPED_BYTES])
    ]
    lines = [" ".join(pairs[start : start + _PER_LINE]) for start in range(0, len(pairs), _PER_LINE)]
    return "\n".join(lines) + ("\n…" if len(data) > _DUMPED_BYTES else "")


def _scale_note(info: calotype.Info) -> str:
    if not info.scaled:
        return ""
    return (
        f" of the picture, scaled to {info.coded_width:,} × {info.coded_height:,} for this size of the file,"
    )


def _size_as_bar(size: int, raw: int) -> str:
    """Returns a size in bytes, in words and as a bar against the original."""
    share = 100 * size / raw
    return (
        f'<p class="size">{size:,} <small>bytes, {share:.3g} %</small></p>'
        f'<div class="meter" aria-hidden="true"><i style="width: {share:.3f}%"></i></div>'
    )
