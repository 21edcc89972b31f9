"""`walogs config`: whether a configuration file is right, and what it says in the end."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from cyclopts import App, Parameter

from walogs.cli.log_argument import nearest
from walogs.cli.show import counted
from walogs.cli.status import DONE, FAILED, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.config_file import Examined
    from walogs.config_log import Resolved, Setting
    from walogs.config_tables import Mistake

File: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--config",
        show_default=False,
        help="Without it: walogs.toml or pyproject.toml of the working directory.",
    ),
]
AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]

commands = App(name="config", help="Check a configuration file, or show what it says with the environment over it.")


@commands.command
def check(file: File = None, *, as_json: AsJson = False) -> int:
    """Tell every mistake in a configuration file and in the variables WALOGS_LOG__…; open nothing.

    Exit status 0: there is none; 1: there are, each on its own line, with what is allowed.
    """
    examined, mistakes = looked_at(file)
    if as_json:
        told = [mistake_facts(mistake) for mistake in mistakes]
        print(
            json.dumps({"file": examined.file, "ok": not mistakes, "mistakes": told, "notes": examined.notes}, indent=2)
        )
    else:
        for line in checked_lines(examined, mistakes):
            print(printable(line))
    return FAILED if mistakes else DONE


@commands.command
def show(
    file: File = None,
    *,
    log: Annotated[str | None, Parameter(show_default=False, help="Name of the log; without it, every log.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show every value that a log has, and where it comes from: a default, the file, or the environment."""
    from walogs.config_file import refuse

    examined, mistakes = looked_at(file)
    refuse(mistakes)
    logs = [examined.log(log)] if log is not None else list(examined.logs.values())
    if as_json:
        told = {one.name: [setting_facts(setting) for setting in one.settings] for one in logs}
        print(json.dumps({"file": examined.file, "logs": told, "notes": examined.notes}, indent=2))
    else:
        for line in shown_lines(examined, logs):
            print(printable(line))
    return DONE


def looked_at(file: Path | None) -> tuple[Examined, list[Mistake]]:
    """The file, and every mistake; a log that is nowhere is one, since nothing says here where else it is."""
    from walogs.config_file import examine, pathless

    examined = examine(file if file is not None else nearest())
    nowhere = (pathless(examined.file, log) for log in examined.logs.values() if not log.has_path)
    return examined, [*examined.mistakes, *nowhere]


def checked_lines(examined: Examined, mistakes: list[Mistake]) -> Iterator[str]:
    yield from map(str, mistakes)
    yield from (f"note: {note}" for note in examined.notes)
    if not mistakes:
        logs = counted(len(examined.logs), "log", "logs")
        yield f"good: {examined.file} describes {logs}: {', '.join(examined.logs)}"


def shown_lines(examined: Examined, logs: list[Resolved]) -> Iterator[str]:
    from walogs.config_values import NONE

    width = max((len(setting.key) for log in logs for setting in log.settings), default=0)
    for log in logs:
        yield f"[{log.key}] of {examined.file}"
        for setting in log.settings:
            value = json.dumps(NONE if setting.value is None else as_json_value(setting.value), ensure_ascii=False)
            yield f"{setting.key:<{width}}  {value}  ({setting.variable or setting.origin})"
    yield from (f"note: {note}" for note in examined.notes)


def mistake_facts(mistake: Mistake) -> dict[str, Any]:
    from walogs.config_tables import unsecret
    from walogs.config_values import ABSENT

    written = None if mistake.value is ABSENT else as_json_value(unsecret(mistake.value))
    return {**mistake._asdict(), "value": written, "message": str(mistake)}


def setting_facts(setting: Setting) -> dict[str, Any]:
    return {**asdict(setting), "value": as_json_value(setting.value)}


JSON_DEPTH: Final = 20
"""What is nested deeper is told as text."""


def as_json_value(value: Any, depth: int = 0) -> Any:
    """The value, in what JSON has; None is what a file writes as "none"."""
    from walogs.config_tables import shown

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
            return shown(value)
