"""The check of a store in a process that forks (G18). The child uses its own store object, and the parent goes on."""

from __future__ import annotations

import os
import signal
import warnings
from typing import TYPE_CHECKING, Final

from walogs.errors import Locked, UnsafeStore
from walogs.foundation.foreign import describe_error
from walogs.testing.contract import NotOffered, must, must_not_raise, must_raise, rests_on
from walogs.testing.store_places import StorePlaces, must_hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ForkChecks"]

SEGMENT_BYTES: Final = 700
CHILD_SECONDS: Final = 60
"""A child that takes longer is taken for one that hangs. The system ends it, and the check fails."""


class ForkChecks(StorePlaces):
    """The check of a `SegmentStore` after a fork."""

    @rests_on("test_acquire_keeps_a_second_writer_out")
    def test_a_forked_child_reads_and_the_parent_goes_on(self) -> None:
        """`SegmentStore`: "After a fork, the child never uses the store object that it inherited. It reads through an
        object of its own." And whatever the child does, its end included, the parent's lock is held and its object
        works."""
        if not hasattr(os, "fork"):
            raise NotOffered("this system has no fork")
        place, content = self.place(), self.segment(SEGMENT_BYTES)
        store = self.writer(place)
        has_lock = store.capabilities.exclusion == "lock"
        store.create(1, content)
        failure = failure_in_child(lambda: self._look(place, content, has_lock=has_lock))
        must(not failure, f"in a forked child, {failure}")
        must_hold(store, 1, content, "after a forked child has ended")
        if has_lock:
            must_raise(Locked, "the lock is free after a forked child has ended", self.at(place).acquire)
        must_not_raise("create() after a forked child has ended", store.create, 2, content)
        must_hold(self.at(place), 2, content, "created after a forked child has ended")

    def _look(self, place: Path, content: bytes, *, has_lock: bool) -> None:
        """Check the store in the child. The child ends after this, so nothing is closed."""
        store = must_not_raise("a store object of its own cannot be made", self.store, place)
        try:
            store.segments()
        except UnsafeStore:
            return  # its client does not work after a fork, and it says so at once
        must_hold(store, 1, content, "there")
        if has_lock:
            must_raise(Locked, "the parent's lock keeps nobody out", self.store(place).acquire)


def failure_in_child(look: Callable[[], None]) -> str:
    """Call *look* in a forked child. Return "" or a description of its error, or say that the child did not end."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # The child uses no threads.
        child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(CHILD_SECONDS)
            os.write(writing, b"." + failure_of(look).encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told[1:].decode("utf-8", "replace") if told else f"it came to no end within {CHILD_SECONDS} seconds"


def failure_of(look: Callable[[], None]) -> str:
    """Call *look*. Return "" if it returns, and else a description of its error."""
    try:
        look()
    except BaseException as error:  # noqa: BLE001 (the parent reports every error)
        return describe_error(error)
    return ""
