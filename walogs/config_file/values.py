"""The conversion of a file's values to the types that an options dataclass declares. Each problem has its place.

Nothing is converted by guessing: a number in quotes is not a number, and one word is not a list. There are two
exceptions: text with a unit becomes a quantity, and text becomes a path, which is relative to the file.
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

from walogs.errors import ConfigError
from walogs.foundation.foreign import error_text, type_name
from walogs.foundation.quantities import Quantity
from walogs.foundation.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Hook: TypeAlias = Callable[[Any, Any], Any]

NONE: Final = "none"
"""The text that stands for None, which TOML does not have."""
ABSENT: Final[Any] = MISSING
"""The value that stands for a missing key."""


class OptionProblem(NamedTuple):
    """One problem in the options of a component."""

    path: tuple[str, ...]
    """The keys that lead from the options to the wrong value."""
    value: object
    """The value as it was written, or ABSENT if it is missing."""
    why: str
    """The reason why this is a problem, or what is allowed."""
    is_unknown_key: bool = False


class NotAllowed(ValueError):
    """A value has a type that is not allowed in its place. The message says what is allowed."""


def converter_for(directory: str) -> Converter:
    """Return a converter that reads relative paths as relative to *directory*."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for plain in (bytes, float, int, str, Path):  # cattrs uses these for subclasses and annotated types too
        converter.register_structure_hook(plain, partial(read_scalar, directory))
    for is_scalar in (is_annotated, is_choice, is_path):
        converter.register_structure_hook_func(is_scalar, partial(read_scalar, directory, converter=converter))
    converter.register_structure_hook_func(is_union, partial(read_member, converter))
    for is_such, factory in ((is_list, list_hook), (is_mapping, mapping_hook), (is_dataclass_type, dataclass_hook)):
        converter.register_structure_hook_factory(is_such, partial(factory, converter))
    return converter


def value_of(converter: Converter, written: object, wanted: Any) -> Any:
    """Return *written* converted to *wanted*. Raises `NotAllowed`, or a group of errors for a table."""
    return converter.structure(written, wanted)


def options_of(converter: Converter, written: Mapping[str, object], wanted: type) -> Any | tuple[OptionProblem, ...]:
    """Return an instance of the options dataclass *wanted*, or every problem."""
    result = read_options(converter, written, wanted)
    if isinstance(result, wanted):
        return result
    wrong = {problem.path[0] for problem in result if problem.path}
    rest = {key: value for key, value in written.items() if key not in wrong}
    if rest == written:
        return result
    # The class validates its own fields only when it is made, so it is made once more, without the wrong values.
    more = read_options(converter, rest, wanted)
    if isinstance(more, wanted):
        return result
    return (*result, *(problem for problem in more if problem.path and problem.path[0] in rest))


