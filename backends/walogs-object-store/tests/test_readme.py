"""Every code block of README.md runs."""

from __future__ import annotations

from pathlib import Path

from tests.docs.plugin_pages import run_page


def test_every_block_runs(tmp_path: Path) -> None:
    blocks = run_page(Path(__file__).parents[1] / "README.md", tmp_path)
    assert sum(block.language == "python" for block in blocks) == 1
