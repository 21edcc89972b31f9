"""Load one plugin through pluggy and ask its hooks for components. Its errors affect only that plugin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pluggy

from walogs.assembly import hookspecs
from walogs.assembly.entry_points import DISABLED
from walogs.assembly.hookspecs import HOOKS, PROJECT
from walogs.assembly.import_strings import import_object, is_dotted, is_import_string
from walogs.assembly.specs import SPECS, Spec, plain, problems_of
from walogs.errors import PluginError
from walogs.foundation.foreign import describe, describe_error
from walogs.foundation.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from walogs.assembly.entry_points import DeclaredPlugin
    from walogs.assembly.specs import Kind


@dataclass(frozen=True, slots=True)
class Plugin:
    """The components that one entry point gives, or the reason why it is broken."""

    declared: DeclaredPlugin
    components: tuple[tuple[Kind, Spec], ...] = ()
    """If the plugin is broken: the components that could be read."""
    problem: PluginError | None = None
    clashes: tuple[PluginError, ...] = ()
    """One error for each component that another distribution gives too. The other components can be used."""
    is_disabled: bool = False
    """A disabled plugin is not loaded, so its components are not known."""

    @property
    def problems(self) -> tuple[PluginError, ...]:
        """All errors of this plugin: the one that makes it broken, and its clashes with other plugins."""
        return self.clashes if self.problem is None else (self.problem, *self.clashes)

    def gives(self, kind: Kind, name: str) -> Spec | None:
        return next((spec for has, spec in self.components if (has, spec.name) == (kind, name)), None)


def load(
    declared: DeclaredPlugin, siblings: Collection[DeclaredPlugin], reserved: Mapping[Kind, Collection[str]]
) -> Plugin:
    """Import the plugin's module and ask its hooks.

    *siblings* are all entry points of the distribution. *reserved* are the built-in names. Errors of the
    plugin are stored in the result and not raised, except `KeyboardInterrupt`.
    """
    components: list[tuple[Kind, Spec]] = []
    problems: list[str] = []
    try:
        for kind, given in ask_hooks(module_of(declared), problems):
            spec = plain(kind, given)
            wrong = list(problems_of(kind, spec))
            problems += wrong
            if isinstance(spec, Spec) and not wrong:
                components.append((kind, spec))
    except KeyboardInterrupt:  # the user pressed Ctrl-C; the plugin is not at fault
        raise
    except BaseException as error:
        return Plugin(declared, tuple(components), broken(declared, message_of(error), error))
    problems += find_bad_names(declared, components, siblings, reserved)
    own = [
        component
        for component in components
        if declared.claims(component[1].name) or not any(sibling.claims(component[1].name) for sibling in siblings)
    ]
    return Plugin(declared, tuple(own), broken(declared, "; ".join(problems)) if problems else None)


def module_of(declared: DeclaredPlugin) -> object:
    target = declared.target
    if not is_dotted(target) and not is_import_string(target):
        raise ValueError(f"its target {target!r} is no 'package.module' and no 'package.module:attribute'")
    return import_object(target)


def ask_hooks(plugin: object, problems: list[str]) -> Iterator[tuple[Kind, object]]:
    """Yield (kind, component) for everything that the hooks return. Add problems of a hook itself to *problems*."""
    hooks = pluggy.PluginManager(PROJECT)  # one manager per plugin, so that plugins cannot affect one another
    hooks.add_hookspecs(hookspecs)
    hooks.register(plugin)
    try:
        hooks.check_pending()
    except pluggy.PluginValidationError:
        problems += find_unknown_hooks(hooks, plugin)
    if not hooks.get_hookcallers(plugin):
        problems.append("it has no function that is marked with @walogs.plugins.hookimpl")
    for hook, kind in HOOKS.items():
        caller = getattr(hooks.hook, hook)
        if not caller.get_hookimpls():
            if callable(getattr(plugin, hook, None)):
                problems.append(f"{hook} is not marked with @walogs.plugins.hookimpl")
            continue
        for given in caller() or [None]:  # pluggy leaves None out
            if isinstance(given, Iterable) and not isinstance(given, str | bytes):
                for spec in given:
                    yield kind, spec
            else:
                problems.append(f"{hook} gave {describe(given)}: a list of {SPECS[kind].__name__} is wanted")


def find_unknown_hooks(hooks: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    for caller in hooks.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            yield f"{caller.name} is no hook of walogs{did_you_mean(caller.name, tuple(HOOKS))}"


def find_bad_names(
    declared: DeclaredPlugin,
    components: Collection[tuple[Kind, Spec]],
    siblings: Collection[DeclaredPlugin],
    reserved: Mapping[Kind, Collection[str]],
) -> Iterator[str]:
    """Yield a problem for each name that is built in, is given twice, or cannot be found by its name."""
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


# Errors


def broken(declared: DeclaredPlugin, why: str, cause: BaseException | None = None) -> PluginError:
    error = PluginError(
        f"{declared} is broken: {why}. {next_step(declared)}",
        distribution=declared.distribution,
        version=declared.version,
        entry_point=declared.entry_point,
    )
    error.__cause__ = cause
    return error


def component_error(kind: Kind, name: str, declared: DeclaredPlugin, why: str) -> PluginError:
    """Return the error for a plugin that loads, but whose component is broken."""
    return PluginError(
        f"{kind}={name!r}: {declared} gives it, and {why}. {next_step(declared)}",
        distribution=declared.distribution,
        version=declared.version,
        entry_point=declared.entry_point,
    )


def clash(kind: Kind, name: str, plugins: Collection[Plugin]) -> PluginError:
    """Return the error for a name that several plugins give. None of them is chosen."""
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


def next_step(declared: DeclaredPlugin) -> str:
    return f"Mend, upgrade or uninstall it, or go on without it: {DISABLED}={switch(declared)}"


def switch(declared: DeclaredPlugin) -> str:
    """Return the word that disables the plugin."""
    return declared.distribution if declared.distribution != "?" else declared.entry_point


def message_of(error: BaseException) -> str:
    """Return the error in one line, with its type, because it is not an error of walogs."""
    return describe_error(error).rstrip(".: ")
