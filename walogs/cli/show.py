"""The facts of a log in words. `walogs info` and `verify` print them as lines; `picture` draws them on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from walogs.cli.status import printable
from walogs.types import TruncatedAt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from walogs.cli.next_moves import NextMove
    from walogs.inspection.facts import LogFacts, MissingSegments, SegmentFacts
    from walogs.types import Verification


def headline(report: Verification) -> str:
    """Return what verify has found, in one line."""
    held = f"{size_words(report.bytes)} in {count_words(report.segments, 'segment', 'segments')}"
    entries = count_words(report.entries, "entry", "entries")
    if report.ok:
        return f"good: {entries} ({lsns(report.first_lsn, report.last_lsn)}), {held}"
    can = f"{entries} can be read ({spans(readable_ranges(report))})" if report.entries else "no entry can be read"
    gone = [(gap.first_lsn, gap.last_lsn) for gap in report.gaps]
    cannot = f", and {entries_in(gone)} cannot" if gone else ""
    return f"DAMAGED: {can}{cannot}; {held}"


def entries_in(gaps: Sequence[tuple[int, int | None]]) -> str:
    """Return these LSNs in words that say what they are, since a bare number reads as a count."""
    first_lsn, last_lsn = gaps[0]
    if last_lsn is None:
        return spans(gaps)
    return f"{'entry' if len(gaps) == 1 and first_lsn == last_lsn else 'entries'} {spans(gaps)}"


def readable_ranges(report: Verification) -> Iterator[tuple[int, int]]:
    """Yield (first LSN, last LSN) of the entries between the gaps."""
    next_lsn = report.first_lsn
    for gap in report.gaps:
        if gap.first_lsn > next_lsn:
            yield next_lsn, gap.first_lsn - 1
        if gap.last_lsn is None:
            return
        next_lsn = max(next_lsn, gap.last_lsn + 1)
    if next_lsn <= report.last_lsn:
        yield next_lsn, report.last_lsn


def spans(ranges: Iterable[tuple[int, int | None]]) -> str:
    """Return these LSNs in words. A last LSN of None is not known."""
    return list_words(
        [lsns(first, last) if last is not None else f"what follows {first - 1}" for first, last in ranges]
    )


def findings_of(report: Verification) -> Iterator[tuple[str, str]]:
    """Yield (label, message) of each finding."""
    return (("damage" if found.is_damage else "note", printable(found.message)) for found in report.findings)


def lines_of(facts: LogFacts, now_ns: int, moves: Iterable[NextMove] = ()) -> Iterator[str]:
    """Yield the facts, one a line, each with its name first."""
    next_moves = (("next", printable(str(move))) for move in moves)
    for label, value in (*summary_of(facts), *notes_of(facts), *damage_of(facts), *next_moves):
        yield f"{label:<15}{value}"
    for segment in facts.segments:
        yield f"{'segment':<15}{', '.join(parts_of(segment, now_ns))}"
    for gone in facts.missing:
        yield f"{'missing':<15}{missing_name(gone)}, LSNs {lsns(gone.first_lsn, gone.last_lsn)}"


def parts_of(segment: SegmentFacts, now_ns: int) -> Iterator[str]:
    """Yield what a line says of one segment: its name first, and its state last."""
    yield segment.name
    yield f"LSNs {lsns(segment.first_lsn, segment.last_lsn)}"
    yield size_words(segment.size)
    committed = at_utc(segment.last_commit_ns)
    ago = "" if segment.last_commit_ns is None else f" ({age_words(segment.last_commit_ns, now_ns)})"
    yield f"last commit {committed}{ago}"
    if segment.frees is not None:
        yield f"a checkpoint at {segment.last_lsn} frees {size_words(segment.frees)}"
    yield state_of(segment)


def state_of(segment: SegmentFacts) -> str:
    if segment.state != "damaged" or not segment.damaged_at:
        return segment.state
    return f"damaged at byte {list_words(segment.damaged_at)}"


def summary_of(facts: LogFacts) -> Iterator[tuple[str, str]]:
    """Yield (label, value) of the log as a whole."""
    yield "log", printable(facts.path)
    count = "" if not facts.entries else f" ({facts.entries:,})" if facts.ok else f" ({facts.entries:,} intact)"
    yield "entries", lsns(facts.first_lsn, facts.last_lsn) + count
    if facts.next_lsn is not None:
        yield "next LSN", str(facts.next_lsn)
    yield "size", f"{size_words(facts.size)} in {count_words(len(facts.segments), 'segment', 'segments')}"
    if facts.is_closed is not None:
        yield "writer", "has closed it" if facts.is_closed else open_or_ended(facts.writers)
    if facts.cursors:
        yield "cursors", list_words([f"{name} at {'?' if at is None else at}" for name, at in facts.cursors.items()])
    what = "every byte" if facts.verify == "full" else "headers, SEALs and the newest segment"
    found = "good" if facts.ok else f"DAMAGED in {count_words(len(facts.damage), 'place', 'places')}"
    yield "checked", f"{what}, in {facts.recovery.duration_seconds:.3f} s: {found}"
    most = max((segment for segment in facts.segments if segment.frees), key=bytes_freed, default=None)
    if most is not None and facts.ok:
        yield "checkpoint", f"at {most.last_lsn} would free {size_words(bytes_freed(most))}"


def open_or_ended(writers: Sequence[int] | None) -> str:
    """Return what became of a writer that has not closed the log. The processes *writers* hold the lock."""
    match writers:
        case None:
            return "has it open, or ended without closing it"
        case ():
            return "ended without closing it: the next open recovers"
        case (one,):
            return f"process {one} has it open"
        case _:
            return f"one of the processes {list_words(writers)} has it open"


def bytes_freed(segment: SegmentFacts) -> int:
    return segment.frees or 0


def notes_of(facts: LogFacts) -> Iterator[tuple[str, str]]:
    """Yield (label, value) of what the next open will change, and of notes. None of it harms an entry."""
    opening = facts.recovery
    if isinstance(tail := opening.tail_state, TruncatedAt):
        what = f"segment {tail.segment} at byte {tail.offset}, {tail.discarded_bytes} bytes"
        yield "torn", f"{what}: an unfinished write. Nothing in it was acknowledged, and the next open cuts it"
    if opening.removed_segments:
        left = count_words(opening.removed_segments, "segment", "segments")
        yield "leftover", f"{left} below the log's first entry, which the next open removes"
    if opening.unsealed_segments:
        yield "not sealed", f"{list_words(opening.unsealed_segments)}: intact, only slower to read"
    yield from (
        ("note", printable(found.message))
        for found in facts.findings
        if found.kind in ("padding", "durable_mark", "cursor")
    )


def damage_of(facts: LogFacts) -> Iterator[tuple[str, str]]:
    """Yield (label, value) of all damage: where it is, and what it means."""
    yield from (("damage", printable(found.message)) for found in facts.damage)


def missing_name(gone: MissingSegments) -> str:
    """Return the numbers of the missing segments, in words."""
    if gone.first_number == gone.last_number:
        return f"segment {gone.first_number}"
    return f"segments {gone.first_number} to {gone.last_number}"


def lsns(first_lsn: int | None, last_lsn: int | None) -> str:
    """Return the LSNs in words. None means that an end is not known."""
    if first_lsn is None or last_lsn is None:
        return f"{first_lsn or '?'} to {last_lsn or '?'}"
    if last_lsn < first_lsn:
        return "none"
    return str(first_lsn) if first_lsn == last_lsn else f"{first_lsn} to {last_lsn}"


def count_words(count: int, one: str, many: str) -> str:
    """Return the count with its noun: `1 entry`, `2,000 entries`."""
    return f"{count:,} {one if count == 1 else many}"


def list_words(items: Sequence[object]) -> str:
    """Return the first eight items in words, and how many more there are."""
    few = ", ".join(map(str, items[:8]))
    return few if len(items) <= 8 else f"{few} and {len(items) - 8} more"


def size_words(size_bytes: int) -> str:
    """Return the size in the largest unit of which there is at least one."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount, unit = size_bytes / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}"


def duration_words(seconds: float) -> str:
    """Return the duration with about three digits, in the largest unit of which there is at least one."""
    unit, length = next((unit for unit in UNITS if seconds >= unit[1]), UNITS[-1])
    return f"{seconds / length:.{1 if seconds < 100 * length else 0}f} {unit}"


UNITS: Final = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def at_utc(unix_ns: int | None) -> str:
    """Return the time in words, to the second; `-` for None."""
    if unix_ns is None:
        return "-"
    return datetime.fromtimestamp(unix_ns / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


AGES: Final = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def age_words(unix_ns: int | None, now_ns: int) -> str:
    """Return how long ago that was, in the largest unit of which there are at least two; or in seconds."""
    if unix_ns is None:
        return "-"
    seconds = (now_ns - unix_ns) // 1_000_000_000
    if seconds < 0:
        return "in the future"
    unit, length = next((unit for unit in AGES if seconds >= 2 * unit[1]), AGES[-1])
    count = seconds // length
    return f"{count:,} {unit}{'s' if unit == 'day' else ''}"


def encodable(text: str, encoding: str | None) -> str:
    """Return the text with every character escaped that *encoding* does not have."""
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)
