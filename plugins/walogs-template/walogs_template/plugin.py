"""The registration of the codec `template`."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_codecs() -> list[walogs.plugins.CodecSpec]:
    return [
        walogs.plugins.CodecSpec(
            "template",
            factory="walogs_template.codec:TemplateCodec",
            options="walogs_template.codec:TemplateOptions",
            summary="Every byte shifted: to copy, and not to use",
        )
    ]
