"""A name becomes a component: the one that is installed under it, or an error that says what to do."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

import walogs
from tests.plugins.site import CODEC, Site, codecs
from walogs import (
    CodecSpec,
    CommandSpec,
    ConfigError,
    ObserverSpec,
    PluginError,
    StoreSpec,
    SyncPolicySpec,
    entry_points,
    registry,
)
from walogs.entry_points import Declared
from walogs.registry import BUILT_IN

# A name that is given


def test_a_component_of_a_plugin_is_chosen_by_its_name(site: Site) -> None:
    names = site.rot1().registry()
    spec = CodecSpec("rot1", "rot1_codec:Codec", summary="For legionaries")
    assert names.spec("codec", "rot1") == spec
    assert names.names("codec") == ("crc32", "rot1")
    assert names.factory("codec", "rot1").__module__ == "rot1_codec"
    assert names.made("codec", "rot1").parameters() == {"by": 1}
    (plugin,) = names.installed()
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

@walogs.hookimpl
def walogs_codecs():
    return [walogs.CodecSpec("shift", "walogs_shift:Codec", "walogs_shift:Options")]
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
            @walogs.hookimpl
            def walogs_stores(): return (walogs.StoreSpec("all", "m:Store", "m:Options"),)
            @walogs.hookimpl
            def walogs_codecs(): yield walogs.CodecSpec("all", "m:Codec.made")
            @walogs.hookimpl
            def walogs_sync_policies(): return {walogs.SyncPolicySpec("all", "m.n:Policy", api=1)}
            @walogs.hookimpl
            def walogs_commands(): return [walogs.CommandSpec("all", "m:command", summary="Says")]
            @walogs.hookimpl
            def walogs_observers(): return [walogs.ObserverSpec("all", "m:Watch")]
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
            @walogs.hookimpl
            def walogs_observers(): return [walogs.ObserverSpec("seen", "walogs_seen:make")]
        """,
    )
    monkeypatch.setattr(registry, "current", site.registry())
    with walogs.open(tmp_path / "x.wal", observers=["seen"]) as wal:
        wal.append(b"x")
    events = sys.modules["walogs_seen"].EVENTS
    assert [type(event) for event in events] == [walogs.RecoveryEvent, walogs.SyncEvent, walogs.AppendEvent]
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
            @walogs.hookimpl
            def walogs_codecs(self): return [walogs.CodecSpec("mine", "m:Codec")]
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
    assert names.installed()
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
    assert [len(plugin.components) for plugin in names.installed()] == [1, 1]


def test_what_was_found_is_not_looked_for_again(site: Site) -> None:
    site.rot1()
    looks = 0

    def find() -> list[Declared]:
        nonlocal looks
        looks += 1
        return site.found()

    names = registry.Registry(find, {})
    for _ in range(3):
        names.made("codec", "rot1")
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


# Two that give one name


def test_two_distributions_that_give_one_name_are_both_named(site: Site) -> None:
    site.rot1().add("caesar", {"rot1": "caesar"}, version="7.1", caesar=codecs("rot1", "rot1-more"))
    with pytest.raises(PluginError) as raised:
        site.registry().spec("codec", "rot1")
    first, second = sorted((raised.value.distribution, *raised.value.clashes_with))
    assert (first, second) == ("caesar", "walogs-rot1")
    assert "codec='rot1'" in str(raised.value)
    for words in ("caesar 7.1 (entry point 'rot1')", "walogs-rot1 1.0 (entry point 'rot1')"):
        assert words in str(raised.value)
    off = str(raised.value).rpartition("WALOGS_DISABLED_PLUGINS=")[2]
    assert site.registry(WALOGS_DISABLED_PLUGINS=off).spec("codec", "rot1")


def test_a_clash_is_no_matter_for_the_other_components(site: Site) -> None:
    site.rot1().add("caesar", {"rot1": "caesar"}, caesar=codecs("rot1", "rot1-more"))
    names = site.registry()
    assert names.spec("codec", "rot1-more")
    assert {plugin.declared.distribution: len(plugin.clashes) for plugin in names.installed()} == {
        "caesar": 1,
        "walogs-rot1": 1,
    }


def test_a_clash_is_seen_whatever_the_entry_points_are_called(site: Site) -> None:
    site.add("a", {"acme": "acme_a"}, acme_a=codecs("acme-zip")).add(
        "b", {"acme-zip": "acme_b"}, acme_b=codecs("acme-zip")
    )
    with pytest.raises(PluginError, match=r"a 1\.0 .*b 1\.0 "):
        site.registry().spec("codec", "acme-zip")


