"""The settings of one log: each value is converted to its type, and the options of each component are validated.

No component is made here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from walogs.assembly import registry
from walogs.assembly.config import KEYS, LOCAL_STORE, Retention, WalConfig, refused
from walogs.config_file.tables import KINDS, LOG_KEYS, Component, Log, Origin, Problem, RawValue, bare, component_of
from walogs.config_file.values import (
    ABSENT,
    NotAllowed,
    OptionProblem,
    in_toml,
    options_of,
    read_path,
    text_as_value,
    types_of,
    value_of,
)
from walogs.errors import WalError
from walogs.foundation.local_paths import local_problem
from walogs.foundation.quantities import Duration, Size
from walogs.foundation.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cattrs import Converter

    from walogs.assembly.specs import Kind

SizeOrNone: TypeAlias = Size | None
RetentionOrNone: TypeAlias = Retention | None
TYPES: Final[dict[str, Any]] = {
    "max_segment_size": SizeOrNone,
    "max_entry_size": Size,
    "max_batch_size": Size,
    "max_queued_size": Size,
    "recovery": Any,
    "verify": Any,
    "retention": RetentionOrNone,
    "wait": Duration,
    "change_codec": bool,
}
"""The type of each key that chooses no component. `assembly.config.refused` decides which values of it are allowed."""
DEFAULTS: Final[dict[str, Any]] = {key.name: key.default for key in fields(WalConfig)}
ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
"""The address of a store that keeps no local files. An address is not relative to the configuration file."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a log, and where it comes from."""

    key: str
    """For example `max_segment_size`, `sync` or `sync.time`."""
    value: object
    origin: Origin
    variable: str | None
    """The variable of the environment that sets the value, or None."""


class ComponentChoice(NamedTuple):
    """One component that was found and whose options are valid. It is not made yet."""

    key: str
    """Its dotted path in the file."""
    kind: Kind
    name: str
    options: Any = None
    """An instance of the component's options dataclass, or None if the component has no options."""


@dataclass(slots=True)
class LogSettings:
    """One log, with each value converted to its type."""

    name: str
    key: str
    path: str | None = None
    """None if the path is missing or wrong."""
    has_path: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    components: dict[str, ComponentChoice] = field(default_factory=dict)
    """The components by kind: store, codec, sync."""
    observers: list[ComponentChoice] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)


def read_settings(log: Log, converter: Converter, directory: str, problems: list[Problem]) -> LogSettings:
    """Read every value of *log*. Add each problem to *problems*, and return the values that are right."""
    log_settings = LogSettings(log.name, log.key)
    told = log_settings.settings
    for key, raw in log.values.items():
        if key not in LOG_KEYS:
            problems.append(raw.problem(unknown_key(log, key)))
    log_settings.has_path = "path" in log.values
    if log_settings.has_path:
        log_settings.path = path_of(log.values["path"], directory, problems)
        told.append(setting("path", log_settings.path, log.values["path"]))
    for key in KEYS:
        if key in KINDS:
            read_component(log, key, converter, log_settings, problems)
        elif key == "observers":
            read_observers(log, converter, log_settings, problems)
        elif key == "retention":
            read_retention(log, converter, log_settings, problems)
        else:
            one = log.values.get(key)
            log_settings.values[key] = DEFAULTS[key] if one is None else plain_value(key, one, converter, problems)
            told.append(setting(key, log_settings.values[key], one))
    refuse_address(log, log_settings, problems)
    for key, _, why in refused(log_settings.values):
        problems.append(log.values[key].problem(in_toml(why)))
    return log_settings


def setting(key: str, value: object, raw: RawValue | None) -> Setting:
    if raw is None:
        return Setting(key=key, value=value, origin="default", variable=None)
    return Setting(key=key, value=value, origin=raw.origin, variable=raw.key if raw.origin == "environment" else None)


def path_of(raw: RawValue, directory: str, problems: list[Problem]) -> str | None:
    """Return the path of the log; a path in a variable is relative to the file too. An address stays as it is.

    Return None, and add a problem to *problems*, if the path is wrong.
    """
    if isinstance(raw.value, str) and ADDRESS.fullmatch(raw.value):
        return raw.value
    try:
        return str(read_path(directory, raw.value, str))
    except NotAllowed as error:
        problems.append(raw.problem(str(error)))
        return None


