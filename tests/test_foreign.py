"""Objects of other authors that cannot be printed. Messages about them are whole all the same."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import walogs
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.foundation.foreign import describe, describe_error, error_text, type_name
from walogs.testing import CodecContract, MemoryDisk, MemoryStore, SyncPolicyContract, conform


class UntoldError(OSError):
    """An error whose `__str__` fails, as one of a driver may."""

    def __str__(self) -> str:
        raise ZeroDivisionError("in __str__")

    __repr__ = __str__


class Cancelled(BaseException):
    """A `BaseException` that only its own library knows."""


class Nameless(type):
    __name__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class Odd(Exception, metaclass=Nameless):
    """An error whose type has no readable name."""


class Interrupted(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Text(str):
    __slots__ = ()

    def __format__(self, spec: str) -> str:
        raise ZeroDivisionError("in __format__")


class Derived(Exception):
    def __str__(self) -> str:
        return Text("derived")


def test_text_that_cannot_be_had_is_told_as_such() -> None:
    untold = UntoldError()
    assert error_text(untold) == "<UntoldError with no text: it raised ZeroDivisionError>"
    assert describe(untold) == "<UntoldError with no repr: it raised ZeroDivisionError>"
    assert describe_error(untold) == f"UntoldError: {error_text(untold)}"
    assert type_name(Odd()) == "Odd"
    assert type(error_text(Derived())) is str
    assert describe_error(KeyError("a")) == "KeyError: 'a'"
    assert describe_error(Cancelled()) == "Cancelled"
    with pytest.raises(KeyboardInterrupt):
        error_text(Interrupted())


class Failing(MemoryStore):
    """A store whose device fails from the next sync on, with an error that cannot be printed."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk, laws=False)
        self.is_failing = False

    def sync(self, number: int, kind: Any) -> None:
        if self.is_failing:
            raise UntoldError
        super().sync(number, kind)


@pytest.mark.guarantee("G7", "G8")
def test_a_failure_of_a_store_is_indefinite_and_poisons_whatever_its_error_says_of_itself() -> None:
    store = Failing(MemoryDisk())
    wal = walogs.open(store=store)
    store.is_failing = True
    with pytest.raises(walogs.OutcomeUnknown, match="UntoldError"):
        wal.append(b"one")
    with pytest.raises(walogs.Poisoned, match="UntoldError"):
        wal.append(b"two")
    wal.close()


def test_salvage_goes_on_behind_a_commit_that_a_codec_refuses_without_text() -> None:
    class Unreadable(walogs.Corrupt):
        def __str__(self) -> str:
            raise ZeroDivisionError

    class Refusing(Crc32Codec):
        name = "refusing"
        identity = False

        def decode(self, stored: Any, frame: Any) -> bytes:
            if frame.first_lsn == 2:
                raise Unreadable("")
            return super().decode(stored, frame)

    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), codec=Refusing()) as wal:
        for entry in (b"one", b"two", b"three"):
            wal.append(entry)
    one, gap, three = walogs.salvage(store=MemoryStore(disk), codec=Refusing())
    assert (one, three) == ((1, b"one"), (3, b"three"))
    assert isinstance(gap, walogs.Gap)
    assert (gap.first_lsn, gap.last_lsn) == (2, 2)
    assert "Unreadable with no text" in gap.why


def test_an_observer_without_text_is_complained_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Observer:
        def __repr__(self) -> str:
            raise ZeroDivisionError

        def __call__(self, event: walogs.events.Event) -> None:
            raise UntoldError

    with caplog.at_level(logging.ERROR, "walogs"), walogs.open(tmp_path / "log", observers=[Observer()]) as wal:
        assert wal.append(b"one") == 1
    (record,) = caplog.records
    assert "<Observer with no repr" in record.getMessage()


class Mute:
    """A wrong value that cannot be printed."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("key", ["store", "codec", "sync", "max_entry_size", "recovery", "observers"])
def test_a_wrong_value_without_text_is_a_mistake_of_the_configuration(key: str, tmp_path: Path) -> None:
    given = [Mute()] if key == "observers" else Mute()
    path = None if key == "store" else tmp_path / "log"
    with pytest.raises(walogs.ConfigError, match=rf"{key}=.*Mute with no repr"):
        walogs.open(path, **{key: given})  # type: ignore[arg-type]
    assert not (tmp_path / "log").exists()


def test_a_path_without_text_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(walogs.ConfigError, match="path=<Mute with no repr"):
        walogs.open(Mute())  # type: ignore[arg-type]


# Contracts


class Cancelling(walogs.IntervalPolicy):
    def decide(self, *given: Any, **options: Any) -> Any:
        raise Cancelled

    def __repr__(self) -> str:
        raise ZeroDivisionError


class UntoldCodec(Crc32Codec):
    def encode(self, *given: Any, **options: Any) -> Any:
        raise UntoldError

    def check(self, *given: Any, **options: Any) -> Any:
        return Mute()


def test_a_contract_holds_a_component_whose_errors_cannot_be_told() -> None:
    class Policies(SyncPolicyContract):
        def policy(self) -> Any:
            return Cancelling()

    class Codecs(CodecContract):
        def codec(self) -> Any:
            return UntoldCodec()

    for contract, phrase in ((Policies(), "Cancelled"), (Codecs(), "Untold")):
        outcomes = list(conform(contract))
        assert [outcome.check for outcome in outcomes] != []
        assert any(phrase in outcome.why for outcome in outcomes if outcome.result == "failed")
