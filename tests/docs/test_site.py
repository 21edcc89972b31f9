"""The site is complete: each page is in the index, each public name in the reference, and the picture can be made."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import walogs
import walogs.aio
import walogs.arrow
from tests.house.source import ROOT

DOCS: Final = ROOT / "docs"
DIRECTIVE: Final = re.compile(r"^\.\. auto(?:function|class|exception|data):: walogs\.([\w.]+)$", re.MULTILINE)
LINK: Final = re.compile(r"\]\(([\w./-]+\.md)\)")


def test_every_page_is_in_the_index() -> None:
    linked = LINK.findall((DOCS / "README.md").read_text(encoding="utf-8"))
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert pages - set(linked) == set()
    assert [link for link in linked if not (DOCS / link).is_file()] == []


def test_every_decision_is_in_the_list_of_decisions() -> None:
    linked = LINK.findall((DOCS / "decisions" / "README.md").read_text(encoding="utf-8"))
    assert linked == sorted(path.name for path in DOCS.glob("decisions/0*.md"))


def test_every_public_name_is_in_the_api_reference_once() -> None:
    named = DIRECTIVE.findall((DOCS / "api.md").read_text(encoding="utf-8"))
    modules = {
        "aio": walogs.aio,
        "arrow": walogs.arrow,
        "events": walogs.events,
        "plugins": walogs.plugins,
        "types": walogs.types,
    }
    public = set(walogs.__all__)
    for module, owner in modules.items():
        public |= {f"{module}.{name}" for name in owner.__all__ if module in ("aio", "arrow") or name not in public}
    assert sorted(named) == sorted(public)


def test_the_picture_of_info_can_be_made(tmp_path: Path) -> None:
    made = tmp_path / "info.svg"
    runpy.run_path(str(DOCS / "pictures" / "make.py"))["make_picture"](made)
    for picture in (made, DOCS / "pictures" / "info.svg"):
        shown = "".join(ElementTree.parse(picture).getroot().itertext()).replace("\u00a0", " ")
        assert "walogs info orders.wal" in shown
        assert "wal-000003.log" in shown
        assert "damaged at byte" in shown
        assert "walogs salvage orders.wal" in shown
        assert "/tmp" not in shown
