"""The argument that says which log a command is about. Every command takes it from here.

It is DIR, with `--store` and `--codec`, or `--log NAME` of a configuration file.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeAlias, get_type_hints

from cyclopts import Parameter

from walogs.assembly.config import WalConfig, overridden
from walogs.assembly.opening import source_of
from walogs.cli.absence import explain_absence
from walogs.cli.next_moves import command_line
from walogs.cli.paths import typed_path
from walogs.cli.status import WrongUsage
from walogs.defaults.renaming import tell_names
from walogs.errors import Corrupt
from walogs.foundation.foreign import error_text
from walogs.foundation.local_paths import with_both_slashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Components(NamedTuple):
    """The store and the codec that a command line names for the log in a directory. None: it names none."""

    store: str | None = None
    codec: str | None = None

    def by_key(self) -> dict[str, str]:
        """Return the named components by their keys in a configuration."""
        return {key: value for key, value in self._asdict().items() if value is not None}


UNSAID: Final = Components()


class NamedLog(NamedTuple):
    """The log that a command gets."""

    path: str | None
    """The directory or the address. It is None if the store in *config* is an object, which knows its place itself."""
    config: WalConfig
    name: str
    """The name for messages: the directory of the log, or the file and the name that it has there."""
    words: tuple[str, ...]
    """The words that name this log on a command line."""


LogArgument: TypeAlias = Annotated[NamedLog, Parameter(name="DIR", help="Directory of the log; or --log instead.")]
"""The type of a command's first parameter, which is positional only."""

OPTIONAL: Final = Parameter(show_default=False)
CONFIG: Final = Parameter(
    converter=typed_path,
    help="File that describes the log of --log; without it, walogs.toml or pyproject.toml of the working directory.",
)
LOG: Final = Parameter(help="Name of the log, in place of DIR: the NAME of [log.NAME] in the configuration file.")
STORE: Final = Parameter(help="Store that holds the log in DIR; without it: local, files in a directory.")
CODEC: Final = Parameter(help="Codec that writes the log in DIR; without it: crc32. Reading a log finds its codec.")
FILES: Final = ("walogs.toml", "pyproject.toml")
COMMANDS: Final[list[Callable[..., int]]] = []
"""The commands that take `--store` and `--codec`."""


def on_a_log(command: Callable[..., int]) -> Callable[..., int]:
    """Return *command* with the options that say which log it is about. Its first parameter is a `LogArgument`.

    The options are `--store` and `--codec` for a log in a directory, and `--config` and `--log` for a log that a file
    describes.
    """
    hints = get_type_hints(command, include_extras=True)
    shape = inspect.signature(command)
    directories = [name for name, one in shape.parameters.items() if one.kind is one.POSITIONAL_ONLY]
    words = [hints[name].__metadata__[0].name[0] for name in directories]

    @wraps(command)
    def named(
        *given: Path | None,
        store: str | None = None,
        codec: str | None = None,
        config: Path | None = None,
        log: str | None = None,
        **options: Any,
    ) -> int:
        paths = [path for path in given if path is not None]
        first, *others = chosen(paths, words, Components(store, codec), config, log)
        with explain_absence(first), explain_damage(first):
            return command(first, *others, **options)

    parameters = [
        one.replace(name=f"{name}_directory", annotation=as_path(hints[name]), default=None)
        if name in directories
        else one.replace(annotation=hints[name])
        for name, one in shape.parameters.items()
    ]
    parameters += [
        option(name, kind, told)
        for name, kind, told in (
            ("store", str, STORE),
            ("codec", str, CODEC),
            ("config", Path, CONFIG),
            ("log", str, LOG),
        )
    ]
    shape_it(named, parameters)
    COMMANDS.append(named)
    return named


def option(name: str, kind: Any, told: Parameter) -> inspect.Parameter:
    """Return an option that may be left out."""
    annotation = Annotated[(kind | None, told, OPTIONAL)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def with_components(command: Callable[..., int]) -> Callable[..., int]:
    """Let a shell complete `--store` and `--codec` of *command* too, which has these options of its own."""
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters.items()
    shape_it(command, [one.replace(annotation=hints[name]) for name, one in parameters])
    COMMANDS.append(command)
    return command


def shape_it(command: Callable[..., int], parameters: Sequence[inspect.Parameter]) -> None:
    """Give *command* these parameters, as cyclopts sees them."""
    command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}


