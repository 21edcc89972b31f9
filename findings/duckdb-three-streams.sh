#!/usr/bin/env bash
# duckdb 2.0.1: one query of a Python object with __arrow_c_stream__ asks that object for three streams.
#
# Expected: one stream, which has the schema as well as the rows.
# Seen: two of the three are asked for nothing but their schema. A join of the object with itself asks for a fourth.
# It matters to an object whose stream costs something to begin (a query of a server, a decompressor), or can be read once
# only: the work is done for each stream, or the rows are gone before the query begins.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1

cat >"$work/query.py" <<'PYTHON'
import duckdb
import pyarrow

schema = pyarrow.schema({"number": pyarrow.int64()})


class Source:
    streams = read = 0

    def __arrow_c_stream__(self, requested_schema=None):
        self.streams += 1

        def batches():
            self.read += 1
            yield pyarrow.record_batch([pyarrow.array([1, 2, 3])], schema=schema)

        reader = pyarrow.RecordBatchReader.from_batches(schema, batches())
        return reader.__arrow_c_stream__(requested_schema)


for query in ("SELECT sum(number) FROM source", "SELECT count(*) FROM source JOIN source AS other USING (number)"):
    source = Source()
    print(query, duckdb.sql(query).fetchall(), f"{source.streams} streams, {source.read} read")
PYTHON
"$work/venv/bin/python" "$work/query.py" >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
SELECT sum(number) FROM source [(6,)] 3 streams, 1 read
SELECT count(*) FROM source JOIN source AS other USING (number) [(3,)] 4 streams, 1 read
SEEN
