"""Rooms plug into the review and the backlog by methods of agreed names: hand-made rooms, asked side by side."""

import numpy as np
import pytest

from tests.review.test_sizing import candidate
from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.report.review import review_page
from upswing.strategy.calibration import EndedExperiment
from upswing.workspace import Workspace

HYPOTHESIS = """\
kind: hypothesis
name: h{n}
state: too long
trace: 30 % leave
lever: two steps
metric: signup
forecast: {{low: 0.0, likely: 0.03, high: 0.06}}
baseline: 0.4
reach: {reach}
cost: 5
---
"""


class Channels:
    """A channel room with one poor channel."""

    def growth_candidates(self):
        return [candidate(source="channel", place="install", who="channel = reward wall", flow=50.0)]


class Experiments:
    """An experiment room with five ended experiments, and a section of its own."""

    def growth_candidates(self):
        return [candidate(source="experiment", place="pay", who="arm b", flow=80.0)]

    def ended_experiments(self):
        return [EndedExperiment(f"e{i}", "signup", 0.001 * i, 0.002) for i in range(5)]

    def growth_section(self):
        return None


class Unready:
    """A room that cannot answer yet."""

    def growth_candidates(self):
        raise DataError(text("no {kind} asked for", kind="channel"), code="UP604")


class Joined(Channels, Experiments, Unready, Workspace):
    """A workspace with the later rooms."""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(3)
    rows = ["user,time,event,side"]
    for i in range(3000):
        day, side = 1 + i % 28, "ab"[i % 2]
        rows.append(f"u{i},2026-01-{day:02}T10:00:00Z,visit,{side}")
        if rng.random() < (0.7 if side == "a" else 0.5):
            rows.append(f"u{i},2026-01-{day:02}T10:05:00Z,signup,{side}")
    (tmp_path / "events.csv").write_text("\n".join(rows))
    with Workspace.create(tmp_path / "ws", timezone="UTC") as workspace:
        workspace.import_events([tmp_path / "events.csv"])
    return tmp_path / "ws"


def test_candidates_of_several_rooms_are_ranked_with_the_own(folder):
    with Joined.open(folder) as workspace:
        points = workspace.growth_points(milestones=("visit", "signup")).points
    assert [p.candidate.source for p in points] == ["funnel", "experiment", "channel"]
    assert points[0].candidate.who == "side = b"


def test_a_workspace_without_those_rooms_is_not_disturbed(folder):
    with Workspace.open(folder) as workspace:
        review = workspace.report(milestones=("visit", "signup"))
    assert review.plugged == ()
    assert {p.candidate.source for p in review.points.points} == {"funnel"}
    assert "Which hypothesis" not in review_page(review)


def test_ended_experiments_are_the_prior_of_the_next_forecast(folder):
    (folder / "h.yml").write_text(HYPOTHESIS.format(n=1, reach=7000))
    with Workspace.open(folder) as alone, Joined.open(folder) as joined:
        hopeful, learned = alone.hypotheses().ranked[0].worth, joined.hypotheses().ranked[0].worth
    # five experiments moved the metric by 0.2 % on average: 3 % is not believed any more
    assert hopeful.effect == pytest.approx(0.03)
    assert learned.effect < 0.01


def test_the_review_shows_the_first_ten_of_the_backlog(folder):
    (folder / "h.yml").write_text(
        "".join(HYPOTHESIS.format(n=n, reach=1000 + n) for n in range(12)).removesuffix("---\n")
    )
    with Joined.open(folder) as workspace:
        review = workspace.report(milestones=("visit", "signup"))
    (section,) = review.plugged
    assert [r.hypothesis.name for r in section.ranked] == [f"h{n}" for n in range(11, 1, -1)]
    assert "Which hypothesis" in review_page(review)


def test_what_people_said_stands_beside_the_numbers(folder):
    (folder / "journey.yml").write_text(
        """\
kind: journey
name: way
stages:
  - {name: look, label: Looking around, enters: {event: visit}, feels: [{survey: csat}]}
  - {name: join, enters: {event: signup}}
"""
    )
    notes = ["id,noted,source,user,stage,score,text"]
    notes += ["a1,,interview,,look,,I never got the code", "a2,,csat,,,1,", "a3,,csat,,,2,Too many fields"]
    (folder / "evidence").mkdir()
    (folder / "evidence" / "notes.csv").write_text("\n".join(notes))
    with Workspace.open(folder) as workspace:
        point = workspace.growth_points(milestones=("visit", "signup")).points[0]
    told = [str(e.sentence) for e in point.candidate.evidence if e.kind == "qualitative"]
    assert told[:2] == ["“Too many fields” (csat)", "“I never got the code” (interview)"]
    # 1 and 2 of 5 are −1 and −0.5 on the common scale
    assert told[2].startswith("3 notes on “Looking around”; feeling −0.75 from 2 scores")
    assert "Too many fields" in str(point.candidate.draft.state)
