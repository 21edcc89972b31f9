"""What a file and the environment say of each log, as they say it: tables and keys, values not looked at yet."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from walogs.config import KEYS, did_you_mean, near
from walogs.config_values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS: Final = ("store", "codec", "sync")
"""Keys of a log that choose a component."""
LOG_KEYS: Final = ("path", *KEYS)
FILE_BYTES_MAX: Final = 1 << 20
PREFIX: Final = "WALOGS_LOG__"
LOG_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*", re.ASCII)
"""In a variable, - is written _, and __ ends the name."""
BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
KEY_LIKE: Final = re.compile(
    r"(?=.*[a-fA-F])[0-9a-fA-F]{32,}|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/_-]{40,}={0,2}", re.ASCII
)
"""16 bytes or more in hexadecimal, or 30 in base64."""
SHOWN_MAX: Final = 80
"""So many characters of a wrong value are shown."""
SYNTAX_PLACE: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)

Origin: TypeAlias = Literal["default", "file", "environment"]


class Mistake(NamedTuple):
    """One thing that is wrong with a file, or with a variable of the environment."""

    file: str | None
    """As it was named; None: the environment."""
    key: str | None
    """Dotted path within the file, or the variable's name; None: the file as a whole."""
    value: object
    """What is written there; ABSENT: nothing is."""
    why: str
    """What is wrong, and what is allowed."""

    def __str__(self) -> str:
        where = "environment" if self.file is None else self.file
        if self.key is None:
            return f"{where}: {self.why}"
        value = "" if self.value is ABSENT else f"={shown(unsecret(self.value))}"
        return f"{where}: {self.key}{value}: {self.why}"


class Given(NamedTuple):
    """One value, and where it is written."""

    value: object
    file: str | None
    """None: the environment."""
    key: str
    """Dotted path within the file, or the variable's name."""

    @property
    def origin(self) -> Origin:
        return "environment" if self.file is None else "file"

    def mistake(self, why: str) -> Mistake:
        return Mistake(self.file, self.key, self.value, why)


@dataclass(slots=True)
class Component:
    """The choice of a store, a codec, a sync policy or an observer."""

    kind: str
    key: str
    """Its dotted path in the file, also where the environment chooses it."""
    given: Given
    """The table or the name, whatever it is."""
    use: Given | None = None
    """None: it is missing."""
    options: dict[str, Given] = field(default_factory=dict)


@dataclass(slots=True)
class Log:
    """One table [log.NAME]."""

    name: str
    key: str
    """Its dotted path in the file."""
    values: dict[str, Given] = field(default_factory=dict)
    """Every key that chooses no component, those that do not exist too."""
    components: dict[str, Component] = field(default_factory=dict)


@dataclass(slots=True)
class Document:
    """One file."""

    file: str
    """As it was named."""
    directory: str
    """Absolute: what its relative paths are relative to."""
    logs: dict[str, Log] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mistaken(self, key: str | None, value: object, why: str) -> None:
        self.mistakes.append(Mistake(self.file, key, value, why))


# The file


def read(file: str) -> Document:
    """Never raises: what is wrong is among the mistakes."""
    document = Document(file, os.path.dirname(os.path.abspath(file)))
    table = parsed(document)
    if table is not None:
        where, prefix = (tool_table(document, table), "tool.walogs.") if is_pyproject(file) else (table, "")
        if where is not None:
            take_logs(document, where, prefix)
    return document


def is_pyproject(file: str) -> bool:
    return os.path.basename(file) == "pyproject.toml"


