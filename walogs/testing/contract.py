"""The base of the contracts. Each check is a method that tests one rule, and its docstring states the rule.

A contract runs in two ways. pytest collects a subclass named `Test…` like any other test class, without configuration.
`conform` runs the same checks without pytest, for `walogs conformance` and for callers that have no test file.

A check that fails raises `ContractBroken`. It does not use `assert`, so that it works the same under `python -O`.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, NoReturn, ParamSpec, TypeVar
from unittest import SkipTest

from walogs.foundation.foreign import describe, describe_error, error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Contract", "ContractBroken", "NotOffered", "Outcome", "conform"]

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound="Callable[..., object]")

CHECK: Final = "test_"
"""The names of checks begin like this, so that pytest finds them."""


class ContractBroken(AssertionError):
    """A component does not do what its protocol says."""


class NotOffered(SkipTest):
    """The check needs something that the subclass of the contract does not provide. The message says what it needs.

    pytest reports the check as skipped.
    """


class Outcome(NamedTuple):
    """The outcome of one check."""

    check: str
    """The name of the check's method."""
    rule: str
    """The first paragraph of the method's docstring, in one line."""
    result: Literal["passed", "failed", "skipped"]
    why: str
    """The reason why the check failed or was skipped. It is empty if the check passed."""
    rests_on: str | None = None
    """The name of the failed check on which this check rests. The check was not run for that reason. None: it was run,
    or it does not concern the component."""


class Contract:
    """The base of the three contracts. Its checks are the methods whose names begin with `test_`."""

    foundation: ClassVar[tuple[str, ...]] = ("test_it_has_the_members",)
    """The checks on which all others rest. Each of them rests on those before it."""
    directory: str | None = None
    """The directory in which the contract makes its scratch directories. None is the system's temporary directory."""
    _scratch: str | None = None
    _cleanups: list[Callable[[], object]]

    def setup_method(self) -> None:
        """Prepare one check. pytest or `conform` calls this before each check."""
        self._scratch = None
        self._cleanups = []

    def teardown_method(self) -> None:
        """Close what the check left open, and remove its directories. pytest or `conform` calls this after a check."""
        while self._cleanups:
            cleanup = self._cleanups.pop()
            try:
                cleanup()
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 (this check or another one reports what is wrong)
                pass
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def scratch(self) -> Path:
        """Return a directory that exists until this check ends. Each call in one check returns the same directory."""
        if self._scratch is None:
            self._scratch = tempfile.mkdtemp(prefix="walogs-conformance-", dir=self.directory)
        return Path(self._scratch)

    def afterwards(self, cleanup: Callable[[], object]) -> None:
        """Call *cleanup* when the check has ended. The last one given is called first. Its errors are ignored."""
        self._cleanups.append(cleanup)

    def not_applicable(self, check: str) -> str:
        """Return why *check* does not concern this component, or "" if it does or if this is not known."""
        return ""

    @classmethod
    def checks(cls) -> list[str]:
        """Return the names of all checks, in the order in which they are written. A base class's come first."""
        names: dict[str, None] = {}
        for owner in reversed(cls.__mro__):
            names.update(dict.fromkeys(name for name in vars(owner) if name.startswith(CHECK)))
        return [name for name in names if callable(getattr(cls, name))]

    @classmethod
    def rule(cls, check: str) -> str:
        """Return the rule that *check* tests, in one line."""
        paragraph = (inspect.getdoc(getattr(cls, check)) or "").partition("\n\n")[0]
        return " ".join(paragraph.split())


def must(held: object, broken: str) -> None:
    """Raise `ContractBroken` with the message *broken* if *held* is false."""
    if not held:
        raise ContractBroken(broken)


def breaks(what: str) -> NoReturn:
    """Raise `ContractBroken` with the message *what*."""
    raise ContractBroken(what)


def is_text(value: object) -> bool:
    """Return whether *value* is a `str` and not empty. The component's annotations are not relied on."""
    return isinstance(value, str) and bool(value)


def must_raise(
    expected: type[BaseException] | tuple[type[BaseException], ...],
    broken: str,
    call: Callable[P, object],
    *given: P.args,
    **options: P.kwargs,
) -> None:
    """Raise `ContractBroken` with a message that begins with *broken*, unless *call* raises an *expected* error."""
    try:
        answer = call(*given, **options)
    except expected:
        return
    except Exception as raised:
        raise ContractBroken(f"{broken}: it raised {describe_error(raised)}") from raised
    raise ContractBroken(f"{broken}: it answered {shorten(answer)}")


