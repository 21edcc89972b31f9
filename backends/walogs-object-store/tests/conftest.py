"""A server of S3 for the tests that need one: moto, which is in the dependency group `remote`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from tests.kit import s3_server
from tests.kit.requirements import require
from walogs_object_store import ObjectStore

BUCKETS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of the server."""
    require("moto", find_spec("moto") is not None, "uv run --group remote pytest")
    with s3_server.moto() as port:
        yield port


@pytest.fixture
def proxy(server: int) -> Iterator[s3_server.Proxy]:
    """A way to the server on which faults can happen."""
    with s3_server.proxy(server) as made:
        yield made


@pytest.fixture
def address(server: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a log in a bucket of its own, for which the environment has the credentials."""
    for name, value in s3_server.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(BUCKETS)}"
    s3_server.make_bucket(server, bucket)
    return f"s3://{bucket}/logs/orders"


@pytest.fixture
def make(address: str, proxy: s3_server.Proxy) -> Callable[..., ObjectStore]:
    """Make a store object on that address, as another process would. A keyword is an option of the store."""

    def make_store(**options: object) -> ObjectStore:
        return ObjectStore(address, endpoint=f"http://127.0.0.1:{proxy.port}", **options)  # type: ignore[arg-type]

    return make_store
