"""`Record`: a value with named fields, which never changes.

A record is written as a frozen dataclass is, and behaves like one. To import `dataclasses`, and to have it compile the
methods of each class, would be a third of the time of `import walogs`. A record takes its methods from here instead.
The functions of `dataclasses` take records all the same.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from inspect import Signature
    from typing import Self


def signature_of(kind: Any) -> Signature:
    """Return the parameters of a class."""
    from inspect import signature

    return signature(kind)


class FromDataclass:
    """An attribute of a record's class that is taken from the dataclass with the same fields, when it is asked for."""

    def __init__(self, take: Callable[[Any], Any]) -> None:
        self._take = take

    def __get__(self, record: object, kind: Any) -> Any:
        return self._take(dataclass_of(kind))


@dataclass_transform(frozen_default=True)
class Record:
    """The annotated names of a subclass are its fields. A value beside an annotation is the default of the field.

    A record equals another of the same class with equal fields. `__post_init__` is called when all fields are set.
    """

    if TYPE_CHECKING:
        __match_args__: ClassVar[tuple[str, ...]]
        """The names of the fields, in order."""
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
        __signature__: ClassVar[Signature]
    else:  # without annotations, because those of a record are its fields
        __match_args__ = ()
        __dataclass_fields__ = FromDataclass(lambda same: same.__dataclass_fields__)
        __signature__ = FromDataclass(signature_of)

    def __init_subclass__(cls) -> None:
        cls.__match_args__ = (*cls.__match_args__, *vars(cls).get("__annotations__", ()))  # type: ignore[misc]

    def __init__(self, *values: object, **named: object) -> None:
        kind: Any = type(self)
        fields = vars(self)
        given = {**dict(zip(kind.__match_args__, values, strict=False)), **named}
        is_clear = len(given) == len(values) + len(named)  # no value is too many, and no field has two
        for name in kind.__match_args__:
            if name in given:
                fields[name] = given.pop(name)
            elif hasattr(kind, name):
                fields[name] = getattr(kind, name)
            else:
                is_clear = False
        if given or not is_clear:
            dataclass_of(kind)(*values, **named)  # it raises Python's own TypeError
        self.__post_init__()

    def __post_init__(self) -> None:
        """Refuse values that are wrong together."""

    def __replace__(self, /, **changes: Any) -> Self:
        return type(self)(**{**vars(self), **changes})

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        refuse_change(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        refuse_change(f"cannot delete field {name!r}")


R = TypeVar("R", bound=Record)


def replace(record: R, /, **changes: Any) -> R:
    """Return a record with other values in some fields."""
    return record.__replace__(**changes)


@cache
def dataclass_of(kind: Any) -> Any:
    """Return a dataclass with the fields of this class of records."""
    from dataclasses import field, make_dataclass

    annotations = {name: text for base in kind.__mro__ for name, text in vars(base).get("__annotations__", {}).items()}
    fields = [
        (name, annotations[name], field(default=getattr(kind, name)) if hasattr(kind, name) else field())
        for name in kind.__match_args__
    ]
    return make_dataclass(kind.__name__, fields, frozen=True)


def refuse_change(why: str) -> NoReturn:
    """Raise the error that a frozen dataclass raises."""
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(why)
