from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from upswing.core.errors import UsageError
from upswing.core.results import Window
from upswing.spec.experiment import ExperimentDefinition
from upswing.spec.hypothesis import HypothesisDefinition
from upswing.spec.initiative import InitiativeDefinition
from upswing.stats.value_of_testing import three_point_moments, value_of_testing
from upswing.strategy.backlog import backlog, draft_experiment
from upswing.strategy.calibration import EndedExperiment, calibrate
from upswing.strategy.initiatives import board
from upswing.strategy.ranking import judge

NOW = datetime(2026, 11, 23, tzinfo=ZoneInfo("UTC"))
WINDOW = Window(NOW, NOW, "UTC")


def hypothesis(name: str = "shorter_form", **more: object) -> HypothesisDefinition:
    body = {
        "name": name, "state": "too long", "trace": "30 % leave at step 3", "lever": "two steps", "metric": "activated",
        "forecast": {"low": 0.0, "likely": 0.03, "high": 0.06, "by": "lin"}, "confidence": 0.5, "baseline": 0.4,
        "reach": 7000, "cost": 5, "impact": 6, "ease": 4,
    }  # fmt: skip
    return HypothesisDefinition.model_validate({**body, **more})


def decided(number: int, likely: float, effect: float, **more: object) -> HypothesisDefinition:
    forecast = {"low": likely - 0.02, "likely": likely, "high": likely + 0.02, "by": "lin"}
    outcome = {"effect": effect, "se": 0.004}
    return hypothesis(f"h{number}", forecast=forecast, stage="decided", outcome=outcome, **more)