def read_options(converter: Converter, written: Mapping[str, object], wanted: type) -> Any | tuple[OptionProblem, ...]:
    try:
        if not is_dataclass(wanted):
            raise TypeError("it is no dataclass")
        return converter.structure(written, wanted)
    except ClassValidationError as error:
        return tuple(problems_in(error, written, wanted, ()))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (a plugin's options class may raise anything)
        return (OptionProblem((), ABSENT, f"its options class {wanted.__qualname__} cannot be used: {reason(error)}"),)


def text_as_value(text: str, wanted: Any) -> object:
    """Return the text of a variable as a file would contain the value.

    The text is parsed as TOML, unless *wanted* takes text or the text is no TOML value. Then it stays as it is.
    """
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
    """Return the type of every option by name.

    If the annotations cannot be read, each type is Any. The error comes up again when the class is used.
    """
    if not is_dataclass(options):
        return {}
    names = [option.name for option in fields(options) if option.init]
    try:
        hints = get_type_hints(options, include_extras=True)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 (an annotation can be any expression)
        hints = {}
    return {name: hints.get(name, Any) for name in names}


# The problems, and where they are


def problems_in(error: Exception, written: object, wanted: Any, path: tuple[str, ...]) -> Iterator[OptionProblem]:
    """Yield every problem in *error*, which was raised when *written* was converted to *wanted*."""
    match error:
        case ClassValidationError():
            noted, others = error.group_exceptions()
            hints = types_of(error.cl)
            for cause, note in noted:
                value = written.get(note.name, ABSENT) if isinstance(written, Mapping) else ABSENT
                yield from problems_in(cause, value, hints.get(note.name, Any), (*path, note.name))
            for cause in others:
                yield from problems_in(cause, written, wanted, path)
        case IterableValidationError():
            noted_items, others = error.group_exceptions()
            for cause, place in noted_items:
                item = written[place.index] if isinstance(written, list | Mapping) else written  # type: ignore[index]
                yield from problems_in(cause, item, place.type, (*path, str(place.index)))
            for cause in others:
                yield from problems_in(cause, written, wanted, path)
        case ForbiddenExtraKeysError():
            values = written if isinstance(written, Mapping) else {}
            for key in sorted(error.extra_fields):
                why = f"no such key{did_you_mean(key, types_of(error.cl))}"
                yield OptionProblem((*path, key), values.get(key), why, is_unknown_key=True)
        case KeyError() if written is ABSENT:
            yield OptionProblem(path, ABSENT, f"missing: {describe_allowed(wanted)}")
        case ConfigError(problems=(_, *_) as problems):
            for problem in problems:
                yield problem_of_class(problem, written, path)
        case _:
            yield OptionProblem(path, written, reason(error))


def problem_of_class(problem: str, written: object, path: tuple[str, ...]) -> OptionProblem:
    """Return a problem that an options class found: in one field (`key=value: what is allowed`), or in the whole."""
    key, separator, rest = problem.partition("=")
    if separator and isinstance(written, Mapping) and key in written:
        return OptionProblem((*path, key), written[key], in_toml(rest.partition(": ")[2] or rest))
    return OptionProblem(path, ABSENT, in_toml(problem))


def in_toml(why: str) -> str:
    """Return what is allowed, with None written as in a file."""
    return why.replace("or None", f'or "{NONE}"')


def reason(error: BaseException) -> str:
    return error_text(error) or type_name(error)


def describe_allowed(wanted: Any) -> str:
    """Return what may be written for the type *wanted*."""
    if quantity_in(wanted) is not None:
        return quantity_in(wanted).description  # type: ignore[union-attr]
    if is_annotated(wanted):
        return describe_allowed(get_args(wanted)[0])
    if is_union(wanted):
        return " or ".join(
            f'"{NONE}"' if member is NoneType else describe_allowed(member) for member in get_args(wanted)
        )
    if is_choice(wanted):
        return " or ".join(repr(value) for value in choices_of(wanted))
    if is_path(wanted):
        return "a path, relative to the file that has it"
    if is_list(wanted):
        items = [member for member in get_args(wanted) if member is not ...]
        return f"a list, of {describe_allowed(items[0])}" if items else "a list"
    return PLAIN.get(wanted, "a table" if is_mapping(wanted) or is_dataclass_type(wanted) else "a value")


PLAIN: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    NoneType: f'"{NONE}"',
}


# The hooks that cattrs calls for each type, with (written, wanted). They raise `NotAllowed`


def read_scalar(directory: str, written: object, wanted: Any, *, converter: Converter | None = None) -> Any:
    quantity = quantity_in(wanted)
    if quantity is not None:
        return quantity.read(written)
    if is_annotated(wanted):
        inner = get_args(wanted)[0]
        return read_scalar(directory, written, inner) if converter is None else converter.structure(written, inner)
    if is_choice(wanted):
        return read_choice(written, wanted)
    if is_path(wanted):
        return read_path(directory, written, wanted)
    return read_number(written) if wanted is float else read_exactly(wanted, written)


def read_exactly(plain: type, written: object) -> Any:
    if type(written) is not plain:  # True is an instance of int, but not a number here
        raise NotAllowed(describe_allowed(plain))
    return written


def read_number(written: object) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise NotAllowed(describe_allowed(float))
    try:
        return float(written)
    except OverflowError:
        raise NotAllowed(f"{describe_allowed(float)}, and not so big") from None


