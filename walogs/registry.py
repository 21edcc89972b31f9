"""Names to components. The built-in ones come from a plain table; any other name from the one plugin that gives it.

A component is imported when its name is asked for. A built-in name loads no pluggy and reads no metadata.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from walogs.config import config_error
from walogs.errors import PluginError, WalError
from walogs.import_strings import imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from walogs.entry_points import Declared
    from walogs.installation import Installation
    from walogs.plugins import Plugin
    from walogs.specs import Kind, Spec

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
        "append": ("walogs.cli.app:append", None, ""),
        "backup": ("walogs.cli.inspection:backup", None, ""),
        "bench": ("walogs.cli.bench:bench", None, ""),
        "cat": ("walogs.cli.app:cat", None, ""),
        "completion": ("walogs.cli.app:completion", None, ""),
        "config": ("walogs.cli.config:commands", None, ""),
        "conformance": ("walogs.cli.conformance:conformance", None, ""),
        "demo": ("walogs.cli.app:demo", None, ""),
        "doctor": ("walogs.cli.doctor:doctor", None, ""),
        "info": ("walogs.cli.app:info", None, ""),
        "plugins": ("walogs.cli.plugins:plugins", None, ""),
        "repair": ("walogs.cli.inspection:repair", None, ""),
        "salvage": ("walogs.cli.inspection:salvage", None, ""),
        "tail": ("walogs.cli.inspection:tail", None, ""),
        "verify": ("walogs.cli.inspection:verify", None, ""),
    },
    "observer": {},
}

STRICT: Final = "WALOGS_STRICT_PLUGINS"
"""Set, and not to 0: a broken plugin is an error as soon as any name is asked for."""


class Registry:
    """The names of one installation.

    *find* says what is installed (None: the metadata on `sys.path`); *environ* has WALOGS_DISABLED_PLUGINS and
    WALOGS_STRICT_PLUGINS (None: the process's).
    """

    def __init__(
        self, find: Callable[[], Iterable[Declared]] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._find = find
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._found: dict[tuple[Kind, str], tuple[Spec, Declared]] = {}
        """What was found stays: logs are opened more often than plugins are installed."""
        self._is_known_good = False

    def spec(self, kind: Kind, name: str) -> Spec:
        """What is known of a component without importing it. Raises `ConfigError`, `PluginError`."""
        self._refuse_broken_if_strict()
        if name not in BUILT_IN[kind]:
            return self._provider(kind, name)[0]
        from walogs.specs import SPECS

        factory, options, summary = BUILT_IN[kind][name]
        return SPECS[kind](name, factory, options, summary=summary)

    def factory(self, kind: Kind, name: str) -> Any:
        """The callable behind a name. Raises `ConfigError` that lists what there is, and `PluginError`."""
        self._refuse_broken_if_strict()
        if name in BUILT_IN[kind]:
            return imported(BUILT_IN[kind][name][0])
        return self._import(kind, name, self._provider(kind, name)[0].factory)

    def options(self, kind: Kind, name: str) -> Any:
        """The dataclass of its options; None: it has none. Raises `ConfigError`, `PluginError`."""
        self._refuse_broken_if_strict()
        if name in BUILT_IN[kind]:
            built_in = BUILT_IN[kind][name][1]
            return None if built_in is None else imported(built_in)
        given = self._provider(kind, name)[0].options
        return None if given is None else self._import(kind, name, given)

    def made(self, kind: Kind, name: str, *arguments: object, options: object = None) -> Any:
        """The object behind a name: what its factory gives for *arguments* and the fields of *options* (None: of the
        dataclass of its options, as it is by default).

        Raises `ConfigError`, also for options that it refuses by `ValueError`; `PluginError`; and whatever `WalError`
        or `OSError` the factory itself raises.
        """
        factory = self.factory(kind, name)
        try:
            component = factory(*arguments, **self._keywords(kind, name, options))
        except (WalError, OSError):
            raise
        except ValueError as error:
            raise config_error(f"{kind}={name!r}: {error}") from error
        except Exception as error:
            if name in BUILT_IN[kind]:
                raise
            raise self._refusal(kind, name, f"making one raised {type(error).__name__}: {error}") from error
        if name not in BUILT_IN[kind] and (why := shortcoming(kind, name, component)):
            raise self._refusal(kind, name, why)
        return component

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Every name that can be asked for, the built-in ones first. Loads every plugin; passes over broken ones."""
        from walogs.installation import names

        return (*BUILT_IN[kind], *names(kind, self.installed()))

    def installed(self) -> tuple[Plugin, ...]:
        """Every plugin, loaded unless it is disabled, with what is wrong with it. Raises nothing that plugins raise."""
        return self._installation().plugins()

    def unimportable(self, plugin: Plugin) -> Iterator[PluginError]:
        """What importing everything that the plugin names finds wrong."""
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
            except TypeError as error:  # some have no default
                raise config_error(f"{kind}={name!r} needs options: {error}") from error
        from dataclasses import fields

        return {field.name: getattr(options, field.name) for field in fields(options) if field.init}  # type: ignore[arg-type]

    def _import(self, kind: Kind, name: str, text: str) -> Any:
        """What a component of a plugin names, when it is needed."""
        try:
            found = imported(text)
        except (Exception, SystemExit) as error:  # an import may run anything
            why = f"importing {text} raised {type(error).__name__}: {error}"
            raise self._refusal(kind, name, why) from error
        if not callable(found):
            raise self._refusal(kind, name, f"{text} cannot be called")
        return found

    def _refusal(self, kind: Kind, name: str, why: str) -> PluginError:
        from walogs.plugins import component_error

        return component_error(kind, name, self._provider(kind, name)[1], why)

    def _provider(self, kind: Kind, name: str) -> tuple[Spec, Declared]:
        found = self._found.get((kind, name))
        if found is None:
            found = self._found[kind, name] = self._installation().provider(kind, name)
        return found

    def _installation(self) -> Installation:
        from walogs.installation import Installation

        return Installation(self._find, self._environ, BUILT_IN)

    def _refuse_broken_if_strict(self) -> None:
        if self._is_known_good or self._environ.get(STRICT, "0") in ("", "0"):
            return
        problems = [problem for plugin in self.installed() for problem in plugin.problems]
        if problems:
            raise problems[0]
        self._is_known_good = True


def shortcoming(kind: Kind, name: str, component: object) -> str:
    """Why it is no component of that kind and name, or ""."""
    from walogs.protocols import Codec, SegmentStore, SyncPolicy

    if kind == "observer":
        return "" if callable(component) else f"{component!r} is made, which cannot be called with an event"
    protocols: dict[Kind, type] = {"store": SegmentStore, "codec": Codec, "sync": SyncPolicy}
    if isinstance(component, type) or not isinstance(component, protocols[kind]):
        return f"{component!r} is made, which has not the members of {protocols[kind].__name__}"
    if kind == "codec" and getattr(component, "name", None) != name:
        return f"the codec made calls itself {component.name!r}: what is stamped in segments could not be found again"  # type: ignore[attr-defined]
    return ""


current = Registry()
"""The one that names are looked up in. Tests put another in its place."""


def spec(kind: Kind, name: str) -> Spec:
    """`Registry.spec` of the current one; so are the others."""
    return current.spec(kind, name)


def factory(kind: Kind, name: str) -> Any:
    return current.factory(kind, name)


def options(kind: Kind, name: str) -> Any:
    return current.options(kind, name)


def made(kind: Kind, name: str, *arguments: object, options: object = None) -> Any:
    return current.made(kind, name, *arguments, options=options)


def names(kind: Kind) -> tuple[str, ...]:
    return current.names(kind)


def installed() -> tuple[Plugin, ...]:
    return current.installed()


def unimportable(plugin: Plugin) -> Iterator[PluginError]:
    return current.unimportable(plugin)
