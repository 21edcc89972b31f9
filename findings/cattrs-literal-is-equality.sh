#!/usr/bin/env bash
# cattrs 26.2.1: a value is a member of a Literal if it is equal to one, and the value itself is handed out.
#
# Expected: True and 1.0 are refused where Literal[1, 2] is read, or become 1: the type says which objects there can be.
# Seen: both are taken as they are, so that what was read as Literal[1, 2] is a bool or a float. A type checker believes
# otherwise. Only text is refused.
# It matters where JSON or TOML says true and a program writes the value on, or takes it for an index.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cattrs==26.2.1 attrs==26.1.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
from typing import Literal

import cattrs

for given in (1, True, 1.0, "1"):
    try:
        print(repr(given), "->", repr(cattrs.structure(given, Literal[1, 2])))
    except Exception as error:
        print(repr(given), "->", type(error).__name__)
PYTHON

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
1 -> 1
True -> True
1.0 -> 1.0
'1' -> CattrsError
SEEN
