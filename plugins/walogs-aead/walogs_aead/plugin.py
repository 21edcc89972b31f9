"""The registration of the codec `aead`. Importing this module loads no cryptography."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_codecs() -> list[walogs.plugins.CodecSpec]:
    return [
        walogs.plugins.CodecSpec(
            "aead",
            factory="walogs_aead.codec:AeadCodec",
            options="walogs_aead.options:AeadOptions",
            summary="Encrypted and authenticated",
        )
    ]
