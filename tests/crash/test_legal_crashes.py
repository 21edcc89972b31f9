"""A log is never refused after a crash. Acknowledged entries are there, and an unsynced commit is whole or absent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.crash.legal import (
    Moment,
    closings,
    crash_sweep,
    judged,
    one_commit,
    recovering,
    removals,
    rotations,
    several_commits,
    special,
)
from tests.crash.small_logs import PAYLOADS
from tests.crash.sweep import Expected, ModelPlace, Tally
from tests.kit.laboratory import amount, sampled

SAMPLED = 13
"""The laboratory's sample tries every so many-th of many states."""
States = Iterator[tuple[str, dict[str, bytes], Expected]]

pytestmark = pytest.mark.guarantee("G1", "G2", "G5", "G12", "G15")


def settled(what: str, states: States, **config: object) -> None:
    crash_sweep(states, Tally(what), ModelPlace(), **config).settle()


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("count", [1, 4])
def test_a_commit_of_a_few_sectors_is_there_or_not(kind: str, count: int) -> None:
    for sectors in (1, 2, 3):
        settled(f"{kind}, {count} entries, {sectors} sectors", judged(one_commit(kind, sectors, count)))


@pytest.mark.parametrize(("mode", "verify"), [("acked", "last"), ("prefix", "full"), ("prefix", "last")])
def test_every_other_mode_takes_what_a_crash_left(mode: str, verify: str) -> None:
    """The other tests open with `acked` and `full`."""
    for kind in PAYLOADS:
        states = itertools.chain(judged(one_commit(kind, 3, 2)), *map(judged, special(kind)))
        settled(f"{kind}, {mode}, {verify}", itertools.islice(states, 0, None, 3), recovery=mode, verify=verify)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_commit_of_eight_sectors_is_there_or_not(kind: str) -> None:
    made = one_commit(kind, 8, 3)
    thinned = itertools.islice(judged(made), 0, None, 13)
    whole = [(name, files, want) for name, files, want in judged(made) if len(want.entries) > len(made.acknowledged)]
    settled(f"{kind}, 8 sectors", itertools.chain(thinned, whole[:4]))


@pytest.mark.parametrize("synced_between", [False, True])
@pytest.mark.parametrize("kind", PAYLOADS)
def test_of_several_unsynced_commits_a_prefix_is_there(kind: str, synced_between: bool) -> None:
    made = several_commits(kind, (300, 500, 700), synced_between=synced_between)
    settled(made.name, itertools.islice(judged(made), 0, None, 3))


@pytest.mark.guarantee("G8", "G10", "G11")
@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_commit_at_any_place_is_there_or_not(kind: str) -> None:
    for made in special(kind):
        settled(made.name, itertools.islice(judged(made), 0, None, 2))


@pytest.mark.guarantee("G10")
def test_a_rotation_can_be_interrupted_anywhere() -> None:
    settled("a rotation", rotations())


def test_a_clean_close_can_be_interrupted_anywhere() -> None:
    settled("a clean close", closings())


@pytest.mark.guarantee("G11")
def test_the_removal_of_a_checkpoint_can_be_interrupted_anywhere() -> None:
    settled("removals", removals())


def interrupted_recoveries(made: Moment, count: int) -> States:
    """Of so many torn states, every state that a crash in its recovery may leave."""
    place = ModelPlace()
    torn = [(name, files) for name, files in made.states() if made.expected(files).verdict == "torn"]
    for name, files in torn[:: max(1, len(torn) // count)]:
        want = made.expected(files)
        for inner, left in recovering(files, place):
            yield f"{name}, {inner}", left, made.expected(left)._replace(entries=want.entries)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_recovery_can_be_interrupted_anywhere(kind: str) -> None:
    for made in (one_commit(kind, 4, 2), several_commits(kind, (300, 900), synced_between=True)):
        settled(f"recovery of {made.name}", interrupted_recoveries(made, 6))


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", PAYLOADS)
class TestAll:
    @pytest.mark.parametrize("count", [1, 2, 7])
    @pytest.mark.parametrize("seed", [31, 32, 33])
    def test_every_subset_of_a_commit_of_up_to_eight_sectors(self, kind: str, count: int, seed: int) -> None:
        print(f"seed {seed}")
        for sectors in range(1, 9):
            what = f"{kind}, {count} entries, {sectors} sectors"
            settled(what, sampled(judged(one_commit(kind, sectors, count, seed)), SAMPLED if sectors > 4 else 1, what))

    @pytest.mark.parametrize("synced_between", [False, True])
    def test_every_subset_of_several_unsynced_commits(self, kind: str, synced_between: bool) -> None:
        for sizes in ((100, 200, 100, 0), (300, 500, 700), (900, 0, 600), (0, 0, 0, 0, 900), (1500, 1200), (300,) * 5):
            made = several_commits(kind, sizes, synced_between=synced_between)
            settled(made.name, sampled(judged(made), SAMPLED, made.name))

    def test_every_subset_of_a_commit_at_any_place(self, kind: str) -> None:
        for made in special(kind):
            settled(made.name, sampled(judged(made), SAMPLED, made.name))

    def test_every_subset_of_an_interrupted_recovery(self, kind: str) -> None:
        for sectors in (2, 4, 6):
            made = one_commit(kind, sectors, 2)
            settled(f"recovery of {made.name}", interrupted_recoveries(made, amount(4, 40)))
        made = several_commits(kind, (300, 900, 20), synced_between=True)
        settled(f"recovery of {made.name}", interrupted_recoveries(made, amount(4, 40)))
