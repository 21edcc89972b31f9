"""Tell followers that a file in a directory has changed, on Linux, by inotify.

One inotify instance and one thread serve all followers of the process: a user has 128 instances by default, for all
programs together. The thread ends when nobody has followed anything for a second.

inotify reports calls such as `pwrite`, and renames. It does not report a write to a mapping, as that of the durable
mark is, and not what another host writes on a network file system.
"""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from walogs.engine.log_source import start_thread
from walogs.foundation.lazy import lazy_import
from walogs.foundation.services import Service
from walogs.foundation.turns import TurnLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from walogs.foundation.services import ServiceThread

IDLE_MILLISECONDS: Final = 1000
"""The thread ends after it had nothing to watch for this long."""
REST_SECONDS: Final = 0.002
"""A log that is written without a pause wakes its followers once in this time, and not at each write."""


class DirectoryWatch:
    """The watch of one follower."""

    __slots__ = ("__weakref__", "changed", "is_live")

    def __init__(self, changed: Callable[[], object]) -> None:
        self.changed = changed
        self.is_live = True
        """False: no change is told any more."""

    def end(self) -> None:
        """See `ChangeWatch.end`."""
        self.is_live = False
        WATCHES.forget(self)


class Watches:
    """All watches of this process."""

    def __init__(self) -> None:
        self.gate = TurnLock()
        """A thread holds it while it changes the two attributes below."""
        self.inotify: Any = None
        self.followers: dict[int, weakref.WeakSet[DirectoryWatch]] = {}
        """The followers of each directory, by inotify's number of it."""
        self.service = Service(start_thread, self._serve, lambda: bool(self.followers))

    def begin(self, path: str, changed: Callable[[], object]) -> DirectoryWatch | None:
        """Watch a directory. Return None if the system cannot, or has no watch left."""
        if sys.platform != "linux":
            return None
        try:
            with lazy_import:
                from inotify_simple import INotify, flags  # type: ignore[import-untyped]
        except ImportError:
            return None
        watch = DirectoryWatch(changed)
        news = flags.MODIFY | flags.MOVED_TO | flags.CREATE | flags.MOVE_SELF | flags.DELETE_SELF | flags.ONLYDIR
        try:
            with self.gate:
                if self.inotify is None:
                    self.inotify = INotify()
                number = self.inotify.add_watch(path, news)
                self.followers.setdefault(number, weakref.WeakSet()).add(watch)
        except OSError:
            watch.is_live = False
        if self.inotify is None:
            return None
        if not self.service.start():  # it also closes an instance without followers
            watch.end()
        return watch if watch.is_live else None

    def forget(self, watch: DirectoryWatch) -> None:
        """Tell this follower nothing any more."""
        with self.gate:
            for followers in self.followers.values():
                followers.discard(watch)
            self._stop_unused()

    def _stop_unused(self) -> None:
        """Stop watching what nobody follows. inotify confirms that by an event, which wakes the thread."""
        for number in [number for number, followers in self.followers.items() if not followers]:
            del self.followers[number]
            with suppress(OSError):  # the directory was removed
                self.inotify.rm_watch(number)

    def _serve(self, thread: ServiceThread) -> None:
        while self.service.thread is thread:
            events = list(self.inotify.read(timeout=IDLE_MILLISECONDS))
            self._tell(events)
            if events:
                sleep(REST_SECONDS)
                continue
            with self.gate:
                self._stop_unused()  # a watch may have become garbage
                if not self.followers:
                    self.service.thread = None
                    inotify, self.inotify = self.inotify, None
                    inotify.close()

    def _tell(self, events: Iterable[Any]) -> None:
        """Call each follower that these events concern. Afterwards nothing here refers to a watch, so that it can
        become garbage."""
        for watch in self._told(events):
            watch.changed()

    def _told(self, events: Iterable[Any]) -> list[DirectoryWatch]:
        """Return the followers that these events concern. A directory that was moved, removed or unmounted has none
        after that: its path may lead to another one."""
        with lazy_import:
            from inotify_simple import flags

        lost = flags.MOVE_SELF | flags.DELETE_SELF | flags.UNMOUNT | flags.IGNORED
        told: set[DirectoryWatch] = set()
        with self.gate:
            for event in events:
                if event.mask & flags.Q_OVERFLOW:
                    told.update(*self.followers.values())
                followers = list(self.followers.get(event.wd, ()))
                told.update(followers)
                if event.mask & lost:
                    for watch in followers:
                        watch.is_live = False
                        self.followers[event.wd].discard(watch)
            self._stop_unused()
        return list(told)

    def leave_to_parent(self) -> None:
        """Forget everything, in a forked child. It has no thread, and the parent would miss events that it reads.

        The child closes its descriptor of the instance, which ends nothing in the parent.
        """
        self.gate.free_in_child()
        followers, self.followers = self.followers, {}
        for watch in [watch for each in followers.values() for watch in each]:
            watch.is_live = False
        inotify, self.inotify = self.inotify, None
        self.service = Service(start_thread, self._serve, lambda: bool(self.followers))
        if inotify is not None:
            inotify.close()


WATCHES: Final = Watches()
os.register_at_fork(after_in_child=WATCHES.leave_to_parent)
