"""The registry turns names into components.

Built-in names are looked up in a plain table. Any other name comes from the one plugin that gives it. A component is
imported when its name is looked up. Looking up a built-in name loads neither pluggy nor package metadata.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from walogs.assembly.config import config_error
from walogs.assembly.import_strings import import_object
from walogs.errors import PluginError, Reentered, WalError
from walogs.foundation.foreign import describe, describe_error, error_text
from walogs.foundation.lazy import lazy_import
from walogs.foundation.local_paths import scheme_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from walogs.assembly.entry_points import DeclaredPlugin
    from walogs.assembly.plugin import Plugin
    from walogs.assembly.resolver import Installation
    from walogs.assembly.specs import Kind, Spec

BUILT_IN: Final[Mapping[Kind, Mapping[str, tuple[str, str | None, str]]]] = {
    # name: (factory, options, summary), as in a `Spec`
    "store": {"local": ("walogs.defaults.local_store:LocalStore", None, "Files in a directory")},
    "codec": {"crc32": ("walogs.defaults.crc32_codec:Crc32Codec", None, "As it is, checked by CRC-32")},
    "sync": {
        "fdatasync": ("walogs.defaults.sync_policies:FdatasyncPolicy", None, "Every commit, its data"),
        "fsync": ("walogs.defaults.sync_policies:FsyncPolicy", None, "Every commit, its attributes too"),
        "interval": (
            "walogs.defaults.sync_policies:IntervalPolicy",
            "walogs.defaults.sync_policies:IntervalOptions",
            "In the background, within 10 ms",
        ),
        "none": ("walogs.defaults.sync_policies:NoSyncPolicy", None, "At rotation, checkpoint and close only"),
    },
    "command": {
        "append": ("walogs.cli.append:append", None, ""),
        "backup": ("walogs.cli.backup:backup", None, ""),
        "bench": ("walogs.cli.bench.command:bench", None, ""),
        "cat": ("walogs.cli.cat:cat", None, ""),
        "checkpoint": ("walogs.cli.checkpoint:checkpoint", None, ""),
        "completion": ("walogs.cli.completion:completion", None, ""),
        "config": ("walogs.cli.config:commands", None, ""),
        "conformance": ("walogs.cli.conformance:conformance", None, ""),
        "cursors": ("walogs.cli.cursors:cursors", None, ""),
        "demo": ("walogs.cli.demo.command:demo", None, ""),
        "doctor": ("walogs.cli.doctor.command:doctor", None, ""),
        "export": ("walogs.cli.export:export", None, ""),
        "info": ("walogs.cli.info:info", None, ""),
        "plugins": ("walogs.cli.plugins:plugins", None, ""),
        "repair": ("walogs.cli.repair:repair", None, ""),
        "rotate": ("walogs.cli.rotate:rotate", None, ""),
        "salvage": ("walogs.cli.salvage:salvage", None, ""),
        "tail": ("walogs.cli.tail:tail", None, ""),
        "top": ("walogs.cli.top.command:top", None, "Watch a log in the terminal"),
        "verify": ("walogs.cli.verify:verify", None, ""),
        "who": ("walogs.cli.who:who", None, "Show which process writes a log"),
    },
    "observer": {},
}

STRICT: Final = "WALOGS_STRICT_PLUGINS"
"""If this variable is set, and not to 0, looking up any name raises an error when any plugin is broken."""


class Registry:
    """Find and make the components of one installation.

    *find* returns the installed entry points (None: those in the metadata on `sys.path`). *environ* is where
    WALOGS_DISABLED_PLUGINS and WALOGS_STRICT_PLUGINS are read (None: the environment of the process).
    """

    def __init__(
        self, find: Callable[[], Iterable[DeclaredPlugin]] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._find = find
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._found: dict[tuple[Kind, str], tuple[Spec, DeclaredPlugin]] = {}
        """A cache without an end: logs are opened far more often than plugins are installed."""
        self._is_known_good = False

    def spec(self, kind: Kind, name: str) -> Spec:
        """Return the record of a component, without importing it. Raises `ConfigError`, `PluginError`."""
        self._refuse_broken_if_strict()
        if name not in BUILT_IN[kind]:
            return self._provider(kind, name)[0]
        with lazy_import:
            from walogs.assembly.specs import SPECS

        factory, options, summary = BUILT_IN[kind][name]
        return SPECS[kind](name, factory, options, summary=summary)

    def factory(self, kind: Kind, name: str) -> Any:
        """Return the callable that makes the component.

        Raises `ConfigError` if the name is unknown (the message lists the known names), and `PluginError`.
        """
        self._refuse_broken_if_strict()
        if name in BUILT_IN[kind]:
            return import_object(BUILT_IN[kind][name][0])
        return self._import(kind, name, self._provider(kind, name)[0].factory)

    def options(self, kind: Kind, name: str) -> Any:
        """Return the dataclass of its options, or None if it has none. Raises `ConfigError`, `PluginError`."""
        self._refuse_broken_if_strict()
        if name in BUILT_IN[kind]:
            built_in = BUILT_IN[kind][name][1]
            return None if built_in is None else import_object(built_in)
        given = self._provider(kind, name)[0].options
        if given is None:
            return None
        dataclass = self._import(kind, name, given)
        with lazy_import:
            from dataclasses import is_dataclass

        if not isinstance(dataclass, type) or not is_dataclass(dataclass):
            raise self._refusal(kind, name, f"{given} is no dataclass")
        return dataclass

    def make(self, kind: Kind, name: str, *arguments: object, options: object = None) -> Any:
        """Make the component of this name and return it.

        Its factory gets *arguments*, and the fields of *options* as keywords. None for *options* means their defaults.

        Raises `ConfigError` if the name is unknown or the factory raises `ValueError`, and `PluginError` if the plugin
        is broken. A `WalError` or `OSError` of the factory is passed on.
        """
        factory = self.factory(kind, name)
        try:
            component = factory(*arguments, **self._keywords(kind, name, options))
        except (WalError, OSError):
            raise
        except ValueError as error:
            raise config_error(f"{kind}={name!r}: {error_text(error)}") from error
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if name in BUILT_IN[kind]:
                raise
            raise self._refusal(kind, name, f"making one raised {describe_error(error)}") from error
        if name not in BUILT_IN[kind] and (why := shortcoming(kind, name, component)):
            raise self._refusal(kind, name, why)
        return component

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Return every name of this kind, the built-in ones first. Loads every plugin, and leaves out broken ones."""
        with lazy_import:
            from walogs.assembly.resolver import names

        return (*BUILT_IN[kind], *names(kind, self.all_plugins()))

    def store_for(self, scheme: str) -> str:
        """Return the name of the store that takes addresses of this scheme, or "" if no plugin gives one.

        Loads every plugin. Raises `ConfigError` if there are several.
        """
        with lazy_import:
            from walogs.assembly.resolver import schemes_of_stores

        found = sorted(name for name, schemes in schemes_of_stores(self.all_plugins()).items() if scheme in schemes)
        if len(found) > 1:
            raise config_error(f"store: {' and '.join(found)} take addresses as {scheme}://; name the one you mean")
        return found[0] if found else ""

    def stores_of_addresses(self) -> frozenset[str]:
        """Return the names of the stores that take an address, and no path. Loads every plugin."""
        with lazy_import:
            from walogs.assembly.resolver import schemes_of_stores

        return frozenset(name for name, schemes in schemes_of_stores(self.all_plugins()).items() if schemes)

    def all_plugins(self) -> tuple[Plugin, ...]:
        """Return every plugin with its problems. All but disabled ones are loaded. No error of a plugin is raised."""
        return self._installation().plugins()

    def unimportable(self, plugin: Plugin) -> Iterator[PluginError]:
        """Import everything that the plugin names, and yield an error for each import that fails."""
        for kind, spec in plugin.components:
            for text in (spec.factory, spec.options):
                try:
                    if text is not None:
                        self._import(kind, spec.name, text)
                except PluginError as error:
                    yield error

    def _keywords(self, kind: Kind, name: str, options: object) -> dict[str, object]:
        if options is None:
            dataclass = self.options(kind, name)
            if dataclass is None:
                return {}
            try:
                options = dataclass()
            except TypeError as error:  # an option without a default
                raise config_error(f"{kind}={name!r} needs options: {error_text(error)}") from error
        with lazy_import:
            from dataclasses import fields

        return {field.name: getattr(options, field.name) for field in fields(options) if field.init}  # type: ignore[arg-type]

    def _import(self, kind: Kind, name: str, text: str) -> Any:
        """Import what a plugin names for a component. Raises `PluginError`."""
        try:
            found = import_object(text)
        except (KeyboardInterrupt, Reentered):
            raise
        except BaseException as error:  # an import may run anything
            why = f"importing {text} raised {describe_error(error)}"
            raise self._refusal(kind, name, why) from error
        if not callable(found):
            raise self._refusal(kind, name, f"{text} cannot be called")
        return found

    def _refusal(self, kind: Kind, name: str, why: str) -> PluginError:
        with lazy_import:
            from walogs.assembly.plugin import component_error

        return component_error(kind, name, self._provider(kind, name)[1], why)

    def _provider(self, kind: Kind, name: str) -> tuple[Spec, DeclaredPlugin]:
        found = self._found.get((kind, name))
        if found is None:
            found = self._found[kind, name] = self._installation().provider(kind, name)
        return found

    def _installation(self) -> Installation:
        with lazy_import:
            from walogs.assembly.resolver import Installation

        return Installation(self._find, self._environ, BUILT_IN)

    def _refuse_broken_if_strict(self) -> None:
        if self._is_known_good or self._environ.get(STRICT, "0") in ("", "0"):
            return
        problems = [problem for plugin in self.all_plugins() for problem in plugin.problems]
        if problems:
            raise problems[0]
        self._is_known_good = True


