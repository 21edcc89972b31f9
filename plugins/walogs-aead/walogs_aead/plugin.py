"""What walogs asks for when the name `aead` is used. Loads no cryptography."""

from __future__ import annotations

import walogs


@walogs.hookimpl
def walogs_codecs() -> list[walogs.CodecSpec]:
    return [
        walogs.CodecSpec(
            "aead",
            factory="walogs_aead.codec:AeadCodec",
            options="walogs_aead.options:AeadOptions",
            summary="Encrypted and authenticated, checked by CRC-32",
        )
    ]
