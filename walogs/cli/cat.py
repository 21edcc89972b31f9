"""`walogs cat DIR`: print the entries of a log.

A reader returns them, with or without a writer beside it. If the log is damaged, the entries before the damage are
printed too.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from walogs.assembly.opening import reader as open_reader
from walogs.cli.absence import existing
from walogs.cli.entries import as_line, standard_output
from walogs.cli.lines import print_lines
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.numbers import FromOne
from walogs.cli.options import VISIBILITY_HELP, Visibility, in_utc
from walogs.cli.status import DONE
from walogs.errors import Corrupt
from walogs.handles.arguments import check_time
from walogs.inspection.before_damage import entries_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from walogs.handles.reader import WalReader
    from walogs.types import Commit


def cat(
    log: LogArgument,
    /,
    *,
    start: Annotated[FromOne | None, Parameter(help="First LSN to print; without it, the log's first.")] = None,
    stop: Annotated[FromOne | None, Parameter(help="LSN to stop before; without it, the end.")] = None,
    from_time: Annotated[
        datetime | None,
        Parameter(help="Print only what was committed then or later: 2026-01-31T12:00:00, in UTC unless told."),
    ] = None,
    follow: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Then print each new entry, until --stop or Ctrl-C."),
    ] = False,
    visibility: Annotated[
        Visibility | None,
        Parameter(help=f"{VISIBILITY_HELP} Without it: written, and with --follow durable."),
    ] = None,
    as_json: Annotated[
        bool,
        Parameter(
            name="--json",
            negative="",
            show_default=False,
            help='Print one object per line: "lsn", and the data as "text" if it is UTF-8, else as "base64". Without'
            " it: the data as it is, and a newline.",
        ),
    ] = False,
) -> int:
    """Print the entries, in order.

    Takes no lock and changes nothing: the log may be open in another process, and be written to. If
    the log is damaged, the entries before the damage are printed, and the exit status is 4.
    """
    since_ns = unix_ns(from_time)
    with standard_output() as out:
        if not follow:
            entries = selected_entries(log, start, stop, since_ns, visibility or "written", follow=False)
            print_lines(out, (as_line(lsn, data, as_json=as_json) for lsn, data in entries))
            return DONE
        for lsn, data in selected_entries(log, start, stop, since_ns, visibility or "durable", follow=True):
            print_lines(out, [as_line(lsn, data, as_json=as_json)])
    return DONE


def selected_entries(
    log: NamedLog, start: int | None, stop: int | None, since_ns: int, visibility: Visibility, *, follow: bool
) -> Iterator[tuple[int, bytes]]:
    """Yield (LSN, data) of the entries in [start, stop) that were committed at *since_ns* or later.

    If *follow* is true, then yield each new one when it is appended, and end only at *stop*. Raises `Corrupt` at
    damage, after all entries before it have been yielded.
    """
    source, next_lsn = existing(log), start
    try:
        with open_reader(log.path, log.config, visibility=visibility) as reader:
            first_lsn = start if not since_ns else first_since(reader, start, since_ns)
            is_since = since_test(reader, since_ns)  # *since_ns* may be in the future, so new entries are checked too
            entries = entries_followed(reader, first_lsn, stop) if follow else reader.iter(first_lsn, stop)
            for lsn, data in entries:
                if is_since(lsn):
                    yield lsn, data
                next_lsn = lsn + 1
    except Corrupt as damage:
        first_damage = yield from entries_before(source, damage, next_lsn, stop, since_ns)
        raise first_damage from None


def entries_followed(reader: WalReader, start: int | None, stop: int | None) -> Iterator[tuple[int, bytes]]:
    first_lsn = reader.first_lsn if start is None else start
    if stop is not None and first_lsn >= stop:
        return
    for lsn, data in reader.follow(first_lsn):
        yield lsn, data
        if lsn + 1 == stop:
            return


def first_since(reader: WalReader, start: int | None, since_ns: int) -> int:
    """Return the LSN of the first entry that was committed at *since_ns* or later.

    If there is none, return the LSN after the last entry.
    """
    last_lsn = reader.last_lsn
    later = (commit.first_lsn for commit in reader.commits(start) if commit.time_ns >= since_ns)
    return next((max(lsn, start or 1) for lsn in later), max(last_lsn + 1, start or 1))


def since_test(reader: WalReader, since_ns: int) -> Callable[[int], bool]:
    """Return a function that tells whether an entry was committed at *since_ns* or later.

    It must be called in the order of LSNs. It checks the time of every commit, because times are not in order if a
    clock was set back.
    """
    commits: Iterator[Commit] = iter(())
    commit: Commit | None = None

    def is_since(lsn: int) -> bool:
        nonlocal commits, commit
        while since_ns and (commit is None or commit.last_lsn < lsn):
            commit = next(commits, None)
            if commit is None:  # at the first call, and for commits that came later
                commits = reader.commits(lsn)
        return commit is None or commit.time_ns >= since_ns

    return is_since


def unix_ns(time: datetime | None) -> int:
    """Return a time in nanoseconds since 1970, or 0 for None. A time without a time zone is in UTC."""
    return 0 if time is None else max(check_time(in_utc(time)), 0)
