"""`walogs cat`: the entries as they are, and the log as it was."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs, bytes_of, entries_of, everything_in, made
from tests.engine.test_links import exchanged, two_copies
from walogs.cli import lines

ENTRIES = (b"first", b"", b"two\nlines", b"\xff\x00", "\u2028 é \U0001f40d".encode(), b'quote " \\', b"\r")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return made(tmp_path / "x.wal", *ENTRIES)


def test_entries_are_printed_as_they_are_each_with_a_newline(log: Path, command: Walogs) -> None:
    assert command("cat", log) == (0, b"".join(entry + b"\n" for entry in ENTRIES), "")
    assert entries_of(log) == list(ENTRIES)


@pytest.mark.parametrize(
    ("tokens", "printed"),
    [
        (("--start", "2"), range(2, 8)),
        (("--stop", "3"), range(1, 3)),
        (("--start", "3", "--stop", "5"), range(3, 5)),
        (("--start", "5", "--stop", "5"), range(0)),
        (("--start", "7"), range(7, 8)),
        (("--start", "8"), range(0)),
        (("--stop", "1"), range(0)),
        (("--start", "1", "--stop", "1000"), range(1, 8)),
    ],
)
def test_start_is_printed_and_stop_is_not(tokens: tuple[str, ...], printed: range, log: Path, command: Walogs) -> None:
    told = command("cat", log, "--json", *tokens)
    assert told.status == 0
    assert [json.loads(line)["lsn"] for line in told.out.splitlines()] == list(printed)


def test_json_gives_every_byte_back(log: Path, command: Walogs) -> None:
    told = command("cat", log, "--json")
    assert told.out.isascii()
    objects = [json.loads(line) for line in told.out.decode().split("\n")[:-1]]
    assert [entry["lsn"] for entry in objects] == list(range(1, len(ENTRIES) + 1))
    given_back = [b64decode(entry["base64"]) if "base64" in entry else entry["text"].encode() for entry in objects]
    assert tuple(given_back) == ENTRIES
    assert "base64" in objects[3]


def test_many_writes_are_one_stream(tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walogs.cli.lines.PRINT_BYTES", 7)
    log = made(tmp_path / "x.wal", *(b"x" * n for n in range(20)))
    assert command("cat", log).out == b"".join(b"x" * n + b"\n" for n in range(20))


def test_below_the_first_lsn_the_error_says_where_it_begins(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", *(b"x" * 100 for _ in range(9)), max_segment_size=800)
    with walogs.open(log) as wal:
        assert wal.checkpoint(6)
        first_lsn = wal.first_lsn
    told = command("cat", log, "--start", "1")
    assert (told.status, told.out) == (1, b"")
    assert (
        told.line
        == f"walogs: entry 1 was checkpointed: {log} begins at {first_lsn}. Start there, or leave --start out."
    )
    assert command("cat", log).out.count(b"\n") == 10 - first_lsn


@pytest.mark.parametrize("tokens", [("--start", "0"), ("--start", "-1"), ("--stop", "0"), ("--start", "x"), ("more",)])
def test_wrong_usage_is_told_from_failure(tokens: tuple[str, ...], log: Path, command: Walogs) -> None:
    before = bytes_of(log)
    told = command("cat", log, *tokens)
    assert (told.status, told.out) == (2, b"")
    assert told.error
    assert bytes_of(log) == before


@pytest.mark.parametrize("name", ["cat", "info"])
class TestNoLog:
    """A log that is not there is never made by looking for it."""

    def test_a_missing_directory_stays_missing(self, name: str, tmp_path: Path, command: Walogs) -> None:
        told = command(name, tmp_path / "a" / "b")
        assert (told.status, told.out) == (1, b"")
        assert told.line == f"walogs: {tmp_path}/a/b: there is no log; `walogs append` makes one."
        assert list(tmp_path.iterdir()) == []

    def test_a_directory_without_segments_stays_as_it_is(self, name: str, tmp_path: Path, command: Walogs) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        told = command(name, tmp_path)
        assert (told.status, told.out) == (1, b"")
        assert "there is no log" in told.line
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_file_is_not_a_log(self, name: str, tmp_path: Path, command: Walogs) -> None:
        (tmp_path / "file").write_text("mine")
        told = command(name, tmp_path / "file")
        assert told.status == 1
        assert told.line.startswith(f"walogs: {tmp_path}/file: Not a directory. A log is a directory")

    def test_segments_that_are_gone_are_damage(self, name: str, log: Path, command: Walogs) -> None:
        (log / "wal-000001.log").unlink()
        told = command(name, log)
        assert (told.status, told.out) == (4, b"")
        assert "its segments are gone" in told.line

    def test_a_log_of_the_rust_crate_is_recognised(self, name: str, tmp_path: Path, command: Walogs) -> None:
        (tmp_path / "wal-000001.log").touch()
        told = command(name, tmp_path)
        assert (told.status, told.out) == (4, b"")
        assert "of the Rust crate" in told.line
        assert os.listdir(tmp_path) == ["wal-000001.log"]


@pytest.mark.guarantee("G14")
def test_it_works_beside_a_writer_and_needs_none(log: Path, command: Walogs) -> None:
    printed = command("cat", log).out
    with walogs.open(log) as wal:
        before = everything_in(log)
        assert command("cat", log) == (0, printed, "")
        assert everything_in(log) == before
        wal.append(b"newest")
        assert command("cat", log) == (0, printed + b"newest\n", "")


@pytest.mark.guarantee("G14")
def test_what_is_not_synced_is_printed_unless_only_durable_is_asked_for(tmp_path: Path, command: Walogs) -> None:
    """What a killed writer had written is there again when the log is opened: so it is printed."""
    log = tmp_path / "x.wal"
    with walogs.open(log, sync="none") as wal:
        wal.append(b"synced")
        wal.sync()
        wal.append(b"written")
        killed = tmp_path / "killed.wal"
        shutil.copytree(log, killed)
        for name in (log, killed):
            assert command("cat", name).out == b"synced\nwritten\n"
            assert command("cat", name, "--visibility", "durable").out == b"synced\n"
            assert command("tail", name).out == b"synced\nwritten\n"
            assert command("tail", name, "--visibility", "durable").out == b"synced\n"
    assert entries_of(killed) == [b"synced", b"written"]


@pytest.mark.guarantee("G6")
def test_a_corrupt_log_has_a_status_of_its_own_and_stays_as_it_is(log: Path, command: Walogs) -> None:
    flip(log / "wal-000001.log", 512 + 40)
    before = bytes_of(log)
    told = command("cat", log)
    assert (told.status, told.out) == (4, b"")
    assert "wal-000001.log" in told.line
    assert "is corrupt at byte 512 (entry 1)" in told.line
    assert bytes_of(log) == before


@pytest.mark.guarantee("G5")
def test_a_torn_end_is_left_for_the_next_writer_to_cut(log: Path, command: Walogs) -> None:
    segment = log / "wal-000001.log"
    (log / "DURABLE").unlink()
    data = segment.read_bytes().rstrip(b"\0")
    segment.write_bytes(data[:-1])
    before = everything_in(log)
    for _ in range(2):
        assert command("cat", log) == (0, b"".join(entry + b"\n" for entry in ENTRIES[:-1]), "")
    assert everything_in(log) == before
    made(log, b"next")
    assert entries_of(log) == [*ENTRIES[:-1], b"next"]
    assert command("cat", log).out == b"".join(entry + b"\n" for entry in (*ENTRIES[:-1], b"next"))


LINES: Final = [b"%d" % n * 100 + b"\n" for n in range(1, 10)]
"""What `cat` prints of `three`: entries 1 to 4, 5 to 8, and 9, each in a frame of its own."""


@pytest.fixture
def three(tmp_path: Path) -> Path:
    log = made(tmp_path / "three.wal", *(line[:-1] for line in LINES), max_segment_size=512 + 4 * 152 + 100)
    with walogs.open(log) as wal:
        assert [segment.last_lsn for segment in wal.segments()] == [4, 8, 9]
    return log


FRAME: Final = 144
"""Bytes of each."""
DAMAGE: Final = {
    "the first frame of all": ("wal-000001.log", 512 + 40, 0),
    "a frame in a completed segment": ("wal-000002.log", 512 + 2 * FRAME + 60, 6),
    "the frame in the newest": ("wal-000003.log", 512 + 60, 8),
    "the oldest header": ("wal-000001.log", 100, 0),
    "a completed segment's header": ("wal-000002.log", 100, 4),
    "the newest header": ("wal-000003.log", 100, 8),
    "a segment that is gone": ("wal-000002.log", None, 4),
    "the newest, gone": ("wal-000003.log", None, 8),
}
"""File, byte that turns (None: all of it is gone), entries before it."""


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(("name", "offset", "count"), DAMAGE.values(), ids=DAMAGE)
def test_what_lies_before_damage_is_printed_and_the_damage_told(
    name: str, offset: int | None, count: int, three: Path, command: Walogs
) -> None:
    if offset is None:
        (three / name).unlink()
    else:
        flip(three / name, offset)
    before = everything_in(three)
    told = command("cat", three)
    assert (told.status, told.out) == (4, b"".join(LINES[:count]))
    assert "corrupt" in told.line
    followed = command("cat", three, "--follow")
    assert (followed.status, followed.out) == (4, told.out)
    assert [json.loads(line)["lsn"] for line in command("cat", three, "--json").out.splitlines()] == [
        *range(1, count + 1)
    ]
    middle = command("cat", three, "--start", "3", "--stop", "7")
    assert (middle.status, middle.out) in {(0, b"".join(LINES[2:6])), (4, b"".join(LINES[2 : min(count, 6)]))}
    assert everything_in(three) == before


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", [name for name in DAMAGE if "newest" not in name])
@pytest.mark.parametrize("second", ["the frame in the newest", "the newest header"])
def test_of_two_damages_the_one_at_which_it_ended_is_told(name: str, second: str, three: Path, command: Walogs) -> None:
    for file, offset, _ in (DAMAGE[name], DAMAGE[second]):
        if offset is None:
            (three / file).unlink()
        else:
            flip(three / file, offset)
    count = DAMAGE[name][2]
    for options in ((), ("--follow",)):
        told = command("cat", three, *options)
        assert (told.status, told.out) == (4, b"".join(LINES[:count]))
        assert f"(entry {count + 1})" in told.line
        assert "wal-000003.log" not in told.line


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("is_sealed", [False, True])
def test_an_entry_of_a_copy_that_went_on_by_itself_is_not_printed(
    tmp_path: Path, command: Walogs, *, is_sealed: bool
) -> None:
    for at in range(2, 6 if is_sealed else 5):
        ours, theirs = two_copies(tmp_path / f"{at}", 2, 4, 40, "crc32", is_sealed=is_sealed)
        exchanged(ours, theirs, at)
        gap = walogs.verify(ours.path).gaps[0]
        told = command("cat", ours.path)
        assert (told.status, told.out.count(b"\n")) == (4, gap.first_lsn - 1), at
        assert b"them" not in told.out, at
        assert f"(entry {gap.first_lsn})" in told.line, at


@pytest.mark.guarantee("G6")
def test_entries_of_another_log_are_not_taken_for_those_before_damage(
    tmp_path: Path, three: Path, command: Walogs
) -> None:
    lookalike = made(tmp_path / "other.wal", *(b"other" * 20 for _ in range(9)), max_segment_size=512 + 4 * 152 + 100)
    shutil.copy(lookalike / "wal-000002.log", three)
    told = command("cat", three)
    assert (told.status, told.out) == (4, b"".join(LINES[:4]))
    assert b"other" not in told.out


def test_a_checkpointed_log_is_printed_up_to_damage_in_its_newest_segment(three: Path, command: Walogs) -> None:
    with walogs.open(three) as wal:
        wal.append(b"newest")
        assert wal.checkpoint(4) == 1
    flip(three / "wal-000003.log", 512 + 60)
    told = command("cat", three)
    assert (told.status, told.out) == (4, b"".join(LINES[4:8]))


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def shell(line: str, **names: str | Path) -> subprocess.CompletedProcess[bytes]:
    """A shell line in which `$walogs` is the command."""
    quoted = {name: shlex.quote(os.fspath(value)) for name, value in names.items()}
    line = line.format(walogs=shlex.join(COMMAND), **quoted)
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False, timeout=300)


def test_a_reader_that_has_had_enough_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "x.wal"
    with walogs.open(log) as wal:
        wal.append_batch([b"%d" % n + b"x" * 100 for n in range(20_000)])
    ran = shell("{walogs} cat {log} | head -n 1", log=log)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == b"0" + b"x" * 100 + b"\n"
    assert len(entries_of(log)) == 20_000


@pytest.mark.parametrize("tokens", [("cat",), ("cat", "--json"), ("info",), ("info", "--json")])
def test_a_reader_that_is_gone_from_the_start_is_no_error(tokens: tuple[str, ...], log: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        command = [*COMMAND, *tokens, os.fspath(log)]
        ran = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False, timeout=300)
    finally:
        os.close(theirs)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert entries_of(log) == list(ENTRIES)


@pytest.mark.parametrize(
    ("name", "note"), [("cat", b""), ("info", b" What the command has done stands: only what it has to say is lost.")]
)
def test_output_that_cannot_be_written_is_an_error(name: str, note: bytes, log: Path) -> None:
    ran = shell("{walogs} {name} {log} > /dev/full", log=log, name=name)
    assert (ran.returncode, ran.stderr) == (1, b"walogs: standard output: No space left on device." + note + b"\n")
    assert entries_of(log) == list(ENTRIES)


@pytest.mark.parametrize("unbuffered", ["", "PYTHONUNBUFFERED=1"])
def test_output_that_cannot_be_written_does_not_look_like_a_full_log(unbuffered: str, log: Path) -> None:
    """Whoever appends the lines again would have them twice."""
    ran = shell(f"echo one more | {unbuffered} {{walogs}} append {{log}} > /dev/full", log=log)
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"walogs: standard output: No space left on device. What the command has done stands")
    assert entries_of(log) == [*ENTRIES, b"one more"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_never_write_into_the_log(closed: str, log: Path) -> None:
    """With descriptor 1 closed, the next file that is opened has that number."""
    before = (log / "wal-000001.log").read_bytes()
    ran = shell(f"{{walogs}} cat {{log}} {closed}", log=log)
    assert ran.returncode == (1 if ">&-" in closed.replace("2>&-", "") else 0), ran.stderr
    shell(f"{{walogs}} info {{log}} {closed}", log=log)
    assert (log / "wal-000001.log").read_bytes() == before
    assert entries_of(log) == list(ENTRIES)


def test_names_found_in_a_directory_cannot_steer_the_terminal(log: Path, command: Walogs) -> None:
    (log / "wal-\x1b[31m\n\udcff.log").touch()
    told = command("cat", log)
    assert told.status == 1
    assert "wal-\\x1b[31m\\n\\udcff.log is almost, but not quite" in told.line


def test_only_what_is_printed_is_read(three: Path, command: Walogs) -> None:
    flip(three / "wal-000001.log", 512 + 40)
    assert command("cat", three).status == 4
    told = command("cat", three, "--start", "8")
    assert (told.status, told.out) == (0, b"".join(LINES[7:]))


def test_lines_that_were_held_back_come_before_the_error(log: Path) -> None:
    """Printing stops for whatever reason: what came before it is out."""

    def failing() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        raise KeyboardInterrupt

    out = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        lines.print_lines(out, failing())
    assert out.getvalue() == b"one\ntwo\n"


def test_a_follower_that_is_told_to_stop_where_it_begins_ends(log: Path, command: Walogs) -> None:
    assert command("cat", log, "--follow", "--start", "3", "--stop", "3") == (0, b"", "")
    assert command("cat", log, "--follow", "--stop", "3").out == b"first\n\n"
    assert command("cat", log, "--follow", "--start", "7", "--stop", "8").out == b"\r\n"