def shortcoming(kind: Kind, name: str, component: object) -> str:
    """Return why the object is no component of that kind and name, or "" if it is one.

    An object whose attributes raise errors is no component.
    """
    try:
        return missing_from(kind, name, component)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"its factory returned {describe(component)}, and looking at that raised {describe_error(error)}"


def missing_from(kind: Kind, name: str, component: Any) -> str:
    """Return why the object is no component of that kind and name, or "". Errors of its attributes are raised."""
    with lazy_import:
        from walogs.protocols import Codec, SegmentStore, SyncPolicy

    if kind == "observer":
        return "" if callable(component) else f"its factory returned {describe(component)}, which is not callable"
    protocols: dict[Kind, type] = {"store": SegmentStore, "codec": Codec, "sync": SyncPolicy}
    if isinstance(component, type) or not isinstance(component, protocols[kind]):
        return f"its factory returned {describe(component)}, which lacks members of {protocols[kind].__name__}"
    if kind == "codec" and (called := getattr(component, "name", None)) != name:
        return f"the codec made calls itself {describe(called)}: what is stamped in segments could not be found again"
    return ""


current = Registry()
"""The registry of this process. The functions below use it; tests replace it."""


def spec(kind: Kind, name: str) -> Spec:
    """Call `Registry.spec` of the current registry. The functions below do the same."""
    return current.spec(kind, name)


def factory(kind: Kind, name: str) -> Any:
    return current.factory(kind, name)


def options(kind: Kind, name: str) -> Any:
    return current.options(kind, name)


def make(kind: Kind, name: str, *arguments: object, options: object = None) -> Any:
    return current.make(kind, name, *arguments, options=options)


def names(kind: Kind) -> tuple[str, ...]:
    return current.names(kind)


def store_for(scheme: str) -> str:
    return current.store_for(scheme)


def stores_of_addresses() -> frozenset[str]:
    return current.stores_of_addresses()


def takes_address(path: object) -> bool:
    """Return whether *path* is an address, and an installed store takes addresses of its scheme."""
    scheme = scheme_of(path)
    return bool(scheme) and bool(current.store_for(scheme))


def all_plugins() -> tuple[Plugin, ...]:
    return current.all_plugins()


def unimportable(plugin: Plugin) -> Iterator[PluginError]:
    return current.unimportable(plugin)
