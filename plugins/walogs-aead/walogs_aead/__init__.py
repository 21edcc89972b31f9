"""`aead`, a codec for walogs: bodies encrypted, and bound to the frame that they were encrypted for."""

from walogs_aead.codec import AeadCodec
from walogs_aead.errors import MissingKey, WrongKey
from walogs_aead.options import AeadOptions

__all__ = ["AeadCodec", "AeadOptions", "MissingKey", "WrongKey"]
