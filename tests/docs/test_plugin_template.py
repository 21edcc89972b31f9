"""The page that explains the template plugin shows all of its files. They are enough to make a plugin elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT, project_files
from tests.kit.wheels import CleanEnvironment, call

FOLDER: Final = ROOT / "plugins" / "walogs-template"
PAGE: Final = (ROOT / "docs" / "writing-a-plugin.md").read_text("utf-8")
INSTALLING: Final = "CLONE=~/walogs\n"
"""The first line of the commands that install and test the plugin of the page."""
SHOWN: Final = dict(re.findall(r"^```\w+\n# ([\w./-]+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
"""The files that the page shows: their texts, by their paths."""


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


def test_the_page_lists_every_file_there_is() -> None:
    (listed,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    files = [file.relative_to(FOLDER).as_posix() for file in project_files(FOLDER)]
    assert listed.splitlines() == [name for name in files if name not in ("CHANGELOG.md", "LICENSE", "README.md")]


def write_files(directory: Path, word: str) -> None:
    """Write the files of the page for a plugin with the name *word*."""
    for name, text in SHOWN.items():
        file = directory / name.replace("template", word)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("template", word).replace("Template", word.title()), "utf-8")
    for empty in ("__init__.py", "py.typed"):
        (directory / f"walogs_{word}" / empty).touch()


def clone_with(directory: Path) -> Path:
    """Return a folder inside a directory that pytest takes for a clone of walogs."""
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, directory / name)
    return directory / "theirs"


@pytest.mark.parametrize("is_in_a_clone", [False, True], ids=["elsewhere", "in a clone"])
def test_the_plugins_test_runs_wherever_its_directory_is(is_in_a_clone: bool, tmp_path: Path) -> None:
    """The environment of a stranger does not have the pytest plugins that the settings of walogs need."""
    theirs = clone_with(tmp_path) if is_in_a_clone else tmp_path / "theirs"
    write_files(theirs, "shifting")
    lacking = [word for name in ("xdist", "timeout", "randomly") for word in ("-p", f"no:{name}")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *lacking, "-p", "no:cacheprovider"],
        cwd=theirs,
        env={**os.environ, "PYTHONPATH": f"{theirs}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\b[1-9]\d* passed", ran.stdout), ran.stdout


@pytest.mark.wheel
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_in_a_clone", [False, True], ids=["elsewhere", "in a clone"])
def test_the_pages_own_commands_install_and_test_the_plugin(
    is_in_a_clone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    theirs = clone_with(tmp_path) if is_in_a_clone else tmp_path / "theirs"
    write_files(theirs, "template")
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    typed = "".join(blocks)
    assert typed.startswith(INSTALLING)
    told = call(theirs, "bash", "-ec", typed.replace(INSTALLING, f"CLONE={shlex.quote(str(ROOT))}\n", 1))
    assert re.search(r"\b[1-9]\d* passed, \d+ skipped in", told), told
    assert re.search(r"codec template: [1-9]\d* passed, 0 failed", told), told
    assert re.search(r"^codec +template +walogs-template", told, re.MULTILINE), told


@pytest.mark.wheel
@pytest.mark.timeout(600)
def test_the_page_alone_makes_a_plugin_of_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the page, under another name, are built, installed, chosen in a file and tested by the contract."""
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    theirs = tmp_path / "elsewhere"
    write_files(theirs, "shifting")
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
