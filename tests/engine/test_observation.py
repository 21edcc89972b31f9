"""How far a log can be read beside its writer, whatever that does between any two calls of the reader (G14)."""

from __future__ import annotations

import errno
import functools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import pytest

import walogs
from tests.kit.films import CUT, HONEST, Film, Viewer, jumps, moved_once
from tests.kit.laboratory import amount, sampled
from tests.kit.planted_readers import show_unsynced_entries
from tests.system.children import seed_of
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.engine import log_view, observation
from walogs.engine.log_source import LogSource
from walogs.engine.observation import ReadableEnd, Visibility
from walogs.testing import MemoryDisk, MemoryStore

CALLS: Final = 48
"""A reader that is made and reads a small log makes no more; later calls move nothing."""
LOOK_CALLS: Final = 21
"""So does one look."""
EVERY: Final = 13
"""Of the steps that may come into a look, every so many-th is tried. From whichever one on, these show planted bugs."""
UPTOS: Final[tuple[Visibility, ...]] = ("durable", "written")


@functools.cache
def film_of(name: str) -> Film:
    return {**HONEST, **CUT}[name]()


def source_on(store: Any) -> LogSource:
    return source_of(None, WalConfig(store=store))


# A reader that is new


def read_once(film: Film, viewer: Viewer, visibility: Visibility) -> str:
    """A reader is made and reads everything. What it sees is true of a moment between its first call and its last."""
    begin = viewer.state
    try:
        reader = walogs.reader(store=viewer, visibility=visibility)  # type: ignore[arg-type]
        got = list(reader)
    except walogs.Checkpointed as error:
        assert error.lsn < error.first_lsn <= viewer.state.log_first_lsn  # noqa: PT017
        return "checkpointed"
    end, last_lsn = viewer.state, got[-1][0] if got else reader._view.readable.last_lsn
    first = got[0][0] if got else last_lsn + 1
    assert [lsn for lsn, _ in got] == list(range(first, last_lsn + 1))
    assert all(data == film.entries[0][lsn] for lsn, data in got)
    assert first <= end.log_first_lsn, "entries that nobody checkpointed are missing"
    assert last_lsn in film.ends, "half a batch"
    assert last_lsn <= (end.synced if visibility == "durable" else end.written)
    if visibility == "written":
        assert last_lsn >= begin.written
    elif not viewer.saw_garbled:
        assert last_lsn >= begin.acknowledged
    return "read"


def read_at(film: Film, visibility: Visibility, plans: Sequence[tuple[int, int, int]]) -> dict[str, int]:
    tried: dict[str, int] = {}
    for at, call, by in plans:
        try:
            how = read_once(film, Viewer(film, at, moved_once(call, by)), visibility)
        except BaseException as error:
            error.add_note(f"from state {at}, {by} states further before call {call}, {visibility}")
            raise
        tried[how] = tried.get(how, 0) + 1
    return tried


@pytest.mark.guarantee("G12", "G14")
@pytest.mark.parametrize("visibility", UPTOS)
@pytest.mark.parametrize("name", HONEST)
def test_a_reader_that_a_writer_comes_between_sees_one_true_moment(name: str, visibility: Visibility) -> None:
    film, rng = film_of(name), random.Random(seed_of(f"{name}, {visibility}"))
    still = read_at(film, visibility, [(at, CALLS, 0) for at in range(len(film.states))])
    moved = read_at(film, visibility, rng.sample(list(jumps(film, CALLS)), 700))
    print(f"{name}, {visibility}: {still}, then {moved}")
    assert still == {"read": len(film.states)}


@pytest.mark.laboratory
@pytest.mark.guarantee("G12", "G14")
@pytest.mark.parametrize("visibility", UPTOS)
@pytest.mark.parametrize("name", HONEST)
def test_every_moment_of_a_writer_between_every_two_calls_of_a_reader(name: str, visibility: Visibility) -> None:
    film = film_of(name)
    tried = read_at(film, visibility, list(sampled(jumps(film, CALLS), 9, f"{name}, {visibility}")))
    print(f"{name}, {visibility}: {tried}")
    assert tried["checkpointed"] > 5


# A reader that stays


