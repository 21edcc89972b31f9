"""What `walogs info` finds out: beside writers, in directories that are read-only, and about damaged logs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import walogs
from tests.cli.commands import ENVIRONMENT, Told, Walogs, everything_in, made
from tests.kit.requirements import require
from tests.system.children import forked
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.cli import show
from walogs.inspection import facts as observing
from walogs.inspection.facts import observe_facts
from walogs.testing import MemoryCloud, MemoryImmutableStore

NOBODY: Final = 65534
FRAME: Final = 152
"""How many bytes each frame in `log` has."""
END: Final = 512 + 4 * FRAME


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with the segments 2 to 5. They hold the entries 5 to 8, 9 to 12, 13 to 16, and 17."""
    log = made(tmp_path / "x.wal", *(b"%02d" % n * 50 for n in range(1, 18)), max_segment_size=512 + 4 * FRAME + 100)
    with walogs.open(log) as wal:
        assert wal.checkpoint(4) == 1
    return log


def segment(log: Path, number: int) -> Path:
    return log / f"wal-{number:06d}.log"


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


# What is there


def test_every_fact_is_in_the_json_and_has_its_type(log: Path, command: Walogs) -> None:
    """Programs rely on the names and the types."""
    flip(segment(log, 3), 512 + 60)
    segment(log, 4).unlink()
    told = command("info", log, "--json").json()
    assert {name: type(value).__name__ for name, value in told.items()} == {
        "path": "str",
        "ok": "bool",
        "verify": "str",
        "entries": "int",
        "first_lsn": "int",
        "last_lsn": "int",
        "next_lsn": "NoneType",
        "size": "int",
        "is_closed": "bool",
        "recovery": "dict",
        "findings": "list",
        "segments": "list",
        "missing": "list",
        "writers": "list" if os.path.exists("/proc/locks") else "NoneType",
        "cursors": "dict",
    }
    assert {name: type(value).__name__ for name, value in told["segments"][0].items()} == {
        "number": "int",
        "name": "str",
        "size": "int",
        "end": "int",
        "first_lsn": "int",
        "last_lsn": "int",
        "created_ns": "int",
        "first_commit_ns": "int",
        "last_commit_ns": "int",
        "is_sealed": "bool",
        "is_active": "bool",
        "state": "str",
        "frees": "int",
        "is_fence": "bool",
        "damaged_at": "list",
    }
    assert set(told["findings"][0]) == {"kind", "is_damage", "segment", "offset", "lsn", "message"}
    assert told["missing"] == [{"first_number": 4, "last_number": 4, "first_lsn": 13, "last_lsn": 16}]
    assert set(told["recovery"]) == {
        "verdict",
        "tail_state",
        "removed_segments",
        "unsealed_segments",
        "duration_seconds",
    }


def test_what_a_checkpoint_frees_is_what_it_would_free(log: Path, command: Walogs) -> None:
    segments = command("info", log, "--json").json()["segments"]
    assert [(found["last_lsn"], found["state"]) for found in segments] == [
        (8, "sealed"),
        (12, "sealed"),
        (16, "sealed"),
        (17, "active"),
    ]
    assert segments[-1]["frees"] is None
    for found in segments[:-1]:
        copy = log.with_name("copy.wal")
        shutil.copytree(log, copy)
        before = sum(path.stat().st_size for path in copy.glob("wal-*.log"))
        with walogs.open(copy) as wal:
            wal.checkpoint(found["last_lsn"])
            assert sum(summary.size for summary in wal.segments()) == before - found["frees"] + grown(wal, segments)
        shutil.rmtree(copy)


def grown(wal: walogs.Wal, segments: list[dict[str, Any]]) -> int:
    """Return how many bytes the newest segment has grown by since it was opened for writing."""
    newest: int = wal.segments()[-1].size
    return newest - int(segments[-1]["size"])


def test_it_says_what_the_writer_says(log: Path, command: Walogs) -> None:
    told = command("info", log, "--json").json()
    with walogs.open(log) as wal:
        for found, summary in zip(told["segments"], wal.segments(), strict=True):
            names = (
                "number",
                "name",
                "first_lsn",
                "last_lsn",
                "created_ns",
                "last_commit_ns",
                "is_sealed",
                "is_active",
            )
            assert {name: found[name] for name in names} == {name: getattr(summary, name) for name in names}
        assert (told["entries"], told["next_lsn"]) == (wal.recovery_report.entries, wal.next_lsn)


