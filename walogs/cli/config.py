"""`walogs config`: check a configuration file, or show the values that result from it."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from cyclopts import App, Parameter

from walogs.cli.log_argument import nearest
from walogs.cli.options import AsJson
from walogs.cli.paths import typed_path
from walogs.cli.show import count_words
from walogs.cli.status import DONE, FAILED, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.config_file.file import CheckedFile
    from walogs.config_file.log import LogSettings, Setting
    from walogs.config_file.tables import Problem

File: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--config",
        converter=typed_path,
        show_default=False,
        help="Without it: walogs.toml or pyproject.toml of the working directory.",
    ),
]

commands = App(name="config", help="Check a configuration file, or show what it says with the environment over it.")


@commands.command
def check(file: File = None, *, as_json: AsJson = False) -> int:
    """Print every problem in a configuration file and in the variables WALOGS_LOG__…; open nothing.

    Each problem is on its own line, with what is allowed. Exit status 0: there is no problem. 1: there is one or more.
    """
    examined, problems = examine_file(file)
    if as_json:
        told = [problem_facts(problem) for problem in problems]
        print(
            json.dumps({"file": examined.file, "ok": not problems, "problems": told, "notes": examined.notes}, indent=2)
        )
    else:
        for line in lines_of_check(examined, problems):
            print(printable(line))
    return FAILED if problems else DONE


@commands.command
def show(
    file: File = None,
    *,
    log: Annotated[str | None, Parameter(show_default=False, help="Name of the log; without it, every log.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show every value that a log has, and where it comes from: a default, the file, or the environment."""
    from walogs.config_file.file import refuse

    examined, problems = examine_file(file)
    refuse(problems)
    logs = [examined.log(log)] if log is not None else list(examined.logs.values())
    if as_json:
        told = {one.name: [setting_facts(setting) for setting in one.settings] for one in logs}
        print(json.dumps({"file": examined.file, "logs": told, "notes": examined.notes}, indent=2))
    else:
        for line in lines_of_show(examined, logs):
            print(printable(line))
    return DONE


def examine_file(file: Path | None) -> tuple[CheckedFile, list[Problem]]:
    """Return the file and every problem.

    A log without a path is a problem here, since this command takes no path from elsewhere.
    """
    from walogs.config_file.file import examine, missing_path

    examined = examine(file if file is not None else nearest())
    nowhere = (missing_path(examined.file, log) for log in examined.logs.values() if not log.has_path)
    return examined, [*examined.problems, *nowhere]


def lines_of_check(examined: CheckedFile, problems: list[Problem]) -> Iterator[str]:
    yield from map(str, problems)
    yield from (f"note: {note}" for note in examined.notes)
    if not problems:
        logs = count_words(len(examined.logs), "log", "logs")
        yield f"good: {examined.file} describes {logs}: {', '.join(examined.logs)}"


def lines_of_show(examined: CheckedFile, logs: list[LogSettings]) -> Iterator[str]:
    from walogs.config_file.values import NONE

    width = max((len(setting.key) for log in logs for setting in log.settings), default=0)
    for log in logs:
        yield f"[{log.key}] of {examined.file}"
        for setting in log.settings:
            value = json.dumps(NONE if setting.value is None else as_json_value(setting.value), ensure_ascii=False)
            yield f"{setting.key:<{width}}  {value}  ({setting.variable or setting.origin})"
    yield from (f"note: {note}" for note in examined.notes)


def problem_facts(problem: Problem) -> dict[str, Any]:
    from walogs.config_file.tables import unsecret
    from walogs.config_file.values import ABSENT

    written = None if problem.value is ABSENT else as_json_value(unsecret(problem.value))
    return {**problem._asdict(), "value": written, "message": str(problem)}


def setting_facts(setting: Setting) -> dict[str, Any]:
    return {**asdict(setting), "value": as_json_value(setting.value)}


JSON_DEPTH: Final = 20
"""Values that are nested deeper than this are printed as text."""


def as_json_value(value: Any, depth: int = 0) -> Any:
    """Return the value as a type that JSON has. The None that a file writes as "none" becomes null."""
    from walogs.config_file.tables import shorten

    match value:
        case enum.Enum():
            return as_json_value(value.value, depth)
        case None | bool() | str() | float():
            return value
        case int() if value.bit_length() < 64:
            return value
        case PurePath():
            return str(value)
        case dict() if depth < JSON_DEPTH:
            return {str(key): as_json_value(inner, depth + 1) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset() if depth < JSON_DEPTH:
            return [as_json_value(inner, depth + 1) for inner in value]
        case _:
            return shorten(value)
