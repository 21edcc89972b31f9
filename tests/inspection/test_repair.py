"""What a repair keeps of a damaged log."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import walogs
from tests.crash.small_logs import SmallLog, written
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import (
    CODECS,
    LocalPlace,
    ModelPlace,
    Place,
    goes_on,
    kept_of,
    lsns_of,
    nothing_is_destroyed,
    settled,
    with_data_changed,
    with_header_damaged,
    without,
)
from tests.inspection.repairs import refuses_a_side_with_nothing
from tests.kit.logs import CHECKPOINT, DURABLE_MARK, HEADER, SEAL, Files, frames_of, numbers_in, segment_name, with_byte


def repaired_to(place: Place, log: SmallLog, keep: str, lsns: tuple[int, int], what: str) -> walogs.types.RepairReport:
    """Check that the log is refused, a dry run predicts the repair, nothing is destroyed, and *lsns* are kept."""
    assert not place.verify().ok, what
    before, state = place.files(), place.state()
    foretold = place.repair(keep, dry_run=True)
    assert place.state() == state, what
    assert foretold.is_dry_run
    report = place.repair(keep)
    assert not report.is_dry_run
    assert settled(report) == settled(foretold), what
    assert (report.first_lsn, report.last_lsn) == lsns, f"{what}: {report}"
    assert report.refusal is not None
    after = place.files()
    nothing_is_destroyed(before, after, what)
    assert {name for name in after if name.startswith("damaged-")} == set(report.set_aside), what
    goes_on(place, kept_of(report, log.entries), what)
    json.dumps([report.refusal, report.lost, report.dropped])
    return report


@pytest.mark.guarantee("G1", "G6")
def test_a_log_that_opens_is_left_alone(place_of: Callable[..., Place]) -> None:
    torn = logs.plain()
    newest = segment_name(torn.newest)
    ends = frames_of(torn.files[newest])[-1].end
    garbage = torn.files[newest][:ends] + b"an unfinished write" + bytes(600)
    for what, files in (
        ("plain", logs.plain().files),
        ("checkpointed", logs.checkpointed().files),
        ("torn", {**torn.files, newest: garbage}),
    ):
        for keep in ("before", "after"):
            place = place_of(files)
            state = place.state()
            report = place.repair(keep)
            assert place.state() == state, what
            assert report.refusal is None
            assert (report.lost, report.dropped, report.set_aside) == ((), (), ())
            with place.open() as wal:
                assert (wal.first_lsn, wal.last_lsn) == (report.first_lsn, report.last_lsn)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("keep", ["before", "after"])
def test_one_damaged_entry_anywhere(place_of: Callable[..., Place], codec: str, keep: str) -> None:
    log = logs.plain(CODECS[codec]())
    for number in numbers_in(log.files):
        frames = [frame for frame in log.frames(number) if frame.kind != SEAL]
        for frame in frames if number in (1, 3, log.newest) else frames[1:2]:
            what = f"{keep}: the frame at {frame.offset} of segment {number}"
            name = segment_name(number)
            files = {**log.files, name: with_byte(log.files[name], frame.offset + 40, 2)}
            place = place_of(files, CODECS[codec]())
            lost = (frame.first_lsn, frame.first_lsn + frame.entries - 1)
            last_lsn = log.entries[-1][0]
            holds_more = number == log.newest and frame is not frames[-1]
            begins = lost[1] + 1 if holds_more else lsns_of(log.files, min(number + 1, log.newest))[0]
            first_half, last_half = (1, lost[0] - 1), (begins, last_lsn)
            if (lost[0] == 1, lost[1] == last_lsn) == (keep == "before", keep == "after"):
                refuses_a_side_with_nothing(place, keep, "after" if keep == "before" else "before")
                continue
            report = repaired_to(place, log, keep, first_half if keep == "before" else last_half, what)
            assert [gap[:4] for gap in report.lost] == [(*lost, number, frame.offset)]
            told = {lsn for a, b in [lost, *report.dropped] for lsn in range(a, b + 1)}
            kept = set(range(report.first_lsn, report.last_lsn + 1))
            assert told | kept == set(range(1, last_lsn + 1))
            assert not told & kept


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_damaged_header_loses_no_entry(place_of: Callable[..., Place], keep: str) -> None:
    for log in (logs.plain(), logs.checkpointed()):
        for number in numbers_in(log.files):
            what = f"{log.name}: the header of segment {number}"
            whole = (log.entries[0][0], log.entries[-1][0])
            report = repaired_to(place_of(with_header_damaged(log.files, number)), log, keep, whole, what)
            assert report.lost == report.dropped == ()
            assert report.removed_segments == ()
            assert number in report.rewritten_segments


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_the_only_header_is_made_again_from_the_durable_mark(place_of: Callable[..., Place], keep: str) -> None:
    def after_a_checkpoint(wal: walogs.Wal) -> None:
        wal.append_batch([b"gone", b"too"])
        wal.rotate()
        wal.checkpoint(2)
        wal.append(b"first of what is left")
        wal.append(b"last")

    for log in (written("one", lambda wal: wal.append(b"the only entry")), written("left", after_a_checkpoint)):
        whole = (log.entries[0][0], log.entries[-1][0])
        report = repaired_to(place_of(with_header_damaged(log.files, log.newest)), log, keep, whole, log.name)
        assert report.lost == report.dropped == ()
        assert report.rewritten_segments == (log.newest,)


@pytest.mark.guarantee("G6")
def test_a_damaged_header_that_nothing_tells_of_loses_its_segment(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    files = without(with_header_damaged(log.files, log.newest), DURABLE_MARK)
    first_lsn, _ = lsns_of(log.files, log.newest)
    report = repaired_to(
        place_of(files), log, "before", (1, first_lsn - 1), "the newest header, without a durable mark"
    )
    assert [gap[:4] for gap in report.lost] == [(first_lsn, None, log.newest, 0)]
    assert report.removed_segments == (log.newest,)


@pytest.mark.guarantee("G6")
def test_without_an_intact_header_no_segment_counts_as_left_by_a_checkpoint(place_of: Callable[..., Place]) -> None:
    """The frames of the newest say where they begin. Nothing says that the segments before it may go."""
    log = logs.plain()
    files, older = log.files, numbers_in(log.files)[:-1]
    for number in (*older, log.newest):
        files = with_header_damaged(files, number)
    first_lsn, last_lsn = lsns_of(log.files, log.newest)
    place = place_of(files)
    assert [found[:2] for found in place.salvage() if isinstance(found, walogs.Gap)] == [(1, first_lsn - 1)]
    report = repaired_to(place, log, "after", (first_lsn, last_lsn), "every header")
    assert [gap[:2] for gap in report.lost] == [(1, first_lsn - 1)]
    assert report.removed_segments == tuple(older)
    before = {segment_name(number): files[segment_name(number)] for number in older}
    nothing_is_destroyed(before, place.files(), "opened after the repair of every header")


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda content: with_byte(content, 70, 4), "its header's CRC does not match"),
        (lambda content: content[:300], "its header is cut short"),
        (lambda content: b"X" + content[1:], "it does not begin as a walogs segment does"),
    ],
    ids=["a bit", "cut", "magic"],
)
def test_why_a_header_was_refused_is_told_by_whoever_misses_its_entries(
    place_of: Callable[..., Place], damage: Callable[[bytes], bytes], why: str
) -> None:
    log = logs.plain()
    name = segment_name(log.newest)
    place = place_of(without({**log.files, name: damage(log.files[name])}, DURABLE_MARK))
    opened = place.verify().findings[0].message
    (salvaged,) = [item for item in place.salvage() if isinstance(item, walogs.Gap)]
    (lost,) = place.repair("before", dry_run=True).lost
    for gap in (salvaged, lost):
        reason = gap.why.removesuffix(", so that its entries cannot be found")
        assert reason.startswith(why)
        assert reason in opened


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_segment_that_is_gone(place_of: Callable[..., Place], keep: str) -> None:
    log = logs.plain()
    last_lsn = log.entries[-1][0]
    for number in numbers_in(log.files):
        first, last = lsns_of(log.files, number)
        before, after = (1, first - 1), (last + 1, last_lsn)
        files = without(log.files, segment_name(number))
        if (first == 1, last == last_lsn) == (keep == "before", keep == "after"):
            refuses_a_side_with_nothing(place_of(files), keep, "after" if keep == "before" else "before")
            continue
        lsns = before if keep == "before" else after
        report = repaired_to(place_of(files), log, keep, lsns, f"{keep}: segment {number} is gone")
        assert [gap[:3] for gap in report.lost] == [(first, last, None)]


@pytest.mark.guarantee("G6")
def test_a_seal_tells_everyone_that_a_segment_followed(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    first, _ = lsns_of(log.files, log.newest)
    place = place_of(without(log.files, segment_name(log.newest), DURABLE_MARK))
    (salvaged,) = [item for item in place.salvage() if isinstance(item, walogs.Gap)]
    assert salvaged[:4] == (first, None, None, None)
    assert place.verify().gaps == (salvaged,)
    report = repaired_to(place, log, "before", (1, first - 1), "the newest segment and the durable mark are gone")
    assert report.lost == (salvaged,)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_copy_of_a_live_log_loses_its_durable_mark_alone(place_of: Callable[..., Place], keep: str) -> None:
    log = logs.plain()
    newest = segment_name(log.newest)
    frames = log.frames(log.newest)
    for cut in (frames[-1], frames[0]):
        content = log.files[newest][: cut.offset].ljust(len(log.files[newest]), b"\0")
        place = place_of({**log.files, newest: content})
        if keep == "after":
            refuses_a_side_with_nothing(place, "after", "before")
            continue
        report = repaired_to(place, log, keep, (1, cut.first_lsn - 1), f"copied up to byte {cut.offset}")
        assert report.set_aside == report.rewritten_segments == report.removed_segments == ()
        assert [gap[:2] for gap in report.lost] == [(cut.first_lsn, log.entries[-1][0])]
        assert report.dropped == ()


@pytest.mark.guarantee("G6")
def test_a_copy_of_a_live_log_that_holds_no_entry_yet(place_of: Callable[..., Place]) -> None:
    log = written("one entry", lambda wal: wal.append(b"one"))
    place = place_of({**log.files, segment_name(1): log.files[segment_name(1)][:HEADER] + bytes(8192)})
    report = repaired_to(place, log, "before", (1, 0), "copied before its first frame")
    assert [gap[:2] for gap in report.lost] == [(1, 1)]


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_damaged_checkpoint_loses_no_entry(place_of: Callable[..., Place], keep: str) -> None:
    def write(wal: walogs.Wal) -> None:
        for count in range(1, 11):
            wal.append(b"entry %d, " % count * 5)
        wal.rotate()
        for count in range(11, 14):
            wal.append(b"entry %d, " % count * 5)
        wal.checkpoint(10)
        for count in range(14, 17):
            wal.append(b"entry %d, " % count * 5)
        wal.rotate()
        wal.append(b"the last")

    log = written("a CHECKPOINT between entries", write, max_segment_size=4000)
    completed = log.newest - 1
    (checkpoint,) = (frame for frame in log.frames(completed)[:-2] if frame.kind == CHECKPOINT)
    whole = (log.entries[0][0], log.entries[-1][0])
    for at in (checkpoint.offset + 8, checkpoint.offset + 49):
        name = segment_name(completed)
        place = place_of({**log.files, name: with_byte(log.files[name], at, 1)})
        report = repaired_to(place, log, keep, whole, f"byte {at} of {name}")
        assert report.lost == report.dropped == ()


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("seal", ["intact", "damaged"])
def test_a_checkpoint_damaged_after_the_last_entry_of_a_segment_is_no_damage_to_the_log(
    place_of: Callable[..., Place], seal: str
) -> None:
    """No entry is missing. A SEAL is a cache: the verdict with it is never worse than without it."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 9):
            wal.append(b"entry %d" % count * 10)
        wal.checkpoint(3)
        wal.rotate()
        wal.append(b"the last")

    log = written("a CHECKPOINT before a SEAL", write, max_segment_size=728)
    name = segment_name(log.newest - 1)
    *_, checkpoint, sealed = log.frames(log.newest - 1)
    assert (checkpoint.kind, sealed.kind) == (CHECKPOINT, SEAL)
    content = with_byte(log.files[name], checkpoint.offset + 49, 1)
    if seal == "damaged":
        content = with_byte(content, sealed.offset + 53, 1)
    place = place_of({**log.files, name: content})
    assert place.verify().ok
    assert place.repair("before", dry_run=True).refusal is None
    with place.open() as wal:
        assert list(wal) == log.entries


