"""`walogs append DIR`: append the lines of a file or a pipe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from walogs.assembly.config import WalConfig
from walogs.assembly.opening import open as open_log
from walogs.cli import show
from walogs.cli.absence import refuse_among_others, what_is_left_told
from walogs.cli.lines import append_json_lines, append_lines, open_lines
from walogs.cli.log_argument import LogArgument
from walogs.cli.options import AsJson, Wait, waiting
from walogs.cli.paths import typed_path
from walogs.cli.status import DONE, complain

NO_ENTRIES: Final = {"entries": 0, "first_lsn": None, "last_lsn": None}


def append(
    log: LogArgument,
    /,
    *,
    lines: Annotated[
        Path,
        Parameter(
            converter=typed_path, allow_leading_hyphen=True, help="File whose lines are appended; - is standard input."
        ),
    ] = Path("-"),
    json_lines: Annotated[
        bool,
        Parameter(
            name="--json-lines",
            negative="",
            show_default=False,
            help="Each line is an object, as `cat` and `salvage` print them with --json: append its entry, byte for"
            " byte. Its LSN is not kept. Lines that describe a gap are skipped and counted.",
        ),
    ] = False,
    wait: Wait = None,
    as_json: AsJson = False,
) -> int:
    """Append each line, without its newline, as one entry, and print the LSNs of the entries.

    If there is no log, the command makes one. It reads what a pipe has, or 1 MiB of a file, and commits these lines as
    one batch: either all of them or none. The batch is durable before the command reads on. After an error, the batches
    before it are in the log, and the message says up to which LSN.
    """
    refuse_among_others(log)
    # This command chooses the batches, and not its user, so the log's limit for batches does not apply to them.
    batch_size = max(log.config.max_batch_size, WalConfig().max_batch_size)
    config = replace(waiting(log.config, wait), max_batch_size=batch_size)
    with open_lines(str(lines)) as source, what_is_left_told(log.path), open_log(log.path, config) as wal:
        first_lsn, gaps = wal.next_lsn, 0
        if json_lines:
            gaps = append_json_lines(wal, source, config.max_entry_size)
        else:
            append_lines(wal, source, config.max_entry_size)
        last_lsn = wal.last_lsn
    print_result(first_lsn, last_lsn, gaps, as_json=as_json)
    return DONE


def print_result(first_lsn: int, last_lsn: int, gaps: int, *, as_json: bool) -> None:
    """Print which LSNs the entries have. *last_lsn* is below *first_lsn* if nothing was appended."""
    entries = last_lsn - first_lsn + 1
    if gaps:
        complain(
            f"the lines describe {show.count_words(gaps, 'gap', 'gaps')}: the entries after one have other LSNs here"
        )
    if as_json:
        print(json.dumps({"entries": entries, "first_lsn": first_lsn, "last_lsn": last_lsn} if entries else NO_ENTRIES))
    elif entries:
        print(f"appended {show.count_words(entries, 'entry', 'entries')}: {show.lsns(first_lsn, last_lsn)}")
    else:
        print("appended nothing: there were no lines")
