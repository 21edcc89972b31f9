"""`walogs conformance NAME` runs a contract without a test file, and says what each check was about."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.cli.commands import Walogs
from tests.config.files import install
from tests.house.source import ROOT
from tests.testing.broken_policies import DurableInName
from tests.testing.codecs_broken_in_checks import CheckThatIgnoresTheFrame
from walogs.assembly import registry
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.defaults.local_store import LocalStore
from walogs.defaults.sync_policies import NoSyncPolicy
from walogs.testing import CodecContract, StoreContract, SyncPolicyContract


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Callable[..., Any]]:
    """What the registry finds beside what is really there."""
    found: dict[tuple[str, str], Callable[..., Any]] = {}
    real = registry.factory
    monkeypatch.setattr(registry, "factory", lambda kind, name: found.get((kind, name)) or real(kind, name))
    return found


def test_a_codec_that_passes(command: Walogs) -> None:
    told = command("conformance", "crc32")
    assert told.status == 0, told.error
    lines = told.out.decode().splitlines()
    assert lines[0] == "passed          it has the members"
    assert lines[1].startswith('                `Codec`: "turns a body into stored bytes and back')
    assert "not applicable  no nonce comes twice" in lines
    assert "                because: encrypts is not declared" in lines
    assert lines[-1] == "codec crc32: 21 passed, 0 failed, 0 not run, 14 not applicable"
    assert told.error == ""


def test_as_json_it_says_all_of_it(command: Walogs) -> None:
    told = command("conformance", "crc32", "--json")
    (component,) = told.json()["components"]
    assert told.json()["ok"] is True
    assert (component["kind"], component["name"]) == ("codec", "crc32")
    assert {check["check"] for check in component["checks"]} == {*CodecContract.checks()}
    assert all(check["rule"] for check in component["checks"])
    assert {check["result"] for check in component["checks"]} == {"passed", "skipped"}
    assert component["passed"] + component["skipped"] == len(component["checks"])


def test_a_broken_one_is_said_with_its_rule_and_why(command: Walogs, installed: dict[Any, Any]) -> None:
    installed["codec", "theirs"] = CheckThatIgnoresTheFrame
    told = command("conformance", "theirs")
    assert told.status == 1
    text = told.out.decode()
    expected = (
        "failed          a check is started from the frames header\n"
        '                `Codec.check`: "A change to the header or the stored bytes gives another check". A body must'
        " not pass under another frame's header, nor one of no bytes at all, nor as a frame of another kind.\n"
        "                because: 0 bytes have one check under two headers"
    )
    assert expected in text
    assert "not run         a log with it comes back" in text
    assert ", 1 failed, " in text.splitlines()[-1]
    facts = command("conformance", "theirs", "--json")
    assert (facts.status, facts.json()["ok"]) == (1, False)
    (component,) = facts.json()["components"]
    by_name = {check["check"]: check for check in component["checks"]}
    assert by_name["test_a_log_with_it_comes_back"]["rests_on"] == "test_a_check_is_started_from_the_frames_header"
    assert by_name["test_no_nonce_comes_twice"]["rests_on"] is None


def test_what_failed_stands_at_the_end_once_more_in_a_line(command: Walogs, installed: dict[Any, Any]) -> None:
    installed["codec", "theirs"] = CheckThatIgnoresTheFrame
    *_, blank, failure, summary = command("conformance", "theirs").out.decode().splitlines()
    assert blank == ""
    expected = "failed          a check is started from the frames header: 0 bytes have one check under two headers"
    assert failure.startswith(expected)
    assert summary.startswith("codec theirs: ")
    lines = command("conformance", "crc32").out.decode().splitlines()
    assert "" not in lines


@pytest.mark.parametrize("option", ["--failed", "-q"])
def test_only_what_failed_is_printed_if_asked_for(option: str, command: Walogs, installed: dict[Any, Any]) -> None:
    installed["codec", "theirs"] = CheckThatIgnoresTheFrame
    told = command("conformance", "theirs", option)
    lines = told.out.decode().splitlines()
    assert told.status == 1
    assert len(lines) == 4
    assert [line.split()[0] for line in lines] == ["failed", "`Codec.check`:", "because:", "codec"]
    (line,) = command("conformance", "crc32", option).out.decode().splitlines()
    assert line.startswith("codec crc32: ")


def test_the_local_store(command: Walogs, tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    before = os.listdir(tmp_path)
    told = command("conformance", "local", "--directory", tmp_path / "places", "--examples", "1", "--json")
    (component,) = told.json()["components"]
    assert told.status == 0, [check for check in component["checks"] if check["result"] == "failed"]
    assert told.error == "", "what recoveries warn of is not for whoever looks at the checks"
    assert component["kind"] == "store"
    assert {check["check"] for check in component["checks"]} == {*StoreContract.checks()}
    assert os.listdir(tmp_path) == before
    assert os.listdir(tmp_path / "places") == []
    assert logging.getLogger("walogs").level == logging.NOTSET


def test_one_name_in_two_kinds_is_both_or_the_one_asked_for(command: Walogs, installed: dict[Any, Any]) -> None:
    installed["codec", "none"] = Crc32Codec
    installed["sync", "none"] = NoSyncPolicy
    told = command("conformance", "none", "--json")
    assert [component["kind"] for component in told.json()["components"]] == ["codec", "sync"]
    told = command("conformance", "none", "--kind", "sync", "--json")
    (component,) = told.json()["components"]
    assert {check["check"] for check in component["checks"]} == {*SyncPolicyContract.checks()}
    installed["sync", "none"] = DurableInName
    assert command("conformance", "none").status == 1


@dataclass(frozen=True)
class TheirOptions:
    bucket: str = ""
    time: walogs.plugins.Duration | None = None
    sizes: list[walogs.plugins.Size] = field(default_factory=list)
    where: Path | None = None

    def __post_init__(self) -> None:
        if self.bucket == "none of ours":
            raise ValueError("bucket='none of ours': one of ours")


def test_options_are_written_as_in_a_file(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def policy(**options: Any) -> Any:
        given.append(options)
        return NoSyncPolicy()

    install(monkeypatch, "sync", "theirs", policy, TheirOptions)
    options = ("time=5ms", "bucket=a=b c", 'sizes=["1KiB", 3]', "where=x")
    told = command("conformance", "theirs", *(word for option in options for word in ("--option", option)))
    assert told.status == 0, told.error
    assert given[0] == {"time": 0.005, "bucket": "a=b c", "sizes": [1024, 3], "where": Path.cwd() / "x"}
    assert command("conformance", "theirs", "--option", "time=none").status == 0
    assert given[-1] == {"time": None}
    assert command("conformance", "theirs").status == 0
    assert given[-1] == {}


def test_every_wrong_option_is_told(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "sync", "theirs", NoSyncPolicy, TheirOptions)
    options = ("tme=5ms", "time=5s", 'sizes=["x"]')
    told = command("conformance", "theirs", *(word for option in options for word in ("--option", option)))
    assert (told.status, told.out) == (1, b"")
    assert "--option tme=5ms: no such key; did you mean 'time'?" in told.error
    assert '--option sizes.0=["x"]: a size' in told.error
    assert "--option time" not in told.error
    told = command("conformance", "theirs", "--option", "bucket=none of ours")
    assert (told.status, told.out) == (1, b"")
    assert told.line.startswith("walogs: sync 'theirs' does not take these options: ")
    assert "one of ours" in told.line
    told = command("conformance", "fsync", "--option", "level=3")
    assert (told.status, told.out) == (1, b"")
    assert told.line == "walogs: --option level=3: sync 'fsync' has no options."


def test_a_store_is_given_its_path_and_its_options(
    command: Walogs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths: list[Any] = []

    def store(path: str, bucket: str) -> LocalStore:
        paths.append(path)
        assert bucket == "b"
        return LocalStore(path)

    install(monkeypatch, "store", "theirs", store, TheirOptions)
    told = command("conformance", "theirs", "--option", "bucket=b", "--examples", "1", "--directory", tmp_path)
    assert told.status == 0, told.out
    assert all(isinstance(path, str) for path in paths)
    assert str(paths[-1]).startswith(str(tmp_path))


def test_a_component_that_needs_more_says_so(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stamped(Crc32Codec):
        def __init__(self, *, bucket: str) -> None:
            self.bucket = bucket

        def parameters(self) -> dict[str, object]:
            return {"bucket": self.bucket}

    install(monkeypatch, "codec", "theirs", Stamped, TheirOptions)
    told = command("conformance", "theirs")
    assert told.status == 1
    assert "codec='theirs' cannot be made" in told.line
    assert "'bucket'" in told.line
    assert "--option KEY=VALUE" in told.line
    assert command("conformance", "theirs", "--option", "bucket=k").status == 0


def test_a_mistyped_name_lists_what_there_is(command: Walogs) -> None:
    told = command("conformance", "crc23")
    assert told.status == 1
    assert "did you mean 'crc32'" in told.error
    assert [line.partition("=")[0] for line in told.error.splitlines()] == [
        "walogs: store",
        "walogs: codec",
        "walogs: sync",
    ]
    told = command("conformance", "crc32", "--kind", "store")
    assert told.status == 1
    assert "local" in told.line


@pytest.mark.parametrize("option", ["level", "=3", "le vel=3"])
def test_an_option_without_its_key_is_refused(option: str, command: Walogs) -> None:
    told = command("conformance", "crc32", "--option", option)
    assert told.status == 1
    assert "KEY=VALUE, level=3 for example" in told.line


def test_without_hypothesis_it_says_what_to_install(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == "hypothesis" else real(name, *rest)  # noqa: E731
    monkeypatch.setattr("walogs.cli.conformance.find_spec", hidden)
    told = command("conformance", "local")
    assert told.status == 1
    assert told.out == b""
    assert told.line.endswith(f"the contract of a store needs hypothesis: pip install '{ROOT}[testing]'.")
    assert command("conformance", "crc32").status == 0, "the contract of a codec needs nothing more"


def test_the_other_commands_do_not_load_the_kit(command: Walogs) -> None:
    loaded = "import sys; from walogs.cli.app import run; run(['--help']); sys.exit('walogs.testing' in sys.modules); "
    assert command.apart(before=loaded).status == 0
