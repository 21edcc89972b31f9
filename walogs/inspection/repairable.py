"""What a store must be able to do for its logs to be repaired. Stores that cannot append need none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from walogs.protocols import AppendableStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer


@runtime_checkable
class RepairableStore(AppendableStore, Protocol):
    """An appendable store that can write a segment anew, and keep what it was. Called under the lock alone."""

    def replace(self, number: int, chunks: Iterable[Buffer]) -> None:
        """The segment, which is there, becomes these bytes, whole or not at all; durable with its name on return.

        Raises `NoSpace`, or what *chunks* raises: unchanged.
        """
        ...

    def copy_aside(self, number: int, name: str) -> None:
        """A copy of the segment has this name, which every open ignores; whole or not at all, durable on return.

        Raises `FileExistsError` and `NoSpace`: nothing was changed.
        """
        ...

    def move_aside(self, number: int, name: str) -> None:
        """The segment has this name instead of its own, durably on return; after a crash at least one of the two.

        Raises `FileExistsError`: nothing was changed.
        """
        ...
