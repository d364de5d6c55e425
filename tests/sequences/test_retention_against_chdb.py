"""The retention kernel against ClickHouse's own `retention()`, over many random users."""

import numpy as np
import pytest

from upswing.core.calendar import Calendar
from upswing.core.units import DAY
from upswing.sequences.batch import Sequences, run
from upswing.sequences.periods import PeriodGrid
from upswing.sequences.retention import RetentionKernel

chdb = pytest.importorskip("chdb")

USERS, DAYS, LAGS = 20_000, 9, 6


def test_recurring_cohorts_by_day(tmp_path):
    rng = np.random.default_rng(20261123)
    n = 6 * USERS
    users = np.sort(rng.integers(0, USERS, n))
    times = rng.integers(0, DAYS * DAY, n)
    times[rng.random(n) < 0.2] //= DAY
    times[times < DAYS] *= DAY  # a fifth of the events at midnight exactly
    order = np.lexsort((times, users))
    users, times = users[order], times[order]
    marks = rng.integers(0, 4, n).astype(np.uint8)
    keys, starts = np.unique(users, return_index=True)
    batch = Sequences(keys, np.append(starts, n).astype(np.int64), times, marks)
    grid = PeriodGrid.of(Calendar("UTC").edges("day", 0, (DAYS + LAGS) * DAY))
    kernel = RetentionKernel(grid=grid, n_cohorts=DAYS, start=0, stop=DAYS * DAY, n_lags=LAGS, horizon=DAYS * DAY)
    counts = run(kernel, [batch], lambda a, b: a + b)
    file = tmp_path / "events.csv"
    np.savetxt(file, np.column_stack((users, times // DAY, marks)), fmt="%d", delimiter=",")
    for cohort in range(DAYS):
        later = ", ".join(f"bitAnd(m, 2) = 2 AND d = {cohort + lag}" for lag in range(1, LAGS))
        sums = ", ".join(f"sum(r[{i + 1}])" for i in range(LAGS))
        answer = chdb.query(
            f"SELECT {sums} FROM (SELECT retention(bitAnd(m, 1) = 1 AND d = {cohort}, {later}) AS r "
            f"FROM file('{file}', CSV, 'u Int64, d Int64, m UInt8') GROUP BY u)",
            "CSV",
        )
        assert [int(x) for x in str(answer).strip().split(",")] == counts.retained[0, cohort].tolist()
        assert counts.sizes[0, cohort] == counts.retained[0, cohort, 0]
