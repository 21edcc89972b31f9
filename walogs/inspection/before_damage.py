"""The entries before damage, as `walogs cat` prints them. It takes no lock and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.engine.verdict import link_problem
from walogs.formats.segment_format import Malformed
from walogs.inspection.gaps import entries_of
from walogs.inspection.scan import Frame, frames_of
from walogs.inspection.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.errors import Corrupt
    from walogs.formats.segment_format import SegmentHeader


def entries_before(
    source: LogSource, damage: Corrupt, start: int | None, stop: int | None, since_ns: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield (LSN, data) of the entries of [start, stop) that were committed at *since_ns* or later.

    End at the first entry that is not intact or not there, and at the entry where *damage* was found. A reader raises
    before it returns any entry if the damage is in the newest segment or in a header; this function does not.
    """
    survey = Survey(source)
    in_a_frame = damage.lsn if damage.offset else None  # if a whole segment is damaged, its intact frames say more
    ends = [lsn for lsn in (stop, in_a_frame) if lsn is not None]
    expected = survey.first_lsn() if start is None else start
    if start is None and survey.numbers and survey.numbers[0] not in survey.intact_headers:
        return  # the oldest segment may hold the first entries
    previous: SegmentHeader | None = None
    for number in survey.numbers:
        header = survey.intact_headers.get(number)
        if header is None:  # if it had entries, they are found missing at the next segment
            previous = None
            continue
        if previous is not None and link_problem(previous, header) is not None:
            return
        previous = header
        for found in frames_of(source, header):
            if not isinstance(found, Frame) or found.header.first_lsn + found.header.entries <= expected:
                continue
            if found.header.first_lsn > expected or any(expected >= end for end in ends):
                return
            try:
                entries = entries_of(source, header, found)
            except Malformed:
                return
            for lsn, data in enumerate(entries, found.header.first_lsn):
                if lsn >= expected and found.header.time_ns >= since_ns and all(lsn < end for end in ends):
                    yield lsn, data
            expected = found.header.first_lsn + found.header.entries
