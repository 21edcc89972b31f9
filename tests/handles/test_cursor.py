"""A cursor: where a consumer is, who has it, and what becomes of it when something goes wrong."""

from __future__ import annotations

import gc
import os
import pickle
import random
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.handles.cursors import DATA, SEGMENT, log, lsns
from tests.kit.callers import OURS, Callers, reached
from tests.kit.logs import numbered
from tests.system.children import forked
from walogs.defaults.cursor_files import CursorFiles
from walogs.defaults.local_store import LocalStore
from walogs.formats import cursor as cursor_bytes
from walogs.testing import Fault, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore
from walogs.types import CursorLag

__all__ = ["log"]


# Where it is


@pytest.mark.guarantee("G21")
def test_a_consumer_continues_after_what_it_has_committed(log: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor:
        assert (cursor.name, cursor.position) == ("mailer", 0)
        assert list(cursor) == numbered(1, *DATA)
        assert cursor.position == 0, "it moves by commit alone"
        for lsn, _ in cursor.iter(8):
            cursor.commit(lsn)
            assert cursor.position == lsn
        assert list(cursor.iter(10)) == [(8, DATA[7]), (9, DATA[8])]
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        assert cursor.position == 7
        assert list(cursor.follow(timeout=0)) == numbered(8, *DATA[7:])
        cursor.commit(12, durable=False)
        assert cursor.position == 12
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor, wal.cursor("auditor") as other:
        assert (cursor.position, other.position) == (12, 0)
        cursor.commit(20)
        assert (list(cursor), wal.append(b"next")) == ([], 21)
        assert list(cursor.follow(timeout=0)) == [(21, b"next")]


def test_the_lag_says_how_far_it_is_behind(log: Path) -> None:
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        assert cursor.lag.entries == 20
        cursor.commit(15)
        assert cursor.lag.entries == 5
        cursor.commit(20)
        assert cursor.lag == CursorLag(entries=0, seconds=0.0)


def test_the_lag_in_seconds_is_that_of_the_next_entry(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        cursor.commit(4)
        (commit,) = reader.commits(5, 6)
        monkeypatch.setattr("walogs.handles.cursor.time.time_ns", lambda: commit.time_ns + 2_500_000_000)
        assert cursor.lag == CursorLag(entries=16, seconds=2.5)
        monkeypatch.setattr("walogs.handles.cursor.time.time_ns", lambda: commit.time_ns - 1)
        assert cursor.lag.seconds == 0.0


def test_a_new_cursor_begins_before_the_first_entry_that_is_there(log: Path) -> None:
    with walogs.open(log) as wal:
        wal.checkpoint(10)
        assert wal.first_lsn > 1
        with wal.cursor("mailer") as cursor:
            assert cursor.position == wal.first_lsn - 1
            assert lsns(cursor) == list(range(wal.first_lsn, 21))
        wal.checkpoint(20)
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor, pytest.raises(walogs.Checkpointed):
        list(cursor)


def test_the_same_position_can_be_committed_again_and_made_durable() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        wal.append_batch([b"one", b"two"])
        cursor = wal.cursor("mailer")
        cursor.commit(1)
        cursor.commit(2, durable=False)
        cursor.commit(2)
        assert cursor_bytes.decode(disk.durable("cursors/mailer") or b"").lsn == 2


# What is refused


def test_a_commit_that_is_refused_changes_nothing(log: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor:
        cursor.commit(5)
        before = (log / "cursors/mailer").read_bytes()
        wrong: list[tuple[Any, type[Exception], str]] = [
            (4, ValueError, "is at entry 5 already, and lsn=4 is before it. Nothing was changed. To set it back, "),
            (-1, ValueError, "lsn=-1 is before it"),
            (21, IndexError, "cannot move to entry 21: the last durable entry is 20. Nothing was changed."),
            (10**30, IndexError, "the last durable entry is 20"),
            (5.0, TypeError, "an LSN is a whole number"),
            (True, TypeError, "an LSN is a whole number"),
            ("6", TypeError, "an LSN is a whole number"),
            (None, TypeError, "an LSN is a whole number"),
        ]
        for lsn, kind, why in wrong:
            for is_durable in (True, False):
                with pytest.raises(kind, match=why.replace(".", r"\.")):
                    cursor.commit(lsn, durable=is_durable)
        assert cursor.position == 5
        assert (log / "cursors/mailer").read_bytes() == before
        assert f"walogs cursors {log} --set mailer LSN" in refusal(lambda: cursor.commit(4))


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Exception) as refused:
        call()
    return str(refused.value)


@pytest.mark.parametrize("name", ["a", "0", "Mailer-2.b_c", "z" * 63, "lock", "a.locks"])
def test_a_good_name_is_taken(log: Path, name: str) -> None:
    with walogs.reader(log) as reader, reader.cursor(name) as cursor:
        cursor.commit(3)
    assert walogs.reader(log)._source.store.cursors() == [name]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", ".a", "a/b", "../a", "a b", "a\n", "a\0", "é", "z" * 64, "a.lock", "a.tmp"]
)
def test_a_wrong_name_is_refused_and_makes_nothing(log: Path, name: str) -> None:
    with walogs.open(log) as wal, walogs.reader(log) as reader:
        for handle in (wal, reader):
            with pytest.raises(ValueError, match="no name of a cursor"):
                handle.cursor(name)
            with pytest.raises(TypeError, match="the name of a cursor is text"):
                handle.cursor(name.encode())  # type: ignore[arg-type]
    assert not (log / "cursors").exists()


def test_a_store_without_cursors_says_what_to_do() -> None:
    with walogs.open(store=MemoryImmutableStore(MemoryCloud())) as wal:
        for call in (lambda: wal.cursor("mailer"), wal.checkpoint):
            with pytest.raises(walogs.ConfigError, match="its store keeps no cursors"):
                call()


def test_a_reader_of_entries_that_are_not_durable_has_no_cursor(log: Path) -> None:
    with walogs.reader(log, visibility="written") as reader, pytest.raises(walogs.ConfigError, match="are not durable"):
        reader.cursor("mailer")
    assert not (log / "cursors").exists()


# One owner


@pytest.mark.guarantee("G21")
def test_a_cursor_has_one_owner_at_a_time(log: Path) -> None:
    with walogs.open(log) as wal, walogs.reader(log) as reader:
        cursor = wal.cursor("mailer")
        for handle in (wal, reader):
            with pytest.raises(walogs.Locked, match=f"cursor 'mailer' of .* is open by process {os.getpid()}"):
                handle.cursor("mailer")
        cursor.close()
        cursor.close()
        with reader.cursor("mailer") as other:
            assert not other.closed
            with pytest.raises(walogs.Locked):
                wal.cursor("mailer")


def test_closing_the_handle_closes_its_cursors(log: Path) -> None:
    wal, reader = walogs.open(log), walogs.reader(log)
    for handle in (wal, reader):
        cursor = handle.cursor("mailer")
        entries = iter(cursor)
        next(entries)
        handle.close()
        assert cursor.closed
        for call in (partial(getattr, cursor, "position"), partial(cursor.commit, 9), cursor.iter, cursor.follow):
            with pytest.raises(walogs.Closed):
                call()
        with pytest.raises(walogs.Closed):
            next(entries)
        with pytest.raises(walogs.Closed), cursor:
            pass
        with pytest.raises(walogs.Closed):
            handle.cursor("mailer")


@pytest.mark.parametrize("shape", [walogs.open, walogs.reader])
def test_a_cursor_that_is_opened_while_its_handle_is_closed_is_closed_too(
    shape: Callable[[Path], walogs.Wal | walogs.WalReader], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, read = shape(log), CursorFiles.read

    def closed_meanwhile(self: CursorFiles, name: str, *, durable: bool) -> bytes | None:
        monkeypatch.undo()
        handle.close()
        return read(self, name, durable=durable)

    monkeypatch.setattr(CursorFiles, "read", closed_meanwhile)
    with pytest.raises(walogs.Closed):
        handle.cursor("mailer")
    with walogs.reader(log) as reader, reader.cursor("mailer"):  # nobody has it
        pass


def test_an_iteration_ends_when_its_cursor_is_closed(log: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor:
        entries = iter(cursor)
        assert next(entries) == (1, DATA[0])
        cursor.close()
        with pytest.raises(walogs.Closed, match="was closed: open it again"):
            next(entries)


@pytest.mark.guarantee("G18")
@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("other", ["a backup", "another log"])
def test_the_owner_in_a_directory_that_was_replaced_moves_no_cursor_of_the_new_one(
    log: Path, tmp_path: Path, other: str, durable: bool
) -> None:
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        cursor.commit(2)
    walogs.backup(log, tmp_path / "backup")
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        with pytest.raises(walogs.Locked):
            reader.cursor("mailer")
        log.rename(tmp_path / "moved away")
        if other == "a backup":
            (tmp_path / "backup").rename(log)
        else:
            with walogs.open(log) as wal:
                wal.append_batch([b"other"] * 9)
        with walogs.reader(log) as again, again.cursor("mailer") as owned:
            before = owned.position
            with pytest.raises(walogs.UnsafeStore, match="another directory has come into its place"):
                cursor.commit(5, durable=durable)
            assert owned.position == before
            owned.commit(4)
        with walogs.reader(log) as again, again.cursor("mailer") as owned:
            assert owned.position == 4


def test_a_forked_child_cannot_use_a_cursor_and_frees_nothing(log: Path) -> None:
    with walogs.reader(log) as reader:
        cursor = reader.cursor("mailer")
        cursor.commit(3)
        entries = iter(cursor)
        next(entries)

        def child() -> None:
            refused = (
                lambda: cursor.commit(9),
                lambda: cursor.position,
                cursor.iter,
                lambda: next(entries),
                cursor.__enter__,
            )
            for call in refused:
                with pytest.raises(walogs.Closed, match="before the fork"):
                    call()
            cursor.close()
            with pytest.raises(walogs.Locked):
                walogs.reader(log).cursor("mailer")

        assert forked(child) == 0
        with pytest.raises(walogs.Locked):
            walogs.reader(log).cursor("mailer")
        cursor.commit(4)
        cursor.close()
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        assert cursor.position == 4


def opened_and_dropped(reader: walogs.WalReader) -> None:
    assert reader.cursor("mailer").position == 0
    gc.collect()


def test_a_cursor_that_is_dropped_warns_and_is_free(log: Path) -> None:
    with walogs.reader(log) as reader:
        with pytest.warns(ResourceWarning, match="Cursor 'mailer' of .* was not closed"):
            opened_and_dropped(reader)
        reader.cursor("mailer").close()


def test_a_cursor_is_not_pickled(log: Path) -> None:
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        assert repr(cursor) == f"<walogs.Cursor 'mailer' of '{log}', at 0>"
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(cursor)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of `__del__`, which it can hit too
@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("shape", ["memory", "local"])
def test_an_interrupt_leaves_no_cursor_locked(shape: str, tmp_path: Path) -> None:
    """At whichever point of opening, committing and closing it comes: at every fourth in one run, from any on."""
    at, was_reached = -random.randrange(4), True
    gc.freeze()  # the collections below have nothing to look for in what is there already
    while was_reached:
        at += 4
        store: Any = MemoryStore(MemoryDisk()) if shape == "memory" else LocalStore(tmp_path / "log")
        with walogs.open(store=store) as wal:
            wal.append_batch([b"one", b"two"])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # it may be interrupted before anybody has it
                try:
                    was_reached = reached(partial(use, wal), at, interrupt, OURS)
                except KeyboardInterrupt:
                    pass
                gc.collect()
            lock = store.cursor_lock("mailer")
            lock.take()
            data = store.read_cursor("mailer")
            assert data is None or cursor_bytes.decode(data).lsn in (0, 1, 2)
            store.remove_cursor("mailer")
            lock.release()
    print(f"up to point {at}")
    assert at > 200


def use(wal: walogs.Wal) -> None:
    with wal.cursor("mailer") as cursor:
        cursor.commit(1)
        cursor.commit(2, durable=False)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.guarantee("G18")
def test_a_signal_handler_in_the_middle_of_a_commit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as wal, wal.cursor("mailer") as cursor:
        wal.append_batch([b"one", b"two"])
        write, found = wal._source.store.write_cursor, []  # type: ignore[attr-defined]

        def written(*given: Any, **options: Any) -> None:
            for call in (lambda: cursor.commit(2), lambda: cursor.position, cursor.close, wal.close):
                with pytest.raises(walogs.Reentered):
                    call()
                found.append(call)
            write(*given, **options)

        monkeypatch.setattr(wal._source.store, "write_cursor", written)
        cursor.commit(1)
        assert (len(found), cursor.position) == (4, 1)
        monkeypatch.undo()


@pytest.mark.guarantee("G18")
def test_a_signal_handler_in_the_sync_of_a_commit_does_not_overtake_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit would then set the position back to its own, lower LSN."""
    with walogs.open(store=MemoryStore(MemoryDisk()), sync="none") as wal, wal.cursor("mailer") as cursor:
        wal.append_batch([b"one", b"two"])
        run, found = wal._commits.run_after_queue, []

        def synced(verb: Callable[[], object]) -> None:
            run(verb)
            with pytest.raises(walogs.Reentered):
                cursor.commit(2)
            found.append(verb)

        monkeypatch.setattr(wal._commits, "run_after_queue", synced)
        cursor.commit(1)
        assert (len(found), cursor.position) == (1, 1)
        monkeypatch.undo()


def test_threads_that_commit_never_move_it_back(log: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor:

        def commit_each() -> None:
            for lsn in range(1, 21):
                try:
                    cursor.commit(lsn, durable=False)
                except ValueError:
                    assert cursor.position > lsn

        assert Callers(*[commit_each] * 4).join() == [None] * 4
        assert cursor.position == 20


# When something goes wrong


@pytest.mark.guarantee("G21")
def test_an_entry_is_durable_before_the_position_has_passed_it() -> None:
    """Under a policy that syncs later, a power cut could take the entry, and another one would get its LSN."""
    for is_durable in (True, False):
        disk = MemoryDisk()
        with walogs.open(store=MemoryStore(disk), sync="none") as wal, wal.cursor("mailer") as cursor:
            wal.append(b"one")
            wal.append(b"two")
            assert (wal.durable_lsn, lsns(cursor)) == (0, [1, 2])
            cursor.commit(1, durable=is_durable)
            assert wal.durable_lsn == 2
            with pytest.raises(IndexError):
                cursor.commit(3, durable=is_durable)


@pytest.mark.guarantee("G21")
def test_a_position_that_a_checkpoint_has_removed_says_what_to_do(log: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor:
        cursor.commit(2)
        wal.checkpoint(15)
        first_lsn = wal.first_lsn
        assert first_lsn > 4
        for call in (cursor.iter, cursor.follow, lambda: cursor.lag):
            with pytest.raises(walogs.Checkpointed) as refused:
                call()
            assert (refused.value.lsn, refused.value.first_lsn) == (3, first_lsn)
            assert str(refused.value) == (
                f"cursor 'mailer' of {log} is at entry 2, and a checkpoint has removed the entries up to"
                f" {first_lsn - 1}. cursor.commit({first_lsn - 1}) gives up what is missing, and so does"
                f" `walogs cursors {log} --set mailer {first_lsn - 1}`."
            )
        cursor.commit(first_lsn - 1)
        assert lsns(cursor) == list(range(first_lsn, 21))


def test_a_checkpoint_in_the_middle_of_an_iteration_names_the_cursor(log: Path) -> None:
    with walogs.open(log, max_segment_size=SEGMENT) as wal, wal.cursor("mailer") as cursor:
        entries = cursor.iter()
        next(entries)
        wal.checkpoint(20)
        with pytest.raises(walogs.Checkpointed, match=r"cursor 'mailer' .* is at entry 0"):
            list(entries)
        cursor.commit(wal.first_lsn - 1)
        assert lsns(cursor) == list(range(wal.first_lsn, 21))


@pytest.mark.guarantee("G21")
def test_a_log_that_ends_before_the_position_is_no_log_to_go_on_in(log: Path, tmp_path: Path) -> None:
    """Its next entries would have LSNs that the cursor has passed, and would be skipped."""
    walogs.backup(log, tmp_path / "older")
    with walogs.open(log) as wal, wal.cursor("mailer") as cursor:
        wal.append(b"twenty-one")
        cursor.commit(21)
    shutil.copytree(log / "cursors", tmp_path / "older/cursors", dirs_exist_ok=True)
    with walogs.open(tmp_path / "older") as wal, walogs.reader(tmp_path / "older") as reader:
        for handle in (wal, reader):
            with handle.cursor("mailer") as cursor:
                assert cursor.position == 21
                for call in (cursor.iter, cursor.follow, partial(getattr, cursor, "lag")):
                    with pytest.raises(walogs.LogRewound, match="is at entry 21, and the log ends at 20") as rewound:
                        call()
                    assert rewound.value.end_lsn == 20
                    assert f"walogs cursors {tmp_path / 'older'} --set mailer 20" in str(rewound.value)


@pytest.mark.guarantee("G21")
def test_a_reader_after_a_power_cut_does_not_take_its_cursor_for_one_of_another_log() -> None:
    """The durable mark may be old then: the last entries are there, and not known to be durable."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal, wal.cursor("mailer") as cursor:
        old_mark = disk.cached("DURABLE")
        for data in DATA:
            wal.append(data)
        cursor.commit(20)
        wal.closed = True
    disk.kill()
    disk.damage("DURABLE", 0, old_mark)
    with walogs.reader(store=MemoryStore(disk)) as reader, reader.cursor("mailer") as cursor:
        assert reader.last_lsn < cursor.position == 20
        assert lsns(cursor) == []
        assert list(cursor.follow(timeout=0)) == []


def test_a_damaged_cursor_is_told_and_stays_as_it_is(log: Path) -> None:
    with walogs.open(log) as wal:
        wal.cursor("mailer").close()
        file = log / "cursors/mailer"
        whole = file.read_bytes()
        for damaged in (b"", whole[:40], whole[:30] + b"\x01" + whole[31:], bytes(1024), whole + b"\0"):
            file.write_bytes(damaged)
            with pytest.raises(walogs.Corrupt, match=f"^cursors/mailer in {log} is damaged: ") as told:
                wal.cursor("mailer")
            assert f"`walogs cursors {log} --drop mailer` removes it." in str(told.value)
            assert file.read_bytes() == damaged
        file.write_bytes(whole)
        wal.cursor("mailer").close()


def test_a_cursor_of_another_log_is_refused(log: Path, tmp_path: Path) -> None:
    with walogs.open(tmp_path / "other") as wal:
        wal.append(b"one")
        wal.cursor("mailer").close()
    shutil.copytree(tmp_path / "other/cursors", log / "cursors")
    with walogs.reader(log) as reader, pytest.raises(walogs.Corrupt, match="is of another log, with the log id "):
        reader.cursor("mailer")


def test_a_cursor_of_a_later_release_is_told_as_such(log: Path) -> None:
    with walogs.open(log) as wal:
        wal.cursor("mailer").close()
    file = log / "cursors/mailer"
    data = bytearray(file.read_bytes())
    data[8] = 2
    data[60:64] = cursor_bytes.CRC.pack(cursor_bytes.crc32(bytes(data[:60]), 0))
    file.write_bytes(data)
    with walogs.reader(log) as reader, pytest.raises(walogs.UnsupportedFormat, match=r"cursors/mailer .* version 2"):
        reader.cursor("mailer")


@pytest.mark.guarantee("G9", "G21")
def test_a_commit_on_a_full_disk_changes_nothing_and_works_with_room() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal, wal.cursor("mailer") as cursor:
        wal.append_batch(DATA)
        cursor.commit(3)
        disk.room = disk.used
        for is_durable in (True, False):
            with pytest.raises(walogs.NoSpace):
                cursor.commit(9, durable=is_durable)
            assert cursor.position == 3
        disk.room = None
        cursor.commit(9)
        assert cursor.position == 9


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("primitive", ["create_exclusive", "write", "sync", "rename", "sync_directory"])
def test_after_a_commit_that_failed_the_position_is_what_the_store_has(primitive: str) -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal, wal.cursor("mailer") as cursor:
        wal.append_batch(DATA)
        cursor.commit(3)
        disk.arm(1, Fault(5, only={primitive}), rng=random.Random(1))
        with pytest.raises(OSError):
            cursor.commit(9)
        disk.disarm()
        assert cursor.position == (9 if primitive == "sync_directory" else 3)
        cursor.commit(10)
        assert cursor_bytes.decode(disk.durable("cursors/mailer") or b"").lsn == 10
