"""`walogs plugins`, and the commands that plugins add: imported when asked for, and never in the way of another."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Walogs, made
from tests.plugins.site import Site, codecs
from walogs.assembly import registry
from walogs.cli import app

GREETING = """
    import walogs
    @walogs.plugins.hookimpl
    def walogs_commands():
        return [
            walogs.plugins.CommandSpec("greet", "greeting_commands:greet", summary="Be civil"),
            walogs.plugins.CommandSpec("greet-all", "greeting_commands:app", summary="Be civil to many"),
            walogs.plugins.CommandSpec("greet-badly", "greeting_commands:missing", summary="Be missing"),
        ]
"""
COMMANDS = """
    from cyclopts import App

    def greet(name: str, /, *, status: int = 0) -> int:
        print("good day", name)
        return status

    app = App(name="another-name", help="Be civil to many at once.")

    @app.command
    def twice(name: str, /):
        print("good day", name, name)

    @app.default
    def everybody(*names: str):
        print("good day", *names)
"""


@pytest.fixture
def greeting(site: Site) -> Site:
    return site.add("greeting", {"greet": "greeting"}, greeting=GREETING, greeting_commands=COMMANDS)


@pytest.mark.usefixtures("greeting")
def test_a_function_of_a_plugin_is_a_command(command: Walogs) -> None:
    assert command("greet", "you") == (0, b"good day you\n", "")
    assert command("greet", "you", "--status", "7") == (7, b"good day you\n", "")
    assert command("greet").status == 2
    assert b"Be civil" in command("greet", "--help").out


@pytest.mark.usefixtures("greeting")
def test_an_app_of_a_plugin_is_a_command_with_commands(command: Walogs) -> None:
    for _ in range(2):
        assert command("greet-all", "a", "b") == (0, b"good day a b\n", "")
        assert command("greet-all", "twice", "a") == (0, b"good day a a\n", "")
    assert b"twice" in command("greet-all", "--help").out


@pytest.mark.usefixtures("greeting")
@pytest.mark.parametrize("tokens", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands_of_plugins_without_importing_them(tokens: tuple[str, ...], command: Walogs) -> None:
    told = command(*tokens)
    assert (told.status, told.error) == (0, "")
    for words in (b"greet", b"Be civil", b"greet-all", b"Be civil to many", b"append"):
        assert words in told.out
    assert "greeting_commands" not in sys.modules


@pytest.mark.usefixtures("greeting")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_the_names_of_their_commands_without_importing_them(shell: str, command: Walogs) -> None:
    told = command("completion", shell)
    assert (told.status, told.error) == (0, "")
    assert b"greet-all" in told.out
    assert "greeting_commands" not in sys.modules


def test_a_command_of_walogs_loads_no_plugin(greeting: Site, command: Walogs, tmp_path: Path) -> None:
    log = made(tmp_path / "x.wal", b"a")
    assert command("cat", log).out == b"a\n"
    assert command("--version").status == 0
    assert "greeting" not in sys.modules
    assert greeting.found()


@pytest.mark.usefixtures("greeting")
def test_nothing_stays_behind_in_the_commands_of_walogs(command: Walogs) -> None:
    before = set(app.app)
    asked = (("greet", "you"), ("greet-all", "twice", "you"), ("--help",), ("grete",), ("greet-badly",))
    for tokens in (*asked, ("completion", "bash")):
        command(*tokens)
        assert set(app.app) == before


@pytest.mark.usefixtures("greeting")
def test_a_command_that_cannot_be_imported_is_told_by_name(command: Walogs) -> None:
    told = command("greet-badly")
    assert (told.status, told.out) == (1, b"")
    assert "command='greet-badly': greeting 1.0 (entry point 'greet') gives it, and importing" in told.line


@pytest.mark.usefixtures("greeting")
def test_an_unknown_command_is_told_with_the_near_ones_of_plugins_too(command: Walogs) -> None:
    told = command("greet-al")
    assert (told.status, told.out) == (2, b"")
    assert "did you mean greet-all?" in told.error


def test_broken_plugins_are_in_nobodys_way(greeting: Site, command: Walogs, tmp_path: Path) -> None:
    greeting.add("m", {"m": "m_plugin"}, m_plugin="raise SystemExit(5)").add("ruin", "[walogs]\nnonsense\n")
    log = made(tmp_path / "x.wal", b"a")
    assert b"greet" in command("--help").out
    assert command("cat", log).out == b"a\n"
    assert command("greet", "you").out == b"good day you\n"
    told = command("m")
    assert (told.status, told.out) == (1, b"")
    assert "m 1.0 (entry point 'm') is broken: SystemExit: 5" in told.line


def test_where_plugins_are_taken_strictly_help_still_helps(
    greeting: Site, command: Walogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = made(tmp_path / "x.wal", b"a")
    greeting.add("m", {"m": "m_plugin"}, m_plugin="raise SystemExit(5)")
    monkeypatch.setattr(registry, "current", greeting.registry(WALOGS_STRICT_PLUGINS="1"))
    assert (command("--help").status, command("plugins").status) == (0, 1)
    for tokens in (("cat", log), ("greet", "you")):
        told = command(*tokens)
        assert (told.status, told.out) == (1, b"")
        assert "m 1.0 (entry point 'm') is broken: SystemExit: 5" in told.line


def test_a_command_of_walogs_cannot_be_taken(site: Site, command: Walogs) -> None:
    text = GREETING.replace('"greet"', '"info"')
    site.add("taker", {"info": "taker", "greet": "taker"}, taker=text)
    assert "command 'info' is built in" in str(site.registry().all_plugins()[0].problem)
    assert b"Show what a log holds" in command("info", "--help").out


def test_two_distributions_with_one_command_are_both_named(greeting: Site, command: Walogs) -> None:
    greeting.add("salute", {"greet": "salute"}, salute=GREETING)
    told = command("greet", "you")
    assert told.status == 1
    assert "greeting 1.0" in told.line
    assert "salute 1.0" in told.line
    assert command("--help").status == 0


# walogs plugins


def test_it_lists_what_can_be_chosen_and_from_where(greeting: Site, command: Walogs) -> None:
    greeting.rot1()
    told = command("plugins")
    assert (told.status, told.error) == (0, "")
    lines = [line.split(maxsplit=4) for line in told.out.decode().splitlines()]
    assert ["codec", "rot1", "walogs-rot1", "1.0", "For legionaries"] in lines
    assert ["command", "greet", "greeting", "1.0", "Be civil"] in lines
    assert {("store", "local"), ("codec", "crc32"), ("sync", "none")} <= {(line[0], line[1]) for line in lines}
    assert not {"rot1_codec", "greeting_commands"} & set(sys.modules)


def test_check_imports_what_the_components_name(greeting: Site, command: Walogs) -> None:
    greeting.rot1()
    told = command("plugins", "--check")
    assert told.status == 1
    assert told.out.decode().count("broken: ") == 1
    assert "command='greet-badly'" in told.out.decode()
    assert {"rot1_codec", "greeting_commands"} <= set(sys.modules)


def test_it_says_what_is_broken_and_why_and_what_is_disabled(
    site: Site, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.rot1().add("caesar", {"rot1": "caesar"}, caesar=codecs("rot1"))
    site.add("m", {"m": "m_plugin"}, m_plugin="import nosuch\x6dodule").add("off", {"off": "off_plugin"})
    monkeypatch.setattr(registry, "current", site.registry(WALOGS_DISABLED_PLUGINS="off", WALOGS_STRICT_PLUGINS="1"))
    told = command("plugins")
    assert (told.status, told.error) == (1, "")
    out = told.out.decode().splitlines()
    assert "disabled: off 1.0 (entry point 'off')" in out
    broken = [line for line in out if line.startswith("broken: ")]
    assert len(broken) == 2
    assert "caesar 1.0 (entry point 'rot1') and walogs-rot1 1.0 (entry point 'rot1')" in broken[0]
    assert "m 1.0 (entry point 'm') is broken: ModuleNotFoundError: No module named 'nosuchmodule'" in broken[1]


def test_its_json_has_all_of_it(site: Site, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    site.rot1().add("m", {"m": "m_plugin"}, m_plugin="1 / 0").add("off", {"off": "off_plugin"}, version="3")
    monkeypatch.setattr(registry, "current", site.registry(WALOGS_DISABLED_PLUGINS="off"))
    told = command("plugins", "--json")
    assert (told.status, told.error) == (1, "")
    facts = told.json()
    assert facts["components"][-1] == {
        "kind": "codec",
        "name": "rot1",
        "distribution": "walogs-rot1",
        "version": "1.0",
        "summary": "For legionaries",
    }
    assert [(one["distribution"], one["version"], one["state"]) for one in facts["plugins"]] == [
        ("m", "1.0", "broken"),
        ("off", "3", "disabled"),
        ("walogs-rot1", "1.0", "good"),
    ]
    assert facts["plugins"][2]["target"] == "walogs_rot1"
    assert "ZeroDivisionError" in facts["plugins"][0]["problems"][0]


def test_what_a_plugin_says_of_itself_is_text_and_nothing_else(site: Site, command: Walogs) -> None:
    site.add("m", {"m": "m_plugin"}, m_plugin="raise ValueError('\\x1b[31m')")
    assert b"\x1b" not in command("plugins").out


def test_the_table_of_walogs_own_commands_is_what_the_command_line_has() -> None:
    ours = {name for name in app.app if not name.startswith("-")}
    assert ours == set(registry.BUILT_IN["command"])
    for name in ours:
        own, named = app.app[name], registry.factory("command", name)
        assert own is named or inspect.unwrap(own.default_command) is inspect.unwrap(named)  # type: ignore[arg-type]
