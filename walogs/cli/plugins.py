"""`walogs plugins`, and the commands that plugins add.

A plugin's command is imported only when it is run. A broken plugin does not affect any other command.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from cyclopts import App, Parameter

from walogs.assembly import registry
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.release import release
from walogs.cli.status import DONE, FAILED, message_line, printable
from walogs.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from walogs.assembly.plugin import Plugin
    from walogs.assembly.specs import Kind

LISTED: Final[tuple[Kind, ...]] = ("store", "codec", "sync")
"""The kinds whose built-in names are listed too. The commands of walogs itself are not, since its help lists them."""


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
        Parameter(negative="", show_default=False, help="Also import the code of each component of a plugin."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """List the components that can be chosen by name, where each comes from, and which plugins are broken, and why.

    Exit status 0: every plugin works. 1: one is broken, or two give the same name.
    """
    found = registry.all_plugins()
    problems = {plugin.declared: problems_of(plugin, check=check) for plugin in found}
    rows = [*built_in_rows(), *(row for plugin in found for row in rows_of(plugin))]
    if as_json:
        listed = [plugin_facts(plugin, problems[plugin.declared]) for plugin in found]
        print(json.dumps({"components": [row._asdict() for row in rows], "plugins": listed}, indent=2))
    else:
        print_text(map(printable, (*align(rows), *trouble(found, problems.values()))))
    return FAILED if any(problems.values()) else DONE


def problems_of(plugin: Plugin, *, check: bool) -> list[str]:
    """Return the problems of a plugin, each in a sentence. With *check*, import what the plugin names too."""
    found = [*plugin.problems, *(registry.unimportable(plugin) if check and plugin.problem is None else ())]
    return [message_line(error) for error in found]


def built_in_rows() -> Iterator[Row]:
    own = release()
    for kind in LISTED:
        for name, (_, _, summary) in registry.BUILT_IN[kind].items():
            yield Row(kind=kind, name=name, distribution="walogs", version=own, summary=summary)


def rows_of(plugin: Plugin) -> Iterator[Row]:
    if plugin.problem is None:
        declared = plugin.declared
        for kind, spec in plugin.components:
            yield Row(
                kind=kind,
                name=spec.name,
                distribution=declared.distribution,
                version=declared.version,
                summary=spec.summary,
            )


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


def align(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the rows in columns: kind, name, distribution with its version, and summary."""
    cells = [(row.kind, row.name, f"{row.distribution} {row.version}", row.summary) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def trouble(found: Sequence[Plugin], problems: Iterable[Sequence[str]]) -> Iterator[str]:
    for plugin in found:
        if plugin.is_disabled:
            yield f"disabled: {plugin.declared}"
    # Two plugins that clash have the same problem. It is printed once.
    for sentence in dict.fromkeys(sentence for of_one in problems for sentence in of_one):
        yield f"broken: {sentence}"


@contextlib.contextmanager
def commands_of_plugins(app: App, tokens: Sequence[str]) -> Iterator[None]:
    """Give *app* the commands of plugins that *tokens* need, until the `with` block ends.

    This is the command that *tokens* name. If they ask for help, or if no command has that name, it is every command by
    its name and summary only. Raises `PluginError` if the command that *tokens* name is broken.
    """
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
    except ConfigError:  # cyclopts reports the unknown name, and suggests similar ones
        list_commands(app)
        return
    command = registry.factory("command", word)
    if isinstance(command, App):
        app.command(command, name=word)
    else:
        app.command(command, name=word, **({"help": spec.summary} if spec.summary else {}))


def list_commands(app: App) -> None:
    for plugin in registry.all_plugins():
        for kind, spec in plugin.components if plugin.problem is None else ():
            if kind == "command" and spec.name not in app:
                app.command(not_imported, name=spec.name, help=spec.summary)


def not_imported() -> None:
    """Stand in for a command of which only the name and the summary are shown."""
