#!/usr/bin/env bash
# moto 5.2.5 (server): of puts with "If-None-Match: *" that arrive at the same time, more than one can succeed.
#
# Expected: as S3 does, exactly one of them is answered with 200, and the others are refused.
# Seen: the server looks whether the object is there and stores it in two steps. Threads of one server that come in
# between both store theirs: two writers are told that they created the object, and the content of one is gone.
# It matters to tests of locks, leases and logs that rely on conditional writes: against this server they fail at random,
# and the fault is not theirs. A put at a time is enough, as from one writer or through a proxy that lets one through.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check moto==5.2.5 flask==3.1.3 flask-cors==6.0.5 pyyaml==6.0.4 werkzeug==3.1.9

cat >"$work/race.py" <<'PYTHON'
import http.client
import logging
import sys
import threading

from moto.server import ThreadedMotoServer

sys.setswitchinterval(1e-6)  # threads take turns often, as they do on a busy machine
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()


def put(path, body, **headers):
    connection = http.client.HTTPConnection(host, port)
    connection.request("PUT", path, body=body, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def statuses(key):
    start, found = threading.Barrier(8), []

    def one(writer):
        start.wait()
        found.append(put(f"/bucket/{key}", f"{writer}", **{"If-None-Match": "*"}))

    threads = [threading.Thread(target=one, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


put("/bucket", "")
print("at once, one key was created twice:", any(statuses(key).count(200) > 1 for key in range(5000)))
server.stop()
PYTHON
"$work/venv/bin/python" "$work/race.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
at once, one key was created twice: True
SEEN
