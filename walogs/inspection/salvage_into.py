"""`salvage_into`: put the intact entries of a damaged log into a new log.

LSNs have no gaps, so the new log cannot keep the gaps of the damaged one. It begins with the LSN of the first intact
entry. Up to the first gap every entry keeps its LSN. Entries after a gap get lower LSNs, which close it. The report
says which LSNs each stretch has now.
"""

from __future__ import annotations

import os
import time
from itertools import chain
from typing import TYPE_CHECKING

from walogs.assembly.config import BATCH_SIZE_MAX, WalConfig
from walogs.assembly.opening import ENVIRONMENT, source_of
from walogs.assembly.opening import open as open_log
from walogs.defaults.local_store import LocalStore
from walogs.engine.exchanged_names import renumber_by_headers
from walogs.engine.new_segments import RESERVE, salt, uuid_bytes
from walogs.errors import Corrupt
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.formats.segment_format import SegmentHeader
from walogs.foundation.local_paths import local_path
from walogs.inspection.backup import refuse_inside
from walogs.inspection.gaps import entries_of, intact_commits
from walogs.inspection.partial import Partial, refuse_occupied
from walogs.types import Gap, SalvageReport, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Unpack

    from walogs.assembly.config import ReadingOverrides
    from walogs.engine.log_source import LogSource
    from walogs.handles.wal import Wal


def salvage_into(
    path: str | os.PathLike[str] | None,
    into: str | os.PathLike[str],
    config: WalConfig | None = None,
    **overrides: Unpack[ReadingOverrides],
) -> SalvageReport:
    """Put every intact entry of a damaged log into a new log in *into*, a directory that is new or empty.

    The damaged log is not locked and not changed. Each commit becomes one commit of the new log, with the time of this
    call. Entries up to the first gap keep their LSNs, and `SalvageReport.stretches` says which LSNs the others got. The
    new log is made as `INTO.partial-XXXXXXXX` and gets its name when all of it is synced.

    Raises what `salvage` raises, and `Corrupt` (no entry is intact), `ConfigError`, `FileExistsError`, `OSError`. After
    an error there is no new log.
    """
    target = os.path.realpath(local_path(into, "into"))
    source = source_of(path, config, overrides, own=("path", "into", "config"))
    refuse_inside(source, target, "into")
    refuse_occupied(target)
    began = time.monotonic()
    renumbered, _ = renumber_by_headers(source)
    found = intact_commits(renumbered, entries_of)
    gaps: list[Gap] = []
    first = next(commits_in(found, gaps), None)  # find out before anything is made
    if first is None:
        why = "no entry in it is intact, so there is nothing to put into a new log"
        raise Corrupt(f"{source.store.name}: {why}. Nothing was made.")
    with Partial(target) as partial:
        try:
            create_log(partial.path, source, first[0])
            largest = BATCH_SIZE_MAX
            new = WalConfig(codec=source.codec, sync="none", max_entry_size=largest, max_batch_size=largest)
            with open_log(partial.path, new) as wal:
                stretches = append_all(wal, chain((first,), commits_in(found, gaps)))
                wal.sync()
        finally:
            partial.adopt()
        partial.publish()
    return SalvageReport(tuple(stretches), tuple(gaps), time.monotonic() - began)


def commits_in(
    found: Iterator[tuple[int, Sequence[bytes]] | Gap], gaps: list[Gap]
) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Yield the commits, and append the gaps between them to *gaps*."""
    for item in found:
        if isinstance(item, Gap):
            gaps.append(item)
        else:
            yield item


def create_log(path: str, source: LogSource, first_lsn: int) -> None:
    """Make an empty log whose first entry will have that LSN.

    Its durable mark says that it was closed. So the next open continues in this segment, and leaves no empty one.
    """
    log_id, form = uuid_bytes(ENVIRONMENT.entropy), source.format
    header = SegmentHeader(
        number=1,
        first_lsn=first_lsn,
        log_first_lsn=first_lsn,
        epoch=1,
        log_id=log_id,
        writer_id=uuid_bytes(ENVIRONMENT.entropy),
        salt=salt(ENVIRONMENT.entropy),
        previous_salt=0,
        previous_link=form.first_link(log_id),
        created_ns=ENVIRONMENT.clock(),
        codec_name=source.codec.name,
        codec_parameters=source.codec_parameters,
    )
    store = LocalStore(path)
    store.acquire()
    try:
        store.create(1, form.encode_header(header, source.codec) + bytes(RESERVE))
        mark = log_id, 1, form.traits.header_bytes, first_lsn - 1, header.salt, header.previous_link
        store.write_durable_mark(durable_mark_bytes.encode(*mark, is_clean=True), durable=False)
    finally:
        store.close()


def append_all(wal: Wal, found: Iterator[tuple[int, Sequence[bytes]]]) -> list[Stretch]:
    """Append the commits. Return which LSNs each stretch without gaps has become."""
    stretches: list[Stretch] = []
    for old_lsn, entries in found:
        new_lsn = wal.append_batch(entries)[0]
        last_lsn = old_lsn + len(entries) - 1
        if stretches and stretches[-1].last_lsn + 1 == old_lsn:
            stretches[-1] = stretches[-1]._replace(last_lsn=last_lsn)
        else:
            stretches.append(Stretch(old_lsn, last_lsn, new_lsn))
    return stretches
