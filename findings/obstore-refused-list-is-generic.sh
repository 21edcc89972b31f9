#!/usr/bin/env bash
# obstore 0.12.1: if a server refuses a list, or has no such bucket, list() raises GenericError, which get() and put() do not.
#
# Expected: PermissionDeniedError for status 403 and NotFoundError for 404, as the other calls raise them.
# Seen: a list raises GenericError for both. Only the text of its message tells them from a server that is down.
# It matters to programs that begin with a list and catch these errors by their classes: they try again although no
# attempt can succeed, or take wrong credentials for a broken server.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1

cat >"$work/refused.py" <<'PYTHON'
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from obstore.store import S3Store

ERRORS = {403: "AccessDenied", 404: "NoSuchBucket"}


class Refusing(BaseHTTPRequestHandler):
    status = 403

    def do_GET(self) -> None:
        code = ERRORS[self.status]
        body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *args: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = S3Store(
    "bucket",
    endpoint=f"http://127.0.0.1:{server.server_port}",
    region="us-east-1",
    access_key_id="some",
    secret_access_key="other",
    client_options={"allow_http": True},
    retry_config={"max_retries": 0},
)
calls: dict[str, Callable[[], object]] = {
    "get": lambda: store.get("key"),
    "put": lambda: store.put("key", b"content", use_multipart=False),
    "list": lambda: list(store.list()),
}
for status in ERRORS:
    Refusing.status = status
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            print(status, name, type(error).__name__)
PYTHON
"$work/venv/bin/python" -B "$work/refused.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
403 get PermissionDeniedError
403 put PermissionDeniedError
403 list GenericError
404 get FileNotFoundError
404 put FileNotFoundError
404 list GenericError
SEEN
