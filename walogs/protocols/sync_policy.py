"""The contract of a sync policy, which decides when a commit is synced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from walogs.protocols.segment_store import SyncKind

Durability: TypeAlias = Literal["durable", "eventually", "none"]
"""When the entries of an append that returned are durable. `durable`: they are durable at once. `eventually`: they
become durable after a time that the policy names. `none`: they become durable only when something else syncs them."""


class Unsynced(NamedTuple):
    """What the log has written and not yet synced. It includes the commit that the policy decides about.

    **entries** -- The number of entries.

    **bytes** -- The size of their frames, in bytes.

    **oldest_ns** -- When the first of them was written, on the monotonic clock, in nanoseconds.
    """

    entries: int
    bytes: int
    oldest_ns: int


class SyncDeadline(NamedTuple):
    """A decision: the append returns now, and a sync begins by the deadline, even if nothing more is appended.

    **deadline_ns** -- The time on the monotonic clock, in nanoseconds.
    """

    deadline_ns: int


Decision: TypeAlias = Literal["sync", "leave"] | SyncDeadline
"""What the engine does with a commit. `sync`: it syncs the commit before the append returns. `leave`: the append
returns, and the next sync covers the commit. `SyncDeadline`: the append returns, and a sync begins by the deadline."""


@runtime_checkable
class SyncPolicy(Protocol):
    """A component that decides when a commit is synced, and therefore what a returned append promises.

    It uses no clock and does no I/O.

    **name** -- The word that messages and configuration files use for the policy.

    **durability** -- What holds for an append that returned. `durable`: its entries are durable (G1). `eventually`:
    they become durable after the time that the policy's docstring names. `none`: only the entries up to
    `durable_lsn` are durable.

    **sync_kind** -- Which of the store's syncs the policy asks for.
    """

    name: str
    durability: Durability
    sync_kind: SyncKind

    def decide(self, pending: Unsynced) -> Decision:
        """Return what happens to the frame that was just written. The engine calls this once for each frame.

        It does not call `always_sync`, whose answer is known. In a store of immutable segments, each commit is a
        request. There it asks a policy that promises `eventually` before a commit, about the appends in the queue. A
        `SyncDeadline` delays the commit, so that more share it, and each append waits for its commit.
        """
        ...


def always_sync(policy: object, pending: Unsynced) -> Decision:
    """Decide to sync, as every policy does that promises durable appends.

    A policy whose class has this function as its `decide` costs less: the engine syncs each commit without a call.
    """
    return "sync"
