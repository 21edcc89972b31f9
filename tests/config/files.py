"""Configuration files for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import walogs
from walogs import registry
from walogs.config_file import Examined, examine


def written(directory: Path, text: str, name: str = "walogs.toml") -> Path:
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """Every mistake, without the file's directory."""
    return [str(mistake).replace(f"{file.parent}/", "") for mistake in examined(file, environ).mistakes]


def examined(file: Path, environ: Mapping[str, str] | None = None) -> Examined:
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
    known = {of: registry.names(of) for of in ("store", "codec", "sync")}
    built_in = registry.factory, registry.options

    def asked(index: int, of: str, wanted: str) -> Any:
        return (factory, options)[index] if (of, wanted) == (kind, name) else built_in[index](of, wanted)

    patch.setattr(registry, "factory", lambda of, wanted: asked(0, of, wanted))
    patch.setattr(registry, "options", lambda of, wanted: asked(1, of, wanted))
    patch.setattr(registry, "names", lambda of: (*known[of], name) if of == kind else known[of])


def refused(file: Path, **keywords: Any) -> walogs.ConfigError:
    with pytest.raises(walogs.ConfigError) as error:
        walogs.load_config(file, **keywords)
    return error.value
