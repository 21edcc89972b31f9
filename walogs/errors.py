"""The errors of walogs, with one base class, `WalError`.

The message says what happened, where, what is true now, and what to do next. Facts are attributes too. An error of the
system before anything was written stays an `OSError` (`PermissionError`, for example), with a note. Every error can be
pickled, so that another process can receive it.
"""

from __future__ import annotations

import errno

__all__ = [
    "Checkpointed",
    "Closed",
    "ConfigError",
    "Corrupt",
    "EntryTooLarge",
    "Fenced",
    "Locked",
    "LogNotFound",
    "LogRewound",
    "NoSpace",
    "OutcomeUnknown",
    "PluginError",
    "Poisoned",
    "Reentered",
    "SegmentExists",
    "SegmentNotFound",
    "StoreError",
    "Unavailable",
    "UnsafeStore",
    "UnsupportedFormat",
    "WalError",
]


class WalError(Exception):
    """The base class of all errors that walogs defines."""


class Corrupt(WalError):
    """The log is damaged: acknowledged bytes have changed, or there are bytes that no writer of this log wrote (G6).

    Nothing was modified. `walogs.verify` lists all of the damage. Restore the log from a backup if you have one. When
    the damage is in the newest segment, you can open the log with `recovery="prefix"`. This cuts everything after the
    damage, and reports what was lost. `walogs.salvage` reads the entries around the damage. `walogs.repair` keeps the
    intact entries on one side of it.
    """

    def __init__(
        self,
        message: str,
        *,
        segment: int | None = None,
        offset: int | None = None,
        lsn: int | None = None,
        damage: str | None = None,
    ) -> None:
        super().__init__(message)
        self.damage = message if damage is None else damage
        """The first sentence of the message: where the damage is, and how it shows; without what to do next."""
        self.segment = segment
        """The number of the damaged segment. None: the log as a whole is damaged (a segment is missing, for
        example)."""
        self.offset = offset
        """The byte offset of the damage in that segment."""
        self.lsn = lsn
        """The first LSN that the damage can affect."""


class UnsupportedFormat(WalError):
    """This release, or the configured codec, cannot read the log. Nothing was modified."""

    def __init__(self, message: str, *, segment: int | None = None, found: str = "") -> None:
        super().__init__(message)
        self.segment = segment
        self.found = found
        """What was found: a format version, a codec's name, or `walogs-rs`."""


class EntryTooLarge(WalError):
    """An entry or a batch is larger than its limit. Nothing was written, and the handle stays usable."""

    def __init__(self, message: str, *, size: int = 0, max: int = 0) -> None:
        super().__init__(message)
        self.size = size
        """The size of the entry or batch, in bytes."""
        self.max = max
        """The limit, in bytes."""


class Locked(WalError):
    """Another writer has the log open (G13), or another owner has the cursor (G21).

    The system frees the lock of a process that has ended.
    """

    def __init__(
        self, message: str, *, pid: int | None = None, host: str | None = None, since: str | None = None
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.host = host
        self.since = since
        """When the holder took the lock: UTC, ISO 8601."""


class Fenced(WalError):
    """Another writer opened the log after this one, so this handle can no longer append. Open the log again to take it
    back."""


class Poisoned(WalError):
    """An earlier write or sync failed, so it is not known what is on the disk. This handle refuses to write.

    You can still read the acknowledged entries. Close the handle and open the log again: recovery decides (G7, G8).
    """


class OutcomeUnknown(WalError):
    """It is unknown whether the entries of this append are in the log. Do not treat it as a failure.

    The handle is poisoned. Before you append the entries again, open the log and compare `last_lsn`, or look for them.
    """

    def __init__(self, message: str, *, first_lsn: int | None = None, last_lsn: int | None = None) -> None:
        super().__init__(message)
        self.first_lsn = first_lsn
        """The LSN of the first entry, if it is in the log. None: the call concerned no entry, such as a
        checkpoint."""
        self.last_lsn = last_lsn


class Checkpointed(WalError, LookupError):
    """The entry is below the first LSN of the log: a checkpoint has removed it, or can remove it at any moment."""

    def __init__(self, message: str, *, lsn: int = 0, first_lsn: int = 0) -> None:
        super().__init__(message)
        self.lsn = lsn
        self.first_lsn = first_lsn
        """The first LSN of the log: the first entry that can be read."""


class LogRewound(WalError):
    """The log now ends before an entry that this reader has already returned (G14).

    The entries were cut by `recovery="prefix"`, by a repair, or because the reader had asked for entries that were not
    durable yet. Undo the effects of the entries after `end_lsn`, and read on from `end_lsn` + 1. A cursor raises this
    if the log ends before its position (G21).
    """

    def __init__(self, message: str, *, end_lsn: int = 0) -> None:
        super().__init__(message)
        self.end_lsn = end_lsn
        """The LSN of the last entry that was kept."""


class Closed(WalError):
    """The handle is closed, or it was opened before a fork and belongs to the parent process (G18)."""


class Reentered(WalError):
    """A signal handler, a destructor or a logging handler called the log while this thread was inside a call to it."""


class ConfigError(WalError, ValueError):
    """The configuration is wrong, and nothing was opened. The message and `problems` list every problem."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class PluginError(WalError):
    """An installed plugin is broken, or two plugins use one name. Nothing was opened. Other plugins are not affected.

    `walogs plugins` lists all plugins. If the code of the plugin raised, that error is the `__cause__`.
    """

    def __init__(
        self,
        message: str,
        *,
        distribution: str = "",
        version: str = "",
        entry_point: str = "",
        clashes_with: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.distribution = distribution
        self.version = version
        self.entry_point = entry_point
        """The name of the entry point in the group `walogs` of that distribution."""
        self.clashes_with = clashes_with
        """The other distributions that use the same name."""


class LogNotFound(WalError, LookupError):
    """There is no log: the store holds neither a segment nor a durable mark.

    A reader, `verify`, `salvage`, `repair` and `backup` raise it, and have then made nothing. `open` makes a log
    instead.
    """


class StoreError(WalError):
    """The base class of the errors that a segment store raises."""


class SegmentNotFound(StoreError):
    """The store has no segment with that number."""


class SegmentExists(StoreError):
    """The store has a segment with that number already. `create` has changed nothing."""


class Unavailable(StoreError):
    """The store did not answer, so the operation may have happened or not. The caller can try the same bytes again."""


class UnsafeStore(StoreError):
    """The store cannot protect a log in this place. For example, a file has a name that is too close to a segment's."""


class NoSpace(StoreError, OSError):
    """There is no space (ENOSPC, EDQUOT, EFBIG), and nothing was changed. Free some space, and the same call works
    (G9)."""

    def __init__(self, number: int = errno.ENOSPC, message: str = "no space", filename: str | None = None) -> None:
        OSError.__init__(self, number, message, filename)
