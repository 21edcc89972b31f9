"""Whatever a configuration file holds, it is read or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import walogs
from tests.config.files import examined, written
from walogs.assembly.config import KEYS

NAMES: Final = (
    "log a tool walogs path use local crc32 interval fsync none 5ms 64MiB ~ time bytes entries max-entry-size"
)


WORDS: Final = st.sampled_from(["", *NAMES.split(), *KEYS])


SCALARS: Final = (
    WORDS
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.integers(-2, 5)
    | st.floats()
    | st.booleans()
    | st.datetimes().map(lambda moment: moment.isoformat())
)


VALUES: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


COMPONENTS: Final = WORDS | st.dictionaries(
    st.sampled_from(["use", "time", "bytes", "entries", "x"]), VALUES, max_size=4
)


LOGS: Final = st.dictionaries(st.sampled_from([*KEYS, "path", "time"]), COMPONENTS | VALUES, max_size=6)


DOCUMENTS: Final = st.dictionaries(WORDS, LOGS | VALUES, max_size=3).map(lambda logs: {"log": logs}) | st.dictionaries(
    WORDS, VALUES, max_size=3
)


def as_toml(value: Any) -> str:
    """A TOML value."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            quoted = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
            return f'"{quoted}"'
        case dict():
            return "{" + ", ".join(f"{as_toml(key)} = {as_toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case _:
            return repr(value)


def loads_or_is_refused(directory: Path, text: str | bytes, name: str) -> None:
    """Either what `walogs.open` takes, or `ConfigError` with every problem naming the file; and the disk as it was."""
    file = directory / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        path, config = walogs.load_config(file, log="a")
    except walogs.ConfigError as error:
        told = error.problems
    else:
        assert path is not None
        assert isinstance(config, walogs.WalConfig)
        told = (f"{file}: none",)
    assert told
    assert all(problem.startswith(f"{file}: ") for problem in told)
    assert list(directory.iterdir()) == [file]
    file.unlink()


@example(document={"log": {"a": {"observers": [0, {}, {"use": 5}, ["otel"]]}}}, name="walogs.toml")
@given(document=DOCUMENTS, name=st.sampled_from(["walogs.toml", "pyproject.toml"]))
def test_no_document_raises_anything_else_or_changes_anything(
    document: dict[str, Any], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = document if name == "walogs.toml" else {"tool": {"walogs": document}}
    text = "".join(f"{as_toml(key)} = {as_toml(value)}\n" for key, value in table.items())
    loads_or_is_refused(tmp_path_factory.mktemp("config"), text, name)


@given(text=st.binary(max_size=60) | st.text(st.sampled_from("[]{}=.'\"log a\n#5\\-_"), max_size=40).map(str.encode))
def test_no_bytes_raise_anything_else_or_change_anything(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    loads_or_is_refused(tmp_path_factory.mktemp("config"), text, "walogs.toml")


VARIABLES: Final = st.dictionaries(
    st.text("ABUSEYNC_1TIM", max_size=12) | st.sampled_from(["A__SYNC", "A__SYNC__TIME", "A__PATH"]),
    st.text(st.characters(codec="utf-8"), max_size=8) | WORDS,
    max_size=4,
)


@given(variables=VARIABLES)
def test_no_variable_raises_anything_else(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = written(tmp_path_factory.mktemp("config"), '[log.a]\npath = "a"\nsync = "interval"\n')
    found = examined(file, {f"WALOGS_LOG__{name}": text for name, text in variables.items()})
    assert all(str(problem).startswith("environment: WALOGS_LOG__A") for problem in found.problems)
