"""The tables and keys of each log, as the file and the environment contain them. The values are not checked here."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from walogs.assembly.config import KEYS
from walogs.config_file.values import ABSENT
from walogs.foundation.foreign import describe
from walogs.foundation.local_paths import why_not_plain
from walogs.foundation.suggestions import did_you_mean, near

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

KINDS: Final = ("store", "codec", "sync")
"""The keys of a log that choose a component."""
LOG_KEYS: Final = ("path", *KEYS)
FILE_BYTES_MAX: Final = 1 << 20
PREFIX: Final = "WALOGS_LOG__"
OURS: Final = "WALOGS_"
"""The prefix of every variable of walogs."""
LOG_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*", re.ASCII)
"""The allowed names of a log. In a variable, `-` is written `_`, and `__` ends the name."""
BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
KEY_LIKE: Final = re.compile(
    r"(?=.*[a-fA-F])[0-9a-fA-F]{32,}|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/_-]{40,}={0,2}", re.ASCII
)
"""Text that may be an encryption key: 16 bytes or more in hexadecimal, or 30 or more in base64."""
SHOWN_MAX: Final = 80
"""A message shows at most this many characters of a wrong value."""
SYNTAX_PLACE: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)

Origin: TypeAlias = Literal["default", "file", "environment"]


class Problem(NamedTuple):
    """One problem in a file, or in a variable of the environment."""

    file: str | None
    """The file, as the caller named it. None stands for the environment."""
    key: str | None
    """The dotted path within the file, or the variable's name. None stands for the file as a whole."""
    value: object
    """The value that is written there, or ABSENT if there is none."""
    why: str
    """The reason why this is a problem, and what is allowed."""

    def __str__(self) -> str:
        where = "environment" if self.file is None else self.file
        if self.key is None:
            return f"{where}: {self.why}"
        value = "" if self.value is ABSENT else f"={shorten(unsecret(self.value))}"
        return f"{where}: {self.key}{value}: {self.why}"


class RawValue(NamedTuple):
    """One value, and the place where it is written."""

    value: object
    file: str | None
    """The file, or None for the environment."""
    key: str
    """The dotted path within the file, or the variable's name."""

    @property
    def origin(self) -> Origin:
        return "environment" if self.file is None else "file"

    def problem(self, why: str) -> Problem:
        return Problem(file=self.file, key=self.key, value=self.value, why=why)


@dataclass(slots=True)
class Component:
    """The choice of a store, a codec, a sync policy or an observer."""

    kind: str
    key: str
    """The component's dotted path in the file. It is the same if the environment chooses the component."""
    raw: RawValue
    """The table, the name, or another value that is a problem."""
    use: RawValue | None = None
    """The name of the component, or None if it is missing."""
    options: dict[str, RawValue] = field(default_factory=dict)


@dataclass(slots=True)
class Log:
    """One table [log.NAME]."""

    name: str
    key: str
    """The log's dotted path in the file."""
    values: dict[str, RawValue] = field(default_factory=dict)
    """Every key that chooses no component, and also each key that walogs does not know."""
    components: dict[str, Component] = field(default_factory=dict)


@dataclass(slots=True)
class Document:
    """The content of one configuration file."""

    file: str
    """The file, as the caller named it."""
    directory: str
    """The absolute path of the file's directory. Relative paths in the file are relative to it."""
    logs: dict[str, Log] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add_problem(self, key: str | None, value: object, why: str) -> None:
        self.problems.append(Problem(file=self.file, key=key, value=value, why=why))


# The file


def read(file: str) -> Document:
    """Read the tables of a file. Nothing is raised: every problem is in `problems` of the result."""
    document = Document(file, os.path.dirname(os.path.abspath(file)))
    table = parse(document)
    if table is not None:
        where, prefix = (tool_table(document, table), "tool.walogs.") if is_pyproject(file) else (table, "")
        if where is not None:
            add_logs(document, where, prefix)
    return document


def is_pyproject(file: str) -> bool:
    return os.path.basename(file) == "pyproject.toml"


