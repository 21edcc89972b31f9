"""`walogs bench`: what a durable log costs on this disk, in a directory that is made for it and removed again."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from cyclopts import Parameter
from cyclopts.validators import Number

from walogs.assembly import component
from walogs.cli import show
from walogs.cli.bench_entries import ENTRY_SIZE_MIN, differs
from walogs.cli.bench_report import Measured, facts_of, lines_of
from walogs.cli.bench_rows import OTHER_STEPS, Asked, measured
from walogs.cli.lines import step_bar
from walogs.cli.log_argument import CONFIG, LOG, file_and_name
from walogs.cli.place import nearest
from walogs.cli.release import release
from walogs.cli.status import DONE, WrongUsage, printable
from walogs.config import WalConfig, config_error
from walogs.defaults.local_store import LOCK, WITNESS, LocalStore
from walogs.defaults.mounts import file_system
from walogs.errors import Corrupt
from walogs.protocols import Codec, SyncPolicy
from walogs.quantities import DURATION, SIZE, Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cyclopts import Token

BATCH: Final = 1000
THREADS: Final = (1, 16, 64)
THREADS_MAX: Final = 1024
SECONDS_MAX: Final = 86_400


def read_as(quantity: Quantity, allowed: Callable[[float], bool], what: str) -> Parameter:
    """Written as in a configuration file; *what* is allowed, for whoever has written something else."""

    def read(wanted: Any, tokens: Sequence[Token]) -> float:
        from walogs.config_values import text_as_value

        number = quantity.read(text_as_value(tokens[0].value, wanted))
        if not allowed(number):
            raise ValueError(what)
        return number

    return Parameter(converter=read)


ENTRY_SIZE: Final = read_as(
    SIZE, lambda size: size >= ENTRY_SIZE_MIN, f"{ENTRY_SIZE_MIN} bytes or more: an entry says which one it is"
)
SECONDS: Final = read_as(DURATION, lambda seconds: 0 < seconds <= SECONDS_MAX, "more than 0 seconds, at most a day")


def numbers_of_threads(wanted: object, tokens: Sequence[Token]) -> tuple[int, ...]:
    words = [word.strip() for token in tokens for word in token.value.split(",")]
    if not all(word.isdecimal() and len(word) <= 9 and 1 <= int(word) <= THREADS_MAX for word in words):
        raise ValueError(f"numbers from 1 to {THREADS_MAX}, with commas between them")
    return tuple(map(int, words))


class Place(NamedTuple):
    """Where is measured, and with what components."""

    directory: Path
    log: str | None
    store: str
    log_at: Callable[[str], tuple[str | None, WalConfig]]


def bench(
    directory: Annotated[
        Path | None,
        Parameter(
            name="DIR",
            show_default=False,
            help="A directory on the disk to measure, which is no log; without it, the working directory.",
        ),
    ] = None,
    /,
    *,
    entry_size: Annotated[int, ENTRY_SIZE, Parameter(help="Bytes in an entry: 128, 4KiB.")] = 128,
    seconds: Annotated[float, SECONDS, Parameter(help="How long each row is measured: 1.5, 500ms.")] = 1.0,
    threads: Annotated[
        tuple[int, ...],
        Parameter(
            converter=numbers_of_threads,
            negative="",
            show_default=lambda numbers: ",".join(map(str, numbers)),
            help="How many threads append at once, with commas, or once for each. One is always measured.",
        ),
    ] = THREADS,
    batch: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=1),
            show_default=False,
            help=f"Entries in a batch; without it {BATCH:,}, or as many as a batch of this log may have.",
        ),
    ] = None,
    config: Annotated[Path | None, CONFIG, Parameter(show_default=False)] = None,
    log: Annotated[str | None, LOG, Parameter(show_default=False)] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")] = False,
) -> int:
    """Measure what a durable log costs on this disk: appends beside bare writes, threads, batches, reading, opening.

    Everything is done in a new directory in DIR, or beside the log of --log with that log's components, and the
    directory is removed; no log that is there is touched, and no observer is told. A row ends early when its log holds
    1 GiB of data. What was appended is read back and compared before a figure is printed; where it is something else,
    none is, and the exit status is 1.
    """
    is_configured = log is not None or config is not None
    place = configured_place(directory, config, log) if is_configured else plain_place(directory)
    refuse_what_is_a_log(place.directory)
    many = tuple(dict.fromkeys(number for number in threads if number > 1))
    with interrupted_by_signals(), scratch_in(place.directory) as scratch, step_bar(OTHER_STEPS + len(many)) as begin:
        _, limits = place.log_at(os.path.join(scratch, "log"))
        batch_size = batch_within(limits, entry_size, batch)
        about = measured_at(place, limits, entry_size, batch_size, seconds)
        try:
            figures = measured(Asked(scratch, place.log_at, entry_size, seconds, many, batch_size), begin)
        except Corrupt as error:
            raise differs("reading back", str(error)) from error
        except KeyboardInterrupt:  # without what the append in its way says of its log, which is gone then
            raise KeyboardInterrupt from None
    if as_json:
        print(json.dumps(facts_of(about, figures), indent=2))
    else:
        encoding = sys.stdout.encoding if sys.stdout is not None else None
        for line in lines_of(about, figures):
            print(show.encodable(printable(line), encoding))
    return DONE


def plain_place(directory: Path | None) -> Place:
    return Place(directory or Path.cwd(), None, str(WalConfig().store), lambda path: (path, WalConfig()))


def configured_place(directory: Path | None, config: Path | None, log: str | None) -> Place:
    """Beside that log; until there is such a directory, in the nearest above it. Raises `WrongUsage`, and what a
    configuration file is refused with."""
    if directory is not None:
        raise WrongUsage(f"the place is named twice: {os.fspath(directory)!r}, and by --config or --log; leave one out")
    from walogs.config_file import examine, load_config, pathless, refuse
    from walogs.config_log import ADDRESS

    file, name = file_and_name(config, log)
    examined = examine(file)
    refuse(examined.mistakes)
    found = examined.log(name)
    if found.path is None:
        refuse([pathless(file, found)])
    elif not ADDRESS.fullmatch(found.path):
        load = partial(load_config, file, log=name, observers=(), verify="full")
        beside = Path(nearest(os.path.dirname(found.path)))
        return Place(beside, name, found.components["store"].name, lambda path: load(path=path))
    raise config_error(f"{file}: {found.key}.path={found.path!r}: on no disk of this machine; name a DIR, not --log")


def batch_within(config: WalConfig, entry_size: int, batch: int | None) -> int:
    """Entries in a batch. Raises `ConfigError` for what the log would refuse, before anything is measured."""
    if entry_size > config.max_entry_size:
        raise config_error(f"--entry-size {entry_size}: max_entry_size of this log is {config.max_entry_size} bytes")
    fits = max((config.max_batch_size - 4) // (entry_size + 4), 1)
    if batch is not None and batch > fits:
        raise config_error(f"--batch {batch}: max_batch_size of this log is {fits} entries of {entry_size} bytes")
    return batch or min(BATCH, fits)


def refuse_what_is_a_log(directory: Path) -> None:
    """Raise `ConfigError` where no directory can be made, or where only a log's files may be."""
    if not directory.is_dir():
        raise config_error(f"{directory}: there is no such directory; make it, or name another on the disk to measure")
    store = LocalStore(directory)
    names = (*map(store.segment_name, store.segments()), WITNESS, LOCK)
    found = next((name for name in names if (directory / name).exists()), None)
    if found is not None:
        move = "name the directory above it, or another on the same disk"
        raise config_error(f"{directory} is the directory of a log, which has it for itself ({found}); {move}")


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """What would end the process without a word is a Ctrl-C, so that nothing is left behind."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def scratch_in(directory: Path) -> TemporaryDirectory[str]:
    """A new directory, removed when its `with` ends, however that is."""
    try:
        return TemporaryDirectory(prefix="walogs-bench-", dir=directory)
    except OSError as error:
        error.add_note("Nothing was measured: name a DIR that you may write into.")
        raise


def measured_at(place: Place, config: WalConfig, entry_size: int, batch: int, seconds: float) -> Measured:
    codec = component("codec", config.codec, Codec)
    policy = component("sync", config.sync, SyncPolicy)
    return Measured(
        directory=os.path.abspath(place.directory),
        file_system=file_system(os.stat(place.directory).st_dev),
        python=platform.python_version(),
        walogs=release(),
        log=place.log,
        store=place.store,
        codec=codec.name,
        sync=policy.name,
        promise=policy.promise,
        entry_size=entry_size,
        batch=batch,
        seconds=seconds,
    )
