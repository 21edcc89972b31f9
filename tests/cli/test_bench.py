"""`walogs bench` measures in a directory of its own, checks before it tells, and leaves nothing. No figure decides a
test."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs, everything_in, made
from tests.config.files import install, written
from tests.kit.codecs import DeflateCodec, LevelCodec, LevelOptions
from walogs import Corrupt, Wal, WalConfig
from walogs.cli.bench import command as bench
from walogs.cli.bench import rows as bench_rows
from walogs.cli.bench.bare import BareFile
from walogs.cli.bench.entries import Check, Differs, Entries
from walogs.cli.lines import step_bar
from walogs.foundation.wakeups import held_lock

SHORT: Final = ("--seconds", "5ms", "--threads", "1,2")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, and no disk that is waited for: what is tested is not how fast it is."""
    monkeypatch.setattr(bench_rows, "BLOCK", 2)
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: None)


# What is told


def test_it_tells_what_was_measured_and_a_line_for_each_row(tmp_path: Path, command: Walogs) -> None:
    (tmp_path / "theirs").write_text("kept")
    told = command("bench", tmp_path, "--seconds", "5ms", "--threads", "1,3", "--threads", "2,3", "--entry-size", "64B")
    assert (told.status, told.error) == (0, "")
    first, *rows = [line for line in told.out.decode().splitlines() if not line.startswith("note: ")]
    components = "store local, codec crc32, sync fdatasync, entries of 64 B"
    assert re.fullmatch(rf"{tmp_path}: \S.*, Python 3\.\S+, walogs \S+, {components}", first)
    shown = [re.split(r"  +", row) for row in rows]
    assert [cells[0] for cells in shown] == [
        "bare pwrite + fdatasync",
        "append, 1 thread",
        "append, 3 threads",
        "append, 2 threads",
        "append_batch of 1,000 entries",
        "reading all entries",
        "opening, every byte checked",
    ]
    assert all(re.fullmatch(r"[\d,.]+ (writes|entries|B|.iB)/s", cells[1]) for cells in shown)
    assert shown[0][3] == "of 120 B each"
    assert re.fullmatch(r"p50 [\d.]+ \S+, p99 [\d.]+ \S+", shown[1][2])
    assert re.fullmatch(r"[\d.]+ × the bare write beside it", shown[1][3])
    assert re.fullmatch(r"[\d.]+ × one thread", shown[2][2])
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_its_json_has_the_same_facts_in_base_units(tmp_path: Path, command: Walogs) -> None:
    told = command("bench", tmp_path, *SHORT, "--batch", "7", "--json")
    assert (told.status, told.error) == (0, "")
    facts = told.json()
    of_entries = {"entries", "seconds", "entries_per_second"}
    assert {name: set(row) for name, row in facts.items() if isinstance(row, dict)} == {
        "bare": {"writes", "bytes", "writes_per_second", "p50_seconds", "p99_seconds"},
        "append": {*of_entries, "p50_seconds", "p99_seconds", "times_bare"},
        "append_batch": of_entries,
        "read": {*of_entries, "bytes_per_second"},
        "open": {"entries", "bytes", "seconds", "bytes_per_second"},
    }
    (two,) = facts["threads"]
    assert set(two) == {"threads", *of_entries, "times_one_thread"}
    assert (facts["directory"], facts["log"], facts["durability"]) == (str(tmp_path), None, "durable")
    assert (facts["entry_size"], facts["batch"], facts["seconds"]) == (128, 7, 0.005)
    assert facts["append_batch"]["entries"] % 7 == 0
    assert facts["bare"]["bytes"] == 184
    assert facts["open"]["entries"] == facts["append_batch"]["entries"]
    assert facts["append"]["p50_seconds"] <= facts["append"]["p99_seconds"]