def parse(document: Document) -> dict[str, Any] | None:
    """Return the file's tables. If it cannot be read, add a problem to the document and return None."""
    try:
        with open(document.file, "rb") as source:
            content = source.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            document.add_problem(None, ABSENT, f"more than {FILE_BYTES_MAX} bytes, which no configuration needs")
            return None
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        document.add_problem(None, ABSENT, why_not_plain(document.file, "file") or "there is no such file")
    except OSError as error:
        document.add_problem(None, ABSENT, f"it cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        document.add_problem(None, ABSENT, f"line {line}: not UTF-8 (byte 0x{error.object[error.start]:02x})")
    except RecursionError:
        document.add_problem(None, ABSENT, "the tables or lists are nested too deeply")
    except ValueError as error:
        document.add_problem(None, ABSENT, syntax(str(error)))
    return None


def syntax(message: str) -> str:
    """Return the parser's message with the place of the problem first."""
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
        document.add_problem("tool.walogs", ABSENT, "missing: a table [tool.walogs.log.NAME] for each log")
    else:
        document.add_problem("tool.walogs", ours, "a table, with [tool.walogs.log.NAME] for each log")
    return None


def add_logs(document: Document, table: dict[str, Any], prefix: str) -> None:
    """Add every log of the file to the document, and a problem for every unknown key."""
    for key, value in table.items():
        if key != "log":
            document.add_problem(prefix + bare(key), value, why_misplaced(key, value, prefix))
    logs = table.get("log")
    if logs is None:
        document.add_problem(f"{prefix}log", ABSENT, f"missing: a table [{prefix}log.NAME] for each log")
        return
    if not isinstance(logs, dict):
        document.add_problem(f"{prefix}log", logs, f"a table [{prefix}log.NAME] for each log")
        return
    for name, content in logs.items():
        key = f"{prefix}log.{bare(name)}"
        if not isinstance(content, dict):
            hint = f"; {name} is a key of a log, below [{prefix}log.NAME]" if name in LOG_KEYS else ""
            document.add_problem(key, content, f"a table for the log of this name{hint}")
        elif not LOG_NAME.fullmatch(name):
            document.add_problem(key, ABSENT, "a log's name is letters and digits, a letter first; - or _ between them")
        else:
            document.logs[name] = log_of(document, name, key, content)
    refuse_same_variables(document)


def why_misplaced(key: str, value: object, prefix: str) -> str:
    """Return why a key is not allowed at the top of the file."""
    if key == "tool" and not prefix:
        return "only pyproject.toml has [tool.walogs]; in this file a log is [log.NAME]"
    if key in LOG_KEYS:
        return f"no such key here; it is one of a log: write it below [{prefix}log.NAME]"
    if isinstance(value, dict) and not near(key, ("log",)):
        return f"no such table; a log of that name is [{prefix}log.{bare(key)}]"
    return f"no such key{did_you_mean(key, ('log',))}"


def refuse_same_variables(document: Document) -> None:
    """Add a problem for two logs whose variables would have the same names."""
    for one, other in pairwise(sorted(document.logs.values(), key=lambda log: variable_part(log.name))):
        if variable_part(one.name) == variable_part(other.name):
            why = f"too close to {one.name!r}: {PREFIX}{variable_part(other.name)}__… would belong to both"
            document.add_problem(other.key, ABSENT, why)


def log_of(document: Document, name: str, key: str, table: dict[str, Any]) -> Log:
    log = Log(name, key)
    for inner, value in table.items():
        raw = RawValue(value, document.file, f"{key}.{bare(inner)}")
        if inner in KINDS:
            log.components[inner] = component_of(inner, raw.key, raw)
        else:
            log.values[inner] = raw
    return log


def component_of(kind: str, key: str, raw: RawValue) -> Component:
    """Return the component that *raw* chooses by a name, or by a table with `use` and options.

    A value of another type gives a component without a name and without options.
    """
    component = Component(kind, key, raw)
    if isinstance(raw.value, dict):
        for inner_key, value in raw.value.items():
            inner = RawValue(value, raw.file, f"{raw.key}.{bare(inner_key)}")
            if inner_key == "use":
                component.use = inner
            else:
                component.options[inner_key] = inner
    elif isinstance(raw.value, str):
        component.use = raw
    return component


# The environment


def apply_environment(document: Document, environ: Mapping[str, str]) -> tuple[list[Problem], list[str]]:
    """Apply the environment's variables to the document's logs. Return (problems, notes).

    A note names a variable for a log that this file does not have.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    logs = {variable_part(log.name): log for log in document.logs.values()}
    ours = sorted(variable for variable in environ if variable.upper().startswith(OURS))
    misspelt = {variable: meant for variable in ours if (meant := meant_by(variable, logs)) is not None}
    for variable, meant in misspelt.items():
        why = f"no such variable; did you mean {meant}? (two underscores after LOG, after the log's name and its key)"
        problems.append(RawValue(environ[variable], None, variable).problem(why))
    variables = (variable for variable in ours if variable.startswith(PREFIX) and variable not in misspelt)
    for name, inner, variable in sorted((split_variable(variable) for variable in variables), key=components_first):
        raw = RawValue(environ[variable], None, variable)
        if name not in logs:
            notes.append(f"{variable}: {document.file} has no log of that name{did_you_mean(name, logs)}")
        else:
            problems += [raw.problem(why) for why in apply_variable(logs[name], inner, raw)]
    return problems, notes


def meant_by(variable: str, logs: Collection[str]) -> str | None:
    """Return the right spelling of a misspelt variable for a key of one of these logs.

    Return None if the variable is right, or is for something else. If walogs ignored WALOGS_LOG_ORDERS_SYNC in
    silence, it would open a log whose sync policy is not the one that its owner expects.
    """
    if variable.startswith(PREFIX):
        name, inner, _ = split_variable(variable)
        if name in logs or (inner[:1] and inner[0] in LOG_KEYS):  # the log may be in another file
            return None
    words = "_".join(word for word in variable.upper().split("_") if word).removeprefix(OURS)
    for log in sorted(logs, key=len, reverse=True):
        for beginning in (f"LOG_{log}_", f"{log}_"):
            if words.startswith(beginning) and (keys := keys_in(words.removeprefix(beginning))):
                return f"{PREFIX}{log}__{keys}"
    return None


def keys_in(words: str) -> str | None:
    """Return the words as a key, or as a kind of component and its option with two underscores between them.

    Return None if they are neither.
    """
    if words.lower() in LOG_KEYS:
        return words
    kind, _, option = words.partition("_")
    return f"{kind}__{option}" if kind.lower() in KINDS and option else None


def split_variable(variable: str) -> tuple[str, list[str], str]:
    """Return (the log's part of the variable's name, the keys below it, the whole name)."""
    name, *inner = variable.removeprefix(PREFIX).split("__", 2)
    return name, [part.lower() for part in inner], variable


def components_first(found: tuple[str, list[str], str]) -> tuple[bool, str]:
    """Return a sort key that puts the choices of components before their options.

    An option belongs to the component that was chosen, so the choice must be applied first.
    """
    _, inner, variable = found
    return inner[1:] not in ([], ["use"]), variable


def apply_variable(log: Log, path: list[str], raw: RawValue) -> Iterator[str]:
    """Apply one variable to *log*, and yield each problem in its name."""
    match path:
        case [kind] if kind in KINDS:
            yield from override_component(log, kind, raw)
        case [key] if key in LOG_KEYS:
            log.values[key] = raw
        case [kind, "use"] if kind in KINDS:
            yield from override_component(log, kind, raw)
        case [kind, option] if kind in KINDS and option:
            log.components.setdefault(kind, Component(kind, f"{log.key}.{kind}", raw)).options[option] = raw
        case [key]:
            yield f"no such key{did_you_mean(key, LOG_KEYS)}"
        case _:
            yield f"{PREFIX}NAME__KEY, or __KIND__OPTION, where KIND is one of: {', '.join(KINDS)}"


def override_component(log: Log, kind: str, raw: RawValue) -> Iterator[str]:
    """Choose the component that the variable names, and yield a problem if another variable chooses one too.

    If the file chooses another component, the options in the file are dropped, because they are not for this one.
    """
    before = log.components.get(kind)
    if before is not None and before.use is not None and before.use.origin == "environment":
        yield f"the same as {before.use.key}: set one of them"
    elif before is not None and before.use is not None and before.use.value == raw.value:
        before.use = raw
    else:
        log.components[kind] = Component(kind=kind, key=f"{log.key}.{kind}", raw=raw, use=raw)


def variable_part(name: str) -> str:
    return name.upper().replace("-", "_")


# How messages show keys and values


def bare(key: str) -> str:
    """Return a key as a dotted path shows it: quoted if TOML requires quotes."""
    return key if BARE_KEY.fullmatch(key) else shorten(key)


def unsecret(value: object) -> object:
    """Return *value*, or a placeholder if it looks like an encryption key in the wrong place.

    Programs write the messages of errors into their logs, and a key must not get there.
    """
    if isinstance(value, str) and KEY_LIKE.fullmatch(value):
        return f"({len(value)} characters, like a key: not shown)"
    return value


def shorten(value: object) -> str:
    """Return a value as text on one line, shortened to SHOWN_MAX characters."""
    try:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (a plugin's option may be any object, and its `repr` may raise)
        # A hexadecimal number can have more digits than Python converts to text.
        is_huge = isinstance(error, ValueError) and isinstance(value, int | list | dict)
        return "(a huge number)" if is_huge else describe(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
