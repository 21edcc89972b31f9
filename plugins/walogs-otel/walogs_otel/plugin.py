"""What walogs is told of this distribution."""

from __future__ import annotations

import walogs


@walogs.hookimpl
def walogs_observers() -> list[walogs.ObserverSpec]:
    return [
        walogs.ObserverSpec(
            "otel",
            "walogs_otel.observer:OtelObserver",
            options="walogs_otel.options:OtelOptions",
            summary="OpenTelemetry metrics and spans",
        )
    ]
