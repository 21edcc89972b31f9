"""Bugs that are planted in the engine and the stores, one at a time. The state machine must find each of them.

A search that finds nothing proves nothing until it has been seen to find something.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.kit.laboratory import IS_LONG
from tests.model.machine import LogMachine
from tests.model.rare_events import play_round
from walogs.engine import takeover as takeover_module
from walogs.engine.appendable import NOTHING_PENDING, AppendableWriter
from walogs.engine.commit_thread import CommitThread
from walogs.engine.immutable_segments import ImmutableSegmentWriter
from walogs.engine.pending_append import PendingAppend
from walogs.errors import OutcomeUnknown, SegmentExists
from walogs.formats.native import NativeFormat
from walogs.inspection import backup as backup_module
from walogs.inspection.backup import Copy
from walogs.inspection.partial import Partial
from walogs.testing import LawBroken, MemoryImmutableStore, MemoryStore, Process

if TYPE_CHECKING:
    from collections.abc import Callable

Plant = pytest.MonkeyPatch


def frames_not_written_again(plant: Plant) -> None:
    plant.setattr(takeover_module, "rewrite_unsynced_frames", lambda source, store, recovered: 0)


def end_not_zeroed_and_continued(plant: Plant) -> None:
    """Break two rules at once. Each of them protects alone, so breaking one of them loses nothing."""
    plant.setattr(MemoryStore, "zero_from", lambda self, number, offset: None)
    cut_segment_continued(plant)


def recovery_not_synced(plant: Plant) -> None:
    whole = MemoryStore.sync
    plant.setattr(
        MemoryStore, "sync", lambda self, number, kind: whole(self, number, "data") if kind == "data" else None
    )


def cut_segment_continued(plant: Plant) -> None:
    whole = takeover_module.take_over

    def take_over(*args: Any) -> Any:
        takeover = whole(*args)
        takeover.active.is_continuable = True
        return takeover

    plant.setattr(takeover_module, "take_over", take_over)


def directory_not_synced(plant: Plant) -> None:
    plant.setattr(Process, "sync_directory", lambda self: None)


def nothing_synced(plant: Plant) -> None:
    plant.setattr(MemoryStore, "sync", lambda self, number, kind: None)


def failed_sync_forgotten(plant: Plant) -> None:
    whole = AppendableWriter.write_commit

    def append(self: AppendableWriter, entries: list[bytes]) -> int:
        try:
            return whole(self, entries)
        except OutcomeUnknown:
            self._poison, self._in_flight = None, False
            raise

    plant.setattr(AppendableWriter, "write_commit", append)


def watermark_too_high(plant: Plant) -> None:
    whole = NativeFormat.encode_entries

    def encode(self: Any, salt: int, offset: int, synced: int, *rest: Any) -> Any:
        return whole(self, salt, offset, offset, *rest)

    plant.setattr(NativeFormat, "encode_entries", encode)


def first_lsn_not_durable(plant: Plant) -> None:
    def make(self: AppendableWriter, log_first_lsn: int) -> None:
        self.log_first_lsn = log_first_lsn

    plant.setattr(AppendableWriter, "_make_first_lsn_durable", make)


def rotated_before_synced(plant: Plant) -> None:
    def pending(self: AppendableWriter, kind: str) -> None:
        self.durable_lsn, self._pending, self.sync_by_ns = self.next_lsn - 1, NOTHING_PENDING, None

    plant.setattr(AppendableWriter, "_sync_pending", pending)


def window_not_synced(plant: Plant) -> None:
    def extend(self: MemoryStore, number: int, size: int) -> None:
        refused = self._grow(number, self._open(number), size)
        assert refused is None

    plant.setattr(MemoryStore, "extend", extend)


def somebody_elses_put_is_ours(plant: Plant) -> None:
    whole = MemoryImmutableStore.create

    def create(self: MemoryImmutableStore, number: int, data: Any) -> None:
        try:
            whole(self, number, data)
        except SegmentExists:
            pass

    plant.setattr(MemoryImmutableStore, "create", create)


def our_own_put_is_somebody_elses(plant: Plant) -> None:
    whole = MemoryImmutableStore.read

    def read(self: MemoryImmutableStore, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = whole(self, number, start, end)
        return data + b"?" if end is not None and end > 512 else data

    plant.setattr(MemoryImmutableStore, "read", read)


def first_lsn_of_immutable_segments_not_durable(plant: Plant) -> None:
    whole = ImmutableSegmentWriter._create

    def create(self: ImmutableSegmentWriter, header: Any, data: bytes, what: str, last_lsn: int) -> None:
        if not header.is_checkpoint:
            whole(self, header, data, what, last_lsn)

    plant.setattr(ImmutableSegmentWriter, "_create", create)


def deadline_forgotten(plant: Plant) -> None:
    plant.setattr(CommitThread, "_is_sync_due", lambda self: False)


def commit_thread_never_rests(plant: Plant) -> None:
    whole = AppendableWriter._all_durable

    def all_durable(self: AppendableWriter, active: Any) -> None:
        by_ns = self.sync_by_ns
        whole(self, active)
        self.sync_by_ns = by_ns

    plant.setattr(AppendableWriter, "_all_durable", all_durable)


def cancelled_committed(plant: Plant) -> None:
    plant.setattr(PendingAppend, "try_begin", lambda self: True)


def backup_past_what_is_durable(plant: Plant) -> None:
    whole = backup_module.observe
    plant.setattr(backup_module, "observe", lambda source, visibility: whole(source, "written"))


def backup_ends_one_frame_early(plant: Plant) -> None:
    whole = Copy._write_newest

    def write_newest(self: Any, file: Any, extent: Any) -> Any:
        write, held, pieces = self._write, [], 0

        def write_the_one_before(file: Any, written: Any) -> None:
            nonlocal pieces
            write(file, held)
            held[:] = written
            pieces += 1

        self._write = write_the_one_before
        end = whole(self, file, extent)
        self._write = write
        if pieces == 1:
            write(file, held)  # only the header
        return end

    plant.setattr(Copy, "_write_newest", write_newest)


def backup_without_its_first_lsn(plant: Plant) -> None:
    whole = Copy.finish

    def finish(self: Any) -> Any:
        log_first_lsn, self._first_lsn = self._first_lsn, self._end.log_first_lsn
        segments, size, _, last_lsn = whole(self)
        return segments, size, log_first_lsn, last_lsn

    plant.setattr(Copy, "finish", finish)


def backup_whose_names_are_not_synced(plant: Plant) -> None:
    def publish(self: Any) -> None:
        os.rename(self.name, self._target_name, src_dir_fd=self._parent_fd, dst_dir_fd=self._parent_fd)
        self._is_published = True

    plant.setattr(Partial, "publish", publish)


def backup_changes_its_source(plant: Plant) -> None:
    whole = Copy.fill

    def fill(self: Any) -> None:
        with suppress(OSError):
            self._source.store.process.create_exclusive("BACKUP")
        whole(self)

    plant.setattr(Copy, "fill", fill)


def backup_leaves_out_segments_without_entries(plant: Plant) -> None:
    whole = Copy._copy_completed

    def copy_completed(self: Any, number: int, successor: Any) -> Any:
        header = self._source.header(number)
        return whole(self, number, successor) if header.first_lsn < successor.first_lsn else header

    plant.setattr(Copy, "_copy_completed", copy_completed)


BUGS: dict[Callable[[Plant], None], str] = {
    frames_not_written_again: "disk",
    end_not_zeroed_and_continued: "disk",
    recovery_not_synced: "disk",
    cut_segment_continued: "disk",
    directory_not_synced: "disk",
    nothing_synced: "disk",
    failed_sync_forgotten: "disk",
    watermark_too_high: "disk",
    first_lsn_not_durable: "disk",
    rotated_before_synced: "disk",
    window_not_synced: "disk",
    deadline_forgotten: "disk",
    commit_thread_never_rests: "disk",
    cancelled_committed: "disk",
    backup_past_what_is_durable: "disk",
    backup_ends_one_frame_early: "disk",
    backup_without_its_first_lsn: "disk",
    backup_whose_names_are_not_synced: "local",
    backup_changes_its_source: "disk",
    somebody_elses_put_is_ours: "cloud",
    our_own_put_is_somebody_elses: "cloud",
    first_lsn_of_immutable_segments_not_durable: "cloud",
    backup_leaves_out_segments_without_entries: "cloud",
}

QUICK = [nothing_synced, somebody_elses_put_is_ours, backup_whose_names_are_not_synced]
"""The bugs that are found within seconds. Every run of the tests looks for them."""
ONLY_BY_CHANCE = [end_not_zeroed_and_continued, cut_segment_continued]
"""No rare event shows these bugs. `tests/crash/test_planted_bugs.py` plants their like, and always sees them."""
ROUNDS_MAX = 6


def is_seen(bug: Callable[[Plant], None], plant: Plant, drive: Callable[[type[LogMachine]], None]) -> bool:
    machine = type("Planted", (LogMachine,), {"world_name": BUGS[bug], "counts": Counter(), "judged": set()})
    bug(plant)
    try:
        drive(machine)
    except (Exception, LawBroken) as found:  # noqa: BLE001
        print(f"\n{bug.__name__}: seen as {found!r}"[:500])
        return True
    return False


def search(machine: type[LogMachine], examples: int) -> None:
    """Drive the machine at random."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def play_rounds(machine: type[LogMachine]) -> None:
    for seed in range(ROUNDS_MAX):
        play_round(machine, seed)


@pytest.mark.filterwarnings("ignore")  # a failing run may leave logs open
@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_seen(bug: Callable[[Plant], None], monkeypatch: Plant) -> None:
    assert is_seen(bug, monkeypatch, partial(search, examples=300))


@pytest.mark.laboratory
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug not in ONLY_BY_CHANCE], ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_seen_when_rare_events_are_made(bug: Callable[[Plant], None], monkeypatch: Plant) -> None:
    """The seeds are fixed, so this does not depend on luck."""
    assert is_seen(bug, monkeypatch, play_rounds)


@pytest.mark.laboratory
@pytest.mark.timeout(3000)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bug", list(BUGS) if IS_LONG else [], ids=lambda bug: bug.__name__)
def test_every_planted_bug_is_seen_by_chance(bug: Callable[[Plant], None], monkeypatch: Plant) -> None:
    assert is_seen(bug, monkeypatch, partial(search, examples=20_000))
