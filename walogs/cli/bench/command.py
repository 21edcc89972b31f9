"""`walogs bench`: measure what a durable log costs on this disk, in a directory that is removed afterwards."""

from __future__ import annotations

import json
import os
import platform
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

from cyclopts import Parameter

from walogs.assembly.choice import component
from walogs.assembly.config import WalConfig, config_error, overridden
from walogs.cli.bench.entries import ENTRY_SIZE_MIN, differs
from walogs.cli.bench.report import Circumstances, facts_of, lines_of
from walogs.cli.bench.rows import OTHER_STEPS, Figures, Request, measure
from walogs.cli.doctor.place import nearest
from walogs.cli.lines import step_bar
from walogs.cli.log_argument import CONFIG, LOG, Components, file_and_name, refuse_components, with_components
from walogs.cli.numbers import FromOne, read_as
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.paths import typed_path
from walogs.cli.release import release
from walogs.cli.status import DONE, WrongUsage, printable
from walogs.defaults.directory import LOCK
from walogs.defaults.local_store import DURABLE_MARK, LocalStore
from walogs.defaults.mounts import file_system
from walogs.errors import Corrupt
from walogs.foundation.local_paths import local_path
from walogs.foundation.quantities import DURATION, SIZE
from walogs.protocols import Codec, SyncPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cyclopts import Token

BATCH: Final = 1000
THREADS: Final = (1, 16, 64)
THREADS_MAX: Final = 1024
SECONDS_MAX: Final = 86_400


ENTRY_SIZE: Final = read_as(
    SIZE, lambda size: size >= ENTRY_SIZE_MIN, f"{ENTRY_SIZE_MIN} bytes or more: an entry contains its number"
)
SECONDS: Final = read_as(DURATION, lambda seconds: 0 < seconds <= SECONDS_MAX, "more than 0 seconds, at most a day")


def numbers_of_threads(wanted: object, tokens: Sequence[Token]) -> tuple[int, ...]:
    words = [word.strip() for token in tokens for word in token.value.split(",")]
    if not all(word.isdecimal() and len(word) <= 9 and 1 <= int(word) <= THREADS_MAX for word in words):
        raise ValueError(f"numbers from 1 to {THREADS_MAX}, with commas between them")
    return tuple(map(int, words))


ThreadNumbers: TypeAlias = Annotated[
    tuple[int, ...],
    Parameter(
        converter=numbers_of_threads,
        negative="",
        show_default=lambda numbers: ",".join(map(str, numbers)),
        help="How many threads append at once: numbers with commas, or repeated. One is always measured.",
    ),
]


class Place(NamedTuple):
    """The directory in which is measured, and the components that are measured."""

    directory: Path
    log: str | None
    store: str
    log_at: Callable[[str], tuple[str | None, WalConfig]]


