"""`walogs append`: lines become entries, and what it says is durable is durable."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs, bytes_of, entries_of, made
from walogs import MAX_ENTRY_SIZE
from walogs.assembly import opening
from walogs.cli import lines
from walogs.formats import durable_mark

TEXTS: Final = {
    b"": [],
    b"\n": [b""],
    b"a": [b"a"],
    b"a\n": [b"a"],
    b"a\nb": [b"a", b"b"],
    b"\n\na\n\n": [b"", b"", b"a", b""],
    b"carriage\r\nreturn\r\n": [b"carriage\r", b"return\r"],
    b"\xff\x00\n\xfe": [b"\xff\x00", b"\xfe"],
    b"\xc2\x85\x0b\x0c\x1c\xe2\x80\xa8\n": [b"\xc2\x85\x0b\x0c\x1c\xe2\x80\xa8"],  # what str.splitlines would split at
}


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(("text", "entries"), TEXTS.items())
def test_each_line_is_one_entry_however_it_is_read(
    text: bytes, entries: list[bytes], read_bytes: int, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "READ_BYTES", read_bytes)
    log, file = tmp_path / "x.wal", tmp_path / "lines"
    file.write_bytes(text)
    told = command("append", log, "--lines", file)
    assert (told.status, told.error) == (0, "")
    assert entries_of(log) == entries


def test_it_goes_on_where_the_log_ends_and_says_which_lsns(tmp_path: Path, command: Walogs) -> None:
    log, file = made(tmp_path / "x.wal", b"first"), tmp_path / "lines"
    file.write_bytes(b"second\nthird\n")
    assert command("append", log, "--lines", file).out == b"appended 2 entries: 2 to 3\n"
    file.write_bytes(b"fourth")
    assert command("append", log, "--lines", file).out == b"appended 1 entry: 4\n"
    assert command("append", log, "--json", "--lines", file).json() == {"entries": 1, "first_lsn": 5, "last_lsn": 5}
    file.write_bytes(b"")
    assert command("append", log, "--lines", file).out == b"appended nothing: there were no lines\n"
    told = command("append", log, "--json", "--lines", file)
    assert told.json() == {"entries": 0, "first_lsn": None, "last_lsn": None}
    assert entries_of(log) == [b"first", b"second", b"third", b"fourth", b"fourth"]


@pytest.mark.parametrize("tokens", [(), ("--lines", "-")])
def test_standard_input_is_the_default(tokens: tuple[str, ...], tmp_path: Path, command: Walogs) -> None:
    told = command.apart("append", tmp_path / "x.wal", *tokens, stdin=b"a\n\xff\n\nlast")
    assert told == (0, b"appended 4 entries: 1 to 4\n", "")
    assert entries_of(tmp_path / "x.wal") == [b"a", b"\xff", b"", b"last"]


@pytest.mark.guarantee("G1")
def test_lines_of_a_pipe_are_durable_before_more_come(tmp_path: Path) -> None:
    """`tail -f x | walogs append y` must not sit on lines until a buffer is full."""
    log = tmp_path / "x.wal"
    with writing_lines(log, b"one\ntwo\nhalf a li") as writer:
        wait_until_durable(log, 2)
        writer.kill()
    assert entries_of(log) == [b"one", b"two"]
    made(log, b"three")
    assert entries_of(log) == [b"one", b"two", b"three"]


@pytest.mark.guarantee("G18")
def test_an_interrupt_ends_it_and_says_what_is_durable(tmp_path: Path) -> None:
    log = tmp_path / "x.wal"
    with writing_lines(log, b"one\ntwo\nhalf") as writer:
        wait_until_durable(log, 2)
        writer.send_signal(signal.SIGINT)
        out, error = writer.communicate(timeout=300)
    assert (writer.returncode, out) == (130, b"")
    assert error == b"walogs: interrupted. What came before it is durable, as entries 1 to 2.\n"
    assert entries_of(log) == [b"one", b"two"]


def writing_lines(log: Path, text: bytes) -> subprocess.Popen[bytes]:
    """The command, with *text* in its pipe, which stays open."""
    pipe = subprocess.PIPE
    writer = subprocess.Popen([*COMMAND, "append", log], stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT)
    assert writer.stdin is not None
    writer.stdin.write(text)
    writer.stdin.flush()
    return writer


def wait_until_durable(log: Path, lsn: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            seen = durable_mark.decode((log / "DURABLE").read_bytes())
        except FileNotFoundError:
            seen = None
        if seen is not None and seen.last_lsn >= lsn:
            return
        time.sleep(0.01)
    raise AssertionError(f"entry {lsn} never became durable")


def test_what_is_before_a_line_that_is_too_long_is_kept_and_it_is_told(tmp_path: Path, command: Walogs) -> None:
    log, file = tmp_path / "x.wal", tmp_path / "lines"
    file.write_bytes(b"a\nb\n" + bytes(MAX_ENTRY_SIZE + 1) + b"\nc\n")
    told = command("append", log, "--lines", file)
    assert (told.status, told.out) == (1, b"")
    assert told.line == (
        "walogs: line 3 is longer than the 16777216 bytes that an entry may have."
        " What came before it is durable, as entries 1 to 2."
    )
    assert entries_of(log) == [b"a", b"b"]
    file.write_bytes(b"c")
    assert command("append", log, "--lines", file).status == 0
    assert entries_of(log) == [b"a", b"b", b"c"]


def test_a_line_of_the_greatest_length_is_an_entry(tmp_path: Path, command: Walogs) -> None:
    log, file = tmp_path / "x.wal", tmp_path / "lines"
    file.write_bytes(b"a\n" + bytes(MAX_ENTRY_SIZE) + b"\nc\n")
    assert command("append", log, "--lines", file).status == 0
    assert [len(entry) for entry in entries_of(log)] == [1, MAX_ENTRY_SIZE, 1]


class Endless(io.RawIOBase):
    """A line that never ends; counts what was read of it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0
        self.given += size
        return bytes(size)


