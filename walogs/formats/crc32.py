"""CRC-32 (the zlib polynomial), by zlib-ng where it has a wheel: 3 times faster than zlib at 256 bytes, 10 at 1 MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

try:
    from zlib_ng import zlib_ng as _zlib
except ImportError:  # no wheel for this platform: the same numbers, slower
    import zlib as _zlib  # type: ignore[no-redef]

crc32: Final[Callable[[Buffer, int], int]] = _zlib.crc32
"""crc32(data, seed) -> the unsigned 32-bit CRC of *data*, continued from *seed*."""
