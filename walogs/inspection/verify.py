"""`verify`: list everything that is wrong with a log, and what it means. It takes no lock and changes nothing."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from walogs.assembly.config import refuse_uncallable
from walogs.assembly.opening import source_of
from walogs.defaults.local_store import LocalStore
from walogs.defaults.renaming import describe_exchange, rename_command
from walogs.engine.ending import read_durable_mark
from walogs.engine.exchanged_names import renumber_by_headers
from walogs.engine.observation import none_there, observe
from walogs.engine.recovery import check_completed, examine, list_sizes
from walogs.engine.segments import last_before
from walogs.errors import Checkpointed, Corrupt, LogNotFound, SegmentNotFound, UnsupportedFormat
from walogs.foundation.foreign import error_text
from walogs.foundation.lazy import lazy_import
from walogs.handles.cursor import read_value
from walogs.inspection.gaps import contents_of
from walogs.inspection.survey import EXAMINATIONS_MAX, Survey
from walogs.protocols import is_appendable, sizes_of
from walogs.protocols.cursor_store import CursorStore
from walogs.types import Finding, Verification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Unpack

    from walogs.assembly.config import ReadingOverrides, WalConfig
    from walogs.engine.log_source import LogSource
    from walogs.engine.recovery import RecoveredLog, Verify
    from walogs.inspection.gaps import Contents
    from walogs.types import Gap


def verify(
    path: str | os.PathLike[str] | None = None,
    config: WalConfig | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
    **overrides: Unpack[ReadingOverrides],
) -> Verification:
    """Check every byte that `open` relies on, as strictly as `open` does, and continue after damage.

    `.ok` is True if the log opens. Beside a live writer it covers the durable entries. After each completed segment,
    *progress* is called with (bytes checked, bytes of all completed segments). Damage is reported and never raised.
    Raises `LogNotFound` (no log is there), `ConfigError`, `UnsupportedFormat`, `OSError`.
    """
    refuse_uncallable(progress)
    return verify_source(source_of(path, config, overrides, own=("path", "config", "progress")), progress=progress)


def verify_source(
    source: LogSource, *, is_full: bool = True, progress: Callable[[int, int], object] | None = None
) -> Verification:
    """Check every byte if *is_full*; otherwise, of a sealed segment with a good SEAL, only the header and the SEAL."""
    began = time.monotonic()
    sizes = list_sizes(source.store)
    if not (source.store.segments() if sizes is None else sizes):
        return verify_empty(source, began)
    refusal: Corrupt | None = None
    how: Verify = "last" if source.format.traits.has_seal and is_appendable(source.store) else "full"
    for _ in range(EXAMINATIONS_MAX):
        before = pulse(source, sizes)
        try:
            examined = examine(source, how, "acked", sizes=sizes)
        except SegmentNotFound:
            sizes = list_sizes(source.store)
            continue
        except Corrupt as error:
            refusal, sizes = error, list_sizes(source.store)
            if pulse(source, sizes) == before:  # no writer has caused it
                return list_damage(source, [error], began)
            continue
        if examined is not None:
            return check_contents(source, examined, began, progress, is_full=is_full)
    return verify_beside_writer(source, refusal, began)


def verify_empty(source: LogSource, began: float) -> Verification:
    """Report a log of which only the durable mark is left. Raises `LogNotFound` if not even that is there."""
    absence = none_there(source, read_durable_mark(source))
    if not isinstance(absence, Corrupt):
        raise absence
    finding = make_damage(absence.damage)
    return Verification(
        segments=0,
        entries=0,
        bytes=0,
        first_lsn=1,
        last_lsn=0,
        findings=(finding,),
        duration_seconds=time.monotonic() - began,
    )


def pulse(source: LogSource, sizes: Mapping[int, int] | None = None) -> object:
    """Return a value that changes with every commit, rotation and checkpoint.

    *sizes* is what `list_sizes` has just returned, if the caller has asked for it.
    """
    store = source.store
    numbers = tuple(store.segments() if sizes is None else sorted(sizes))
    if not numbers or not is_appendable(store):
        return numbers
    try:
        ends = [store.size(number) for number in numbers[-2:]]
        newest = source.header(numbers[-1])
        bound = observe(source, "written")
    except (Corrupt, SegmentNotFound, LogNotFound):
        return numbers
    return numbers, ends, newest, bound.end, store.read_durable_mark()


def check_contents(
    source: LogSource,
    examined: RecoveredLog,
    began: float,
    progress: Callable[[int, int], object] | None,
    *,
    is_full: bool,
) -> Verification:
    """Check the bytes of the completed segments if *is_full*. Their headers, links and SEALs were found good before."""
    findings: list[Finding] = []
    headers = [segment.header for segment in examined.completed] + [examined.newest.header]
    refusals: list[Corrupt] = []
    done, total = 0, sum(segment.end for segment in examined.completed)
    for segment, successor in zip(examined.completed, headers[1:], strict=True):
        try:
            loose = check_completed(source, segment, successor) if is_full else []
        except SegmentNotFound:  # a checkpoint has removed it
            continue
        except Corrupt as error:
            refusals.append(error)
            continue
        done += segment.end
        if progress is not None:
            progress(done, total)
        name = source.store.segment_name(segment.header.number)
        for offset in loose:
            what = "its padding is not zero, which harms nothing"
            findings.append(
                make_note("padding", segment.header.number, offset, f"{name}, run at byte {offset}: {what}.")
            )
        if is_appendable(source.store) and source.format.traits.has_seal and not segment.seal_end:
            what = "has no intact SEAL. Nothing is lost; the segment is only slower to read"
            findings.append(make_note("unsealed", segment.header.number, segment.end, f"{name} {what}."))
    if refusals:
        return list_damage(source, refusals, began)
    findings += tail_findings(source, examined)
    findings += durable_mark_findings(source, examined.newest.header.log_id)
    findings += cursor_findings(source, examined.newest.header.log_id)
    last_lsn = examined.newest.last_lsn
    return report_on(source, examined.log_first_lsn, last_lsn, findings, began, sizes=examined.sizes)


def report_on(
    source: LogSource,
    first_lsn: int,
    last_lsn: int,
    findings: Sequence[Finding],
    began: float,
    *,
    entries: int | None = None,
    gaps: tuple[Gap, ...] = (),
    sizes: Mapping[int, int] | None = None,
) -> Verification:
    """Return the report. *entries* None means all from *first_lsn* to *last_lsn*. *sizes* None: ask the store now."""
    if sizes is None:
        sizes = sizes_of(source.store, source.store.segments())
    return Verification(
        segments=len(sizes),
        entries=last_lsn - first_lsn + 1 if entries is None else entries,
        bytes=sum(sizes.values()),
        first_lsn=first_lsn,
        last_lsn=last_lsn,
        findings=tuple(findings),
        duration_seconds=time.monotonic() - began,
        gaps=gaps,
    )


def tail_findings(source: LogSource, examined: RecoveredLog) -> Iterator[Finding]:
    newest = examined.newest
    name = source.store.segment_name(newest.header.number)
    if examined.verdict == "torn":
        what = "an unfinished write, which was never known to be durable. The next open cuts it"
        yield make_note("torn", newest.header.number, newest.end, f"{name} ends at byte {newest.end} with {what}.")
    for number in examined.leftovers:
        what = "lies below the log's first entry, and the next open removes it"
        yield make_note("leftover", number, None, f"{source.store.segment_name(number)} {what}.")


def durable_mark_findings(source: LogSource, log_id: bytes | None) -> Iterator[Finding]:
    """Yield a note if no durable mark confirms the end of the log. *log_id* is None if no header is known."""
    if not (source.format.traits.has_durable_mark and is_appendable(source.store)):
        return
    durable_mark = read_durable_mark(source)
    if durable_mark is not None and log_id in (None, durable_mark.log_id):
        return
    if durable_mark is not None:
        what = "is of another log"
    else:
        what = "is not there" if source.store.read_durable_mark() is None else "is damaged"
    so = "nothing confirms where the log ends: entries could be missing after the last one"
    yield make_note("durable_mark", None, None, f"the durable mark (DURABLE) {what}, so {so}. The next open writes it.")


def cursor_findings(source: LogSource, log_id: bytes | None) -> Iterator[Finding]:
    """Yield a note for each cursor that is damaged or of another log. *log_id* is None if no header is known.

    It is no damage to the log, which opens all the same.
    """
    if log_id is None or not isinstance(source.store, CursorStore):
        return
    for name in source.store.cursors():
        try:
            read_value(source, name, log_id)
        except (Corrupt, UnsupportedFormat) as error:
            what = error_text(error).partition(" Nothing was changed.")[0]
            yield make_note("cursor", None, None, f"{what} Its consumer cannot continue. No entry is lost.")


def make_note(kind: str, segment: int | None, offset: int | None, message: str) -> Finding:
    return Finding(kind=kind, is_damage=False, segment=segment, offset=offset, lsn=None, message=message)  # type: ignore[arg-type]


def make_damage(message: str, segment: int | None = None, offset: int | None = None, lsn: int | None = None) -> Finding:
    return Finding(kind="corrupt", is_damage=True, segment=segment, offset=offset, lsn=lsn, message=message)


def list_damage(source: LogSource, refusals: list[Corrupt], began: float) -> Verification:
    """Report what `open` refuses, every other damaged header, and every gap that salvage finds.

    Files that have each other's names are one finding. They are then read under the numbers in their headers.
    """
    renumbered, exchange = renumber_by_headers(source)
    if exchange is None:
        return list_damage_in_place(source, refusals, began)
    command = rename_command(source, exchange)
    move = f" Rename them: {command}" if command else ""
    finding = make_damage(describe_exchange(source, exchange) + move)
    try:
        examined = examine(renumbered, "full", "acked")
    except Corrupt as refusal:
        rest = list_damage_in_place(renumbered, [refusal], began)
    else:
        assert examined is not None
        rest = check_contents(renumbered, examined, began, None, is_full=True)
    return replace(rest, findings=(finding, *rest.findings))


def list_damage_in_place(
    source: LogSource, refusals: list[Corrupt], began: float, contents: Contents | None = None
) -> Verification:
    """Report the damage, with every segment under the number in its name. *contents* None: find out what they are."""
    survey = Survey(source)
    log_first_lsn = survey.first_lsn()
    findings: list[Finding] = []
    places: set[tuple[int | None, int | None]] = set()
    for refusal in (*refusals, *header_errors(source, survey, log_first_lsn)):
        if (refusal.segment, refusal.offset) not in places:
            message = refusal.damage + hint_at_packed_copy(source, refusal.segment, survey)
            findings.append(make_damage(message, refusal.segment, refusal.offset, refusal.lsn))
            places.add((refusal.segment, refusal.offset))
    header_bytes = source.format.traits.header_bytes
    begins = {refusal.lsn for refusal in refusals if refusal.offset is None or refusal.offset >= header_bytes}
    ends = set(missing_ends(source, refusals, survey))
    contents = contents if contents is not None else contents_of(source)
    findings += [unknown_beginning(source, gap) for gap in contents.gaps_below(log_first_lsn)]
    gaps = contents.gaps_from(log_first_lsn)
    for gap in gaps:
        is_reported = gap.last_lsn in ends if gap.segment is None else (gap.segment, gap.offset) in places
        if not is_reported and gap.first_lsn not in begins:
            findings.append(gap_finding(source, gap))
    known = [last for _, last in contents.stretches] + [gap.last_lsn for gap in gaps if gap.last_lsn is not None]
    last_lsn = max(log_first_lsn - 1, *known, 0)
    entries = sum(max(last - max(first, log_first_lsn) + 1, 0) for first, last in contents.stretches)
    headers = survey.headers
    log_id = headers[max(headers)].log_id if headers else None
    findings += durable_mark_findings(source, log_id)
    findings += cursor_findings(source, log_id)
    return report_on(source, log_first_lsn, last_lsn, findings, began, entries=entries, gaps=gaps)


def hint_at_packed_copy(source: LogSource, number: int | None, survey: Survey) -> str:
    """Return a hint at a file like `wal-000001.log.gz`, which may be the missing segment. Empty if there is none."""
    if number is None or number in survey.numbers or not isinstance(source.store, LocalStore):
        return ""
    name = source.store.segment_name(number)
    files = sorted(os.listdir(source.store.path))
    packed = [file for file in files if file.startswith(f"{name}.") and file != f"{name}.tmp"]
    return f" {packed[0]} is there: unpack it, if it is that segment." if packed else ""


def header_errors(source: LogSource, survey: Survey, log_first_lsn: int) -> Iterator[Corrupt]:
    """Yield an error for each damaged header, from the newest segment down to the one with the log's first entry.

    Of adjacent ones, the same entry is the first in doubt. It is looked for once, since that can take long.
    """
    first_in_doubt: int | None = None

    def in_doubt(older: tuple[int, ...]) -> int:
        nonlocal first_in_doubt
        if first_in_doubt is None:
            first_in_doubt = max(log_first_lsn, (last_before(source, older) or 0) + 1)
        return first_in_doubt

    for at, number in reversed([*enumerate(survey.numbers)]):
        try:
            header = source.header(number, partial(in_doubt, survey.numbers[:at]))
            if header.first_lsn <= log_first_lsn:
                return
            first_in_doubt = None
        except SegmentNotFound:  # a checkpoint has removed it
            return
        except Corrupt as error:
            yield error


def missing_ends(source: LogSource, refusals: list[Corrupt], survey: Survey) -> Iterator[int]:
    """Yield the last LSN of each segment that is missing. The error has reported the gap that salvage finds there."""
    for refusal in refusals:
        number = refusal.segment
        if number is not None and number not in survey.numbers and number + 1 in survey.numbers:
            yield source.header(number + 1).first_lsn - 1


def unknown_beginning(source: LogSource, gap: Gap) -> Finding:
    """Return a finding for entries that may have been removed by a checkpoint: damage hides where the log begins."""
    what = (
        f"entries {gap.first_lsn} to {gap.last_lsn} are"
        if gap.last_lsn != gap.first_lsn
        else f"entry {gap.first_lsn} is"
    )
    why = "a checkpoint has removed them: what says where the log begins is missing or damaged as well"
    message = f"{source.store.name}: {what} not there. It cannot be told whether they are lost, or whether {why}."
    return make_damage(message, gap.segment, gap.offset, gap.first_lsn)


def gap_finding(source: LogSource, gap: Gap) -> Finding:
    place = source.store.name if gap.segment is None else source.store.segment_name(gap.segment)
    at = "" if gap.offset is None else f" at byte {gap.offset}"
    gone = "gone" if gap.segment is None else "not intact"
    if gap.last_lsn is None:
        what = f"what follows entry {gap.first_lsn - 1} is not intact"
    elif gap.last_lsn == gap.first_lsn:
        what = f"entry {gap.first_lsn} is {gone}"
    else:
        what = f"entries {gap.first_lsn} to {gap.last_lsn} are {gone}"
    message = f"{place}{at}: {what} ({gap.why})."
    return make_damage(message, gap.segment, gap.offset, gap.first_lsn)


def verify_beside_writer(source: LogSource, refusal: Corrupt | None, began: float) -> Verification:
    """Check the durable entries as a reader reads them. For a writer so busy that no two observations are the same."""
    with lazy_import:
        from walogs.handles.reader import WalReader

    reader = WalReader(None, source, "durable")
    first_lsn = next_lsn = reader.first_lsn
    stop = reader.last_lsn + 1
    findings: list[Finding] = []
    while next_lsn < stop:
        try:
            for commit in reader.commits(next_lsn, stop):
                next_lsn = commit.last_lsn + 1
            break
        except Checkpointed as overtaken:  # entries that a checkpoint has removed need not be intact
            first_lsn = next_lsn = overtaken.first_lsn
        except Corrupt as error:
            findings.append(make_damage(error.damage, error.segment, error.offset, error.lsn))
            break
    findings += cursor_findings(source, observe(source, "durable").newest.log_id)
    return report_on(source, first_lsn, next_lsn - 1, findings, began)
