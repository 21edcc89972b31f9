"""`walogs conformance NAME`: run the contract of a store, codec or sync policy without a test file."""

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

from walogs.assembly import registry
from walogs.assembly.config import config_error
from walogs.cli.numbers import FromOne
from walogs.cli.options import AsJson
from walogs.cli.paths import typed_path
from walogs.cli.status import DONE, FAILED, printable
from walogs.errors import ConfigError, WalError
from walogs.foundation.foreign import error_text
from walogs.foundation.local_paths import local_path
from walogs.foundation.pip_command import pip_install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.testing import Contract, Outcome

Kind: TypeAlias = Literal["store", "codec", "sync"]
KINDS: Final[tuple[Kind, ...]] = ("store", "codec", "sync")
Shown: TypeAlias = Literal["all", "failed", "none"]
"""Which outcomes are printed as soon as they are there."""


def conformance(
    name: Annotated[str, Parameter(name="NAME", help="Name of the component, as in a configuration: crc32, local.")],
    /,
    *,
    kind: Annotated[
        Kind | None, Parameter(help="Kind of the component. Without it: every kind that has one of that name.")
    ] = None,
    option: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="An option of the component: KEY=VALUE, with VALUE as in a configuration file. Can be repeated.",
        ),
    ] = (),
    directory: Annotated[
        Path | None,
        Parameter(
            converter=typed_path,
            help="Directory in which stores are made and removed. Without it: the one for temporary files.",
        ),
    ] = None,
    examples: Annotated[FromOne, Parameter(help="Number of histories that the state machine tries on a store.")] = 40,
    failed_only: Annotated[
        bool,
        Parameter(name=["--failed", "-q"], negative="", show_default=False, help="Print only the checks that fail."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check that a store, codec or sync policy keeps its contract. Print each check, its rule and its outcome.

    A check is "not applicable" if the component does not declare the property that it tests, or if it needs something
    that only a test file can offer (a power cut, a full disk, a key). A check is "not run" if it rests on a check that
    failed. The failures are printed again at the end, in one line each. Exit status 0: no check failed. 1: at least one
    check failed. The contract of a store needs walogs[testing].
    """
    if directory is not None:
        local_path(directory, "--directory")
    found = factories(name, kind)
    refuse_without_the_extra(found)
    shown: Shown = "none" if as_json else "failed" if failed_only else "all"
    facts: list[dict[str, Any]] = []
    with quietly():
        for which, factory in found:
            contract = contract_of(which, name, factory, keywords_of(which, name, option), directory, examples)
            outcomes = run_checks(contract, shown)
            facts.append(facts_of(which, name, outcomes))
            if not as_json:
                print("\n".join(summary_of(which, name, outcomes, with_failures=not failed_only)))
    ok = not any(component["failed"] for component in facts)
    if as_json:
        print(json.dumps({"ok": ok, "components": facts}, indent=2))
    return DONE if ok else FAILED


def factories(name: str, kind: Kind | None) -> list[tuple[Kind, Any]]:
    """Return (kind, factory) of every component of that name.

    Raises `ConfigError`, which lists the known names, if there is none.
    """
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
    """Raise `ConfigError` if a store is checked without hypothesis, which its state machine needs."""
    if any(kind == "store" for kind, _ in found) and find_spec("hypothesis") is None:
        problem = f"the contract of a store needs hypothesis: {pip_install('walogs', 'testing')}"
        raise config_error(problem)


def keywords_of(kind: Kind, name: str, given: tuple[str, ...]) -> dict[str, Any]:
    """Return the options in *given* as keywords of the factory. Raises `ConfigError`, which lists every problem."""
    from walogs.config_file.values import converter_for, options_of, text_as_value, types_of

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
            f"--option {'.'.join(wrong.path)}={texts.get(wrong.path[0], '')}: {wrong.why}"
            if wrong.path
            else f"{kind} {name!r} does not take these options: {wrong.why}"
            for wrong in options
        )
        raise config_error(*problems)
    return {key: getattr(options, key) for key in texts}


def contract_of(
    kind: Kind, name: str, factory: Any, keywords: dict[str, Any], directory: Path | None, examples: int
) -> Contract:
    """Return the contract for the component. Raises `ConfigError` if it cannot be made with these keywords."""
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
                "make_with": lambda self, parameters: factory(**parameters),
            }
            contract = type("NamedCodec", (CodecContract,), own)
        case "sync":
            contract = type("NamedPolicy", (SyncPolicyContract,), {"policy": lambda self: factory(**keywords)})
    try:
        with TemporaryDirectory(prefix="walogs-conformance-", dir=directory) as scratch:
            factory(*((os.path.join(scratch, "place"),) if kind == "store" else ()), **keywords)
    except (WalError, OSError, KeyboardInterrupt):
        raise
    except BaseException as error:
        problem = f"{kind}={name!r} cannot be made: {error_text(error)}; give it what it needs with --option KEY=VALUE"
        raise config_error(problem) from error
    return contract()


def run_checks(contract: Contract, shown: Shown) -> list[Outcome]:
    """Run the checks, and print the *shown* outcomes as they come."""
    from walogs.testing import conform

    outcomes: list[Outcome] = []
    for outcome in conform(contract):
        outcomes.append(outcome)
        if shown == "all" or (shown == "failed" and outcome.result == "failed"):
            print("\n".join(lines_of(outcome)), flush=True)
    return outcomes


def line_of(outcome: Outcome) -> str:
    """Return one line with the outcome, the check, and the first line of the reason."""
    return f"{label_of(outcome):<14}  {title(outcome)}: {printable(outcome.why.partition(chr(10))[0])}"


def facts_of(kind: Kind, name: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return what `--json` prints about one component."""
    counts = Counter(outcome.result for outcome in outcomes)
    summary = {result: counts[result] for result in ("passed", "failed", "skipped")}
    return {"kind": kind, "name": name, **summary, "checks": [outcome._asdict() for outcome in outcomes]}


def summary_of(kind: Kind, name: str, outcomes: list[Outcome], *, with_failures: bool) -> Iterator[str]:
    """Yield the failures again, in one line each, and how many checks have each label."""
    failed = [outcome for outcome in outcomes if outcome.result == "failed"]
    if failed and with_failures:
        yield from ("", *map(line_of, failed))
    labels = Counter(label_of(outcome) for outcome in outcomes)
    yield f"{kind} {printable(name)}: {', '.join(f'{labels[label]} {label}' for label in LABELS)}"


LABELS: Final = ("passed", "failed", "not run", "not applicable")


def label_of(outcome: Outcome) -> str:
    """Return the outcome in one of `LABELS`.

    `not run`: this check rests on another check, which failed. `not applicable`: the check does not concern the
    component, or needs something that only a test file can offer.
    """
    if outcome.result != "skipped":
        return outcome.result
    return "not applicable" if outcome.rests_on is None else "not run"


def title(outcome: Outcome) -> str:
    return outcome.check.removeprefix("test_").replace("_", " ")


def lines_of(outcome: Outcome) -> Iterator[str]:
    """Yield the outcome and the check, then its rule, and then the reason if it did not pass."""
    margin = " " * 16
    yield f"{label_of(outcome):<14}  {title(outcome)}"
    yield f"{margin}{printable(outcome.rule)}"
    for at, line in enumerate(outcome.why.splitlines()):
        yield f"{margin}{'because: ' if at == 0 else '  '}{printable(line)}"


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence the log messages of walogs, because the checks cause thousands of recoveries."""
    logger = logging.getLogger("walogs")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
