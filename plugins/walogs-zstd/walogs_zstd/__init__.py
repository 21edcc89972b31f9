"""`zstd`, a codec for walogs: it compresses bodies with Zstandard, and adds at most one byte to a body."""

from walogs_zstd.codec import ZstdCodec
from walogs_zstd.options import ZstdOptions

__all__ = ["ZstdCodec", "ZstdOptions"]