@given(st.floats(-0.1, 0.1), st.floats(0.001, 0.1), st.floats(0.001, 0.1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_the_gain_of_testing_is_what_simulated_tests_gain(mean, sd, se, works, seed) -> None:
    rng = np.random.default_rng(seed)
    n = 40_000
    effect = np.where(rng.random(n) < works, rng.normal(mean, sd, n), 0.0)
    shipped = rng.normal(effect, se) > 1.959963984540054 * se
    value = value_of_testing(mean, sd, se, works=works)
    gained = effect * shipped
    assert value.gain == pytest.approx(
        gained.mean(), abs=5 * gained.std() / np.sqrt(n) + 20 * (abs(mean) + sd + se) / n
    )
    assert value.ships == pytest.approx(shipped.mean(), abs=5 * 0.5 / np.sqrt(n))


def test_a_certain_effect_measured_without_noise_is_gained_whole() -> None:
    assert value_of_testing(0.02, 0.0, 1e-9).gain == pytest.approx(0.02)
    assert value_of_testing(-0.02, 0.0, 1e-9).gain == pytest.approx(0.0)


def test_three_points_of_a_normal_give_its_mean_and_nearly_its_spread() -> None:
    tenth = 1.2815515655446004
    mean, sd = three_point_moments(5 - 2 * tenth, 5, 5 + 2 * tenth)
    assert mean == pytest.approx(5)
    assert sd == pytest.approx(2, rel=0.02)  # 30-40-30 gives 0.993 of a normal's standard deviation


def test_ice_and_rice_are_the_products_they_are_known_for() -> None:
    worth = judge(hypothesis(), calibration=calibrate([]))
    assert worth.ice == pytest.approx(6 * 5 * 4)
    assert worth.rice == pytest.approx(7000 * 6 * 0.5 / 5)


def test_the_length_of_the_test_is_the_one_that_gains_most_per_day() -> None:
    h = hypothesis()
    worth = judge(h, calibration=calibrate([]), horizon_weeks=10)
    mean, sd = three_point_moments(0.0, 0.03, 0.06)
    best = 0.0
    for weeks in range(1, 9):
        se = np.sqrt(0.4 * 0.6 * (1 / (3500 * weeks) + 1 / (3500 * weeks))) / 0.4  # two arms, relative to the baseline
        gain = value_of_testing(float(mean), float(sd), float(se), works=0.5).gain * 0.4 * 7000 * 10
        best = max(best, gain / (7 * weeks))
    assert worth.per_day == pytest.approx(best)
    assert worth.days is not None
    assert worth.gain == pytest.approx(best * worth.days)


def test_what_is_missing_is_named_and_nothing_is_made_up() -> None:
    bare = HypothesisDefinition(name="bare", state="s", trace="t", lever="l")
    worth = judge(bare, calibration=calibrate([]))
    assert (worth.ice, worth.rice, worth.per_day, worth.effect) == (None, None, None, None)
    assert set(worth.needs) == {"forecast", "baseline", "reach"}
    amount = hypothesis(baseline=12.5)
    assert judge(amount, calibration=calibrate([])).needs == ("deviation",)


def test_a_fall_is_a_gain_where_less_is_better() -> None:
    falling = hypothesis(forecast={"low": -0.06, "likely": -0.03, "high": 0.0})
    rising = hypothesis(forecast={"low": 0.0, "likely": 0.03, "high": 0.06})
    record = calibrate([])
    down = judge(falling, calibration=record, better="down")
    assert down.per_day == pytest.approx(judge(rising, calibration=record).per_day)


def test_duds_in_the_past_lower_what_is_expected() -> None:
    past = [EndedExperiment(f"e{i}", "activated", (-1) ** i * 0.002, 0.003) for i in range(12)]
    alone = judge(hypothesis(), calibration=calibrate([]))
    taught = judge(hypothesis(), calibration=calibrate([]), ended=past)
    assert alone.effect is not None
    assert taught.effect is not None
    assert 0 <= taught.effect < alone.effect / 3


def test_hopeful_forecasters_are_corrected_and_others_are_not() -> None:
    hopeful = [decided(i, 0.05, 0.01 + 0.002 * (i % 3)) for i in range(9)]
    record = calibrate(hopeful).people["lin"]
    assert record.inside == 0
    assert record.bias == pytest.approx(0.038, abs=0.003)
    assert record.sign == 1.0
    right = calibrate([decided(i, 0.03, 0.03 + 0.004 * (-1) ** i) for i in range(10)]).people["lin"]
    assert right.share_inside == 1.0
    assert right.bias == pytest.approx(0.0, abs=1e-12)


def test_few_results_correct_nobody() -> None:
    record = calibrate([decided(i, 0.05, 0.0) for i in range(4)])
    assert record.everybody.n == 4
    assert record.everybody.bias is None  # not "0 %": too few to tell
    assert record.of("lin").n == 0


@given(st.integers(0, 2**32 - 1))
def test_calibration_covers_its_own_simulation(seed) -> None:
    """Forecasts that are right nine times in ten below high and above low are found so, within binomial error."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(200):
        likely, spread = rng.normal(0.02, 0.02), 0.01
        effect = rng.normal(likely, spread)
        low, high = likely - 1.2815515655 * spread, likely + 1.2815515655 * spread
        made.append(
            hypothesis(
                f"h{i}", forecast={"low": low, "likely": likely, "high": high, "by": "lin"}, stage="decided",
                outcome={"effect": effect, "se": 1e-9},
            )
        )  # fmt: skip
    record = calibrate(made).people["lin"]
    assert record.share_inside == pytest.approx(0.8, abs=4.5 * np.sqrt(0.16 / 200))
    assert abs(record.bias) < 5 * 0.01 / np.sqrt(200)


def test_the_order_follows_the_ranking_and_gaps_come_last() -> None:
    rows = [
        hypothesis("small", reach=700),
        hypothesis("large", reach=70_000),
        hypothesis("bare", forecast=None, impact=10),
    ]
    names = [r.hypothesis.name for r in backlog(rows, window=WINDOW).ranked]
    assert names == ["large", "small", "bare"]
    by_ice = [r.hypothesis.name for r in backlog(rows, window=WINDOW, by="ice").ranked]
    assert by_ice[0] == "bare"
    with pytest.raises(UsageError, match="UP670"):
        backlog(rows, window=WINDOW, by="cost")  # type: ignore[arg-type]


def test_answered_hypotheses_leave_the_open_list_and_stay_in_the_record() -> None:
    result = backlog([hypothesis(), decided(1, 0.03, 0.02)], window=WINDOW)
    assert [r.hypothesis.name for r in result.ranked] == ["shorter_form"]
    assert result.calibration.everybody.n == 1
    assert len(backlog([hypothesis(), decided(1, 0.03, 0.02)], window=WINDOW, stage="all").ranked) == 2


def test_a_draft_is_an_experiment_with_the_users_it_needs() -> None:
    body = draft_experiment(hypothesis(owner="lin", segment=None))
    made = ExperimentDefinition.model_validate(body)
    # 2 (1.96 + 0.8416)² · 2 p (1 - p) / δ², δ = 0.03 · 0.4
    assert made.users_needed == pytest.approx(2 * 2 * 7.8489 * 0.24 / 0.012**2, rel=1e-3)
    assert made.primary.mde_rel == pytest.approx(0.03)
    with pytest.raises(UsageError, match="UP671"):
        draft_experiment(hypothesis(metric=None))


def test_definitions_refuse_what_cannot_be() -> None:
    with pytest.raises(ValidationError, match="ascends"):
        hypothesis(forecast={"low": 0.1, "likely": 0.0, "high": 0.2})
    with pytest.raises(ValidationError, match="outcome"):
        hypothesis(stage="shipped")
    with pytest.raises(ValidationError, match="history"):
        InitiativeDefinition(name="i", stage="build", history=[{"stage": "idea", "since": "2026-01-01"}])  # type: ignore[list-item]


def test_the_board_says_what_is_due() -> None:
    def initiative(name: str, **more: object) -> InitiativeDefinition:
        return InitiativeDefinition.model_validate({"name": name, **more})

    today = date(2026, 11, 23)
    result = board(
        [
            initiative("late", stage="plan", due="2026-11-20", next_step="write it"),
            initiative("soon", stage="idea", due="2026-11-25"),
            initiative("stale", stage="prototype", history=[{"stage": "prototype", "since": "2026-08-01"}]),
            initiative("undocumented", stage="build", due="2027-01-01"),
            initiative("unmeasured", stage="launch", due="2027-01-01", documents=[{"title": "t", "link": "l", "stage": "test"}]),
            initiative("gone", stage="sunset", due="2020-01-01"),
        ],
        today=today, window=WINDOW,
    )  # fmt: skip
    reasons = {d.initiative.name: d.reason for d in result.due}
    assert reasons == {
        "late": "overdue", "soon": "soon", "stale": "stale", "undocumented": "no_document", "unmeasured": "no_metric",
    }  # fmt: skip
    assert [d.days for d in result.due][:2] == [-3, 2]
    assert [i.stage for i in result.initiatives] == ["idea", "plan", "prototype", "build", "launch", "sunset"]
    with pytest.raises(UsageError, match="UP670"):
        board([], today=today, window=WINDOW, stage="party")
