"""`walogs tail DIR`: print the last entries of a log."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from walogs.assembly.opening import reader as open_reader
from walogs.cli.entries import as_line, standard_output
from walogs.cli.lines import print_lines
from walogs.cli.log_argument import LogArgument
from walogs.cli.numbers import FromOne
from walogs.cli.options import VISIBILITY_HELP, AsJson, Visibility
from walogs.cli.status import DONE


def tail(
    log: LogArgument,
    /,
    *,
    count: Annotated[FromOne, Parameter(name=["--entries", "-n"], help="How many of the last entries.")] = 10,
    visibility: Annotated[Visibility, Parameter(help=VISIBILITY_HELP)] = "written",
    as_json: AsJson = False,
) -> int:
    """Print the last entries.

    Takes no lock and changes nothing: the log may be open in another process, and be written to.
    """
    with standard_output() as out, open_reader(log.path, log.config, visibility=visibility) as reader:
        first_lsn = reader.first_lsn  # before the last LSN: a checkpoint in between must not make the range empty
        last_lsn = reader.last_lsn
        start = max(last_lsn - count + 1, first_lsn)
        print_lines(out, (as_line(lsn, data, as_json=as_json) for lsn, data in reader.iter(start, last_lsn + 1)))
    return DONE
