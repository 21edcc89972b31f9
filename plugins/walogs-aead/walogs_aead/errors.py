"""What keys can have against a body. Of an altered one `walogs.Corrupt` is raised."""

from __future__ import annotations

from walogs import WalError


class MissingKey(WalError):
    """There is no usable key of that id, and so nothing is read or written. The log itself is as it was."""

    def __init__(self, message: str, *, key_id: str = "") -> None:
        super().__init__(message)
        self.key_id = key_id


class WrongKey(WalError):
    """The key of that id is not the one that the entries were encrypted with. The log itself is as it was."""

    def __init__(self, message: str, *, key_id: str = "", segment: int = 0, offset: int = 0, lsn: int = 0) -> None:
        super().__init__(message)
        self.key_id = key_id
        self.segment = segment
        self.offset = offset
        self.lsn = lsn
        """The first of the entries."""


__all__ = ["MissingKey", "WrongKey"]
