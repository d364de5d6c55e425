"""Columns of an embedded log whose names mean something else to the engine: they get other ones.

A column ``rowid`` hides DuckDB's own number of a row, by which rows are ordered, bounded and deleted. New properties
never get such a column (`layout.RESERVED_COLUMNS`); logs from before may have one.
"""

from __future__ import annotations

from typing import Final

import duckdb
from sqlglot import exp

from upswing.engines.layout import RESERVED_COLUMNS, SYSTEM_COLUMNS
from upswing.sql.template import q

_OWN: Final = frozenset(RESERVED_COLUMNS) - frozenset(SYSTEM_COLUMNS)


def free_column(wanted: str, taken: set[str]) -> str:
    """The column for a property: its own name where that is free, else one like it.

    Args:
        wanted: name of the property.
        taken: names of columns in use, case-folded, as DuckDB knows no difference.

    Examples:
        >>> free_column("price", set()), free_column("RowId", set()), free_column("time", {"time_property"})
        ('price', 'RowId_property', 'time_property_2')
    """
    column = f"{wanted}_property" if wanted.casefold() in RESERVED_COLUMNS else wanted
    found, n = column, 2
    while found.casefold() in taken or found.casefold() in RESERVED_COLUMNS:
        found, n = f"{column}_{n}", n + 1
    return found


def reserved_columns(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    """Columns of the log's events that have a reserved name.

    Args:
        connection: of the instance that has the log.
        catalog: what the log is called there.
    """
    columns = _columns(connection, catalog, "events") if _columns(connection, catalog, "properties") else []
    return [column for column in columns if column.casefold() in _OWN]


def release_reserved(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Rename columns that have a reserved name; their properties keep theirs. All or nothing.

    Args:
        connection: of the instance that has the log, for writing.
        catalog: what the log is called there.
    """
    found = reserved_columns(connection, catalog)
    if not found:
        return
    taken = {column.casefold() for column in _columns(connection, catalog, "events")}
    connection.execute("BEGIN TRANSACTION")
    try:
        for column in found:
            new = free_column(column, taken)
            taken.add(new.casefold())
            renaming = (
                "ALTER TABLE", exp.table_("events", db="main", catalog=catalog, quoted=True).sql("duckdb"),
                "RENAME COLUMN", _quoted(column), "TO", _quoted(new),
            )  # fmt: skip
            connection.execute(" ".join(renaming))
            listed = exp.update(
                exp.table_("properties", db="main", catalog=catalog, quoted=True), {"column_name": new},
                where=exp.column("column_name").eq(column),
            )  # fmt: skip
            connection.execute(listed.sql("duckdb"))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _columns(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> list[str]:
    tree = q(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = $catalog AND schema_name = 'main' "
        "AND table_name = $table",
        catalog=catalog, table=table,
    )  # fmt: skip
    return [str(column) for (column,) in connection.execute(tree.sql("duckdb")).fetchall()]


def _quoted(column: str) -> str:
    return exp.to_identifier(column, quoted=True).sql("duckdb")
