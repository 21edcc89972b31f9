#!/usr/bin/env bash
# obstore 0.12.1: MemoryStore keeps the caller's buffer itself. What is written into it later changes the stored object.
#
# Expected: put() takes a copy, as every store behind a network does: an object is what it was when put() returned.
# Seen: after the caller has used its bytearray again, the object has other content, under the ETag that it had before.
# LocalStore keeps what was put.
# It matters to a program that uses one buffer for many objects and is tested with MemoryStore: each object is the last
# one, and the fault is not in the program.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1

cat >"$work/alias.py" <<'PYTHON'
import sys

from obstore.store import LocalStore, MemoryStore

for store in (MemoryStore(), LocalStore(sys.argv[1])):
    buffer = bytearray(b"first")
    store.put("one", buffer)
    tag = store.head("one")["e_tag"]
    buffer[:] = b"other"
    same = store.head("one")["e_tag"] == tag
    print(f"{type(store).__name__}: {bytes(store.get('one').bytes())}, the ETag is {'as before' if same else 'new'}")
PYTHON
"$work/venv/bin/python" "$work/alias.py" "$work" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
MemoryStore: b'other', the ETag is as before
LocalStore: b'first', the ETag is as before
SEEN
