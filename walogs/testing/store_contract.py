"""`StoreContract`: everything a store owes, to be subclassed with one method."""

from __future__ import annotations

from walogs.testing.append_checks import AppendChecks
from walogs.testing.log_checks import LogChecks
from walogs.testing.refusal_checks import RefusalChecks
from walogs.testing.repair_checks import RepairChecks
from walogs.testing.segment_checks import SegmentChecks

__all__ = ["StoreContract"]


class StoreContract(LogChecks, RepairChecks, RefusalChecks, AppendChecks, SegmentChecks):
    """Subclass it as `class TestMyStore(StoreContract)` with a method `store(self, place)`; pytest does the rest.

    Which checks apply is what the store's capabilities declare. What a subclass can do to a place beyond that, it
    says by overriding `crash`, `room`, `arm` and `disarm`; the checks that need what it cannot are skipped by name.
    """
