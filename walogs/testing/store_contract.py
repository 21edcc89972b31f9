"""`StoreContract`: all that a store must do. A subclass needs one method."""

from __future__ import annotations

from walogs.testing.append_checks import AppendChecks
from walogs.testing.creation_checks import CreationChecks
from walogs.testing.cursor_checks import CursorChecks
from walogs.testing.fork_checks import ForkChecks
from walogs.testing.listing_checks import ListingChecks
from walogs.testing.lock_checks import LockChecks
from walogs.testing.log_checks import LogChecks
from walogs.testing.reading_checks import ReadingChecks
from walogs.testing.refusal_checks import RefusalChecks
from walogs.testing.repair_checks import RepairChecks
from walogs.testing.segment_checks import SegmentChecks

__all__ = ["StoreContract"]


class StoreContract(
    LogChecks,
    RepairChecks,
    CursorChecks,
    ForkChecks,
    RefusalChecks,
    AppendChecks,
    LockChecks,
    CreationChecks,
    ReadingChecks,
    ListingChecks,
    SegmentChecks,
):
    """The contract of a store. Subclass it as `class TestMyStore(StoreContract)` with a method `store(self, place)`.

    pytest does the rest. The store's capabilities decide which checks apply. A subclass can also override `crash`,
    `room`, `aside`, `arm` and `disarm`, if it can do these things to a place. The checks that need a method which it
    does not override are skipped, with that reason.
    """

    foundation = (
        "test_it_has_the_members",
        "test_nothing_is_listed_where_nothing_is",
        "test_places_are_apart",
        "test_close_frees_the_log",
        "test_reading_needs_no_acquire",
        "test_the_listing_is_a_sequence",
        "test_the_listing_is_fresh",
        "test_a_read_gives_the_bytes_it_is_asked_for",
        "test_a_read_is_never_short",
    )
