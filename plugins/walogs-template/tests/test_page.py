"""The page that explains this plugin shows its files, and those alone make a plugin elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT
from tests.wheels import CleanEnvironment, call

FOLDER: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "writing-a-plugin.md").read_text("utf-8")
SHOWN: Final = dict(re.findall(r"^```\w+\n# ([\w./-]+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
"""Every file of the page, by its path."""


def test_the_page_shows_the_files_as_they_are() -> None:
    assert set(SHOWN) == {
        "walogs_template/codec.py",
        "walogs_template/plugin.py",
        "pyproject.toml",
        "tests/test_contract.py",
        "walogs.toml",
    }
    for name, text in SHOWN.items():
        if name != "walogs.toml":
            assert (FOLDER / name).read_text("utf-8") == text, name
    for empty in ("__init__.py", "py.typed"):
        assert (FOLDER / "walogs_template" / empty).read_text("utf-8") == ""


@pytest.mark.wheel
@pytest.mark.timeout(600)
def test_the_page_alone_makes_a_plugin_of_a_stranger(tmp_path: Path) -> None:
    """Its blocks, renamed, elsewhere: built, installed, chosen in a file, held to the contract, reopened."""
    theirs = tmp_path / "elsewhere"
    for name, text in SHOWN.items():
        file = theirs / name.replace("template", "shifting")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("template", "shifting").replace("Template", "Shifting"), "utf-8")
    for empty in ("__init__.py", "py.typed"):
        (theirs / "walogs_shifting" / empty).touch()
    clean = CleanEnvironment(tmp_path, extras="cli,testing")
    clean.install(str(theirs))
    (tmp_path / "walogs.toml").write_text((theirs / "walogs.toml").read_text("utf-8"))
    for number in (1, 2):
        clean.run(f"""
import walogs, walogs_shifting
assert all("site-packages" in module.__file__ for module in (walogs, walogs_shifting))
with walogs.open_config("walogs.toml", log="orders") as wal:
    assert wal.append(b"HAL") == {number}
with walogs.reader("orders.wal") as reader:
    assert list(reader) == [(lsn, b"HAL") for lsn in range(1, {number} + 1)]
""")
    assert b"HAL" not in (tmp_path / "orders.wal" / "wal-000001.log").read_bytes()
    assert "walogs-shifting" in clean.walogs("plugins")
    clean.conformance("shifting", "--option", "by=7")
    python = str(tmp_path / "venv" / "bin" / "python")
    assert "passed" in call(theirs, python, "-m", "pytest", "-q", "tests", "-p", "no:cacheprovider")