def test_without_a_directory_it_is_the_working_one(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("bench", *SHORT, "--json").json()["directory"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("found", "told", "is_noted"), [("tmpfs", "tmpfs", True), ("ext4", "ext4", False), (None, "unknown", False)]
)
def test_a_file_system_in_memory_is_told_to_mean_nothing(
    found: str | None, told: str, is_noted: bool, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "file_system", lambda device: found)
    out = command("bench", tmp_path, *SHORT).out.decode()
    assert f"{tmp_path}: {told}" in out
    assert ("durable figures mean nothing here" in out) == is_noted


def test_percentiles_are_of_what_was_there() -> None:
    found = bench_rows.latencies(array("Q", [*range(1000, 0, -10)]))
    assert (found.p50_seconds, found.p99_seconds) == (510e-9, 1000e-9)
    assert found.rate == (100, 50500e-9)
    assert bench_rows.latencies(array("Q", [7]))[1:] == (7e-9, 7e-9)


def test_progress_is_for_terminals_and_moves_by_itself_never(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    before = threading.active_count()
    with step_bar(2) as begin:
        for step in ("reading", "opening"):
            begin(step)
        assert threading.active_count() == before
    assert "reading" in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", silent := io.StringIO())
    with step_bar(2) as begin:
        begin("reading")
    assert silent.getvalue() == ""


# The log of a file

LOG: Final = """
[log.orders]
path = "orders.wal"
codec = {{ use = "{codec}", level = 1 }}
sync = "none"
max_batch_size = "1KiB"
max_segment_size = "4KiB"
observers = ["never"]
"""


def refuse_to_observe(*_: object) -> None:
    raise AssertionError("an observer was made")


def test_the_components_and_sizes_of_a_configured_log_are_measured_beside_it(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[DeflateCodec] = []

    def level_codec(level: int) -> DeflateCodec:
        used.append(LevelCodec(level))
        return used[-1]

    install(monkeypatch, "codec", "level", level_codec, LevelOptions)
    install(monkeypatch, "observer", "never", refuse_to_observe)
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, LOG.format(codec="level"))
    log = made(tmp_path / "orders.wal", b"theirs")
    before = everything_in(log)
    told = command("bench", "--log", "orders", *SHORT)
    assert (told.status, told.error) == (0, ""), told.error
    lines = told.out.decode().splitlines()
    assert f"{tmp_path}: " in lines[0]
    assert "store local, codec level, sync none (log orders)" in lines[0]
    assert "note: sync none promises no durability: a power cut may lose what was appended" in lines
    assert any(line.startswith("append_batch of 7 entries") for line in lines), "as many as its limit lets"
    assert {codec.level for codec in used} == {1}
    assert everything_in(log) == before
    assert sorted(tmp_path.iterdir()) == [log, file]


def test_a_store_with_options_gets_the_new_place(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from walogs.defaults.local_store import LocalStore

    made_at: list[str] = []

    def store(path: str, level: int) -> LocalStore:
        made_at.append(path)
        return LocalStore(path)

    install(monkeypatch, "store", "levelled", store, LevelOptions)
    file = written(tmp_path, "[log.a]\npath = 'a.wal'\nstore = 'levelled'\nsync = { use = 'interval', time = '1ms' }\n")
    told = command("bench", "--config", file, "--log", "a", *SHORT, "--json")
    assert told.status == 0, told.error
    assert (told.json()["store"], told.json()["sync"], told.json()["durability"]) == (
        "levelled",
        "interval",
        "eventually",
    )
    assert all(path.startswith(str(tmp_path / "walogs-bench-")) for path in made_at)
    assert list(tmp_path.iterdir()) == [file]


def test_a_log_whose_directories_are_not_there_yet_is_measured_above_them(tmp_path: Path, command: Walogs) -> None:
    file = written(tmp_path, "[log.a]\npath = 'deep/er/a.wal'\n")
    told = command("bench", "--config", file, "--log", "a", *SHORT, "--json")
    assert told.status == 0, told.error
    assert told.json()["directory"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == [file]


# No figure without its check

ITER: Final = Wal.iter


def altered(entries: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    lsn, data = entries[-1] if entries else (1, bytes(16))
    return [*entries[:-1], (lsn, data[:-1] + bytes([data[-1] ^ 1]))]


def swapped(entries: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    (first, one), (second, other), *rest = entries
    return [(first, other), (second, one), *rest]


def invented(entries: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [*entries, (entries[-1][0] + 1, entries[-1][1])]


def renumbered(entries: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [(lsn + 1, data) for lsn, data in entries]


def shortened(entries: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [(lsn, data[:3]) for lsn, data in entries]


PLANTED: Final = (altered, swapped, invented, renumbered, shortened, lambda entries: entries[:-1])


ROWS: Final = ("bytes_of_a_commit", "against_bare", "appending_at_once", "appending_batches", "reading", "opening")


@pytest.mark.parametrize("row", ROWS)
def test_whichever_row_reads_something_else_there_is_no_figure(
    row: str, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = getattr(bench_rows, row)

    def broken(wal: Wal, *bounds: Any) -> Iterator[tuple[int, bytes]]:
        return iter(altered(list(ITER(wal, *bounds))))

    def planted(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Wal, "iter", broken)
            return measure(*arguments)

    monkeypatch.setattr(bench_rows, row, planted)
    told = command("bench", tmp_path, *SHORT)
    assert (told.status, told.out) == (1, b"")
    assert "So there is no figure" in told.line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_the_check_sees_every_difference(planted: Callable[[Any], Any]) -> None:
    entries = Entries(16)
    whole = list(enumerate([entries.data(1, 0), entries.data(1, 1), entries.data(0, 0), entries.data(1, 2)], 1))

    def check(found: list[tuple[int, bytes]]) -> None:
        one = Check("appending", entries, [1, 3])
        one.read(found)
        one.end()

    check(whole)
    with pytest.raises(Differs, match="So there is no figure"):
        check(planted(whole))


def test_no_two_entries_are_alike() -> None:
    one, other = Entries(40), Entries(40)
    found = {entries.data(thread, n) for entries in (one, other) for thread in range(4) for n in range(50)}
    assert len(found) == 2 * 4 * 50
    assert {len(data) for data in found} == {40}


def lose_writes(bare: BareFile, data: bytes) -> None:
    bare.writes += 1


@pytest.mark.parametrize(
    ("owner", "name", "planted", "phrase"),
    [
        (BareFile, "write", lose_writes, "the bare file: write 0 is not what was written"),
        (Wal, "last_lsn", property(lambda wal: 0), "opening: 0 of"),
        (Wal, "append", lambda wal, data: wal.append_batch([data])[0] and 0, "was given LSN 0 after 0"),
    ],
)
def test_what_no_reader_sees_is_checked_too(
    owner: type,
    name: str,
    planted: object,
    phrase: str,
    tmp_path: Path,
    command: Walogs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, planted)
    told = command("bench", tmp_path, *SHORT)
    assert (told.status, told.out) == (1, b"")
    assert phrase in told.line
    assert list(tmp_path.iterdir()) == []


def test_damage_to_what_it_has_written_is_no_damage_to_a_log(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(wal: Wal, *_: Any) -> Iterator[tuple[int, bytes]]:
        raise Corrupt(f"{wal.path} is corrupt")

    monkeypatch.setattr(Wal, "iter", damaged)
    told = command("bench", tmp_path, *SHORT)
    assert (told.status, told.out) == (1, b"")
    assert "is corrupt. So there is no figure" in told.line


# Nothing is left behind


def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        running: list[tuple[signal.Signals, Path, subprocess.Popen[bytes]]] = []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            (place := tmp_path / number.name).mkdir()
            tokens = ("bench", os.fspath(place), "--seconds", "1h", "--threads", "2")
            # A signal inside the standard library's own `open` leaves a file to the collector, which warns of it.
            command = [*COMMAND[:-2], "-W", "ignore::ResourceWarning", *COMMAND[-2:], *tokens]
            process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE)
            running.append((number, place, stack.enter_context(process)))
            stack.callback(process.kill)
        deadline = time.monotonic() + 300
        for number, place, process in running:
            while not list(place.glob("*/*/bare")) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(number)
            _, error = process.communicate(timeout=300)
            assert (process.returncode, error) == (130, b"walogs: interrupted.\n"), number
            assert list(place.iterdir()) == []


def test_an_interrupt_among_many_threads_ends_them_all(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        """A lock that is held, and whose waiter is interrupted."""

        def __init__(self) -> None:
            lock = held_lock()
            self.locked, self.release = lock.locked, lock.release

        def acquire(self, *, timeout: float) -> bool:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    monkeypatch.setattr(bench_rows, "held_lock", Interrupted)
    assert command("bench", tmp_path, *SHORT) == (130, b"", "walogs: interrupted.\n")
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []


def test_threads_that_cannot_be_started_are_told_and_those_that_were_end(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, count = threading.Thread.start, iter(range(100))

    def refused(thread: threading.Thread) -> None:
        if next(count) == 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    before = set(threading.enumerate())
    monkeypatch.setattr(threading.Thread, "start", refused)
    told = command("bench", tmp_path, "--seconds", "5ms", "--threads", "3")
    assert (told.status, told.out) == (1, b"")
    assert "no more than 1 of 3 threads can be started here; ask for fewer with --threads" in told.line
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["append", "append_batch"])
def test_an_error_in_the_middle_leaves_nothing(
    verb: str, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, main, left = getattr(Wal, verb), threading.main_thread(), 9

    def full(wal: Wal, data: Any) -> Any:
        nonlocal left
        left -= threading.current_thread() is not main or verb == "append_batch"
        if left < 0 or verb == "append_batch":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(wal, data)

    monkeypatch.setattr(Wal, verb, full)
    monkeypatch.setattr(bench_rows, "LOG_BYTES_MAX", 1 << 16)
    told = command("bench", tmp_path, "--seconds", "10s" if verb == "append" else "5ms", "--threads", "2")
    assert (told.status, told.out, told.line) == (1, b"", "walogs: No space left on device.")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_measured_stays_small(tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_rows, "LOG_BYTES_MAX", 40 * 128)
    monkeypatch.setattr(bench_rows, "reading", lambda *_: bench_rows.Rate(1, 1.0))
    monkeypatch.setattr(bench_rows, "opening", lambda *_: bench_rows.Rate(1, 1.0))
    facts = command("bench", tmp_path, "--seconds", "60s", "--threads", "4", "--batch", "7", "--json").json()
    assert facts["append"]["entries"] <= 40
    assert facts["threads"][0]["entries"] <= 40
    assert facts["append_batch"]["entries"] == 42


# What is refused


@pytest.mark.parametrize(
    ("tokens", "phrase"),
    [
        (("--entry-size", "0"), "16 bytes or more"),
        (("--entry-size", "-5"), "a number of bytes, 0 or more"),
        (("--entry-size", "4kib"), 'did you mean "4KiB"?'),
        (("--seconds", "0"), "more than 0 seconds"),
        (("--seconds", "nan"), "a duration: text with a unit"),
        (("--seconds", "inf"), "a duration: text with a unit"),
        (("--seconds", "25h"), "at most a day"),
        (("--threads", "0"), "numbers from 1 to 1024"),
        (("--threads", "1,,2"), "numbers from 1 to 1024"),
        (("--threads", "1025"), "numbers from 1 to 1024"),
        (("--batch", "0"), "a whole number, 1 or more"),
        (("--log", "a"), "the place is named twice"),
    ],
)
def test_wrong_usage_is_told_and_makes_nothing(
    tokens: tuple[str, ...], phrase: str, tmp_path: Path, command: Walogs
) -> None:
    told = command("bench", tmp_path, *tokens)
    assert (told.status, told.out) == (2, b"")
    assert phrase in re.sub(r"[\s│]+", " ", told.error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tokens", "phrase"),
    [
        (("nowhere",), "there is no such directory; make it, or name another"),
        (("file",), "there is no such directory"),
        ((".", "--entry-size", "17MiB"), "max_entry_size of this log is 16777216 bytes"),
        ((".", "--batch", "600000"), "max_batch_size of this log is 508400 entries of 128 bytes"),
        (("--log", "b"), "log='b': no such log"),
        (("--log", "placeless"), "missing: where the log is"),
        (("--log", "below"), "there is no such directory"),
    ],
)
def test_what_cannot_be_measured_is_told_and_makes_nothing(
    tokens: tuple[str, ...], phrase: str, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    written(tmp_path, "[log.a]\npath='a'\n[log.placeless]\n[log.below]\npath='file/er/a.wal'\n")
    told = command("bench", *tokens, "--seconds", "5ms")
    assert (told.status, told.out) == (1, b"")
    assert phrase in told.line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "walogs.toml"]


def test_the_directory_of_a_log_is_the_logs(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", b"theirs")
    before = everything_in(log)
    told = command("bench", log, *SHORT)
    assert (told.status, told.out) == (1, b"")
    assert "x.wal is the directory of a log, which has it for itself (wal-000001.log); name the directory above" in (
        told.line
    )
    assert everything_in(log) == before
    made(tmp_path / "empty.wal")
    assert "is the directory of a log" in command("bench", tmp_path / "empty.wal", *SHORT).line


def test_a_directory_that_may_not_be_written_is_told(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", refused)
    told = command("bench", tmp_path, *SHORT)
    assert (told.status, told.out) == (1, b"")
    assert "Permission denied. Nothing was measured: name a DIR that you may write into." in told.line


@pytest.mark.parametrize(
    ("limit", "entry_size", "batch"), [(1 << 26, 128, 1000), (1 << 20, 4096, 255), (64, 100, 1), (268, 128, 2)]
)
def test_a_batch_is_as_large_as_the_log_lets_it_be(limit: int, entry_size: int, batch: int) -> None:
    config = WalConfig(max_batch_size=limit)
    assert bench.batch_within(config, entry_size, None) == batch
    assert bench.batch_within(config, entry_size, batch) == batch
