"""The names, units and buckets of the instruments. The units are UCUM's, as OpenTelemetry requires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

SECONDS: Final = (
    *(0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The buckets, from a write to the page cache to a sync of a failing disk. OpenTelemetry's own suit milliseconds."""
ENTRIES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0)


class Instruments:
    """The instruments of one meter. Every measurement has the attribute `walogs.log`."""

    def __init__(self, meter: Meter) -> None:
        self.append_duration = meter.create_histogram(
            "walogs.append.duration",
            "s",
            "From a commit's turn to its acknowledgement, its sync included",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.sync_duration = meter.create_histogram(
            "walogs.sync.duration",
            "s",
            "A sync that made entries durable",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.commit_entries = meter.create_histogram(
            "walogs.commit.entries",
            "{entry}",
            "Entries that were committed together",
            explicit_bucket_boundaries_advisory=ENTRIES,
        )
        self.appended_entries = meter.create_counter("walogs.appended.entries", "{entry}", "Entries appended")
        self.appended_bytes = meter.create_counter("walogs.appended.bytes", "By", "Data of entries appended")
        self.rotations = meter.create_counter("walogs.rotations", "{rotation}", "Segments completed")
        self.recoveries = meter.create_counter("walogs.recoveries", "{recovery}", "Opens for writing, by verdict")
        self.checkpoints = meter.create_counter("walogs.checkpoints", "{checkpoint}", "Checkpoints that returned")
        self.removed_segments = meter.create_counter(
            "walogs.removed.segments", "{segment}", "Segments that checkpoints removed"
        )
        self.corruptions = meter.create_counter("walogs.corruptions", "{corruption}", "Corrupt raised: damage found")
        self.durable_lag = meter.create_gauge("walogs.durable.lag", "{entry}", "Entries appended and not yet durable")
