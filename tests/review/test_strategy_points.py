"""Chances of the strategy rooms in the review's one unit: against counting user by user, and refused where it cannot be."""

import numpy as np
import pytest

from tests.logs import embedded_log
from tests.oracles.event import DAY, HOUR, Event
from upswing.review.points import growth_points
from upswing.review.setting import build_setting
from upswing.review.strategy import strategy_points
from upswing.spec.aha import AhaDefinition
from upswing.spec.behaviour import BehaviourDefinition
from upswing.spec.hook import HookDefinition
from upswing.spec.quadrants import QuadrantsDefinition

MONDAY = 1_699_833_600_000_000
"""2023-11-13, 00:00 UTC."""
WEEK = 7 * DAY
WEEKS = 14
PER_WEEK = 120


def product(seed=1):
    """Users join on Tuesdays; who does `try` early stays more often; who stays does `use` in each of the next weeks."""
    rng = np.random.default_rng(seed)
    events = []
    for week in range(WEEKS):
        for i in range(PER_WEEK):
            user, joined = f"w{week}u{i}", MONDAY + week * WEEK + DAY + i * 1000
            side = "left" if i % 2 else "right"
            tries = i % 3 == 0
            stays = rng.random() < (0.6 if tries else 0.3)
            stops = rng.random() < (0.8 if side == "left" else 0.1)
            done = [(0, "join")]
            done += [(HOUR, "try")] if tries else []
            done += [] if stops else [(2 * HOUR, "act"), (3 * HOUR, "got")]
            done += [(WEEK, "use"), (2 * WEEK, "use")] if stays else []
            events += [
                Event(user, joined + after, len(events) + k, name, {"side": side})
                for k, (after, name) in enumerate(done)
            ]
    end = MONDAY + WEEKS * WEEK
    return [*(e for e in events if e.time < end), Event("last", end, len(events), "use", {"side": "left"})]


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    log = embedded_log(tmp_path_factory.mktemp("log"), product())
    return build_setting(log, milestones=("join", "use"), dimensions=("side",), within="10d")


def sized(setting, *definitions):
    setting.missing.clear()
    return growth_points(setting, sources=strategy_points(definitions), closed=0.5)


AHA = {"name": "stays", "start": {"event": "join"}, "outcome": {"event": "use"}, "after": "6d", "until": "8d",
       "windows": ["1d"], "counts": [1], "activity": "none", "behaviours": [{"event": "try"}]}  # fmt: skip


def test_an_aha_behaviour_is_worth_what_counting_user_by_user_gives(setting):
    """Joiners without it a week × half the difference × what one more who stays adds over the horizon."""
    answer = sized(setting, AhaDefinition.model_validate(AHA))
    (point,) = answer.points
    candidate = point.candidate
    assert setting.north_star.horizon == 4
    # everybody who stays uses the product in exactly two of the four weeks, everybody else in none
    assert candidate.worth.value == pytest.approx(2.0)
    assert candidate.worth.error == pytest.approx(0.0)
    # two thirds of the joiners of a week do not try
    assert candidate.per_week == pytest.approx(PER_WEEK * 2 / 3, rel=0.05)
    assert point.gain == pytest.approx(0.5 * candidate.gap * candidate.per_week * 2.0)
    assert candidate.gap == pytest.approx(0.3, abs=0.06)
    assert point.lower < 0.5 * 0.3 * PER_WEEK * 2 / 3 * 2.0 < point.upper
    assert len(candidate.lost) < WEEKS * PER_WEEK


def test_an_outcome_that_is_no_single_event_is_said_and_not_guessed(setting):
    answer = sized(setting, AhaDefinition.model_validate({**AHA, "clock": "calendar"}))
    assert not answer.points
    assert [c.code for c in answer.left_out] == ["unsized"]
    assert "not sized" in str(answer.left_out[0].message)


def test_a_broken_arc_is_sized_over_first_attempts(setting):
    hook = HookDefinition.model_validate(
        {"name": "loop", "trigger": {"any_of": ["join", "use"]}, "action": {"event": "act"}, "reward": {"event": "got"}}
    )
    (point,) = [p for p in sized(setting, hook).points if p.candidate.place == "act"]
    candidate = point.candidate
    assert candidate.who == "side = left"
    assert candidate.gap == pytest.approx(0.7, abs=0.06)
    assert candidate.per_week == pytest.approx(PER_WEEK / 2)
    assert candidate.worth.value == pytest.approx(0.0, abs=0.2)  # acting does not make them stay here


def test_a_behaviour_is_sized_through_the_slope_of_the_north_star(setting):
    """One target event more is one week with the target more here, so a gain in events is a gain in the north star."""
    definition = BehaviourDefinition.model_validate(
        {"name": "uses", "target": {"event": "use"}, "joined": {"event": "join"}, "settled": "1d", "ahead": "20d", "back": "1d",
         "motivation": [{"event": "try"}], "ability": [{"event": "act"}], "trigger": [{"event": "got"}]}
    )  # fmt: skip
    answer = sized(setting, definition)
    assert answer.points
    for point in answer.points:
        gap, worth = point.candidate.gap, point.candidate.worth.value
        assert point.candidate.reference == pytest.approx(1.0)
        # per user: what a good level adds, in target events; two of them for whoever stays
        assert gap * worth < 2.0
        assert point.gain == pytest.approx(0.5 * gap * worth * point.candidate.per_week)


def test_a_question_without_an_answer_does_not_stop_the_others(setting):
    unknown = QuadrantsDefinition.model_validate(
        {"name": "none", "start": {"event": "join"}, "outcome": {"event": "never"}, "before": "1d"}
    )
    answer = sized(setting, unknown, AhaDefinition.model_validate(AHA))
    assert [p.candidate.source for p in answer.points] == ["aha"]
    assert [c.code for c in answer.left_out] == ["quadrants none"]