def refuse_address(log: Log, log_settings: LogSettings, problems: list[Problem]) -> None:
    """Refuse an address as the path of the local store, which would make a directory of that name.

    With `local`, an installed store may take addresses of that scheme.
    """
    raw, store = log.values.get("path"), log_settings.components.get("store")
    if raw is None or log_settings.path is None or store is None or store.name != LOCAL_STORE:
        return
    address = cast("str", raw.value)
    why = "" if registry.takes_address(address) else local_problem(address)
    if why:
        problems.append(raw.problem(why))
        log_settings.path = None


def plain_value(key: str, raw: RawValue, converter: Converter, problems: list[Problem]) -> Any:
    written = as_written(raw, TYPES[key])
    try:
        return value_of(converter, written, TYPES[key])
    except ValueError as error:
        problems.append(raw.problem(str(error)))
        return DEFAULTS[key]


def as_written(raw: RawValue, wanted: Any) -> object:
    """Return the value as a file would contain it. The text of a variable is parsed for the type *wanted*."""
    if raw.origin == "environment" and isinstance(raw.value, str):
        return text_as_value(raw.value, wanted)
    return raw.value


def read_retention(log: Log, converter: Converter, log_settings: LogSettings, problems: list[Problem]) -> None:
    """Read the table of the retention. Each of its bounds is a setting of its own."""
    raw, told = log.values.get("retention"), log_settings.settings
    log_settings.values["retention"] = retention = retention_of(raw, converter, problems)
    if raw is None or retention is None:
        told.append(setting("retention", None, raw))
        return
    told += [setting(f"retention.{one.name}", getattr(retention, one.name), raw) for one in fields(Retention)]


def retention_of(raw: RawValue | None, converter: Converter, problems: list[Problem]) -> Retention | None:
    """Return the retention that *raw* describes. Return None, and add the problems to *problems*, if it is wrong."""
    written = None if raw is None else as_written(raw, RetentionOrNone)
    if raw is None or not isinstance(written, dict):
        return None if raw is None else plain_value("retention", raw, converter, problems)
    found = options_of(converter, written, Retention)
    if isinstance(found, Retention):
        return found
    for problem in found:
        key = ".".join((raw.key, *map(bare, problem.path)))
        problems.append(Problem(file=raw.file, key=key, value=problem.value, why=problem.why))
    return None


# The components of a log


def read_component(
    log: Log, kind: str, converter: Converter, log_settings: LogSettings, problems: list[Problem]
) -> None:
    """Read a component's name and options into *log_settings*. If they are wrong, add only the problems."""
    component = log.components.get(kind)
    if component is None:
        log_settings.components[kind] = ComponentChoice(f"{log.key}.{kind}", cast("Kind", kind), DEFAULTS[kind])
        log_settings.settings.append(setting(kind, DEFAULTS[kind], None))
        return
    choice = choose_component(log, component, kind, converter, log_settings, problems)
    if choice is not None:
        log_settings.components[kind] = choice


def read_observers(log: Log, converter: Converter, log_settings: LogSettings, problems: list[Problem]) -> None:
    """Read the list of observers, each of which has options of its own."""
    log_settings.values["observers"] = ()  # the observers are made later
    raw = log.values.get("observers")
    if raw is None:
        log_settings.settings.append(setting("observers", [], None))
        return
    written = as_written(raw, list)
    if not isinstance(written, list):
        problems.append(raw.problem("a list: of names, or of tables with `use` and options beside it"))
        return
    if not written:
        log_settings.settings.append(setting("observers", [], raw))
    for at, value in enumerate(written):
        one = RawValue(value, raw.file, f"{raw.key}.{at}")
        component = component_of("observer", f"{log.key}.observers.{at}", one)
        choice = choose_component(log, component, f"observers.{at}", converter, log_settings, problems)
        if choice is not None:
            log_settings.observers.append(choice)


