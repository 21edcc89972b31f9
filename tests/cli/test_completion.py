"""`walogs completion SHELL` prints a script with which that shell completes commands, options and their values."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import Walogs
from walogs.cli.app import app


def script_in(directory: Path, shell: str, name: str, command: Walogs) -> Path:
    told = command("completion", shell)
    assert (told.status, told.error) == (0, "")
    (directory / name).write_bytes(told.out)
    return directory / name


def ran(shell: str, *arguments: str | Path) -> str:
    """What that shell prints; it reads no file of whoever runs the tests."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} on this machine")
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    told = subprocess.run([found, *quiet, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert (told.returncode, told.stderr) == (0, ""), told.stderr
    return told.stdout


@pytest.fixture
def script(tmp_path: Path, command: Walogs) -> Path:
    return script_in(tmp_path, "bash", "walogs.bash", command)


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of *words*, as it calls the function that `complete` has registered."""
    typed = ["walogs", *words]
    lines = [
        f'eval "$(cat {shlex.quote(str(script))})"',
        "set -- $(complete -p walogs)",  # complete -F FUNCTION walogs
        'called="$3"',
        f"COMP_WORDS=({shlex.join(typed)})",
        f"COMP_CWORD={len(words)}",
        f'"$called" walogs {shlex.quote(typed[-1])} {shlex.quote(typed[-2])}',
        'for found in "${COMPREPLY[@]}"; do echo "$found"; done',
    ]
    return ran("bash", "-c", "\n".join(lines)).split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ver",), ["verify"]),
        (("be",), ["bench"]),
        (("config", ""), ["check", "show"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("verify", "--js"), ["--json"]),
        (("bench", "--thr"), ["--threads"]),
        (("cat", "x.wal", "--visibility", ""), ["durable", "written"]),
        (("cat", "x.wal", "--store", ""), ["local"]),
        (("append", "x.wal", "--codec", "c"), ["crc32"]),
        (("bench", "--store", "lo"), ["local"]),
        (("nosuch",), []),
    ],
)
def test_bash_completes(words: tuple[str, ...], offered: list[str], script: Path) -> None:
    assert completed(script, *words) == offered


def test_bash_completes_every_command_and_some_option_of_each(script: Path) -> None:
    names = {name for name in app if not name.startswith("-")}
    assert set(completed(script, "")) == names
    for name in names:
        assert "--help" in completed(script, name, "--"), name


def test_offering_the_names_of_components_refuses_no_other_afterwards(script: Path, command: Walogs) -> None:
    del script
    told = command("cat", "x.wal", "--store", "nosuch")
    assert told.line.startswith("walogs: store='nosuch': no such store")


def test_bash_completes_the_directory_of_a_log(script: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.wal").mkdir()
    assert completed(script, "info", f"{tmp_path}/or") == [f"{tmp_path}/orders.wal"]


def test_zsh_finds_it_under_the_name_that_the_help_says(tmp_path: Path, command: Walogs) -> None:
    script_in(tmp_path, "zsh", "_cyclopts_walogs", command)
    assert b"_cyclopts_walogs" in command("completion", "--help").out
    lines = [f"fpath=({shlex.quote(str(tmp_path))} $fpath)", "autoload -Uz compinit", "compinit -D -u"]
    found = ran("zsh", "-c", "\n".join((*lines, "print $_comps[walogs]")))
    assert found == "_cyclopts_walogs\n"


def test_fish_completes(tmp_path: Path, command: Walogs) -> None:
    script = script_in(tmp_path, "fish", "walogs.fish", command)
    found = ran("fish", "-c", f"source {shlex.quote(str(script))}; complete -C 'walogs ver'")
    assert found.split("\t")[0] == "verify"


@pytest.mark.parametrize("tokens", [(), ("tcsh",)])
def test_another_shell_is_wrong_usage(tokens: tuple[str, ...], command: Walogs) -> None:
    told = command("completion", *tokens)
    assert (told.status, told.out) == (2, b"")


def test_the_script_is_text_for_any_terminal(command: Walogs) -> None:
    told = command.apart("completion", "zsh", before="import os; os.environ['PYTHONIOENCODING'] = 'ascii'; ")
    assert told.status == 0
    assert told.out.decode().startswith("#compdef walogs\n")