def test_a_line_without_end_is_not_read_for_ever() -> None:
    endless = Endless()
    last = b"".join(batch[0] for batch, _ in lines.batches(endless))  # type: ignore[arg-type]
    assert MAX_ENTRY_SIZE < len(last) <= endless.given <= MAX_ENTRY_SIZE + lines.READ_BYTES


def test_no_more_is_held_than_one_read_and_one_line(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"".join(b"x" * (n % 300) + b"\n" for n in range(30_000)))
    with file.open("rb", buffering=0) as source:
        sizes = [(sum(map(len, batch)), read_bytes) for batch, read_bytes in lines.batches(source)]
    assert len(sizes) > 3
    assert max(size for size, _ in sizes) <= lines.READ_BYTES + 300
    assert sum(read_bytes for _, read_bytes in sizes) == file.stat().st_size


def test_a_file_that_cannot_be_read_makes_no_log(tmp_path: Path, command: Walogs) -> None:
    log = tmp_path / "x.wal"
    told = command("append", log, "--lines", tmp_path / "missing")
    assert (told.status, told.line) == (1, f"walogs: {tmp_path}/missing: No such file or directory.")
    assert command("append", log, "--lines", tmp_path).status == 1
    assert not log.exists()


def test_closed_standard_input_is_an_error_and_makes_no_log(tmp_path: Path, command: Walogs) -> None:
    told = command.apart("append", tmp_path / "x.wal", before="import sys; sys.stdin = None; ")
    assert (told.status, told.line) == (1, "walogs: standard input is closed.")
    assert not (tmp_path / "x.wal").exists()


def test_a_refused_log_says_that_nothing_was_appended(tmp_path: Path, command: Walogs) -> None:
    log, file = made(tmp_path / "x.wal", b"a"), tmp_path / "lines"
    file.write_bytes(b"b\n")
    with walogs.open(log):
        before = bytes_of(log)
        told = command("append", log, "--lines", file)
        assert bytes_of(log) == before
    assert told.status == 3
    assert f"is open for writing by process {os.getpid()} on" in told.line
    assert ", which is this process. Close the handle that has it" in told.line
    assert entries_of(log) == [b"a"]


def test_what_an_error_leaves_behind_is_told(tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that fails after others have not: the message tells the last LSN that is sure."""
    monkeypatch.setattr(lines, "READ_BYTES", 2)
    log, file = tmp_path / "x.wal", tmp_path / "lines"
    file.write_bytes(b"a\nb\nc\nd\n")
    synced, count = os.fdatasync, 0

    def failing(fd: int) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(5, "Input/output error")
        synced(fd)

    monkeypatch.setattr(os, "fdatasync", failing)
    told = command("append", log, "--lines", file)
    monkeypatch.setattr(os, "fdatasync", synced)
    assert told.status == 1
    assert "the outcome of this append" in told.line
    assert told.line.endswith("What came before it is durable, as entries 1 to 2.")
    assert entries_of(log)[:2] == [b"a", b"b"]


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))  # LOCK fits, and no segment
"""


def test_a_log_that_finds_no_room_says_what_was_made_of_it(tmp_path: Path, command: Walogs) -> None:
    log, lines = tmp_path / "x.wal", tmp_path / "lines"
    lines.write_text("one\n")
    told = command.apart("append", log, "--lines", lines, before=LIMITED)
    assert (told.status, told.out) == (1, b"")
    assert os.listdir(log) == ["LOCK"]
    left = f"There is no log yet; the directory {log} was made, and holds LOCK alone."
    assert " Nothing was changed in the log: free some space" in told.line
    assert told.line.endswith(f" {left}")
    again = command.apart("append", log, "--lines", lines, before=LIMITED)
    assert "was made" not in again.line
    assert command("append", log, "--lines", lines).status == 0
    assert entries_of(log) == [b"one"]


def test_it_waits_for_the_log_as_long_as_it_is_told(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, file = made(tmp_path / "x.wal"), tmp_path / "lines"
    file.write_bytes(b"waited\n")
    with walogs.open(log):
        assert command("append", log, "--lines", file).status == 3
        told = command("append", log, "--lines", file, "--wait", "1ms")
        assert (told.status, told.out) == (3, b"")
        assert "The open waited 0.001 seconds for it (wait)." in told.line
    holder = walogs.open(log)
    environment = opening.ENVIRONMENT._replace(sleep=lambda _: holder.close())
    monkeypatch.setattr(opening, "ENVIRONMENT", environment)
    told = command("append", log, "--lines", file, "--wait", "1h")
    assert (told.status, told.out, told.error) == (0, b"appended 1 entry: 1\n", "")


@pytest.mark.parametrize("text", ["soon", "-1s", "nan", "5S", "true"])
def test_what_is_no_duration_is_refused(text: str, tmp_path: Path, command: Walogs) -> None:
    told = command("append", tmp_path / "x.wal", "--wait", text)
    assert (told.status, told.out) == (2, b"")
    assert told.line.startswith("walogs: --wait ")
    assert list(tmp_path.iterdir()) == []
