"""A store that keeps the segments of a walogs log in NATS JetStream: `walogs.open("nats://…")`."""

from walogs_jetstream.options import JetStreamOptions
from walogs_jetstream.store import JetStreamStore

__all__ = ["JetStreamOptions", "JetStreamStore"]
