"""What the README shows, works; what it says of the options, is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from tests.docs.plugin_pages import check_page
from walogs_aead import AeadOptions

README: Final = Path(__file__).parents[1] / "README.md"


def test_its_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALOGS_AEAD_KEY", "")  # the page sets it: what it was comes back after this test
    check_page(README, tmp_path)


def test_its_table_has_every_option_with_its_default() -> None:
    page = README.read_text(encoding="utf-8")
    for option in fields(AeadOptions):
        default = (
            ""
            if option.default is None
            else f"`{json.dumps(option.default) if isinstance(option.default, str) else option.default}`"
        )
        assert f"| `{option.name}` | {default} |".replace("|  |", "| |") in page
