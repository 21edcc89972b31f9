"""The whole command line: puts the commands together, each of which is in a file of its own, and runs one."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from cyclopts import CycloptsError

from walogs.cli import config as configuration
from walogs.cli.append import append
from walogs.cli.backup import backup
from walogs.cli.bench.command import bench
from walogs.cli.cat import cat
from walogs.cli.checkpoint import checkpoint
from walogs.cli.completion import completion
from walogs.cli.conformance import conformance
from walogs.cli.cursors import cursors
from walogs.cli.demo.command import demo
from walogs.cli.doctor.command import doctor
from walogs.cli.export import export
from walogs.cli.info import info
from walogs.cli.log_argument import on_a_log
from walogs.cli.output import errors_of_output_named
from walogs.cli.plugins import commands_of_plugins, plugins
from walogs.cli.repair import repair
from walogs.cli.root import app
from walogs.cli.rotate import rotate
from walogs.cli.salvage import salvage
from walogs.cli.status import DONE, USAGE, complain, message_lines, status_of
from walogs.cli.tail import tail
from walogs.cli.top.command import top
from walogs.cli.usage import usage_line
from walogs.cli.verify import verify
from walogs.cli.who import who
from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ON_A_LOG: Final[tuple[Callable[..., int], ...]] = (
    append,
    backup,
    cat,
    checkpoint,
    cursors,
    doctor,
    export,
    info,
    repair,
    rotate,
    salvage,
    tail,
    top,
    verify,
    who,
)
"""The commands that are about one log, which their first argument names."""
OTHERS: Final = (bench, completion, configuration.commands, conformance, demo, plugins)

for command in ON_A_LOG:
    app.command(on_a_log(command))
for command in OTHERS:
    app.command(command)


def run(tokens: Sequence[str]) -> int:
    """Run one command and return its exit status. Warnings of recovery go to standard error."""
    warnings = logging.StreamHandler()
    warnings.setFormatter(logging.Formatter("walogs: %(message)s"))
    logger = logging.getLogger("walogs")
    logger.addHandler(warnings)
    try:
        with commands_of_plugins(app, tokens), errors_of_output_named():
            status = run_command(tokens)
            if sys.stdout is not None:
                sys.stdout.flush()
        return status if isinstance(status, int) else DONE
    except BrokenPipeError:  # the reader of the output has closed its end of the pipe
        forget_output()
        return DONE
    except (WalError, OSError, KeyboardInterrupt) as error:
        for line in message_lines(error):
            complain(line)
        forget_output()
        return status_of(error)
    finally:
        logger.removeHandler(warnings)


def run_command(tokens: Sequence[str]) -> object:
    """Run the command and return what it returns. If the usage is wrong, print why and return USAGE.

    The message is made here, because it may name commands of plugins, and `run` removes these afterwards.
    """
    try:
        return app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        complain(usage_line(error))
        return USAGE


def forget_output() -> None:
    """Discard buffered output that cannot be written, so that Python does not fail to write it again at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