@pytest.mark.parametrize("reading", [("--verify", "last"), ("--verify", "full")])
def test_sealed_segments_are_read_only_when_asked_for(reading: tuple[str, str], log: Path, command: Walogs) -> None:
    flip(segment(log, 3), 512 + 60)
    told = command("info", log, "--json", *reading)
    assert told.status == (4 if "full" in reading else 0)
    assert told.json()["verify"] == reading[1]


def test_whether_the_writer_has_closed_it_is_told(log: Path, command: Walogs) -> None:
    assert command("info", log, "--json").json()["is_closed"]
    with walogs.open(log) as wal:
        assert not command("info", log, "--json").json()["is_closed"]
        wal.append(b"more")
        assert not command("info", log, "--json").json()["is_closed"]
        killed = log.with_name("killed.wal")
        shutil.copytree(log, killed)
    assert command("info", log, "--json").json()["is_closed"]
    assert not command("info", killed, "--json").json()["is_closed"]


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="/proc/locks is Linux's")
def test_a_live_writer_is_told_from_one_that_ended_and_is_not_disturbed(log: Path, command: Walogs) -> None:
    def writer(path: Path) -> str:
        (line,) = (line for line in command("info", path).out.decode().splitlines() if line.startswith("writer "))
        return line.split(maxsplit=1)[1]

    killed = log.with_name("killed.wal")
    with walogs.open(log) as wal:
        assert writer(log) == f"process {os.getpid()} has it open"
        assert command("info", log, "--json").json()["writers"] == [os.getpid()]
        shutil.copytree(log, killed)
        assert wal.append(b"more") > 0
    assert writer(log) == "has closed it"
    assert writer(killed) == "ended without closing it: the next open recovers"
    assert command("info", killed, "--json").json()["writers"] == []
    (killed / "LOCK").unlink()
    assert writer(killed) == "has it open, or ended without closing it"


@pytest.mark.parametrize(
    ("writers", "said"),
    [
        (None, "has it open, or ended without closing it"),
        ((), "ended without closing it: the next open recovers"),
        ((7,), "process 7 has it open"),
        ((7, 8), "one of the processes 7, 8 has it open"),
    ],
)
def test_what_holds_the_lock_is_said_in_words(writers: tuple[int, ...] | None, said: str) -> None:
    assert show.open_or_ended(writers) == said


def test_what_an_interrupted_checkpoint_left_is_no_damage(log: Path, tmp_path: Path, command: Walogs) -> None:
    kept = segment(log, 2).read_bytes()
    with walogs.open(log) as wal:
        wal.checkpoint(8)
    segment(log, 2).write_bytes(kept)
    flip(segment(log, 2), 100)
    told = command("info", log)
    assert told.status == 0
    assert b"\nleftover       1 segment below the log's first entry, which the next open removes" in told.out
    segments = command("info", log, "--json").json()["segments"]
    assert [found["state"] for found in segments] == ["leftover", "sealed", "sealed", "active"]


# Damage


class Harm(NamedTuple):
    """Damage to `log`, and what `info` must say of it."""

    done: Callable[[Path], object]
    place: tuple[int | None, int | None, int | None]
    """Segment, offset and LSN of the damage that `open` reports."""
    damaged: dict[int, list[int]]
    """The damaged offsets of each segment."""
    missing: tuple[int, ...] = ()


