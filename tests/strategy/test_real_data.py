"""What the guide says of a real network's messages, through the public verbs."""

import duckdb
import pytest

from tests.realdata import data_file
from upswing.workspace import Workspace

EVENTS = """
    WITH m AS (SELECT source_user AS s, target_user AS t, make_timestamp(unixts * 1000000) AS moment,
                      row_number() OVER (ORDER BY unixts, source_user, target_user) AS i FROM read_parquet($file)),
    x AS (SELECT *, row_number() OVER (PARTITION BY s, t ORDER BY i) = 1 AS fresh,
                 EXISTS (SELECT 1 FROM m AS b WHERE b.s = m.t AND b.t = m.s AND b.i < m.i) AS answers FROM m)
    SELECT 'u' || s AS "user", moment AS time, 'sent' AS event FROM x
    UNION ALL SELECT 'u' || t, moment, 'received' FROM x
    UNION ALL SELECT 'u' || s, moment, 'new_partner' FROM x WHERE fresh
    UNION ALL SELECT 'u' || t, moment, 'reply_received' FROM x WHERE answers AND fresh
    UNION ALL SELECT 'u' || s, moment, 'replied' FROM x WHERE answers AND fresh"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    source = data_file("collegemsg/CollegeMsg.parquet")
    folder = tmp_path_factory.mktemp("network")
    con = duckdb.connect()
    con.execute(f"CREATE TABLE e AS {EVENTS}", {"file": str(source)})
    con.execute(f"COPY e TO '{folder / 'events.parquet'}' (FORMAT parquet)")
    with Workspace.create(folder / "ws") as workspace:
        workspace.import_events([folder / "events.parquet"], user="user", time="time", event="event")
        yield workspace


def test_answers_are_what_is_left_among_like_users(network):
    behaviours = ["received", "new_partner", "reply_received", "replied"]
    question = {"start_event": "sent", "outcome": "sent", "after": "14d", "until": "28d", "windows": "1d,3d,7d"}
    answer = network.aha(**question, behaviours=behaviours)
    assert {f.behaviour for f in answer.of("confirmed")} == {"reply_received", "new_partner"}
    assert {f.behaviour for f in answer.of("explained")} == {"replied", "received"}
    assert (answer.recommended.behaviour, answer.recommended.count) == ("reply_received", 5)
    raw = network.aha(**question, behaviours=behaviours, activity="none")
    assert {f.behaviour for f in raw.of("confirmed")} == set(behaviours)


def test_the_loop_breaks_before_an_answer(network):
    answer = network.hook(
        trigger="received", action="sent", reward="reply_received", investment="new_partner", within="1d", returns="7d"
    )
    assert answer.whole.break_point.target == "reward"
    assert [round(a.rate.estimate, 3) for a in answer.whole.arcs] == [0.523, 0.322, 0.619, 0.994]
