#!/usr/bin/env bash
# polars 2.1.0: the lazy frame of scan_arrow_c_stream() has rows only once. Collected again, it is empty, without an error.
#
# Expected: a lazy frame is a description that can be collected as often as one likes, as that of scan_parquet() is. The
# object that is given can be asked for a new stream each time, as pyarrow.Table does here; if the frame cannot do that,
# its second use raises an error.
# Seen: the object is asked for one stream, when the frame is made. The first collect() reads it to its end, and each later
# one returns a frame with the right columns and no rows.
# It matters to everybody who counts first and then sums, or shows head() before the query: the query is over nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1

cat >"$work/scan.py" <<'PYTHON'
import warnings

import polars
import pyarrow

warnings.simplefilter("ignore")  # the function is marked as unstable
table = pyarrow.table({"number": [1, 2, 3]})


class Source:
    streams = 0

    def __arrow_c_stream__(self, requested_schema=None):
        self.streams += 1
        return table.__arrow_c_stream__(requested_schema)


source = Source()
frame = polars.scan_arrow_c_stream(source)
print("first: ", frame.select(polars.len(), polars.col("number").sum()).collect().row(0))
print("second:", frame.select(polars.len(), polars.col("number").sum()).collect().row(0))
print("streams that the object was asked for:", source.streams)
PYTHON
"$work/venv/bin/python" "$work/scan.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
first:  (3, 6)
second: (0, 0)
streams that the object was asked for: 1
SEEN
