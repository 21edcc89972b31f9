"""Which plugin gives a name: of all that are installed, the one; or an error that says what to do about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from walogs import entry_points
from walogs.config import config_error, near
from walogs.plugins import Plugin, clash, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from walogs.entry_points import Declared
    from walogs.errors import ConfigError, PluginError
    from walogs.specs import Kind, Spec

PACKAGES: Final[Mapping[tuple[Kind, str], str]] = {
    ("codec", "aead"): "walogs-aead",
    ("codec", "zstd"): "walogs-zstd",
    ("observer", "otel"): "walogs-otel",
    ("store", "sqlite"): "walogs-sqlite",
}
"""What to install for a name that is asked for before its package is there."""


class Installation:
    """What *find* finds, and *environ* does not disable. *built_in*: names, by kind, that no plugin can have."""

    def __init__(
        self,
        find: Callable[[], Iterable[Declared]] | None,
        environ: Mapping[str, str],
        built_in: Mapping[Kind, Mapping[str, object]],
    ) -> None:
        self._find = find if find is not None else entry_points.installed
        self._environ = environ
        self._built_in = built_in

    def plugins(self) -> tuple[Plugin, ...]:
        """Every plugin, loaded unless it is disabled, with what is wrong with it."""
        return with_clashes(self._loaded(lambda declared: True))

    def provider(self, kind: Kind, name: str) -> tuple[Spec, Declared]:
        """The component and whose it is. Loads what can give the name and nothing else, unless nothing gives it.

        Raises `PluginError`: what can give it is broken, or two give it. Raises `ConfigError`: nothing gives it.
        """
        able = self._loaded(lambda declared: declared.claims(name))
        for plugin in able:
            if plugin.problem is not None:  # although another may give the name: to take that one would be a guess
                raise plugin.problem
        giving = [plugin for plugin in able if plugin.gives(kind, name) is not None]
        if is_clash(kind, name, giving):
            raise clash(kind, name, giving)
        for plugin in giving:
            if (spec := plugin.gives(kind, name)) is not None:
                return spec, plugin.declared
        raise self._unknown(kind, name)

    def _loaded(self, is_wanted: Callable[[Declared], bool]) -> list[Plugin]:
        everything = sorted(self._find(), key=str)  # every machine tells the same, in the same order
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
                return plugin.problem  # where nobody could find it
        there = (*self._built_in[kind], *names(kind, plugins))
        disabled = [plugin.declared for plugin in plugins if plugin.is_disabled and plugin.declared.claims(name)]
        why = f"no such {kind}{suggestion(kind, name, there)}"
        if disabled:
            why = f"{disabled[0]} is disabled by {entry_points.DISABLED}"
        return config_error(f"{kind}={name!r}: {why} (there are: {', '.join(there)})")


def is_sibling(declared: Declared, other: Declared) -> bool:
    return declared.distribution == other.distribution


def names(kind: Kind, plugins: Iterable[Plugin]) -> list[str]:
    """Of the components that plugins give, each once."""
    good = [plugin for plugin in plugins if plugin.problem is None]
    return sorted({spec.name for plugin in good for has, spec in plugin.components if has == kind})


def is_clash(kind: Kind, name: str, giving: Sequence[Plugin]) -> bool:
    """Whether it is not the same thing that they give. Two entry points may lead to one module."""
    return len({(plugin.declared.distribution, plugin.gives(kind, name)) for plugin in giving}) > 1


def with_clashes(plugins: Sequence[Plugin]) -> tuple[Plugin, ...]:
    return tuple(replace(plugin, clashes=tuple(clashes_of(plugin, plugins))) for plugin in plugins)


def clashes_of(plugin: Plugin, plugins: Sequence[Plugin]) -> Iterator[PluginError]:
    for kind, spec in plugin.components:
        giving = [other for other in plugins if other.problem is None and other.gives(kind, spec.name) is not None]
        if plugin.problem is None and is_clash(kind, spec.name, giving):
            yield clash(kind, spec.name, giving)


def suggestion(kind: Kind, name: str, there: Sequence[str]) -> str:
    """The name that was meant, or what to install for it."""
    packages = {known: package for (has, known), package in PACKAGES.items() if has == kind and known not in there}
    if name in packages:
        return f" here: pip install {packages[name]}"
    close = near(name, (*there, *packages))
    if close is None:
        return ""
    return f"; did you mean {close!r}?" + (f" (pip install {packages[close]})" if close in packages else "")
