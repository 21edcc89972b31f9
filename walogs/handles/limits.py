"""How large entries and batches may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from walogs.errors import EntryTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from walogs.formats.segment_format import SegmentFormat


class Limits(NamedTuple):
    """The largest size of an entry, and of a frame's body that has more than one, in bytes."""

    entry: int
    batch: int

    def check_batch(self, form: SegmentFormat, count: int, total: int, largest: Callable[[], tuple[int, int]]) -> None:
        """Raise `EntryTooLarge` if a batch of *count* entries with *total* bytes is too large, or an entry of it.

        *largest* returns the position and the size of the largest entry.
        """
        if total > self.entry:
            at, size = largest()
            if size > self.entry:
                refuse_size(f"entry {at} of the batch", size, self.entry)
        whole = form.body_bytes(count, total)
        if count > 1 and whole > self.batch:
            refuse_size("a batch", whole, self.batch)


def refuse_size(what: str, size: int, largest: int) -> NoReturn:
    """Raise `EntryTooLarge`."""
    message = f"{what} has {size} bytes, more than the limit of {largest}. Nothing was written."
    raise EntryTooLarge(message, size=size, max=largest)