def followed(film: Film, rng: random.Random, visibility: Visibility) -> dict[str, int]:
    """A reader stays while the film runs. What it holds for true at the end is what the log holds then: it was told of
    all that it had been handed out and that is no longer so."""
    viewer = Viewer(film, 0)
    reader = walogs.reader(store=viewer, visibility=visibility)  # type: ignore[arg-type]
    viewer.moves = lambda call: rng.choice((0,) * 20 + (1, 1, 2, 3, 6, 25))
    held: dict[int, bytes] = {}
    next_lsn, happened = 1, {"followed": 0}
    while True:
        is_over = viewer.at == len(film.states) - 1
        try:
            for lsn, data in reader.follow(next_lsn, timeout=0):
                assert lsn == next_lsn, f"entry {lsn} came after {next_lsn - 1}"
                held[lsn] = data
                next_lsn += 1
                happened["followed"] += 1
            if held and rng.random() < 0.3:
                lsn = rng.choice(list(held))
                assert reader.read(lsn) == held[lsn]
            if rng.random() < 0.2:
                commits = [commit.last_lsn for commit in reader.commits()]
                assert set(commits) <= film.ends or len(film.entries) > 1
        except walogs.WalError as error:
            kind = type(error).__name__
            happened[kind] = happened.get(kind, 0) + 1
            if isinstance(error, walogs.Checkpointed):
                assert error.first_lsn <= viewer.state.log_first_lsn  # noqa: PT017
                held = {lsn: data for lsn, data in held.items() if lsn >= error.first_lsn}
                next_lsn = max(next_lsn, error.first_lsn)
            elif isinstance(error, walogs.LogRewound) and viewer.state.epoch:
                assert error.end_lsn >= min(film.cuts[: viewer.state.epoch])  # noqa: PT017
                held = {lsn: data for lsn, data in held.items() if lsn <= error.end_lsn}
                next_lsn = min(next_lsn, error.end_lsn + 1)
            elif not (isinstance(error, walogs.Corrupt) and viewer.saw_damage):
                raise
            continue
        viewer.saw_damage = viewer.state.is_damaged
        if is_over:
            break
    assert held == {lsn: film.entries[-1][lsn] for lsn in held}, "it goes on with what is no longer so"
    assert next_lsn - 1 == film.acknowledged
    return happened


def follow_many(film: Film, visibility: Visibility, seed: int, count: int) -> dict[str, int]:
    happened: dict[str, int] = {}
    for number in range(seed, seed + count):
        try:
            found = followed(film, random.Random(number), visibility)
        except BaseException as error:
            error.add_note(f"seed {number}, {visibility}")
            raise
        for kind, times in found.items():
            happened[kind] = happened.get(kind, 0) + times
    return happened


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", UPTOS)
@pytest.mark.parametrize("name", HONEST)
def test_a_reader_that_stays_loses_nothing_and_suspects_nobody(name: str, visibility: Visibility) -> None:
    happened = follow_many(film_of(name), visibility, seed_of(f"{name}, {visibility}"), 40)
    print(f"{name}, {visibility}: {happened}")
    assert set(happened) <= {"followed", "Checkpointed"}


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", UPTOS)
@pytest.mark.parametrize("name", CUT)
def test_a_reader_that_stays_is_told_of_everything_that_was_cut(name: str, visibility: Visibility) -> None:
    happened = follow_many(film_of(name), visibility, seed_of(f"{name}, {visibility}"), 90)
    print(f"{name}, {visibility}: {happened}")
    assert set(happened) <= {"followed", "LogRewound", "Corrupt"}
    assert happened["LogRewound"] > 0


