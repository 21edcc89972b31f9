"""The methods that a subclass of a codec's contract provides: one factory, and optional keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from walogs.errors import WalError
from walogs.protocols import authenticates
from walogs.testing.contract import Contract, NotOffered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from walogs.protocols import Codec

__all__ = ["CodecMethods"]


class CodecMethods(Contract):
    """The base of all checks of a codec. A subclass must define `codec`.

    Every other method is optional. The checks that need a method which the subclass does not define are skipped.
    """

    refusals: ClassVar[tuple[type[Exception], ...]] = (ValueError, WalError)
    """The only errors that `decode` raises for bytes that it did not encode."""

    bomb_bytes: ClassVar[int] = 64 << 20
    """The size in bytes of a body that `decode` must refuse before it allocates it. It is well above 12 MiB."""

    def codec(self) -> Codec:
        """Return a new codec object. Each call gives it the same parameters and the same key."""
        raise NotImplementedError(f"{type(self).__name__}.codec(): the one method that every contract needs")

    def without_key(self) -> Codec:
        """Return the same codec with another key or with none, as `verify` and recovery may have it."""
        raise NotOffered("needs without_key(): the same codec with another key")

    def make_with(self, parameters: Mapping[str, object]) -> Codec:
        """Return the codec that its factory makes with these options. A codec with `with_parameters` does not need
        this.

        Override it if the factory is not the codec's class.
        """
        return type(self.codec())(**parameters)

    def secrets(self) -> Iterable[bytes]:
        """Return the codec's keys, which its name, its parameters and its `repr` must not contain."""
        raise NotOffered("needs secrets(): the keys, to be looked for")

    @property
    def authenticates(self) -> bool:
        """Whether the codec declares that a frame decodes only at the place for which it was encoded."""
        return authenticates(self.codec())

    @property
    def encrypts(self) -> bool:
        """Whether the codec declares that the stored bytes reveal nothing of the body but its size."""
        return bool(getattr(self.codec(), "encrypts", False))
