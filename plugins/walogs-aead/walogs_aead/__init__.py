"""`aead`, a codec for walogs: it encrypts each body and binds it to the frame that it was encrypted for."""

from walogs_aead.codec import AeadCodec
from walogs_aead.errors import MissingKey, WrongKey
from walogs_aead.options import AeadOptions

__all__ = ["AeadCodec", "AeadOptions", "MissingKey", "WrongKey"]
