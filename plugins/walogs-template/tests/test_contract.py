from __future__ import annotations

from walogs.testing import CodecContract
from walogs_template.codec import TemplateCodec


class TestTemplateCodec(CodecContract):
    def codec(self) -> TemplateCodec:
        return TemplateCodec(by=200)
