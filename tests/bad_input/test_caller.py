"""Wrong arguments are refused before anything is changed, by an error that names what would be right."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.kit.codecs import DeflateCodec
from tests.kit.logs import ENTRIES, HEADER, LogOnDisk, frame_bytes, salt_of
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        ({"max_segmnt_size": 1}, ["max_segmnt_size", "did you mean 'max_segment_size'"]),
        ({"colour": "red"}, ["colour: no such key", "there are: store, codec"]),
        ({"a": 1, "b": 2}, ["a: no such key", "b: no such key"]),
        ({"max_segment_size": 0}, ["max_segment_size=0", "1 or more, or None"]),
        ({"max_segment_size": -1}, ["max_segment_size=-1"]),
        ({"max_segment_size": 1.5}, ["max_segment_size=1.5"]),
        ({"max_segment_size": "64"}, ["max_segment_size='64'"]),
        ({"max_segment_size": True}, ["max_segment_size=True"]),
        ({"max_entry_size": -1}, ["max_entry_size=-1", "0 or more"]),
        ({"max_entry_size": None}, ["max_entry_size=None"]),
        ({"max_entry_size": 1 << 31}, ["max_entry_size", "at most"]),
        ({"max_batch_size": 0}, ["max_batch_size=0", "1 to"]),
        ({"max_batch_size": 1 << 31}, ["max_batch_size"]),
        ({"recovery": "repair"}, ["recovery='repair'", "'acked' or 'prefix'"]),
        ({"recovery": None}, ["recovery=None"]),
        ({"verify": "none"}, ["verify='none'", "'full' or 'last'"]),
        ({"verify": ["full"]}, ["verify="]),
        ({"sync": "fdatasnyc"}, ["sync='fdatasnyc'", "did you mean 'fdatasync'"]),
        ({"sync": "sometimes"}, ["sync='sometimes'", "fdatasync, fsync, interval, none"]),
        ({"codec": "crc23"}, ["codec='crc23'", "did you mean 'crc32'"]),
        ({"store": "locale"}, ["store='locale'", "did you mean 'local'"]),
        ({"sync": 5}, ["sync=5"]),
        ({"sync": None}, ["sync=None"]),
        ({"codec": None}, ["codec=None"]),
        ({"codec": DeflateCodec}, ["codec="]),
        ({"sync": walogs.plugins.SyncPolicy}, ["sync="]),
        ({"sync": walogs.IntervalPolicy}, ["sync=", "did you mean IntervalPolicy()?"]),
        ({"codec": DeflateCodec}, ["did you mean DeflateCodec()?"]),
        ({"observers": [DeflateCodec]}, ["observers=", "names, or objects that are called"]),
        ({"observers": ["otle", 5]}, ["observer='otle'", "observers=5"]),
        ({"max_segment_size": 0, "verify": "x", "recovery": "y"}, ["max_segment_size=0", "verify='x'", "recovery='y'"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_a_wrong_option_is_named_with_what_would_be_right(
    tmp_path: Path, options: dict[str, Any], phrases: list[str]
) -> None:
    with pytest.raises(walogs.ConfigError) as refused:
        walogs.open(tmp_path / "log", **options)
    for phrase in phrases:
        assert phrase in str(refused.value)
    assert refused.value.problems
    assert isinstance(refused.value, ValueError)
    assert not (tmp_path / "log").exists()


ALL_AT_ONCE: Final[dict[str, Any]] = {
    "max_entry_size": -3, "verify": "y", "sync": "x", "codec": "zz", "observers": ["nobody"], "max_segmnt_size": 1,
}  # fmt: skip


@pytest.mark.parametrize("left_out", [None, *ALL_AT_ONCE, "path"])
def test_all_mistakes_are_told_at_once_whatever_they_concern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = {key: value for key, value in ALL_AT_ONCE.items() if key != left_out}
    with pytest.raises(walogs.ConfigError) as refused:
        walogs.open("log" if left_out == "path" else "s3://bucket/log", **wrong)
    problems = refused.value.problems
    told = {problem.partition("=")[0].partition(":")[0].replace("observer", "observers") for problem in problems}
    assert told == {*wrong, "path"} - {"path" if left_out == "path" else None}
    assert len(problems) == len(told)
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_with_an_unknown_key_says_what_was_meant() -> None:
    with pytest.raises(
        walogs.ConfigError, match="max_segmnt_size: no such key; did you mean 'max_segment_size'"
    ) as refused:
        walogs.WalConfig(max_segmnt_size=1, colour="red")  # type: ignore[call-arg]
    assert len(refused.value.problems) == 2
    assert pickle.loads(pickle.dumps(walogs.WalConfig(verify="last"))) == walogs.WalConfig(verify="last")


OWN_KEYWORDS: Final[dict[str, tuple[Callable[..., object], str, str]]] = {
    "open": (walogs.open, "confg", "config"),
    "reader": (walogs.reader, "visible", "visibility"),
    "verify": (walogs.verify, "progres", "progress"),
    "salvage": (walogs.salvage, "pth", "path"),
    "salvage_into": (lambda path, **options: walogs.salvage_into(path, "new", **options), "cnfig", "config"),
    "repair": (walogs.repair, "dry_rum", "dry_run"),
    "repair, one side": (walogs.repair, "kep", "keep"),
    "backup": (lambda path, **options: walogs.backup(path, "copy", **options), "progress_", "progress"),
    "open_config": (walogs.open_config, "lg", "log"),
    "load_config": (walogs.load_config, "pathh", "path"),
}


@pytest.mark.parametrize(("function", "typed", "meant"), OWN_KEYWORDS.values(), ids=OWN_KEYWORDS.keys())
def test_a_function_s_own_keywords_are_among_those_that_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Callable[..., object], typed: str, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(walogs.ConfigError, match=f"{typed}: no such key; did you mean '{meant}'"):
        function("x", **{typed: 1})
    with pytest.raises(walogs.ConfigError, match=rf"colour: no such key \(there are: store, codec, .*{meant}"):
        function("x", colour="red")


def test_every_function_with_keywords_of_its_own_is_among_those_that_are_tried() -> None:
    public = [getattr(walogs, name) for name in walogs.__all__]
    takes_keywords = {
        function.__name__
        for function in public
        if inspect.isfunction(function)
        and any(one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values())
    }
    assert takes_keywords == {name.partition(",")[0] for name in OWN_KEYWORDS}


def test_what_has_no_effect_on_reading_is_not_what_a_reading_verb_suggests(tmp_path: Path) -> None:
    for verb in (walogs.reader, walogs.verify, walogs.repair):
        with pytest.raises(walogs.ConfigError) as refused:
            verb(tmp_path / "log", max_segmnt_size=1)  # type: ignore[call-arg]
        assert "max_segment_size" not in str(refused.value)


READING: Final[dict[str, Callable[..., object]]] = {
    "reader": walogs.reader,
    "verify": walogs.verify,
    "salvage": walogs.salvage,
    "repair": walogs.repair,
    "backup": lambda path, **options: walogs.backup(path, path.parent / "copy", **options),
}


@pytest.mark.parametrize("verb", READING.values(), ids=READING.keys())
def test_what_has_no_effect_on_reading_is_refused_there(log: LogOnDisk, verb: Callable[..., object]) -> None:
    before = log.looks()
    with pytest.raises(walogs.ConfigError) as refused:
        verb(log.path, sync="none", max_segment_size=1, colour="red", codec="zz")
    assert [problem.partition("=")[0].partition(":")[0] for problem in refused.value.problems] == [
        "colour", "sync", "max_segment_size", "codec",
    ]  # fmt: skip
    assert "it has no effect on reading" in str(refused.value)
    assert log.looks() == before
    verb(
        log.path, config=walogs.WalConfig(sync="none", max_segment_size=1)
    )  # only the part that concerns a log's own configuration


def test_a_path_and_a_configuration_come_in_one_order(log: LogOnDisk) -> None:
    config = walogs.WalConfig(verify="last")
    for verb in (walogs.open, walogs.reader, walogs.verify, walogs.salvage, walogs.repair):
        found = verb(log.path, config)  # type: ignore[operator]
        if isinstance(found, walogs.Wal | walogs.WalReader):
            found.close()
    with pytest.raises(walogs.ConfigError, match=r"did you mean visibility='written'\?"):
        walogs.reader(log.path, "written")  # type: ignore[arg-type]


@pytest.mark.parametrize("progress", [5, "bar", walogs.WalConfig()], ids=["a number", "text", "a configuration"])
def test_a_progress_that_cannot_be_called_is_refused_before_anything_is_made(log: LogOnDisk, progress: Any) -> None:
    before = log.looks()
    for verb in (walogs.backup, walogs.verify):
        given = (log.path, log.path.parent / "copy") if verb is walogs.backup else (log.path,)
        with pytest.raises(
            walogs.ConfigError, match=r"progress=.*: None, or what is called with two numbers"
        ) as refused:
            verb(*given, progress=progress)  # type: ignore[operator]
        assert ("did you mean config=" in str(refused.value)) == isinstance(progress, walogs.WalConfig)
    assert list(log.path.parent.iterdir()) == [log.path]
    assert log.looks() == before


def test_help_calls_a_function_as_it_is_called() -> None:
    wrong = [name for name in walogs.__all__ if inspect.isfunction(it := getattr(walogs, name)) and it.__name__ != name]
    assert wrong == []


@pytest.mark.parametrize("store", [5, None, object(), MemoryStore], ids=["a number", "None", "an object", "a class"])
def test_a_store_that_is_none_is_named(store: Any) -> None:
    with pytest.raises(walogs.ConfigError, match="store="):
        walogs.open(store=store)


def test_a_store_object_with_a_path_is_one_place_too_many(tmp_path: Path) -> None:
    for store in (MemoryStore(MemoryDisk()), MemoryImmutableStore(MemoryCloud())):
        with pytest.raises(walogs.ConfigError, match="with a store object there is no path"):
            walogs.open(tmp_path / "log", store=store)
    assert not (tmp_path / "log").exists()


def test_a_store_by_name_without_a_path_is_one_place_too_few() -> None:
    with pytest.raises(walogs.ConfigError, match="path=None: the store 'local' needs one"):
        walogs.open()


@pytest.mark.parametrize("path", ["", 7, b"bytes", None, "a\0b"], ids=repr)
def test_a_path_that_is_none_is_refused_by_name(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError)) as refused:
        walogs.open(path)
    assert "string pattern" not in str(refused.value), "an error of ours, not of a regular expression"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.guarantee("G19")
@pytest.mark.parametrize("models", ["none", "page-cache"])
@pytest.mark.parametrize("sync", ["fdatasync", "fsync"])
def test_a_store_that_cannot_keep_a_promise_is_refused_by_a_policy_that_makes_it(models: Any, sync: str) -> None:
    disk = MemoryDisk()
    with pytest.raises(walogs.ConfigError, match=rf"sync='{sync}' promises durable.*{models}.*sync='none'"):
        walogs.open(store=MemoryStore(disk, models=models), sync=sync)
    assert disk.cached_names() == []
    with walogs.open(store=MemoryStore(disk, models=models), sync="none") as wal:
        assert wal.append(b"one") == 1


def test_a_key_that_is_set_twice_or_by_position_is_pythons_own_complaint(tmp_path: Path) -> None:
    config = walogs.WalConfig(max_segment_size=1)
    with walogs.open(tmp_path / "log", config, max_entry_size=5) as wal, pytest.raises(walogs.EntryTooLarge):
        wal.append(b"123456")
    with pytest.raises((TypeError, walogs.ConfigError)):
        walogs.open(tmp_path / "other", {"max_segment_size": 1})  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()


def test_entries_is_the_kind_of_every_frame_that_was_forged() -> None:
    """Check that the helper makes the frames that the library would write."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        wal.append(b"data")
        written = disk.cached("wal-000001.log")
        (commit,) = wal.commits()
    link = written[16:24]  # no frame comes before this one
    own = frame_bytes(salt_of(written), HEADER, b"data", kind=ENTRIES, time_ns=commit.time_ns, link=link)
    assert written[HEADER : HEADER + len(own)] == own
