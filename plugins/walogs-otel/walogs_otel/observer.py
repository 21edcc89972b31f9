"""The observer. It passes each event to the instruments that measure it, and to the spans."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace

from walogs.events import AppendEvent, CheckpointEvent, CorruptionEvent, RecoveryEvent, RotationEvent, SyncEvent
from walogs_otel.instruments import Instruments
from walogs_otel.options import OtelOptions
from walogs_otel.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from walogs.events import Event

DISTRIBUTION: Final = "walogs-otel"
LOG: Final = "walogs.log"
"""The attribute for the log's name. Every measurement and every span has it."""


class OtelObserver:
    """An observer that measures each event. One object can observe any number of logs.

    It asks the providers once, when it is made, for a meter and a tracer. None stands for the global provider, which
    the application may set later.
    """

    def __init__(
        self,
        *,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        spans: bool = False,
    ) -> None:
        options, release = OtelOptions(spans), version(DISTRIBUTION)
        self._instruments = Instruments(metrics.get_meter(DISTRIBUTION, release, meter_provider))
        tracer = trace.get_tracer(DISTRIBUTION, release, tracer_provider) if options.spans else None
        self._spans = Spans(tracer) if tracer is not None else None
        self._attributes: dict[str, Mapping[str, str]] = {}
        self._last_lsns: dict[str, int] = {}
        """The LSN of the last entry that was appended to each log."""
        self._tell: Mapping[type[Any], Callable[[Any, Mapping[str, str]], None]] = {
            AppendEvent: self._append,
            CheckpointEvent: self._checkpoint,
            CorruptionEvent: self._corruption,
            RecoveryEvent: self._recovery,
            RotationEvent: self._rotation,
            SyncEvent: self._sync,
        }

    def __call__(self, event: Event, /) -> None:
        """Measure one event. Ignore an event of a kind that this release does not know."""
        tell = self._tell.get(type(event))
        if tell is not None:
            tell(event, self._attributes_of(event.log))

    def _attributes_of(self, log: str) -> Mapping[str, str]:
        found = self._attributes.get(log)
        if found is None:
            found = self._attributes[log] = {LOG: log}
        return found

    def _append(self, event: AppendEvent, log: Mapping[str, str]) -> None:
        instruments, last_lsn = self._instruments, event.first_lsn + event.entries - 1
        self._last_lsns[event.log] = last_lsn
        instruments.append_duration.record(event.seconds, log)
        instruments.commit_entries.record(event.entries, log)
        instruments.appended_entries.add(event.entries, log)
        instruments.appended_bytes.add(event.bytes, log)
        instruments.durable_lag.set(max(last_lsn - event.durable_lsn, 0), log)
        if self._spans is not None:
            numbers = {
                "walogs.lsn.first": event.first_lsn,
                "walogs.entries": event.entries,
                "walogs.bytes": event.bytes,
            }
            self._spans.tell("walogs append", event.seconds, {**log, **numbers})

    def _sync(self, event: SyncEvent, log: Mapping[str, str]) -> None:
        self._instruments.sync_duration.record(event.seconds, log)
        # The event of a sync comes before that of its append. So the durable LSN can be above the last known LSN.
        self._instruments.durable_lag.set(max(self._last_lsns.get(event.log, 0) - event.last_lsn, 0), log)
        if self._spans is not None:
            numbers = {"walogs.lsn.last": event.last_lsn, "walogs.entries": event.entries}
            self._spans.tell("walogs sync", event.seconds, {**log, **numbers})

    def _rotation(self, event: RotationEvent, log: Mapping[str, str]) -> None:
        self._instruments.rotations.add(1, log)

    def _checkpoint(self, event: CheckpointEvent, log: Mapping[str, str]) -> None:
        self._instruments.checkpoints.add(1, log)
        self._instruments.removed_segments.add(event.removed_segments, log)
        if self._spans is not None:
            numbers = {"walogs.lsn.last": event.lsn, "walogs.segments": event.removed_segments}
            self._spans.tell("walogs checkpoint", event.seconds, {**log, **numbers})

    def _recovery(self, event: RecoveryEvent, log: Mapping[str, str]) -> None:
        report = event.report
        self._last_lsns.pop(event.log, None)  # Recovery may have cut entries that an earlier handle appended.
        self._instruments.recoveries.add(1, {**log, "walogs.recovery.verdict": report.verdict})
        self._instruments.durable_lag.set(0, log)
        if self._spans is not None:
            numbers = {"walogs.segments": report.segments, "walogs.entries": report.entries}
            verdict = {"walogs.recovery.verdict": report.verdict}
            self._spans.tell("walogs recover", report.duration_seconds, {**log, **verdict, **numbers})

    def _corruption(self, event: CorruptionEvent, log: Mapping[str, str]) -> None:
        self._instruments.corruptions.add(1, log)
        if self._spans is not None:
            self._spans.damage(event.error, log)
