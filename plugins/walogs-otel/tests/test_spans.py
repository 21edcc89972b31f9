"""Spans: none unless asked for; with the times that the events tell."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import walogs
from walogs_otel import OtelObserver


class Traced:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


@pytest.fixture
def traced() -> Traced:
    return Traced()


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_each_operation_is_a_span_with_its_own_times(tmp_path: Path, traced: Traced) -> None:
    events: list[walogs.events.Event] = []
    path = str(tmp_path / "log")
    observer = OtelObserver(tracer_provider=traced.provider, spans=True)
    began = time.time_ns()
    with walogs.open(path, observers=[observer, events.append]) as wal:
        wal.append(b"12345")
        wal.append_batch([b"a", b"bc"])
        wal.rotate()
        wal.checkpoint(3)
    ended = time.time_ns()
    spans = traced.finished()
    names = [span.name for span in spans]
    pair = ["walogs sync", "walogs append"]
    assert names == ["walogs recover", *pair, *pair, "walogs checkpoint"]
    assert all(dict(span.attributes or {})["walogs.log"] == path for span in spans)
    told = [event for event in events if not isinstance(event, walogs.events.RotationEvent)]
    for span, event in zip(spans, told, strict=True):
        wanted = event.report.duration_seconds if isinstance(event, walogs.events.RecoveryEvent) else event.seconds  # type: ignore[union-attr]
        assert seconds(span) == pytest.approx(wanted, abs=1e-6)
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.end_time <= ended
        assert isinstance(event, walogs.events.RecoveryEvent) or span.start_time >= began - 1_000_000
    attributes = [{k: v for k, v in dict(span.attributes or {}).items() if k != "walogs.log"} for span in spans]
    assert attributes[1:] == [
        {"walogs.lsn.last": 1, "walogs.entries": 1},
        {"walogs.lsn.first": 1, "walogs.entries": 1, "walogs.bytes": 5},
        {"walogs.lsn.last": 3, "walogs.entries": 2},
        {"walogs.lsn.first": 2, "walogs.entries": 2, "walogs.bytes": 3},
        {"walogs.lsn.last": 3, "walogs.segments": 1},
    ]


def test_they_are_below_the_callers_span(tmp_path: Path, traced: Traced) -> None:
    tracer = traced.provider.get_tracer("caller")
    observer = OtelObserver(tracer_provider=traced.provider, spans=True)
    with walogs.open(tmp_path, observers=[observer]) as wal, tracer.start_as_current_span("request"):
        wal.append(b"x")
    (request,) = [span for span in traced.finished() if span.name == "request"]
    appends = [span for span in traced.finished() if span.name in {"walogs append", "walogs sync"}]
    assert len(appends) == 2
    for span in appends:
        assert span.parent is not None
        assert request.context is not None
        assert span.parent.span_id == request.context.span_id


def test_damage_is_on_the_current_span(tmp_path: Path, traced: Traced) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"an entry")
        wal.append(b"another")
    file = tmp_path / "wal-000001.log"
    file.write_bytes(file.read_bytes().replace(b"an entry", b"an Entry"))
    observer = OtelObserver(tracer_provider=traced.provider, spans=True)
    tracer = traced.provider.get_tracer("caller")
    with tracer.start_as_current_span("start-up"), pytest.raises(walogs.Corrupt):
        walogs.open(tmp_path, observers=[observer])
    (span,) = traced.finished()
    (event,) = span.events
    attributes = dict(event.attributes or {})
    assert str(attributes["exception.type"]).endswith("Corrupt")
    assert attributes["walogs.log"] == str(tmp_path)


def test_there_are_none_unless_they_are_asked_for(tmp_path: Path, traced: Traced) -> None:
    with walogs.open(tmp_path, observers=[OtelObserver(tracer_provider=traced.provider)]) as wal:
        wal.append(b"x")
    assert traced.finished() == []
