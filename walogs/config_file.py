"""Logs that are described in a file: `open_config("walogs.toml", log="orders")`.

Keywords are stronger than the environment, that is stronger than the file, and that than the defaults. The whole file
must be right, whichever log is asked for; every mistake is in one `ConfigError`. Nothing here is read by `walogs.open`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from walogs import registry
from walogs.assembly import open as open_log
from walogs.config import Overrides, WalConfig, config_error, did_you_mean, overridden, path_text
from walogs.config_log import Chosen, Resolved, resolve, said_of
from walogs.config_tables import Mistake, overlaid, read
from walogs.config_values import ABSENT, converter_for
from walogs.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Unpack

    from walogs.wal import Wal


class ConfiguredLog(NamedTuple):
    """What `walogs.open`, `walogs.verify` and the others take: `walogs.verify(*walogs.load_config(file, log=NAME))`."""

    path: str | None
    """Absolute; None: the store is an object, and knows its place."""
    config: WalConfig


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file says, with the environment over it."""

    file: str
    logs: dict[str, Resolved]
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...]
    """Variables for logs that this file does not have: they may be meant for another file."""

    def log(self, name: str) -> Resolved:
        """The log of that name. Raises `ConfigError` that names what there is."""
        if name not in self.logs:
            raise config_error(f"{self.file}: log={name!r}: no such log{did_you_mean(name, self.logs)}")
        return self.logs[name]


def open_config(
    file: str | os.PathLike[str],
    *,
    log: str,
    path: str | os.PathLike[str] | None = None,
    **overrides: Unpack[Overrides],
) -> Wal:
    """Open the log that *file* describes as [log.NAME], or, in a pyproject.toml, as [tool.walogs.log.NAME].

    *path* and *overrides* (keys of `WalConfig`) are stronger than what WALOGS_LOG__NAME__… says in the environment, and
    that than the file. A component that is given here replaces the file's with all its options. Raises what
    `walogs.open` raises; `ConfigError` has every mistake of the file in `problems`, and nothing was opened.
    """
    configured = load_config(file, log=log, path=path, **overrides)
    return open_log(configured.path, configured.config)


def load_config(
    file: str | os.PathLike[str],
    *,
    log: str,
    path: str | os.PathLike[str] | None = None,
    **overrides: Unpack[Overrides],
) -> ConfiguredLog:
    """(path, config) of that log, for `walogs.reader`, `verify`, `salvage`, `backup` and `repair`, opening nothing.

    The components that have options are objects, made by this call: load again for a second handle. Raises as
    `open_config`.
    """
    examined = examine(file)
    refuse(examined.mistakes)
    overridden(None, overrides)
    if not isinstance(log, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"{examined.file}: log={log!r}: the name of a log of this file, as str")
    return configured(examined.file, examined.log(log), path, overrides)


def examine(file: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Examined:
    """Read a file, whatever is wrong with it; makes no component. *environ*: None for that of the process."""
    if not isinstance(file, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"file={file!r}: the name of a TOML file, as str or pathlib.Path")
    name = os.fsdecode(file)
    document = read(name)
    converter = converter_for(document.directory)
    mistakes = [*document.mistakes]
    for log in document.logs.values():  # before anything is put over it: what is wrong is wrong
        resolve(log, converter, document.directory, mistakes)
    variables, notes = overlaid(document, os.environ if environ is None else environ)
    mistakes += variables
    logs = {log.name: resolve(log, converter, document.directory, mistakes) for log in document.logs.values()}
    told = dict(zip(map(str, mistakes), mistakes, strict=True))  # a value that nothing was put over was seen twice
    return Examined(name, logs, tuple(told.values()), tuple(notes))


def refuse(mistakes: Iterable[Mistake]) -> None:
    problems = tuple(str(mistake) for mistake in mistakes)
    if len(problems) > 1:
        raise ConfigError(
            f"{len(problems)} mistakes, and nothing was opened:\n  " + "\n  ".join(problems), problems=problems
        )
    if problems:
        raise ConfigError(problems[0], problems=problems)


# Into what `walogs.open` takes


def pathless(file: str, log: Resolved) -> Mistake:
    return Mistake(file, f"{log.key}.path", ABSENT, "missing: where the log is, relative to this file")


def configured(
    file: str, log: Resolved, path: str | os.PathLike[str] | None, overrides: Mapping[str, Any]
) -> ConfiguredLog:
    place = log.path if path is None else path_text(path)
    values: dict[str, Any] = {**log.values, **overrides}
    for kind, chosen in log.components.items():
        if kind not in overrides and kind != "store":
            values[kind] = component(file, chosen)
    if "observers" not in overrides:
        values["observers"] = tuple(component(file, chosen) for chosen in log.observers)
    if "store" in overrides:
        if not isinstance(overrides["store"], str) and path is None:
            place = None
    elif place is None:
        refuse([pathless(file, log)])
    else:
        chosen = log.components["store"]
        values["store"] = component(file, chosen, place)
        place = place if chosen.options is None else None
    return ConfiguredLog(place, WalConfig(**values))


def component(file: str, chosen: Chosen, *place: str) -> Any:
    """Its name; with options, the object that whoever gives an object makes."""
    if chosen.options is None:
        return chosen.name
    try:
        return registry.made(chosen.kind, chosen.name, *place, options=chosen.options)
    except ConfigError as error:
        problems = error.problems or (str(error),)
        refuse(Mistake(file, chosen.key, chosen.name, said_of(text, chosen.kind, chosen.name)) for text in problems)
        raise