def must_not_raise(broken: str, call: Callable[P, T], *given: P.args, **options: P.kwargs) -> T:
    """Return what *call* returns. If it raises an `Exception`, raise `ContractBroken`, which begins with *broken*."""
    try:
        return call(*given, **options)
    except Exception as raised:
        raise ContractBroken(f"{broken}: it raised {describe_error(raised)}") from raised


def shorten(value: object) -> str:
    """Return the `repr` of *value*, or the beginning of a long one."""
    if isinstance(value, bytes) and len(value) > 40:
        return f"{value[:20]!r}… ({len(value)} bytes)"
    text = describe(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def rests_on(*checks: str) -> Callable[[C], C]:
    """Mark a check that shows nothing if one of *checks* fails. `conform` skips it then."""

    def mark(check: C) -> C:
        check.rests_on = checks  # type: ignore[attr-defined]
        return check

    return mark


def after_the_rest(check: C) -> C:
    """Mark a check of the whole component. `conform` runs it last, and skips it if any other check has failed."""
    check.is_after_the_rest = True  # type: ignore[attr-defined]
    return check


def conform(contract: Contract) -> Iterator[Outcome]:
    """Run every check of *contract*, and yield each outcome as soon as it is known.

    An error that a check raises becomes a part of its outcome; only `KeyboardInterrupt` is raised on.

    One mistake gives one failure. A check that rests on a failed check is skipped, and its outcome names the failed
    check. If the check does not concern the component at all, the outcome says that instead.
    """
    broken: dict[str, str] = {}
    for check in in_order(contract):
        rule = contract.rule(check)
        cause = next((broken[under] for under in foundations(contract, check) if under in broken), None)
        if cause is None and broken and getattr(getattr(contract, check), "is_after_the_rest", False):
            cause = next(iter(broken.values()))
        if cause is not None:
            outcome = _not_run(contract, check, rule, cause)
            if outcome.rests_on is not None:
                broken[check] = cause
            yield outcome
            continue
        outcome = _run(contract, check, rule)
        if outcome.result == "failed":
            broken[check] = check
        yield outcome


def foundations(contract: Contract, check: str) -> tuple[str, ...]:
    """Return the checks on which *check* rests."""
    under = contract.foundation
    below = under[: under.index(check)] if check in under else under
    return (*below, *getattr(getattr(contract, check), "rests_on", ()))


def in_order(contract: Contract) -> list[str]:
    """Return every check, each after those on which it rests. The checks of the whole component come last.

    Otherwise they keep the order in which they are written.
    """
    ordered: dict[str, None] = {}

    def take(check: str) -> None:
        if check not in ordered:
            for under in foundations(contract, check):
                take(under)
            ordered[check] = None

    for check in contract.checks():
        take(check)
    return sorted(ordered, key=lambda check: getattr(getattr(contract, check), "is_after_the_rest", False))


def reason_not_applicable(contract: Contract, check: str) -> str:
    """Return why *check* does not concern the component, or "". The component is broken and may raise any error."""
    contract.setup_method()
    try:
        return contract.not_applicable(check)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 (then this is not known)
        return ""
    finally:
        contract.teardown_method()


def with_notes(why: str, error: BaseException) -> str:
    """Return *why* with the notes of *error* below it. The state machine notes the shortest history that fails."""
    return "\n".join((why, *getattr(error, "__notes__", ())))


def _not_run(contract: Contract, check: str, rule: str, cause: str) -> Outcome:
    """Return the outcome of a check that rests on *cause*, which failed, or that does not concern the component."""
    inapplicable = reason_not_applicable(contract, check)
    if inapplicable:
        return Outcome(check=check, rule=rule, result="skipped", why=inapplicable)
    why = f"it rests on {cause}, which failed"
    return Outcome(check=check, rule=rule, result="skipped", why=why, rests_on=cause)


def _run(contract: Contract, check: str, rule: str) -> Outcome:
    contract.setup_method()
    try:
        getattr(contract, check)()
    except SkipTest as reason:
        return Outcome(check=check, rule=rule, result="skipped", why=error_text(reason))
    except ContractBroken as broken:
        why = with_notes(error_text(broken), broken)
        return Outcome(check=check, rule=rule, result="failed", why=why)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (the component raises it, or a model does, as `LawBroken`)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        why = with_notes(f"{describe_error(error)} ({where})", error)
        return Outcome(check=check, rule=rule, result="failed", why=why)
    else:
        return Outcome(check=check, rule=rule, result="passed", why="")
    finally:
        contract.teardown_method()
