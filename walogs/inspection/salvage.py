"""`salvage`: return every intact entry of a log, whatever damage lies around it.

It takes no lock and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.assembly.opening import source_of
from walogs.engine.exchanged_names import renumber_by_headers
from walogs.inspection.gaps import entries_of, intact_commits
from walogs.types import Entry, Gap

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from typing_extensions import Unpack

    from walogs.assembly.config import ReadingOverrides, WalConfig
    from walogs.engine.log_source import LogSource


def salvage(
    path: str | os.PathLike[str] | None = None, config: WalConfig | None = None, **overrides: Unpack[ReadingOverrides]
) -> Iterator[Entry | Gap]:
    """Return an iterator over every intact entry in order, with a `Gap` for each stretch of LSNs between them.

    A batch is never returned in part. The log is not locked and not changed. If it is being written, the iterator
    returns what it finds there. Memory is bounded by two frames.

    Raises `LogNotFound` (no log is there), `UnsupportedFormat` and `OSError`, and what the codec raises for an
    entry that it cannot decode, for want of a key for example. If the codec raises `Corrupt`, that commit is a `Gap`.
    """
    return read_entries(source_of(path, config, overrides))


def read_entries(source: LogSource) -> Iterator[Entry | Gap]:
    renumbered, _ = renumber_by_headers(source)
    for found in intact_commits(renumbered, entries_of):
        if isinstance(found, Gap):
            yield found
        else:
            first_lsn, entries = found
            for lsn, data in enumerate(entries, first_lsn):
                yield Entry(lsn, data)
