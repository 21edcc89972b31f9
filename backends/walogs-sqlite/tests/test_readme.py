"""Every code block of README.md runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.docs.blocks import blocks
from tests.docs.plugin_pages import run_page

README: Final = Path(__file__).parents[1] / "README.md"


def test_every_block_runs(tmp_path: Path) -> None:
    assert sum(block.language == "python" for block in run_page(README, tmp_path)) >= 2


def test_the_tables_shown_are_the_tables_made() -> None:
    from walogs_sqlite import cursors, database

    shown = [block.text for block in blocks(README.read_text(encoding="utf-8")) if block.language == "sql"]
    assert ["".join(text.split()) for text in shown] == ["".join(t.split()) for t in (database.TABLE, cursors.TABLE)]
    text = README.read_text(encoding="utf-8")
    assert f"0x{database.APPLICATION_ID:X}" in text
    assert f"`user_version` {database.USER_VERSION}" in text
