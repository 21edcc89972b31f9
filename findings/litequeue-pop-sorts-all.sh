#!/usr/bin/env bash
# litequeue 0.9: a pop reads and sorts all messages that wait in the queue, and returns one of them.
#
# Expected: a pop finds the oldest message by an index, so that it costs the same whatever the length of the queue.
# Seen: the table has an index on the id and one on the status. SQLite uses the one on the status, which gives all that
# wait, and sorts them by their id. A pop of a queue of 8,000 takes ten times the steps of one of 800.
# It matters when consumers fall behind: the longer the queue is, the slower it is emptied. A queue of 200,000 was
# not empty after 14 minutes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litequeue==0.9

cat >"$work/pop.py" <<'PYTHON'
from litequeue import LiteQueue


def steps_of_pop(waiting: int) -> int:
    """Return how many instructions SQLite's machine takes for one pop, in tens."""
    queue, steps = LiteQueue(":memory:"), 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with queue.transaction():
        for number in range(waiting):
            queue.put(str(number))
    queue.conn.set_progress_handler(count, 10)
    assert queue.pop().data == "0"
    return steps


few, many = steps_of_pop(800), steps_of_pop(8000)
print("a pop takes more than 5 steps for each message that waits:", few * 10 > 5 * 800, many * 10 > 5 * 8000)
print("with ten times as many, it takes so many times the steps:", round(many / few))
PYTHON
"$work/venv/bin/python" "$work/pop.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
a pop takes more than 5 steps for each message that waits: True True
with ten times as many, it takes so many times the steps: 10
SEEN
