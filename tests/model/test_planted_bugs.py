"""A harness that finds nothing proves nothing until it has been seen to find: bugs planted in the engine and the
stores, one at a time, each of which the state machine must meet."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import LogMachine
from walogs.engine.appendable import NOTHING_PENDING, AppendableWriter
from walogs.engine.chain import ChainWriter
from walogs.engine.commit import GroupCommit, Offer
from walogs.errors import Exists, Indefinite
from walogs.formats.native import NativeFormat
from walogs.inspection import backup as backup_module
from walogs.testing import LawBroken, MemoryChainStore, MemoryStore, Process

if TYPE_CHECKING:
    from collections.abc import Callable

Plant = pytest.MonkeyPatch


def frames_not_written_again(plant: Plant) -> None:
    plant.setattr(AppendableWriter, "_write_again", lambda self, examined: 0)


def end_not_zeroed_and_continued(plant: Plant) -> None:
    """Each of the two rules is the other's second line: without one of them alone, nothing is lost."""
    plant.setattr(MemoryStore, "cut", lambda self, number, offset: None)
    cut_segment_continued(plant)


def recovery_not_synced(plant: Plant) -> None:
    whole = MemoryStore.sync
    plant.setattr(
        MemoryStore, "sync", lambda self, number, barrier: whole(self, number, "data") if barrier == "data" else None
    )


def cut_segment_continued(plant: Plant) -> None:
    whole = AppendableWriter._take_over

    def take_over(self: AppendableWriter, examined: Any) -> None:
        whole(self, examined)
        self.active.is_continuable = True

    plant.setattr(AppendableWriter, "_take_over", take_over)


def directory_not_synced(plant: Plant) -> None:
    plant.setattr(Process, "sync_directory", lambda self: None)


def nothing_synced(plant: Plant) -> None:
    plant.setattr(MemoryStore, "sync", lambda self, number, barrier: None)


def failed_sync_forgotten(plant: Plant) -> None:
    whole = AppendableWriter.append

    def append(self: AppendableWriter, entries: list[bytes]) -> int:
        try:
            return whole(self, entries)
        except Indefinite:
            self._poison, self._in_flight = None, False
            raise

    plant.setattr(AppendableWriter, "append", append)


def watermark_too_high(plant: Plant) -> None:
    whole = NativeFormat.encode_entries

    def encode(self: Any, salt: int, offset: int, synced: int, *rest: Any) -> bytes:
        return whole(self, salt, offset, offset, *rest)

    plant.setattr(NativeFormat, "encode_entries", encode)


def base_not_durable(plant: Plant) -> None:
    def make(self: AppendableWriter, base_lsn: int) -> None:
        self.base_lsn = base_lsn

    plant.setattr(AppendableWriter, "_make_base_durable", make)


def rotated_before_synced(plant: Plant) -> None:
    def pending(self: AppendableWriter, barrier: str) -> None:
        self.durable_lsn, self._pending, self.sync_by_ns = self.next_lsn - 1, NOTHING_PENDING, None

    plant.setattr(AppendableWriter, "_sync_pending", pending)


def window_not_synced(plant: Plant) -> None:
    def extend(self: MemoryStore, number: int, size: int) -> None:
        refused = self._grow(number, self._open(number), size)
        assert refused is None

    plant.setattr(MemoryStore, "extend", extend)


def somebody_elses_put_is_ours(plant: Plant) -> None:
    whole = MemoryChainStore.create

    def create(self: MemoryChainStore, number: int, data: Any) -> None:
        try:
            whole(self, number, data)
        except Exists:
            pass

    plant.setattr(MemoryChainStore, "create", create)


