import sys
from pathlib import Path

import pytest

from benchmarks.serve_load import Answer, main, table

pytest.importorskip("uvicorn", reason="needs pip install 'calotype[web]'")


def test_table_sorts_answers_by_request_and_status() -> None:
    answers = [Answer("encode", 200, second) for second in (3.0, 1.0, 2.0)] + [Answer("decode", 0, 9.0)]
    assert table(answers).splitlines()[2:] == [
        "| decode | none | 1 | 9.00 | 9.00 | 9.00 |",
        "| encode | 200 | 3 | 2.00 | 3.00 | 3.00 |",
    ]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and the addresses 127.0.0.*")
def test_every_client_gets_its_results(tmp_path: Path) -> None:
    main(["--clients", "3", "--rounds", "1", "--model", "tiny", "--out", str(tmp_path / "serve.md")])
    text = (tmp_path / "serve.md").read_text("utf-8")
    assert "| encode | 200 | 3 |" in text and "| decode | 200 | 3 |" in text
    assert "All 6 results after" in text and " MB at most" in text
