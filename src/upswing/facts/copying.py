"""Run-time facts into a file and back: one JSON object per line, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, func, select
from sqlalchemy import text as sql_text

from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.facts.database import Facts
from upswing.facts.migrations import LATEST
from upswing.facts.tables import METADATA, SESSIONS, VERSION

_LEFT_OUT: Final = frozenset({VERSION.name, SESSIONS.name})
"""Sessions are not worth keeping, and would be worth stealing."""


def dump(facts: Facts, path: Path) -> int:
    """Write everything but sessions, as of one moment.

    Returns:
        Number of rows.
    """
    rows = 0
    with facts.reading() as connection, path.open("w", encoding="utf-8") as out:
        if connection.dialect.name == "postgresql":
            connection.execute(sql_text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        out.write(json.dumps({"facts": LATEST}) + "\n")
        for table in METADATA.sorted_tables:
            if table.name not in _LEFT_OUT:
                for row in connection.execute(select(table)).mappings():
                    out.write(json.dumps({"table": table.name, "row": dict(row)}, ensure_ascii=False) + "\n")
                    rows += 1
    return rows


def load(facts: Facts, path: Path) -> int:
    """Put what `dump` wrote in the place of everything that is there; all or nothing.

    Returns:
        Number of rows.

    Raises:
        DataError: UP849 the file is not one of `dump`, or of another version.
    """
    rows: dict[str, list[dict[str, object]]] = {}
    with path.open(encoding="utf-8") as lines:
        if json.loads(next(lines, "{}")).get("facts") != LATEST:
            raise DataError(text("the run-time facts of the backup are of another version"), code="UP849")
        for line in lines:
            found = json.loads(line)
            rows.setdefault(found["table"], []).append(found["row"])
    with facts.writing() as connection:
        for table in reversed(METADATA.sorted_tables):
            if table.name != VERSION.name:
                connection.execute(table.delete())
        for table in METADATA.sorted_tables:
            if table.name in rows and table.name not in _LEFT_OUT:
                connection.execute(table.insert(), rows[table.name])
                _number_on(connection, table)
    return sum(map(len, rows.values()))


def _number_on(connection: Connection, table: Table) -> None:
    """Have PostgreSQL go on numbering after the rows that came with their numbers."""
    if connection.dialect.name != "postgresql" or not any(c.autoincrement is True for c in table.primary_key):
        return
    most = connection.execute(select(func.max(table.c.id))).scalar_one()
    connection.execute(
        sql_text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :most)"), {"name": table.name, "most": most}
    )
