import numpy as np

from scripts.demo import Entry, side_by_side, table

GREY = np.full((40, 60, 3), 128, np.uint8)
ENTRIES = [
    Entry("Original", GREY, GREY.size, ", uncompressed"),
    Entry(
        "Calotype", GREY + np.uint8(5), 150, figures={"psnr": 34.151, "ssimulacra2": -12.34, "lpips": None}
    ),
    Entry("JPEG", GREY, 300, ", its smallest"),
    Entry("WebP", GREY // 2, 150),
]


def test_labels_give_bytes_and_say_when_a_codec_cannot_go_so_low() -> None:
    assert [entry.label for entry in ENTRIES[:3]] == [
        "Original: 7,200 bytes, uncompressed",
        "Calotype: 150 bytes",
        "JPEG: 300 bytes, its smallest",
    ]


def test_the_table_names_every_codec_with_its_figures() -> None:
    lines = [line.split() for line in table(ENTRIES).splitlines()]
    assert lines[0] == ["bytes", "bpp", "ratio", "PSNR", "SSIMULACRA2"]  # LPIPS was not measured
    assert lines[2] == ["Calotype", "150", "0.500", "48", ":", "1", "34.15", "-12.3"]
    assert lines[3][-4:] == ["-", "-,", "its", "smallest"]


def test_every_picture_is_on_the_sheet() -> None:
    sheet = np.asarray(side_by_side(ENTRIES))
    for entry in ENTRIES:
        assert (sheet == entry.rgb[0, 0]).all(axis=2).sum() >= 40 * 60
