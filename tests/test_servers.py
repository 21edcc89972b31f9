"""The options that stores behind a network share: the address of a server, and the deadline of a call."""

from __future__ import annotations

import pytest

from walogs.plugins import check_deadline, is_server_address


@pytest.mark.parametrize("address", ["http://host", "https://host:9000", "http://127.0.0.1:8222/", "http://[::1]:80"])
def test_a_scheme_a_host_and_a_port_are_an_address(address: str) -> None:
    assert is_server_address(address)


@pytest.mark.parametrize(
    "wrong",
    [
        "host:8222",
        "http://",
        "ftp://host",
        "http://host/path",
        "http://host?a=b",
        "http://host#part",
        "http://user:secret@host",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        None,
        8222,
        b"http://host",
    ],
)
def test_anything_more_or_less_is_none(wrong: object) -> None:
    assert not is_server_address(wrong)


@pytest.mark.parametrize("seconds", [0.001, 1, 60.0, 3600])
def test_a_deadline_up_to_an_hour_is_accepted(seconds: object) -> None:
    check_deadline(seconds)


@pytest.mark.parametrize("seconds", [0, -1.0, 3600.1, float("nan"), float("inf"), True, "60s", None])
def test_any_other_deadline_is_named_with_what_is_allowed(seconds: object) -> None:
    with pytest.raises(ValueError, match="more than 0 and up to 3600") as refused:
        check_deadline(seconds)
    assert str(refused.value).startswith(f"deadline={seconds!r}: seconds, ")
