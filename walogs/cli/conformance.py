"""`walogs conformance NAME`: the contract of a store, codec or sync policy, run without a test file."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from walogs import registry
from walogs.cli.status import DONE, FAILED, printable
from walogs.config import config_error
from walogs.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.testing import Contract, Outcome

Kind: TypeAlias = Literal["store", "codec", "sync"]
KINDS: Final[tuple[Kind, ...]] = ("store", "codec", "sync")


def conformance(
    name: Annotated[str, Parameter(name="NAME", help="The component, as a configuration names it: crc32, local.")],
    /,
    *,
    kind: Annotated[Kind | None, Parameter(help="Its kind; without it, each that has one of that name.")] = None,
    option: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="KEY=VALUE for the component, once for each; VALUE as in a configuration file."),
    ] = (),
    directory: Annotated[
        Path | None, Parameter(help="Where a store's places are made, and removed; without it, with temporary files.")
    ] = None,
    examples: Annotated[
        int, Parameter(validator=Number(gte=1), help="How many histories the state machine tries on a store.")
    ] = 40,
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")] = False,
) -> int:
    """Hold a store, codec or sync policy to its contract: each check, its rule, and what became of it.

    A check is skipped that needs what only a test file can offer (a power cut, a full disk, a key), or what the
    component does not declare; its line says which. Exit status 0: none failed; 1: some did. Needs walogs[testing].
    """
    found = factories(name, kind)
    refuse_without_the_extra(found)
    facts: list[dict[str, Any]] = []
    with quietly():
        for which, factory in found:
            contract = contract_of(which, name, factory, keywords_of(which, name, option), directory, examples)
            outcomes: list[Outcome] = []
            for outcome in conformed(contract):
                outcomes.append(outcome)
                if not as_json:
                    print("\n".join(lines_of(outcome)), flush=True)
            counts = Counter(outcome.result for outcome in outcomes)
            summary = {result: counts[result] for result in ("passed", "failed", "skipped")}
            facts.append({"kind": which, "name": name, **summary, "checks": [o._asdict() for o in outcomes]})
            if not as_json:
                print(f"{which} {printable(name)}: {', '.join(f'{count} {what}' for what, count in summary.items())}")
    ok = not any(component["failed"] for component in facts)
    if as_json:
        print(json.dumps({"ok": ok, "components": facts}, indent=2))
    return DONE if ok else FAILED


def factories(name: str, kind: Kind | None) -> list[tuple[Kind, Any]]:
    """(kind, factory) of every component of that name. Raises `ConfigError`, saying what there is."""
    found: list[tuple[Kind, Any]] = []
    problems: list[str] = []
    for which in KINDS if kind is None else (kind,):
        try:
            found.append((which, registry.factory(which, name)))
        except ConfigError as unknown:
            problems += unknown.problems or (str(unknown),)
    if not found:
        raise config_error(*problems)
    return found


def refuse_without_the_extra(found: list[tuple[Kind, Any]]) -> None:
    """Raise `ConfigError` where the state machine of stores could not run: a store must not pass without it."""
    if any(kind == "store" for kind, _ in found) and find_spec("hypothesis") is None:
        problem = "the contract of a store needs hypothesis: pip install 'walogs[testing]'"
        raise config_error(problem)


def keywords_of(kind: Kind, name: str, given: tuple[str, ...]) -> dict[str, Any]:
    """What is *given*, as the factory takes it; none at all for what is not said. Raises `ConfigError`, with all that
    is wrong."""
    from walogs.config_values import converter_for, options_of, text_as_value, types_of

    texts: dict[str, str] = {}
    for text in given:
        key, equals, texts[key] = text.partition("=")
        if not equals or not key.isidentifier():
            raise config_error(f"--option {text}: KEY=VALUE, level=3 for example")
    if not texts:
        return {}
    dataclass = registry.options(kind, name)
    if dataclass is None:
        raise config_error(f"--option {given[0]}: {kind} {name!r} has no options")
    types = types_of(dataclass)
    written = {key: text_as_value(text, types.get(key, Any)) for key, text in texts.items()}
    options = options_of(converter_for(os.getcwd()), written, dataclass)
    if not isinstance(options, dataclass):
        problems = tuple(
            f"--option {'.'.join(wrong.path) or name}={texts.get(wrong.path[0], '') if wrong.path else ''}: {wrong.why}"
            for wrong in options
        )
        raise config_error(*problems)
    return {key: getattr(options, key) for key in texts}


def contract_of(
    kind: Kind, name: str, factory: Any, keywords: dict[str, Any], directory: Path | None, examples: int
) -> Contract:
    """The contract on the component. Raises `ConfigError` where it cannot be made with these keywords."""
    from walogs.testing import CodecContract, StoreContract, SyncPolicyContract

    contract: type[Contract]
    match kind:
        case "store":
            own = {
                "store": lambda self, place: factory(str(place), **keywords),
                "machine": {**StoreContract.machine, "max_examples": examples},
                "directory": None if directory is None else str(directory),
            }
            contract = type("NamedStore", (StoreContract,), own)
        case "codec":
            own = {
                "codec": lambda self: factory(**keywords),
                "made_with": lambda self, parameters: factory(**parameters),
            }
            contract = type("NamedCodec", (CodecContract,), own)
        case "sync":
            contract = type("NamedPolicy", (SyncPolicyContract,), {"policy": lambda self: factory(**keywords)})
    try:
        with TemporaryDirectory(prefix="walogs-conformance-", dir=directory) as scratch:
            factory(*((os.path.join(scratch, "place"),) if kind == "store" else ()), **keywords)
    except (TypeError, ValueError) as error:
        problem = f"{kind}={name!r} cannot be made: {error}; give it what it needs with --option KEY=VALUE"
        raise config_error(problem) from error
    return contract()


def conformed(contract: Contract) -> Iterator[Outcome]:
    from walogs.testing import conform

    return conform(contract)


def lines_of(outcome: Outcome) -> Iterator[str]:
    """The check and its rule; then why it did not pass."""
    yield f"{outcome.result:<7}  {outcome.check.removeprefix('test_').replace('_', ' ')}"
    yield f"         {printable(outcome.rule)}"
    for at, line in enumerate(outcome.why.splitlines()):
        yield f"         {'because: ' if at == 0 else '  '}{printable(line)}"


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What recoveries have to say, thousands of them, is not for whoever looks at the checks."""
    logger = logging.getLogger("walogs")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
