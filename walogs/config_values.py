"""What a file says, as values of the types that an options dataclass declares; and each mistake, with its place.

Nothing is converted by luck: a number in quotes is no number, one word is no list. Only text with a unit becomes a
quantity, and text becomes a path, relative to the file.
"""

from __future__ import annotations

import enum
import os
import tomllib
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path, PurePath
from types import GenericAlias, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from cattrs import Converter
from cattrs.cols import list_structure_factory, mapping_structure_factory
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from walogs.config import did_you_mean
from walogs.errors import ConfigError
from walogs.quantities import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Hook: TypeAlias = Callable[[Any, Any], Any]

NONE: Final = "none"
"""What stands for None, which TOML does not have."""
ABSENT: Final[Any] = MISSING
"""The value of a key that is not there."""


class Complaint(NamedTuple):
    """One mistake."""

    path: tuple[str, ...]
    """Keys from the value that was looked at downward."""
    value: object
    """As it was written; ABSENT: it is missing."""
    why: str
    """What is wrong, or what is allowed."""
    is_unknown_key: bool = False


class Refused(ValueError):
    """A value is of no type that its place takes; the message says what is allowed."""


def converter_for(directory: str) -> Converter:
    """*directory*: what relative paths are relative to."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for plain in (bytes, float, int, str, Path):  # and what derives from them, or is annotated: cattrs looks here first
        converter.register_structure_hook(plain, partial(scalar, directory))
    for is_scalar in (is_annotated, is_choice, is_path):
        converter.register_structure_hook_func(is_scalar, partial(scalar, directory, converter=converter))
    converter.register_structure_hook_func(is_union, partial(member_of, converter))
    for is_such, factory in ((is_listed, listed), (is_mapped, mapped), (is_fielded, fielded)):
        converter.register_structure_hook_factory(is_such, partial(factory, converter))
    return converter


def value_of(converter: Converter, written: object, wanted: Any) -> Any:
    """Raises `Refused`."""
    return converter.structure(written, wanted)


def options_of(converter: Converter, written: Mapping[str, object], wanted: type) -> Any | tuple[Complaint, ...]:
    """An instance of the options dataclass *wanted*; or every mistake."""
    result = read_options(converter, written, wanted)
    if isinstance(result, wanted):
        return result
    wrong = {complaint.path[0] for complaint in result if complaint.path}
    rest = {key: value for key, value in written.items() if key not in wrong}
    if rest == written:
        return result
    # What the class itself has to say of the others, it says only when it is made.
    more = read_options(converter, rest, wanted)
    if isinstance(more, wanted):
        return result
    return (*result, *(complaint for complaint in more if complaint.path and complaint.path[0] in rest))


def read_options(converter: Converter, written: Mapping[str, object], wanted: type) -> Any | tuple[Complaint, ...]:
    try:
        if not is_dataclass(wanted):
            raise TypeError("it is no dataclass")
        return converter.structure(written, wanted)
    except ClassValidationError as error:
        return tuple(complaints(error, written, wanted, ()))
    except Exception as error:  # noqa: BLE001 (whatever a stranger's class raises, is told with its place)
        return (Complaint((), ABSENT, f"its options class {wanted.__qualname__} cannot be used: {reason(error)}"),)


def text_as_value(text: str, wanted: Any) -> object:
    """What a variable says, as a file would say it: TOML where it is such a value and no text is wanted, else text."""
    if wants_text(wanted) or "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def wants_text(wanted: Any) -> bool:
    members = [member for member in members_of(wanted) if member is not NoneType]
    if is_choice(wanted):
        return all(isinstance(value, str) for value in choices_of(wanted))
    if len(members) > 1 or members != [wanted]:
        return any(wants_text(member) for member in members)
    return wanted is str or is_path(wanted)


def types_of(options: type) -> dict[str, Any]:
    """Name to type of every option. Where the annotations cannot be read, each is Any: using the class says why."""
    if not is_dataclass(options):
        return {}
    names = [option.name for option in fields(options) if option.init]
    try:
        hints = get_type_hints(options, include_extras=True)
    except Exception:  # noqa: BLE001 (an annotation is any expression)
        hints = {}
    return {name: hints.get(name, Any) for name in names}


# What is wrong, and where


def complaints(error: Exception, written: object, wanted: Any, path: tuple[str, ...]) -> Iterator[Complaint]:
    """Every mistake in *error*, which reading *written* as a *wanted* has raised."""
    match error:
        case ClassValidationError():
            noted, others = error.group_exceptions()
            hints = types_of(error.cl)
            for cause, note in noted:
                value = written.get(note.name, ABSENT) if isinstance(written, Mapping) else ABSENT
                yield from complaints(cause, value, hints.get(note.name, Any), (*path, note.name))
            for cause in others:
                yield from complaints(cause, written, wanted, path)
        case IterableValidationError():
            noted_items, others = error.group_exceptions()
            for cause, place in noted_items:
                item = written[place.index] if isinstance(written, list | Mapping) else written  # type: ignore[index]
                yield from complaints(cause, item, place.type, (*path, str(place.index)))
            for cause in others:
                yield from complaints(cause, written, wanted, path)
        case ForbiddenExtraKeysError():
            values = written if isinstance(written, Mapping) else {}
            for key in sorted(error.extra_fields):
                why = f"no such key{did_you_mean(key, types_of(error.cl))}"
                yield Complaint((*path, key), values.get(key), why, is_unknown_key=True)
        case KeyError() if written is ABSENT:
            yield Complaint(path, ABSENT, f"missing: {allowed(wanted)}")
        case ConfigError(problems=(_, *_) as problems):
            for problem in problems:
                yield own_complaint(problem, written, path)
        case _:
            yield Complaint(path, written, reason(error))


def own_complaint(problem: str, written: object, path: tuple[str, ...]) -> Complaint:
    """What a class says of its own field, as `key=value: what is allowed`; or of itself."""
    key, separator, rest = problem.partition("=")
    if separator and isinstance(written, Mapping) and key in written:
        return Complaint((*path, key), written[key], in_toml(rest.partition(": ")[2] or rest))
    return Complaint(path, ABSENT, in_toml(problem))


def in_toml(why: str) -> str:
    """What is allowed, as a file has it."""
    return why.replace("or None", f'or "{NONE}"')


def reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def allowed(wanted: Any) -> str:
    """What may be written where a *wanted* is read."""
    if quantity_in(wanted) is not None:
        return quantity_in(wanted).allowed  # type: ignore[union-attr]
    if is_annotated(wanted):
        return allowed(get_args(wanted)[0])
    if is_union(wanted):
        return " or ".join(f'"{NONE}"' if member is NoneType else allowed(member) for member in get_args(wanted))
    if is_choice(wanted):
        return " or ".join(repr(value) for value in choices_of(wanted))
    if is_path(wanted):
        return "a path, relative to the file that has it"
    if is_listed(wanted):
        items = [member for member in get_args(wanted) if member is not ...]
        return f"a list, of {allowed(items[0])}" if items else "a list"
    return PLAIN.get(wanted, "a table" if is_mapped(wanted) or is_fielded(wanted) else "a value")


PLAIN: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    NoneType: f'"{NONE}"',
}


# What each type takes. The signatures are those of cattrs' hooks: (written, wanted), and raise `Refused`


def scalar(directory: str, written: object, wanted: Any, *, converter: Converter | None = None) -> Any:
    quantity = quantity_in(wanted)
    if quantity is not None:
        return quantity.read(written)
    if is_annotated(wanted):
        inner = get_args(wanted)[0]
        return scalar(directory, written, inner) if converter is None else converter.structure(written, inner)
    if is_choice(wanted):
        return choice(written, wanted)
    if is_path(wanted):
        return path_below(directory, written, wanted)
    return number(written) if wanted is float else exactly(wanted, written)


def exactly(plain: type, written: object) -> Any:
    if type(written) is not plain:  # True is no number
        raise Refused(allowed(plain))
    return written


def number(written: object) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise Refused(allowed(float))
    try:
        return float(written)
    except OverflowError:
        raise Refused(f"{allowed(float)}, and not so big") from None


def path_below(directory: str, written: object, wanted: Any) -> Any:
    if not isinstance(written, str) or not written or "\0" in written:
        raise Refused(allowed(Path))
    if written.startswith("~"):
        raise Refused(f"~ stands for no directory here; {allowed(Path)}")
    return wanted(os.path.join(directory, written))


def choice(written: object, wanted: Any) -> Any:
    for value in choices_of(wanted):
        if type(value) is type(written) and value == written:
            return wanted(value) if isinstance(wanted, type) else value
    raise Refused(allowed(wanted))


def member_of(converter: Converter, written: object, wanted: Any) -> Any:
    """Of a union, the first member that takes it; "none" is None, where no member takes text."""
    others = [member for member in get_args(wanted) if member is not NoneType]
    is_optional = len(others) < len(get_args(wanted))
    if is_optional and written == NONE and not wants_text(wanted):
        return None
    if len(others) > 1:
        return first_of(converter, written, others, wanted)
    try:
        return converter.structure(written, others[0])
    except ValueError as error:  # what a value is refused with; mistakes within a table come as groups
        text = f', or "{NONE}"' if is_optional and not wants_text(wanted) else ""
        raise Refused(f"{error}{text}") from None


def first_of(converter: Converter, written: object, members: Sequence[Any], wanted: Any) -> Any:
    for member in members:
        try:
            return converter.structure(written, member)
        except Exception:  # noqa: BLE001 (a stranger's class raises anything; another member may take the value)
            continue
    raise Refused(allowed(wanted))


def listed(converter: Converter, wanted: Any) -> Hook:
    """Only a list: text is a sequence too, of letters that nobody meant."""
    kind, items = get_origin(wanted) or wanted, get_args(wanted)
    if kind is tuple and items and ... not in items:
        raise TypeError(f"{wanted}: of a tuple whose items differ, no mistake could be told; use a dataclass")
    read = list_structure_factory(cast("type", GenericAlias(list, items[:1] or (Any,))), converter)
    made = kind if kind in (tuple, set, frozenset) else frozenset if kind is AbstractSet else list

    def structure(written: object, wanted: Any) -> Any:
        if not isinstance(written, list):
            raise Refused(allowed(wanted))
        return made(read(written, wanted))

    return structure


def mapped(converter: Converter, wanted: Any) -> Hook:
    items = get_args(wanted) or (str, Any)
    read: Hook = mapping_structure_factory(cast("type", GenericAlias(dict, items)), converter)

    def structure(written: object, wanted: Any) -> Any:
        if not isinstance(written, dict):
            raise Refused(allowed(wanted))
        return read(written, wanted)

    return structure


def fielded(converter: Converter, wanted: Any) -> Hook:
    hints = types_of(wanted)
    # cattrs forgets what annotates a type that is written as text (`from __future__ import annotations`): it is told.
    told: dict[str, Any] = {
        name: override(struct_hook=partial(as_told, converter, hint)) for name, hint in hints.items()
    }
    read = make_dict_structure_fn(wanted, converter, _cattrs_forbid_extra_keys=True, **told)

    def structure(written: object, wanted: Any) -> Any:
        if not isinstance(written, dict):
            raise Refused(allowed(wanted))
        return read(written, wanted)

    return structure


def as_told(converter: Converter, hint: Any, written: object, _: Any) -> Any:
    return converter.structure(written, hint)


# What kind of type it is


def is_annotated(wanted: Any) -> bool:
    return get_origin(wanted) is Annotated


def is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, UnionType)


def is_choice(wanted: Any) -> bool:
    return get_origin(wanted) is Literal or (isinstance(wanted, type) and issubclass(wanted, enum.Enum))


def is_path(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, PurePath)


def is_listed(wanted: Any) -> bool:
    return (get_origin(wanted) or wanted) in LISTS


def is_mapped(wanted: Any) -> bool:
    return (get_origin(wanted) or wanted) in (dict, Mapping, MutableMapping)


def is_fielded(wanted: Any) -> bool:
    return isinstance(wanted, type) and is_dataclass(wanted)


LISTS: Final = (list, tuple, set, frozenset, Sequence, MutableSequence, AbstractSet)


def quantity_in(wanted: Any) -> Quantity | None:
    if not is_annotated(wanted):
        return None
    return next((said for said in wanted.__metadata__ if isinstance(said, Quantity)), None)


def choices_of(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) or tuple(member.value for member in wanted)


def members_of(wanted: Any) -> tuple[Any, ...]:
    if is_annotated(wanted):
        return (get_args(wanted)[0],)
    return get_args(wanted) if is_union(wanted) else (wanted,)