HARM: Final = {
    "a frame in a completed segment": Harm(
        lambda log: flip(segment(log, 3), 512 + FRAME + 60), (3, 512 + FRAME, 10), {3: [512 + FRAME]}
    ),
    "a completed segment cut short": Harm(
        lambda log: cut(segment(log, 3), 512 + FRAME + 30), (3, 512 + FRAME, 10), {3: [512 + FRAME]}
    ),
    "a completed segment emptied": Harm(lambda log: cut(segment(log, 3), 0), (3, 0, 9), {3: [0]}),
    "a frame in the newest": Harm(lambda log: flip(segment(log, 5), 512 + 60), (5, 512, 17), {5: [512]}),
    "the oldest header": Harm(lambda log: flip(segment(log, 2), 70), (2, 0, 5), {2: [0]}),
    "a completed header": Harm(lambda log: flip(segment(log, 3), 70), (3, 0, 9), {3: [0]}),
    "the newest header": Harm(lambda log: flip(segment(log, 5), 70), (5, 0, 17), {5: [0]}),
    "a segment that is gone": Harm(
        done=lambda log: segment(log, 3).unlink(), place=(3, None, 9), damaged={}, missing=(3,)
    ),
    "the oldest, gone": Harm(done=lambda log: segment(log, 2).unlink(), place=(2, None, 5), damaged={}, missing=(2,)),
    "the newest, gone": Harm(
        done=lambda log: segment(log, 5).unlink(), place=(4, END, 17), damaged={4: [END]}, missing=(5,)
    ),
}


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_damage_is_shown_where_it_is_and_nowhere_else(harm: Harm, log: Path, command: Walogs) -> None:
    harm.done(log)
    before = everything_in(log)
    told = command("info", log, "--json")
    assert (told.status, told.error) == (4, "")
    facts = told.json()
    assert (facts["ok"], facts["next_lsn"], facts["recovery"]["verdict"]) == (False, None, "corrupt")
    refused = facts["findings"][0]
    assert refused["is_damage"]
    assert (refused["segment"], refused["offset"], refused["lsn"]) == harm.place
    damaged = {found["number"]: found["damaged_at"] for found in facts["segments"] if found["state"] == "damaged"}
    assert damaged == harm.damaged
    assert tuple(gone["first_number"] for gone in facts["missing"]) == harm.missing
    assert [found["number"] for found in facts["segments"]] == sorted(int(path.stem[4:]) for path in log.glob("wal-*"))

    told = command("info", log)
    assert (told.status, told.error) == (4, "")
    lines = told.out.decode().splitlines()
    assert any(line.startswith("checked") and "DAMAGED in " in line for line in lines)
    for label, found in (("damage", facts["findings"]), ("missing", facts["missing"]), ("segment", facts["segments"])):
        assert sum(line.startswith(f"{label} ") for line in lines) == len(found)
    for finding in facts["findings"]:
        assert f"{'damage':<15}{finding['message']}" in lines
    assert everything_in(log) == before


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("harm", [*HARM.values(), None], ids=[*HARM, "nothing"])
def test_info_and_verify_tell_the_same_numbers(harm: Harm | None, log: Path, command: Walogs) -> None:
    if harm is not None:
        harm.done(log)
    agrees(log, command)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("numbers", [(2, 3), (2, 5), (4, 5)])
def test_exchanged_files_are_told_as_the_segments_that_they_are(
    numbers: tuple[int, int], log: Path, command: Walogs
) -> None:
    healthy = command("info", log, "--json").json()
    one, other = (segment(log, number) for number in numbers)
    one.rename(log / "x")
    other.rename(one)
    (log / "x").rename(other)
    agrees(log, command)
    facts = command("info", log, "--json").json()
    assert not facts["ok"]
    for key in ("entries", "first_lsn", "last_lsn", "size"):
        assert facts[key] == healthy[key]
    names = {numbers[0]: other.name, numbers[1]: one.name}
    for now, before in zip(facts["segments"], healthy["segments"], strict=True):
        assert now == {**before, "name": names.get(before["number"], before["name"])}


def agrees(log: Path, command: Walogs) -> None:
    """`info` and `verify` say the same of a log."""
    facts, report = command("info", log, "--json").json(), command("verify", log, "--json").json()
    assert facts["ok"] == report["ok"]
    assert len(facts["segments"]) == report["segments"]
    assert facts["size"] == report["bytes"] == sum(path.stat().st_size for path in log.glob("wal-*"))
    for key in ("entries", "first_lsn", "last_lsn", "findings"):
        assert facts[key] == report[key], key
    lost = sum(gap["last_lsn"] - gap["first_lsn"] + 1 for gap in report["gaps"])
    assert report["entries"] + lost == report["last_lsn"] - report["first_lsn"] + 1


def test_where_the_beginning_may_have_been_checkpointed_nobody_calls_it_lost(log: Path, command: Walogs) -> None:
    segment(log, 5).unlink()
    first, _, may_be = command("verify", log).out.decode().splitlines()[:3]
    assert first.startswith("DAMAGED: 12 entries can be read (5 to 16), and entry 17 cannot; ")
    assert "entries 1 to 4 are not there. It cannot be told whether they are lost" in may_be


@pytest.mark.parametrize("content", [None, b"garbled", b"\0" * 64], ids=["gone", "garbled", "zeros"])
def test_a_durable_mark_that_says_nothing_is_noted(content: bytes | None, log: Path, command: Walogs) -> None:
    (log / "DURABLE").unlink()
    if content is not None:
        (log / "DURABLE").write_bytes(content)
    state = "is not there" if content is None else "is damaged"
    for name in ("verify", "info"):
        told = command(name, log)
        assert told.status == 0, "no entry is lost by it"
        assert sum(f"the durable mark (DURABLE) {state}" in line for line in told.out.decode().splitlines()) == 1
    (finding,) = walogs.verify(log).findings
    assert (finding.kind, finding.is_damage) == ("durable_mark", False)
    with walogs.open(log):
        pass
    assert walogs.verify(log).findings == (), "the next open has made it again"


