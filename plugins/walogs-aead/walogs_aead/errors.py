"""The errors of keys. For a body that was altered, the codec raises `walogs.Corrupt`."""

from __future__ import annotations

from walogs import WalError


class MissingKey(WalError):
    """There is no usable key of this id, so nothing was read or written. The log has not changed."""

    def __init__(self, message: str, *, key_id: str = "") -> None:
        super().__init__(message)
        self.key_id = key_id


class WrongKey(WalError):
    """The key of this id is not the key that encrypted the entries. The log has not changed."""

    def __init__(self, message: str, *, key_id: str = "", segment: int = 0, offset: int = 0, lsn: int = 0) -> None:
        super().__init__(message)
        self.key_id = key_id
        self.segment = segment
        self.offset = offset
        self.lsn = lsn
        """The LSN of the first entry of the frame; 0 if it is not known."""


__all__ = ["MissingKey", "WrongKey"]
