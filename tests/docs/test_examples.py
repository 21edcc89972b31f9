"""Every code block of README.md and docs/ runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import NOT_RUN, SHELL, Block, Command, Page, blocks, commands
from tests.house.source import ROOT

README: Final = ROOT / "README.md"
PAGES: Final = {
    path: list(blocks(path.read_text(encoding="utf-8")))
    for path in (README, *sorted(ROOT.glob("docs/**/*.md")))
    if path.is_file()
}


PLUGIN_PAGE: Final = "writing-a-plugin.md"


def runs(block: Block) -> bool:
    return block.language == "python" or (block.language in SHELL and any(commands(block)))


EXAMPLES: Final = [
    pytest.param(path, index, id=f"{path.relative_to(ROOT)}:{block.line}")
    for path, found in PAGES.items()
    for index, block in enumerate(found)
    if runs(block)
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """One directory and one set of names for each page: a block may use what those above it have made."""
    return {path: Page(path, tmp_path_factory.mktemp(path.stem), found) for path, found in PAGES.items()}


@pytest.mark.parametrize(("path", "index"), EXAMPLES)
def test_the_block_runs(path: Path, index: int, pages: dict[Path, Page], monkeypatch: pytest.MonkeyPatch) -> None:
    if path.name == PLUGIN_PAGE:  # it uses the plugin that it writes
        monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    pages[path].run(index)


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
    page(tmp_path, f"```python\n{made}\n```\n```python\n{used}\n```\n").run(1)
    assert (tmp_path / "x").exists()
    assert Path.cwd() == before


def test_a_block_that_fails_fails_whatever_ran_first(tmp_path: Path) -> None:
    texts = ("1 / 0", "assert True", "unknown")
    broken = page(tmp_path, "text\n" + "".join(f"```python no-run\n{text}\n```\n" for text in texts))
    broken.run(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError) as raised:
            broken.run(0)
        assert raised.traceback[-1].lineno == 2  # counted from 0: the page's third line
    with pytest.raises(NameError):
        broken.run(2)


@pytest.fixture
def walogs(tmp_path: Path) -> Path:
    """A stand-in for the command: it fails at `broken` and writes down what else it was asked."""
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
    shell.run(0)
    shell.run(1)
    assert walogs.read_text().splitlines() == ["demo", "append x --lines y", "info x", "cat x"]
    assert [command.line for block in shell.blocks for command in commands(block)] == [2, 5, 5, 9]


def test_a_command_must_give_the_status_that_the_page_shows(tmp_path: Path, walogs: Path) -> None:
    def run(text: str) -> None:
        page(tmp_path, f"```console\n{text}\n```\n").run(0)

    run("$ walogs broken x\nwalogs: says why\n$ echo $?\n3")
    for wrong in ("broken x", "broken | cat", "broken\n$ echo $?\n1", "info\n$ echo $?\n3"):
        with pytest.raises(AssertionError, match=r"page\.md:2: `walogs .*` gave"):
            run(f"$ walogs {wrong}")
    with pytest.raises(AssertionError):
        run("$ walogs broken\n$ walogs broken\n$ echo $?\n3")
    assert walogs.exists()


def test_a_command_is_this_interpreters_walogs(tmp_path: Path) -> None:
    at_hand = page(tmp_path, "")
    at_hand.run_command(Command(1, 'test "$(command -v walogs)" = "$PWD/.scripts/walogs"', 0))
    assert sys.executable in (tmp_path / ".scripts" / "walogs").read_text()
