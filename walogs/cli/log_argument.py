"""The log that a command is about: DIR, or `--log NAME` of a configuration file. Every command takes it from here."""

from __future__ import annotations

import inspect
import os
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeAlias, get_type_hints

from cyclopts import Parameter

from walogs.cli.status import WrongUsage
from walogs.config import WalConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class NamedLog(NamedTuple):
    """What a command gets."""

    path: str | None
    """None: the store of its configuration knows its place."""
    config: WalConfig
    name: str
    """What to call it: its directory, or as its file does."""


LogArgument: TypeAlias = Annotated[NamedLog, Parameter(name="DIR", help="Directory of the log; or --log instead.")]
"""The type of a command's first parameter, positional only."""

CONFIG: Final = Parameter(
    help="File that describes the log of --log; without it, walogs.toml or pyproject.toml of the working directory."
)
LOG: Final = Parameter(help="Name of the log, in place of DIR: that of [log.NAME] in the configuration file.")
FILES: Final = ("walogs.toml", "pyproject.toml")


def on_a_log(command: Callable[..., int]) -> Callable[..., int]:
    """*command*, whose first parameter is a `LogArgument`, with `--config` and `--log` to say it otherwise."""
    hints = get_type_hints(command, include_extras=True)
    shape = inspect.signature(command)
    directories = [name for name, one in shape.parameters.items() if one.kind is one.POSITIONAL_ONLY]

    @wraps(command)
    def named(*given: Path | None, config: Path | None = None, log: str | None = None, **options: Any) -> int:
        paths = [path for path in given if path is not None]
        first, *others = chosen(paths, len(directories), config, log)
        return command(first, *others, **options)

    optional = Parameter(show_default=False)
    parameters = [
        one.replace(name=f"{name}_directory", annotation=as_path(hints[name]), default=None)
        if name in directories
        else one.replace(annotation=hints[name])
        for name, one in shape.parameters.items()
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters += [
        inspect.Parameter("config", keyword, default=None, annotation=Annotated[Path | None, CONFIG, optional]),
        inspect.Parameter("log", keyword, default=None, annotation=Annotated[str | None, LOG, optional]),
    ]
    named.__signature__ = shape.replace(parameters=parameters, return_annotation=int)  # type: ignore[attr-defined]
    named.__annotations__ = {one.name: one.annotation for one in parameters}
    return named


def as_path(annotation: Any) -> Any:
    """The same parameter, which may be left out."""
    return Annotated[(Path | None, *annotation.__metadata__, Parameter(show_default=False))]


def chosen(
    paths: Sequence[Path], wanted: int, config: Path | None, log: str | None
) -> tuple[NamedLog | Path, *tuple[Path, ...]]:
    """The log, and the other directories. Raises `WrongUsage`, and what a configuration file is refused with."""
    is_configured = config is not None or log is not None
    if is_configured and len(paths) == wanted:
        raise WrongUsage(f"the log is named twice: {os.fspath(paths[0])!r}, and by --config or --log; leave one out")
    if len(paths) < wanted - is_configured:
        raise WrongUsage("which log? Name its directory, or --log NAME of a configuration file; --help tells more")
    if is_configured:
        return configured(config, log), *paths
    return in_directory(paths[0]), *paths[1:]


def in_directory(path: Path) -> NamedLog:
    return NamedLog(os.fspath(path), WalConfig(), os.fspath(path))


def configured(config: Path | None, log: str | None) -> NamedLog:
    from walogs.config_file import load_config

    file, name = file_and_name(config, log)
    path, wal_config = load_config(file, log=name)
    return NamedLog(path, wal_config, path if path is not None else f"{file}: {name}")


def file_and_name(config: Path | None, log: str | None) -> tuple[str, str]:
    """Of --config and --log, one of which is there. Raises `WrongUsage` where it is not enough."""
    file = os.fspath(config) if config is not None else nearest()
    if log is None:
        raise WrongUsage(f"--config {file}: which of its logs? Say --log NAME; `walogs config show` lists them")
    return file, log


def nearest() -> str:
    """The configuration file of the working directory; the name that is missing, where there is none."""
    return next((name for name in FILES if os.path.exists(name)), FILES[0])
