"""A component of a plugin is chosen by its name, and only what is needed is loaded."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

import walogs
from tests.plugins.site import CODEC, Site, codecs
from walogs import ConfigError, PluginError
from walogs.assembly import registry
from walogs.assembly.entry_points import DeclaredPlugin
from walogs.assembly.registry import BUILT_IN
from walogs.plugins import CodecSpec, CommandSpec, ObserverSpec, StoreSpec, SyncPolicySpec

# A name that is given


def test_a_component_of_a_plugin_is_chosen_by_its_name(site: Site) -> None:
    names = site.rot1().registry()
    spec = CodecSpec("rot1", "rot1_codec:Codec", summary="For legionaries")
    assert names.spec("codec", "rot1") == spec
    assert names.names("codec") == ("crc32", "rot1")
    assert names.factory("codec", "rot1").__module__ == "rot1_codec"
    assert names.make("codec", "rot1").parameters() == {"by": 1}
    (plugin,) = names.all_plugins()
    assert (plugin.declared.distribution, plugin.declared.version, plugin.declared.entry_point) == (
        "walogs-rot1",
        "1.0",
        "rot1",
    )
    assert (plugin.components, plugin.problems) == ((("codec", spec),), ())


OPTIONS = """
from dataclasses import dataclass
import walogs
from walogs.defaults.crc32_codec import Crc32Codec

@dataclass
class Options:
    by: int = 1

class Codec(Crc32Codec):
    name = "another"
    def __init__(self, by):
        if by == 2:
            raise RuntimeError("no entropy")
        if by == 3:
            raise TypeError("no such shift")

@walogs.plugins.hookimpl
def walogs_codecs():
    return [walogs.plugins.CodecSpec("shift", "walogs_shift:Codec", "walogs_shift:Options")]
