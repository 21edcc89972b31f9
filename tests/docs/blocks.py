"""Run the code blocks of a Markdown page as a reader would: from the top down, in one directory for the page."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT
from walogs.cli.app import run

FENCE: Final = re.compile(r"( *)(`{3,}|~{3,}) *([^`]*)")
FILE: Final = re.compile(r"# (\w+\.(?:toml|py))\n")
"""The first line of a block that is a file. The other blocks of the page run beside it."""
SHELL: Final = frozenset({"bash", "console"})
NOT_RUN: Final = frozenset({"py", "pycon", "python3", "sh", "shell", "zsh"})
"""Other names of the same languages. A block with one of these names would not be run."""

SHELL_SIGNS: Final = frozenset("|&;<>$`*?")
"""A command with one of these needs a shell."""
OURS: Final = re.compile(r"(?:uv run )?(walogs(?: .*)?)")


@dataclass(frozen=True)
class Block:
    line: int
    """The number of its first line of code. The first line of the page is 1."""
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    line: int
    shell: str
    status: int
    """The exit status that the page shows with `$ echo $?`, or 0."""


def blocks(page: str) -> Iterator[Block]:
    """Yield every fenced block, in order. Words after the name of the language have no effect."""
    lines = iter(enumerate(page.splitlines(), start=1))
    for number, line in lines:
        if opening := FENCE.fullmatch(line):
            indent, fence, label = len(opening[1]), opening[2], opening[3].split()
            content = []
            for _, inner in lines:
                if re.fullmatch(rf" *{fence[0]}{{{len(fence)},}} *", inner):
                    break
                content.append(inner[indent:] if not inner[:indent].strip() else inner)
            yield Block(number + 1, label[0].lower() if label else "", "\n".join(content) + "\n")


def commands(block: Block) -> Iterator[Command]:
    """Yield the walogs commands of a shell block. In `console`, a line that does not begin with `$ ` is output."""
    lines = block.text.replace("\\\n", "\0").splitlines()
    for index, line in enumerate(lines):
        if line.startswith("$ ") or block.language == "bash":
            typed = line.removeprefix("$ ").replace("\0", " ").strip()
            where = block.line + "\n".join(lines[:index]).count("\0") + index
            for part in typed.split(" && "):
                if ours := OURS.fullmatch(part.strip()):
                    yield Command(where, ours[1], shown_status(lines[index + 1 :]))


def shown_status(following: list[str]) -> int:
    """Return the status that `$ echo $?` prints before the next command, or 0."""
    for line, after in pairwise(following):
        if line.strip() == "$ echo $?":
            return int(after)
        if line.startswith("$ "):
            break
    return 0


@dataclass
class Page:
    """The blocks of one page, and the results of those that have run."""

    path: Path
    directory: Path
    """The directory in which its code runs."""
    blocks: list[Block]
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})
    is_in_process: bool = False
    """Whether its plain commands run in this process. To start one takes longer than what most commands do."""

    def run(self) -> None:
        """Run all blocks in order, also after one that has failed. Then raise all errors together."""
        errors: list[BaseException] = []
        for block in self.blocks:
            try:
                self.run_block(block)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (it is raised below)
                errors.append(error)
        if errors:
            raise BaseExceptionGroup(f"{len(errors)} blocks of {self.path.name} failed", errors)

    def run_block(self, block: Block) -> None:
        if block.language in ("python", "toml") and (named := FILE.match(block.text)):
            (self.directory / named[1]).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            self.run_python(block)
        elif block.language in SHELL:
            for command in commands(block):
                self.run_command(command)

    def run_python(self, block: Block) -> None:
        # The blank lines in front give a traceback the page's own line numbers.
        text = "\n" * (block.line - 1) + block.text
        code = compile(text, str(self.path), "exec", dont_inherit=True)
        before = Path.cwd()
        os.chdir(self.directory)
        sys.path.insert(0, str(self.directory))  # as Python does for a program there
        try:
            exec(code, self.names)
        finally:
            sys.path.remove(str(self.directory))
            os.chdir(before)

    def run_command(self, command: Command) -> None:
        if self.is_in_process and not SHELL_SIGNS.intersection(command.shell):
            status = self.run_here(shlex.split(command.shell)[1:])
            assert status == command.status, self.told(command, status)
            return
        scripts = self.directory / ".scripts"
        if not scripts.exists():
            write_walogs(scripts)
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command.shell],
            cwd=self.directory,
            env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == command.status, f"{self.told(command, ran.returncode)}\n{ran.stdout}{ran.stderr}"

    def run_here(self, tokens: list[str]) -> int:
        """Run a command in this process, in the directory of the page and without any input. Return its status."""
        with contextlib.chdir(self.directory), open(os.devnull) as nothing, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", nothing)
            return run(tokens)

    def told(self, command: Command, status: int) -> str:
        return f"{self.path.name}:{command.line}: `{command.shell}` gave {status}, not {command.status}"


def write_walogs(scripts: Path) -> None:
    """Write the command `walogs` that the page uses. It runs in this interpreter, whatever else is on the PATH."""
    scripts.mkdir()
    program = "import sys; from walogs.cli import main; sys.argv[0] = 'walogs'; sys.exit(main())"
    (scripts / "walogs").write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", program])} "$@"\n')
    (scripts / "walogs").chmod(0o755)
