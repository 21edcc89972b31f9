"""The address of a log in object storage: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from obstore.store import AzureStore, GCSStore, S3Store

from walogs_object_store.failures import translate_configuration

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

    from walogs_object_store.options import ObjectStoreOptions

ADDRESS: Final = re.compile(
    r"(?P<scheme>s3|gs|az)://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]+)/(?P<prefix>[^/].*[^/]|[^/])/?"
)
FORM: Final = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
PREFIX: Final = re.compile(r"[\w.=+-]+(/[\w.=+-]+)*", re.ASCII)
RETRIES: Final = {"max_retries": 0}
"""No attempts of obstore's own: its second attempt can meet the object of its first, and would report that another
writer has created it. The store tries again itself, and the engine reads the object before it believes that."""
CONNECT_SECONDS: Final = 5
ATTEMPTS: Final = 3
"""One attempt may take the deadline divided by this, so that a server that hangs is asked again in time."""


def refuse_address(path: object) -> ValueError:
    why = "The prefix is needed, because a log shares it with nothing"
    return ValueError(f"path={path!r}: the address of a log, as {FORM}. {why}")


def connect(path: object, options: ObjectStoreOptions) -> tuple[str, Client]:
    """Return the name of the log in messages, and the client of its objects. Nothing is sent yet.

    Credentials come from the environment, as the providers' own tools take them. Raises `ValueError`.
    """
    found = ADDRESS.fullmatch(path) if isinstance(path, str) else None
    if found is None or not is_prefix(found["prefix"]):
        raise refuse_address(path)
    scheme, bucket, prefix = found["scheme"], found["bucket"], found["prefix"]
    with translate_configuration(str(path)):
        client = make_client(scheme, bucket, prefix, options)
    return f"{scheme}://{bucket}/{prefix}", client


def is_prefix(prefix: str) -> bool:
    """Return whether all keys below the prefix mean the same to every client and every server."""
    return PREFIX.fullmatch(prefix) is not None and not {".", ".."} & {*prefix.split("/")}


def is_unencrypted(endpoint: str | None) -> bool:
    """Return whether the address of the server, which the environment can also name, is plain http."""
    named = (endpoint, os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_ENDPOINT"))
    return next((address for address in named if address), "").startswith("http://")


def make_client(scheme: str, bucket: str, prefix: str, options: ObjectStoreOptions) -> Client:
    seconds = f"{max(options.deadline / ATTEMPTS, 1.0):.0f}s"
    shared: dict[str, Any] = {
        "prefix": prefix,
        "retry_config": RETRIES,
        "client_options": {
            "timeout": seconds,
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "allow_http": is_unencrypted(options.endpoint),
        },
    }
    named: dict[str, Any] = {} if options.endpoint is None else {"endpoint": options.endpoint}
    if scheme == "s3":
        if options.endpoint is not None:
            named["virtual_hosted_style_request"] = False
        if options.region is not None:
            named["region"] = options.region
        return S3Store(bucket, **named, **shared)
    if options.region is not None:
        raise ValueError(f"region={options.region!r}: only a bucket of S3 has one")
    if scheme == "az":
        return AzureStore(bucket, **named, **shared)
    if named:
        raise ValueError(f"endpoint={options.endpoint!r}: not for gs://")
    return GCSStore(bucket, **shared)