def whole_states(film: Film) -> list[int]:
    """Of each epoch the last state before anything in it is damaged."""
    states = list(enumerate(film.states))
    return [
        max(at for at, state in states if state.epoch == epoch and not state.is_damaged)
        for epoch in range(len(film.entries))
    ]


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", UPTOS)
@pytest.mark.parametrize("name", CUT)
def test_a_reader_that_has_read_all_is_told_of_every_cut_in_whatever_state_it_looks_again(
    name: str, visibility: Visibility
) -> None:
    """None of it is left to chance: whether a random walk is told depends on how far it had read, and on what it
    jumped over."""
    film, told = film_of(name), 0
    for at in whole_states(film):
        for to in range(at + 1, len(film.states)):
            before, after = film.states[at], film.states[to]
            viewer = Viewer(film, at)
            reader = walogs.reader(store=viewer, visibility=visibility)  # type: ignore[arg-type]
            held = dict(reader)
            assert max(held) == before.acknowledged
            viewer.at = to
            kept_lsn = min((before.acknowledged, *film.cuts[before.epoch : after.epoch]))
            try:
                found = dict(reader)
            except walogs.LogRewound as error:
                assert error.end_lsn == kept_lsn < before.acknowledged  # noqa: PT017
                told += 1
            except walogs.Corrupt:
                assert after.is_damaged, f"from state {at} to {to}"
            else:
                assert kept_lsn == before.acknowledged, f"from state {at} to {to} it is told of nothing"
                assert found == {lsn: film.entries[after.epoch][lsn] for lsn in range(1, after.acknowledged + 1)}
    assert told > len(film.states) // 2


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", UPTOS)
def test_damage_between_a_look_and_its_end_is_not_told_as_a_deeper_cut(
    visibility: Visibility, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look has seen one cut; the next look begins after another cut, and more is damaged before it ends. Nobody has
    cut that yet."""
    film = film_of("deeper cuts")
    first, second, third = (
        next(at for at in range(whole, len(film.states)) if film.states[at].is_damaged)
        for whole in whole_states(film)[:3]
    )
    viewer = Viewer(film, first - 1)
    reader = walogs.reader(store=viewer, visibility=visibility)  # type: ignore[arg-type]
    assert [lsn for lsn, _ in reader][-1] == 8
    begin_and_end = iter([(second - 1, second - 1), (third - 1, third)])
    observe_once = observation.observe_once

    def looked(*args: Any, **options: Any) -> ReadableEnd:
        begin, end = next(begin_and_end, (viewer.at, viewer.at))
        viewer.at = begin
        bound = observe_once(*args, **options)
        viewer.at = end
        return bound

    monkeypatch.setattr(log_view, "observe_once", looked)
    with pytest.raises(walogs.Corrupt) as told:
        assert list(reader) == []
    assert told.value.lsn == 3
    assert film.states[viewer.at].is_damaged


@pytest.mark.laboratory
@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", UPTOS)
def test_readers_that_stay_through_thousands_of_interleavings(visibility: Visibility) -> None:
    seed = seed_of(f"thousands, {visibility}")
    for name in (*HONEST, *CUT):
        print(name, follow_many(film_of(name), visibility, seed, amount(100, 2000)))


# The laws of a look


def suspicions(film: Film, look: Callable[..., ReadableEnd], every: int = 1, seed: int = 0) -> Iterator[str]:
    """What looks that a writer comes into take for damage."""
    for at, call, by in list(jumps(film, LOOK_CALLS))[seed % every :: every]:
        for is_doubted in (False, True):
            source = source_on(Viewer(film, at, moved_once(call, by)))
            try:
                look(source, "durable", None, from_start=is_doubted)
            except walogs.Corrupt as suspicion:
                yield f"{at}, {call}, {by}: {suspicion}"
            except walogs.plugins.SegmentNotFound:  # a checkpoint or a rotation: look again
                pass


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("name", HONEST)
def test_no_single_look_takes_an_honest_writer_for_damage(name: str) -> None:
    """A testimony is read before the bytes that it is of: that alone is enough. Looking again is for what is cut."""
    assert list(suspicions(film_of(name), observation.observe_once, EVERY, seed_of(name))) == []


@pytest.mark.laboratory
@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("name", HONEST)
def test_no_single_look_that_any_step_comes_into_takes_an_honest_writer_for_damage(name: str) -> None:
    assert list(suspicions(film_of(name), observation.observe_once, amount(5, 1), seed_of(name))) == []


def test_a_list_before_the_durable_mark_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = observation.read_durable_mark

    def listed_first(source: Any, *args: Any, **options: Any) -> ReadableEnd:
        numbers = source.store.segments()
        durable_mark = honest(source)
        with monkeypatch.context() as patch:
            patch.setattr(observation, "read_durable_mark", lambda source: durable_mark)
            patch.setattr(source.store, "segments", lambda: numbers)
            return observation.observe_once(source, *args, **options)

    assert any("is gone" in why for why in suspicions(film_of("fdatasync"), listed_first, EVERY))


def test_bytes_before_their_testimony_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later frame names as synced, held against bytes that were read before it."""
    walked, searched = observation.read_part, observation.TailScan
    walks: list[Any] = []

    def remembered(*args: Any) -> Any:
        walks.append(walked(*args))
        return walks[-1]

    def searched_and_not_read_again(*args: Any) -> Any:
        before = walks[-1]
        monkeypatch.setattr(observation, "read_part", lambda *args: before)
        return searched(*args)

    def look(*args: Any, **options: Any) -> ReadableEnd:
        monkeypatch.setattr(observation, "read_part", remembered)
        return observation.observe_once(*args, **options)

    monkeypatch.setattr(observation, "TailScan", searched_and_not_read_again)
    assert any(suspicions(film_of("fdatasync"), look, EVERY))


@pytest.mark.guarantee("G14")
def test_a_bound_never_falls() -> None:
    """Nor does a first LSN; also where the durable mark is being written, or is gone."""
    film = film_of("fdatasync")
    for visibility in UPTOS:
        known: ReadableEnd | None = None
        for at in range(len(film.states)):
            bound = observation.observe(source_on(Viewer(film, at)), visibility, known)
            if known is not None:
                assert bound.last_lsn >= known.last_lsn
                assert bound.log_first_lsn >= known.log_first_lsn
                assert bound.newest != known.newest or bound.end >= known.end
            known = bound


class Counted(MemoryStore):
    """Says how many bytes were read of it."""

    bytes_read = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(number, start, end)
        self.bytes_read += len(data)
        return data


def test_a_look_at_a_large_segment_reads_its_end_only() -> None:
    """The durable mark says where to begin, and so does what is known; nothing before that is read."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        for _ in range(30):
            wal.append(bytes(100_000))
        store = Counted(disk)
        bound = observation.observe(source_on(store), "durable")
        assert bound.last_lsn == 30
        assert store.bytes_read < 2_000_000  # the window after the end; the entries have 3,000,000
        wal.append(b"another")
        store.bytes_read = 0
        assert observation.observe(source_on(store), "durable", bound).last_lsn == 31
        assert store.bytes_read < 2_000_000


def test_what_never_looks_the_same_twice_is_not_called_damage() -> None:
    source = source_on(Viewer(film_of("fdatasync"), 5))
    looks: list[bool] = []

    def look(is_doubted: bool) -> None:
        looks.append(is_doubted)
        raise source.corrupt("something", 1, len(looks))

    with pytest.raises(walogs.Unavailable, match="never settled") as raised:
        observation.look_with_retry(source, look)
    assert isinstance(raised.value.__cause__, walogs.Corrupt), "what was seen last"
    assert looks == [False] + [True] * (observation.OBSERVATIONS_MAX - 1)


class Refusing(MemoryStore):
    """Refuses every list, with a message that is never the same, as that of a server with its times."""

    lists = 0

    def segments(self) -> Sequence[int]:
        self.lists += 1
        raise PermissionError(errno.EACCES, f"refused after {self.lists} ms", self.name)


def test_a_refusal_whose_message_is_never_the_same_is_raised_as_it_is() -> None:
    store = Refusing(MemoryDisk())
    with pytest.raises(PermissionError, match="refused after 2 ms"):
        walogs.reader(store=store)
    assert store.lists == 2


# Bugs, planted


def is_seen(check: Callable[[], object]) -> bool:
    with suppress(AssertionError, walogs.WalError, KeyError):
        check()
        return False
    return True


def both() -> None:
    for visibility in UPTOS:
        for name in ("fdatasync", *CUT):
            follow_many(film_of(name), visibility, 1, 60)


def test_nothing_is_seen_where_nothing_is_planted() -> None:
    both()
    read_at(film_of("none"), "durable", list(jumps(film_of("none"), 8))[::7])


def test_no_second_look_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "look_with_retry", lambda source, look: look(False))
    monkeypatch.setattr(log_view, "look_with_retry", lambda source, look: look(False))
    film = film_of("fdatasync")
    assert is_seen(lambda: read_at(film, "durable", list(jumps(film, CALLS))[::7]))


def test_a_bound_that_falls_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = observation.observe_once
    forgetful = lambda source, visibility, known, from_start: honest(source, visibility, None, from_start=from_start)  # noqa: E731
    monkeypatch.setattr(observation, "observe_once", forgetful)
    monkeypatch.setattr(log_view, "observe_once", forgetful)
    assert is_seen(test_a_bound_never_falls)


def test_unsynced_entries_shown_as_durable_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    show_unsynced_entries(monkeypatch)
    film = film_of("none")
    assert is_seen(lambda: read_at(film, "durable", list(jumps(film, 8))[::7]))


def test_a_mark_that_an_early_entry_lowers_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def lowered(self: Any, mark: Any) -> None:
        self._returned = (mark,)

    monkeypatch.setattr(log_view.LogView, "_remember", lowered)
    assert is_seen(both)


def test_a_place_looked_for_in_an_old_list_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that removes what the reader was in, between its look and its search for that place."""

    def looked_then_searched(self: Any, *, from_start: bool) -> Any:
        bound, mark = observation.observe(self._source, self._visibility, self.readable), self._returned
        if not mark:
            return bound, (), 0
        return (
            bound,
            mark,
            observation.look_with_retry(self._source, lambda _: log_view.find_last_kept(self._source, bound, mark)),
        )

    monkeypatch.setattr(log_view.LogView, "_look_once", looked_then_searched)
    monkeypatch.setattr(log_view, "look_with_retry", lambda source, look: look(False))
    assert is_seen(lambda: follow_many(film_of("fdatasync"), "durable", 1, 60))
