#!/usr/bin/env bash
# obstore 0.12.1: put(mode="create") can raise AlreadyExistsError for the object that this very call has created.
#
# Expected: the error says that somebody else has created the object. If an answer was lost, and the request was sent once
# more, the caller hears that the outcome is not known, or that the object is its own.
# Seen: the server stores the object and answers 503, as a gateway does that gave up too early. obstore repeats the request
# by itself, is told 412, and raises AlreadyExistsError; nothing says that it was the second attempt.
# It matters to locks, leases and logs, where the one writer concludes that another has won. With
# retry_config={"max_retries": 0} the caller sees the 503, and can look what is there.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1

cat >"$work/create.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from obstore.store import S3Store

objects, statuses = {}, []


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        created = self.path not in objects
        if created:
            objects[self.path] = body
        statuses.append(503 if created else 412)
        self.send_response(statuses[-1])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
threading.Thread(target=server.serve_forever, daemon=True).start()
for retries in (10, 0):
    objects.clear()
    statuses.clear()
    store = S3Store(
        "bucket",
        endpoint=f"http://127.0.0.1:{server.server_port}",
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": retries},
    )
    try:
        store.put("one", b"mine", mode="create", use_multipart=False)
    except Exception as error:
        print(f"max_retries={retries}: {statuses}, {type(error).__name__}, stored {objects['/bucket/one']}")
PYTHON
"$work/venv/bin/python" "$work/create.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
max_retries=10: [503, 412], AlreadyExistsError, stored b'mine'
max_retries=0: [503], GenericError, stored b'mine'
SEEN
