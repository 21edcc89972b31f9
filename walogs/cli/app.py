"""The commands: what each takes, and the paragraph that carries it out."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from rich.console import Console

from walogs.assembly import open as open_log
from walogs.cli import config as configuration
from walogs.cli import demo as demonstration
from walogs.cli import inspection, plugins, reading, show
from walogs.cli.bench import bench
from walogs.cli.conformance import conformance
from walogs.cli.doctor import doctor
from walogs.cli.entries import as_line, standard_output
from walogs.cli.facts import facts_of
from walogs.cli.lines import append_lines, opened_lines, print_lines, progress_bar
from walogs.cli.log_argument import LogArgument, on_a_log
from walogs.cli.picture import draw
from walogs.cli.release import release
from walogs.cli.status import CORRUPT, DONE, USAGE, status_of, told_lines
from walogs.config import WalConfig
from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Sequence

Lsn: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]
Verify: TypeAlias = Annotated[
    Literal["full", "last"],
    Parameter(help="What is checked: every byte, or of sealed segments their headers and SEALs only."),
]

STATUSES: Final = (
    "Exit status: 0 done, 1 the log or the system refused, 2 wrong usage, 3 the log is open elsewhere, 4 the log is"
    " corrupt or of an unknown format, 130 interrupted."
)


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
def demo(*, as_json: AsJson = False) -> int:
    """Kill a writer in the middle of writing, cut the power (simulated), and see what a log gives back.

    A child process appends a real file's lines to a log in a temporary directory, and is killed with SIGKILL. Exit
    status 0: every entry that was acknowledged came back; 1: not so. Nothing is left behind.
    """
    return demonstration.run(as_json=as_json)


@app.command
@on_a_log
def append(
    log: LogArgument,
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
    # What is read at once is a batch of our making: a limit on the caller's own batches does not concern it.
    config = replace(log.config, max_batch_size=max(log.config.max_batch_size, WalConfig().max_batch_size))
    with opened_lines(str(lines)) as source, open_log(log.path, config) as wal:
        first_lsn = wal.next_lsn
        append_lines(wal, source, config.max_entry_size)
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


@app.command(
    help=f"Print the entries, in order.\n\n{inspection.BESIDE} At damage, what lies before it is printed, and the exit"
    " status is 4."
)
@on_a_log
def cat(
    log: LogArgument,
    /,
    *,
    start: Annotated[Lsn | None, Parameter(help="First LSN to print; without it, the first there is.")] = None,
    stop: Annotated[Lsn | None, Parameter(help="LSN to stop before; without it, the end.")] = None,
    from_time: Annotated[
        datetime | None,
        Parameter(help="Begin with the first entry committed then or later: 2026-01-31T12:00:00, in UTC unless told."),
    ] = None,
    follow: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Then print each entry as it comes, until --stop or Ctrl-C."),
    ] = False,
    upto: Annotated[
        inspection.Upto | None,
        Parameter(help=f"{inspection.UPTO_HELP} Without it: written, and with --follow durable."),
    ] = None,
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
) -> int:
    """Print the entries."""
    since_ns = reading.unix_ns(from_time)
    with standard_output() as out:
        if not follow:
            entries = reading.entries_once(log, start, stop, since_ns, upto or "written")
            print_lines(out, (as_line(lsn, data, as_json=as_json) for lsn, data in entries))
            return DONE
        for lsn, data in reading.entries_followed(log, start, stop, since_ns, upto or "durable"):
            print_lines(out, [as_line(lsn, data, as_json=as_json)])
    return DONE


@app.command(
    help=f"Tell what a log holds: its segments, what a checkpoint would free, and where it is damaged.\n\n"
    f"{inspection.BESIDE} Exit status 0: nothing is damaged; 4: it is, and the lines say where, what it means, and what"
    " to do.",
)
@on_a_log
def info(log: LogArgument, /, *, as_json: AsJson = False, verify: Verify = "full") -> int:
    """Tell what a log holds."""
    with progress_bar("checking") as progress:
        facts = facts_of(log.name, reading.existing(log), verify, progress)
    if as_json:
        print(json.dumps(facts.as_json(), indent=2))
    elif sys.stdout is not None and sys.stdout.isatty():
        draw(facts, Console(highlight=False), time.time_ns())
    else:
        encoding = sys.stdout.encoding if sys.stdout is not None else None
        for line in show.lines_of(facts, time.time_ns()):
            print(show.encodable(line, encoding))
    return DONE if facts.ok else CORRUPT


@app.command
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell that is to complete.")], /
) -> int:
    """Print the script by which a shell completes commands and options; those of plugins by their names.

    - bash: `eval "$(walogs completion bash)"` in ~/.bashrc, or the script as a file:
      `walogs completion bash > ~/.local/share/bash-completion/completions/walogs`
    - zsh: `walogs completion zsh > ~/.zfunc/_cyclopts_walogs`, under just that name, and before `compinit` in ~/.zshrc:
      `fpath=(~/.zfunc $fpath)`
    - fish: `walogs completion fish > ~/.config/fish/completions/walogs.fish`
    """
    plugins.list_commands(app)  # `run` forgets them
    with standard_output() as out:
        out.write(app.generate_completion(shell=shell).encode())
    return DONE


app.command(plugins.plugins)

for command, text in inspection.HELP.items():
    app.command(on_a_log(command), help=text)
app.command(configuration.commands)
app.command(conformance)
app.command(on_a_log(doctor))
app.command(bench)


def run(tokens: Sequence[str]) -> int:
    """One command; returns its exit status. What recovery has to say goes to standard error."""
    warnings = logging.StreamHandler()
    warnings.setFormatter(logging.Formatter("walogs: %(message)s"))
    logger = logging.getLogger("walogs")
    logger.addHandler(warnings)
    try:
        with plugins.commands_of_plugins(app, tokens):
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
        for line in told_lines(error):
            complain(line)
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
