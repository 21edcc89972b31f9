"""What `walogs cat` prints: entries as a reader has them, beside a writer or without one, and those before damage."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from walogs.assembly import open_reader, source_of
from walogs.errors import Corrupt
from walogs.inspection.intact import entries_before
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.cli.log_argument import NamedLog
    from walogs.engine.beside import Upto
    from walogs.engine.source import Source
    from walogs.wal_reader import WalReader

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def existing(log: NamedLog) -> Source:
    """The components of the log. Raises `FileNotFoundError`, with nothing made, where there is none."""
    source = source_of(log.path, log.config)
    store = source.store
    if not store.segments() and not (is_appendable(store) and store.read_witness() is not None):
        raise FileNotFoundError(errno.ENOENT, "there is no log; `walogs append` makes one", log.name)
    return source


def entries_once(
    log: NamedLog, start: int | None, stop: int | None, since_ns: int, upto: Upto
) -> Iterator[tuple[int, bytes]]:
    """(LSN, data) of [start, stop), committed at *since_ns* or later. At damage: what is before it, then `Corrupt`."""
    source, next_lsn = existing(log), start
    try:
        with open_reader(log.path, upto, log.config) as reader:
            first_lsn = start if not since_ns else first_since(reader, start, since_ns)
            for lsn, data in reader.iter(first_lsn, stop):
                yield lsn, data
                next_lsn = lsn + 1
    except Corrupt as damage:
        yield from entries_before(source, damage, next_lsn, stop, since_ns)
        raise


def entries_followed(
    log: NamedLog, start: int | None, stop: int | None, since_ns: int, upto: Upto
) -> Iterator[tuple[int, bytes]]:
    """The same, and then each entry as it comes; ends only at *stop*."""
    existing(log)
    with open_reader(log.path, upto, log.config) as reader:
        first_lsn = reader.first_lsn if start is None else start
        if since_ns:
            first_lsn = max(first_lsn, first_since(reader, start, since_ns))
        if stop is not None and first_lsn >= stop:
            return
        is_before = since_ns > 0  # what comes later may still be too early, if that time has not come
        for lsn, data in reader.follow(first_lsn):
            is_before = is_before and any(commit.time_ns < since_ns for commit in reader.commits(lsn, lsn + 1))
            if not is_before:
                yield lsn, data
            if lsn + 1 == stop:
                return


def first_since(reader: WalReader, start: int | None, since_ns: int) -> int:
    """The LSN of the first entry committed at *since_ns* or later; the one after the last when there is none."""
    last_lsn = reader.last_lsn
    later = (commit.first_lsn for commit in reader.commits(start) if commit.time_ns >= since_ns)
    return next((max(lsn, start or 1) for lsn in later), max(last_lsn + 1, start or 1))


def unix_ns(time: datetime | None) -> int:
    """UTC unless it says otherwise; 0 for None."""
    if time is None:
        return 0
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return max((aware - EPOCH) // timedelta(microseconds=1) * 1000, 0)
