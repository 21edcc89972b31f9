"""The registration of the observer `otel`."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_observers() -> list[walogs.plugins.ObserverSpec]:
    return [
        walogs.plugins.ObserverSpec(
            "otel",
            "walogs_otel.observer:OtelObserver",
            options="walogs_otel.options:OtelOptions",
            summary="OpenTelemetry metrics and spans",
        )
    ]
