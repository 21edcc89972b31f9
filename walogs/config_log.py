"""One log of a file: each value read as what it is, each component named and its options validated; nothing is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from walogs import registry
from walogs.config import KEYS, WalConfig, did_you_mean, refused
from walogs.config_tables import KINDS, LOG_KEYS, Component, Given, Log, Mistake, Origin, bare, component_of
from walogs.config_values import (
    ABSENT,
    Complaint,
    Refused,
    in_toml,
    options_of,
    path_below,
    text_as_value,
    types_of,
    value_of,
)
from walogs.errors import WalError
from walogs.quantities import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cattrs import Converter

    from walogs.specs import Kind

SizeOrNone: TypeAlias = Size | None
TYPES: Final[dict[str, Any]] = {
    "max_segment_size": SizeOrNone,
    "max_entry_size": Size,
    "max_batch_size": Size,
    "max_queued_size": Size,
    "recovery": Any,
    "verify": Any,
    "change_codec": bool,
}
"""Of the keys that choose no component, how each is written; `walogs.config.refused` says which values are right."""
DEFAULTS: Final[dict[str, Any]] = {key.name: key.default for key in fields(WalConfig)}
ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
"""Where a store is that is no file: not relative to anything."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that a log has, and where it comes from."""

    key: str
    """`max_segment_size`, `sync`, `sync.time`."""
    value: object
    origin: Origin
    variable: str | None
    """That of the environment which sets it."""


class Chosen(NamedTuple):
    """One component, found and with its options validated; not made yet."""

    key: str
    """Its dotted path in the file."""
    kind: Kind
    name: str
    options: Any = None
    """An instance of its options dataclass; None: it has none."""


@dataclass(slots=True)
class Resolved:
    """One log: its values, read as what they are."""

    name: str
    key: str
    path: str | None = None
    """None: it has none, or one that is wrong."""
    has_path: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    components: dict[str, Chosen] = field(default_factory=dict)
    """By kind: store, codec, sync."""
    observers: list[Chosen] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)


def resolve(log: Log, converter: Converter, directory: str, mistakes: list[Mistake]) -> Resolved:
    """Read every value of *log*; what is wrong goes to *mistakes*, and what is right is in the result."""
    resolved = Resolved(log.name, log.key)
    told = resolved.settings
    for key, given in log.values.items():
        if key not in LOG_KEYS:
            mistakes.append(given.mistake(unknown_key(log, key)))
    resolved.has_path = "path" in log.values
    if resolved.has_path:
        resolved.path = path_of(log.values["path"], directory, mistakes)
        told.append(setting("path", resolved.path, log.values["path"]))
    for key in KEYS:
        if key in KINDS:
            resolve_component(log, key, converter, resolved, mistakes)
        elif key == "observers":
            resolve_observers(log, converter, resolved, mistakes)
        else:
            one = log.values.get(key)
            resolved.values[key] = DEFAULTS[key] if one is None else plain_value(key, one, converter, mistakes)
            told.append(setting(key, resolved.values[key], one))
    for key, _, why in refused(resolved.values):
        mistakes.append(log.values[key].mistake(in_toml(why)))
    return resolved


def setting(key: str, value: object, given: Given | None) -> Setting:
    if given is None:
        return Setting(key, value, "default", None)
    return Setting(key, value, given.origin, given.key if given.origin == "environment" else None)


def path_of(given: Given, directory: str, mistakes: list[Mistake]) -> str | None:
    """Relative to the file, wherever it is written. An address that is no file's stays as it is."""
    if isinstance(given.value, str) and ADDRESS.fullmatch(given.value):
        return given.value
    try:
        return str(path_below(directory, given.value, str))
    except Refused as error:
        mistakes.append(given.mistake(str(error)))
        return None


def plain_value(key: str, given: Given, converter: Converter, mistakes: list[Mistake]) -> Any:
    written = as_written(given, TYPES[key])
    try:
        return value_of(converter, written, TYPES[key])
    except ValueError as error:
        mistakes.append(given.mistake(str(error)))
        return DEFAULTS[key]


def as_written(given: Given, wanted: Any) -> object:
    """The value, as a file would have it."""
    if given.origin == "environment" and isinstance(given.value, str):
        return text_as_value(given.value, wanted)
    return given.value


# Its components


def resolve_component(log: Log, kind: str, converter: Converter, resolved: Resolved, mistakes: list[Mistake]) -> None:
    """Its name and its options; where they are wrong, nothing of it is in *resolved*."""
    component = log.components.get(kind)
    if component is None:
        resolved.components[kind] = Chosen(f"{log.key}.{kind}", cast("Kind", kind), DEFAULTS[kind])
        resolved.settings.append(setting(kind, DEFAULTS[kind], None))
        return
    chosen = chosen_by(log, component, kind, converter, resolved, mistakes)
    if chosen is not None:
        resolved.components[kind] = chosen


