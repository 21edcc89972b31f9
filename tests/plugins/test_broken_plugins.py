"""Plugins that clash, are broken, disabled or missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT
from tests.plugins.site import Site, codecs
from walogs import ConfigError, PluginError
from walogs.assembly import entry_points
from walogs.assembly.entry_points import DeclaredPlugin

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
    assert {plugin.declared.distribution: len(plugin.clashes) for plugin in names.all_plugins()} == {
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

    def find() -> list[DeclaredPlugin]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", [str(site.path), str(second)])
            return entry_points.read_declared_plugins()

    assert [declared.version for declared in find()] == ["1.0"]
    (second / "unreadable-1.dist-info").mkdir()
    (second / "unreadable-1.dist-info" / "entry_points.txt").write_text("[other]\nnonsense\n")
    assert [declared.version for declared in find()] == ["1.0"]


# Broken ones


BROKEN = {
    "module that is missing": ("import nosuchmodule", "ModuleNotFoundError: No module named 'nosuchmodule'"),
    "syntax": ("def", "SyntaxError: invalid syntax"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "no hooks": ("x = 1", "no function that is marked with @walogs.plugins.hookimpl"),
    "hook not marked": (
        codecs("m") + "\ndef walogs_stores(): return []",
        "walogs_stores is not marked with @walogs.plugins.hookimpl",
    ),
    "mistyped hook": (
        codecs("m").replace("walogs_codecs", "walogs_codecz"),
        "walogs_codecz is no hook of walogs; did you mean 'walogs_codecs'?",
    ),
    "mistyped hook beside a good one": (
        codecs("m") + "\n@walogs.plugins.hookimpl\ndef walogs_store(): return []",
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
    "text": (
        "import walogs\n@walogs.plugins.hookimpl\ndef walogs_codecs(): return 'm'",
        "a list of CodecSpec is wanted",
    ),
    "another kind of record": (codecs("m").replace("CodecSpec", "StoreSpec"), "is no CodecSpec"),
    "no record": (
        "import walogs\n@walogs.plugins.hookimpl\ndef walogs_codecs(): return [('m', 'a:b')]",
        "is no CodecSpec",
    ),
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
    assert names.make("codec", "rot1")
    assert names.make("codec", "crc32")
    assert names.names("codec") == ("crc32", "rot1")
    (problem,) = [plugin.problem for plugin in names.all_plugins() if plugin.problem is not None]
    with pytest.raises(PluginError) as raised:
        names.factory("codec", "m")
    error = raised.value
    assert str(error) == str(problem)
    assert str(error).startswith("walogs-m 2.5 (entry point 'm') is broken: ")
    assert str(error).endswith("WALOGS_DISABLED_PLUGINS=walogs-m")
    assert why in str(error)
    assert (error.distribution, error.version, error.entry_point) == ("walogs-m", "2.5", "m")
    with pytest.raises(PluginError, match="walogs-m"):
        site.registry(WALOGS_STRICT_PLUGINS="1").make("codec", "crc32")
    without = site.registry(WALOGS_STRICT_PLUGINS="1", WALOGS_DISABLED_PLUGINS="walogs-m")
    assert without.make("codec", "rot1")


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
        site.registry().all_plugins()


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
    assert names.make("codec", "crc32")
    site.add("m", {"m": "m_plugin"}, m_plugin="1 / 0")
    assert names.make("codec", "crc32")
    for value in ("", "0"):
        assert site.registry(WALOGS_STRICT_PLUGINS=value).make("codec", "crc32")


def test_strict_sees_a_clash(site: Site) -> None:
    site.rot1().add("caesar", {"rot1": "caesar"}, caesar=codecs("rot1"))
    with pytest.raises(PluginError, match="which is meant"):
        site.registry(WALOGS_STRICT_PLUGINS="1").spec("sync", "none")


# Metadata that cannot be read


def test_a_distribution_with_unreadable_entry_points_disturbs_nobody(site: Site) -> None:
    site.rot1().add("ruin", "[walogs]\nnonsense\n# no\n\ngood = ruin\n[other]\nmore\n", ruin=codecs("good"))
    names = site.registry()
    assert names.make("codec", "rot1")
    assert names.spec("codec", "good")
    with pytest.raises(PluginError, match=r"ruin 1\.0 \(entry point 'nonsense'\) is broken"):
        names.spec("codec", "nonsense")


def test_a_distribution_without_a_name_is_asked_all_the_same(site: Site) -> None:
    site.rot1().add("nameless", {"m": "m_plugin"}, m_plugin="1 / 0")
    (site.path / "nameless-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    names = site.registry()
    assert names.make("codec", "rot1")
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
    assert [plugin.is_disabled for plugin in names.all_plugins()] == [True]
    assert "walogs_rot1" not in sys.modules


@pytest.mark.parametrize("off", ["", "rot", "walogs", "walogs-rot12"])
def test_another_name_disables_nothing(off: str, site: Site) -> None:
    assert site.rot1().registry(WALOGS_DISABLED_PLUGINS=off).spec("codec", "rot1")


# Names that nothing gives


HERE = f"pip install {ROOT}/plugins/walogs-zstd"
"""The clone has what is asked for."""


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("codec", "rot2", "codec='rot2': no such codec; did you mean 'rot1'? (there are: crc32, rot1)"),
        ("codec", "qqq", "codec='qqq': no such codec (there are: crc32, rot1)"),
        (
            "codec",
            "zstd",
            f"codec='zstd': no such codec here: {HERE} (there are: crc32, rot1)",
        ),
        (
            "codec",
            "zstf",
            f"codec='zstf': no such codec; did you mean 'zstd'? ({HERE}) (there are: crc32, rot1)",
        ),
        ("store", "zstd", "store='zstd': no such store (there are: local)"),
        (
            "store",
            "sqlite",
            f"store='sqlite': no such store here: pip install {ROOT}/backends/walogs-sqlite (there are: local)",
        ),
    ],
)
def test_an_unknown_name_is_told_with_what_there_is_and_what_to_install(
    kind: str, name: str, said: str, site: Site
) -> None:
    with pytest.raises(ConfigError) as raised:
        site.rot1().registry().factory(kind, name)  # type: ignore[arg-type]
    assert (str(raised.value), raised.value.problems) == (said, (said,))
