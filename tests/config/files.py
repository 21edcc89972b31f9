"""Configuration files for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import walogs
from walogs.assembly import registry
from walogs.config_file.file import CheckedFile, examine


def written(directory: Path, text: str, name: str = "walogs.toml") -> Path:
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """Every problem, without the file's directory."""
    return [str(problem).replace(f"{file.parent}/", "") for problem in examined(file, environ).problems]


def examined(file: Path, environ: Mapping[str, str] | None = None) -> CheckedFile:
    return examine(file, {} if environ is None else environ)


@dataclass(frozen=True)
class PressOptions:
    """Options of a codec that a test brings along."""

    level: int = 3
    Threads: int = 1
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 9:
            raise ValueError(f"level={self.level}: 0 to 9")


def install(patch: pytest.MonkeyPatch, kind: str, name: str, factory: Any, options: type | None = None) -> None:
    """A component, as if a plugin had brought it."""
    before = registry.current

    class Installed(registry.Registry):
        def factory(self, of: Any, wanted: str) -> Any:
            return factory if (of, wanted) == (kind, name) else before.factory(of, wanted)

        def options(self, of: Any, wanted: str) -> Any:
            return options if (of, wanted) == (kind, name) else before.options(of, wanted)

        def names(self, of: Any) -> tuple[str, ...]:
            return (*before.names(of), name) if of == kind else before.names(of)

    patch.setattr(registry, "current", Installed())


def refused(file: Path, **keywords: Any) -> walogs.ConfigError:
    with pytest.raises(walogs.ConfigError) as error:
        walogs.load_config(file, **keywords)
    return error.value