def read_path(directory: str, written: object, wanted: Any) -> Any:
    if not isinstance(written, str) or not written or "\0" in written:
        raise NotAllowed(describe_allowed(Path))
    if written.startswith("~"):
        raise NotAllowed(f"~ stands for no directory here; {describe_allowed(Path)}")
    return wanted(os.path.join(directory, written))


def read_choice(written: object, wanted: Any) -> Any:
    for value in choices_of(wanted):
        if type(value) is type(written) and value == written:
            return wanted(value) if isinstance(wanted, type) else value
    raise NotAllowed(describe_allowed(wanted))


def read_member(converter: Converter, written: object, wanted: Any) -> Any:
    """Convert *written* to the first member of the union that takes it.

    "none" becomes None, unless a member takes text.
    """
    others = [member for member in get_args(wanted) if member is not NoneType]
    is_optional = len(others) < len(get_args(wanted))
    if is_optional and written == NONE and not wants_text(wanted):
        return None
    if len(others) > 1:
        return read_first(converter, written, others, wanted)
    try:
        return converter.structure(written, others[0])
    except ValueError as error:  # a single wrong value; problems within a table come as groups
        text = f', or "{NONE}"' if is_optional and not wants_text(wanted) else ""
        raise NotAllowed(f"{error}{text}") from None


def read_first(converter: Converter, written: object, members: Sequence[Any], wanted: Any) -> Any:
    for member in members:
        try:
            return converter.structure(written, member)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 (a plugin's class may raise anything; another member may take the value)
            continue
    raise NotAllowed(describe_allowed(wanted))


def list_hook(converter: Converter, wanted: Any) -> Hook:
    """Return the hook for a sequence type, which takes only a list.

    Text is a sequence of letters too, but nobody means it as a list.
    """
    kind, items = get_origin(wanted) or wanted, get_args(wanted)
    if kind is tuple and items and ... not in items:
        raise TypeError(f"{wanted}: a tuple whose items have different types is not supported; use a dataclass")
    read = list_structure_factory(cast("type", GenericAlias(list, items[:1] or (Any,))), converter)
    made = kind if kind in (tuple, set, frozenset) else frozenset if kind is AbstractSet else list

    def structure(written: object, wanted: Any) -> Any:
        if not isinstance(written, list):
            raise NotAllowed(describe_allowed(wanted))
        return made(read(written, wanted))

    return structure


def mapping_hook(converter: Converter, wanted: Any) -> Hook:
    items = get_args(wanted) or (str, Any)
    read: Hook = mapping_structure_factory(cast("type", GenericAlias(dict, items)), converter)

    def structure(written: object, wanted: Any) -> Any:
        if not isinstance(written, dict):
            raise NotAllowed(describe_allowed(wanted))
        return read(written, wanted)

    return structure


def dataclass_hook(converter: Converter, wanted: Any) -> Hook:
    hints = types_of(wanted)
    # cattrs drops the metadata of annotations that are text (`from __future__ import annotations`): pass the hints.
    told: dict[str, Any] = {
        name: override(struct_hook=partial(read_as_hinted, converter, hint)) for name, hint in hints.items()
    }
    read = make_dict_structure_fn(wanted, converter, _cattrs_forbid_extra_keys=True, **told)

    def structure(written: object, wanted: Any) -> Any:
        if not isinstance(written, dict):
            raise NotAllowed(describe_allowed(wanted))
        return read(written, wanted)

    return structure


def read_as_hinted(converter: Converter, hint: Any, written: object, _: Any) -> Any:
    return converter.structure(written, hint)


# Questions about types


def is_annotated(wanted: Any) -> bool:
    return get_origin(wanted) is Annotated


def is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, UnionType)


def is_choice(wanted: Any) -> bool:
    return get_origin(wanted) is Literal or (isinstance(wanted, type) and issubclass(wanted, enum.Enum))


def is_path(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, PurePath)


def is_list(wanted: Any) -> bool:
    return (get_origin(wanted) or wanted) in LISTS


def is_mapping(wanted: Any) -> bool:
    return (get_origin(wanted) or wanted) in (dict, Mapping, MutableMapping)


def is_dataclass_type(wanted: Any) -> bool:
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
