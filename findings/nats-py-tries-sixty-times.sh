#!/usr/bin/env bash
# nats-py 2.16.0: connect() with allow_reconnect=False tries a server that refuses connections again and again.
#
# Expected: one attempt for each server that is named, and then the error. "allow_reconnect" is turned off by a program
# that handles failures itself, and wants to hear of the first one.
# Seen: it makes max_reconnect_attempts + 1 attempts, with reconnect_time_wait between them, and then raises
# NoServersError, which does not say what the system said. With the defaults of both, that takes two minutes.
# It matters to a program with a deadline of its own, or with another server to go on with.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check nats-py==2.16.0

cat >"$work/connect.py" <<'PYTHON'
import asyncio
import socket

import nats

with socket.socket() as unused:  # nobody listens on this port
    unused.bind(("127.0.0.1", 0))
    port = unused.getsockname()[1]


async def attempts(most):
    seen = []

    async def note(error):
        seen.append(type(error).__name__)

    try:
        await nats.connect(
            f"nats://127.0.0.1:{port}",
            allow_reconnect=False,
            max_reconnect_attempts=most,
            reconnect_time_wait=0,
            error_cb=note,
        )
    except Exception as error:
        return f"{len(seen)} attempts ({', '.join(sorted(set(seen)))}), then {type(error).__name__}"


for most in (1, 5, 60):
    print(f"max_reconnect_attempts={most}: {asyncio.run(attempts(most))}")
PYTHON
"$work/venv/bin/python" "$work/connect.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
max_reconnect_attempts=1: 2 attempts (ConnectionRefusedError), then NoServersError
max_reconnect_attempts=5: 6 attempts (ConnectionRefusedError), then NoServersError
max_reconnect_attempts=60: 61 attempts (ConnectionRefusedError), then NoServersError
SEEN