def test_a_durable_mark_of_another_log_is_noted(log: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "other.wal", b"another")
    shutil.copy(other / "DURABLE", log)
    (finding,) = walogs.verify(log).findings
    assert "the durable mark (DURABLE) is of another log" in finding.message
    assert not finding.is_damage


def test_every_place_is_told(log: Path, command: Walogs) -> None:
    flip(segment(log, 2), 70)
    flip(segment(log, 3), 512 + FRAME + 60)
    flip(segment(log, 3), 512 + 3 * FRAME + 60)
    flip(segment(log, 4), 70)
    flip(segment(log, 5), 512 + 60)
    facts = command("info", log, "--json").json()
    assert {(found["segment"], found["offset"]) for found in facts["findings"]} >= {
        (2, 0),
        (3, 512 + FRAME),
        (3, 512 + 3 * FRAME),
        (4, 0),
        (5, 512),
    }
    assert [found["damaged_at"] for found in facts["segments"]] == [[0], [512 + FRAME, 512 + 3 * FRAME], [0], [512]]


def test_a_log_of_which_only_damage_is_left_is_told(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", b"one")
    cut(segment(log, 1), 0)
    told = command("info", log)
    assert (told.status, told.error) == (4, "")
    assert b"segment        wal-000001.log, LSNs ? to ?, 0 B, last commit -, damaged at byte 0\n" in told.out


# In a store whose segments appear whole


def test_immutable_segments_have_no_seals_no_active_one_and_fences_that_stay() -> None:
    cloud = MemoryCloud()
    for _ in range(3):
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            wal.append_batch([b"one", b"two"])
    source = source_of(None, walogs.WalConfig(store=MemoryImmutableStore(cloud)))
    facts = observe_facts("immutable", source, "full")
    assert (facts.ok, facts.is_closed, facts.findings) == (True, None, ())
    assert [segment.state for segment in facts.segments] == ["fence", "complete"] * 3
    assert (facts.recovery.removed_segments, facts.recovery.unsealed_segments) == (0, ())
    text = "\n".join(show.lines_of(facts, 0))
    assert not any(word in text for word in ("writer", "leftover", "not sealed", "active"))
    frees = [segment.frees for segment in facts.segments]
    assert [size is None for size in frees] == [True, False] * 2 + [True, True]
    before = sum(map(len, cloud.objects.values()))
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        opened = sum(map(len, cloud.objects.values()))
        wal.checkpoint(4)
        made = len(cloud.objects[max(cloud.objects)])
        assert opened + made - sum(map(len, cloud.objects.values())) == frees[3]
    assert opened - before == 512
    after = observe_facts("immutable", source_of(None, walogs.WalConfig(store=MemoryImmutableStore(cloud))), "last")
    assert (after.ok, after.first_lsn, after.findings) == (True, 5, ())
    assert {segment.state for segment in after.segments} == {"fence", "complete"}


def test_a_damaged_header_of_an_immutable_segment_is_told_and_not_raised() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for _ in range(3):
            wal.append(b"entry")
    cloud.objects[2] = b"?" + cloud.objects[2][1:]
    facts = observe_facts("immutable", source_of(None, walogs.WalConfig(store=MemoryImmutableStore(cloud))), "full")
    assert not facts.ok
    assert [segment.state for segment in facts.segments] == ["fence", "damaged", "complete", "complete"]


# Beside a writer


WRITER: Final = """
import sys, itertools, walogs
with walogs.open(sys.argv[1], max_segment_size=4096) as wal:
    for number in itertools.count():
        wal.append_batch([b"entry %d" % number * 10] * (number % 3 + 1))
        if number == 3:
            print("written", flush=True)
        if number % 400 == 0:
            wal.checkpoint(max(0, wal.next_lsn - 2000))
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """Yield a log that another process writes to, rotates and checkpoints as fast as it can."""
    log = tmp_path / "busy.wal"
    command = [sys.executable, "-c", WRITER, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"written\n"
            yield log
            assert writer.poll() is None
        finally:
            writer.kill()


@pytest.mark.guarantee("G14")
def test_beside_a_busy_writer_nothing_is_damaged(busy: Path, command: Walogs) -> None:
    looks, last_lsn, first_lsn = 0, 0, 0
    while looks < 20 or last_lsn < first_lsn + 100:
        told = command("info", busy, "--json", "--verify", ("full", "last")[looks % 2])
        facts = told.json()
        assert (told.status, told.error, facts["ok"], facts["missing"]) == (0, "", True, []), facts["findings"]
        assert facts["recovery"]["verdict"] == "clean"
        assert facts["last_lsn"] >= last_lsn
        assert facts["segments"][-1]["state"] == "active"
        assert not facts["is_closed"]
        last_lsn, looks = facts["last_lsn"], looks + 1
        first_lsn = first_lsn or last_lsn
    print(f"{looks} looks, up to entry {last_lsn}")


def is_whole(told: Told) -> bool:
    """Return whether everything was printed. If not, a checkpoint has removed what the command was reading."""
    assert told.status == 0 or (told.status == 1 and "was checkpointed" in told.line), told
    return told.status == 0


@pytest.mark.guarantee("G14")
def test_beside_a_busy_writer_cat_and_tail_print_what_is_there(busy: Path, command: Walogs) -> None:
    whole = {"cat": 0, "tail": 0}
    while min(whole.values()) < 5:
        told = command("cat", busy, "--json")
        lsns = [json.loads(line)["lsn"] for line in told.out.splitlines()]
        assert lsns == list(range(lsns[0], lsns[0] + len(lsns))) if lsns else told.status == 1
        whole["cat"] += is_whole(told)
        told = command("tail", busy, "-n", "3")
        if is_whole(told):
            assert told.out.count(b"\n") == 3
            whole["tail"] += 1


def test_tail_says_so_if_a_checkpoint_removes_what_it_was_about_to_print(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had asked for the last LSN first and for the first LSN after that, and printed nothing, with status 0."""
    honest = walogs.WalReader.last_lsn.fget  # type: ignore[attr-defined]
    with walogs.open(tmp_path / "log", max_segment_size=1) as wal:
        wal.append_batch([b"one", b"two"])

        def then_checkpointed(reader: walogs.WalReader) -> int:
            last_lsn: int = honest(reader)
            for _ in range(10):
                wal.append(b"later")
            wal.checkpoint(10)
            return last_lsn

        monkeypatch.setattr(walogs.WalReader, "last_lsn", property(then_checkpointed))
        told = command("tail", tmp_path / "log")
    assert (told.status, told.out) == (1, b"")
    assert "was checkpointed" in told.line


LOOKING: Final = [
    ("cat",),
    ("cat", "--json"),
    ("cat", "--visibility", "durable"),
    ("cat", "--from-time", "2001-01-01"),
    ("cat", "--follow", "--stop", "9"),
    ("info",),
    ("info", "--json"),
    ("info", "--verify", "last"),
    ("tail",),
    ("tail", "-n", "2", "--json"),
    ("verify",),
    ("salvage",),
]


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("tokens", LOOKING, ids=" ".join)
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "beside a writer"])
def test_looking_changes_no_byte_and_no_time(
    tokens: tuple[str, ...], is_open: bool, log: Path, command: Walogs
) -> None:
    writer = walogs.open(log) if is_open else None
    try:
        before = everything_in(log)
        assert command(tokens[0], log, *tokens[1:]).status == 0
        assert everything_in(log) == before
    finally:
        if writer is not None:
            writer.close()