def offer(name: str, values: Iterable[str]) -> None:
    """Let a shell complete the option *name* of every command with *values*.

    Without values the option takes any text again, and the command itself refuses an unknown name.
    """
    choices = tuple(values)
    kind: Any = Literal[choices] if choices else str
    for command in COMMANDS:
        parameters = inspect.signature(command).parameters.values()
        shape_it(command, [with_type(one, kind) if one.name == name else one for one in parameters])


def with_type(parameter: inspect.Parameter, kind: Any) -> inspect.Parameter:
    """Return the same option with another type."""
    return parameter.replace(annotation=Annotated[(kind | None, *parameter.annotation.__metadata__)])


def as_path(annotation: Any) -> Any:
    """Return the annotation of the same parameter as an optional path."""
    return Annotated[(Path | None, *annotation.__metadata__, Parameter(converter=typed_path, show_default=False))]


@contextmanager
def explain_damage(log: NamedLog) -> Iterator[None]:
    """Raise `Corrupt` with the command to type next, in place of the advice that the library gives to programs."""
    try:
        yield
    except Corrupt as error:
        damage: str | None = getattr(error, "damage", None)  # the codec of a plugin may raise an error of its own
        if damage is None or damage == error_text(error):  # the message says already what to do
            raise
        move = f"Next: `{command_line(log, 'verify')}` lists all damage, and what can be done"
        told = Corrupt(f"{damage} Nothing was changed. {move}", damage=damage)
        tell_names(source_of(log.path, log.config), told)
        raise Corrupt(str(told), segment=error.segment, offset=error.offset, lsn=error.lsn, damage=damage) from error


def chosen(
    paths: Sequence[Path], words: Sequence[str], components: Components, config: Path | None, log: str | None
) -> tuple[NamedLog, *tuple[Path, ...]]:
    """Return the log, and then the other directories. *words* are the names of all directories in the help.

    Raises `WrongUsage`, and `ConfigError` if the configuration file is wrong.
    """
    wanted = len(words)
    is_configured = config is not None or log is not None
    if is_configured:
        refuse_components(components)
    if is_configured and len(paths) == wanted:
        raise WrongUsage(f"the log is named twice: {os.fspath(paths[0])!r}, and by --config or --log; leave one out")
    if not paths and not is_configured:
        raise WrongUsage("which log? Name its directory, or --log NAME of a configuration file; --help tells more")
    if len(paths) < wanted - is_configured:
        raise WrongUsage(f"{words[-1]} is missing: name a directory that is new or empty; --help tells more")
    if is_configured:
        return log_of_configuration(config, log), *paths
    return in_directory(paths[0], components), *paths[1:]


def refuse_components(components: Components) -> None:
    """Raise `WrongUsage` if the command line says what a configuration file says already."""
    if components != UNSAID:
        raise WrongUsage("--store and --codec are for DIR; a log of a configuration file has its own store and codec")


def in_directory(path: Path, components: Components = UNSAID) -> NamedLog:
    """Return the log in that directory, with the store and the codec that are named, or with the defaults."""
    name, named = with_both_slashes(os.fspath(path)), components.by_key()
    words = [word for key, value in named.items() for word in (f"--{key}", value)]
    return NamedLog(
        path=name, config=overridden(None, named), name=name, words=(name if name[:1] != "-" else f"./{name}", *words)
    )


def log_of_configuration(config: Path | None, log: str | None) -> NamedLog:
    from walogs.config_file.file import load_config

    file, name = file_and_name(config, log)
    path, wal_config = load_config(file, log=name)
    words = () if config is None else ("--config", file)
    return NamedLog(
        path=path,
        config=wal_config,
        name=path if path is not None else f"{file}: {name}",
        words=(*words, "--log", name),
    )


def file_and_name(config: Path | None, log: str | None) -> tuple[str, str]:
    """Return (configuration file, name of the log) from --config and --log, of which at least one is given.

    Raises `WrongUsage` if there is no name.
    """
    file = with_both_slashes(os.fspath(config)) if config is not None else nearest()
    if log is None:
        raise WrongUsage(f"--config {file}: which of its logs? Say --log NAME; `walogs config show` lists them")
    return file, log


def nearest() -> str:
    """Return the configuration file of the working directory. If there is none, return the name that it should have."""
    return next((name for name in FILES if os.path.exists(name)), FILES[0])
