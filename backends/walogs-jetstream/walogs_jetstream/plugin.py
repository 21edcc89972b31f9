"""The registration of the store `jetstream`."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_stores() -> list[walogs.plugins.StoreSpec]:
    return [
        walogs.plugins.StoreSpec(
            "jetstream",
            "walogs_jetstream.store:JetStreamStore",
            options="walogs_jetstream.options:JetStreamOptions",
            schemes=("nats", "tls"),
            summary="A stream of NATS JetStream, a message for each commit",
        )
    ]