@pytest.mark.guarantee("G6")
def test_of_three_stretches_the_first_or_the_last(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    files = with_data_changed(with_data_changed(log.files, b"entry 7, "), b"entry 22, ")
    found = [item for item in place_of(files).salvage() if isinstance(item, walogs.Entry)]
    lsns = [entry.lsn for entry in found]
    gaps = sorted(set(range(1, log.entries[-1][0] + 1)) - set(lsns))
    assert len(gaps) == 2
    before = repaired_to(place_of(files), log, "before", (1, gaps[0] - 1), "two entries")
    after = repaired_to(place_of(files), log, "after", (gaps[1] + 1, log.entries[-1][0]), "two entries")
    assert before.dropped == ((gaps[0] + 1, gaps[1] - 1), (gaps[1] + 1, log.entries[-1][0]))
    assert after.dropped == ((1, gaps[0] - 1), (gaps[0] + 1, gaps[1] - 1))


@pytest.mark.guarantee("G6")
def test_what_follows_is_kept_when_only_the_segment_with_the_damage_holds_it(place_of: Callable[..., Place]) -> None:
    def write(wal: walogs.Wal) -> None:
        for count in range(1, 9):
            wal.append(b"entry %d, " % count)
        wal.rotate()

    log = written("an empty newest segment", write)
    assert log.newest == 2
    files = with_data_changed(log.files, b"entry 3, ")
    report = repaired_to(place_of(files), log, "after", (4, 8), "the newest segment is empty")
    assert (report.rewritten_segments, report.removed_segments) == ((1,), (2,))


@pytest.mark.guarantee("G6", "G12")
def test_entries_that_are_encoded_anew_keep_their_commits(place_of: Callable[..., Place]) -> None:
    for codec in CODECS:

        def write(wal: walogs.Wal) -> None:
            wal.append(b"first")
            wal.append_batch([b"a", b"", b"batch" * 30])
            wal.checkpoint(1)
            wal.append(b"last" * 20)

        log = written("one segment", write, codec=CODECS[codec]())
        with place_of(log.files, CODECS[codec]()).open() as wal:
            commits = list(wal.commits())
        frame = log.frames(1)[0]
        files = {**log.files, segment_name(1): with_byte(log.files[segment_name(1)], frame.offset + 41, 1)}
        place = place_of(files, CODECS[codec]())
        repaired_to(place, log, "after", (2, 5), codec)
        with place.open() as wal:
            assert list(wal.commits())[:2] == commits[1:]


@pytest.mark.guarantee("G6")
def test_histories_of_one_log_are_never_joined(place_of: Callable[..., Place]) -> None:
    """Two copies of a log were written to. The newest segment of one lies among the segments of the other."""
    common = written("common", lambda wal: [wal.append(b"entry %d" % n) for n in range(1, 4)])

    def history(text: bytes) -> Files:
        place = ModelPlace(common.files)
        for _ in range(2):
            with place.open() as wal:
                wal.append(text)
                wal.rotate()
        return place.files()

    ours, theirs = history(b"ours"), history(b"theirs")
    mixed = {**ours, **{segment_name(n): theirs[segment_name(n)] for n in numbers_in(theirs)[-2:]}}
    mixed.pop(DURABLE_MARK)
    place = place_of(mixed)
    assert not place.verify().ok
    report = place.repair("before")
    with place.open() as wal:
        data = [data for _, data in wal]
    assert (b"ours" in data) != (b"theirs" in data), f"{report}: {data}"


@pytest.mark.guarantee("G6")
def test_damage_that_is_told_again_is_repaired_again(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    place = place_of(with_data_changed(log.files, b"entry 11, "))
    report = place.repair("before")
    if isinstance(place, LocalPlace):
        files = place.files()
        place.log.put({**files, **with_data_changed(files, b"entry 7, ")})
        again = place.repair("before")
        assert again.last_lsn < report.last_lsn
        assert len(set(again.set_aside) & set(report.set_aside)) == 0
        assert any(name.endswith("Z") for name in again.set_aside)
        goes_on(place, kept_of(again, log.entries), "the second time")
    assert place.repair("before").refusal is None