"""


@pytest.mark.parametrize(
    ("by", "phrase"),
    [(1, "the codec made calls itself 'another'"), (2, "RuntimeError: no entropy"), (3, "TypeError: no such shift")],
)
def test_what_a_plugin_makes_wrongly_is_refused_from_a_file_as_from_open(
    by: int, phrase: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = site.add("walogs-shift", {"shift": "walogs_shift"}, walogs_shift=OPTIONS).registry()
    monkeypatch.setattr(registry, "current", names)
    file = tmp_path / "walogs.toml"
    file.write_text(f'[log.a]\npath = "a"\ncodec = {{ use = "shift", by = {by} }}\n')
    with pytest.raises(walogs.PluginError, match="walogs-shift") as error:
        walogs.open_config(file, log="a")
    assert phrase in str(error.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("store", ["directory", "memory"])
def test_a_log_written_with_a_plugins_codec_reopens_and_goes_on(
    store: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "current", site.rot1().registry())
    from walogs.testing import MemoryDisk, MemoryStore

    disk = MemoryDisk()

    def opened(codec: str) -> walogs.Wal:
        if store == "directory":
            return walogs.open(tmp_path / "x.wal", codec=codec)
        return walogs.open(store=MemoryStore(disk), codec=codec)

    for number in range(1, 4):
        with opened("rot1") as wal:
            assert [data for _, data in wal] == [b"HAL"] * (number - 1)
            assert wal.append(b"HAL") == number
    if store == "directory":
        assert b"IBM" in b"".join(path.read_bytes() for path in (tmp_path / "x.wal").glob("wal-*"))
        with walogs.reader(tmp_path / "x.wal", codec="rot1") as reader:
            assert list(reader) == [(1, b"HAL"), (2, b"HAL"), (3, b"HAL")]
    with pytest.raises(walogs.UnsupportedFormat, match="rot1"):
        opened("crc32")


def test_every_kind_is_asked_by_its_own_hook(site: Site) -> None:
    site.add(
        "walogs-all",
        {"all": "walogs_all"},
        walogs_all="""
            import walogs
            @walogs.plugins.hookimpl
            def walogs_stores(): return (walogs.plugins.StoreSpec("all", "m:Store", "m:Options"),)
            @walogs.plugins.hookimpl
            def walogs_codecs(): yield walogs.plugins.CodecSpec("all", "m:Codec.made")
            @walogs.plugins.hookimpl
            def walogs_sync_policies(): return {walogs.plugins.SyncPolicySpec("all", "m.n:Policy", api=1)}
            @walogs.plugins.hookimpl
            def walogs_commands(): return [walogs.plugins.CommandSpec("all", "m:command", summary="Says")]
            @walogs.plugins.hookimpl
            def walogs_observers(): return [walogs.plugins.ObserverSpec("all", "m:Watch")]
        """,
    )
    names = site.registry()
    assert names.spec("store", "all") == StoreSpec("all", "m:Store", "m:Options")
    assert names.spec("codec", "all") == CodecSpec("all", "m:Codec.made")
    assert names.spec("sync", "all") == SyncPolicySpec("all", "m.n:Policy")
    assert names.spec("command", "all") == CommandSpec("all", "m:command", summary="Says")
    assert names.spec("observer", "all") == ObserverSpec("all", "m:Watch")
    assert all(names.names(kind)[-1] == "all" for kind in BUILT_IN)


def test_an_observer_is_chosen_by_its_name(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(
        "walogs-seen",
        {"seen": "walogs_seen"},
        walogs_seen="""
            import walogs
            EVENTS = []
            def make():
                return EVENTS.append
            @walogs.plugins.hookimpl
            def walogs_observers(): return [walogs.plugins.ObserverSpec("seen", "walogs_seen:make")]
        """,
    )
    monkeypatch.setattr(registry, "current", site.registry())
    with walogs.open(tmp_path / "x.wal", observers=["seen"]) as wal:
        wal.append(b"x")
    events = sys.modules["walogs_seen"].EVENTS
    assert [type(event) for event in events] == [
        walogs.events.RecoveryEvent,
        walogs.events.SyncEvent,
        walogs.events.AppendEvent,
    ]
    with pytest.raises(walogs.ConfigError, match="no such observer"):
        walogs.open(tmp_path / "x.wal", observers=["unseen"])


def test_a_built_in_name_has_the_same_kind_of_record() -> None:
    for kind, table in BUILT_IN.items():
        for name in table:
            spec = registry.spec(kind, name)
            assert (spec.name, callable(registry.factory(kind, name))) == (name, True)


def test_a_plugin_may_be_an_object_in_a_module(site: Site) -> None:
    text = """
        import walogs
        class Plugin:
            @walogs.plugins.hookimpl
            def walogs_codecs(self): return [walogs.plugins.CodecSpec("mine", "m:Codec")]
        class Namespace: plugin = Plugin()
    """
    site.add("mine", {"mine": "mine:Namespace.plugin"}, mine=text)
    assert site.registry().spec("codec", "mine").factory == "m:Codec"


# Only what is needed is loaded


def test_only_what_can_give_the_name_is_imported(site: Site) -> None:
    site.rot1().add("other", {"other": "other_plugin"}, other_plugin=codecs("other"))
    names = site.registry()
    names.spec("codec", "rot1")
    assert ("walogs_rot1" in sys.modules, "rot1_codec" in sys.modules, "other_plugin" in sys.modules) == (
        True,
        False,
        False,
    )
    names.factory("codec", "rot1")
    assert ("rot1_codec" in sys.modules, "other_plugin" in sys.modules) == (True, False)


def test_listing_the_names_imports_no_component(site: Site) -> None:
    names = site.rot1().registry()
    assert names.names("codec") == ("crc32", "rot1")
    assert names.all_plugins()
    assert "rot1_codec" not in sys.modules


def test_an_entry_point_gives_its_own_name_and_those_that_begin_with_it(site: Site) -> None:
    module = codecs("acme", "acme-fast", "acme.small")
    site.add("acme", {"acme": "acme_plugin"}, acme_plugin=module)
    site.add("other", {"acm": "other_plugin", "acme-": "other_plugin"}, other_plugin="1 / 0")
    names = site.registry()
    for name in ("acme", "acme-fast", "acme.small"):
        assert names.spec("codec", name).name == name
    assert "other_plugin" not in sys.modules


def test_one_module_behind_two_entry_points_gives_each_its_own(site: Site) -> None:
    module = codecs("left", "right")
    site.add("both", {"left": "both_plugin", "right": "both_plugin"}, both_plugin=module)
    names = site.registry()
    assert [names.spec("codec", name).name for name in ("left", "right")] == ["left", "right"]
    assert names.names("codec") == ("crc32", "left", "right")
    assert [len(plugin.components) for plugin in names.all_plugins()] == [1, 1]


def test_what_was_found_is_not_looked_for_again(site: Site) -> None:
    site.rot1()
    looks = 0

    def find() -> list[DeclaredPlugin]:
        nonlocal looks
        looks += 1
        return site.found()

    names = registry.Registry(find, {})
    for _ in range(3):
        names.make("codec", "rot1")
    assert looks == 1


def test_what_is_installed_later_is_found(site: Site) -> None:
    names = site.registry()
    with pytest.raises(ConfigError):
        names.spec("codec", "rot1")
    site.rot1()
    assert names.spec("codec", "rot1")


def test_a_plugin_that_is_mended_is_found(site: Site) -> None:
    site.add("m", {"m": "m_plugin"}, m_plugin="import not_there_yet\n" + codecs("m"))
    names = site.registry()
    with pytest.raises(PluginError, match="not_there_yet"):
        names.spec("codec", "m")
    site.add("not-there-yet", "", not_there_yet="")
    assert names.spec("codec", "m")


# Names into objects


FACTORIES = """
    from dataclasses import dataclass
    from rot1_codec import Codec

    @dataclass
    class Options:
        by: int = 3

    @dataclass
    class Required:
        key: str

    def refusing(): raise ValueError("by=300: 0 to 255")
    def raising(): return {}["by"]
    def unreachable(): raise PermissionError(13, "no")
    def nothing(): return None
    def a_class(): return Codec
    def misnamed():
        made = Codec()
        made.name = "other"
        return made
    number = 3
