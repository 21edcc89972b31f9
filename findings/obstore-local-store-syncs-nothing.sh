#!/usr/bin/env bash
# obstore 0.12.1: LocalStore's put() returns while nothing of the object is on the disk, and no option changes that.
#
# Expected: an object that was put is durable, as it is in every other store of this library; or there is an option for it.
# Seen: the content is written into a file that is then renamed or linked. Neither the file nor its directory is synced.
# It matters to programs that are written for S3 and use LocalStore on a single machine: a power cut leaves out objects
# whose put succeeded, or leaves empty ones under the right name.
#
# Needs strace (Debian: apt-get install strace).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v strace >/dev/null || { echo "strace is missing"; exit 2; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1

cat >"$work/put.py" <<'PYTHON'
import sys

from obstore.store import LocalStore

store = LocalStore(sys.argv[1], mkdir=True)
for mode in ("create", "overwrite"):
    store.put(mode, b"content", mode=mode)
    print(mode, "holds", bytes(store.get(mode).bytes()))
PYTHON
strace -f -y -o "$work/trace" -e trace=fsync,fdatasync,sync,syncfs,sync_file_range,write,rename,renameat,renameat2,link,linkat \
    "$work/venv/bin/python" -B "$work/put.py" "$work/objects" >"$work/seen"

echo "$(grep --count 'write(.*/objects/.*content' "$work/trace") writes," \
    "$(grep --count --extended-regexp '(link|rename)[a-z0-9]*\(.*/objects/' "$work/trace") renames and links," \
    "$(grep --count --extended-regexp 'sync[a-z_]*\(.*/objects' "$work/trace" || true) syncs" >>"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
create holds b'content'
overwrite holds b'content'
2 writes, 2 renames and links, 0 syncs
SEEN
