"""`repair`: turn a damaged log into one that opens, at the price of some entries. What changes is set aside first.

The order of the steps keeps every crash harmless:

1. Every segment that will change is kept under another name.
2. Segments are replaced, each atomically. The last of them becomes the newest segment; its header says where the log
   begins.
3. The other segments are removed.
4. The durable mark is removed. Until then it makes `open` refuse the log.

So after a crash at any step the log is refused as before, or it opens as repaired, and a second repair continues.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from walogs.assembly.config import config_error
from walogs.assembly.opening import ENVIRONMENT, source_of
from walogs.assembly.waiting import acquire_within
from walogs.defaults.renaming import exchange_error
from walogs.engine.exchanged_names import find_exchange
from walogs.engine.extent_reader import context_of
from walogs.engine.frame_reader import FrameReader, ReadFrame
from walogs.engine.new_segments import RESERVE, uuid_bytes
from walogs.engine.new_segments import salt as new_salt
from walogs.engine.observation import never_settled, no_log
from walogs.engine.recovery import examine, peek_header
from walogs.errors import Corrupt, LogNotFound, SegmentExists, SegmentNotFound
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.formats.segment_format import Kind
from walogs.foundation.foreign import describe
from walogs.inspection.gaps import contents_of
from walogs.inspection.repair_plan import checkpoint_bytes, plan_repair, survey_damaged_log
from walogs.inspection.survey import EXAMINATIONS_MAX
from walogs.inspection.verify import list_damage_in_place, pulse
from walogs.protocols import is_repairable
from walogs.types import RepairReport

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from typing_extensions import Unpack

    from walogs.assembly.config import ReadingOverrides, WalConfig
    from walogs.engine.log_source import Environment, LogSource
    from walogs.engine.recovery import RecoveredLog
    from walogs.formats.segment_format import SegmentHeader
    from walogs.inspection.repair_plan import Keep, RepairPlan, Rewrite
    from walogs.inspection.survey import Run
    from walogs.protocols import RepairableStore

AGAIN: Final = "The repair was interrupted. No more is lost than before: what was changed was set aside. Repair again."


def repair(
    path: str | os.PathLike[str] | None = None,
    config: WalConfig | None = None,
    *,
    keep: Literal["before", "after"] | None = None,
    dry_run: bool = False,
    **overrides: Unpack[ReadingOverrides],
) -> RepairReport:
    """Make a damaged log one that opens, and return what is lost by it. A log that opens is left alone.

    LSNs have no gaps, so a log holds the intact entries before the damage or those after it. *keep* says which; None
    keeps those before it, or those after it if there are none before. `after` begins with the first segment that has no
    damage. Entries that are kept keep their LSNs. If only the durable mark makes `open` refuse the log, as in a copy of
    a live log, the mark is removed and no segment changes. Every segment that changes is first kept beside it as
    `damaged-000003-TIME`, a name that nothing reads.

    A damaged log is repaired under its lock, for which the call waits as long as the `wait` of *config* says. A log
    that opens needs no lock, so this works beside its writer. A *dry_run* takes no lock either, and writes nothing.

    Raises `Locked` (the log is damaged, and open elsewhere), `LogNotFound` (no log is there), `ConfigError` (also for
    a damaged log in a store that is no `RepairableStore`), `Unavailable` (a dry run beside a busy writer),
    `UnsupportedFormat`, `OSError` (also `NoSpace`), and `Corrupt` in four cases: no entry is intact; none is intact on
    the side that *keep* names; segments of two logs lie there; segment files have each other's names. In the last case
    the message has the commands that rename them.

    After an error the log is refused as before. If a note on the error says so, it is repaired in part, and the same
    call continues. If that call says that nothing is on the side to be kept, the other side is removed already: then
    call again without *keep*.
    """
    if keep not in (None, "before", "after"):
        raise config_error(f"keep={describe(keep)}: 'before' or 'after', or None for the first side that has entries")
    if not isinstance(dry_run, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"dry_run={describe(dry_run)}: True or False")
    source = source_of(path, config, overrides, own=("path", "config", "keep", "dry_run"))
    wait = 0.0 if config is None else config.wait
    return repair_source(source, keep, ENVIRONMENT, is_dry_run=dry_run, wait=wait)


def repair_source(
    source: LogSource, keep: Keep | None, environment: Environment, *, is_dry_run: bool, wait: float = 0.0
) -> RepairReport:
    store, began = source.store, time.monotonic()
    if not is_repairable(store):
        return report_or_refuse(source, began, is_dry_run=is_dry_run)
    if not store.segments() and store.read_durable_mark() is None:
        raise no_log(source)
    with suppress(Corrupt):
        peek_header(source)
    if is_dry_run:
        return preview(source, store, keep, environment, began)
    report = report_if_it_opens(source, began, is_dry_run=False)
    if report is not None:
        return report
    acquire_within(store, wait, environment)
    try:
        return examine_and_repair(source, store, keep, environment, began, is_dry_run=False)
    finally:
        store.close()


def report_or_refuse(source: LogSource, began: float, *, is_dry_run: bool) -> RepairReport:
    """Return the report on a log that opens. Raise `ConfigError` for another one: its store cannot replace segments."""
    if not source.store.segments():
        raise no_log(source)
    report = report_if_it_opens(source, began, is_dry_run=is_dry_run)
    if report is None:
        why = "the log does not open, and repair needs a store whose segments can be replaced (RepairableStore)"
        move = "`walogs salvage --into NEW` (walogs.salvage_into) writes what is intact into a new log"
        raise config_error(f"{source.store.name}: {why}; {move}")
    return report


def report_if_it_opens(source: LogSource, began: float, *, is_dry_run: bool) -> RepairReport | None:
    """Return the report on a log that opens, without a lock. None if it does not, or if a writer keeps changing it."""
    for _ in range(EXAMINATIONS_MAX):
        before = pulse(source)
        try:
            return report_unchanged(source, examine(source, "full", "acked"), began, is_dry_run=is_dry_run)
        except (Corrupt, SegmentNotFound, LogNotFound):
            if pulse(source) == before:
                return None
    return None


def preview(
    source: LogSource, store: RepairableStore, keep: Keep | None, environment: Environment, began: float
) -> RepairReport:
    """Return the report of a dry run, which takes no lock.

    A writer at work can look like damage for a moment. So damage is reported only if nothing was written meanwhile.
    """
    for _ in range(EXAMINATIONS_MAX):
        before = pulse(source)
        try:
            report = examine_and_repair(source, store, keep, environment, began, is_dry_run=True)
        except (Corrupt, SegmentNotFound, LogNotFound):
            if pulse(source) == before:
                raise
            continue
        if report.refusal is None or pulse(source) == before:
            return report
    raise never_settled(source)


def examine_and_repair(
    source: LogSource,
    store: RepairableStore,
    keep: Keep | None,
    environment: Environment,
    began: float,
    *,
    is_dry_run: bool,
) -> RepairReport:
    """Examine the log, and repair it unless this is a dry run."""
    try:
        return report_unchanged(source, examine(source, "full", "acked"), began, is_dry_run=is_dry_run)
    except Corrupt as error:
        refusal = error
    if not store.segments():
        raise refusal
    exchange = find_exchange(source)
    if exchange is not None:
        raise exchange_error(source, exchange) from refusal
    contents = contents_of(source)
    log = survey_damaged_log(source, contents.foreign)
    salt, writer_id = new_salt(environment.entropy), uuid_bytes(environment.entropy)
    lost = contents.gaps_from(log.log_first_lsn)
    plan = plan_repair(source, log, lost, keep, refusal.segment, writer_id=writer_id, salt=salt)
    if plan is None:
        raise nothing_intact_error(source, refusal) from refusal
    findings = list_damage_in_place(source, [refusal], began, contents).findings
    names = aside_names(plan, environment)
    if not is_dry_run:
        names = carry_out(source, store, plan, names)
    return RepairReport(
        refusal=str(refusal),
        damage=tuple(finding for finding in findings if finding.is_damage),
        first_lsn=plan.first_lsn,
        last_lsn=plan.last_lsn,
        lost=plan.lost,
        dropped=plan.dropped,
        sides=plan.sides,
        set_aside=tuple(names.values()),
        rewritten_segments=tuple(sorted(rewrite.number for rewrite in plan.rewrites)),
        removed_segments=plan.removed,
        is_dry_run=is_dry_run,
        duration_seconds=time.monotonic() - began,
    )


def report_unchanged(
    source: LogSource, examined: RecoveredLog | None, began: float, *, is_dry_run: bool
) -> RepairReport:
    """Return the report on a log that opens."""
    if examined is None:
        raise no_log(source)
    return RepairReport(
        refusal=None,
        damage=(),
        first_lsn=examined.log_first_lsn,
        last_lsn=examined.newest.last_lsn,
        lost=(),
        dropped=(),
        sides=(),
        set_aside=(),
        rewritten_segments=(),
        removed_segments=(),
        is_dry_run=is_dry_run,
        duration_seconds=time.monotonic() - began,
    )


def nothing_intact_error(source: LogSource, refusal: Corrupt) -> Corrupt:
    why = "cannot be repaired: no entry in it is intact, so there is nothing that a log could hold"
    move = "Restore it from a copy, or move the directory away and begin another log. Nothing was changed"
    message = f"{source.store.name} {why}. {move}. Opening it says: {refusal.damage}"
    return Corrupt(message, segment=refusal.segment, offset=refusal.offset, lsn=refusal.lsn)


def aside_names(plan: RepairPlan, environment: Environment) -> dict[int, str]:
    moment = datetime.fromtimestamp(environment.clock() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return {number: f"damaged-{number:06d}-{moment}" for number in plan.changed}


def carry_out(source: LogSource, store: RepairableStore, plan: RepairPlan, names: dict[int, str]) -> dict[int, str]:
    """Set aside and replace what *plan* says. Return the names under which the old segments are kept."""
    kept = {number: set_aside(store, number, name) for number, name in names.items()}
    try:
        for rewrite in plan.rewrites:
            store.replace(rewrite.number, segment_bytes(source, rewrite))
        if plan.removed:
            store.remove(plan.removed)
        store.drop_durable_mark()
        examined = examine(source, "full", "acked")
    except BaseException as error:
        error.add_note(AGAIN)
        raise
    if examined is not None and any(rewrite.number == examined.newest.header.number for rewrite in plan.rewrites):
        newest = examined.newest  # `replace` has synced all of it
        header = newest.header
        testimony = header.log_id, header.number, newest.end, newest.last_lsn, header.salt, newest.link
        store.write_durable_mark(durable_mark_bytes.encode(*testimony), durable=True)
    return kept


def set_aside(store: RepairableStore, number: int, name: str) -> str:
    """Keep the segment under *name*, or under a free name like it if an earlier repair in this second took that one."""
    for free in (name, *(f"{name}-{count}" for count in range(2, 1000))):
        try:
            store.set_aside(number, free)
        except SegmentExists:
            continue
        return free
    move = "The log was not changed. Move them away, and repair it again."
    raise SegmentExists(f"{store.name} has a thousand files named {name}. {move}")


# The bytes of a rewritten segment


def segment_bytes(source: LogSource, rewrite: Rewrite) -> Iterator[bytes | memoryview]:
    """Yield the header, the frames, and zeros. Each frame comes from the buffer in which it was checked.

    The zeros are the reserve that a newest segment needs. In a completed segment they do no harm.
    """
    yield source.format.encode_header(rewrite.header, source.codec_of(rewrite.header))
    if rewrite.header.salt == rewrite.source_header.salt:
        yield from copy_frames(source, rewrite)
    else:
        yield from reencode_frames(source, rewrite)
    yield bytes(RESERVE)


def copy_frames(source: LogSource, rewrite: Rewrite) -> Iterator[bytes | memoryview]:
    """Yield the frames at their old offsets. A damaged CHECKPOINT is replaced by one that names a known first LSN."""
    header, time_ns = rewrite.source_header, rewrite.source_header.created_ns
    end, start = rewrite.runs[0].start, source.format.traits.header_bytes
    codec, log_first_lsn, link = source.codec_of(header), rewrite.header.log_first_lsn, header.previous_link
    for run in rewrite.runs:
        for offset in range(end, run.start, checkpoint_bytes(source, header)):
            yield source.format.encode_checkpoint(header.salt, offset, start, link, log_first_lsn, time_ns, codec)
        reader = frame_reader(source, header, run)
        for read in reader.runs():
            time_ns = read.intact.last_time_ns
            yield read.frames()
        refuse_shorter(source, reader, run)
        end, link = run.end, reader.link if reader.link is not None else link


def reencode_frames(source: LogSource, rewrite: Rewrite) -> Iterator[bytes | memoryview]:
    """Yield the frames moved to the beginning of the segment, with their entries and times."""
    offset, link = source.format.traits.header_bytes, rewrite.header.previous_link
    for run in rewrite.runs:
        reader = frame_reader(source, rewrite.source_header, run)
        for seen in reader:
            if seen.header.kind == Kind.ENTRIES.value:
                frame, link = reencode_frame(source, rewrite, seen, offset, link)
                offset += len(frame)
                yield bytes(frame)
        refuse_shorter(source, reader, run)


def reencode_frame(
    source: LogSource, rewrite: Rewrite, seen: ReadFrame, offset: int, link: bytes
) -> tuple[bytes | bytearray, bytes]:
    """Return the frame for another *offset* and salt, after the frame with that *link*; and its own link.

    The frame names everything before it as synced: the segment gets its name only when all of it is synced.
    """
    form, codec, salt = source.format, source.codec_of(rewrite.header), rewrite.header.salt
    first_lsn, time_ns, entries = seen.header.first_lsn, seen.header.time_ns, seen.header.entries
    stored = bytes(form.stored(seen.buffer, seen.at, seen.header, codec.check_bytes))
    if not codec.identity:
        body = codec.decode(stored, context_of(source, rewrite.source_header, seen.header))
        moved = seen.header._replace(body_bytes=0, offset=offset, synced=offset, link=link)
        stored = codec.encode(body, context_of(source, rewrite.header, moved))
    return form.encode_entries(salt, offset, offset, link, first_lsn, entries, time_ns, stored, codec)


def frame_reader(source: LogSource, header: SegmentHeader, run: Run) -> FrameReader:
    return FrameReader(source, header, run.start, run.end, run.first_lsn)


def refuse_shorter(source: LogSource, reader: FrameReader, run: Run) -> None:
    """Raise `OSError` if frames that were intact a moment ago are not any more."""
    if reader.expected_lsn != run.next_lsn or reader.offset < run.end:
        raise OSError(f"{source.store.name} does not read the same twice: its device is failing. Copy it elsewhere.")
