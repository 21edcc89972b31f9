"""The sweeps can fail: each rule of recovery is broken on purpose, and the sweep for that rule finds it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest

import walogs.engine.ending as ending_module
import walogs.engine.recovery as recovery_module
from tests.crash import test_every_step
from tests.crash.damage import states
from tests.crash.legal import crash_sweep, judged, one_commit, several_commits, special
from tests.crash.small_logs import LOGS
from tests.crash.sweep import ModelPlace, Tally, sweep
from tests.crash.test_every_step import KEPT, VERBS, failed_recoveries, fails_at_every_sync
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.engine import frame_reader, verdict
from walogs.engine import takeover as takeover_module
from walogs.engine.extent_reader import ExtentReader
from walogs.engine.segment_scan import SegmentScan, TailScan
from walogs.engine.verdict import CrashShape, TailContent, Verdict
from walogs.formats.crc32 import crc32
from walogs.formats.native import NativeFormat
from walogs.testing import MemoryStore

Plant = Callable[[pytest.MonkeyPatch], None]


def damage(log: str, kind: str, step: int = 1, *, durable_mark: bool = True) -> Tally:
    made = LOGS[log]()
    return sweep(made, states(kind, made, step), Tally(f"{log}, {kind}"), ModelPlace(), durable_mark=durable_mark)


def legal(left: Iterator[Any], step: int = 1) -> Tally:
    return crash_sweep(itertools.islice(left, 0, None, step), Tally("legal crashes"), ModelPlace())


def failing_syncs(name: str) -> Tally:
    tally = Tally(name)
    try:
        fails_at_every_sync(name, "fdatasync", reopened=False, seeds=range(2))
    except AssertionError as red:
        tally.wrong.append(str(red))
    return tally


def cuts_by_choice(name: str) -> Tally:
    tally = Tally(f"cuts by choice of {name}")
    try:
        test_every_step.test_a_cut_by_choice_can_die_at_every_step_and_is_never_silent(name)
    except AssertionError as red:
        tally.wrong.append(str(red))
    return tally


def failing_recoveries() -> Tally:
    tally = Tally("recoveries")
    failed_recoveries(23, range(3), tally)
    return tally


# The bugs


def cut_at_the_first_bad_frame(patch: pytest.MonkeyPatch) -> None:
    for rest in TailContent:
        patch.setitem(
            verdict.VERDICTS, (CrashShape.MAY_TEAR, rest, verdict.DurabilityEvidence.SYNCED_BEYOND), Verdict.TORN
        )
    patch.setattr(recovery_module, "durable_mark_problem", lambda *_: None)


class EveryFrameTestifies(TailScan):
    def _search(self, source: Any, segment: Any, chunk: bytes, offset: int) -> None:
        super()._search(source, segment, chunk, offset)
        for _ in source.format.headers_in(chunk, 0, offset, segment.salt):
            self.synced = 1 << 40


def a_frame_that_follows_means_corrupt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery_module, "TailScan", EveryFrameTestifies)


def the_watermark_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        ending_module,
        "durability_evidence",
        lambda end, synced, is_sealed: verdict.durability_evidence(end, 0, is_sealed),
    )


def the_durable_mark_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery_module, "read_durable_mark", lambda source: None)


def a_seal_says_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        ending_module,
        "durability_evidence",
        lambda end, synced, is_sealed: verdict.durability_evidence(end, synced, False),
    )


def only_frames_before_the_damage_testify(patch: pytest.MonkeyPatch) -> None:
    class Blind(TailScan):
        def _search(self, source: Any, segment: Any, chunk: bytes, offset: int) -> None:
            super()._search(source, segment, chunk, offset)
            self.synced = 0

    patch.setattr(recovery_module, "TailScan", Blind)


def the_check_forgets_the_header(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Crc32Codec, "check", lambda self, header, stored: crc32(stored, 0).to_bytes(4, "little"))
    links_say_nothing(patch)


def links_say_nothing(patch: pytest.MonkeyPatch) -> None:
    """They would tell what another rule is there to tell."""
    judged = verdict.frame_problem
    patch.setattr(
        frame_reader,
        "frame_problem",
        lambda header, expected_lsn, link: judged(header, expected_lsn, None),
    )
    patch.setattr(ExtentReader, "_refuse_unlinked", lambda *_: None)


def bodies_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(NativeFormat, "check_at", lambda *_: True)


def a_frame_may_name_any_place(patch: pytest.MonkeyPatch) -> None:
    pristine = NativeFormat.header_at
    patch.setattr(
        NativeFormat,
        "header_at",
        lambda self, buffer, index, offset, salt: pristine(self, buffer, index, claimed(buffer, index, offset), salt),
    )


def claimed(buffer: bytes, index: int, offset: int) -> int:
    """The offset that the frame itself names, so that it is always right."""
    named = buffer[index + 36 : index + 40]
    return int.from_bytes(named, "little") if len(named) == 4 else offset


def nothing_is_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "zero_from", lambda self, number, offset: None)


def what_reads_as_zero_is_not_zeroed(patch: pytest.MonkeyPatch) -> None:
    pristine = MemoryStore.zero_from

    def zero_from(self: MemoryStore, number: int, offset: int) -> None:
        if any(self.read(number, offset)):
            pristine(self, number, offset)

    patch.setattr(MemoryStore, "zero_from", zero_from)


def nothing_is_written_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(takeover_module, "rewrite_unsynced_frames", lambda source, store, recovered: 0)


def a_first_lsn_after_the_cut_is_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(takeover_module, "write_rescued_checkpoint", lambda store, active, frame, next_lsn: None)


def the_first_lsn_is_rescued_without_a_sync(patch: pytest.MonkeyPatch) -> None:
    pristine = takeover_module.write_rescued_checkpoint

    def write_rescued_checkpoint(store: Any, active: Any, frame: bytes, next_lsn: int) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(store, "sync", lambda number, kind: None)
            pristine(store, active, frame, next_lsn)

    patch.setattr(takeover_module, "write_rescued_checkpoint", write_rescued_checkpoint)


def any_segment_is_continued(patch: pytest.MonkeyPatch) -> None:
    pristine = takeover_module.take_over

    def take_over(*args: Any) -> Any:
        takeover = pristine(*args)
        takeover.active.is_continuable = True
        return takeover

    patch.setattr(takeover_module, "take_over", take_over)


def older_segments_may_end_anywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery_module, "end_problem", lambda *_: None)


def the_first_segment_is_not_missed(patch: pytest.MonkeyPatch) -> None:
    pristine = SegmentScan.__init__

    def scanned(self: SegmentScan, source: Any, header: Any, size: int) -> None:
        pristine(self, source, header, size)
        present = source.store.segments()
        self.log_first_lsn = max(self.log_first_lsn, source.header(present[0]).first_lsn)

    patch.setattr(SegmentScan, "__init__", scanned)


class Bug(NamedTuple):
    plant: Plant
    seen_by: Callable[[], Tally]


BUGS: Final = {
    "cut at the first bad frame": Bug(cut_at_the_first_bad_frame, lambda: damage("singles", "flips", 797)),
    "a frame that follows means corrupt": Bug(
        a_frame_that_follows_means_corrupt,
        lambda: legal(judged(several_commits("random", (300, 500, 700), synced_between=False)), 5),
    ),
    "the watermark is ignored": Bug(
        the_watermark_is_ignored, lambda: damage("singles", "zeroed sectors", durable_mark=False)
    ),
    "only frames before the damage testify": Bug(
        only_frames_before_the_damage_testify, lambda: damage("batches", "flips", 797, durable_mark=False)
    ),
    "the durable mark is ignored": Bug(the_durable_mark_is_ignored, lambda: damage("singles", "cuts", 97)),
    "a SEAL says nothing": Bug(a_seal_says_nothing, lambda: damage("segments", "losses", durable_mark=False)),
    "the check forgets the header": Bug(the_check_forgets_the_header, lambda: damage("bodies", "sectors astray")),
    "bodies are not checked": Bug(bodies_are_not_checked, lambda: legal(judged(one_commit("random", 3, 4)))),
    "a frame may name any place": Bug(a_frame_may_name_any_place, lambda: damage("nested", "suffixes")),
    "nothing is cut": Bug(nothing_is_cut, lambda: legal(judged(one_commit("random", 2, 1)))),
    "what reads as zero is not zeroed": Bug(what_reads_as_zero_is_not_zeroed, failing_recoveries),
    "nothing is written again": Bug(nothing_is_written_again, lambda: failing_syncs("batch")),
    "a first LSN after the cut is dropped": Bug(
        a_first_lsn_after_the_cut_is_dropped, lambda: legal(itertools.chain(*map(judged, special("random"))))
    ),
    "the first LSN is rescued without a sync": Bug(
        the_first_lsn_is_rescued_without_a_sync, lambda: cuts_by_choice("far-checkpoint")
    ),
    "any segment is continued": Bug(any_segment_is_continued, lambda: failing_syncs("append that grows")),
    "older segments may end anywhere": Bug(older_segments_may_end_anywhere, lambda: damage("unsealed", "cuts", 97)),
    "the first segment is not missed": Bug(the_first_segment_is_not_missed, lambda: damage("segments", "losses")),
}


@pytest.mark.parametrize("name", BUGS)
def test_the_sweep_sees_a_planted_bug(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        BUGS[name].plant(patch)
        tally = BUGS[name].seen_by()
    print(tally, *tally.wrong[:3], sep="\n")
    assert tally.wrong, "planted, and nothing was seen"


@pytest.mark.laboratory
@pytest.mark.parametrize("name", BUGS)
def test_without_the_bug_the_same_sweep_is_green(name: str) -> None:
    tally = BUGS[name].seen_by()
    assert tally.wrong == []


def test_the_verbs_have_something_to_lose() -> None:
    assert all(KEPT in verb.possible for verb in VERBS.values())
