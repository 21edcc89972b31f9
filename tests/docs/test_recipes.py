"""Each recipe of docs/recipes.md is killed again and again, and loses nothing that it says is kept."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import walogs
from tests.docs.blocks import blocks
from tests.house.source import ROOT
from tests.kit.callers import SECONDS

LIVES: Final = 5
ACKNOWLEDGED_MAX: Final = 60
CLASSES: Final = "\n".join(
    block.text
    for block in blocks((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"))
    if block.language == "python" and "\nclass " in f"\n{block.text}"
)
HEAD: Final = f"""
import itertools, random, sys
{CLASSES}
directory, life = sys.argv[1], int(sys.argv[2])
chance = random.Random(life)

def acknowledge(*what):
    print(json.dumps(what), flush=True)
"""


class Recipe(NamedTuple):
    """A program that uses a recipe until it is killed, and the check of what is left."""

    program: str
    check: Callable[[Path, list[Any]], None]


# The programs print what the recipe has acknowledged. A check gets all of these lines, of all lives in order.

JOBS: Final = """
jobs = Jobs(directory)
done = open(f"{directory}/done", "a")

def do(job):
    if job.endswith("7"):
        raise ValueError
    done.write(job + "\\n")
    done.flush()

for number in itertools.count():
    for each in range(3):
        job = f"{life}.{number}.{each}"
        jobs.put(job)
        acknowledge(job)
    jobs.work(do)
"""


def check_jobs(directory: Path, acknowledged: list[Any]) -> None:
    recipe = namespace()["Jobs"](directory)
    done = (directory / "done").read_text().split()
    waiting: list[str] = []
    recipe.work(lambda job: waiting.append(job) if not job.endswith("7") else 1 / 0)
    failed = [json.loads(data)["job"] for _, data in recipe.failed]
    recipe.close()
    assert all(job.endswith("7") for job in failed)
    missing = {job for (job,) in acknowledged} - {*done, *waiting, *failed}
    assert missing == set(), "every job is done, or waits, or has failed three times"


ORDERS: Final = """
orders = Orders(directory)
sent = open(f"{directory}/sent", "a")

def send(lsn, item):
    sent.write(json.dumps([lsn, item]) + "\\n")
    sent.flush()

for number in itertools.count():
    item = f"{life}.{number}"
    acknowledge(orders.place(item), item)
    if number % 5 == 4:
        orders.send(send)
"""


def check_orders(directory: Path, acknowledged: list[Any]) -> None:
    recipe = namespace()["Orders"](directory)
    in_log = [(lsn, data.decode()) for lsn, data in recipe.wal]
    in_database = recipe.db.execute("SELECT lsn, item FROM orders ORDER BY lsn").fetchall()
    sent = [tuple(json.loads(line)) for line in (directory / "sent").read_text().splitlines()]
    recipe.send(lambda lsn, item: sent.append((lsn, item)))
    recipe.close()
    assert {tuple(each) for each in acknowledged} <= set(in_log)
    assert in_database == in_log
    assert sorted(set(sent)) == in_log, "each order is sent, with its own LSN"


TOTALS: Final = """
totals = Totals(directory)
acknowledge("begin", totals.totals.get("tea", 0))
for number in itertools.count():
    totals.add("tea", 1)
    acknowledge("add", totals.totals["tea"])
    if number % 7 == 6:
        totals.save()
"""


def check_totals(directory: Path, acknowledged: list[Any]) -> None:
    recipe = namespace()["Totals"](directory)
    found = recipe.totals["tea"]
    recipe.close()
    highest = 0
    for what, total in acknowledged:
        assert highest <= total <= highest + 1, "one addition that was not acknowledged may be there, and none is lost"
        assert what == "begin" or total == highest + 1
        highest = total
    assert highest <= found <= highest + 1


ACCOUNTS: Final = """
accounts = Accounts(directory)
if not accounts.balances:
    accounts.deposit("ann", 10**9)
for number in itertools.count():
    accounts.transfer("ann", "bob", 1)
    acknowledge(accounts.balances["bob"])
