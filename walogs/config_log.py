"""One log of a file: each value read as what it is, each component named and its options validated; nothing is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from walogs import registry
from walogs.config import KEYS, WalConfig, did_you_mean, refused
from walogs.config_tables import KINDS, LOG_KEYS, Component, Given, Log, Mistake, Origin, bare
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
    "observers": tuple[str, ...],
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


@dataclass(slots=True)
class Resolved:
    """One log: its values, read as what they are."""

    name: str
    key: str
    path: str | None = None
    """None: it has none, or one that is wrong."""
    has_path: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    components: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Kind to name, and to the options, validated; None: it has none."""
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
        resolved.components[kind] = DEFAULTS[kind], None
        resolved.settings.append(setting(kind, DEFAULTS[kind], None))
        return
    use = component.use
    if use is None or not isinstance(use.value, str):
        mistakes.append(nameless(log, component))
        return
    try:
        options = registry.options(cast("Kind", kind), use.value)
    except WalError as error:
        mistakes.append(use.mistake(said_of(error, kind, use.value)))
        return
    resolved.settings.append(setting(kind, use.value, use))
    if options is None:
        resolved.components[kind] = use.value, None
        none = f"{kind} {use.value!r} has no options"
        mistakes += [given.mistake(elsewhere(log, kind, key) or none) for key, given in component.options.items()]
    else:
        resolve_options(log, component, options, converter, resolved, mistakes)


def resolve_options(
    log: Log, component: Component, options: type, converter: Converter, resolved: Resolved, mistakes: list[Mistake]
) -> None:
    assert component.use is not None
    kind, types = component.kind, types_of(options)
    given = {field_named(key, one, types): one for key, one in component.options.items()}
    written = {key: as_written(one, types.get(key, Any)) for key, one in given.items()}
    result = options_of(converter, written, options)
    if isinstance(result, options):
        resolved.components[kind] = str(component.use.value), result
        found = ((f"{kind}.{key}", getattr(result, key), given.get(key)) for key in types)
        resolved.settings += [setting(key, value, one) for key, value, one in found]
    else:
        mistakes += [placed(log, component, given, complaint) for complaint in result]


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
        key = ".".join((component_key(log, component.kind), *map(bare, complaint.path)))
        return Mistake(component.given.file, key, complaint.value, complaint.why)
    key = ".".join((one.key, *map(bare, deeper)))
    value = complaint.value if deeper or one.origin == "file" else one.value
    why = elsewhere(log, component.kind, head) if complaint.is_unknown_key and not deeper else None
    return Mistake(one.file, key, value, why or complaint.why)


def nameless(log: Log, component: Component) -> Mistake:
    kind, given, use = component.kind, component.given, component.use
    names = "there are: " + ", ".join(registry.names(cast("Kind", kind)))
    if use is not None:
        return use.mistake(f"the name of a {KIND_NAMES[kind]}, in quotes ({names})")
    if given.origin == "environment":
        return given.mistake(f"an option, but {component_key(log, kind)} chooses no {KIND_NAMES[kind]} ({names})")
    if isinstance(given.value, dict):
        return Mistake(given.file, f"{given.key}.use", ABSENT, f"missing: the name of a {KIND_NAMES[kind]} ({names})")
    return given.mistake(f"the name of a {KIND_NAMES[kind]}, or a table with `use` and options beside it ({names})")


KIND_NAMES: Final = {"store": "store", "codec": "codec", "sync": "sync policy"}


def component_key(log: Log, kind: str) -> str:
    return f"{log.key}.{kind}"


def said_of(error: WalError, kind: str, name: str) -> str:
    """Without what a mistake says already."""
    return str(error).removeprefix(f"{kind}={name!r}: ")


def unknown_key(log: Log, key: str) -> str:
    """What to say of a key that no log has."""
    if key == "use":
        tables = ", ".join(f"[{component_key(log, kind)}]" for kind in KINDS)
        return f"no such key here: it is one of {tables}"
    return elsewhere(log, None, key) or f"no such key{did_you_mean(key, LOG_KEYS)}"


def elsewhere(log: Log, kind: str | None, key: str) -> str | None:
    """Where a key belongs that stands in the table of *kind* (None: in the log's own), if anywhere."""
    if kind is not None and key in LOG_KEYS:
        return f"no such key here: it is one of the log: write it into [{log.key}]"
    for other, component in log.components.items():
        name = None if component.use is None else component.use.value
        if other != kind and key in options_named(other, name):
            return f"no such key here: it is an option of {name!r}: write it into [{component_key(log, other)}]"
    return None


def options_named(kind: str, name: object) -> Iterable[str]:
    try:
        options = registry.options(cast("Kind", kind), name) if isinstance(name, str) else None
    except WalError:
        return ()
    return () if options is None else types_of(options)