def resolve_observers(log: Log, converter: Converter, resolved: Resolved, mistakes: list[Mistake]) -> None:
    """A list of components, each with options of its own."""
    resolved.values["observers"] = ()  # until they are made
    given = log.values.get("observers")
    if given is None:
        resolved.settings.append(setting("observers", [], None))
        return
    written = as_written(given, list)
    if not isinstance(written, list):
        mistakes.append(given.mistake("a list: of names, or of tables with `use` and options beside it"))
        return
    if not written:
        resolved.settings.append(setting("observers", [], given))
    for at, value in enumerate(written):
        one = Given(value, given.file, f"{given.key}.{at}")
        component = component_of("observer", f"{log.key}.observers.{at}", one)
        chosen = chosen_by(log, component, f"observers.{at}", converter, resolved, mistakes)
        if chosen is not None:
            resolved.observers.append(chosen)


def chosen_by(
    log: Log, component: Component, key: str, converter: Converter, resolved: Resolved, mistakes: list[Mistake]
) -> Chosen | None:
    """What *component* chooses, told as a setting *key*; None: it is wrong, and the mistakes say how."""
    use, kind = component.use, cast("Kind", component.kind)
    if use is None or not isinstance(use.value, str):
        mistakes.append(nameless(component))
        return None
    try:
        dataclass = registry.options(kind, use.value)
    except WalError as error:
        mistakes.append(use.mistake(said_of(str(error), kind, use.value)))
        return None
    resolved.settings.append(setting(key, use.value, use))
    chosen = Chosen(component.key, kind, use.value)
    if dataclass is None:
        none = f"{kind} {use.value!r} has no options"
        mistakes += [one.mistake(elsewhere(log, kind, option) or none) for option, one in component.options.items()]
        return chosen
    types = types_of(dataclass)
    given = {field_named(option, one, types): one for option, one in component.options.items()}
    written = {option: as_written(one, types.get(option, Any)) for option, one in given.items()}
    options = options_of(converter, written, dataclass)
    if not isinstance(options, dataclass):
        mistakes += [placed(log, component, given, complaint) for complaint in options]
        return None
    resolved.settings += [setting(f"{key}.{name}", getattr(options, name), given.get(name)) for name in types]
    return chosen._replace(options=options)


def field_named(key: str, given: Given, types: Mapping[str, Any]) -> str:
    """A variable's name is all capitals, whatever the field's is."""
    if given.origin == "file":
        return key
    return next((name for name in types if name.lower() == key), key)


def placed(log: Log, component: Component, given: Mapping[str, Given], complaint: Complaint) -> Mistake:
    """What is wrong with the options, as what is wrong with the file."""
    head, *deeper = complaint.path or ("",)
    one = given.get(head)
    if one is None:
        key = ".".join((component.key, *map(bare, complaint.path)))
        return Mistake(component.given.file, key, complaint.value, complaint.why)
    key = ".".join((one.key, *map(bare, deeper)))
    value = complaint.value if deeper or one.origin == "file" else one.value
    why = elsewhere(log, component.kind, head) if complaint.is_unknown_key and not deeper else None
    return Mistake(one.file, key, value, why or complaint.why)


def nameless(component: Component) -> Mistake:
    kind, given, use = component.kind, component.given, component.use
    names = ", ".join(registry.names(cast("Kind", kind)))
    names = f"there are: {names}" if names else "none is installed"
    if use is not None:
        return use.mistake(f"the name of {KIND_NAMES[kind]}, in quotes ({names})")
    if given.origin == "environment":
        return given.mistake(f"an option, but {component.key} chooses none ({names})")
    if isinstance(given.value, dict):
        return Mistake(given.file, f"{given.key}.use", ABSENT, f"missing: the name of {KIND_NAMES[kind]} ({names})")
    return given.mistake(f"the name of {KIND_NAMES[kind]}, or a table with `use` and options beside it ({names})")


KIND_NAMES: Final = {"store": "a store", "codec": "a codec", "sync": "a sync policy", "observer": "an observer"}


def said_of(text: str, kind: str, name: str) -> str:
    """Without what a mistake says already."""
    return text.removeprefix(f"{kind}={name!r}: ")


def unknown_key(log: Log, key: str) -> str:
    """What to say of a key that no log has."""
    if key == "use":
        tables = ", ".join(f"[{log.key}.{kind}]" for kind in KINDS)
        return f"no such key here: it is one of {tables}"
    return elsewhere(log, None, key) or f"no such key{did_you_mean(key, LOG_KEYS)}"


def elsewhere(log: Log, kind: str | None, key: str) -> str | None:
    """Where a key belongs that stands in the table of *kind* (None: in the log's own), if anywhere."""
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
