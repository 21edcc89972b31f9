"""What walogs asks for when the name `template` is used."""

from __future__ import annotations

import walogs


@walogs.hookimpl
def walogs_codecs() -> list[walogs.CodecSpec]:
    return [
        walogs.CodecSpec(
            "template",
            factory="walogs_template.codec:TemplateCodec",
            options="walogs_template.codec:TemplateOptions",
            summary="Every byte shifted: to copy, and not to use",
        )
    ]
