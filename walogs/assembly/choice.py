"""Answer the question: which object does one value of a configuration mean?

A value is a component's name or the object itself. A name goes to the registry, which makes the object. A call that
contains several problems raises one error that lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from walogs.assembly import registry
from walogs.assembly.config import LOCAL_STORE, config_error
from walogs.errors import ConfigError, PluginError
from walogs.foundation.foreign import describe
from walogs.foundation.lazy import lazy_import
from walogs.foundation.local_paths import (
    A_PATH,
    local_problem,
    path_error,
    path_text,
    scheme_of,
    with_both_slashes,
)
from walogs.protocols import SegmentStore

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from walogs.assembly.specs import Kind
    from walogs.events import Observer


P = ParamSpec("P")
T = TypeVar("T")


class Problems:
    """Collect the errors of several steps, so that the caller sees all problems at once.

    Only `ConfigError` and `PluginError` are collected. Any other error of a step, an `OSError` for example, is raised
    at once.
    """

    def __init__(self) -> None:
        self._refusals: list[ConfigError | PluginError] = []

    def attempt(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *step* and return its result. If it raises, keep the error and return None: `refuse` raises it later."""
        try:
            return step(*args, **kwargs)
        except (ConfigError, PluginError) as error:
            self._refusals.append(error)
            return cast("T", None)

    def refuse(self) -> None:
        """Raise the collected error: a single one as it is, several as one `ConfigError`. Return if there is none."""
        distinct = {str(error): error for error in self._refusals}  # a broken plugin may refuse every name
        if len(distinct) == 1:
            raise self._refusals[0]
        if distinct:
            raise config_error(*(problem for error in distinct.values() for problem in problems_of(error)))


def problems_of(error: ConfigError | PluginError) -> tuple[str, ...]:
    return (isinstance(error, ConfigError) and error.problems) or (str(error),)


def store_of(path: str | os.PathLike[str] | None, store: str | SegmentStore) -> SegmentStore:
    """Return the store of that name at *path*, or the object given. Raise `ConfigError`, `PluginError`.

    With `local`, the default, and an address as *path*, this is the store that takes such addresses.
    """
    if isinstance(store, str):
        if path is None:
            raise config_error(f"path=None: the store {store!r} needs one. {A_PATH}")
        text = path_text(path)
        scheme = scheme_of(path) if store == LOCAL_STORE else ""
        if scheme:
            return store_at(with_both_slashes(text), scheme)
        made: SegmentStore = registry.make("store", store, path)
        return made
    kept: SegmentStore = component("store", store, SegmentStore)
    if path is not None:
        raise config_error(f"path={describe(path)}: with a store object there is no path, since it knows its own place")
    return kept


def store_at(address: str, scheme: str) -> SegmentStore:
    """Return the store that takes addresses of this scheme. Raise `ConfigError` if none does."""
    name = registry.store_for(scheme)
    if not name:
        with lazy_import:
            from walogs.assembly.resolver import advice_for

        raise path_error("path", address, f"{local_problem(address)}{advice_for(scheme)}")
    made: SegmentStore = registry.make("store", name, scheme + address[len(scheme) :])  # the scheme in lower case
    return made


def component(kind: Kind, value: Any, protocol: type) -> Any:
    """Return the object of that name, or the object given. Raise `ConfigError`, `PluginError`."""
    if isinstance(value, str):
        return registry.make(kind, value)
    if isinstance(value, type) or not isinstance(value, protocol):
        hint = f"; did you mean {value.__name__}()?" if is_class_of(value, protocol) else lacking(value, protocol)
        members = f"the members of walogs.plugins.{protocol.__name__}"
        raise config_error(f"{kind}={describe(value)}: a name, or an object with {members}{hint}")
    return value


def lacking(value: object, protocol: type) -> str:
    """Return which members of the protocol an object lacks, if it has others of them. Otherwise ""."""
    with lazy_import:
        from typing_extensions import get_protocol_members

    members = sorted(get_protocol_members(protocol))
    absent = [name for name in members if not hasattr(value, name)]
    return f", and it lacks {', '.join(absent)}" if len(absent) < len(members) else ""


def is_class_of(value: object, protocol: type) -> bool:
    """Return whether this is a class whose objects seem to have the protocol's methods."""
    methods = [name for name, member in vars(protocol).items() if callable(member) and not name.startswith("_")]
    return isinstance(value, type) and value is not protocol and all(hasattr(value, name) for name in methods)


def observers_of(values: Sequence[str | Observer]) -> list[Observer]:
    """Return the callable of each name, and each callable given. Raise `ConfigError`, `PluginError`."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        return []  # refused as a value already
    problems = Problems()
    found = [problems.attempt(observer, value) for value in values]
    problems.refuse()
    return found


def observer(value: str | Observer) -> Observer:
    """Return the callable of that name, or the callable given. Raise `ConfigError`, `PluginError`."""
    made: Any = registry.make("observer", value) if isinstance(value, str) else value
    if callable(made) and not isinstance(made, type):
        found: Observer = made
        return found
    is_observers_class = isinstance(made, type) and any("__call__" in vars(base) for base in made.__mro__)
    hint = f"; did you mean {made.__name__}()?" if is_observers_class else ""
    raise config_error(f"observers={describe(made)}: names, or objects that are called with each event{hint}")