def choose_component(
    log: Log, component: Component, key: str, converter: Converter, log_settings: LogSettings, problems: list[Problem]
) -> ComponentChoice | None:
    """Return the choice that *component* makes, and record it as the setting *key*.

    Return None, and add the problems to *problems*, if the choice is wrong.
    """
    use, kind = component.use, cast("Kind", component.kind)
    if use is None or not isinstance(use.value, str):
        problems.append(problem_without_name(component))
        return None
    try:
        dataclass = registry.options(kind, use.value)
    except WalError as error:
        problems.append(use.problem(without_prefix(str(error), kind, use.value)))
        return None
    log_settings.settings.append(setting(key, use.value, use))
    choice = ComponentChoice(component.key, kind, use.value)
    if dataclass is None:
        none = f"{kind} {use.value!r} has no options"
        problems += [
            one.problem(where_it_belongs(log, kind, option) or none) for option, one in component.options.items()
        ]
        return choice
    types = types_of(dataclass)
    raw = {field_name(option, one, types): one for option, one in component.options.items()}
    written = {option: as_written(one, types.get(option, Any)) for option, one in raw.items()}
    options = options_of(converter, written, dataclass)
    if not isinstance(options, dataclass):
        problems += [locate_problem(log, component, raw, problem) for problem in options]
        return None
    log_settings.settings += [setting(f"{key}.{name}", getattr(options, name), raw.get(name)) for name in types]
    return choice._replace(options=options)


def field_name(key: str, raw: RawValue, types: Mapping[str, Any]) -> str:
    """Return the name of the option's field. The name of a variable does not tell capitals from small letters."""
    if raw.origin == "file":
        return key
    return next((name for name in types if name.lower() == key), key)


def locate_problem(log: Log, component: Component, raw: Mapping[str, RawValue], problem: OptionProblem) -> Problem:
    """Return a problem in the options as a problem in the file, or in the variable, that contains it."""
    head, *deeper = problem.path or ("",)
    one = raw.get(head)
    if one is None:
        key = ".".join((component.key, *map(bare, problem.path)))
        return Problem(file=component.raw.file, key=key, value=problem.value, why=problem.why)
    key = ".".join((one.key, *map(bare, deeper)))
    value = problem.value if deeper or one.origin == "file" else one.value
    why = where_it_belongs(log, component.kind, head) if problem.is_unknown_key and not deeper else None
    return Problem(file=one.file, key=key, value=value, why=why or problem.why)


def problem_without_name(component: Component) -> Problem:
    kind, raw, use = component.kind, component.raw, component.use
    names = ", ".join(registry.names(cast("Kind", kind)))
    names = f"there are: {names}" if names else "none is installed"
    if use is not None:
        return use.problem(f"the name of {KIND_NAMES[kind]}, in quotes ({names})")
    if raw.origin == "environment":
        return raw.problem(f"an option, but {component.key} chooses none ({names})")
    if isinstance(raw.value, dict):
        return Problem(
            file=raw.file, key=f"{raw.key}.use", value=ABSENT, why=f"missing: the name of {KIND_NAMES[kind]} ({names})"
        )
    return raw.problem(f"the name of {KIND_NAMES[kind]}, or a table with `use` and options beside it ({names})")


KIND_NAMES: Final = {"store": "a store", "codec": "a codec", "sync": "a sync policy", "observer": "an observer"}


def without_prefix(text: str, kind: str, name: str) -> str:
    """Remove the prefix `kind='name': `, which the message of a problem has already."""
    return text.removeprefix(f"{kind}={name!r}: ")


def unknown_key(log: Log, key: str) -> str:
    """Return what is wrong with a key that no log has."""
    if key == "use":
        tables = ", ".join(f"[{log.key}.{kind}]" for kind in KINDS)
        return f"no such key here: it is one of {tables}"
    return where_it_belongs(log, None, key) or f"no such key{did_you_mean(key, LOG_KEYS)}"


def where_it_belongs(log: Log, kind: str | None, key: str) -> str | None:
    """Return where a key belongs that is in the table of *kind*, or None if it belongs nowhere.

    *kind* is None for a key in the log's own table.
    """
    if kind is not None and key in LOG_KEYS:
        return f"no such key here: it is one of the log: write it into [{log.key}]"
    for other, component in log.components.items():
        name = None if component.use is None else component.use.value
        if other != kind and key in options_named(other, name):
            return f"no such key here: it is an option of {name!r}: write it into [{log.key}.{other}]"
    return None


def options_named(kind: str, name: object) -> Iterable[str]:
    try:
        options = registry.options(cast("Kind", kind), name) if isinstance(name, str) else None
    except WalError:
        return ()
    return () if options is None else types_of(options)
