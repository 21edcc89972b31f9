"""`walogs top` on a terminal: what is on its screen, as text, and its keys."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event
from typing import Final, cast

import pytest
from textual.pilot import Pilot

import walogs
from tests.cli.commands import made
from tests.cli.watching import DATA, Watched, append, watched
from walogs.cli.top.samples import Sample
from walogs.cli.top.screen import TopApp


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "[b]orders.wal"


CELL: Final = re.compile(r'<text [^>]* x="([\d.]+)" [^>]*-line-(\d+)\)">([^<]*)</text>')
COLUMN_WIDTH: Final = 12.2
"""In a picture of the screen."""


def text_of(app: TopApp) -> list[str]:
    """Return what is on the screen, line by line, without the ends of the lines."""
    lines: dict[int, str] = {}
    for x, line, text in CELL.findall(app.export_screenshot()):
        column = round(float(x) / COLUMN_WIDTH)
        lines[int(line)] = lines.get(int(line), "").ljust(column) + html.unescape(text).replace("\xa0", " ")
    return [lines.get(line, "").rstrip() for line in range(max(lines) + 1)]


async def looked(app: TopApp, pilot: Pilot[None]) -> str:
    """Wait until the sample that was asked for is on the screen, and return the screen."""
    await app.workers.wait_for_complete()
    await pilot.pause()
    return "\n".join(text_of(app))


def on_screen(
    view: Watched, act: Callable[[TopApp, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)
) -> TopApp:
    """Run the app on a screen of that size, with no sample but those that *act* asks for."""
    app = TopApp(view.sampler, 3600)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await act(app, cast("Pilot[None]", pilot))

    asyncio.run(run())
    return app


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_screen_shows_all_of_it(log: Path, size: tuple[int, int]) -> None:
    with walogs.open(log, max_segment_size=2000) as wal, wal.cursor("mailer") as mailer, wal.cursor("b"):
        append(wal, 40)
        mailer.commit(3)
        view = watched(log)

        async def act(app: TopApp, pilot: Pilot[None]) -> None:
            assert "measuring" in await looked(app, pilot)
            append(wal, 10)
            view.clock.now += 1
            app.look()
            shown = await looked(app, pilot)
            assert shown.splitlines()[0].strip().endswith("every 3600 s")
            assert "[b]orders.wal" in shown
            assert re.search(r"writer +\d+@\S+, open now, opened 20", shown)
            assert "entries  1 to 50 (50 entries)" in shown
            assert "entries/s 10   commits/s 10   entries/commit 1   bytes/s 1.5 KiB" in shown
            assert "█" in shown
            assert f"segments: {len(list(log.glob('wal-*.log')))}, " in shown
            assert max(path.name for path in log.glob("wal-*.log")) in shown
            assert "cursors: 2" in shown
            assert re.search(r"mailer +3 +47 +\S+ m?s +\d+@", shown)
            wal.checkpoint(20)
            view.clock.now += 1
            app.look()
            shown = await looked(app, pilot)
            assert f"Z checkpointed: the log begins at entry {wal.first_lsn} now" in shown
            assert "CANNOT CONTINUE: a checkpoint has removed" in shown
            assert len(shown.splitlines()) <= size[1]
            assert max(map(len, shown.splitlines())) <= size[0]

        on_screen(view, act, size)


def test_the_screen_tells_damage_and_goes_on(log: Path, tmp_path: Path) -> None:
    made(log, *[DATA] * 10)
    view = watched(log)

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await looked(app, pilot)
        log.rename(tmp_path / "away")
        app.look()
        shown = await looked(app, pilot)
        assert "no log is there now; still looking" in shown
        assert "no figures: the log cannot be read" in shown
        assert "1 to 10 (10 entries)" in shown
        (tmp_path / "away").rename(log)
        app.look()
        shown = await looked(app, pilot)
        assert "the log can be read again" in shown
        assert "still looking" not in shown

    on_screen(view, act)


def test_p_pauses_and_q_quits(log: Path) -> None:
    with walogs.open(log) as wal:
        append(wal, 10)
        view = watched(log)

        async def act(app: TopApp, pilot: Pilot[None]) -> None:
            await looked(app, pilot)
            await pilot.press("p")
            assert "paused" in await looked(app, pilot)
            append(wal, 10)
            view.clock.now += 1
            app.look()
            assert "1 to 10 (10 entries)" in await looked(app, pilot), "nothing is looked at in a pause"
            await pilot.press("p")
            shown = await looked(app, pilot)
            assert "1 to 20 (20 entries)" in shown
            assert "paused" not in shown
            assert "measuring" in shown, "no rate spans the pause"
            assert app.is_running
            await pilot.press("q")
            await pilot.pause()

        app = on_screen(view, act)
        assert app.return_code == 0
        assert app._exit


def test_q_quits_while_a_slow_store_is_asked(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(log, DATA)
    view = watched(log)
    is_asked, may_answer = Event(), Event()
    take = view.sampler.take

    def slow() -> Sample:
        is_asked.set()
        assert may_answer.wait(60)
        return take()

    monkeypatch.setattr(view.sampler, "take", slow)

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await asyncio.to_thread(is_asked.wait, 60)
        await pilot.press("q")
        await pilot.pause()
        assert app._exit
        asyncio.get_running_loop().call_later(0.2, may_answer.set)

    app = on_screen(view, act)
    assert app.return_code == 0
    app._show(take())  # the answer that comes when the screen is gone


def test_it_looks_again_by_itself(log: Path) -> None:
    with walogs.open(log) as wal:
        view = watched(log)
        app = TopApp(view.sampler, 0.01)

        async def run() -> None:
            async with app.run_test(size=(80, 24)) as pilot:
                await looked(app, cast("Pilot[None]", pilot))
                append(wal, 7)
                while "1 to 7 (7 entries)" not in "\n".join(text_of(app)):
                    view.clock.now += 1
                    await pilot.pause(0.01)

        asyncio.run(run())
