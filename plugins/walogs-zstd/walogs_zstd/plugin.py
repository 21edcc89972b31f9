"""What walogs asks for when the name `zstd` is used. Loads no compressor."""

from __future__ import annotations

import walogs


@walogs.hookimpl
def walogs_codecs() -> list[walogs.CodecSpec]:
    return [
        walogs.CodecSpec(
            "zstd",
            factory="walogs_zstd.codec:ZstdCodec",
            options="walogs_zstd.options:ZstdOptions",
            summary="Compressed by Zstandard, checked by CRC-32",
        )
    ]
