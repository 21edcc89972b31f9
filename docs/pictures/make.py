"""Make the picture of `walogs info` that the README shows: `uv run python docs/pictures/make.py`.

The script makes a log, flips one bit in the middle of it, and takes what `walogs info` shows on a terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

import walogs

COLUMNS: Final = 104
PICTURE: Final = Path(__file__).with_name("info.svg")


def make_damaged_log(path: Path) -> None:
    """Make a log of five segments, checkpoint some of its entries, and flip a bit in the third segment."""
    with walogs.open(path, max_segment_size=32 * 1024, sync="none") as wal:
        for number in range(900):
            wal.append(f"order {number}: one tea, two cups and a little milk, please".encode())
        wal.checkpoint(100)
    segment = path / "wal-000003.log"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)


def show_on_a_terminal(directory: Path, *command: str) -> str:
    """Run a command of walogs in *directory*, and return what it writes to a terminal."""
    terminal, command_s_end = os.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "walogs", *command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=command_s_end,
        stderr=subprocess.DEVNULL,
    ):
        os.close(command_s_end)
        shown = b""
        try:
            while piece := os.read(terminal, 65_536):
                shown += piece
        except OSError:  # Linux says EIO when the command has closed its end
            pass
    os.close(terminal)
    return shown.decode().replace("\r\n", "\n")


def make_picture(path: Path) -> None:
    """Write the picture to *path*, as SVG."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        make_damaged_log(directory / "orders.wal")
        shown = show_on_a_terminal(directory, "info", "orders.wal").replace(f"{directory}{os.sep}", "")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print("$ walogs info orders.wal")
        console.print(Text.from_ansi(shown))
        svg = console.export_svg(title="walogs", unique_id="walogs-info")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # a picture loads nothing from other hosts
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make_picture(PICTURE)
