#!/usr/bin/env bash
# plyvel 1.5.1 (LevelDB): a put with sync=True returns while the name of the log file that holds it is on no disk.
#
# Expected: a put with sync=True that has returned survives a power cut. RocksDB (rocksdict 0.3.29), which grew out of
# LevelDB, keeps it: the first sync of each log syncs its directory as well.
# Seen: when LevelDB goes on in a new log file, the next put syncs the file and returns; the directory is synced later, by
# the thread that writes the old entries into a table, together with the MANIFEST. Until then POSIX lets a power cut take
# the name, and the entries with it.
# It matters to whoever acknowledges what was put: the window comes again with each new log, every few megabytes.
#
# Needs strace (Debian: apt-get install strace).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v strace >/dev/null || { echo "strace is missing"; exit 2; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check plyvel==1.5.1 rocksdict==0.3.29

cat >"$work/level.py" <<'PYTHON'
import os
import sys

import plyvel

db = plyvel.DB(sys.argv[1], create_if_missing=True, write_buffer_size=1 << 16)
for number in range(200):
    db.put(b"%d" % number, os.urandom(1 << 13), sync=True)
    os.write(2, b"returned\n")
db.close()
PYTHON
cat >"$work/rocks.py" <<'PYTHON'
import os
import sys

from rocksdict import Options, Rdict, WriteOptions

options, synced = Options(), WriteOptions()
options.set_write_buffer_size(1 << 16)
synced.sync = True
db = Rdict(sys.argv[1], options)
for number in range(200):
    db.put(number, os.urandom(1 << 13), write_opt=synced)
    os.write(2, b"returned\n")
db.close()
PYTHON
cat >"$work/judge.py" <<'PYTHON'
import re
import sys

name, trace, db = sys.argv[1:]
logs = early = 0
is_named = True
for line in open(trace, errors="replace"):
    if re.search(r'openat\(.*\.log", .*O_CREAT', line):
        logs, is_named = logs + 1, False
    elif re.search(rf"fsync\(\d+<{re.escape(db)}>", line):
        is_named = True
    elif '"returned' in line and not is_named:
        early, is_named = early + 1, True  # each log counts once
print(name, "several logs" if logs > 5 else logs, "returned early:", "never" if not early else "yes")
PYTHON

for name in level rocks; do
    strace -f -y -o "$work/$name.trace" -e trace=openat,fsync,write "$work/venv/bin/python" -B "$work/$name.py" "$work/$name.db" 2>/dev/null
    "$work/venv/bin/python" "$work/judge.py" "$name" "$work/$name.trace" "$work/$name.db"
done >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
level several logs returned early: yes
rocks several logs returned early: never
SEEN
