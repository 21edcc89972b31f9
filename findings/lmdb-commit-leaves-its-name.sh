#!/usr/bin/env bash
# lmdb 3.0.0 (LMDB 0.9.36): a durable commit into a new database syncs the file and never the directory that names it.
#
# Expected: with the defaults (sync=True, metasync=True) a commit that has returned survives a power cut, the first one
# included; and sync(True), "force a synchronous flush", leaves nothing to be flushed.
# Seen: the data file and the directory of the database are made, the file is synced by each of the two calls (and its
# meta page written through a descriptor with O_DSYNC), and no directory is synced. POSIX
# promises a new name only after its directory was synced (fsync(2) says so too); many file systems do more than that.
# It matters to whoever makes a database per tenant or per day, and acknowledges its first entry.
#
# Needs strace (Debian: apt-get install strace).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v strace >/dev/null || { echo "strace is missing"; exit 2; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check lmdb==3.0.0

cat >"$work/commit.py" <<'PYTHON'
import sys

import lmdb

env = lmdb.open(sys.argv[1])
with env.begin(write=True) as transaction:
    transaction.put(b"key", b"value")
env.sync(True)
env.close()
PYTHON
strace -f -y -o "$work/trace" -e trace=fsync,fdatasync,sync,syncfs,sync_file_range,mkdir \
    "$work/venv/bin/python" -B "$work/commit.py" "$work/new.db"

{
    grep --count 'mkdir(".*new\.db"' "$work/trace"
    grep --only-matching --extended-regexp '(sync|datasync)[a-z_]*\(.*' "$work/trace" |
        sed --regexp-extended 's/\([0-9]+<.*\/(new\.db[^>]*)>.*/ \1/'
} >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
1
datasync new.db/data.mdb
datasync new.db/data.mdb
SEEN
