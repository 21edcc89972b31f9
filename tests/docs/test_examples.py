"""Every code block of README.md and of docs/ runs."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import FILE, NOT_RUN, SHELL, Block, Command, Page, blocks, commands
from tests.house.source import ROOT

README: Final = ROOT / "README.md"
PAGES: Final = {
    path: list(blocks(path.read_text(encoding="utf-8")))
    for path in (README, *sorted(ROOT.glob("docs/**/*.md")))
    if path.is_file()
}


BACKEND_PAGE: Final = "testing-a-backend.md"
PLUGIN_PAGE: Final = "writing-a-plugin.md"


def runs(block: Block) -> bool:
    return block.language == "python" or (block.language in SHELL and any(commands(block)))


EXAMPLES: Final = [
    pytest.param(path, id=str(path.relative_to(ROOT)))
    for path, found in PAGES.items()
    if any(runs(block) for block in found)
]


@pytest.mark.parametrize("path", EXAMPLES)
def test_every_block_of_the_page_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has one directory and one set of names, so that a block can use the results of those above it.

    The commands of the README, and those of the page that installs a plugin, are processes of their own.
    """
    if path.name == PLUGIN_PAGE:  # the page uses the plugin that it writes
        monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    Page(path, tmp_path, PAGES[path], is_in_process=path.name not in (README.name, PLUGIN_PAGE)).run()


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=f"line {block.line}") for block in PAGES[README] if block.language == "python"],
)
def test_a_python_block_of_the_readme_runs_alone(block: Block, tmp_path: Path) -> None:
    """A reader who copies one block does not copy those above it."""
    (tmp_path / "program.py").write_text(block.text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_readme_shows_what_its_first_program_prints(tmp_path: Path) -> None:
    program, output = next(
        (block, after)
        for block, after in pairwise(PAGES[README])
        if block.language == "python" and after.language == "text"
    )
    (tmp_path / "program.py").write_text(program.text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == output.text


def test_the_files_of_the_page_on_backends_are_a_store_and_its_test(tmp_path: Path) -> None:
    """A stranger has the two files, and nothing else of the page."""
    for block in PAGES[ROOT / "docs" / BACKEND_PAGE]:
        if named := FILE.match(block.text):
            (tmp_path / named[1]).write_text(block.text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "test_dict_store.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    assert "needs crash(place, rng)" in ran.stdout, "why a check is skipped"


def test_the_readme_shows_a_program_and_a_command() -> None:
    assert README in PAGES, "README.md is missing"
    assert {"python"} < {block.language for block in PAGES[README] if runs(block)}


def test_no_block_hides_under_a_language_that_is_not_run() -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{block.line} is `{block.language}`"
        for path, found in PAGES.items()
        for block in found
        if block.language in NOT_RUN
    ]
    assert hidden == []


def page(tmp_path: Path, text: str) -> Page:
    return Page(tmp_path / "page.md", tmp_path, list(blocks(text)))


def test_fences_of_every_kind_are_read_to_their_own_end() -> None:
    text = """\
```python no-run
a
```
- in a list:
  ```python
  if b:
      c
  ```
~~~ console
$ walogs info x
```
~~~
````python
d = '''
```
'''
````
```
plain
```
```toml
never = "closed"
"""
    found = [(block.line, block.language, block.text) for block in blocks(text)]
    assert found == [
        (2, "python", "a\n"),
        (6, "python", "if b:\n    c\n"),
        (10, "console", "$ walogs info x\n```\n"),
        (14, "python", "d = '''\n```\n'''\n"),
        (19, "", "plain\n"),
        (22, "toml", 'never = "closed"\n'),
    ]


def test_blocks_of_a_page_share_names_and_a_directory(tmp_path: Path) -> None:
    before = Path.cwd()
    made, used = "from pathlib import Path\nPath('x').touch()", "assert Path('x').exists()"
    page(tmp_path, f"```python\n{made}\n```\n```python\n{used}\n```\n").run()
    assert (tmp_path / "x").exists()
    assert Path.cwd() == before


def test_every_block_that_fails_is_named_and_the_others_run(tmp_path: Path) -> None:
    texts = ("1 / 0", "ran = True", "unknown")
    broken = page(tmp_path, "text\n" + "".join(f"```python no-run\n{text}\n```\n" for text in texts))
    with pytest.raises(ExceptionGroup) as raised:
        broken.run()
    lines = {type(error): traceback.extract_tb(error.__traceback__)[-1].lineno for error in raised.value.exceptions}
    assert lines == {ZeroDivisionError: 3, NameError: 9}
    assert broken.names["ran"]


@pytest.fixture
def walogs(tmp_path: Path) -> Path:
    """A stand-in for the command `walogs`. It fails at `broken`, and writes its other arguments into a file."""
    scripts = tmp_path / ".scripts"
    scripts.mkdir()
    (scripts / "walogs").write_text('#!/bin/sh\n[ "$1" != broken ] || exit 3\necho "$@" >> asked\n')
    (scripts / "walogs").chmod(0o755)
    return tmp_path / "asked"


def test_only_walogs_commands_are_run(tmp_path: Path, walogs: Path) -> None:
    text = """\
```console
$ pip install uv && uv run walogs demo
walogs output
$ rm -rf everything
$ walogs append x \\
    --lines y && walogs info x | cat
```
```bash
walogs cat x
uv run pytest
```
"""
    shell = page(tmp_path, text)
    shell.run()
    assert walogs.read_text().splitlines() == ["demo", "append x --lines y", "info x", "cat x"]
    assert [command.line for block in shell.blocks for command in commands(block)] == [2, 5, 5, 9]


def test_a_command_must_give_the_status_that_the_page_shows(tmp_path: Path, walogs: Path) -> None:
    def run(text: str) -> None:
        page(tmp_path, f"```console\n{text}\n```\n").run()

    run("$ walogs broken x\nwalogs: says why\n$ echo $?\n3")
    for wrong in ("broken x", "broken | cat", "broken\n$ echo $?\n1", "info\n$ echo $?\n3"):
        with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match=r"page\.md:2: `walogs .*` gave")):
            run(f"$ walogs {wrong}")
    with pytest.RaisesGroup(AssertionError):
        run("$ walogs broken\n$ walogs broken\n$ echo $?\n3")
    assert walogs.exists()


def test_a_command_is_this_interpreters_walogs(tmp_path: Path) -> None:
    at_hand = page(tmp_path, "")
    at_hand.run_command(Command(1, 'test "$(command -v walogs)" = "$PWD/.scripts/walogs"', 0))
    assert sys.executable in (tmp_path / ".scripts" / "walogs").read_text()
