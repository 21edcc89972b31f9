"""`walogs cat`: the entries as they are, and the log as a writer would have left it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs, bytes_of, entries_of, made

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


def test_below_the_base_the_error_says_where_it_begins(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", *(b"x" * 100 for _ in range(9)), max_segment_size=800)
    with walogs.open(log) as wal:
        assert wal.checkpoint(6)
        base = wal.first_lsn
    told = command("cat", log, "--start", "1")
    assert (told.status, told.out) == (1, b"")
    assert told.line == f"walogs: entry 1 was checkpointed: {log} begins at {base}. Start there, or leave --start out."
    assert command("cat", log).out.count(b"\n") == 10 - base


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


def test_a_log_that_is_open_elsewhere_has_a_status_of_its_own(log: Path, command: Walogs) -> None:
    with walogs.open(log):
        told = command("cat", log)
    assert (told.status, told.out) == (3, b"")
    assert f"is open for writing by process {os.getpid()} on" in told.line
    assert command("cat", log).status == 0


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
def test_a_torn_end_is_cut_and_told(log: Path, command: Walogs) -> None:
    segment = log / "wal-000001.log"
    (log / "DURABLE").unlink()
    data = segment.read_bytes().rstrip(b"\0")
    segment.write_bytes(data[:-1])
    told = command("cat", log)
    assert (told.status, told.out) == (0, b"".join(entry + b"\n" for entry in ENTRIES[:-1]))
    assert "wal-000001.log was cut at byte" in told.line
    assert command("cat", log) == (0, told.out, "")
    made(log, b"next")
    assert entries_of(log) == [*ENTRIES[:-1], b"next"]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def shell(line: str, **names: str | Path) -> subprocess.CompletedProcess[bytes]:
    """A shell line in which `$walogs` is the command."""
    quoted = {name: shlex.quote(os.fspath(value)) for name, value in names.items()}
    line = line.format(walogs=shlex.join(COMMAND), **quoted)
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False, timeout=100)


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
        ran = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False, timeout=100)
    finally:
        os.close(theirs)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert entries_of(log) == list(ENTRIES)


@pytest.mark.parametrize("name", ["cat", "info"])
def test_output_that_cannot_be_written_is_an_error(name: str, log: Path) -> None:
    ran = shell("{walogs} {name} {log} > /dev/full", log=log, name=name)
    assert (ran.returncode, ran.stderr) == (1, b"walogs: No space left on device.\n")
    assert entries_of(log) == list(ENTRIES)


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


def test_only_headers_and_seals_are_read_if_asked_for(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", *(b"%d" % n * 100 for n in range(9)), max_segment_size=900)
    flip(log / "wal-000001.log", 512 + 40)
    assert command("cat", log).status == 4
    told = command("cat", log, "--verify", "last", "--start", "8")
    assert (told.status, told.out) == (0, b"7" * 100 + b"\n" + b"8" * 100 + b"\n")
    told = command("cat", log, "--verify", "last")
    assert told.status == 4
    assert "is corrupt at byte 512 (entry 1)" in told.line