"""


def check_accounts(directory: Path, acknowledged: list[Any]) -> None:
    recipe = namespace()["Accounts"](directory)
    balances = recipe.balances
    recipe.close()
    assert sum(balances.values()) == 10**9
    assert max(bob for (bob,) in acknowledged) <= balances["bob"]


AUDIT: Final = """
audit = Audit(directory)
acts = open(f"{directory}/acts", "a")

def act():
    acts.write(f"{life}.{number}\\n")
    acts.flush()

for number in itertools.count():
    audit.carry_out("ann", f"{life}.{number}", act)
    acknowledge(f"{life}.{number}")
"""


def check_audit(directory: Path, acknowledged: list[Any]) -> None:
    recipe = namespace()["Audit"](directory)
    entries = [json.loads(data) for _, data in recipe.wal]
    unfinished = {entry["what"] for entry in recipe.unfinished.values()}
    recipe.close()
    told = [entry["what"] for entry in entries if "what" in entry]
    acts = (directory / "acts").read_text().split()
    assert set(acts) <= set(told), "nothing was done that the log does not tell"
    assert Counter(acts) == Counter(set(acts))
    assert {what for (what,) in acknowledged} <= set(told) - unfinished
    assert len(unfinished) <= LIVES


CACHE: Final = """
cache = Cache(directory)
for number in itertools.count():
    key, value = f"key {chance.randrange(10)}", f"{life:03}.{number:06}"
    cache.set(key, value)
    acknowledge(key, value)
    if number % 9 == 8:
        cache.flush()
"""


def check_cache(directory: Path, acknowledged: list[Any]) -> None:
    recipe = namespace()["Cache"](directory)
    newest = dict(acknowledged)
    found = {key: recipe.get(key) for key in newest}
    recipe.close()
    newer = {key for key in newest if found[key] != newest[key]}
    assert all(found[key] > newest[key] for key in newer), "no value is older than one that was acknowledged"
    assert len(newer) <= 1


RECIPES: Final = {
    "jobs": Recipe(JOBS, check_jobs),
    "orders": Recipe(ORDERS, check_orders),
    "totals": Recipe(TOTALS, check_totals),
    "accounts": Recipe(ACCOUNTS, check_accounts),
    "audit": Recipe(AUDIT, check_audit),
    "cache": Recipe(CACHE, check_cache),
}


def namespace() -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(CLASSES, found)
    return found


def test_every_class_of_the_page_is_tried() -> None:
    classes = [name for name, thing in namespace().items() if isinstance(thing, type)]
    tried = [name for name in classes if any(f"{name}(directory)" in recipe.program for recipe in RECIPES.values())]
    assert tried == classes
    assert len(classes) == len(RECIPES)


@pytest.mark.guarantee("G1", "G12", "G21")
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_that_is_killed_again_and_again_keeps_its_word(name: str, tmp_path: Path) -> None:
    recipe, seed = RECIPES[name], random.randrange(1 << 30)
    print("seed", seed)
    chance, acknowledged = random.Random(seed), []
    for life in range(LIVES):
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + recipe.program, str(tmp_path), str(life)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, ACKNOWLEDGED_MAX)):
            line = process.stdout.readline()
            assert line, "it ended by itself"
            acknowledged.append(json.loads(line))
        process.kill()
        lines = process.stdout.read().split(b"\n")[:-1]  # what it printed before it died; a line without an end is none
        process.communicate(timeout=SECONDS)
        acknowledged += [json.loads(line) for line in lines]
    recipe.check(tmp_path, acknowledged)


def test_the_check_of_a_recipe_can_fail(tmp_path: Path) -> None:
    """A queue that lost a job is found out."""
    with walogs.open(tmp_path / "jobs.wal") as wal:
        wal.append(json.dumps({"job": "kept", "tries": 0}).encode())
    (tmp_path / "done").write_text("")
    with pytest.raises(AssertionError, match="every job is done"):
        check_jobs(tmp_path, [["kept"], ["lost"]])
