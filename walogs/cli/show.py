"""What `walogs info` tells of a log, in words: as plain lines, and as whatever else is made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from walogs.cli.status import printable
from walogs.types import TruncatedAt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from walogs.cli.facts import LogFacts, MissingSegments, SegmentFacts


def lines_of(facts: LogFacts, now_ns: int) -> Iterator[str]:
    """One fact a line, its name first."""
    for label, value in (*summary_of(facts), *notes_of(facts), *damage_of(facts)):
        yield f"{label:<15}{value}"
    for segment in facts.segments:
        yield f"{'segment':<15}{', '.join(parts_of(segment, now_ns))}"
    for gone in facts.missing:
        yield f"{'missing':<15}{named(gone)}, LSNs {lsns(gone.first_lsn, gone.last_lsn)}"


def parts_of(segment: SegmentFacts, now_ns: int) -> Iterator[str]:
    """What is told of one segment, its name first and its state last."""
    yield segment.name
    yield f"LSNs {lsns(segment.first_lsn, segment.last_lsn)}"
    yield sized(segment.size)
    committed = at_utc(segment.last_commit_ns)
    ago = "" if segment.last_commit_ns is None else f" ({aged(segment.last_commit_ns, now_ns)})"
    yield f"last commit {committed}{ago}"
    if segment.frees is not None:
        yield f"a checkpoint at {segment.last_lsn} frees {sized(segment.frees)}"
    yield state_of(segment)


def state_of(segment: SegmentFacts) -> str:
    if segment.state != "damaged" or not segment.damaged_at:
        return segment.state
    return f"damaged at byte {listed(segment.damaged_at)}"


def summary_of(facts: LogFacts) -> Iterator[tuple[str, str]]:
    """(label, value) of the log as a whole."""
    yield "log", printable(facts.path)
    count = "" if not facts.entries else f" ({facts.entries:,})" if facts.ok else f" ({facts.entries:,} intact)"
    yield "entries", lsns(facts.first_lsn, facts.last_lsn) + count
    if facts.next_lsn is not None:
        yield "next LSN", str(facts.next_lsn)
    yield "size", f"{sized(facts.size)} in {counted(len(facts.segments), 'segment', 'segments')}"
    if facts.is_closed is not None:
        yield "writer", "has closed it" if facts.is_closed else "has it open, or ended without closing it"
    what = "every byte" if facts.verify == "full" else "headers, SEALs and the newest segment"
    found = "good" if facts.ok else f"DAMAGED in {counted(len(facts.damage), 'place', 'places')}"
    yield "checked", f"{what}, in {facts.recovery.duration_seconds:.3f} s: {found}"
    largest = max((segment for segment in facts.segments if segment.frees), key=frees_of, default=None)
    if largest is not None and facts.ok:
        yield "checkpoint", f"at {largest.last_lsn} would free {sized(frees_of(largest))}"


def frees_of(segment: SegmentFacts) -> int:
    return segment.frees or 0


def notes_of(facts: LogFacts) -> Iterator[tuple[str, str]]:
    """(label, value) of what the next open would do, where that is more than nothing; it harms no entry."""
    opening = facts.recovery
    if isinstance(tail := opening.tail_state, TruncatedAt):
        what = f"segment {tail.segment} at byte {tail.offset}, {tail.discarded_bytes} bytes"
        yield "torn", f"{what}: an unfinished write, of which nothing was acknowledged; the next open cuts it"
    if opening.removed_segments:
        left = counted(opening.removed_segments, "segment", "segments")
        yield "below base", f"{left} that an interrupted checkpoint left, for the next open to remove"
    if opening.unsealed_segments:
        yield "not sealed", f"{listed(opening.unsealed_segments)}: intact, only slower to read"
    yield from (("note", printable(found.message)) for found in facts.findings if found.kind == "padding")


def damage_of(facts: LogFacts) -> Iterator[tuple[str, str]]:
    """(label, value) of all damage: where it is, what it means, and the next move."""
    yield from (("damage", printable(found.message)) for found in facts.damage)


def named(gone: MissingSegments) -> str:
    if gone.first_number == gone.last_number:
        return f"segment {gone.first_number}"
    return f"segments {gone.first_number} to {gone.last_number}"


def lsns(first_lsn: int | None, last_lsn: int | None) -> str:
    """*None*: not known."""
    if first_lsn is None or last_lsn is None:
        return f"{first_lsn or '?'} to {last_lsn or '?'}"
    if last_lsn < first_lsn:
        return "none"
    return str(first_lsn) if first_lsn == last_lsn else f"{first_lsn} to {last_lsn}"


def counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def listed(numbers: Sequence[int]) -> str:
    few = ", ".join(map(str, numbers[:8]))
    return few if len(numbers) <= 8 else f"{few} and {len(numbers) - 8} more"


def sized(size_bytes: int) -> str:
    """In the largest unit that leaves a whole number before the point."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount, unit = size_bytes / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}"


def lasted(seconds: float) -> str:
    """Three digits or so, in the largest unit of which there is one."""
    unit, length = next((unit for unit in UNITS if seconds >= unit[1]), UNITS[-1])
    return f"{seconds / length:.{1 if seconds < 100 * length else 0}f} {unit}"


UNITS: Final = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def at_utc(unix_ns: int | None) -> str:
    if unix_ns is None:
        return "-"
    return datetime.fromtimestamp(unix_ns / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


AGES: Final = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def aged(unix_ns: int | None, now_ns: int) -> str:
    """How long ago, in the largest unit of which there are two, or a second."""
    if unix_ns is None:
        return "-"
    seconds = (now_ns - unix_ns) // 1_000_000_000
    if seconds < 0:
        return "in the future"
    unit, length = next((unit for unit in AGES if seconds >= 2 * unit[1]), AGES[-1])
    count = seconds // length
    return f"{count:,} {unit}{'s' if unit == 'day' else ''}"


def encodable(text: str, encoding: str | None) -> str:
    """The same, with what that encoding has no characters for escaped."""
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)
