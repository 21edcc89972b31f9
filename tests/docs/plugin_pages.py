"""The README of a plugin: its Python and its commands run, and its TOML names options that there are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tests.docs.blocks import NOT_RUN, Block, Page, blocks
from walogs import registry


def run_page(path: Path, directory: Path) -> list[Block]:
    """Its blocks, all of which ran. Raises what one raises."""
    page = Page(path, directory, list(blocks(path.read_text(encoding="utf-8"))))
    for index in range(len(page.blocks)):
        page.run(index)
    hidden = [block.line for block in page.blocks if block.language in NOT_RUN]
    assert not hidden, f"{path} has blocks that nothing runs: {hidden}"
    return page.blocks


def check_page(path: Path, directory: Path) -> None:
    """Raises what a block raises. A page that shows no program or no TOML is a mistake."""
    found = run_page(path, directory)
    languages = {block.language for block in found}
    assert {"python", "toml"} <= languages, f"{path} shows {languages}"
    for block in found:
        if block.language == "toml":
            for log in tomllib.loads(block.text)["log"].values():
                check_codec(log["codec"])


def check_codec(said: str | dict[str, Any]) -> None:
    """`codec = "zstd"`, or a table with `use` and the options beside it, gives a codec."""
    options = {} if isinstance(said, str) else dict(said)
    name = said if isinstance(said, str) else options.pop("use")
    dataclass = registry.options("codec", name)
    assert registry.made("codec", name, options=dataclass(**options)).name == name
