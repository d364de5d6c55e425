"""Logs at the edge: nobody in them, or one user who did everything."""

import duckdb
import pytest

from upswing.core.errors import UpswingError
from upswing.workspace import Workspace

QUESTIONS = {
    "funnel": {"steps": ["view", "pay"], "within": "7d"},
    "retention": {"start_event": "view", "period": "day", "periods": 3},
    "lifecycle": {"period": "day"},
    "stickiness": {},
    "paths": {"session_gap": "none"},
    "interval": {"event": "view"},
    "distribution": {"event": "view"},
}


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """A million events of one user, a second apart, and one event of another."""
    root = tmp_path_factory.mktemp("heavy")
    duckdb.sql(
        "SELECT 'robot' AS uid, TIMESTAMP '2026-01-05' + INTERVAL (i) SECOND AS ts, "
        "CASE WHEN i % 2 = 0 THEN 'view' ELSE 'pay' END AS name FROM range(1000000) t(i) "
        "UNION ALL SELECT 'guest', TIMESTAMP '2026-01-05', 'view'"
    ).write_parquet(str(root / "e.parquet"))
    with Workspace.create(root / "ws") as workspace:
        assert (
            workspace.import_events([root / "e.parquet"], user="uid", time="ts", event="name").rows_added == 1_000_001
        )
        yield workspace


def test_one_user_with_a_million_events(heavy):
    found = heavy.funnel(**QUESTIONS["funnel"])
    assert [s.users for s in found.steps] == [2, 1]
    assert found.steps[1].median_seconds == 1
    assert heavy.funnel(**QUESTIONS["funnel"], count="totals").steps[1].users == 500_000
    assert heavy.distribution(event="view").total == 500_001
    assert heavy.interval(event="view", then="pay").count == 500_000
    assert [c.size for c in heavy.retention(**QUESTIONS["retention"]).cohorts][:2] == [2, 1]
    days = heavy.lifecycle(period="day").periods
    assert [(p.new, p.returning) for p in days[:2]] == [(2, 0), (0, 1)]
    whole = heavy.paths(session_gap="none", depth=3)
    assert (whole.paths, {n.name for n in whole.nodes if n.position == 2}) == (2, {"pay", "(end)"})


@pytest.mark.parametrize("verb", sorted(QUESTIONS))
def test_a_segment_of_nobody(heavy, verb):
    result = getattr(heavy, verb)(**QUESTIONS[verb], segment="user_id = 'nobody at all'")
    assert str(result.verdict()) is not None
    assert result.to_json()
    assert all(t.formatted() is not None for t in result.tables())
    assert not result.how.users


@pytest.mark.parametrize("verb", sorted(QUESTIONS))
def test_a_log_without_events(tmp_path, verb):
    with Workspace.create(tmp_path / "ws") as workspace, pytest.raises(UpswingError) as caught:
        getattr(workspace, verb)(**QUESTIONS[verb])
    assert caught.value.code in ("UP310", "UP302")
