"""A request to a server is sent again until its deadline is over, and what is raised then never says too much."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from walogs import Unavailable
from walogs.foundation import attempts as module
from walogs.plugins import Attempts


class Clock:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.threads: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        """(function, arguments) of each thread that was to be started. None is."""

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def start_new_thread(self, run: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.threads.append((run, arguments))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "start_new_thread", clock.start_new_thread)
    return clock


def begin(clock: Clock, *, deadline: float = 60.0, may_change: bool = False) -> Attempts:
    return Attempts(
        "s3://bucket/log",
        deadline=deadline,
        first_pause=0.05,
        longest_pause=2.0,
        pause=clock.pause,
        may_change=may_change,
    )


def fail_until_the_end(attempts: Attempts) -> Unavailable:
    error = OSError("no route")
    while True:
        try:
            attempts.raise_or_pause(error, "no route", None)
        except Unavailable as unavailable:
            assert unavailable.__cause__ is error  # noqa: PT017
            return unavailable


def test_pauses_grow_and_end_before_the_deadline(clock: Clock) -> None:
    error = fail_until_the_end(begin(clock))
    assert str(error) == "s3://bucket/log did not answer within 60 seconds: no route"
    assert all(0.05 * 2**n / 2 <= pause <= 0.05 * 2**n for n, pause in enumerate(clock.pauses[:6]))
    assert all(1.0 <= pause <= 2.0 for pause in clock.pauses[6:])
    assert 58.0 <= clock.now <= 60.0


@pytest.mark.parametrize("may_change", [False, True])
def test_an_answer_that_is_final_is_raised_at_once(clock: Clock, *, may_change: bool) -> None:
    error, final = OSError("403"), PermissionError("refused")
    with pytest.raises(PermissionError) as raised:
        begin(clock, may_change=may_change).raise_or_pause(error, "403", final)
    assert raised.value is final
    assert final.__cause__ is error
    assert not clock.pauses


@pytest.mark.guarantee("G7")
def test_a_final_answer_after_a_lost_one_does_not_say_that_nothing_was_changed(clock: Clock) -> None:
    reads, writes = begin(clock), begin(clock, may_change=True)
    for attempts in (reads, writes):
        attempts.raise_or_pause(OSError("lost"), "lost", None)
    with pytest.raises(PermissionError):
        reads.raise_or_pause(OSError("403"), "403", PermissionError("refused"))
    with pytest.raises(Unavailable, match="an earlier attempt had no answer, and now: 403"):
        writes.raise_or_pause(OSError("403"), "403", PermissionError("refused"))


def test_a_server_that_is_silent_for_long_is_told_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    fail_until_the_end(begin(clock, deadline=4.0))
    assert not clock.threads
    fail_until_the_end(begin(clock))
    assert not caplog.messages, "a handler may wait for the thread that sends the request"
    ((run, arguments),) = clock.threads
    with caplog.at_level(logging.WARNING, logger="walogs"):
        run(*arguments)
    (message,) = caplog.messages
    assert message.startswith("s3://bucket/log has not answered for ")
    assert message.endswith(" seconds, and is asked again until 60 seconds are over: no route")


def test_what_ends_a_pause_ends_the_attempts(clock: Clock) -> None:
    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    attempts = Attempts("store", deadline=60.0, first_pause=0.05, longest_pause=2.0, pause=pause)
    with pytest.raises(KeyboardInterrupt):
        attempts.raise_or_pause(OSError("lost"), "lost", None)
    assert not clock.pauses
