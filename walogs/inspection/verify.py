"""`verify`: everything that is wrong with a log, and what each of it means. Changes nothing, takes no lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from walogs.assembly import source_of
from walogs.config import overridden
from walogs.engine.beside import look_beside
from walogs.engine.recovery import check_completed, examine, is_kept_fence
from walogs.errors import Checkpointed, Corrupt, Missing
from walogs.inspection.intact import base_of
from walogs.inspection.salvage import entries_counted, intact_commits
from walogs.protocols import is_appendable
from walogs.types import Finding, Gap, Verification

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from typing_extensions import Unpack

    from walogs.config import Overrides, WalConfig
    from walogs.engine.recovery import Examined, Verify
    from walogs.engine.source import Source

LOOKS_MAX: Final = 20
"""So often is looked again while a writer changes what is looked at."""


def verify(
    path: str | os.PathLike[str] | None = None,
    config: WalConfig | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
    **overrides: Unpack[Overrides],
) -> Verification:
    """Check every byte that `open` would rely on, as strictly as it does, and go on after damage.

    `.ok` says what `open` would: True, and it opens. Beside a live writer it speaks of what is durable. *progress* is
    called after each completed segment with (bytes checked, bytes of all that are completed). Raises only what the
    system or the format says: `Missing` (no log is there), `UnsupportedFormat`, `OSError`.
    """
    return verified(source_of(path, overridden(config, overrides)), progress=progress)


def verified(
    source: Source, *, is_full: bool = True, progress: Callable[[int, int], object] | None = None
) -> Verification:
    """*is_full*: every byte; else of sealed segments their headers and SEALs only, as long as those are good."""
    began = time.monotonic()
    if not source.store.segments():
        raise Missing(f"{source.store.name} holds no log: nothing was ever appended there. Is that the right place?")
    refusal: Corrupt | None = None
    how: Verify = "last" if source.format.traits.has_seal and is_appendable(source.store) else "full"
    for _ in range(LOOKS_MAX):
        before = pulse(source)
        try:
            examined = examine(source, how, "acked")
        except Missing:
            continue
        except Corrupt as error:
            refusal = error
            if pulse(source) == before:  # nobody has written meanwhile: that is how it is
                return damaged(source, [error], began)
            continue
        if examined is not None:
            return checked(source, examined, began, progress, is_full=is_full)
    return beside_a_writer(source, refusal, began)


def pulse(source: Source) -> object:
    """Something that changes with every commit, rotation and checkpoint."""
    store = source.store
    numbers = tuple(store.segments())
    try:
        sizes = [store.size(number) for number in numbers[-2:]]
        newest = source.header(numbers[-1])
        bound = look_beside(source, "written")
    except (Corrupt, Missing):
        return numbers
    return numbers, sizes, newest, bound.end, store.read_witness() if is_appendable(store) else None


def checked(
    source: Source,
    examined: Examined,
    began: float,
    progress: Callable[[int, int], object] | None,
    *,
    is_full: bool,
) -> Verification:
    """Headers, links, SEALs and the newest segment are as they should be; now the bytes of the others, if asked for."""
    findings: list[Finding] = []
    headers = [segment.header for segment in examined.completed] + [examined.newest.header]
    refusals: list[Corrupt] = []
    done, total = 0, sum(segment.end for segment in examined.completed)
    for segment, successor in zip(examined.completed, headers[1:], strict=True):
        try:
            loose = check_completed(source, segment, successor) if is_full else []
        except Missing:  # checkpointed meanwhile
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
            findings.append(note("padding", segment.header.number, offset, f"{name}, run at byte {offset}: {what}."))
        if is_appendable(source.store) and source.format.traits.has_seal and not segment.seal_end:
            what = "has no intact SEAL: nothing is lost, it is only slower to read"
            findings.append(note("unsealed", segment.header.number, segment.end, f"{name} {what}."))
    if refusals:
        return damaged(source, refusals, began)
    findings += tail_findings(source, examined)
    return Verification(
        segments=len(headers),
        entries=examined.newest.last_lsn - headers[0].first_lsn + 1,
        bytes=sum(segment.end for segment in examined.completed) + examined.newest.end,
        first_lsn=examined.base_lsn,
        last_lsn=examined.newest.last_lsn,
        findings=tuple(findings),
        duration_seconds=time.monotonic() - began,
    )


def tail_findings(source: Source, examined: Examined) -> Iterator[Finding]:
    newest = examined.newest
    name = source.store.segment_name(newest.header.number)
    if examined.verdict == "torn":
        what = "an unfinished write, never known to be durable: the next open cuts it"
        yield note("torn", newest.header.number, newest.end, f"{name} ends at byte {newest.end} with {what}.")
    for number in (number for number in examined.below_base if not is_kept_fence(source, number)):
        what = "lies below the base: an interrupted checkpoint left it, and the next open removes it"
        yield note("below base", number, None, f"{source.store.segment_name(number)} {what}.")


def note(kind: str, segment: int, offset: int | None, message: str) -> Finding:
    return Finding(kind, False, segment, offset, None, message)  # type: ignore[arg-type]


def damaged(source: Source, refusals: list[Corrupt], began: float) -> Verification:
    """What `open` refuses, and after it every other damaged header, and everything that salvage finds missing."""
    findings: list[Finding] = []
    places: set[tuple[int | None, int | None]] = set()
    for refusal in (*refusals, *damaged_headers(source)):
        if (refusal.segment, refusal.offset) not in places:
            findings.append(Finding("corrupt", True, refusal.segment, refusal.offset, refusal.lsn, str(refusal)))
            places.add((refusal.segment, refusal.offset))
    ends = set(missing_ends(source, refusals))
    entries = last_lsn = 0
    first_lsn = None
    for found in intact_commits(source, entries_counted):
        if isinstance(found, Gap):
            is_told = found.last_lsn in ends if found.segment is None else (found.segment, found.offset) in places
            if not is_told:
                findings.append(gap_finding(source, found))
            continue
        lsn, commit = found
        entries, last_lsn = entries + len(commit), lsn + len(commit) - 1
        first_lsn = lsn if first_lsn is None else first_lsn
    numbers = source.store.segments()
    return Verification(
        segments=len(numbers),
        entries=entries,
        bytes=sum(source.store.size(number) for number in numbers),
        first_lsn=first_lsn if first_lsn is not None else 1,
        last_lsn=last_lsn,
        findings=tuple(findings),
        duration_seconds=time.monotonic() - began,
    )


def damaged_headers(source: Source) -> Iterator[Corrupt]:
    """Of the segments that open would look at: down to the base."""
    numbers = tuple(source.store.segments())
    base_lsn = base_of(source, numbers)
    for number in reversed(numbers):
        try:
            if source.header(number).first_lsn <= base_lsn:
                return
        except Missing:  # checkpointed meanwhile
            return
        except Corrupt as error:
            yield error


def missing_ends(source: Source, refusals: list[Corrupt]) -> Iterator[int]:
    """The last entries of segments that were found missing: what salvage misses there has been told."""
    numbers = source.store.segments()
    for refusal in refusals:
        if refusal.segment is not None and refusal.segment not in numbers and refusal.segment + 1 in numbers:
            yield source.header(refusal.segment + 1).first_lsn - 1


def gap_finding(source: Source, gap: Gap) -> Finding:
    place = source.store.name if gap.segment is None else source.store.segment_name(gap.segment)
    at = "" if gap.offset is None else f" at byte {gap.offset}"
    lsns = f"{gap.first_lsn} to {gap.last_lsn}" if gap.last_lsn is not None else f"from {gap.first_lsn} on"
    move = "Restore it from a copy; `walogs salvage` has what is intact around it."
    message = f"{place}{at}: entries {lsns} are not intact ({gap.why}). {move}"
    return Finding("corrupt", True, gap.segment, gap.offset, gap.first_lsn, message)


def beside_a_writer(source: Source, refusal: Corrupt | None, began: float) -> Verification:
    """A writer so busy that no two looks see the same: what is durable, entry by entry, as a reader sees it."""
    from walogs.wal_reader import WalReader

    reader = WalReader(None, source, "durable")
    first_lsn = next_lsn = reader.first_lsn
    stop = reader.last_lsn + 1
    findings: list[Finding] = []
    while next_lsn < stop:
        try:
            for commit in reader.commits(next_lsn, stop):
                next_lsn = commit.last_lsn + 1
            break
        except Checkpointed as overtaken:  # what a checkpoint removes meanwhile need not be intact
            first_lsn = next_lsn = overtaken.base_lsn
        except Corrupt as error:
            findings.append(Finding("corrupt", True, error.segment, error.offset, error.lsn, str(error)))
            break
    numbers = source.store.segments()
    return Verification(
        segments=len(numbers),
        entries=next_lsn - first_lsn,
        bytes=sum(size_or_none(source, number) for number in numbers),
        first_lsn=first_lsn,
        last_lsn=next_lsn - 1,
        findings=tuple(findings),
        duration_seconds=time.monotonic() - began,
    )


def size_or_none(source: Source, number: int) -> int:
    """0 of a segment that a checkpoint has just removed."""
    try:
        return source.store.size(number)
    except Missing:
        return 0
