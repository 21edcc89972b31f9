"""The entries before damage, as `walogs cat` prints them. It takes no lock and changes nothing."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from walogs.engine.verdict import link_problem
from walogs.errors import Corrupt
from walogs.inspection.gaps import entries_of, intact_commits
from walogs.inspection.survey import Survey
from walogs.types import Gap

if TYPE_CHECKING:
    from collections.abc import Generator

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader
    from walogs.inspection.scan import Frame


def entries_before(
    source: LogSource, damage: Corrupt, start: int | None, stop: int | None, since_ns: int = 0
) -> Generator[tuple[int, bytes], None, Corrupt]:
    """Yield (LSN, data) of the entries of [start, stop) that were committed at *since_ns* or later.

    End at the first gap, at the first entry of a segment whose header is damaged, and at the entry where *damage* was
    found. Return the damage at which it ended, which may be another one: an open names that nearest to the end. A
    reader raises before it returns any entry if the damage is in the newest segment or in a header; this function does
    not.
    """
    survey = Survey(source)
    if not survey.numbers:
        return damage
    expected = survey.first_lsn() if start is None else start
    if start is None and survey.numbers[0] not in survey.intact_headers:  # it may hold the first entries
        return refusal_of(source, survey, damage, survey.numbers[0], expected)
    unlinked = first_unlinked(survey)
    end = damage.lsn if damage.offset else None  # if a whole segment is damaged, its intact frames say more
    for found in intact_commits(source, partial(entries_from, expected)):
        if isinstance(found, Gap):
            if found.last_lsn is None or found.last_lsn >= expected:
                return damage_in(source, damage, found)
            continue
        first_lsn, entries = found
        if first_lsn + len(entries) <= expected:
            continue
        if first_lsn > expected:
            return damage
        number = entries[0].segment
        if number not in survey.intact_headers or (unlinked is not None and number >= unlinked):
            return refusal_of(source, survey, damage, min(number, unlinked or number), expected)
        for lsn, entry in enumerate(entries, first_lsn):
            if any(last is not None and lsn >= last for last in (stop, end)):
                return damage
            if lsn >= expected and entry.time_ns >= since_ns:
                yield lsn, entry.data
        expected = first_lsn + len(entries)
    return damage


class ReadEntry(NamedTuple):
    segment: int
    time_ns: int
    data: bytes


def entries_from(lsn: int, source: LogSource, segment: SegmentHeader, frame: Frame) -> list[ReadEntry]:
    """Return the entries of a frame. They are without data if all of them are below *lsn*: then nothing is decoded."""
    header = frame.header
    is_wanted = header.first_lsn + header.entries > lsn
    read = entries_of(source, segment, frame) if is_wanted else [b""] * header.entries
    return [ReadEntry(segment.number, header.time_ns, data) for data in read]


def first_unlinked(survey: Survey) -> int | None:
    """Return the first segment that was not made after the one before it, as far as their headers are intact."""
    headers = survey.intact_headers
    for older, newer in pairwise(headers):
        if newer == older + 1 and link_problem(headers[older], headers[newer]) is not None:
            return newer
    return None


def damage_in(source: LogSource, damage: Corrupt, gap: Gap) -> Corrupt:
    """Return the damage that has made this gap."""
    if gap.segment is None:
        is_the_same = damage.lsn == gap.first_lsn and damage.offset != 0
    else:
        is_the_same = damage.segment == gap.segment and (damage.offset == gap.offset or damage.lsn == gap.first_lsn)
    if is_the_same:
        return damage
    if gap.segment is None and gap.last_lsn is not None:
        return source.missing(None, gap.first_lsn, gap.last_lsn)
    return source.corrupt(gap.why, gap.segment, gap.offset, gap.first_lsn)


def refusal_of(source: LogSource, survey: Survey, damage: Corrupt, number: int, lsn: int) -> Corrupt:
    """Return the damage that makes the entries of this segment doubtful, from *lsn* on."""
    headers = survey.intact_headers
    if number in headers:
        why = link_problem(headers[number - 1], headers[number])
        found = source.corrupt(why or "its header is no longer what it was", number - 1, 0, lsn)
    else:
        try:
            source.header(number, lambda: lsn)
            return damage
        except Corrupt as error:
            found = error
    return damage if (damage.segment, damage.offset) == (found.segment, found.offset) else found
