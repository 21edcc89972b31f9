"""The service loses no order that it has answered, and doubles none, however often it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

HERE = Path(__file__).parent
SECONDS = 200
ADDRESS = re.compile(r"(?:running on|Listening at:) (http://127\.0\.0\.1:\d+)")
KILLS = 6
CLIENTS = 20


class Program:
    """A server that was started, and its log messages."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def read_until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Read its messages until one matches. Fail if it ends before."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := pattern.search(line):
                return found
        raise AssertionError("".join(self.lines))


@contextmanager
def running(journal: Path, *command: str) -> Iterator[Program]:
    environment = {**os.environ, "JOURNAL": str(journal), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=HERE, env=environment, stderr=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate(timeout=SECONDS)


def uvicorn(*options: str) -> tuple[str, ...]:
    return ("uvicorn", "app:app", "--port", "0", "--no-access-log", *options)


async def post_orders(address: str, answered: dict[int, str], life: int, stop_at: int, process: Any) -> None:
    """Post orders from many clients until *stop_at* of this life were answered. Then kill the service."""
    count = 0

    async def post(client: httpx.AsyncClient, number: int) -> None:
        nonlocal count
        for at in range(1_000_000):
            name = f"life {life}, client {number}, order {at}"
            try:
                answer = await client.post("/orders", json={"item": name, "count": 1})
            except httpx.TransportError:  # it was killed
                return
            assert answer.status_code == 201, answer.text
            assert answer.json()["lsn"] not in answered
            answered[answer.json()["lsn"]] = name
            count += 1
            if count == stop_at:
                process.kill()

    limits = httpx.Limits(max_connections=CLIENTS)
    async with (
        httpx.AsyncClient(base_url=address, limits=limits, timeout=SECONDS) as client,
        anyio.create_task_group() as group,
    ):
        for number in range(CLIENTS):
            group.start_soon(post, client, number)


def test_every_answered_order_is_there_once_after_each_kill(tmp_path: Path) -> None:
    answered: dict[int, str] = {}
    for life in range(KILLS):
        with running(tmp_path / "orders.wal", *uvicorn()) as service:
            address = service.read_until(ADDRESS)[1]
            assert orders_at(address).items() >= answered.items(), life
            anyio.run(post_orders, address, answered, life, 100 + 37 * life, service.process)
    with running(tmp_path / "orders.wal", *uvicorn()) as service:
        address = service.read_until(ADDRESS)[1]
        found = orders_at(address)
        assert found.items() >= answered.items()
        assert len(set(found.values())) == len(found), "no order is there twice"
        assert list(found) == list(range(1, len(found) + 1))
        totals = httpx.get(f"{address}/totals", timeout=SECONDS).json()
        assert totals == dict.fromkeys(found.values(), 1)
    print(f"{KILLS} kills, {len(answered)} answered orders, {len(found) - len(answered)} more in the log")


def orders_at(address: str) -> dict[int, str]:
    orders = httpx.get(f"{address}/orders", timeout=SECONDS).json()
    return {int(lsn): order["item"] for lsn, order in orders.items()}


def test_the_metrics_count_what_the_log_has_committed(tmp_path: Path) -> None:
    with running(tmp_path / "orders.wal", *uvicorn()) as service:
        address = service.read_until(ADDRESS)[1]
        for _ in range(3):
            assert httpx.post(f"{address}/orders", json={"item": "tea", "count": 2}, timeout=SECONDS).status_code == 201
        text = httpx.get(f"{address}/metrics", timeout=SECONDS).text
        assert "journal_entries_total 3.0" in text
        assert "journal_commit_seconds_count 3.0" in text
        assert httpx.get(f"{address}/totals", timeout=SECONDS).json() == {"tea": 6}


@pytest.mark.parametrize("body", ["", "[]", '{"item": "tea"}', '{"item": "tea", "count": "many"}', "\x00"])
def test_a_wrong_order_is_refused_and_not_journaled(tmp_path: Path, body: str) -> None:
    with running(tmp_path / "orders.wal", *uvicorn()) as service:
        address = service.read_until(ADDRESS)[1]
        assert httpx.post(f"{address}/orders", content=body, timeout=SECONDS).status_code == 400
        assert orders_at(address) == {}


@pytest.mark.parametrize(
    "command",
    [
        uvicorn("--workers", "2"),
        ("gunicorn", "--preload", "-w", "2", "-b", "127.0.0.1:0", "-k", "uvicorn_worker.UvicornWorker", "app:app"),
    ],
    ids=["uvicorn", "gunicorn"],
)
def test_a_second_worker_is_told_that_a_log_has_one_writer(tmp_path: Path, command: tuple[str, ...]) -> None:
    with running(tmp_path / "orders.wal", *command) as service:
        told = service.read_until(re.compile(r"Locked: (.*)"))[1]
        assert str(tmp_path / "orders.wal") in told
        assert "process" in told