def test_a_clash_within_one_distribution_is_told_with_what_turns_one_off(site: Site) -> None:
    points = {"acme": "acme_a", "acme-zip": "acme_b"}
    site.add("acme", points, acme_a=codecs("acme-zip"), acme_b=codecs("acme-zip", factory="else:Where"))
    with pytest.raises(PluginError) as raised:
        site.registry().spec("codec", "acme-zip")
    off = str(raised.value).rpartition("WALOGS_DISABLED_PLUGINS=")[2]
    assert off in points
    assert site.registry(WALOGS_DISABLED_PLUGINS=off).spec("codec", "acme-zip")


def test_one_name_for_two_kinds_is_no_clash(site: Site) -> None:
    store = codecs("rot1").replace("codecs", "stores").replace("CodecSpec", "StoreSpec")
    site.rot1().add("store", {"rot1": "rot1_store"}, rot1_store=store)
    names = site.registry()
    assert (names.spec("codec", "rot1").factory, names.spec("store", "rot1").factory) == (
        "rot1_codec:Codec",
        "nowhere:Codec",
    )


def test_a_distribution_that_is_on_the_path_twice_is_one(site: Site, tmp_path: Path) -> None:
    site.rot1()
    second = tmp_path / "second"
    second.mkdir()
    Site(second).add("walogs_rot1", {"rot1": "walogs_rot1"}, version="0.9")

    def find() -> list[Declared]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", [str(site.path), str(second)])
            return entry_points.installed()

    assert [declared.version for declared in find()] == ["1.0"]
    (second / "unreadable-1.dist-info").mkdir()
    (second / "unreadable-1.dist-info" / "entry_points.txt").write_text("[other]\nnonsense\n")
    assert [declared.version for declared in find()] == ["1.0"]


# Broken ones

