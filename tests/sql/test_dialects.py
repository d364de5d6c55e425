"""Each row of the table of differences, run on both engines."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from upswing.engines.clickhouse import InProcess
from upswing.engines.duckdb import connect
from upswing.sql.dialects import CLICKHOUSE, Difference, render
from upswing.sql.template import q

ROWS = """
    SELECT CAST('2026-01-01 10:00:00.123456' AS TIMESTAMP) AS time, CAST('2026-01-01 10:00:00.123456' AS TIMESTAMP) AS t,
        'b' AS s, CAST(7 AS BIGINT) AS n, CAST(1 AS DOUBLE) AS x
    UNION ALL SELECT CAST('1969-12-31 23:59:59.5' AS TIMESTAMP), CAST('1969-12-31 23:59:59.5' AS TIMESTAMP), '中文', -7, 2.5
    UNION ALL SELECT CAST('2025-06-01 00:00:00' AS TIMESTAMP), CAST('2025-06-01 00:00:00' AS TIMESTAMP), NULL, 0, NULL
    UNION ALL SELECT CAST('2025-06-01 00:00:01' AS TIMESTAMP), CAST('2025-06-01 00:00:01' AS TIMESTAMP), '1.5', 12, 40.0
"""


@pytest.fixture(scope="module")
def clickhouse():
    pytest.importorskip("chdb")
    transport = InProcess(None)
    yield transport
    transport.close()


@pytest.mark.parametrize("row", CLICKHOUSE, ids=lambda row: row.topic)
def test_both_engines_agree(row: Difference, clickhouse: InProcess, tmp_path: Path) -> None:
    aggregate = row.topic == "quantiles"
    order = "" if aggregate else " ORDER BY time"
    tree = q("SELECT " + row.example + " FROM (" + ROWS + ") AS r" + order)
    with connect(tmp_path) as connection:
        ours = connection.execute(tree.sql("duckdb")).fetchall()
    table: pa.Table = clickhouse.arrow(render(tree, "clickhouse"))
    theirs = [tuple(r) for r in zip(*(c.to_pylist() for c in table.columns), strict=True)]
    assert theirs == [tuple(map(plain, r)) for r in ours]


def plain(value):
    return pytest.approx(value) if isinstance(value, float) else value


def test_times_keep_microseconds_in_literals(clickhouse: InProcess) -> None:
    from datetime import UTC, datetime

    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    tree = q("SELECT epoch_us($m) AS t", m=moment)
    found = clickhouse.arrow(render(tree, "clickhouse")).to_pylist()
    assert found == [{"t": int(moment.timestamp() * 1_000_000)}]
    assert duckdb.sql(tree.sql("duckdb")).fetchall() == [(int(moment.timestamp() * 1_000_000),)]
