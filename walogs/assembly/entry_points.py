"""The entry points of the group `walogs`, read from the metadata of installed distributions. None of them is imported.

The components of an entry point have its name, or begin with its name and `-` or `.`. So the metadata alone shows which
entry points can give a name: only those are loaded, and two distributions that give the same name are always noticed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions, entry_points
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

GROUP: Final = "walogs"
DISABLED: Final = "WALOGS_DISABLED_PLUGINS"
"""Distributions or entry points that are not loaded, separated by commas. `*` means that no plugin is loaded."""


@dataclass(frozen=True, slots=True)
class DeclaredPlugin:
    """One entry point."""

    distribution: str
    version: str
    entry_point: str
    target: str
    """The object that it names: `package.module`, or `package.module:attribute`."""

    def claims(self, name: str) -> bool:
        """Return whether a component of that name can belong to this entry point."""
        return name == self.entry_point or name.startswith((f"{self.entry_point}-", f"{self.entry_point}."))

    def is_disabled(self, environ: Mapping[str, str]) -> bool:
        listed = [word.strip() for word in environ.get(DISABLED, "").split(",")]
        return "*" in listed or self.entry_point in listed or normal(self.distribution) in map(normal, listed)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} (entry point {self.entry_point!r})"


def read_declared_plugins() -> list[DeclaredPlugin]:
    """Return every entry point of the group that the metadata on `sys.path` declares."""
    try:
        found = [(point.dist, point.name, point.value) for point in entry_points(group=GROUP)]
    except KeyboardInterrupt:
        raise
    except BaseException:
        found = [(dist, name, value) for dist in first_of_each(distributions()) for name, value in read_leniently(dist)]
    return [
        DeclaredPlugin(
            distribution=metadata_field(dist, "Name"),
            version=metadata_field(dist, "Version"),
            entry_point=name,
            target=value,
        )
        for dist, name, value in found
    ]


def metadata_field(distribution: Distribution | None, key: str) -> str:
    """Return a field of the metadata, or `?` if it is missing or unreadable."""
    if distribution is None:
        return "?"
    try:
        return str(next(filter(None, distribution.metadata.get_all(key) or ()), "?"))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return "?"


def first_of_each(found: Iterable[Distribution]) -> Iterator[Distribution]:
    """Yield each distribution once: Python imports one that is on the path twice from its first place."""
    seen: set[str] = set()
    for distribution in found:
        name = normal(metadata_field(distribution, "Name"))
        if name == "?" or name not in seen:
            seen.add(name)
            yield distribution


def read_leniently(distribution: Distribution) -> Iterator[tuple[str, str]]:
    """Yield (name, target) for every line of the group. A malformed line has an empty target."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except KeyboardInterrupt:
        raise
    except BaseException:
        return
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group == GROUP and line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()


def normal(distribution: str) -> str:
    """Return the name in the form in which package registries compare names."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
