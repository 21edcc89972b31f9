"""What a command says next: what works on this log, once, and never the command that says it."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs, made, on_a_terminal
from walogs.assembly.opening import source_of
from walogs.cli.log_argument import NamedLog, in_directory
from walogs.cli.next_moves import after_damage
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore


def block_of(log: Path) -> str:
    """The block `Next:` of that damaged log, in which what is done stands beside the longest command."""
    commands = {
        "salvage": f"walogs salvage {log}",
        "into": f"walogs salvage {log} --into {log}.salvaged",
        "repair": f"walogs repair {log} --dry-run",
    }
    width = max(map(len, commands.values()))
    return BLOCK.format(**{name: command.ljust(width) for name, command in commands.items()})


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BLOCK = """Next:
  restore the log from a backup, if there is one
  {salvage}  print every intact entry, and say what is missing
  {into}  put the intact entries into a new log, and say which LSNs they get
  {repair}  show what a repair would keep, and change nothing
"""


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Three places of one log."""
    log = made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 41)), max_segment_size=1200)
    for number in (1, 2, 3):
        file = log / f"wal-{number:06}.log"
        content = bytearray(file.read_bytes())
        content[700] ^= 1
        file.write_bytes(content)
    return log


def test_verify_names_what_to_do_once_and_not_itself(
    damaged: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(damaged.parent)
    told = command("verify", damaged.name)
    text = told.out.decode()
    assert (told.status, told.error) == (4, "")
    lines = text.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == ["DAMAGED", "damage", "damage", "damage"]
    assert text.partition("Next:")[1:] == tuple(block_of(Path(damaged.name)).partition("Next:")[1:])
    assert "walogs verify" not in text
    assert "docs/" not in text
    findings = told.out.decode().partition("Next:")[0]
    for word in ("Nothing was changed", "walogs ", "backup"):
        assert word not in findings


def test_info_names_the_same_once(damaged: Path, command: Walogs) -> None:
    lines = command("info", damaged).out.decode().splitlines()
    into = f"walogs salvage {damaged} --into {damaged}.salvaged"
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("next ")] == [
        "restore the log from a backup, if there is one",
        f"walogs salvage {damaged}: print every intact entry, and say what is missing",
        f"{into}: put the intact entries into a new log, and say which LSNs they get",
        f"walogs repair {damaged} --dry-run: show what a repair would keep, and change nothing",
    ]
    assert sum("walogs salvage" in line for line in lines) == 2


@pytest.mark.parametrize("name", ["verify", "info"])
def test_a_good_log_needs_no_next_move(name: str, tmp_path: Path, command: Walogs) -> None:
    told = command(name, made(tmp_path / "x.wal", b"a"))
    assert told.status == 0
    assert not re.search(r"^next(?! LSN)", told.out.decode(), re.MULTILINE | re.IGNORECASE)


def test_each_command_that_is_named_can_be_typed(damaged: Path, command: Walogs) -> None:
    spaced = damaged.rename(damaged.with_name("it's mine.wal"))
    lines = command("verify", spaced).out.decode().partition("Next:")[2].splitlines()
    whats = re.compile(r"  (print|put|show) .*")
    typed = [shlex.split(whats.sub("", line)) for line in lines if "walogs " in line]
    assert [words[:2] for words in typed] == [["walogs", "salvage"], ["walogs", "salvage"], ["walogs", "repair"]]
    before = {path.name: path.read_bytes() for path in spaced.iterdir() if path.name != "LOCK"}
    for words in typed:
        told = command(*words[1:])
        assert (told.status, "gap" in told.error) == (4, "salvage" in words), told
    with walogs.open(f"{spaced}.salvaged") as wal:
        assert wal.last_lsn == 37
    assert {path.name: path.read_bytes() for path in spaced.iterdir() if path.name != "LOCK"} == before


