"""A server that refuses the writer's credentials, as when a token expires: nothing is written, and the log goes on."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
from typing_extensions import Buffer

import walogs
from walogs.errors import SegmentExists
from walogs.testing import MemoryCloud, MemoryImmutableStore


class WithAToken(MemoryImmutableStore):
    """A store whose token can expire, and whose server may have lost an answer before."""

    is_expired = False
    answers_lost = 0

    def create(self, number: int, data: Buffer) -> None:
        if self.answers_lost:
            self.answers_lost -= 1
            raise walogs.Unavailable(f"{self.name} did not answer")
        if self.is_expired:
            raise PermissionError(errno.EACCES, "the token has expired", self.name)
        super().create(number, data)


@pytest.mark.guarantee("G7")
def test_a_refused_append_writes_nothing_and_the_handle_goes_on() -> None:
    store = WithAToken(MemoryCloud())
    with walogs.open(store=store) as wal:
        wal.append(b"first")
        wal.append(b"before")
        store.is_expired = True
        for refused in (lambda: wal.append(b"refused"), lambda: wal.submit(b"refused").result(60)):
            with pytest.raises(PermissionError, match="token has expired"):
                refused()
        with pytest.raises(PermissionError):
            wal.checkpoint(1)
        assert (wal.first_lsn, wal.last_lsn) == (1, 2)
        store.is_expired = False
        assert wal.append(b"after") == 3
        assert [data for _, data in wal] == [b"first", b"before", b"after"]


@pytest.mark.guarantee("G7")
def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt may have arrived. That a later one was refused says nothing about it."""
    monkeypatch.setattr("walogs.engine.new_segments.RETRY_SECONDS", (0.0, 0.0))
    store = WithAToken(MemoryCloud())
    with walogs.open(store=store) as wal:
        store.answers_lost, store.is_expired = 1, True
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"perhaps")


class KnowsAndIsSilent(MemoryImmutableStore):
    """A store that creates a segment, says that it exists already, and does not let it be read back."""

    refusal: Exception | None = None
    asked = 0

    def create(self, number: int, data: Buffer) -> None:
        if self.refusal is None:
            super().create(number, data)
            return
        self.asked += 1
        if self.asked == 1:
            super().create(number, data)
        raise SegmentExists(f"{number} is there")

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        if self.refusal is not None:
            raise self.refusal
        return super().read(number, start, end)


REFUSALS = {
    "expired": PermissionError(errno.EACCES, "the token has expired"),
    "full": walogs.NoSpace(errno.ENOSPC, "the quota is used up"),
    "silent": walogs.Unavailable("no answer"),
}


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("why", REFUSALS)
def test_a_segment_that_exists_and_cannot_be_read_back_leaves_the_outcome_unknown(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walogs.engine.new_segments.RETRY_SECONDS", (0.0, 0.0))
    store = KnowsAndIsSilent(MemoryCloud())
    with walogs.open(store=store) as wal:
        wal.append(b"before")
        store.refusal = REFUSALS[why]
        with pytest.raises(walogs.OutcomeUnknown) as told:
            wal.append(b"perhaps")
        assert str(REFUSALS[why]) in str(told.value)
        store.refusal = None
        with pytest.raises(walogs.Poisoned):
            wal.append(b"refused")
    with walogs.open(store=MemoryImmutableStore(store.cloud)) as wal:
        assert [data for _, data in wal] == [b"before", b"perhaps"]


def test_the_time_of_a_silent_read_back_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    store = KnowsAndIsSilent(MemoryCloud())
    with walogs.open(store=store) as wal:
        store.refusal = REFUSALS["silent"]
        clock = SimpleNamespace(monotonic=lambda: 4.0 * store.asked)  # each read-back takes 4 seconds
        monkeypatch.setattr("walogs.engine.new_segments.time", clock)
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"one")
    assert store.asked == 2