"""


def with_factory(site: Site, factory: str, options: str | None = None) -> registry.Registry:
    module = codecs("rot1", factory=factory, options=options)
    return site.add("rot1", {"rot1": "rot1_plugin"}, rot1_plugin=module, rot1_codec=CODEC, made=FACTORIES).registry()


def test_the_factory_gets_the_fields_of_its_options(site: Site) -> None:
    names = with_factory(site, "made:Codec", "made:Options")
    options = names.options("codec", "rot1")
    assert names.make("codec", "rot1").parameters() == {"by": 3}
    assert names.make("codec", "rot1", options=options(by=7)).parameters() == {"by": 7}
    assert registry.options("codec", "crc32") is None


@pytest.mark.parametrize(
    ("factory", "options", "error", "said"),
    [
        ("made:refusing", None, ConfigError, "codec='rot1': by=300: 0 to 255"),
        ("made:Codec", "made:Required", ConfigError, "codec='rot1' needs options: .*'key'"),
        ("made:raising", None, PluginError, "making one raised KeyError: 'by'"),
        ("made:unreachable", None, PermissionError, "no"),
        ("made:nothing", None, PluginError, "its factory returned None, which lacks members of Codec"),
        ("made:a_class", None, PluginError, "lacks members of Codec"),
        ("made:misnamed", None, PluginError, "calls itself 'other'"),
        ("made:number", None, PluginError, "made:number cannot be called"),
        ("made:missing", None, PluginError, "importing made:missing raised AttributeError"),
        ("nowhere:Codec", None, PluginError, "importing nowhere:Codec raised ModuleNotFoundError"),
        ("made:Codec", "made:missing", PluginError, "importing made:missing raised AttributeError"),
    ],
)
def test_what_is_no_component_is_refused_before_anything_is_opened(
    factory: str,
    options: str | None,
    error: type[Exception],
    said: str,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "current", with_factory(site, factory, options))
    with pytest.raises(error, match=said):
        walogs.open(tmp_path / "x.wal", codec="rot1")
    assert not (tmp_path / "x.wal").exists()


def test_a_store_is_made_of_the_path(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(
        "elsewhere",
        {"elsewhere": "elsewhere"},
        elsewhere="""
            import walogs
            from walogs.defaults.local_store import LocalStore
            @walogs.plugins.hookimpl
            def walogs_stores(): return [walogs.plugins.StoreSpec("elsewhere", "elsewhere:store", "elsewhere:Options")]
            from dataclasses import dataclass
            @dataclass
            class Options: below: str = "deeper"
            def store(path, below): return LocalStore(path / below)
        """,
    )
    monkeypatch.setattr(registry, "current", site.registry())
    for lsn in (1, 2):
        with walogs.open(tmp_path / "x", store="elsewhere") as wal:
            assert wal.append(b"y") == lsn
    assert (tmp_path / "x" / "deeper" / "wal-000001.log").exists()


def test_the_error_crosses_processes_whole(site: Site) -> None:
    site.rot1().add("caesar", {"rot1": "caesar"}, caesar=codecs("rot1"))
    with pytest.raises(PluginError) as raised:
        site.registry().spec("codec", "rot1")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), vars(copy)) == (str(raised.value), vars(raised.value))
