#!/usr/bin/env bash
# lmdb 3.0.0 (LMDB 0.9.36): Environment.copy() returns while nothing of the copy is on the disk.
#
# Expected: a "consistent copy of the environment", which is what a backup is made with, is durable when the call returns,
# as what the environment itself commits is.
# Seen: the file is written and closed; neither it nor its directory is synced, with compact=True or without.
# It matters to whoever removes old data, or the database, once the copy has been made: for half a minute or so a power
# cut leaves neither.
#
# Needs strace (Debian: apt-get install strace).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v strace >/dev/null || { echo "strace is missing"; exit 2; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check lmdb==3.0.0

cat >"$work/copy.py" <<'PYTHON'
import os
import sys

import lmdb

env = lmdb.open(f"{sys.argv[1]}/db")
with env.begin(write=True) as transaction:
    transaction.put(b"key", b"value")
for name, compact in (("whole", False), ("compact", True)):
    os.mkdir(f"{sys.argv[1]}/{name}")
    env.copy(f"{sys.argv[1]}/{name}", compact=compact)
    with lmdb.open(f"{sys.argv[1]}/{name}", readonly=True, lock=False) as copy, copy.begin() as reading:
        print(name, "holds", reading.get(b"key"))
PYTHON
strace -f -y -o "$work/trace" -e trace=fsync,fdatasync,sync,syncfs,sync_file_range,write \
    "$work/venv/bin/python" -B "$work/copy.py" "$work" >"$work/seen"

for copy in whole compact; do
    echo "$copy: $(grep --count "write(.*/$copy/data.mdb" "$work/trace" | sed 's/[1-9][0-9]*/some/') writes," \
        "$(grep --count --extended-regexp "sync[a-z_]*\(.*/$copy" "$work/trace" || true) syncs"
done >>"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
whole holds b'value'
compact holds b'value'
whole: some writes, 0 syncs
compact: some writes, 0 syncs
SEEN
