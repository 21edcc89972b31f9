"""Check the README of a plugin: its Python and its commands run, and its TOML names existing options."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tests.docs.blocks import NOT_RUN, Block, Page, blocks
from walogs.assembly import registry


def run_page(path: Path, directory: Path) -> list[Block]:
    """Run all blocks of the page, and return them. Raise the errors of those that fail."""
    page = Page(path, directory, list(blocks(path.read_text(encoding="utf-8"))))
    page.run()
    hidden = [block.line for block in page.blocks if block.language in NOT_RUN]
    assert not hidden, f"{path} has blocks that nothing runs: {hidden}"
    return page.blocks


def check_page(path: Path, directory: Path) -> None:
    """Run all blocks, and check the codecs of the TOML blocks. A page without a program or without TOML fails."""
    found = run_page(path, directory)
    languages = {block.language for block in found}
    assert {"python", "toml"} <= languages, f"{path} shows {languages}"
    for block in found:
        if block.language == "toml":
            for log in tomllib.loads(block.text)["log"].values():
                check_codec(log["codec"])


def check_codec(said: str | dict[str, Any]) -> None:
    """Check that `codec = "zstd"`, or a table with `use` and options, leads to a codec of that name."""
    options = {} if isinstance(said, str) else dict(said)
    name = said if isinstance(said, str) else options.pop("use")
    dataclass = registry.options("codec", name)
    assert registry.make("codec", name, options=dataclass(**options)).name == name
