"""Import modules at first use, although a signal handler may interrupt the import.

`import walogs` loads only the modules that an append needs. Functions import the others when they run. A signal handler
can run in the middle of such an import, in the same thread, and call the same function. Python then gives it a module
that is only partly loaded. The handler gets an error that it expects from walogs: `Reentered`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from walogs.errors import Reentered

if TYPE_CHECKING:
    from types import TracebackType

HALF: Final = "partially initialized module"
"""CPython 3.11 to 3.15 use these words in the error for a name that such a module does not have yet."""


class LazyImport:
    """Turn an import that found a partly loaded module into `Reentered`.

    Write `with lazy_import: from module import name`. An `import module` alone does not look up a name, and so does not
    notice.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (ImportError, AttributeError)) and HALF in str(error):
            raise Reentered(
                f"walogs was called in the middle of an import of this thread, as a signal handler can: {error}."
                " Nothing was done. Call it again when that import has ended."
            ) from error


lazy_import: Final = LazyImport()


def log_warning(message: str, *facts: object) -> None:
    """Log a warning about something that loses no entry.

    `logging` is imported here, because it would make up a quarter of the time of `import walogs`. In the middle of an
    import of `logging` the warning is dropped, so that no verb fails because of it.
    """
    with suppress(Reentered), lazy_import:
        from logging import getLogger

        getLogger("walogs").warning(message, *facts)