def parsed(document: Document) -> dict[str, Any] | None:
    """The file's tables; None: it has none, and a mistake says why."""
    try:
        with open(document.file, "rb") as source:
            content = source.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            document.mistaken(None, ABSENT, f"more than {FILE_BYTES_MAX} bytes, which no configuration needs")
            return None
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        document.mistaken(None, ABSENT, "there is no such file")
    except OSError as error:
        document.mistaken(None, ABSENT, f"it cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        document.mistaken(None, ABSENT, f"line {line}: not UTF-8 (byte 0x{error.object[error.start]:02x})")
    except RecursionError:
        document.mistaken(None, ABSENT, "tables or lists within each other, too deep to be read")
    except ValueError as error:
        document.mistaken(None, ABSENT, syntax(str(error)))
    return None


def syntax(message: str) -> str:
    """What the parser says, its place first."""
    found = SYNTAX_PLACE.fullmatch(message)
    if found is None:
        return message
    place = f"line {found[2]}, column {found[3]}" if found[2] else "at its end"
    return f"{place}: {found[1]}"


def tool_table(document: Document, table: dict[str, Any]) -> dict[str, Any] | None:
    tool = table.get("tool")
    ours = tool.get("walogs") if isinstance(tool, dict) else None
    if isinstance(ours, dict):
        return ours
    if ours is None:
        document.mistaken("tool.walogs", ABSENT, "missing: a table [tool.walogs.log.NAME] for each log")
    else:
        document.mistaken("tool.walogs", ours, "a table, with [tool.walogs.log.NAME] for each log")
    return None


def take_logs(document: Document, table: dict[str, Any], prefix: str) -> None:
    """Every log of the file into the document, and every key that is none of ours into its mistakes."""
    for key, value in table.items():
        if key != "log":
            document.mistaken(prefix + bare(key), value, misplaced(key, value, prefix))
    logs = table.get("log")
    if logs is None:
        document.mistaken(f"{prefix}log", ABSENT, f"missing: a table [{prefix}log.NAME] for each log")
        return
    if not isinstance(logs, dict):
        document.mistaken(f"{prefix}log", logs, f"a table [{prefix}log.NAME] for each log")
        return
    for name, content in logs.items():
        key = f"{prefix}log.{bare(name)}"
        if not isinstance(content, dict):
            hint = f"; {name} is a key of a log, below [{prefix}log.NAME]" if name in LOG_KEYS else ""
            document.mistaken(key, content, f"a table, of the log that has this name{hint}")
        elif not LOG_NAME.fullmatch(name):
            document.mistaken(key, ABSENT, "a log's name is letters and digits, a letter first; - or _ between them")
        else:
            document.logs[name] = log_of(document, name, key, content)
    refuse_same_variables(document)


def misplaced(key: str, value: object, prefix: str) -> str:
    """Why a key has no place at the top of the file."""
    if key == "tool" and not prefix:
        return "only pyproject.toml has [tool.walogs]; in this file a log is [log.NAME]"
    if key in LOG_KEYS:
        return f"no such key here; it is one of a log: write it below [{prefix}log.NAME]"
    if isinstance(value, dict) and not near(key, ("log",)):
        return f"no such table; a log of that name is [{prefix}log.{bare(key)}]"
    return f"no such key{did_you_mean(key, ('log',))}"


def refuse_same_variables(document: Document) -> None:
    """Two names that no variable could tell apart."""
    for one, other in pairwise(sorted(document.logs.values(), key=lambda log: variable_part(log.name))):
        if variable_part(one.name) == variable_part(other.name):
            why = f"too close to {one.name!r}: {PREFIX}{variable_part(other.name)}__… would be of both"
            document.mistaken(other.key, ABSENT, why)


def log_of(document: Document, name: str, key: str, table: dict[str, Any]) -> Log:
    log = Log(name, key)
    for inner, value in table.items():
        given = Given(value, document.file, f"{key}.{bare(inner)}")
        if inner in KINDS:
            log.components[inner] = component_of(inner, given.key, given)
        else:
            log.values[inner] = given
    return log


def component_of(kind: str, key: str, given: Given) -> Component:
    """Of a name, or of a table with `use` and options beside it; of anything else, one without either."""
    component = Component(kind, key, given)
    if isinstance(given.value, dict):
        for inner_key, value in given.value.items():
            inner = Given(value, given.file, f"{given.key}.{bare(inner_key)}")
            if inner_key == "use":
                component.use = inner
            else:
                component.options[inner_key] = inner
    elif isinstance(given.value, str):
        component.use = given
    return component


# The environment


def overlaid(document: Document, environ: Mapping[str, str]) -> tuple[list[Mistake], list[str]]:
    """Put the environment's variables over the document's logs: mistakes, and what concerns no log of this file."""
    mistakes: list[Mistake] = []
    notes: list[str] = []
    logs = {variable_part(log.name): log for log in document.logs.values()}
    variables = (variable for variable in environ if variable.startswith(PREFIX))
    for name, inner, variable in sorted((split(variable) for variable in variables), key=components_first):
        given = Given(environ[variable], None, variable)
        if name not in logs:
            notes.append(f"{variable}: {document.file} has no log of that name{did_you_mean(name, logs)}")
        else:
            mistakes += [given.mistake(why) for why in put(logs[name], inner, given)]
    return mistakes, notes


def split(variable: str) -> tuple[str, list[str], str]:
    """The log's part of the name, the keys below it, and the name."""
    name, *inner = variable.removeprefix(PREFIX).split("__", 2)
    return name, [part.lower() for part in inner], variable


def components_first(found: tuple[str, list[str], str]) -> tuple[bool, str]:
    """Which component it is decides whose the options are."""
    _, inner, variable = found
    return inner[1:] not in ([], ["use"]), variable


def put(log: Log, path: list[str], given: Given) -> Iterator[str]:
    """One variable over *log*; yields what is wrong with its name."""
    match path:
        case [kind] if kind in KINDS:
            yield from choose(log, kind, given)
        case [key] if key in LOG_KEYS:
            log.values[key] = given
        case [kind, "use"] if kind in KINDS:
            yield from choose(log, kind, given)
        case [kind, option] if kind in KINDS and option:
            log.components.setdefault(kind, Component(kind, f"{log.key}.{kind}", given)).options[option] = given
        case [key]:
            yield f"no such key{did_you_mean(key, LOG_KEYS)}"
        case _:
            yield f"{PREFIX}NAME__KEY, or __KIND__OPTION, where KIND is one of: {', '.join(KINDS)}"


def choose(log: Log, kind: str, given: Given) -> Iterator[str]:
    """Another component has other options: those of the file are not for it."""
    before = log.components.get(kind)
    if before is not None and before.use is not None and before.use.origin == "environment":
        yield f"the same as {before.use.key}: set one of them"
    elif before is not None and before.use is not None and before.use.value == given.value:
        before.use = given
    else:
        log.components[kind] = Component(kind, f"{log.key}.{kind}", given, given)


def variable_part(name: str) -> str:
    return name.upper().replace("-", "_")


# Words


def bare(key: str) -> str:
    """A key as a dotted path shows it."""
    return key if BARE_KEY.fullmatch(key) else shown(key)


def unsecret(value: object) -> object:
    """The same, unless it looks like a key that somebody has written where none belongs: logs keep what errors say."""
    if isinstance(value, str) and KEY_LIKE.fullmatch(value):
        return f"({len(value)} characters, like a key: not shown)"
    return value


def shown(value: object) -> str:
    """A value in one line, not too long."""
    try:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    except ValueError:  # a hexadecimal number of more digits than Python writes
        return "(a huge number)"
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
