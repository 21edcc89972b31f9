"""Objects of a plugin that fail when they are only printed or compared."""

from __future__ import annotations

import pickle
from pathlib import Path
from textwrap import dedent

import pytest

from tests.plugins.site import Site, codecs
from walogs import ConfigError, PluginError
from walogs.assembly import registry

RAISING = """
class Raising:
    def __repr__(self):
        raise ZeroDivisionError("in __repr__")
    def __getattr__(self, name):
        raise ZeroDivisionError("in __getattr__")

class Untold(Exception):
    def __str__(self):
        raise ZeroDivisionError("in __str__")

class Unprintable(Untold, ValueError):
    pass

class Own(BaseException):
    pass

class Name(str):
    def __eq__(self, other):
        raise ZeroDivisionError("in __eq__")
    __hash__ = str.__hash__
    def __repr__(self):
        raise ZeroDivisionError("in __repr__")
"""


HOSTILE = {
    "an error without text": ("raise Untold()", "Untold"),
    "an error of the system without text": ("class E(Untold, OSError): pass\nraise E(1, 'x')", "E"),
    "a cancelled task": ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
    "a generator's exit": ("raise GeneratorExit", "GeneratorExit"),
    "its own kind of exit": ("raise Own('enough')", "Own: enough"),
    "a hook that raises without text": (codecs("m").replace("return", "raise Untold(); return"), "Untold"),
    "a hook that is cancelled": (codecs("m").replace("return", "raise Own(); return"), "Own"),
    "no record, and no text": (
        "import walogs\n@walogs.plugins.hookimpl\ndef walogs_codecs(): return [Raising()]",
        "Raising",
    ),
    "no list, and no text": (
        "import walogs\n@walogs.plugins.hookimpl\ndef walogs_codecs(): return Raising()",
        "Raising",
    ),
    "a factory without text": (codecs("m", factory="x").replace("'x'", "Raising()"), "Raising"),
    "a name that cannot be compared": (codecs("m", "crc32").replace("'crc32'", "Name('crc32')"), "built in"),
    "an error whose type has no name": (
        "class M(type): __name__ = property(lambda self: 1 / 0)\nclass E(Exception, metaclass=M): pass\nraise E('x')",
        "",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_plugin_raises_or_is_its_problem_alone_and_can_be_told(name: str, site: Site) -> None:
    text, why = HOSTILE[name]
    site.rot1().add("walogs-m", {"m": "hostile_m"}, hostile_m=dedent(RAISING) + text)
    names = site.registry()
    assert names.names("codec") == ("crc32", "rot1")
    assert names.make("codec", "rot1")
    with pytest.raises(ConfigError, match="did you mean 'rot1'"):
        names.make("codec", "rott1")
    with pytest.raises(PluginError, match=r"walogs-m 1\.0 \(entry point 'm'\) is broken: ") as raised:
        names.factory("codec", "m")
    assert why in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("raise Untold()", "making one raised Untold"),
        ("raise Own('enough')", "making one raised Own: enough"),
        ("return Raising()", "Raising"),
        ("return Raising", "Raising"),
    ],
)
def test_whatever_a_factory_raises_or_makes_can_be_told(factory: str, why: str, site: Site) -> None:
    module = f"{dedent(RAISING)}\ndef make():\n    {factory}\n"
    site.add("walogs-m", {"m": "hostile_m"}, hostile_m=codecs("m", factory="hostile_made:make"), hostile_made=module)
    with pytest.raises(PluginError, match="codec='m': walogs-m") as raised:
        site.registry().make("codec", "m")
    assert why in str(raised.value)


def test_a_value_that_a_plugin_refuses_without_text_is_a_mistake_of_the_configuration(site: Site) -> None:
    module = f"{dedent(RAISING)}\ndef make():\n    raise Unprintable()\n"
    site.add("walogs-m", {"m": "hostile_m"}, hostile_m=codecs("m", factory="hostile_made:make"), hostile_made=module)
    with pytest.raises(ConfigError, match=r"codec='m': .*no text"):
        site.registry().make("codec", "m")


@pytest.mark.parametrize("raised", ["Untold()", "Own('enough')", "Unprintable()"])
def test_an_import_that_is_needed_later_is_told_of_its_plugin(raised: str, site: Site) -> None:
    module = f"{dedent(RAISING)}\nraise {raised}\n"
    site.add("walogs-m", {"m": "hostile_m"}, hostile_m=codecs("m", factory="hostile_made:make"), hostile_made=module)
    names = site.registry()
    with pytest.raises(PluginError, match="importing hostile_made:make raised"):
        names.factory("codec", "m")
    (plugin,) = names.all_plugins()
    assert len(list(names.unimportable(plugin))) == 1


@pytest.mark.parametrize("where", ["module", "hook", "import", "factory", "text"])
def test_ctrl_c_passes_wherever_a_plugin_is_at_work(where: str, site: Site) -> None:
    interrupt = "raise KeyboardInterrupt"
    module = codecs("m", factory="interrupted_made:make")
    made = {"import": interrupt, "factory": f"def make():\n    {interrupt}"}.get(where, "def make(): pass")
    if where == "text":
        made = f"class E(Exception):\n    def __str__(self):\n        {interrupt}\ndef make():\n    raise E"
    module = {"module": interrupt, "hook": module.replace("return", f"{interrupt}; return")}.get(where, module)
    site.add("walogs-m", {"m": "interrupted_m"}, interrupted_m=module, interrupted_made=made)
    with pytest.raises(KeyboardInterrupt):
        site.registry().make("codec", "m")


def test_options_that_fail_without_text_are_a_mistake_with_its_place(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "\n@dataclass\nclass Options:\n    by: int = 1\n    def __post_init__(self): raise {}\n"
    for number, raised in enumerate(("Untold()", "Own()", "Unprintable()")):
        module = "from dataclasses import dataclass\n" + dedent(RAISING) + options.format(raised)
        made, gives = f"made_m{number}", f"gives_m{number}"
        specs = codecs(f"m{number}", factory=f"{made}:Options", options=f"{made}:Options")
        site.add(f"m{number}", {f"m{number}": gives}, **{made: module, gives: specs})
    monkeypatch.setattr(registry, "current", site.registry())
    file = tmp_path / "walogs.toml"
    logs = [f'[log.a{number}]\npath = "a"\ncodec = {{ use = "m{number}", by = 2 }}\n' for number in range(3)]
    file.write_text("".join(logs) + '[log.good]\npath = "good"\n')
    from walogs.config_file.file import examine

    problems = examine(file, {}).problems
    assert [problem.key for problem in problems] == [f"log.a{number}.codec" for number in range(3)]
