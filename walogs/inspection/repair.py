"""`repair`: a damaged log becomes one that opens, by an explicit loss. Nothing is destroyed: what changes is set aside.

The order is the law. Whatever will change is kept under another name first. Then segments are replaced, each at once,
and last of them the one that will be the newest, whose header says where the log begins; then the others are removed;
then the witness, which refuses what is missing until there. So after a crash at any step the log is refused as before,
or opens as repaired, and a second repair goes on from there.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from walogs.assembly import ENVIRONMENT, source_of
from walogs.config import config_error, overridden
from walogs.engine.appendable import RESERVE
from walogs.engine.reading import context_of
from walogs.engine.recovery import examine, look
from walogs.engine.walk import Seen, SeenRun, Walk
from walogs.engine.writer import salt as new_salt
from walogs.engine.writer import uuid_bytes
from walogs.errors import Corrupt, Exists, Missing
from walogs.formats import witness as witness_bytes
from walogs.formats.segment_format import FrameHeader, Kind
from walogs.inspection.stretches import checkpoint_bytes, observed, planned
from walogs.protocols import RepairableStore
from walogs.types import RepairReport

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from typing_extensions import Unpack

    from walogs.config import Overrides, WalConfig
    from walogs.engine.recovery import Examined
    from walogs.engine.source import Environment, Source
    from walogs.formats.segment_format import SegmentHeader
    from walogs.inspection.stretches import Keep, Plan, Rewrite, Run

AGAIN: Final = "Nothing is lost that was not before: what was changed was set aside first. Repair it again."


def repair(
    path: str | os.PathLike[str] | None = None,
    config: WalConfig | None = None,
    *,
    keep: Literal["before", "after"] = "before",
    dry_run: bool = False,
    **overrides: Unpack[Overrides],
) -> RepairReport:
    """Make a damaged log one that opens, and say what is lost by it. A log that opens is left alone.

    A log holds one stretch of LSNs: of the intact ones *keep* has the first (what comes before the damage) or the last
    (what comes after; it begins with the first whole segment there). What is kept keeps its LSNs. Where the witness
    alone refuses (a copy of a live log), only that is dropped. Every segment that changes is first kept beside it, as
    `damaged-000003-TIME`: a name that nothing reads. Takes the log's lock; a *dry_run* does too, and changes nothing.

    Raises `Locked`, `Missing` (no log is there), `ConfigError` (also: a store that is no `RepairableStore`), `Corrupt`
    (no entry is intact, or segments of two logs lie there), `UnsupportedFormat`, `OSError` (NoSpace): then the log is
    refused as before, or, where a note says so, repaired in part. The same call goes on.
    """
    if keep not in ("before", "after"):
        raise config_error(f"keep={keep!r}: 'before' or 'after'")
    if not isinstance(dry_run, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"dry_run={dry_run!r}: True or False")
    source = source_of(path, overridden(config, overrides))
    return repaired(source, keep, ENVIRONMENT, is_dry_run=dry_run)


def repaired(source: Source, keep: Keep, environment: Environment, *, is_dry_run: bool) -> RepairReport:
    store = source.store
    if not isinstance(store, RepairableStore) or not store.capabilities.appendable:
        why = "repair needs a store whose segments can be replaced (RepairableStore)"
        raise config_error(f"{store.name}: {why}; `walogs.salvage` reads what is intact, for a new log")
    if not store.segments() and store.read_witness() is None:
        raise no_log(source)
    with suppress(Corrupt):
        look(source)
    began = time.monotonic()
    store.acquire()
    try:
        return under_the_lock(source, store, keep, environment, began, is_dry_run=is_dry_run)
    finally:
        store.close()


def under_the_lock(
    source: Source, store: RepairableStore, keep: Keep, environment: Environment, began: float, *, is_dry_run: bool
) -> RepairReport:
    try:
        return left_alone(source, examine(source, "full", "acked"), began, is_dry_run=is_dry_run)
    except Corrupt as error:
        refusal = error
    if not store.segments():
        raise refusal
    log = observed(source)
    salt, writer_id = new_salt(environment.entropy), uuid_bytes(environment.entropy)
    plan = planned(source, log, keep, refusal.segment, writer_id, salt)
    if plan is None:
        raise nothing_to_keep(source, refusal) from refusal
    names = names_aside(plan, environment)
    if not is_dry_run:
        names = carried_out(source, store, plan, names)
    return RepairReport(
        refusal=str(refusal),
        first_lsn=plan.first_lsn,
        last_lsn=plan.last_lsn,
        lost=plan.lost,
        dropped=plan.dropped,
        set_aside=tuple(names.values()),
        rewritten_segments=tuple(sorted(rewrite.number for rewrite in plan.rewrites)),
        removed_segments=plan.removed,
        is_dry_run=is_dry_run,
        duration_seconds=time.monotonic() - began,
    )


def left_alone(source: Source, examined: Examined | None, began: float, *, is_dry_run: bool) -> RepairReport:
    """It opens."""
    if examined is None:
        raise no_log(source)
    last_lsn = examined.newest.last_lsn
    seconds = time.monotonic() - began
    return RepairReport(None, examined.base_lsn, last_lsn, (), (), (), (), (), is_dry_run, seconds)


def no_log(source: Source) -> Missing:
    return Missing(f"{source.store.name} holds no log: nothing was ever appended there. Is that the right place?")


def nothing_to_keep(source: Source, refusal: Corrupt) -> Corrupt:
    why = "cannot be repaired: no entry in it is intact, so there is nothing that a log could hold"
    move = "Restore it from a copy, or move the directory away and begin another log. Nothing was changed"
    message = f"{source.store.name} {why}. {move}. Opening it says: {refusal}"
    return Corrupt(message, segment=refusal.segment, offset=refusal.offset, lsn=refusal.lsn)


def names_aside(plan: Plan, environment: Environment) -> dict[int, str]:
    moment = datetime.fromtimestamp(environment.clock() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return {number: f"damaged-{number:06d}-{moment}" for number in plan.changed}


def carried_out(source: Source, store: RepairableStore, plan: Plan, names: dict[int, str]) -> dict[int, str]:
    """The names under which what was changed is kept."""
    kept = {number: set_aside(store, number, name) for number, name in names.items()}
    try:
        for rewrite in plan.rewrites:
            store.replace(rewrite.number, written_anew(source, rewrite))
        if plan.removed:
            store.remove(plan.removed)
        store.drop_witness()
        examined = examine(source, "full", "acked")
    except BaseException as error:
        error.add_note(AGAIN)
        raise
    if examined is not None and any(rewrite.number == examined.newest.header.number for rewrite in plan.rewrites):
        newest = examined.newest  # all of it was synced before it had its name
        testimony = newest.header.log_id, newest.header.number, newest.end, newest.last_lsn, newest.header.salt
        store.write_witness(witness_bytes.encode(*testimony), durable=True)
    return kept


def set_aside(store: RepairableStore, number: int, name: str) -> str:
    """The name it has got: an earlier repair within this second has taken the first."""
    for free in (name, *(f"{name}-{count}" for count in range(2, 1000))):
        try:
            store.set_aside(number, free)
        except Exists:
            continue
        return free
    raise Exists(f"{store.name} has a thousand files named {name}: move them away")


# The bytes of a segment that is written anew


def written_anew(source: Source, rewrite: Rewrite) -> Iterator[bytes | memoryview]:
    """Its header, its frames, each from the very buffer in which it was checked, and the reserve of a newest segment
    (a completed one may end with zeros as well)."""
    yield source.format.encode_header(rewrite.header)
    if rewrite.header.salt == rewrite.source_header.salt:
        yield from as_they_are(source, rewrite)
    else:
        yield from encoded_anew(source, rewrite)
    yield bytes(RESERVE)


def as_they_are(source: Source, rewrite: Rewrite) -> Iterator[bytes | memoryview]:
    """Frames where they were. CHECKPOINTs that were damaged are made again, with a base that is no news."""
    header, time_ns = rewrite.source_header, rewrite.source_header.created_ns
    end, start = rewrite.runs[0].start, source.format.traits.header_bytes
    for run in rewrite.runs:
        for offset in range(end, run.start, checkpoint_bytes(source)):
            yield source.format.encode_checkpoint(header.salt, offset, start, rewrite.header.base_lsn, time_ns)
        walk = walk_of(source, header, run)
        for seen in walk.runs():
            if isinstance(seen, SeenRun):
                time_ns = seen.intact.last_time_ns
                yield seen.frames()
            else:
                time_ns = seen.header.time_ns
                yield seen.frame()
        refuse_less(source, walk, run)
        end = run.end


def encoded_anew(source: Source, rewrite: Rewrite) -> Iterator[bytes | memoryview]:
    """Frames moved up to the beginning of the segment, with all their entries and times."""
    offset = source.format.traits.header_bytes
    for run in rewrite.runs:
        walk = walk_of(source, rewrite.source_header, run)
        for seen in walk:
            if seen.header.kind == Kind.ENTRIES.value:
                frame = moved(source, rewrite, seen, offset)
                offset += len(frame)
                yield bytes(frame)
        refuse_less(source, walk, run)


def moved(source: Source, rewrite: Rewrite, seen: Seen, offset: int) -> bytes | bytearray:
    """That frame at another place, under another salt. It names everything before it as synced: the segment gets its
    name after all of it was."""
    form, codec, salt = source.format, source.codec_of(rewrite.header), rewrite.header.salt
    _, _, _, first_lsn, time_ns, entries, _, _, _ = seen.header
    stored = bytes(form.stored(seen.buffer, seen.at, seen.header, codec.check_bytes))
    if not codec.identity:
        body = codec.decode(stored, context_of(source, rewrite.source_header, seen.header))
        there = FrameHeader(Kind.ENTRIES.value, 0, 0, first_lsn, time_ns, entries, offset, offset, 0)
        stored = codec.encode(body, context_of(source, rewrite.header, there))
    frame, _ = form.encode_entries(salt, offset, offset, first_lsn, entries, time_ns, stored, codec)
    return frame


def walk_of(source: Source, header: SegmentHeader, run: Run) -> Walk:
    return Walk(source, header, run.start, run.end, run.first_lsn)


def refuse_less(source: Source, walk: Walk, run: Run) -> None:
    """What was intact a moment ago is not."""
    if walk.expected_lsn != run.next_lsn or walk.offset < run.end:
        raise OSError(f"{source.store.name} does not read the same twice: its device is failing. Copy it elsewhere.")
