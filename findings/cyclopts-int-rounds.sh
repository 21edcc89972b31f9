#!/usr/bin/env bash
# cyclopts 5.5.2: a parameter of type int takes a number with a fraction, and rounds it, halves to the even number.
#
# Expected: "1.6" is refused, as int("1.6") refuses it and as "1e3" is refused here.
# Seen: 1.6 becomes 2, and both 1.5 and 2.5 become 2. No message tells of it.
# It matters where the number says which record to begin with, or how many to delete.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cyclopts==5.5.2

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
from cyclopts import App, CycloptsError

app = App(result_action="return_value")


@app.default
def keep(count: int) -> int:
    return count


for text in ("2", "1.6", "1.5", "2.5", "-0.5", "1e3"):
    try:
        print(text, "->", app([text], exit_on_error=False, print_error=False))
    except CycloptsError as error:
        print(text, "->", type(error).__name__)
PYTHON

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
2 -> 2
1.6 -> 2
1.5 -> 2
2.5 -> 2
-0.5 -> 0
1e3 -> CoercionError
SEEN
