"""The core stays small enough to be read in an afternoon."""

from __future__ import annotations

from pathlib import Path

from tests.house.source import ROOT, sources

LINES_MAX = 2_000


def lines(folders: tuple[str, ...], root: Path = ROOT) -> int:
    """Lines of the Python files below these folders, comments, docstrings and blank lines included."""
    return sum(len(text.splitlines()) for folder in folders for text in sources(folder, root).values())


def test_engine_and_formats_stay_under_two_thousand_lines() -> None:
    assert lines(("walogs/engine", "walogs/formats")) < LINES_MAX


def test_every_line_of_every_file_counts(tmp_path: Path) -> None:
    (tmp_path / "a" / "deeper").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.py").write_text("# comment\n\nx = 1\n")
    (tmp_path / "a" / "deeper" / "y.py").write_text('"""Says."""\n')
    (tmp_path / "b" / "z.py").write_text("z = 1")
    assert lines(("a", "b"), tmp_path) == 5
