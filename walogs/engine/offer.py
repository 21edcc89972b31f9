"""What a caller offers to be committed, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from walogs.engine.wakeups import held_lock

if TYPE_CHECKING:
    from walogs.errors import WalError

INTERRUPTS_MAX: Final = 4
"""Whose commit was interrupted so often has a codec or a store that raises what only interrupts should."""


class SettableFuture(Protocol):
    """What is held by whoever does not wait."""

    def begin(self) -> bool:
        """It cannot be cancelled any more. False: it was."""
        ...

    def cancel(self) -> bool: ...

    def resolve(self, lsn: int, error: BaseException | None) -> None:
        """Say what came of it; the second time says nothing. Calls nothing that is not the log's."""
        ...


class Offer:
    """Entries that somebody waits for, or holds a future of."""

    __slots__ = (
        "entries",
        "error",
        "first_lsn",
        "future",
        "goes_alone",
        "interrupts",
        "is_settled",
        "owner",
        "position",
        "size",
        "waiting",
    )

    def __init__(self, entries: list[bytes], size: int, owner: int, future: SettableFuture | None = None) -> None:
        self.entries = entries
        self.size = size
        self.owner = owner
        """The thread that made it."""
        self.future = future
        self.position = 0
        """Bytes that were offered up to its end."""
        self.waiting = held_lock() if future is None else None
        """What its owner waits for."""
        self.first_lsn = 0
        self.error: BaseException | None = None
        self.is_settled = False
        self.goes_alone = False
        """It was refused together with others, perhaps because of them."""
        self.interrupts = 0

    def settle(self, first_lsn: int, error: BaseException | None = None) -> None:
        self.first_lsn, self.error = first_lsn, error
        self.is_settled = True

    def is_wanted(self) -> bool:
        """False: its future was cancelled in time. From now on it cannot be."""
        return self.future is None or self.future.begin()

    def result(self) -> int:
        if self.error is not None:
            raise self.error
        return self.first_lsn


def are_always_interrupted(offers: list[Offer]) -> bool:
    """Whether these offers are too often in a commit that is interrupted; each is tried by itself first."""
    for offer in offers:
        offer.interrupts += 1
        offer.goes_alone = offer.interrupts > 1
    return len(offers) == 1 and offers[0].interrupts > INTERRUPTS_MAX


def twin(error: WalError) -> WalError:
    """The same error once more: one raised in two threads would collect the tracebacks of both."""
    other = type(error)(*error.args)
    other.__dict__.update(error.__dict__)
    other.__cause__ = error.__cause__
    return other
