"""What the README shows, works; what it says of the options, is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final

from tests.docs.plugin_pages import check_page
from walogs_zstd import ZstdOptions

README: Final = Path(__file__).parents[1] / "README.md"


def test_its_blocks_run(tmp_path: Path) -> None:
    check_page(README, tmp_path)


def test_its_table_has_every_option_with_its_default() -> None:
    page = README.read_text(encoding="utf-8")
    for option in fields(ZstdOptions):
        assert f"| `{option.name}` | `{option.default!r}` |" in page
