"""What the contracts share: rules that the protocols hold, one failure for one mistake, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import ROOT, sources
from tests.testing.kit_places import OnADisk
from walogs.testing import (
    CodecContract,
    Contract,
    LawBroken,
    NotOffered,
    Outcome,
    StoreContract,
    SyncPolicyContract,
    conform,
)
from walogs.testing.contract import in_order, must, must_raise, rests_on

CONTRACTS: list[type[Contract]] = [StoreContract, CodecContract, SyncPolicyContract]
CHECKS = [
    pytest.param(contract, check, id=f"{contract.__name__}-{check}")
    for contract in CONTRACTS
    for check in contract.checks()
]


def in_one_line(text: str) -> str:
    """Return a file's words, without regard to where its lines end."""
    return " ".join(text.split())


PROTOCOLS = [in_one_line(text) for text in sources("walogs/protocols").values()]
GUARANTEES = in_one_line((ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("contract", "check"), CHECKS)
def test_each_check_quotes_the_sentence_that_it_holds_a_component_to(contract: type[Contract], check: str) -> None:
    rule = contract.rule(check)
    found = re.match(r'(?:`(\w+)(?:\.(\w+))?`|(G\d+)): "(.+?)"', rule)
    assert found is not None, f"{check}: {rule!r} names no member and quotes no sentence"
    owner, member, promise, sentence = found.groups()
    if promise is not None:
        section = re.search(rf"\*\*{promise} — .+?(?=\*\*G\d+ — |## )", GUARANTEES)
        assert section is not None
        assert sentence in section[0]
        return
    [protocol] = [text for text in PROTOCOLS if re.search(rf"class {owner}\b|\b{owner}: TypeAlias", text)]
    assert sentence in protocol, f"the protocol does not say {sentence!r}"
    assert member is None or re.search(rf"def {member}\(|\b{member}: ", protocol)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_check_rests_on_checks_that_are_there(contract: Any) -> None:
    names = contract.checks()
    for check in names:
        assert set(getattr(getattr(contract, check), "rests_on", ())) <= set(names), check
    assert set(contract.foundation) <= set(names)
    assert sorted(in_order(contract())) == sorted(names)


class Sample(Contract):
    """A contract of its own: what third parties may build, too."""

    foundation = ("test_z_first",)

    def __init__(self) -> None:
        self.ran: list[str] = []

    @rests_on("test_broken")
    def test_above(self) -> None:
        """Rests on what is broken."""
        self.ran.append("above")

    @rests_on("test_above")
    def test_far_above(self) -> None:
        """Rests on what rests on it."""
        self.ran.append("far above")

    def test_broken(self) -> None:
        """Is broken.

        For a reason.
        """
        (self.scratch() / "left").touch()
        self.afterwards(lambda: self.ran.append("cleaned up"))
        self.afterwards(lambda: 1 // 0)
        must(False, "as planned")

    def test_raises(self) -> None:
        """Raises what no `except Exception` catches."""
        raise LawBroken("at once")

    def test_needs_more(self) -> None:
        """Needs more."""
        raise NotOffered("needs more")

    def test_z_first(self) -> None:
        """Is first."""
        self.ran.append("first")


def test_one_mistake_is_one_failure() -> None:
    contract = Sample()
    outcomes = {outcome.check: outcome for outcome in conform(contract)}
    assert next(iter(outcomes)) == "test_z_first"
    results = {check: outcome.result for check, outcome in outcomes.items()}
    assert results == {
        "test_z_first": "passed",
        "test_broken": "failed",
        "test_above": "skipped",
        "test_far_above": "skipped",
        "test_raises": "failed",
        "test_needs_more": "skipped",
    }
    failed = Outcome(check="test_broken", rule="Is broken.", result="failed", why="as planned")
    assert outcomes["test_broken"] == failed
    assert outcomes["test_above"].why == outcomes["test_far_above"].why == "it rests on test_broken, which failed"
    assert {check: outcome.rests_on for check, outcome in outcomes.items() if outcome.rests_on is not None} == {
        "test_above": "test_broken",
        "test_far_above": "test_broken",
    }
    assert outcomes["test_needs_more"].why == "needs more"
    assert re.fullmatch(r"LawBroken: at once \(test_kit\.py:\d+\)", outcomes["test_raises"].why)
    assert contract.ran == ["first", "cleaned up"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    contract = Sample()
    contract.directory = str(tmp_path)
    list(conform(contract))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_is_none_of_the_components() -> None:
    class Interrupted(Contract):
        def test_it_has_the_members(self) -> None:
            """Is interrupted."""
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(conform(Interrupted()))


def test_an_answer_in_the_place_of_an_error_is_told_in_few_words() -> None:
    with pytest.raises(AssertionError, match=r"it: it answered b'x+'… \(1000 bytes\)"):
        must_raise(OSError, "it", lambda: b"x" * 1000)
    with pytest.raises(AssertionError, match=r"it: it raised KeyError: 1"):
        must_raise(OSError, "it", {}.__getitem__, 1)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_without_its_factory_says_which_method_it_needs(contract: Any) -> None:
    outcomes = list(conform(contract()))
    assert {outcome.result for outcome in outcomes} == {"failed", "skipped"}
    assert "the one method that every contract needs" in outcomes[0].why


def test_without_hypothesis_a_store_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "walogs.testing.machine", raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    outcomes = {outcome.check: outcome for outcome in conform(OnADisk())}
    assert outcomes["test_the_state_machine"].result == "failed"
    assert f"pip install '{ROOT}[testing]'" in outcomes["test_the_state_machine"].why


# In a process of its own


def ran(*command: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def test_importing_the_kit_imports_neither_pytest_nor_hypothesis() -> None:
    told = ran("-c", "import sys, walogs.testing; print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))")
    assert told.stdout == "[]\n", told.stderr


def test_it_is_no_pytest_plugin() -> None:
    """It would be imported in everybody's test runs, before their coverage begins."""
    assert [point for point in distribution("walogs").entry_points if point.group == "pytest11"] == []


def test_without_assertions_it_finds_as_much() -> None:
    program = """
from tests.testing.codecs_broken_in_checks import CheckThatIgnoresTheFrame
from tests.testing.sealing_codecs import OfCrc32
from walogs.testing import conform
OfCrc32.codec_type = CheckThatIgnoresTheFrame
print([outcome.check for outcome in conform(OfCrc32()) if outcome.result == "failed"], __debug__)
"""
    told = ran("-O", "-c", program)
    assert told.stdout == "['test_a_check_is_started_from_the_frames_header'] False\n", told.stderr


def test_pytest_collects_a_contract_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "from tests.testing.broken_policies import DurableInName\n"
        "from tests.testing.kit_places import OnADisk\n"
        "from walogs.testing import SyncPolicyContract\n\n"
        "class TestTheirStore(OnADisk):\n"
        "    machine = {'max_examples': 2}\n\n"
        "class TestTheirPolicy(SyncPolicyContract):\n"
        "    def policy(self):\n"
        "        return DurableInName()\n"
    )
    options = ("-q", "-rsf", "-p", "no:cacheprovider", "-p", "no:randomly")
    told = ran("-m", "pytest", *options, "test_theirs.py", directory=tmp_path)
    assert told.returncode == 1, told.stdout + told.stderr
    failed = re.findall(r"^FAILED \S+::(\w+)::(\w+)", told.stdout, re.MULTILINE)
    both = [
        ("TestTheirPolicy", "test_durable_means_sync"),
        ("TestTheirPolicy", "test_a_log_under_it_keeps_its_promise"),
    ]
    assert failed == both
    assert "answers 'leave'" in told.stdout
    assert "its exclusion is a lock: there is one writer at a time" in told.stdout
