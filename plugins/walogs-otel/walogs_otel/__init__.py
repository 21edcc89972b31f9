"""OpenTelemetry metrics and spans of a walogs log: `walogs.open("orders.wal", observers=["otel"])`."""

from walogs_otel.observer import OtelObserver
from walogs_otel.options import OtelOptions

__all__ = ["OtelObserver", "OtelOptions"]
