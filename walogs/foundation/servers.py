"""The options that stores behind a network have in common, and their checks."""

from __future__ import annotations

from typing import Final

from walogs.foundation.lazy import lazy_import

DEADLINE_SECONDS: Final = 60.0
"""How many seconds a call of a store behind a network may take, if its options do not say. It includes all attempts."""
DEADLINE_SECONDS_MAX: Final = 3600.0


def check_deadline(seconds: object) -> None:
    """Raise `ValueError` unless *seconds* is a number above 0, and an hour at most."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (is_number and 0 < seconds <= DEADLINE_SECONDS_MAX):  # type: ignore[operator]
        raise ValueError(f"deadline={seconds!r}: seconds, more than 0 and up to {DEADLINE_SECONDS_MAX:.0f}")


def is_server_address(text: object) -> bool:
    """Return whether *text* is `http://` or `https://`, a host and a port at most.

    A path, a query or credentials are no part of it.
    """
    if not isinstance(text, str):
        return False
    with lazy_import:
        from urllib.parse import urlsplit
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not has_more
