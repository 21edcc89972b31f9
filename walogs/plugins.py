"""One plugin: loaded through pluggy, and asked for what it gives. Whatever goes wrong in it is its own problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pluggy

from walogs import hookspecs
from walogs.config import did_you_mean
from walogs.entry_points import DISABLED
from walogs.errors import PluginError
from walogs.hookspecs import HOOKS, PROJECT
from walogs.import_strings import imported, is_dotted, is_import_string
from walogs.specs import SPECS, Spec, problems_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from walogs.entry_points import Declared
    from walogs.specs import Kind


@dataclass(frozen=True, slots=True)
class Plugin:
    """What one entry point gives, or why it is broken."""

    declared: Declared
    components: tuple[tuple[Kind, Spec], ...] = ()
    """Of a broken one: what could be understood."""
    problem: PluginError | None = None
    clashes: tuple[PluginError, ...] = ()
    """One for each of its components that another distribution gives as well. The others can be used."""
    is_disabled: bool = False
    """Then nothing is known of what it gives: it has not been loaded."""

    @property
    def problems(self) -> tuple[PluginError, ...]:
        """All of them: it may be broken, or no more than in another's way."""
        return self.clashes if self.problem is None else (self.problem, *self.clashes)

    def gives(self, kind: Kind, name: str) -> Spec | None:
        return next((spec for has, spec in self.components if (has, spec.name) == (kind, name)), None)


def load(declared: Declared, siblings: Collection[Declared], reserved: Mapping[Kind, Collection[str]]) -> Plugin:
    """Import the module and ask its hooks. *siblings*: every entry point of the distribution; *reserved*: what is built
    in. Raises nothing that the plugin raises."""
    components: list[tuple[Kind, Spec]] = []
    problems: list[str] = []
    try:
        for kind, spec in asked(module_of(declared), problems):
            wrong = list(problems_of(kind, spec))
            problems += wrong
            if isinstance(spec, Spec) and not wrong:
                components.append((kind, spec))
    except (Exception, SystemExit) as error:  # an import may run anything; Ctrl-C is the user's, not the plugin's
        return Plugin(declared, tuple(components), broken(declared, told(error), error))
    problems += misplaced(declared, components, siblings, reserved)
    own = [
        component
        for component in components
        if declared.claims(component[1].name) or not any(sibling.claims(component[1].name) for sibling in siblings)
    ]
    return Plugin(declared, tuple(own), broken(declared, "; ".join(problems)) if problems else None)


def module_of(declared: Declared) -> object:
    target = declared.target
    if not is_dotted(target) and not is_import_string(target):
        raise ValueError(f"its target {target!r} is no 'package.module' and no 'package.module:attribute'")
    return imported(target)


def asked(plugin: object, problems: list[str]) -> Iterator[tuple[Kind, object]]:
    """(kind, what a hook gave) of every hook of the plugin. What is wrong with a hook itself is added to *problems*."""
    hooks = pluggy.PluginManager(PROJECT)  # its own: what one plugin does, no other can see
    hooks.add_hookspecs(hookspecs)
    hooks.register(plugin)
    try:
        hooks.check_pending()
    except pluggy.PluginValidationError:
        problems += mistyped(hooks, plugin)
    if not hooks.get_hookcallers(plugin):
        problems.append("it has no function that is marked with @walogs.hookimpl")
    for hook, kind in HOOKS.items():
        caller = getattr(hooks.hook, hook)
        if not caller.get_hookimpls():
            if callable(getattr(plugin, hook, None)):
                problems.append(f"{hook} is not marked with @walogs.hookimpl")
            continue
        for given in caller() or [None]:  # pluggy leaves None out
            if isinstance(given, Iterable) and not isinstance(given, str | bytes):
                for spec in given:
                    yield kind, spec
            else:
                problems.append(f"{hook} gave {given!r}: a list of {SPECS[kind].__name__} is wanted")


def mistyped(hooks: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    for caller in hooks.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            yield f"{caller.name} is no hook of walogs{did_you_mean(caller.name, tuple(HOOKS))}"


def misplaced(
    declared: Declared,
    components: Collection[tuple[Kind, Spec]],
    siblings: Collection[Declared],
    reserved: Mapping[Kind, Collection[str]],
) -> Iterator[str]:
    """Names that are built in, given twice, or that nobody could find here."""
    seen: set[tuple[Kind, str]] = set()
    for kind, spec in components:
        if spec.name in reserved[kind]:
            yield f"{kind} {spec.name!r} is built in: this one needs a name of its own"
        elif (kind, spec.name) in seen:
            yield f"{kind} {spec.name!r} is given twice"
        elif not any(sibling.claims(spec.name) for sibling in siblings):
            line = f'{spec.name} = "{declared.target}"'
            yield (
                f"{kind} {spec.name!r} cannot be found by its name: its distribution has to have an entry point that is"
                f" called so ({line} under [project.entry-points.walogs])"
            )
        seen.add((kind, spec.name))


# Complaints


def broken(declared: Declared, why: str, cause: BaseException | None = None) -> PluginError:
    error = PluginError(
        f"{declared} is broken: {why}. {move(declared)}",
        distribution=declared.distribution,
        version=declared.version,
        entry_point=declared.entry_point,
    )
    error.__cause__ = cause
    return error


def component_error(kind: Kind, name: str, declared: Declared, why: str) -> PluginError:
    """The plugin can be loaded, and what it names for this component is broken."""
    return PluginError(
        f"{kind}={name!r}: {declared} gives it, and {why}. {move(declared)}",
        distribution=declared.distribution,
        version=declared.version,
        entry_point=declared.entry_point,
    )


def clash(kind: Kind, name: str, plugins: Collection[Plugin]) -> PluginError:
    """Nothing says which of them is meant, so none is taken."""
    first, *others = (plugin.declared for plugin in plugins)
    all_of_them = " and ".join(map(str, (first, *others)))
    is_one_distribution = all(other.distribution == first.distribution for other in others)
    off = others[-1].entry_point if is_one_distribution else switch(others[-1])
    return PluginError(
        f"{kind}={name!r}: given by {all_of_them}, and nothing says which is meant. Uninstall all but one, or disable"
        f" them: {DISABLED}={off}",
        distribution=first.distribution,
        version=first.version,
        entry_point=first.entry_point,
        clashes_with=tuple(other.distribution for other in others),
    )


def move(declared: Declared) -> str:
    return f"Mend, upgrade or uninstall it, or go on without it: {DISABLED}={switch(declared)}"


def switch(declared: Declared) -> str:
    """What turns it off."""
    return declared.distribution if declared.distribution != "?" else declared.entry_point


def told(error: BaseException) -> str:
    """The error in one line, with its type: it is not one of ours."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
