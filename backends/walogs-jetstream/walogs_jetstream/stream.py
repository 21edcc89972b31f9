"""The stream: what it must be, and what it says about itself.

The requests are JSON, and go to `$JS.API`. They are made here and not by nats-py, which leaves out fields that it does
not know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from nats.errors import NoRespondersError
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from walogs_jetstream.failures import is_stream_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nats.aio.client import Client

    from walogs_jetstream.address import Address
    from walogs_jetstream.connection import Calls

REQUEST_SECONDS: Final = 60.0
"""More than any attempt takes: the attempt ends the request."""

MESSAGE_BYTES_MIN: Final = 4096
"""A stream must take messages of this size. A segment without entries has 512 bytes, and the headers of a message about
100."""
REQUIRED: Final = {
    "storage": ("file",),
    "discard": ("new",),
    "retention": ("limits",),
    "max_age": (0, None),
    "max_consumers": (-1, 0, None),
    "max_msgs_per_subject": (-1, 0, None),
    "persist_mode": ("default", "", None),
    "sealed": (False, None),
    "deny_delete": (False, None),
    "deny_purge": (False, None),
    "allow_rollup_hdrs": (False, None),
    "allow_msg_ttl": (False, None),
    "mirror": (None,),
    "sources": (None,),
    "subject_transform": (None,),
    "no_ack": (False, None),
}
"""The values that a stream's configuration may have. Any other loses messages, or keeps the log from working."""


async def request(client: Client, what: str, content: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Return the answer to one request of JetStream. Raises `APIError` for an answer that is an error."""
    try:
        answer = await client.request(
            f"$JS.API.{what}", json.dumps(content).encode() if content else b"", timeout=REQUEST_SECONDS
        )
    except NoRespondersError:
        raise ServiceUnavailableError(code=503, description="no server answers for JetStream") from None
    found: dict[str, Any] = json.loads(answer.data)
    if "error" in found:
        APIError.from_error(found["error"])
    return found


class Stream:
    """What the stream of a log says about itself."""

    def __init__(self, calls: Calls, address: Address) -> None:
        self._calls = calls
        self._address = address

    def information(self) -> dict[str, Any] | None:
        """Return what the server says of the stream. None: there is none."""
        name = self._address.stream

        async def ask(client: Client) -> dict[str, Any]:
            found = await request(client, f"STREAM.INFO.{name}")
            if found["state"].get("num_deleted"):
                found = await request(client, f"STREAM.INFO.{name}", {"deleted_details": True})
            return found

        try:
            return self._calls.ask(ask, about=f"STREAM.INFO.{name}")
        except NotFoundError as error:
            if not is_stream_missing(error):
                raise
            return None

    def numbers_after(self, number: int) -> Sequence[int]:
        """Return the numbers above *number* of the messages that are there, ascending."""
        found = self.information()
        if found is None or not found["state"]["messages"]:
            return ()
        state = found["state"]
        numbers = range(max(state["first_seq"], number + 1), state["last_seq"] + 1)
        deleted = frozenset(state.get("deleted") or ())
        return [one for one in numbers if one not in deleted] if deleted else numbers

    def newest(self) -> int:
        """Return the number of the last message that was ever there, 0 if there was none."""
        found = self.information()
        return int(found["state"]["last_seq"]) if found is not None else 0

    def make(self, replicas: int) -> None:
        """Make the stream. Nothing happens if one with this configuration is there."""
        name = self._address.stream
        wanted = {
            "name": name,
            "subjects": [self._address.subject],
            "storage": "file",
            "discard": "new",
            "retention": "limits",
            "num_replicas": replicas,
        }
        what = f"STREAM.CREATE.{name}"
        self._calls.ask(lambda client: request(client, what, wanted), about=what)

    def problems(self, configuration: Mapping[str, Any], replicas: int) -> Iterator[str]:
        """Yield everything in the configuration of the stream that could lose entries."""
        for key, allowed in REQUIRED.items():
            if configuration.get(key) not in allowed:
                yield f"{key} is {configuration.get(key)!r}, not {allowed[0]!r}"
        if configuration.get("subjects") != [self._address.subject]:
            yield f"its subjects are {configuration.get('subjects')}, not [{self._address.subject!r}]"
        if 0 < configuration.get("max_msg_size", -1) < MESSAGE_BYTES_MIN:
            yield f"max_msg_size is {configuration['max_msg_size']}, less than {MESSAGE_BYTES_MIN} bytes"
        found = configuration.get("num_replicas") or 1
        if found < replicas:
            yield f"it is on {found} server(s), and the option replicas asks for {replicas}"
