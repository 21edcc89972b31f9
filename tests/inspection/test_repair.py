"""`repair`: of a damaged log, the intact entries on one side of the damage, and an account of all that is lost."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

import walogs
from tests.crash.small_logs import SmallLog, written
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import (
    CODECS,
    PLACES,
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
from tests.logs import CHECKPOINT, HEADER, SEAL, WITNESS, Files, frames_of, numbers_in, segment_name, with_byte
from walogs.testing import MemoryChainStore, MemoryCloud, MemoryDisk, MemoryStore


@pytest.fixture(params=PLACES)
def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Place]:
    """A log in each kind of place."""
    count = iter(range(1000))
    return lambda files, codec="crc32": PLACES[request.param](files, tmp_path / f"log-{next(count)}", codec)


def repaired_to(place: Place, log: SmallLog, keep: str, lsns: tuple[int, int], what: str) -> walogs.RepairReport:
    """It is refused, a dry run changes nothing and foretells what is done, nothing is destroyed; *lsns* are kept."""
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
            if lost[0] == 1:  # nothing is before it
                first_half = last_half
            if lost[1] == last_lsn:  # nothing is after it
                last_half = first_half
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
def test_the_only_header_is_made_again_from_the_witness(place_of: Callable[..., Place], keep: str) -> None:
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
    files = without(with_header_damaged(log.files, log.newest), WITNESS)
    first_lsn, _ = lsns_of(log.files, log.newest)
    report = repaired_to(place_of(files), log, "before", (1, first_lsn - 1), "the newest header, without a witness")
    assert [gap[:4] for gap in report.lost] == [(first_lsn, None, log.newest, 0)]
    assert report.removed_segments == (log.newest,)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_segment_that_is_gone(place_of: Callable[..., Place], keep: str) -> None:
    log = logs.plain()
    last_lsn = log.entries[-1][0]
    for number in numbers_in(log.files):
        first, last = lsns_of(log.files, number)
        before, after = (1, first - 1), (last + 1, last_lsn)
        before, after = before if first > 1 else after, after if last < last_lsn else before
        files = without(log.files, segment_name(number))
        lsns = before if keep == "before" else after
        report = repaired_to(place_of(files), log, keep, lsns, f"{keep}: segment {number} is gone")
        assert [gap[:3] for gap in report.lost] == [(first, last, None)]


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_copy_of_a_live_log_loses_its_witness_alone(place_of: Callable[..., Place], keep: str) -> None:
    log = logs.plain()
    newest = segment_name(log.newest)
    frames = log.frames(log.newest)
    for cut in (frames[-1], frames[0]):
        content = log.files[newest][: cut.offset].ljust(len(log.files[newest]), b"\0")
        place = place_of({**log.files, newest: content})
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
    log = logs.checkpointed()
    tried = 0
    for number in numbers_in(log.files):
        for frame in log.frames(number):
            if frame.kind != CHECKPOINT:
                continue
            for at in (frame.offset + 8, frame.offset + 41):
                name = segment_name(number)
                place = place_of({**log.files, name: with_byte(log.files[name], at, 1)})
                if place.verify().ok:  # its successor has the same base
                    continue
                tried += 1
                whole = (log.entries[0][0], log.entries[-1][0])
                report = repaired_to(place, log, keep, whole, f"byte {at} of {name}")
                assert report.lost == report.dropped == ()
    assert tried >= 2


@pytest.mark.guarantee("G6")
def test_a_checkpoint_damaged_right_before_its_seal_loses_no_entry(place_of: Callable[..., Place]) -> None:
    def write(wal: walogs.Wal) -> None:
        for count in range(1, 9):
            wal.append(b"entry %d" % count * 10)
        wal.checkpoint(3)
        wal.rotate()
        wal.append(b"the last")

    log = written("a CHECKPOINT before a SEAL", write, max_segment_size=700)
    completed = log.newest - 1
    *_, checkpoint, seal = log.frames(completed)
    assert (checkpoint.kind, seal.kind) == (CHECKPOINT, SEAL)
    name = segment_name(completed)
    place = place_of({**log.files, name: with_byte(log.files[name], checkpoint.offset + 41, 1)})
    whole = (log.entries[0][0], log.entries[-1][0])
    report = repaired_to(place, log, "before", whole, "the CHECKPOINT")
    assert (report.lost, report.dropped, report.rewritten_segments) == ((), (), (completed,))


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
    """Two copies of a log both went on; the newest segment of one lies among those of the other."""
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
    mixed.pop(WITNESS)
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


# Refused


def refused(place: Place, error: type[Exception], *phrases: str) -> None:
    """In every way of calling it; nothing changes."""
    state = place.state()
    for keep in ("before", "after"):
        for dry_run in (True, False):
            with pytest.raises(error) as told:
                place.repair(keep, dry_run=dry_run)
            assert place.state() == state
            print(told.value)
            assert [phrase for phrase in phrases if phrase not in str(told.value)] == []


@pytest.mark.guarantee("G6")
def test_where_nothing_is_intact_nothing_is_changed(place_of: Callable[..., Place]) -> None:
    log = written("one", lambda wal: wal.append(b"the only entry"))
    refused(place_of(with_data_changed(log.files, b"the only")), walogs.Corrupt, "no entry in it is intact", "move")
    without_witness = without(with_header_damaged(log.files, 1), WITNESS)
    refused(place_of(without_witness), walogs.Corrupt, "no entry in it is intact")
    refused(place_of({WITNESS: log.files[WITNESS]}), walogs.Corrupt, "segments are gone")


@pytest.mark.guarantee("G6")
def test_segments_of_two_logs_are_not_chosen_from(place_of: Callable[..., Place]) -> None:
    log, other = logs.plain(), logs.plain(seed=99)
    assert log.files[segment_name(2)][16:32] != other.files[segment_name(2)][16:32]
    foreign = {**log.files, segment_name(2): other.files[segment_name(2)]}
    refused(place_of(foreign), walogs.Corrupt, "of another log than", "move away")
    beyond = {**log.files, segment_name(9): with_byte(other.files[segment_name(2)], 48, 2 ^ 9)}
    assert not place_of(beyond).verify().ok


@pytest.mark.guarantee("G6")
def test_swapped_segments_are_two_that_are_gone(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    swapped = {
        **log.files,
        segment_name(2): log.files[segment_name(3)],
        segment_name(3): log.files[segment_name(2)],
    }
    repaired_to(place_of(swapped), log, "before", (1, lsns_of(log.files, 1)[1]), "swapped")
    after = (lsns_of(log.files, 4)[0], log.entries[-1][0])
    repaired_to(place_of(swapped), log, "after", after, "swapped")


@pytest.mark.guarantee("G6")
def test_what_another_release_wrote_is_left_alone(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    header = bytearray(log.files[segment_name(2)])
    header[8] = 2
    header[508:512] = crc32(header[:508]).to_bytes(4, "little")
    refused(place_of({**log.files, segment_name(2): bytes(header)}), walogs.UnsupportedFormat, "format version 2")


def test_where_there_is_no_log_nothing_is_made(tmp_path: Path) -> None:
    for path in (tmp_path / "typo", tmp_path):
        for dry_run in (True, False):
            with pytest.raises(walogs.Missing, match="holds no log"):
                walogs.repair(path, dry_run=dry_run)
    with pytest.raises(walogs.Missing):
        walogs.repair(store=MemoryStore(MemoryDisk()))
    (tmp_path / "garbled").mkdir()
    (tmp_path / "garbled" / WITNESS).write_bytes(b"garbled")
    with pytest.raises(walogs.Missing):
        walogs.repair(tmp_path / "garbled")
    (tmp_path / "garbled" / WITNESS).unlink()
    (tmp_path / "garbled" / "LOCK").unlink()
    (tmp_path / "garbled").rmdir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.guarantee("G13")
def test_a_log_that_is_open_is_not_repaired(tmp_path: Path) -> None:
    place = LocalPlace(logs.plain().files, tmp_path / "log")
    with place.open() as wal:
        wal.append(b"another")
        place.log.put(with_data_changed(place.files(), b"entry 7, "))
        refused(place, walogs.Locked, "open for writing")
    store = MemoryStore(MemoryDisk())
    with walogs.open(store=store) as wal:
        wal.append(b"one")
        with pytest.raises(walogs.Locked):
            walogs.repair(store=store)
        assert list(wal) == [(1, b"one")]
    with walogs.open(store=MemoryStore(store.disk)) as wal:
        assert list(wal) == [(1, b"one")]


def test_a_store_whose_segments_cannot_be_replaced_is_told_so() -> None:
    store = MemoryChainStore(MemoryCloud())
    with walogs.open(store=store) as wal:
        wal.append(b"one")
    with pytest.raises(walogs.ConfigError, match=r"RepairableStore.*salvage"):
        walogs.repair(store=MemoryChainStore(store.cloud))


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"keep": "both"}, "'before' or 'after'"),
        ({"keep": None}, "'before' or 'after'"),
        ({"dry_run": "no"}, "True or False"),
        ({"recover": "x"}, "did you mean 'recovery'"),
        ({"codec": "nonesuch"}, "nonesuch"),
        ({"config": {}}, "a WalConfig"),
    ],
)
def test_bad_arguments_are_told_and_change_nothing(tmp_path: Path, arguments: dict[str, object], phrase: str) -> None:
    place = LocalPlace(with_data_changed(logs.plain().files, b"entry 7, "), tmp_path / "log")
    state = place.state()
    with pytest.raises(walogs.ConfigError) as told:
        walogs.repair(place.log.path, **arguments)  # type: ignore[arg-type]
    assert phrase in str(told.value)
    assert place.state() == state
    for path in (None, "", 7, b"log"):
        with pytest.raises((walogs.ConfigError, TypeError)):
            walogs.repair(path)  # type: ignore[arg-type]


def test_what_is_set_aside_is_ignored_by_everything(tmp_path: Path) -> None:
    place = LocalPlace(with_data_changed(logs.plain().files, b"entry 7, "), tmp_path / "log")
    report = walogs.repair(place.log.path)
    assert report.set_aside
    for name in report.set_aside:
        (place.log.path / name).write_bytes(b"anything at all")
    with walogs.open(place.log.path) as wal:
        entries = list(wal)
        wal.append(b"next")
        wal.rotate()
        wal.checkpoint(wal.last_lsn)
    assert walogs.verify(place.log.path).ok
    with walogs.reader(place.log.path) as reader:
        assert reader.last_lsn == entries[-1][0] + 1
    walogs.backup(place.log.path, tmp_path / "copy")
    assert not [path for path in (tmp_path / "copy").iterdir() if path.name.startswith("damaged-")]
    assert {path.name for path in place.log.path.iterdir()} >= set(report.set_aside)


def test_the_files_set_aside_and_the_untouched_ones_are_the_log_as_it_was(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    files = with_data_changed(log.files, b"entry 11, ")
    for keep in ("before", "after"):
        place = place_of(files)
        found = place.salvage()
        report = place.repair(keep)
        after = place.files()
        back = {f"wal-{name.split('-')[1]}.log": after[name] for name in report.set_aside}
        assert place_of(without({**after, **back}, *report.set_aside)).salvage() == found


# Everything at once


def dense(lsns: list[int]) -> list[set[int]]:
    """Each run of LSNs without a gap."""
    found: list[set[int]] = [set()]
    for lsn in lsns:
        if found[-1] and lsn != max(found[-1]) + 1:
            found.append(set())
        found[-1].add(lsn)
    return found


def tried(place: Place, log: SmallLog, keep: str, what: str) -> str:
    """Random damage is repaired, and every entry is accounted for; what came of it."""
    try:
        salvaged = place.salvage()
    except (walogs.UnsupportedFormat, walogs.Missing):
        return "not a log"
    intact = {item.lsn for item in salvaged if isinstance(item, walogs.Entry)}
    is_sound = place.verify().ok
    before, state = place.files(), place.state()
    try:
        foretold = place.repair(keep, dry_run=True)
    except walogs.Corrupt:
        assert place.state() == state, what
        assert not intact, what
        return "nothing"
    assert place.state() == state, what
    report = place.repair(keep)
    assert settled(report) == settled(foretold), what
    assert (report.refusal is None) == is_sound, what
    written = dict(log.entries)
    if is_sound:
        assert place.state() == state, what
        return "sound"
    kept = set(range(report.first_lsn, report.last_lsn + 1))
    end = max([report.last_lsn, *intact, *written])
    lost = {lsn for gap in report.lost for lsn in range(gap.first_lsn, (gap.last_lsn or end) + 1)}
    dropped = {lsn for first_lsn, last_lsn in report.dropped for lsn in range(first_lsn, last_lsn + 1)}
    assert kept <= intact, what
    assert dropped <= intact, what
    assert not lost & intact, what
    unseen = {lsn for lsn in intact | set(written) if lsn >= min(kept | dropped | lost)} - kept - dropped - lost
    looks_torn = WITNESS not in before and min(unseen, default=0) > max(intact)  # the limit that G6 names
    assert not unseen or looks_torn, what
    stretches = dense(sorted(kept | dropped))
    assert kept <= stretches[0 if keep == "before" else -1] or not kept, what
    nothing_is_destroyed(before, place.files(), what)
    expected = [(item.lsn, item.data) for item in salvaged if isinstance(item, walogs.Entry) and item.lsn in kept]
    assert all(written.get(lsn, data) == data for lsn, data in expected), what
    goes_on(place, expected, what)
    return "lossless" if not lost and not dropped else "repaired"


def random_repairs(seeds: range, shape: str, path: Path) -> dict[str, int]:
    outcomes: dict[str, int] = {}
    for seed in seeds:
        rng = random.Random(seed)
        codec = CODECS[rng.choice(tuple(CODECS))]()
        log = logs.random_log(rng, codec)
        files, faults = log.files, []
        for _ in range(rng.choice((1, 2))):
            fault = logs.random_fault(files, rng)
            faults.append(fault.what)
            files = fault.files
        keep = rng.choice(("before", "after"))
        place = PLACES[shape](files, path / "log", codec)
        outcome = tried(place, log, keep, f"seed {seed}, {keep}, {faults}")
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if isinstance(place, LocalPlace):
            place.log.put({})
    print(f"seeds {seeds}: {outcomes}")
    return outcomes


@pytest.mark.guarantee("G1", "G2", "G6")
@pytest.mark.parametrize("shape", PLACES)
def test_random_logs_with_one_fault_or_two(shape: str, tmp_path: Path) -> None:
    outcomes = random_repairs(range(150), shape, tmp_path)
    assert outcomes["repaired"] > 30
    assert outcomes["lossless"] > 10


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G1", "G2", "G6")
@pytest.mark.parametrize("shape", PLACES)
def test_thousands_of_random_logs_with_one_fault_or_two(shape: str, tmp_path: Path) -> None:
    base = random.SystemRandom().randrange(1 << 32)
    print(f"seeds from {base}")
    assert random_repairs(range(base, base + 4000), shape, tmp_path)["repaired"] > 800
