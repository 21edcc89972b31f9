"""What the contracts share: checks are methods, each holds one rule, and its docstring says which.

A contract runs in two ways. Under pytest a subclass named `Test…` is collected like any other, with nothing to
configure; `conform` runs the same checks without pytest, for `walogs conformance` and for whoever has no test file.
A check that fails raises `ContractBroken`; it is raised, not asserted, so that `python -O` proves as much.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, NoReturn, ParamSpec, TypeVar
from unittest import SkipTest

from walogs.testing.faults import SimulatedCrash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Contract", "ContractBroken", "NotOffered", "Outcome", "conform"]

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound="Callable[..., object]")

CHECK: Final = "test_"
"""How the names of checks begin, for pytest's sake."""


class ContractBroken(AssertionError):
    """A component does not do what its protocol says."""


class NotOffered(SkipTest):
    """This check needs what the contract's subclass does not offer; the message says what. To pytest it is a skip."""


class Outcome(NamedTuple):
    """What became of one check."""

    check: str
    """The method's name."""
    rule: str
    """The first paragraph of its docstring, in one line."""
    result: Literal["passed", "failed", "skipped"]
    why: str
    """Empty when it passed."""


class Contract:
    """The base of the three contracts. Its checks are the methods whose names begin with `test_`."""

    foundation: ClassVar[tuple[str, ...]] = ("test_it_has_the_members",)
    """Checks on which all others rest, each on those before it."""
    directory: str | None = None
    """Where places are made that need a real directory; None: where temporary files go."""
    _scratch: str | None = None
    _cleanups: list[Callable[[], object]]

    def setup_method(self) -> None:
        """Called before each check, by pytest or by `conform`."""
        self._scratch = None
        self._cleanups = []

    def teardown_method(self) -> None:
        """Called after each check, however it ended: closes what it left open, and removes its directories."""
        while self._cleanups:
            with suppress(Exception, SimulatedCrash):  # what was wrong has been said, or is another check's to say
                self._cleanups.pop()()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def scratch(self) -> Path:
        """A directory that lives as long as this check."""
        if self._scratch is None:
            self._scratch = tempfile.mkdtemp(prefix="walogs-conformance-", dir=self.directory)
        return Path(self._scratch)

    def afterwards(self, cleanup: Callable[[], object]) -> None:
        """Called when the check has ended, the last one given first; what it raises is of no interest."""
        self._cleanups.append(cleanup)

    @classmethod
    def checks(cls) -> list[str]:
        """Their names: a base class's before those of what is built on it, in the order they are written."""
        names: dict[str, None] = {}
        for owner in reversed(cls.__mro__):
            names.update(dict.fromkeys(name for name in vars(owner) if name.startswith(CHECK)))
        return [name for name in names if callable(getattr(cls, name))]

    @classmethod
    def rule(cls, check: str) -> str:
        """What that check holds a component to, in one line."""
        paragraph = (inspect.getdoc(getattr(cls, check)) or "").partition("\n\n")[0]
        return " ".join(paragraph.split())


def must(held: object, broken: str) -> None:
    """Raise `ContractBroken`, saying *broken*, unless *held*."""
    if not held:
        raise ContractBroken(broken)


def breaks(what: str) -> NoReturn:
    """Raise `ContractBroken`."""
    raise ContractBroken(what)


def is_text(value: object) -> bool:
    """Whether it is a `str`, and not an empty one, whatever its type is said to be."""
    return isinstance(value, str) and bool(value)


def must_raise(
    expected: type[BaseException] | tuple[type[BaseException], ...],
    broken: str,
    call: Callable[P, object],
    *given: P.args,
    **options: P.kwargs,
) -> None:
    """Raise `ContractBroken`, saying *broken*, unless *call* raises what is expected."""
    try:
        answer = call(*given, **options)
    except expected:
        return
    except Exception as raised:
        raise ContractBroken(f"{broken}: it raised {type(raised).__name__}: {raised}") from raised
    raise ContractBroken(f"{broken}: it answered {shortened(answer)}")


def must_not_raise(broken: str, call: Callable[P, T], *given: P.args, **options: P.kwargs) -> T:
    """What *call* answered. Raises `ContractBroken`, saying *broken*, when it raised an `Exception`."""
    try:
        return call(*given, **options)
    except Exception as raised:
        raise ContractBroken(f"{broken}: it raised {type(raised).__name__}: {raised}") from raised


def shortened(value: object) -> str:
    """Its `repr`, or the beginning of it."""
    if isinstance(value, bytes) and len(value) > 40:
        return f"{value[:20]!r}… ({len(value)} bytes)"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def rests_on(*checks: str) -> Callable[[C], C]:
    """Marks a check that cannot tell anything where one of those fails: `conform` then leaves it out."""

    def mark(check: C) -> C:
        check.rests_on = checks  # type: ignore[attr-defined]
        return check

    return mark


def after_the_rest(check: C) -> C:
    """Marks a check of the whole: where any part is broken, `conform` leaves it out."""
    check.is_after_the_rest = True  # type: ignore[attr-defined]
    return check


def conform(contract: Contract) -> Iterator[Outcome]:
    """Run every check of *contract*; each outcome as soon as it is known. What a check raises, it holds.

    One mistake is one failure: a check that rests on one that has failed is skipped, and says on which.
    """
    broken: dict[str, str] = {}
    for check in in_order(contract):
        rule = contract.rule(check)
        cause = next((broken[under] for under in foundations(contract, check) if under in broken), None)
        if cause is None and broken and getattr(getattr(contract, check), "is_after_the_rest", False):
            cause = next(iter(broken.values()))
        if cause is not None:
            broken[check] = cause
            yield Outcome(check, rule, "skipped", f"it rests on {cause}, which failed")
            continue
        outcome = _run(contract, check, rule)
        if outcome.result == "failed":
            broken[check] = check
        yield outcome


def foundations(contract: Contract, check: str) -> tuple[str, ...]:
    """What *check* rests on."""
    under = contract.foundation
    below = under[: under.index(check)] if check in under else under
    return (*below, *getattr(getattr(contract, check), "rests_on", ()))


def in_order(contract: Contract) -> list[str]:
    """Every check, after what it rests on; those of the whole last; else as they are written."""
    ordered: dict[str, None] = {}

    def take(check: str) -> None:
        if check not in ordered:
            for under in foundations(contract, check):
                take(under)
            ordered[check] = None

    for check in contract.checks():
        take(check)
    return sorted(ordered, key=lambda check: getattr(getattr(contract, check), "is_after_the_rest", False))


def with_notes(why: str, error: BaseException) -> str:
    """*why*, and below it what was noted on the way: of the state machine, the shortest history that does it."""
    return "\n".join((why, *getattr(error, "__notes__", ())))


def _run(contract: Contract, check: str, rule: str) -> Outcome:
    contract.setup_method()
    try:
        getattr(contract, check)()
    except SkipTest as reason:
        return Outcome(check, rule, "skipped", str(reason))
    except ContractBroken as broken:
        return Outcome(check, rule, "failed", with_notes(str(broken), broken))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 the component's own, or a model's verdict on it (`LawBroken`)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return Outcome(check, rule, "failed", with_notes(f"{type(error).__name__}: {error} ({where})", error))
    else:
        return Outcome(check, rule, "passed", "")
    finally:
        contract.teardown_method()