def test_a_configured_log_is_named_as_it_was(
    damaged: Path, command: Walogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("walogs.toml").write_text('[log.orders]\npath = "x.wal"\n')
    assert "  walogs salvage --log orders  " in command("verify", "--log", "orders").out.decode()
    told = command("verify", "--config", "walogs.toml", "--log", "orders").out.decode()
    assert "  walogs repair --config walogs.toml --log orders --dry-run  " in told
    assert (
        "  walogs salvage x.wal --store local --codec crc32  "
        in command("verify", "x.wal", "--store", "local", "--codec", "crc32").out.decode()
    )


@pytest.mark.parametrize("name", ["cat", "backup", "append", "tail"])
def test_another_command_points_at_verify_once(name: str, damaged: Path, command: Walogs, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\n")
    more = {"backup": [tmp_path / "copy"], "append": ["--lines", lines], "tail": ["-n", "50"]}.get(name, [])
    told = command(name, damaged, *more)
    assert told.status == 4
    move = f"Next: `walogs verify {damaged}` lists all damage, and what can be done."
    assert told.line.endswith(f" Nothing was changed. {move}")
    assert told.line.count("verify") == 1


def test_the_library_says_what_happened_what_is_true_and_what_can_be_done(damaged: Path) -> None:
    with pytest.raises(walogs.Corrupt) as raised:
        walogs.open(damaged)
    facts, next_moves = str(raised.value).split("\n")
    assert facts == f"{raised.value.damage} Nothing was changed."
    assert raised.value.damage.startswith(f"wal-00000{raised.value.segment}.log in {damaged} is corrupt at byte ")
    assert next_moves.startswith("Next: restore the log from a backup; or ")
    for move in ("`walogs verify`", "`walogs salvage`", "`walogs repair --dry-run`"):
        assert next_moves.count(move) == 1
    assert "docs/" not in next_moves


def test_findings_of_the_library_have_no_tails(damaged: Path) -> None:
    findings = walogs.verify(damaged).findings
    assert len(findings) == 3
    for finding in findings:
        assert finding.message.startswith("wal-")
        for word in ("Nothing was changed", "walogs ", "Next", "estore", "docs/"):
            assert word not in finding.message


def test_a_finding_speaks_of_one_entry_in_the_singular(tmp_path: Path) -> None:
    log = made(tmp_path / "x.wal", *(b"entry %d." % n for n in range(1, 7)))
    file = log / "wal-000001.log"
    content = bytearray(file.read_bytes())
    for entry in (b"entry 2.", b"entry 4."):
        content[content.index(entry)] ^= 1
    file.write_bytes(content)
    _, second = walogs.verify(log).findings
    assert ": entry 4 is not intact (" in second.message


def test_a_store_that_cannot_be_repaired_is_not_offered_a_repair() -> None:
    def commands(store: object, entries: int) -> list[str]:
        source = source_of(None, walogs.WalConfig(store=store))
        return [move.command for move in after_damage(log, source, entries)]

    log = NamedLog(path=None, config=walogs.WalConfig(), name="x", words=("--log", "x"))
    salvage, into, repair = (
        f"walogs {verb} --log x{options}"
        for verb, options in (("salvage", ""), ("salvage", " --into log.salvaged"), ("repair", " --dry-run"))
    )
    immutable, memory = MemoryImmutableStore(MemoryCloud()), MemoryStore(MemoryDisk())
    assert commands(immutable, 1) == ["", salvage, into]
    assert commands(immutable, 0) == ["", salvage]
    assert commands(memory, 1) == ["", salvage, into, repair]
    assert commands(memory, 0) == ["", salvage, repair]


@pytest.mark.parametrize("address", ["s3://bucket/team/orders", "s3://bucket/team/orders/", "nats://host:4222/orders"])
def test_the_intact_entries_of_a_log_at_an_address_go_into_a_directory_here(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = MemoryImmutableStore(MemoryCloud())
    log = NamedLog(path=address, config=walogs.WalConfig(), name=address, words=(address,))
    move = after_damage(log, source_of(None, walogs.WalConfig(store=store)), 1)[2]
    assert move.command == f"walogs salvage {address} --into orders.salvaged"


@pytest.mark.parametrize("name", ["x.wal", "x.wal/", ".", "-x.wal", "sub/../x.wal"])
def test_the_new_log_is_named_beside_the_damaged_one_and_is_not_there_yet(
    name: str, damaged: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("-"):
        damaged.rename(damaged.with_name(name))
    (damaged.parent / "sub").mkdir()
    monkeypatch.chdir(damaged if name == "." else damaged.parent)
    named = in_directory(Path(name))
    places = []
    for _ in range(2):
        move = after_damage(named, source_of(named.path, named.config), 1)[2]
        words = shlex.split(move.command)
        places.append(Path(words[-1]).absolute())
        assert command(*words[1:]).status == 4, words
        assert places[-1].is_dir()
    ends = [place.name.partition(".salvaged")[2] for place in places]
    assert ends == ["", "-2"]
    assert {place.resolve().parent for place in places} == {damaged.parent.resolve()}


@pytest.mark.parametrize("columns", [40, 120])
@pytest.mark.parametrize("name", ["verify", "info", "cat"])
def test_on_a_terminal_nothing_is_wider_than_it(
    name: str, columns: int, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(damaged, damaged.with_name("w"))
    monkeypatch.chdir(damaged.parent)
    shown = ESCAPES.sub("", on_a_terminal(name, "w", status=4, columns=columns)).splitlines()
    # A path is one word, and a command is one line, so that both can be copied.
    whole = (str(damaged.parent), "  walogs ")
    assert any("(entry" in line or " entry " in line for line in shown)
    assert [line for line in shown if len(line) > columns and not any(word in line for word in whole)] == []
    if name != "cat":
        assert "  walogs repair w --dry-run" in [line.rstrip() for line in shown]
