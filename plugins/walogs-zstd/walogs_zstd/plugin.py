"""The registration of the codec `zstd`. Importing this module loads no compressor."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_codecs() -> list[walogs.plugins.CodecSpec]:
    return [
        walogs.plugins.CodecSpec(
            "zstd",
            factory="walogs_zstd.codec:ZstdCodec",
            options="walogs_zstd.options:ZstdOptions",
            summary="Compressed by Zstandard, checked by CRC-32",
        )
    ]
