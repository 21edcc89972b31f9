"""What a plugin says about each of its components: a small frozen record, and what may be wrong with one.

A record names its factory by an import string, so that a plugin can be listed, and refused, without loading what it
stands on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from walogs.import_strings import is_import_string

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal["store", "codec", "sync", "command", "observer"]

API: Final = 1
"""The version of what walogs and a plugin agree on: the hooks, these records, and the protocols behind the names."""

NAME_LENGTH_MAX: Final = 63
"""A codec's name is stamped in segment headers, which have room for so many bytes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One component of a plugin."""

    name: str
    """What users write: `codec="zstd"`. Lower-case letters and digits, with `-`, `_` and `.` between them."""
    factory: str
    """`package.module:callable`. Called with the fields of *options* as keywords; a store's with the path before."""
    options: str | None = None
    """`package.module:Dataclass`: the keywords of the factory, with their types, defaults and checks. None: it has
    none."""
    api: int = 1
    """What it was written for. A release of walogs that does not know it yet refuses it."""
    summary: str = ""
    """One line, for `walogs plugins` and the command line's help."""


@dataclass(frozen=True, slots=True)
class StoreSpec(Spec):
    """A segment store: `factory(path, **options)` gives a `SegmentStore`."""


@dataclass(frozen=True, slots=True)
class CodecSpec(Spec):
    """A codec: `factory(**options)` gives a `Codec` whose `name` is this one, since segments are stamped with that."""


@dataclass(frozen=True, slots=True)
class SyncPolicySpec(Spec):
    """A sync policy: `factory(**options)` gives a `SyncPolicy`."""


@dataclass(frozen=True, slots=True)
class CommandSpec(Spec):
    """A command, `walogs NAME`: the factory is itself a function or a `cyclopts.App`, and has no options."""


@dataclass(frozen=True, slots=True)
class ObserverSpec(Spec):
    """An observer: `factory(**options)` gives what is called with each `walogs.Event`."""


SPECS: Final[dict[Kind, type[Spec]]] = {
    "store": StoreSpec,
    "codec": CodecSpec,
    "sync": SyncPolicySpec,
    "command": CommandSpec,
    "observer": ObserverSpec,
}


def problems_of(kind: Kind, spec: object) -> Iterator[str]:
    """Everything that is wrong with what a hook gave for a component of that kind. Believes nothing about it."""
    wanted = SPECS[kind]
    if not isinstance(spec, wanted):
        yield f"{spec!r} is no {wanted.__name__}"
        return
    what = f"{kind} {spec.name!r}"
    if type(spec.api) is not int or spec.api < 1:
        yield f"{what}: api={spec.api!r}: a whole number, 1 or more"
    elif spec.api > API:
        newer = f"{what} is written for interface {spec.api} of walogs, and this release knows {API} at most"
        yield f"{newer}: upgrade walogs (pip install --upgrade walogs)"
        return  # what else looks wrong may be right there
    if not is_name(spec.name):
        yield f"{what}: a name is 1 to {NAME_LENGTH_MAX} of a-z, 0-9, '-', '_', '.', and begins with a letter or digit"
    if not is_import_string(spec.factory):
        yield f"{what}: factory={spec.factory!r}: 'package.module:callable', as a string"
    if spec.options is not None and not is_import_string(spec.options):
        yield f"{what}: options={spec.options!r}: 'package.module:Dataclass', as a string, or None"
    if kind == "command" and spec.options is not None:
        yield f"{what}: options={spec.options!r}: a command takes its own from the command line"
    if not is_line(spec.summary):
        yield f"{what}: summary={spec.summary!r}: one line of text"


def is_name(name: object) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH_MAX or not name.isascii():
        return False
    return name[0].isalnum() and name == name.lower() and name.translate(BETWEEN).isalnum()


def is_line(text: object) -> bool:
    return isinstance(text, str) and text.isprintable()


BETWEEN: Final = str.maketrans("", "", "-_.")


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
