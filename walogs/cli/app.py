"""The commands: what each takes, and the paragraph that carries it out."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from walogs.assembly import open as open_log
from walogs.assembly import open_reader, store_of
from walogs.cli import demo as demonstration
from walogs.cli import inspection, show
from walogs.cli.entries import as_line, standard_output
from walogs.cli.lines import append_lines, opened_lines, print_lines
from walogs.cli.status import DONE, USAGE, status_of, told
from walogs.errors import WalError
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from walogs.types import Commit
    from walogs.wal import Wal

LogPath: TypeAlias = Annotated[Path, Parameter(name="DIR", help="Directory of the log.")]
Lsn: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]
Verify: TypeAlias = Annotated[
    Literal["full", "last"],
    Parameter(help="What opening checks: every segment, or of completed ones their headers and SEALs only."),
]

AS_A_WRITER: Final = (
    "The log is opened as a writer opens it: it must not be open elsewhere, and a torn end is cut, as the next"
    " writer would have done. A log that is not there is an error, and is not made."
)
STATUSES: Final = (
    "Exit status: 0 done, 1 the log or the system refused, 2 wrong usage, 3 the log is open elsewhere, 4 the log is"
    " corrupt or of an unknown format, 130 interrupted."
)


def release() -> str:
    try:
        return version("walogs")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


app = App(
    name="walogs",
    help="A crash-safe write-ahead log: look at one, append to one, or watch one survive a kill.",
    help_epilogue=STATUSES,
    help_format="markdown",
    version=release,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


@app.command
def demo() -> int:
    """Kill a writer in the middle of writing, cut the power (simulated), and see what a log gives back.

    A child process appends a real file's lines to a log in a temporary directory, and is killed with SIGKILL. Exit
    status 0: every entry that was acknowledged came back; 1: not so. Nothing is left behind.
    """
    return demonstration.run()


@app.command
def append(
    path: LogPath,
    /,
    *,
    lines: Annotated[
        Path, Parameter(allow_leading_hyphen=True, help="File whose lines are appended; - is standard input.")
    ] = Path("-"),
    as_json: AsJson = False,
) -> int:
    """Append each line, without its newline, as one entry; print the LSNs they were given.

    The log is made where there is none. What is read at once is committed at once, all of it or nothing, and is durable
    before more is read: a pipe's lines as they come, a file's 1 MiB at a time. After an error, what had been committed
    before it is there, and the message says up to which LSN.
    """
    with opened_lines(str(lines)) as source, open_log(path) as wal:
        first_lsn = wal.next_lsn
        append_lines(wal, source)
        last_lsn = wal.last_lsn
    entries = last_lsn - first_lsn + 1
    if as_json:
        print(json.dumps({"entries": entries, "first_lsn": first_lsn, "last_lsn": last_lsn} if entries else NO_ENTRIES))
    elif entries:
        print(f"appended {show.counted(entries, 'entry', 'entries')}: {show.lsns(first_lsn, last_lsn)}")
    else:
        print("appended nothing: there were no lines")
    return DONE


NO_ENTRIES: Final = {"entries": 0, "first_lsn": None, "last_lsn": None}


@app.command(help=f"Print the entries, in order.\n\n{AS_A_WRITER}")
def cat(
    path: LogPath,
    /,
    *,
    start: Annotated[Lsn | None, Parameter(help="First LSN to print; without it, the first there is.")] = None,
    stop: Annotated[Lsn | None, Parameter(help="LSN to stop before; without it, the end.")] = None,
    as_json: Annotated[
        bool,
        Parameter(
            name="--json",
            negative="",
            show_default=False,
            help='One object a line: "lsn", and the data as "text" when it is UTF-8, else as "base64". Without it: the'
            " data as it is, and a newline.",
        ),
    ] = False,
    verify: Verify = "full",
    follow: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Read beside the log's writer, without its lock, changing nothing; then wait for more, until Ctrl-C.",
        ),
    ] = False,
    from_time: Annotated[
        datetime | None,
        Parameter(help="Begin with the first entry committed then or later: 2026-01-31T12:00:00, in UTC unless told."),
    ] = None,
) -> int:
    """Print the entries."""
    if follow:
        with standard_output() as out, open_reader(path) as reader:
            first_lsn = start if from_time is None else first_since(reader.commits(start), from_time, reader.last_lsn)
            entries = (item for item in reader.follow(first_lsn) if stop is None or item[0] < stop)
            for lsn, data in entries:
                print_lines(out, [as_line(lsn, data, as_json=as_json)])
                if stop is not None and lsn == stop - 1:
                    break
        return DONE
    with standard_output() as out, opened(path, verify) as wal:
        first_lsn = start if from_time is None else first_since(wal.commits(start), from_time, wal.last_lsn)
        print_lines(out, (as_line(lsn, data, as_json=as_json) for lsn, data in wal.iter(first_lsn, stop)))
    return DONE


def first_since(commits: Iterable[Commit], time: datetime, last_lsn: int) -> int:
    """The LSN of the first entry committed at *time* or later; the one after the last when there is none."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    time_ns = int(aware.timestamp() * 1e9)
    return next((commit.first_lsn for commit in commits if commit.time_ns >= time_ns), last_lsn + 1)


@app.command(
    help=f"Tell what a log holds, and what opening it found: segments, LSNs, sizes, times.\n\n{AS_A_WRITER}",
)
def info(path: LogPath, /, *, as_json: AsJson = False, verify: Verify = "full") -> int:
    """Tell what a log holds."""
    with opened(path, verify) as wal:
        facts = show.facts_of(wal)
    show.show(facts, as_json=as_json)
    return DONE


for command, text in inspection.HELP.items():
    app.command(command, help=text)


def opened(path: Path, verify: Literal["full", "last"]) -> Wal:
    """The log at *path*. Raises `FileNotFoundError`, with nothing made, where there is none."""
    store = store_of(path, "local")
    if not store.segments() and not (is_appendable(store) and store.read_witness() is not None):
        raise FileNotFoundError(errno.ENOENT, "there is no log; `walogs append` makes one", str(path))
    return open_log(path, verify=verify)


def run(tokens: Sequence[str]) -> int:
    """One command; returns its exit status. What recovery has to say goes to standard error."""
    warnings = logging.StreamHandler()
    warnings.setFormatter(logging.Formatter("walogs: %(message)s"))
    logger = logging.getLogger("walogs")
    logger.addHandler(warnings)
    try:
        status = app(tokens, exit_on_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except CycloptsError:  # it has been told
        return USAGE
    except BrokenPipeError:  # whoever was reading has had enough
        forget_output()
        return DONE
    except (WalError, OSError, KeyboardInterrupt) as error:
        complain(told(error))
        forget_output()
        return status_of(error)
    finally:
        logger.removeHandler(warnings)


def complain(line: str) -> None:
    if sys.stderr is not None:
        print(f"walogs: {line}", file=sys.stderr)


def forget_output() -> None:
    """What is still buffered, and cannot be written, goes nowhere, instead of failing again at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
