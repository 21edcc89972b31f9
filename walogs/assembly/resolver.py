"""Answer the question: which installed plugin gives the component of this name?

The answer is exactly one plugin. Otherwise an error says why there is none, and what to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from walogs.assembly import entry_points
from walogs.assembly.config import config_error
from walogs.assembly.plugin import Plugin, clash, load
from walogs.assembly.specs import StoreSpec
from walogs.foundation.pip_command import pip_install
from walogs.foundation.suggestions import near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from walogs.assembly.entry_points import DeclaredPlugin
    from walogs.assembly.specs import Kind, Spec
    from walogs.errors import ConfigError, PluginError

PACKAGES: Final[Mapping[tuple[Kind, str], str]] = {
    ("codec", "aead"): "walogs-aead",
    ("codec", "zstd"): "walogs-zstd",
    ("observer", "otel"): "walogs-otel",
    ("store", "jetstream"): "walogs-jetstream",
    ("store", "object-store"): "walogs-object-store",
    ("store", "sqlite"): "walogs-sqlite",
}
"""The package to install for a name that is known, but not installed."""


SCHEMES: Final[Mapping[str, str]] = {
    "az": "walogs-object-store",
    "gs": "walogs-object-store",
    "nats": "walogs-jetstream",
    "s3": "walogs-object-store",
    "tls": "walogs-jetstream",
}
"""The package to install for an address of a known scheme, if no installed store takes it."""


class Installation:
    """The plugins that are installed.

    *find* returns the entry points (None: those in the metadata on `sys.path`). *environ* can disable plugins.
    *built_in* has the names, by kind, that no plugin may use.
    """

    def __init__(
        self,
        find: Callable[[], Iterable[DeclaredPlugin]] | None,
        environ: Mapping[str, str],
        built_in: Mapping[Kind, Mapping[str, object]],
    ) -> None:
        self._find = find if find is not None else entry_points.read_declared_plugins
        self._environ = environ
        self._built_in = built_in

    def plugins(self) -> tuple[Plugin, ...]:
        """Return every plugin with its problems. All are loaded, except those that are disabled."""
        return with_clashes(self._load(lambda declared: True))

    def provider(self, kind: Kind, name: str) -> tuple[Spec, DeclaredPlugin]:
        """Return the component of this name and the entry point that gives it.

        Only the plugins that can give the name are loaded; if none of them gives it, all are loaded for the message.
        Raises `PluginError` if such a plugin is broken or if two plugins give the name, and `ConfigError` if none does.
        """
        able = self._load(lambda declared: declared.claims(name))
        for plugin in able:
            if plugin.problem is not None:  # even if another gives the name: taking that one would be a guess
                raise plugin.problem
        giving = [plugin for plugin in able if plugin.gives(kind, name) is not None]
        if is_clash(kind, name, giving):
            raise clash(kind, name, giving)
        for plugin in giving:
            if (spec := plugin.gives(kind, name)) is not None:
                return spec, plugin.declared
        raise self._unknown(kind, name)

    def _load(self, is_wanted: Callable[[DeclaredPlugin], bool]) -> list[Plugin]:
        everything = sorted(self._find(), key=str)  # sorted, so that messages are the same on every machine
        return [
            Plugin(declared, is_disabled=True)
            if declared.is_disabled(self._environ)
            else load(declared, [other for other in everything if is_sibling(other, declared)], self._built_in)
            for declared in everything
            if is_wanted(declared)
        ]

    def _unknown(self, kind: Kind, name: str) -> ConfigError | PluginError:
        plugins = self.plugins()
        for plugin in plugins:
            if plugin.problem is not None and plugin.gives(kind, name) is not None:
                return plugin.problem  # it gives the name, but not where it can be found
        there = (*self._built_in[kind], *names(kind, plugins))
        disabled = [plugin.declared for plugin in plugins if plugin.is_disabled and plugin.declared.claims(name)]
        why = f"no such {kind}{suggestion(kind, name, there)}"
        if disabled:
            why = f"{disabled[0]} is disabled by {entry_points.DISABLED}"
        return config_error(f"{kind}={name!r}: {why} (there are: {', '.join(there) or 'none'})")


def is_sibling(declared: DeclaredPlugin, other: DeclaredPlugin) -> bool:
    return declared.distribution == other.distribution


def names(kind: Kind, plugins: Iterable[Plugin]) -> list[str]:
    """Return the names of the components that working plugins give, sorted and each once."""
    good = [plugin for plugin in plugins if plugin.problem is None]
    return sorted({spec.name for plugin in good for has, spec in plugin.components if has == kind})


def schemes_of_stores(plugins: Iterable[Plugin]) -> dict[str, tuple[str, ...]]:
    """Return the schemes of the addresses that the stores of working plugins take, by the names of the stores."""
    good = [plugin for plugin in plugins if plugin.problem is None]
    return {spec.name: spec.schemes for plugin in good for _, spec in plugin.components if isinstance(spec, StoreSpec)}


def advice_for(scheme: str) -> str:
    """Return the end of a message: which package to install for addresses of this scheme. "" if none is known."""
    return f": {pip_install(SCHEMES[scheme])}" if scheme in SCHEMES else ""


def is_clash(kind: Kind, name: str, giving: Sequence[Plugin]) -> bool:
    """Return whether the plugins give different components. Two entry points may lead to the same module."""
    return len({(plugin.declared.distribution, plugin.gives(kind, name)) for plugin in giving}) > 1


def with_clashes(plugins: Sequence[Plugin]) -> tuple[Plugin, ...]:
    return tuple(replace(plugin, clashes=tuple(clashes_of(plugin, plugins))) for plugin in plugins)


def clashes_of(plugin: Plugin, plugins: Sequence[Plugin]) -> Iterator[PluginError]:
    for kind, spec in plugin.components:
        giving = [other for other in plugins if other.problem is None and other.gives(kind, spec.name) is not None]
        if plugin.problem is None and is_clash(kind, spec.name, giving):
            yield clash(kind, spec.name, giving)


def suggestion(kind: Kind, name: str, there: Sequence[str]) -> str:
    """Return the end of the message: the name that was probably meant, or the package to install."""
    packages = {known: package for (has, known), package in PACKAGES.items() if has == kind and known not in there}
    if name in packages:
        return f" here: {pip_install(packages[name])}"
    close = near(name, (*there, *packages))
    if close is None:
        return ""
    return f"; did you mean {close!r}?" + (f" ({pip_install(packages[close])})" if close in packages else "")
