#!/usr/bin/env bash
# zstandard 0.25.0: of data that consists of two frames, half of the library's ways to decompress give the first alone.
#
# Expected: several frames, one after the other, are valid data (RFC 8878, section 3), so that every way gives all of it;
# or those that take one frame refuse more than one.
# Seen: decompress(), decompressobj(), read_to_iter() and stream_reader().read(SIZE) end after the first frame, without an
# error. copy_stream(), stream_writer(), open() and stream_reader().read() without a size give both. So one reader object
# ends at two places, depending on whether its caller named a size.
# It matters where frames are appended to a file: one way of reading it back drops all but the first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check zstandard==0.25.0

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import io

import zstandard

compress = zstandard.ZstdCompressor().compress
frames = compress(b"first ") + compress(b"second")


def fresh() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


copied, written = io.BytesIO(), io.BytesIO()
fresh().copy_stream(io.BytesIO(frames), copied)
fresh().stream_writer(written, closefd=False).write(frames)
print("decompress           ", fresh().decompress(frames))
print("decompressobj        ", fresh().decompressobj().decompress(frames))
print("read_to_iter         ", b"".join(fresh().read_to_iter(frames)))
print("stream_reader, sized ", fresh().stream_reader(io.BytesIO(frames)).read(1000))
print("stream_reader, all   ", fresh().stream_reader(io.BytesIO(frames)).read())
print("open                 ", zstandard.open(io.BytesIO(frames)).read())
print("copy_stream          ", copied.getvalue())
print("stream_writer        ", written.getvalue())
PYTHON

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
decompress            b'first '
decompressobj         b'first '
read_to_iter          b'first '
stream_reader, sized  b'first '
stream_reader, all    b'first second'
open                  b'first second'
copy_stream           b'first second'
stream_writer         b'first second'
SEEN
