"""Every error walogs raises. One base class; facts are attributes; the message says where, why, and the next move.

What the system says before anything was written stays an `OSError` (`PermissionError`, ENOSPC, ...), with a note.
All of them can be pickled, so that they cross process boundaries whole.
"""

from __future__ import annotations

import errno

__all__ = [
    "Checkpointed",
    "Closed",
    "ConfigError",
    "Corrupt",
    "CutBelow",
    "EntryTooLarge",
    "Exists",
    "Fenced",
    "Indefinite",
    "Locked",
    "Missing",
    "NoSpace",
    "PluginError",
    "Poisoned",
    "Reentered",
    "StoreError",
    "Unavailable",
    "Unsafe",
    "UnsupportedFormat",
    "WalError",
]


class WalError(Exception):
    """Base of every error that is walogs' own."""


class Corrupt(WalError):
    """Acknowledged bytes are not what was written, or bytes are there that no writer of this log wrote (G6).

    Nothing was modified. `walogs.verify` lists all of the damage. Restore the named segment from a copy; or, when the
    damage is in the newest segment, open with `recovery="prefix"`, which accepts the loss of everything after it and
    says what was lost. `walogs.salvage` reads around it; `walogs.repair` keeps what is intact on one side of it.
    """

    def __init__(
        self, message: str, *, segment: int | None = None, offset: int | None = None, lsn: int | None = None
    ) -> None:
        super().__init__(message)
        self.segment = segment
        """Number of the segment that holds the damage; None: the log as a whole (a segment is missing, for example)."""
        self.offset = offset
        """Byte offset of the damage in that segment."""
        self.lsn = lsn
        """The first LSN that is in doubt."""


class UnsupportedFormat(WalError):
    """These bytes are a log, but not one that this release (or the configured codec) can read. Nothing was modified."""

    def __init__(self, message: str, *, segment: int | None = None, found: str = "") -> None:
        super().__init__(message)
        self.segment = segment
        self.found = found
        """What was found: a format version, a codec's name, or `walogs-rs`."""


class EntryTooLarge(WalError):
    """An entry, or a batch as a whole, is over its limit. Nothing was written; the handle is as usable as before."""

    def __init__(self, message: str, *, size: int = 0, max: int = 0) -> None:
        super().__init__(message)
        self.size = size
        """Bytes offered."""
        self.max = max
        """Bytes allowed."""


class Locked(WalError):
    """Another live writer holds the log (G13). A dead writer never does: the kernel frees its lock."""

    def __init__(
        self, message: str, *, pid: int | None = None, host: str | None = None, since: str | None = None
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.host = host
        self.since = since
        """When the holder took the lock: UTC, ISO 8601."""


class Fenced(WalError):
    """Another writer opened the log after this one; this handle can no longer append. Open again to take it back."""


class Poisoned(WalError):
    """An earlier write or sync failed, so what is on the disk is unknown: nothing more is written through this handle.

    What was acknowledged can still be read. Close it and open the log again: recovery decides (G7, G8).
    """


class Indefinite(WalError):
    """The outcome of this append is unknown: its entries may or may not be in the log (not: they failed).

    The handle is poisoned. Open the log again and compare `last_lsn`, or look for the entries, before repeating them.
    """

    def __init__(self, message: str, *, first_lsn: int | None = None, last_lsn: int | None = None) -> None:
        super().__init__(message)
        self.first_lsn = first_lsn
        """The LSN the first of these entries has, if they are there; None: it was no append (a sync, a checkpoint)."""
        self.last_lsn = last_lsn


class Checkpointed(WalError, LookupError):
    """The entry is below the base: a checkpoint has removed it, or may remove it at any moment."""

    def __init__(self, message: str, *, lsn: int = 0, base_lsn: int = 0) -> None:
        super().__init__(message)
        self.lsn = lsn
        self.base_lsn = base_lsn
        """The first LSN that can be read."""


class CutBelow(WalError):
    """What this reader had handed out was cut: by `recovery="prefix"`, by a repair, or because it had asked for entries
    that were not durable yet (G14). Read on from `end_lsn` + 1, knowing that those entries were not kept.
    """

    def __init__(self, message: str, *, end_lsn: int = 0) -> None:
        super().__init__(message)
        self.end_lsn = end_lsn
        """The last entry that was kept."""


class Closed(WalError):
    """The handle was closed, or it belongs to the process that this one was forked from (G18)."""


class Reentered(WalError):
    """A signal handler, destructor or logging handler called the log in the middle of this thread's own call to it."""


class ConfigError(WalError, ValueError):
    """The configuration is wrong; nothing was opened. The message lists every mistake."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class PluginError(WalError):
    """An installed plugin is broken, or two give one name; nothing was opened. The other plugins are not affected.

    `walogs plugins` lists all of them. What caused it, if the plugin's own code raised, is its `__cause__`.
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
        """Its name, in the group `walogs` of that distribution."""
        self.clashes_with = clashes_with
        """The other distributions that give the same name."""


class StoreError(WalError):
    """Base of what a segment store says to the engine."""


class Missing(StoreError):
    """The store has no segment of that number."""


class Exists(StoreError):
    """A segment of that number is there already; `create` has changed nothing."""


class Unavailable(StoreError):
    """The store did not answer: the operation may have happened or not. The same bytes may be tried again."""


class Unsafe(StoreError):
    """The store cannot keep its promises here (`create` is not exclusive; a file has a name too close to ours)."""


class NoSpace(StoreError, OSError):
    """Room was refused (ENOSPC, EDQUOT, EFBIG) before anything changed: free some, and the same call works (G9)."""

    def __init__(self, number: int = errno.ENOSPC, message: str = "no space", filename: str | None = None) -> None:
        OSError.__init__(self, number, message, filename)
