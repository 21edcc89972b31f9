#!/usr/bin/env bash
# humanfriendly 10.0: a unit that parse_size does not know is taken for the unit that begins with the same letter.
#
# Expected: an error for a unit that is none of bytes.
# Seen: "10 parsecs" is 10 petabytes, "5 minutes" is 5 megabytes, and "2 knots" is 2 kilobytes.
# It matters where a size and a duration stand side by side in a configuration: a value in the wrong line is a limit of
# another magnitude, and no message tells of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check humanfriendly==10.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
from humanfriendly import InvalidSize, parse_size

for text in ("10 parsecs", "5 minutes", "2 knots", "3 weeks"):
    try:
        print(f"{text}: {parse_size(text):,}")
    except InvalidSize:
        print(f"{text}: refused")
PYTHON

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
10 parsecs: 10,000,000,000,000,000
5 minutes: 5,000,000
2 knots: 2,000
3 weeks: refused
SEEN
