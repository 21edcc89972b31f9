"""walogs in columns: what pyarrow, Polars and DuckDB read without a Python object for each entry.

duckdb.sql("select count(*), max(time) from wal")  # wal: a `Wal`, a `WalReader`, or what its `to_arrow` returns

It needs pyarrow, which the extra `walogs[arrow]` installs. The verbs are those of the handles: `to_arrow`,
`arrow_batches` and `append_arrow`. docs/analytics.md shows how they are used.
"""

from walogs.foundation.pip_command import pip_install

try:
    from walogs.arrow.log_columns import LogColumns
    from walogs.arrow.record_batches import SCHEMA
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pyarrow":
        raise
    raise ModuleNotFoundError(
        f"columns of a log need pyarrow: {pip_install('walogs', 'arrow')}", name="pyarrow"
    ) from error

__all__ = ["SCHEMA", "LogColumns"]
