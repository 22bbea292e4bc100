"""Writes the seeds in ``corpus/``: small inputs that between them reach every branch of their target.

    python fuzz/make_corpus.py [NAME ...]

Inputs found by fuzzing are kept beside them, under other names. Run it after ``scripts/make_golden.py``:
the golden files are seeds too.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import CORPORA
from harness_entropy import TARGETS as ENTROPY
from harness_entropy import encoded_integers

from calotype.container import (
    MAGIC,
    Chunk,
    ChunkType,
    Header,
    chunk_data,
    fixed_header,
    parse_file,
    serialise_file,
)
from calotype.container.chunks import write_chunk
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL
from calotype.packets import PacketHeader, split, write_packet, write_recording

__all__ = ["TARGETS"]

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def container() -> dict[str, bytes]:
    header = Header(
        coding=0, space=1, context_model=2, encoder=3, width=300, height=20, level=64, noise=(4, 5, 6, 7)
    )
    see_through = Header(
        coding=1, space=1, context_model=2, encoder=3, width=8, height=1, level=127, grey=True, alpha=True
    )
    small = Header(coding=0, space=1, context_model=2, encoder=3, width=300, height=20, scale=5, level=64)
    icc, exif, odd = Chunk(ChunkType.ICC, b"profile"), Chunk(ChunkType.EXIF, bytes(130)), Chunk(0x7F, b"?")
    alpha = Chunk(ChunkType.ALPHA, b"plane")
    fixed = fixed_header(header)
    plain = serialise_file(header, b"payload", 0x01020304)
    full = serialise_file(see_through, b"payload", 5, [alpha, icc, odd])
    return {
        "empty": b"",
        "signature": MAGIC,
        "text-mode": plain.replace(b"\r\n", b"\n"),
        "version-2": MAGIC + b"\x02",
        "reserved-flag": plain[:7] + b"\x80" + plain[8:],
        "plain": plain,
        "full": full,
        "cut": full[:-3],
        "scaled": serialise_file(small, b"payload", 6),
        "scale-0": fixed_header(small).replace(b"\x13\x05", b"\x13\x00") + bytes(9),
        "scale-64": fixed_header(small).replace(b"\x13\x05", b"\x13\x40") + bytes(9),
        "no-alpha": full.replace(b"\x84", b"\x04"),
        "damaged-icc": full.replace(b"profile", b"Profile"),
        "repeated": full + full[-7:],
        "long-chunk": serialise_file(header, b"", 0, [exif]),
        "metadata-limit": serialise_file(header, b"", 0, [exif, Chunk(ChunkType.XMP, bytes(200))]),
        "chunk-size-limit": serialise_file(header, b"", 0, [Chunk(0x60, bytes(257))]),
        "chunk-limit": serialise_file(header, b"", 0, [Chunk(0x60 + n, b"") for n in range(9)]),
        "critical-unknown": plain + b"\xff\x00\x8d\xef\xfd\xd2",
        "padded": plain + bytes(9),
        "newline": plain + b"\n",
        "huge": fixed[:12] + b"\xff\xff\xff\xff\x07" * 2 + fixed[15:],
        "long-varint": fixed[:12] + b"\x80\x00" + fixed[14:],
        "payload-length": fixed + b"\xff\xff\xff\xff\x0f" + bytes(8),
    }


def entropy() -> dict[str, bytes]:
    choose = {target.__name__: bytes([number]) for number, target in enumerate(ENTROPY)}
    levels = bytes([8, 104])
    smooth = np.add.outer(np.arange(4), np.add.outer(np.arange(9), np.arange(5))).astype(np.int16)
    wild = (smooth * 7919 % 1001 - 500).astype(np.int16)
    integers = np.array([3, -1, 0, 500], np.int16).reshape(4, 1, 1)
    coded = encoded_integers(smooth, *levels)
    npz = io.BytesIO()
    np.savez(npz, widths=np.array([2, 2, 2, 2, 2], np.int64))
    npy = io.BytesIO()
    np.save(npy, np.zeros(3, np.uint8))
    row = bytes([0, 1, 9, 200, 30, 2, 0])
    return {
        "empty": b"",
        "rans-nothing-coded": choose["rans"] + row + bytes([0, 0, 0, 0, 0, 1, 0]),
        "rans-cut": choose["rans"] + row + bytes([5, 9, 1, 2, 3, 4, 5]),
        "rans-low-state": choose["rans"] + row + bytes([5, 9, 1, 2, 3, 0, 0]),
        "tables-valid": choose["tables"],
        "tables-zero": choose["tables"] + bytes(4),
        "model-no-archive": choose["model"] + b"PK\x03\x04",
        "model-one-array": choose["model"] + npz.getvalue(),
        "model-npy": choose["model"] + npy.getvalue(),
        "arrays-valid": choose["arrays"],
        "arrays-width": choose["arrays"] + bytes([3, 0, 0, 200]),
        "arrays-multiplier": choose["arrays"] + bytes([1, 3, 0, 255]),
        "arrays-bias": choose["arrays"] + bytes([2, 7, 0, 127]),
        "arrays-weight": choose["arrays"] + bytes([0, 5, 0, 128]),
        "integers-smooth": choose["integers"] + bytes([8, 4]) + levels + coded,
        "integers-wild": choose["integers"] + bytes([8, 4]) + levels + encoded_integers(wild, *levels),
        "integers-one": choose["integers"] + bytes([0, 0, 0, 127]) + encoded_integers(integers, 0, 127),
        "integers-cut": choose["integers"] + bytes([8, 4]) + levels + coded[:-2],
        "integers-other-size": choose["integers"] + bytes([8, 5]) + levels + coded,
    }


def decode() -> dict[str, bytes]:
    """The golden files, and some of them damaged: where the checksums do not help, see the harness."""
    folders = sorted(path.parent for path in GOLDEN.rglob("picture.calo"))
    files = {
        f"{folder.parent.name}-{folder.name}": (folder / "picture.calo").read_bytes() for folder in folders
    }
    newest = f"context-{DEFAULT_CONTEXT_MODEL}"
    smaller = files[f"{newest}-smaller-47x36"]
    transparent, grey = files[f"{newest}-rgba-40x24"], files[f"{newest}-grey-17x9"]
    patched = files[f"{newest}-patches-vp8-66x41"]
    record = Chunk(ChunkType.FIDELITY, bytes([240, 200, 100, 0]) + _deflated(bytes([0, 3])))
    longer = Chunk(ChunkType.FIDELITY, record.data + _deflated(bytes(1000)))
    return files | {
        "record": grey + write_chunk(record),
        "record-longer": grey + write_chunk(longer),
        "damaged-patches": patched[:-200] + b"!" + patched[-199:],
        "wrong-level": grey[:14] + bytes([grey[14] ^ 1]) + grey[15:],
        "wrong-noise": grey[:15] + b"\xff\xff" + grey[17:],
        "wrong-scale": smaller[:14] + bytes([smaller[14] ^ 1]) + smaller[15:],
        "damaged-exif": transparent.replace(b"Talbot", b"talbot"),
        "damaged-profile": transparent.replace(b"mntr", b"scnr"),
        "damaged-alpha": transparent.replace(b"IDAT", b"IDAt").replace(b"VP8L", b"VP8X"),
        "cut": transparent[:-20],
        "padded": grey + bytes(5),
    }


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return compressor.compress(data) + compressor.flush()


def prefix() -> dict[str, bytes]:
    """Beginnings of golden files, the first byte saying how large the pieces are that they come in."""
    files = {path.parent.name: path.read_bytes() for path in GOLDEN.rglob("picture.calo")}
    cuts = {
        "regions-first-112x80": (20, 30, 60, 100),
        "regions-112x80": (90, 150),
        "rgb-24x24": (3, 17, 22, 25, 30, 38),
        "fine-64x64": (40, 200),
        "smaller-47x36": (60, 80),
        "grey-17x9": (45, 50),
        "palette-70x50": (100,),
    }
    truncated = {
        f"{name}-{cut}": bytes([6]) + files[name][:cut] for name, lengths in cuts.items() for cut in lengths
    }
    start = files["rgb-24x24"]
    return truncated | {
        "empty": b"",
        "whole": bytes([3]) + start,
        "transparent-cut": bytes([200]) + files["rgba-40x24"][:-20],
        "no-state": bytes([0]) + start[:22] + bytes(9),
        "wrong-word": bytes([4]) + start[:28] + b"\xff\xff",
        "trailing": bytes([4]) + start + bytes(4),
    }


def packets() -> dict[str, bytes]:
    """Recordings, the first byte saying whether the harness makes the checksums right."""
    file = bytes(range(200))
    sent = split(file, 50, 0.6, stream=5)
    other = split(file[:90], 50, 0.5, stream=5, head=False)
    payload = bytes(20)

    def lies(**fields: int) -> bytes:
        header = PacketHeader(**{"stream": 1, "data": 3, "head": 0, "index": 0} | fields)
        return write_recording([write_packet(header, payload)])

    recorded = write_recording(sent)
    return {
        "empty": b"",
        "whole": b"\0" + recorded,
        "backwards": b"\0" + write_recording(sent[::-1]),
        "losses": b"\0" + write_recording([*sent[1:3], *sent[5:]]),
        "two-streams": b"\0"
        + write_recording([packet for pair in zip(other, sent, strict=False) for packet in pair]),
        "damaged": b"\0" + recorded.replace(b"\x30\x31", b"\x30\x30"),
        "damaged-unseen": b"\1" + recorded.replace(b"\x30\x31", b"\x30\x30"),
        "cut": b"\0" + recorded[:-9],
        "length-0": b"\0" + recorded[:100] + bytes(2),
        "many-data": b"\0" + lies(data=2048, index=2047) + lies(data=2048, index=4095),
        "head-too-large": b"\0" + lies(head=200) + lies(data=300, head=200) + lies(data=300, head=128),
        "beyond-block": b"\0" + lies(index=4095) + lies(head=1, index=4095, head_repair=True),
        "one-packet": b"\0" + lies(data=1),
        "long-file": b"\1"
        + write_recording([bytes([17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 255, 255, 255, 255, 15])]),
    }


def patches() -> dict[str, bytes]:
    """Chunks of the golden files behind the size of their picture, and others that claim too much."""
    files = {}
    for path in GOLDEN.rglob("patches-*/picture.calo"):
        parsed = parse_file(path.read_bytes(), limits=Limits())
        data = chunk_data(parsed.chunks, ChunkType.PATCHES)
        assert data is not None
        files[path.parent.name] = bytes([parsed.header.width - 1, parsed.header.height - 1]) + data
    av1, vp8 = files["patches-luma-66x41"], files["patches-vp8-66x41"]
    huge = b"\xff\xff\xff\xff\x0f"
    return files | {
        "empty": b"",
        "no-rectangle": av1[:6],
        "cut": av1[: len(av1) // 2],
        "vp8-cut": vp8[: len(vp8) // 2],
        "vp8-no-key-frame": vp8[:14] + bytes([vp8[14] | 1]) + vp8[15:],
        "smaller-picture": b"\x20\x20" + av1[2:],
        "tools": av1[:10] + b"\x7f" + av1[11:],
        "reserved-tool": av1[:10] + b"\xff" + av1[11:],
        "luma-as-colour": av1[:3] + b"\0" + av1[4:],
        "av1-as-vp8": av1[:2] + b"\0" + av1[3:],
        "vp8-as-av1": vp8[:2] + b"\1" + vp8[3:],
        "huge": av1[:8] + huge + huge,
        "many": b"\xff\xff\1\0\0\xff" + bytes([3, 7, 0, 0]) * 256 + b"\x36frame",
        "overlapping": vp8[:5] + b"\2" + bytes([1, 1, 19, 4]) * 3 + vp8[14:],
        "codec-2": av1[:2] + b"\2" + av1[3:],
        "feather-64": av1[:4] + b"\x40" + av1[5:],
    }


TARGETS: dict[str, Callable[[], dict[str, bytes]]] = {
    "container": container,
    "decode": decode,
    "entropy": entropy,
    "packets": packets,
    "patches": patches,
    "prefix": prefix,
}


if __name__ == "__main__":
    for target in sys.argv[1:] or TARGETS:
        folder = CORPORA / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in TARGETS[target]().items():
            (folder / name).write_bytes(data)
