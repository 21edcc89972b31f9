"""Logs that are described in a file: `open_config("walogs.toml", log="orders")`.

A keyword overrides the environment, the environment overrides the file, and the file overrides the defaults. The whole
file must be right, whichever log the caller asks for. One `ConfigError` lists every problem. `walogs.open` reads
neither the file nor the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from walogs.assembly import registry
from walogs.assembly.config import LOCAL_STORE, Overrides, WalConfig, config_error, overridden
from walogs.assembly.opening import open as open_log
from walogs.config_file.log import ComponentChoice, LogSettings, read_settings, without_prefix
from walogs.config_file.tables import Problem, apply_environment, read
from walogs.config_file.values import ABSENT, converter_for
from walogs.errors import ConfigError
from walogs.foundation.foreign import describe
from walogs.foundation.local_paths import local_path, path_text
from walogs.foundation.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Unpack

    from walogs.handles.wal import Wal


class ConfiguredLog(NamedTuple):
    """The path and the configuration of one log, as `walogs.open` and `walogs.verify` take them.

    For example: `walogs.verify(*walogs.load_config(file, log=NAME))`.
    """

    path: str | None
    """An absolute path, or an address. It is None if the store is an object, which knows its place itself."""
    config: WalConfig


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """The content of a file after the environment's variables have been applied, and every problem."""

    file: str
    logs: dict[str, LogSettings]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """Notes about variables for logs that this file does not have. These variables may be meant for another file."""

    def log(self, name: str | None) -> LogSettings:
        """Return the log of that name, or the only log if *name* is None.

        Raises `ConfigError`, which lists the known names, if there is no log of that name, or if *name* is None
        and the file does not describe exactly one log.
        """
        if name is None:
            if len(self.logs) == 1:
                return next(iter(self.logs.values()))
            raise config_error(f"{self.file}: log=None: which of its logs? (there are: {', '.join(self.logs)})")
        if name not in self.logs:
            raise config_error(f"{self.file}: log={name!r}: no such log{did_you_mean(name, self.logs)}")
        return self.logs[name]


def open_config(
    file: str | os.PathLike[str],
    *,
    log: str | None = None,
    path: str | os.PathLike[str] | None = None,
    **overrides: Unpack[Overrides],
) -> Wal:
    """Open the log that *file* describes as [log.NAME], or, in a pyproject.toml, as [tool.walogs.log.NAME].

    *log* is the name of the log. It can be None if the file describes only one log.

    *path* and *overrides* (keys of `WalConfig`) override the environment's variables WALOGS_LOG__NAME__…, which
    override the file. A component that is given here replaces the file's component with all its options. Raises what
    `walogs.open` raises. If the file is wrong, `ConfigError` has every problem in `problems`, and nothing was opened.
    """
    config_of = load_config(file, log=log, path=path, **overrides)
    return open_log(config_of.path, config_of.config)


def load_config(
    file: str | os.PathLike[str],
    *,
    log: str | None = None,
    path: str | os.PathLike[str] | None = None,
    **overrides: Unpack[Overrides],
) -> ConfiguredLog:
    """Return (path, config) of that log, for `walogs.reader`, `verify`, `salvage`, `backup` and `repair`.

    The call opens nothing. It makes an object of each component that has options, and such an object belongs to one
    handle: call `load_config` again for a second handle. The parameters are those of `open_config`.

    Raises `ConfigError` with every problem of the file in `problems`, `PluginError` if a plugin is broken, and what a
    component raises when it is made.
    """
    overridden(None, overrides, own=("file", "log", "path"))
    examined = examine(file)
    refuse(examined.problems)
    if log is not None and not isinstance(log, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"{examined.file}: log={log!r}: the name of a log of this file, as str")
    return config_of(examined.file, examined.log(log), path, overrides)


def examine(file: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> CheckedFile:
    """Read and check a file, and return every problem instead of raising it. No component is made.

    *environ* is None for the environment of the process. Raises `ConfigError` only if *file* is no name of a file.
    """
    if not isinstance(file, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"file={describe(file)}: the name of a TOML file, as 'walogs.toml'")
    name = os.fsdecode(file)
    document = read(name)
    converter = converter_for(document.directory)
    problems = [*document.problems]
    for log in document.logs.values():  # a problem counts even if a variable overrides it
        read_settings(log, converter, document.directory, problems)
    variables, notes = apply_environment(document, os.environ if environ is None else environ)
    problems += variables
    logs = {log.name: read_settings(log, converter, document.directory, problems) for log in document.logs.values()}
    told = dict(zip(map(str, problems), problems, strict=True))  # a value that no variable overrides is read twice
    return CheckedFile(file=name, logs=logs, problems=tuple(told.values()), notes=tuple(notes))


def refuse(problems: Iterable[Problem]) -> None:
    """Raise one `ConfigError` with all *problems*, if there are any."""
    lines = tuple(str(problem) for problem in problems)
    if len(lines) > 1:
        raise ConfigError(f"{len(lines)} problems, and nothing was opened:\n  " + "\n  ".join(lines), problems=lines)
    if lines:
        raise ConfigError(lines[0], problems=lines)


# The path and the configuration that `walogs.open` takes


def missing_path(file: str, log: LogSettings) -> Problem:
    return Problem(
        file=file, key=f"{log.key}.path", value=ABSENT, why="missing: where the log is, relative to this file"
    )


def config_of(
    file: str, log: LogSettings, path: str | os.PathLike[str] | None, overrides: Mapping[str, Any]
) -> ConfiguredLog:
    place = log.path if path is None else path_text(path)
    values: dict[str, Any] = {**log.values, **overrides}
    for kind, choice in log.components.items():
        if kind not in overrides and kind != "store":
            values[kind] = component(file, choice)
    if "observers" not in overrides:
        values["observers"] = tuple(component(file, choice) for choice in log.observers)
    if "store" in overrides:
        if not isinstance(overrides["store"], str) and path is None:
            place = None
    elif place is None:
        refuse([missing_path(file, log)])
    else:
        choice = log.components["store"]
        values["store"] = component(file, choice, place)
        place = place if choice.options is None else None
    if path is not None and values.get("store") == LOCAL_STORE and not registry.takes_address(path):
        local_path(path)
    return ConfiguredLog(place, WalConfig(**values))


def component(file: str, choice: ComponentChoice, *place: str) -> Any:
    """Return the component's name, or, if it has options, an object that is made with them."""
    if choice.options is None:
        return choice.name
    try:
        return registry.make(choice.kind, choice.name, *place, options=choice.options)
    except ConfigError as error:
        problems = error.problems or (str(error),)
        refuse(
            Problem(file=file, key=choice.key, value=choice.name, why=without_prefix(text, choice.kind, choice.name))
            for text in problems
        )
        raise