@with_components
def bench(
    directory: Annotated[
        Path | None,
        Parameter(
            name="DIR",
            converter=typed_path,
            show_default=False,
            help="A directory on the disk to measure, which is no log; without it, the working directory.",
        ),
    ] = None,
    /,
    *,
    entry_size: Annotated[int, ENTRY_SIZE, Parameter(help="Bytes in an entry: 128, 4KiB.")] = 128,
    seconds: Annotated[float, SECONDS, Parameter(help="How long each row is measured: 1.5, 500ms.")] = 1.0,
    threads: ThreadNumbers = THREADS,
    batch: Annotated[
        FromOne | None,
        Parameter(
            show_default=False,
            help=f"Entries in a batch; without it {BATCH:,}, or as many as a batch of this log may have.",
        ),
    ] = None,
    store: Annotated[str | None, Parameter(show_default=False, help="Store to measure; without it: local.")] = None,
    codec: Annotated[str | None, Parameter(show_default=False, help="Codec to measure; without it: crc32.")] = None,
    config: Annotated[Path | None, CONFIG, Parameter(show_default=False)] = None,
    log: Annotated[str | None, LOG, Parameter(show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Measure what a durable log costs on this disk: appends beside bare writes, threads, batches, reading, opening.

    The command works in a new directory in DIR, or beside the log of --log with the components of that log, and removes
    the directory afterwards. It touches no existing log and calls no observer. A row ends early when its log holds
    1 GiB of data. All entries are read back and compared before a figure is printed. If an entry differs, no figure is
    printed, and the exit status is 1.
    """
    components = Components(store, codec)
    if log is not None or config is not None:
        refuse_components(components)
        place = place_by_configuration(directory, config, log)
    else:
        place = plain_place(directory, components)
    refuse_what_is_a_log(place.directory)
    about, figures = measure_at(place, entry_size=entry_size, seconds=seconds, threads=threads, batch=batch)
    if as_json:
        print(json.dumps(facts_of(about, figures), indent=2))
    else:
        print_text(map(printable, lines_of(about, figures)))
    return DONE


def measure_at(
    place: Place, *, entry_size: int, seconds: float, threads: tuple[int, ...], batch: int | None
) -> tuple[Circumstances, Figures]:
    """Measure in a new directory in *place*, and remove the directory.

    Raises `ConfigError` if the log would refuse such entries or batches, and `Differs` if an entry is read back wrong.
    """
    many = tuple(dict.fromkeys(number for number in threads if number > 1))
    with (
        treat_signals_as_interrupts(),
        scratch_in(place.directory) as scratch,
        step_bar(OTHER_STEPS + len(many)) as begin,
    ):
        _, limits = place.log_at(os.path.join(scratch, "log"))
        batch_size = batch_within(limits, entry_size, batch)
        about = describe_circumstances(place, limits, entry_size, batch_size, seconds)
        try:
            figures = measure(
                Request(
                    place=scratch,
                    log_at=place.log_at,
                    entry_size=entry_size,
                    seconds=seconds,
                    threads=many,
                    batch=batch_size,
                ),
                begin,
            )
        except Corrupt as error:
            raise differs("reading back", error.damage.rstrip(".")) from error
        except KeyboardInterrupt:  # drop the notes about a log that is removed now
            raise KeyboardInterrupt from None
    return about, figures


def plain_place(directory: Path | None, components: Components) -> Place:
    config = overridden(None, components.by_key())
    return Place(
        directory=directory or Path.cwd(), log=None, store=str(config.store), log_at=lambda path: (path, config)
    )


def place_by_configuration(directory: Path | None, config: Path | None, log: str | None) -> Place:
    """Return the place beside the log of a configuration file, or, if that directory is missing, the nearest above it.

    Raises `WrongUsage` if the command line names DIR too, and `ConfigError` if the file is wrong or the log is on no
    local disk.
    """
    if directory is not None:
        raise WrongUsage(f"the place is named twice: {os.fspath(directory)!r}, and by --config or --log; leave one out")
    from walogs.config_file.file import examine, load_config, missing_path, refuse
    from walogs.config_file.log import ADDRESS

    file, name = file_and_name(config, log)
    examined = examine(file)
    refuse(examined.problems)
    found = examined.log(name)
    if found.path is None:
        refuse([missing_path(file, found)])
    elif not ADDRESS.fullmatch(found.path):
        load = partial(load_config, file, log=name, observers=(), verify="full")
        beside = Path(nearest(os.path.dirname(found.path)))
        return Place(
            directory=beside, log=name, store=found.components["store"].name, log_at=lambda path: load(path=path)
        )
    raise config_error(f"{file}: {found.key}.path={found.path!r}: on no disk of this machine; name a DIR, not --log")


def batch_within(config: WalConfig, entry_size: int, batch: int | None) -> int:
    """Return the number of entries in a batch. Raises `ConfigError` if the log would refuse such entries or batches."""
    if entry_size > config.max_entry_size:
        raise config_error(f"--entry-size {entry_size}: max_entry_size of this log is {config.max_entry_size} bytes")
    fits = max((config.max_batch_size - 4) // (entry_size + 4), 1)
    if batch is not None and batch > fits:
        raise config_error(f"--batch {batch}: max_batch_size of this log is {fits} entries of {entry_size} bytes")
    return batch or min(BATCH, fits)


def refuse_what_is_a_log(directory: Path) -> None:
    """Raise `ConfigError` if *directory* is missing, or is itself the directory of a log."""
    local_path(directory, "DIR")
    if not directory.is_dir():
        raise config_error(f"{directory}: there is no such directory; make it, or name another on the disk to measure")
    store = LocalStore(directory)
    names = (*map(store.segment_name, store.segments()), DURABLE_MARK, LOCK)
    found = next((name for name in names if (directory / name).exists()), None)
    if found is not None:
        move = "name the directory above it, or another on the same disk"
        raise config_error(f"{directory} is the directory of a log, which has it for itself ({found}); {move}")


@contextmanager
def treat_signals_as_interrupts() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the directory is removed before the process ends."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def scratch_in(directory: Path) -> TemporaryDirectory[str]:
    """Return a new directory that is removed when its `with` block ends. Raises `OSError`."""
    try:
        return TemporaryDirectory(prefix="walogs-bench-", dir=directory)
    except OSError as error:
        error.add_note("Nothing was measured: name a DIR that you may write into.")
        raise


def describe_circumstances(
    place: Place, config: WalConfig, entry_size: int, batch: int, seconds: float
) -> Circumstances:
    codec = component("codec", config.codec, Codec)
    policy = component("sync", config.sync, SyncPolicy)
    return Circumstances(
        directory=os.path.abspath(place.directory),
        file_system=file_system(os.stat(place.directory).st_dev),
        python=platform.python_version(),
        walogs=release(),
        log=place.log,
        store=place.store,
        codec=codec.name,
        sync=policy.name,
        durability=policy.durability,
        entry_size=entry_size,
        batch=batch,
        seconds=seconds,
    )
