"""Wrong usage, and the ways to start the command line: one line on standard error, in walogs' own style."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import ENVIRONMENT, Walogs
from tests.house.source import ROOT


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (("verifi",), "`walogs` has no command verifi; did you mean verify? `walogs --help` shows"),
        (("Cat", "x"), "`walogs` has no command Cat; did you mean cat?"),
        (("config", "chk"), "`walogs config` has no command chk; did you mean check? `walogs config --help`"),
        (("--hlp",), "`walogs` has no option --hlp; did you mean --help?"),
        (("ls",), "`walogs` has no command ls. `walogs --help` shows what there is."),
        (("", "x"), "`walogs` has no command ''."),
        (("cat", "x", "--visibilty", "durable"), "`walogs cat` has no option --visibilty; did you mean --visibility?"),
        (("cat", "x", "--visibilty=durable"), "`walogs cat` has no option --visibilty; did you mean --visibility?"),
        (("cat", "x", "--JSON"), "`walogs cat` has no option --JSON; did you mean --json?"),
        (("cat", "x", "-5"), "`walogs cat` has no option -5."),
        (("cat", "x", "y"), "`walogs cat` has no place for 'y': leave it out, or quote a name that has spaces."),
        (("config", "check", "a", "b"), "`walogs config check` has no place for 'b'"),
        (("tail", "x", "-n", "0"), "-n '0': a whole number, 1 or more. `walogs tail --help` shows what there is."),
        (("tail", "x", "-n"), "-n needs a value after it (How many of the last entries)."),
        (("repair", "x", "--keep", "both"), "--keep takes before or after, not 'both'."),
        (("completion", "csh"), "SHELL takes bash or zsh or fish, not 'csh'."),
        (("conformance",), "`walogs conformance` needs NAME (Name of the component, as in a configuration"),
        (("checkpoint", "x"), "which entries are not needed any more? Say one of --lsn N, --cursors, --before TIME,"),
        (("checkpoint", "x", "--lsn", "--json"), "--lsn needs a value after it (The last entry"),
        (("checkpoint", "x", "--lns", "5"), "`walogs checkpoint` has no option --lns; did you mean --lsn?"),
        (("cat", "x", "--start", "1", "--start", "2"), "--start is given twice: leave one out."),
        (("cat", "x", "--json=5"), "--json takes no value: leave out =5."),
        (("cat", "x", "--from-time", "now"), "--from-time 'now': a time, as 2026-01-31T12:00:00."),
        (("cat", "x", "--st\x1b[31m\nb"), r"`walogs cat` has no option --st\x1b[31m b"),
        (("cat",), "which log? Name its directory"),
        (("backup", "x"), "DST is missing: name a directory that is new or empty"),
        (("backup", "--log", "x"), "DST is missing: name a directory that is new or empty"),
        (("cat", "x", "--start", "1.6"), "--start '1.6': a whole number, 1 or more."),
        (("tail", "x", "-n", "2.5"), "-n '2.5': a whole number, 1 or more."),
        (("bench", "--batch", "1e3"), "--batch '1e3': a whole number, 1 or more."),
        (("bench", "--seconds", "0"), "--seconds '0': more than 0 seconds, at most a day."),
        (("conformance", "crc32", "--examples", "0x10"), "--examples '0x10': a whole number, 1 or more."),
    ],
)
def test_wrong_usage_is_one_line(tokens: tuple[str, ...], said: str, command: Walogs) -> None:
    told = command(*tokens)
    assert (told.status, told.out) == (2, b"")
    assert told.line.startswith(f"walogs: {said}")
    assert "--help" in told.line, "the next move"
    for word in ("oken", "arameter", "nvalid", "onvert", ">=", "?.", ".."):
        assert word not in told.line, "that is the parser's word"


@pytest.mark.parametrize("path", ["s3://bucket/x.wal", "~/x.wal", "$HOME/x.wal"])
@pytest.mark.parametrize(
    "words",
    [
        "append PATH", "cat PATH", "tail PATH", "info PATH", "verify PATH", "doctor PATH", "repair PATH",
        "checkpoint PATH --lsn 1", "salvage PATH", "salvage x.wal --into PATH", "backup PATH y", "backup x.wal PATH",
        "bench PATH", "conformance crc32 --directory PATH",
    ],
)  # fmt: skip
def test_a_path_that_a_shell_did_not_make_a_directory_of_is_told_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, path: str, command: Walogs
) -> None:
    monkeypatch.chdir(tmp_path)
    told = command(*(path if word == "PATH" else word for word in words.split()))
    assert (told.status, told.out) == (1, b"")
    assert f"={path!r}: " in told.line
    assert "an address (s3://)" in told.line or "stands for no directory here: write the directory out" in told.line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("append PATH", "DIR"), ("append x --lines PATH", "--lines"), ("cat PATH", "DIR"), ("doctor PATH", "DIR"),
        ("backup PATH y", "SRC"), ("backup x PATH", "DST"), ("salvage x --into PATH", "--into"), ("bench PATH", "DIR"),
        ("cat --config PATH --log a", "--config"), ("config check --config PATH", "--config"),
        ("conformance crc32 --directory PATH", "--directory"),
    ],
)  # fmt: skip
def test_a_variable_that_is_not_set_does_not_name_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, name: str, command: Walogs
) -> None:
    monkeypatch.chdir(tmp_path)
    told = command(*("" if word == "PATH" else word for word in words.split()))
    assert (told.status, told.out) == (2, b"")
    assert told.line.startswith(f"walogs: {name} '': an empty path; is a variable not set?")


@pytest.mark.parametrize("address", ["s3:///bucket/orders", "s3://", "nats://", "://x", "s3://bucket//orders"])
def test_an_address_that_lacks_a_part_is_no_other_address_and_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, command: Walogs
) -> None:
    monkeypatch.chdir(tmp_path)
    told = command("append", address)
    assert (told.status, told.out) == (2, b"")
    assert told.line.startswith(f"walogs: DIR '{address}': an address that lacks a part; is a variable not set?")
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=300)


@pytest.mark.parametrize("tokens", [("--help",), ("cat", "nosuch")])
def test_as_a_module_it_is_the_same(tokens: tuple[str, ...], command: Walogs) -> None:
    """What succeeds and what fails, on either output, with the name of the program."""
    told, apart = started("-m", "walogs", *tokens), command.apart(*tokens)
    assert (told.returncode, told.stdout, told.stderr) == (apart.status, apart.out.decode(), apart.error)


def test_as_a_module_without_the_extra_it_says_what_to_install() -> None:
    program = "import runpy, sys; sys.modules['cyclopts'] = None; runpy.run_module('walogs', run_name='__main__')"
    told = started("-c", program)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.replace(os.linesep, "\n") == (
        f"walogs: the command line needs cyclopts: pip install '{ROOT}[cli]'\n"
    )