def our_own_put_is_somebody_elses(plant: Plant) -> None:
    whole = MemoryChainStore.read

    def read(self: MemoryChainStore, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = whole(self, number, start, end)
        return data + b"?" if end is not None and end > 512 else data

    plant.setattr(MemoryChainStore, "read", read)


def base_of_a_chain_not_durable(plant: Plant) -> None:
    whole = ChainWriter._create

    def create(self: ChainWriter, header: Any, data: bytes, what: str, last_lsn: int) -> None:
        if not header.is_base:
            whole(self, header, data, what, last_lsn)

    plant.setattr(ChainWriter, "_create", create)


def deadline_forgotten(plant: Plant) -> None:
    plant.setattr(GroupCommit, "_is_sync_due", lambda self: False)


def commit_thread_never_rests(plant: Plant) -> None:
    whole = AppendableWriter._all_durable

    def all_durable(self: AppendableWriter, active: Any) -> None:
        by_ns = self.sync_by_ns
        whole(self, active)
        self.sync_by_ns = by_ns

    plant.setattr(AppendableWriter, "_all_durable", all_durable)


def cancelled_committed(plant: Plant) -> None:
    plant.setattr(Offer, "is_wanted", lambda self: True)


def backup_past_what_is_durable(plant: Plant) -> None:
    whole = backup_module.look_beside
    plant.setattr(backup_module, "look_beside", lambda source, upto: whole(source, "written"))


def backup_ends_one_frame_early(plant: Plant) -> None:
    whole = backup_module.newest_pieces

    def pieces(*args: Any) -> list[Any]:
        header, *frames = whole(*args)
        return [header, *frames[:-1]]

    plant.setattr(backup_module, "newest_pieces", pieces)


def backup_without_its_base(plant: Plant) -> None:
    whole = backup_module.newest_pieces

    def pieces(source: Any, extent: Any, bound: Any) -> Any:
        return whole(source, extent, bound._replace(base_lsn=bound.newest.base_lsn))

    plant.setattr(backup_module, "newest_pieces", pieces)


def backup_whose_names_are_not_synced(plant: Plant) -> None:
    plant.setattr(backup_module, "sync_directory", lambda path: None)


def backup_changes_its_source(plant: Plant) -> None:
    whole = backup_module.copy

    def copy(source: Any, *rest: Any) -> Any:
        with suppress(OSError):
            source.store.process.create_exclusive("BACKUP")
        return whole(source, *rest)

    plant.setattr(backup_module, "copy", copy)


def backup_leaves_out_segments_without_entries(plant: Plant) -> None:
    whole = backup_module.extents_of

    def extents(source: Any, bound: Any) -> Any:
        *older, newest = whole(source, bound)
        return [extent for extent in older if extent.last_lsn >= extent.header.first_lsn] + [newest]

    plant.setattr(backup_module, "extents_of", extents)


BUGS: dict[Callable[[Plant], None], str] = {
    frames_not_written_again: "disk",
    end_not_zeroed_and_continued: "disk",
    recovery_not_synced: "disk",
    cut_segment_continued: "disk",
    directory_not_synced: "disk",
    nothing_synced: "disk",
    failed_sync_forgotten: "disk",
    watermark_too_high: "disk",
    base_not_durable: "disk",
    rotated_before_synced: "disk",
    window_not_synced: "disk",
    deadline_forgotten: "disk",
    commit_thread_never_rests: "disk",
    cancelled_committed: "disk",
    backup_past_what_is_durable: "disk",
    backup_ends_one_frame_early: "disk",
    backup_without_its_base: "disk",
    backup_whose_names_are_not_synced: "local",
    backup_changes_its_source: "disk",
    somebody_elses_put_is_ours: "cloud",
    our_own_put_is_somebody_elses: "cloud",
    base_of_a_chain_not_durable: "cloud",
    backup_leaves_out_segments_without_entries: "cloud",
}

QUICK = [nothing_synced, somebody_elses_put_is_ours, backup_whose_names_are_not_synced]
"""Seen within seconds: by every run of the tests."""


def is_seen(bug: Callable[[Plant], None], examples: int, plant: Plant) -> bool:
    machine = type("Planted", (LogMachine,), {"world_name": BUGS[bug], "counts": Counter(), "judged": set()})
    bug(plant)
    try:
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
    except (Exception, LawBroken) as found:  # noqa: BLE001
        print(f"\n{bug.__name__}: seen as {type(found).__name__} after {machine.counts['steps']:,} steps")
        return True
    return False


@pytest.mark.filterwarnings("ignore")  # what a failing run leaves open is not the point
@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_seen(bug: Callable[[Plant], None], monkeypatch: Plant) -> None:
    assert is_seen(bug, 300, monkeypatch)


@pytest.mark.laboratory
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bug", list(BUGS), ids=lambda bug: bug.__name__)
def test_every_planted_bug_is_seen(bug: Callable[[Plant], None], monkeypatch: Plant) -> None:
    assert is_seen(bug, 20_000, monkeypatch)
