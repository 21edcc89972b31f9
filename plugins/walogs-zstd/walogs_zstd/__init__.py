"""`zstd`, a codec for walogs: bodies compressed by Zstandard, never larger than they are and one byte."""

from walogs_zstd.codec import ZstdCodec
from walogs_zstd.options import ZstdOptions

__all__ = ["ZstdCodec", "ZstdOptions"]