BROKEN = {
    "module that is missing": ("import nosuchmodule", "ModuleNotFoundError: No module named 'nosuchmodule'"),
    "syntax": ("def", "SyntaxError: invalid syntax"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "no hooks": ("x = 1", "no function that is marked with @walogs.hookimpl"),
    "hook not marked": (
        codecs("m") + "\ndef walogs_stores(): return []",
        "walogs_stores is not marked with @walogs.hookimpl",
    ),
    "mistyped hook": (
        codecs("m").replace("walogs_codecs", "walogs_codecz"),
        "walogs_codecz is no hook of walogs; did you mean 'walogs_codecs'?",
    ),
    "mistyped hook beside a good one": (
        codecs("m") + "\n@walogs.hookimpl\ndef walogs_store(): return []",
        "walogs_store is no hook of walogs; did you mean 'walogs_stores'?",
    ),
    "hook with an argument": (codecs("m").replace("codecs()", "codecs(config)"), "config"),
    "hook that raises": (codecs("m").replace("return", "1 / 0; return"), "ZeroDivisionError: division by zero"),
    "hook that raises half way": (
        codecs("m").replace("return [", "yield ").replace(")]", "); 1 / 0"),
        "ZeroDivisionError: division by zero",
    ),
    "nothing returned": (
        codecs("m").replace("return ", "found = "),
        "walogs_codecs gave None: a list of CodecSpec is wanted",
    ),
    "no list": (codecs("m").replace("[", "").replace(")]", ")"), "a list of CodecSpec is wanted"),
    "text": ("import walogs\n@walogs.hookimpl\ndef walogs_codecs(): return 'm'", "a list of CodecSpec is wanted"),
    "another kind of record": (codecs("m").replace("CodecSpec", "StoreSpec"), "is no CodecSpec"),
    "no record": ("import walogs\n@walogs.hookimpl\ndef walogs_codecs(): return [('m', 'a:b')]", "is no CodecSpec"),
    "a field of a later release": (codecs("m", colour="red"), "unexpected keyword argument 'colour'"),
    "a name that is none": (codecs("m", "M Z"), "codec 'M Z': a name is 1 to 63 of a-z"),
    "an empty name": (codecs("m", ""), "codec '': a name is 1 to 63"),
    "a long name": (codecs("m" * 64), "a name is 1 to 63"),
    "a factory without a colon": (codecs("m", factory="a.b"), "codec 'm': factory='a.b': 'package.module:callable'"),
    "a factory that is an object": (
        codecs("m").replace("'nowhere:Codec'", "print"),
        "factory=<built-in function print>",
    ),
    "options that are an object": (codecs("m", options=3), "codec 'm': options=3: 'package.module:Dataclass'"),
    "a summary of two lines": (codecs("m", summary="a\nb"), r"codec 'm': summary='a\nb': one line of text"),
    "a later interface": (
        codecs("m", api=2, options=3),
        "codec 'm' is written for interface 2 of walogs, and this release knows 1 at most: upgrade walogs",
    ),
    "an interface that is none": (codecs("m", api=True), "codec 'm': api=True: a whole number, 1 or more"),
    "one name twice": (codecs("m", "m"), "codec 'm' is given twice"),
    "a built-in name": (codecs("m", "crc32"), "codec 'crc32' is built in"),
    "a command with options": (
        codecs("m", options="a:b").replace("walogs_codecs", "walogs_commands").replace("CodecSpec", "CommandSpec"),
        "command 'm': options='a:b'",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_says_so_when_its_name_is_asked_for_and_disturbs_nobody(name: str, site: Site) -> None:
    text, why = BROKEN[name]
    site.rot1().add("walogs-m", {"m": "broken_m"}, version="2.5", broken_m=text)
    names = site.registry()
    assert names.made("codec", "rot1")
    assert names.made("codec", "crc32")
    assert names.names("codec") == ("crc32", "rot1")
    (problem,) = [plugin.problem for plugin in names.installed() if plugin.problem is not None]
    with pytest.raises(PluginError) as raised:
        names.factory("codec", "m")
    error = raised.value
    assert str(error) == str(problem)
    assert str(error).startswith("walogs-m 2.5 (entry point 'm') is broken: ")
    assert str(error).endswith("WALOGS_DISABLED_PLUGINS=walogs-m")
    assert why in str(error)
    assert (error.distribution, error.version, error.entry_point) == ("walogs-m", "2.5", "m")
    with pytest.raises(PluginError, match="walogs-m"):
        site.registry(WALOGS_STRICT_PLUGINS="1").made("codec", "crc32")
    without = site.registry(WALOGS_STRICT_PLUGINS="1", WALOGS_DISABLED_PLUGINS="walogs-m")
    assert without.made("codec", "rot1")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("", "its target '' is no 'package.module'"),
        ("a b", "its target 'a b' is no"),
        ("m_plugin:", "is no 'package.module' and no"),
        ("m_plugin:nothing", "AttributeError"),
        ("m_plugin [extra]", "is no 'package.module'"),
    ],
)
def test_a_target_that_names_nothing_is_told(target: str, why: str, site: Site) -> None:
    site.add("m", {"m": target}, m_plugin=codecs("m"))
    with pytest.raises(PluginError) as raised:
        site.registry().spec("codec", "m")
    assert why in str(raised.value)


def test_the_cause_is_kept(site: Site) -> None:
    site.add("m", {"m": "m_plugin"}, m_plugin="import nosuchmodule")
    with pytest.raises(PluginError) as raised:
        site.registry().spec("codec", "m")
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


def test_ctrl_c_in_a_plugin_is_no_fault_of_it(site: Site) -> None:
    site.add("m", {"m": "m_plugin"}, m_plugin="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.registry().installed()


def test_all_that_is_wrong_is_told_at_once(site: Site) -> None:
    site.add("m", {"m": "m_plugin"}, m_plugin=codecs("m", factory="x", options="y"))
    with pytest.raises(PluginError, match=r"factory='x'.*options='y'"):
        site.registry().spec("codec", "m")


def test_nothing_is_taken_instead_of_a_broken_plugin_of_that_name(site: Site) -> None:
    """It may have been this one that the log was written with."""
    site.rot1().add("caesar", {"rot1": "caesar"}, caesar="import nosuchmodule")
    with pytest.raises(PluginError, match=r"caesar 1\.0"):
        site.registry().spec("codec", "rot1")
    assert site.registry(WALOGS_DISABLED_PLUGINS="caesar").spec("codec", "rot1")


def test_a_component_that_no_entry_point_is_called_after_is_refused_with_the_line_to_write(site: Site) -> None:
    site.add("walogs-pack", {"pack": "walogs_pack"}, walogs_pack=codecs("pack", "zip"))
    for name in ("zip", "pack"):
        with pytest.raises(PluginError) as raised:
            site.registry().spec("codec", name)
        assert 'zip = "walogs_pack" under [project.entry-points.walogs]' in str(raised.value)


def test_strict_is_asked_once_and_0_is_no(site: Site) -> None:
    names = site.rot1().registry(WALOGS_STRICT_PLUGINS="1")
    assert names.made("codec", "crc32")
    site.add("m", {"m": "m_plugin"}, m_plugin="1 / 0")
    assert names.made("codec", "crc32")
    for value in ("", "0"):
        assert site.registry(WALOGS_STRICT_PLUGINS=value).made("codec", "crc32")


def test_strict_sees_a_clash(site: Site) -> None:
    site.rot1().add("caesar", {"rot1": "caesar"}, caesar=codecs("rot1"))
    with pytest.raises(PluginError, match="which is meant"):
        site.registry(WALOGS_STRICT_PLUGINS="1").spec("sync", "none")


# Metadata that cannot be read


def test_a_distribution_with_unreadable_entry_points_disturbs_nobody(site: Site) -> None:
    site.rot1().add("ruin", "[walogs]\nnonsense\n# no\n\ngood = ruin\n[other]\nmore\n", ruin=codecs("good"))
    names = site.registry()
    assert names.made("codec", "rot1")
    assert names.spec("codec", "good")
    with pytest.raises(PluginError, match=r"ruin 1\.0 \(entry point 'nonsense'\) is broken"):
        names.spec("codec", "nonsense")


def test_a_distribution_without_a_name_is_asked_all_the_same(site: Site) -> None:
    site.rot1().add("nameless", {"m": "m_plugin"}, m_plugin="1 / 0")
    (site.path / "nameless-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    names = site.registry()
    assert names.made("codec", "rot1")
    with pytest.raises(PluginError) as raised:
        names.spec("codec", "m")
    assert str(raised.value).endswith("WALOGS_DISABLED_PLUGINS=m")
    with pytest.raises(ConfigError):
        site.registry(WALOGS_DISABLED_PLUGINS="m").spec("codec", "m")


# Disabled ones


@pytest.mark.parametrize("off", ["walogs-rot1", "Walogs_Rot1", "rot1", "x, rot1 ,y", "*"])
def test_a_disabled_plugin_is_not_loaded_and_its_name_says_why_it_is_not_there(off: str, site: Site) -> None:
    names = site.rot1().registry(WALOGS_DISABLED_PLUGINS=off)
    assert names.names("codec") == ("crc32",)
    with pytest.raises(ConfigError) as raised:
        names.spec("codec", "rot1")
    assert "walogs-rot1 1.0 (entry point 'rot1') is disabled by WALOGS_DISABLED_PLUGINS" in str(raised.value)
    assert [plugin.is_disabled for plugin in names.installed()] == [True]
    assert "walogs_rot1" not in sys.modules


@pytest.mark.parametrize("off", ["", "rot", "walogs", "walogs-rot12"])
def test_another_name_disables_nothing(off: str, site: Site) -> None:
    assert site.rot1().registry(WALOGS_DISABLED_PLUGINS=off).spec("codec", "rot1")


# Names that nothing gives


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("codec", "rot2", "codec='rot2': no such codec; did you mean 'rot1'? (there are: crc32, rot1)"),
        ("codec", "qqq", "codec='qqq': no such codec (there are: crc32, rot1)"),
        ("codec", "zstd", "codec='zstd': no such codec here: pip install walogs-zstd (there are: crc32, rot1)"),
        (
            "codec",
            "zstf",
            "codec='zstf': no such codec; did you mean 'zstd'? (pip install walogs-zstd) (there are: crc32, rot1)",
        ),
        ("store", "zstd", "store='zstd': no such store (there are: local)"),
        ("store", "sqlite", "store='sqlite': no such store here: pip install walogs-sqlite (there are: local)"),
    ],
)
def test_an_unknown_name_is_told_with_what_there_is_and_what_to_install(
    kind: str, name: str, said: str, site: Site
) -> None:
    with pytest.raises(ConfigError) as raised:
        site.rot1().registry().factory(kind, name)  # type: ignore[arg-type]
    assert (str(raised.value), raised.value.problems) == (said, (said,))


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
    assert names.made("codec", "rot1").parameters() == {"by": 3}
    assert names.made("codec", "rot1", options=options(by=7)).parameters() == {"by": 7}
    assert registry.options("codec", "crc32") is None


@pytest.mark.parametrize(
    ("factory", "options", "error", "said"),
    [
        ("made:refusing", None, ConfigError, "codec='rot1': by=300: 0 to 255"),
        ("made:Codec", "made:Required", ConfigError, "codec='rot1' needs options: .*'key'"),
        ("made:raising", None, PluginError, "making one raised KeyError: 'by'"),
        ("made:unreachable", None, PermissionError, "no"),
        ("made:nothing", None, PluginError, "None is made, which has not the members of Codec"),
        ("made:a_class", None, PluginError, "has not the members of Codec"),
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
            @walogs.hookimpl
            def walogs_stores(): return [walogs.StoreSpec("elsewhere", "elsewhere:store", "elsewhere:Options")]
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
