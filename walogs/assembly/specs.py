"""The records by which a plugin describes its components, and the checks of such records.

A record names its factory by an import string, so a plugin can be listed or refused without its dependencies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from walogs.assembly.import_strings import is_import_string
from walogs.foundation.foreign import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal["store", "codec", "sync", "command", "observer"]

API: Final = 1
"""Version of the plugin interface: the hooks, these records, and the protocols of the components."""

NAME_LENGTH_MAX: Final = 63
"""Most characters in a name. A codec's name is written into segment headers, which have space for this many bytes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One component of a plugin."""

    name: str
    """What users write: `codec="zstd"`. Lower-case letters and digits, with `-`, `_` and `.` between them."""
    factory: str
    """`package.module:callable`. It is called with the fields of *options* as keywords; a store gets the path first."""
    options: str | None = None
    """`package.module:Dataclass`: the keywords of the factory, with their types, defaults and checks. None: it has
    none."""
    api: int = 1
    """Version of the plugin interface that it was written for. A release of walogs refuses a later version."""
    summary: str = ""
    """One line, for `walogs plugins` and the command line's help."""


@dataclass(frozen=True, slots=True)
class StoreSpec(Spec):
    """A segment store: `factory(path, **options)` returns a `SegmentStore`."""

    schemes: tuple[str, ...] = ()
    """The schemes of the addresses that it takes as a path, such as `("s3",)`. A log at such an address needs no
    `store=`."""


@dataclass(frozen=True, slots=True)
class CodecSpec(Spec):
    """A codec: `factory(**options)` returns a `Codec` with this same `name`, which is written into segments."""


@dataclass(frozen=True, slots=True)
class SyncPolicySpec(Spec):
    """A sync policy: `factory(**options)` returns a `SyncPolicy`."""


@dataclass(frozen=True, slots=True)
class CommandSpec(Spec):
    """A command, `walogs NAME`: the factory is itself a function or a `cyclopts.App`, and has no options."""


@dataclass(frozen=True, slots=True)
class ObserverSpec(Spec):
    """An observer: `factory(**options)` returns a callable that is called with each `walogs.events.Event`."""


SPECS: Final[dict[Kind, type[Spec]]] = {
    "store": StoreSpec,
    "codec": CodecSpec,
    "sync": SyncPolicySpec,
    "command": CommandSpec,
    "observer": ObserverSpec,
}


def plain(kind: Kind, spec: object) -> object:
    """Copy what a hook gave into a record of walogs' own, with text that is `str` and nothing derived from it.

    The record is compared and printed long after the plugin has been judged. A class derived from a record or from
    `str` has methods of the plugin's, which could raise then, in a call that concerns another plugin. Anything that is
    no record of that kind is returned as it is.
    """
    if not isinstance(spec, SPECS[kind]):
        return spec
    values: dict[str, Any] = {field.name: getattr(spec, field.name) for field in fields(SPECS[kind])}
    for key, value in values.items():
        if isinstance(value, str):
            values[key] = str.__str__(value)
    return SPECS[kind](**values)


def problems_of(kind: Kind, spec: object) -> Iterator[str]:
    """Yield every problem of *spec*, which a hook returned for that kind. Nothing about it is taken for granted."""
    wanted = SPECS[kind]
    if not isinstance(spec, wanted):
        yield f"{describe(spec)} is no {wanted.__name__}"
        return
    what = f"{kind} {describe(spec.name)}"
    if type(spec.api) is not int or spec.api < 1:
        yield f"{what}: api={describe(spec.api)}: a whole number, 1 or more"
    elif spec.api > API:
        newer = f"{what} is written for interface {spec.api} of walogs, and this release knows {API} at most"
        yield f"{newer}: upgrade walogs"
        return  # other problems may be correct in the newer interface
    if not is_name(spec.name):
        yield f"{what}: a name is 1 to {NAME_LENGTH_MAX} of a-z, 0-9, '-', '_', '.', and begins with a letter or digit"
    if not is_import_string(spec.factory):
        yield f"{what}: factory={describe(spec.factory)}: 'package.module:callable', as a string"
    if spec.options is not None and not is_import_string(spec.options):
        yield f"{what}: options={describe(spec.options)}: 'package.module:Dataclass', as a string, or None"
    if kind == "command" and spec.options is not None:
        yield f"{what}: options={describe(spec.options)}: a command takes its own from the command line"
    schemes: object = getattr(spec, "schemes", ())  # only a store has them
    if not (isinstance(schemes, tuple) and all(map(is_scheme, schemes))):
        yield f"{what}: schemes={describe(schemes)}: a tuple of schemes, such as ('s3',); file is not one"
    if not is_line(spec.summary):
        yield f"{what}: summary={describe(spec.summary)}: one line of text"


def is_name(name: object) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH_MAX or not name.isascii():
        return False
    return name[0].isalnum() and name == name.lower() and name.translate(BETWEEN).isalnum()


def is_scheme(text: object) -> bool:
    return isinstance(text, str) and SCHEME.fullmatch(text) is not None and text != "file"


def is_line(text: object) -> bool:
    return isinstance(text, str) and text.isprintable()


BETWEEN: Final = str.maketrans("", "", "-_.")
SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]+")
"""The scheme of an address in lower case (RFC 3986). A single letter is a drive."""


__all__: Final = [
    "API",
    "SPECS",
    "CodecSpec",
    "CommandSpec",
    "Kind",
    "ObserverSpec",
    "Spec",
    "StoreSpec",
    "SyncPolicySpec",
]
