"""Distributions made of nothing but what an installer leaves behind: modules, METADATA and entry_points.txt."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Final

from walogs.assembly import entry_points
from walogs.assembly.entry_points import DeclaredPlugin
from walogs.assembly.registry import Registry

CODEC: Final = """
    import zlib

    class Codec:
        name, check_bytes, identity = "rot1", 4, False

        def __init__(self, by=1):
            self.by = by

        def parameters(self):
            return {"by": self.by}

        def encoded_bytes_max(self, body_bytes):
            return body_bytes

        def encode(self, body, frame):
            return bytes((byte + self.by) & 255 for byte in body)

        def decode(self, stored, frame):
            return bytes((byte - self.by) & 255 for byte in bytes(stored))

        def check(self, header, stored):
            return zlib.crc32(stored, int.from_bytes(header[-4:], "little")).to_bytes(4, "little")
"""
"""A codec named `rot1` that stores nothing as it was."""


def codecs(*names: str, factory: str = "nowhere:Codec", **fields: object) -> str:
    """The module of a plugin that gives codecs of these names."""
    more = "".join(f", {key}={value!r}" for key, value in fields.items())
    specs = ", ".join(f"walogs.plugins.CodecSpec({name!r}, {factory!r}{more})" for name in names)
    return f"import walogs\n\n@walogs.plugins.hookimpl\ndef walogs_codecs():\n    return [{specs}]\n"


class Site:
    """A directory on `sys.path`, and what was installed there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, points: Mapping[str, str] | str, version: str = "1.0", **modules: str) -> Site:
        """A distribution. *points*: entry point to target, or the text of entry_points.txt; *modules*: their text."""
        metadata = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if not isinstance(points, str):
            points = "[walogs]\n" + "".join(f"{point} = {target}\n" for point, target in points.items())
        (metadata / "entry_points.txt").write_text(points)
        for module, text in modules.items():
            (self.path / f"{module}.py").write_text(dedent(text))
        importlib.invalidate_caches()
        return self

    def rot1(self) -> Site:
        """A complete plugin: `codec="rot1"`."""
        module = codecs("rot1", factory="rot1_codec:Codec", summary="For legionaries")
        return self.add("walogs-rot1", {"rot1": "walogs_rot1"}, walogs_rot1=module, rot1_codec=CODEC)

    def found(self) -> list[DeclaredPlugin]:
        """What the metadata of this directory has, and no other's."""
        kept = sys.path[:]
        sys.path[:] = [str(self.path)]
        try:
            return entry_points.read_declared_plugins()
        finally:
            sys.path[:] = kept

    def registry(self, **environ: str) -> Registry:
        return Registry(self.found, environ)
