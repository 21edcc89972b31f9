"""The entry points of the group `walogs`, as the metadata of what is installed declares them. Imports none of them.

An entry point gives components that have its name, or begin with it and `-` or `.`. So the metadata alone says whose a
name can be: nothing else is loaded to find one, and no second distribution that gives the same stays unseen.
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
"""Distributions or entry points that are never loaded, with commas between them; `*`: none is."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One entry point."""

    distribution: str
    version: str
    entry_point: str
    target: str
    """What it names: `package.module`, or `package.module:attribute`."""

    def claims(self, name: str) -> bool:
        """Whether a component of that name can be this entry point's."""
        return name == self.entry_point or name.startswith((f"{self.entry_point}-", f"{self.entry_point}."))

    def is_disabled(self, environ: Mapping[str, str]) -> bool:
        listed = [word.strip() for word in environ.get(DISABLED, "").split(",")]
        return "*" in listed or self.entry_point in listed or normal(self.distribution) in map(normal, listed)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} (entry point {self.entry_point!r})"


def installed() -> list[Declared]:
    """All that the metadata on `sys.path` has."""
    try:
        found = [(point.dist, point.name, point.value) for point in entry_points(group=GROUP)]
    except Exception:  # one unreadable entry_points.txt takes everybody's with it: each is read by itself
        found = [(dist, name, value) for dist in first_of_each(distributions()) for name, value in read_leniently(dist)]
    return [Declared(stated(dist, "Name"), stated(dist, "Version"), name, value) for dist, name, value in found]


def stated(distribution: Distribution | None, key: str) -> str:
    """A field of the metadata; `?` where it is missing or unreadable."""
    if distribution is None:
        return "?"
    try:
        return next(filter(None, distribution.metadata.get_all(key) or ()), "?")
    except Exception:
        return "?"


def first_of_each(found: Iterable[Distribution]) -> Iterator[Distribution]:
    """What is on the path twice is imported from its first place."""
    seen: set[str] = set()
    for distribution in found:
        name = normal(stated(distribution, "Name"))
        if name == "?" or name not in seen:
            seen.add(name)
            yield distribution


def read_leniently(distribution: Distribution) -> Iterator[tuple[str, str]]:
    """(name, target) of every line of the group. A line that cannot be understood is one with an empty target."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except Exception:
        return
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group == GROUP and line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()


def normal(distribution: str) -> str:
    """The name as package registries compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
