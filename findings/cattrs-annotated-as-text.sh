#!/usr/bin/env bash
# cattrs 26.2.1: with `from __future__ import annotations`, a hook for Annotated types is never asked about a field.
#
# Expected: the two modules below differ in how Python keeps their annotations, and mean the same to cattrs, which
# resolves annotations that are text.
# Seen: in the second, the field is structured as a plain int; what annotates it has been dropped when the text was
# resolved. No message tells of it.
# It matters where the annotation holds a unit, a bound or a check: the import at the top of a file turns it off.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cattrs==26.2.1 attrs==26.1.0

cat >"$work/plain.py" <<'PYTHON'
from dataclasses import dataclass
from typing import Annotated


@dataclass
class Wait:
    time: Annotated[int, "milliseconds"]
PYTHON
{ echo "from __future__ import annotations"; cat "$work/plain.py"; } >"$work/text.py"

PYTHONPATH="$work" PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
from typing import Annotated, get_origin

import cattrs
import plain
import text

converter = cattrs.Converter()
converter.register_structure_hook_func(
    lambda wanted: get_origin(wanted) is Annotated, lambda value, wanted: f"{value} {wanted.__metadata__[0]}"
)
print("plain:", converter.structure({"time": 5}, plain.Wait).time)
print("text:", converter.structure({"time": 5}, text.Wait).time)
PYTHON

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
plain: 5 milliseconds
text: 5
SEEN