@pytest.mark.guarantee("G14")
def test_who_may_only_read_can_look(log: Path, shared_path: Path) -> None:
    require("root", os.geteuid() == 0, "only root can become another user")
    public = Path(shutil.copytree(log, shared_path / "x.wal"))
    for path in public.iterdir():
        path.chmod(0o000 if path.name == "LOCK" else 0o444)
    public.chmod(0o555)
    before = everything_in(public)

    def look_as_nobody() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        assert not os.access(segment(public, 2), os.W_OK)
        from walogs.cli.app import run

        for tokens in LOOKING:
            assert run([tokens[0], str(public), *tokens[1:]]) == 0, tokens

    assert forked(look_as_nobody) == 0
    assert everything_in(public) == before


def test_a_write_that_is_under_way_is_no_torn_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial frame that is whole at the second look was being written at the first."""
    log = made(tmp_path / "x.wal", b"whole", b"being written" * 10)
    path = segment(log, 1)
    whole = path.read_bytes()
    (log / "DURABLE").unlink()
    cut(path, len(whole.rstrip(b"\0")) - 20)
    source = source_of(log, WalConfig())
    assert observing.observe_facts(str(log), source, "full").recovery.verdict == "torn"
    looked = observing.verify_source
    looks = 0

    def written_meanwhile(*given: Any, **options: Any) -> Any:
        nonlocal looks
        report = looked(*given, **options)
        looks += 1
        path.write_bytes(whole)
        return report

    monkeypatch.setattr(observing, "verify_source", written_meanwhile)
    facts = observing.observe_facts(str(log), source, "full")
    assert (facts.recovery.verdict, looks) == ("clean", 2)
    assert [finding.kind for finding in facts.findings] == ["durable_mark"]
