"""`walogs plugins`, and the commands that plugins add: one is imported when it is asked for, and no plugin, however
broken, is in the way of another command."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from cyclopts import App, Parameter

from walogs import registry
from walogs.cli import show
from walogs.cli.release import release
from walogs.cli.status import DONE, FAILED, printable, told
from walogs.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from walogs.plugins import Plugin
    from walogs.specs import Kind

LISTED: Final[tuple[Kind, ...]] = ("store", "codec", "sync")
"""The kinds whose built-in names are listed too: walogs' own commands are in its help."""


class Row(NamedTuple):
    """One component that can be chosen."""

    kind: str
    name: str
    distribution: str
    version: str
    summary: str


def plugins(
    *,
    check: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Import what each component of a plugin names, too."),
    ] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")] = False,
) -> int:
    """List what can be chosen by name, and from where; which plugins are broken, and why.

    Exit status 0: every plugin works; 1: one is broken, or two give the same name.
    """
    found = registry.installed()
    problems = {plugin.declared: problems_of(plugin, check=check) for plugin in found}
    rows = [*built_in_rows(), *(row for plugin in found for row in rows_of(plugin))]
    if as_json:
        listed = [plugin_facts(plugin, problems[plugin.declared]) for plugin in found]
        print(json.dumps({"components": [row._asdict() for row in rows], "plugins": listed}, indent=2))
    else:
        encoding = sys.stdout.encoding if sys.stdout is not None else None
        for line in (*aligned(rows), *trouble(found, problems.values())):
            print(show.encodable(printable(line), encoding))
    return FAILED if any(problems.values()) else DONE


def problems_of(plugin: Plugin, *, check: bool) -> list[str]:
    """In sentences."""
    found = [*plugin.problems, *(registry.unimportable(plugin) if check and plugin.problem is None else ())]
    return [told(error) for error in found]


def built_in_rows() -> Iterator[Row]:
    own = release()
    for kind in LISTED:
        for name, (_, _, summary) in registry.BUILT_IN[kind].items():
            yield Row(kind, name, "walogs", own, summary)


def rows_of(plugin: Plugin) -> Iterator[Row]:
    if plugin.problem is None:
        declared = plugin.declared
        for kind, spec in plugin.components:
            yield Row(kind, spec.name, declared.distribution, declared.version, spec.summary)


def plugin_facts(plugin: Plugin, problems: Sequence[str]) -> dict[str, Any]:
    declared = plugin.declared
    return {
        "distribution": declared.distribution,
        "version": declared.version,
        "entry_point": declared.entry_point,
        "target": declared.target,
        "state": "disabled" if plugin.is_disabled else "broken" if problems else "good",
        "problems": list(problems),
    }


def aligned(rows: Sequence[Row]) -> Iterator[str]:
    """In columns: kind, name, from where, and what it is."""
    cells = [(row.kind, row.name, f"{row.distribution} {row.version}", row.summary) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def trouble(found: Sequence[Plugin], problems: Iterable[Sequence[str]]) -> Iterator[str]:
    for plugin in found:
        if plugin.is_disabled:
            yield f"disabled: {plugin.declared}"
    for sentence in dict.fromkeys(sentence for of_one in problems for sentence in of_one):  # a clash is told by both
        yield f"broken: {sentence}"


@contextlib.contextmanager
def commands_of_plugins(app: App, tokens: Sequence[str]) -> Iterator[None]:
    """While it runs, *app* has the commands of plugins that *tokens* ask for: the one of that name; or, for its help
    and where nothing has that name, all of them by name alone. Raises `PluginError` for the one that is asked for."""
    own = set(app)
    word = next((token for token in tokens if not token.startswith("-")), None)
    try:
        if word is None and (not tokens or set(tokens) & set(app.help_flags)):
            list_commands(app)
        elif word is not None and word not in own:
            add_command(app, word)
        yield
    finally:
        for name in set(app) - own:
            del app[name]


def add_command(app: App, word: str) -> None:
    try:
        spec = registry.spec("command", word)
    except ConfigError:  # cyclopts says so, and knows the names that are near
        list_commands(app)
        return
    command = registry.factory("command", word)
    if isinstance(command, App):
        app.command(command, name=word)
    else:
        app.command(command, name=word, **({"help": spec.summary} if spec.summary else {}))


def list_commands(app: App) -> None:
    for plugin in registry.installed():
        for kind, spec in plugin.components if plugin.problem is None else ():
            if kind == "command" and spec.name not in app:
                app.command(not_imported, name=spec.name, help=spec.summary)


def not_imported() -> None:
    """Stands for a command whose name and summary are all that is wanted."""
