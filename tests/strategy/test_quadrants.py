"""Quadrants: planted scores are found and cut, shuffled outcomes fail the check, and poor signals are named."""

import json

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.diagnose.memory import MemoryEngine
from tests.oracles.event import DAY, HOUR, Event
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, DefinitionError, UsageError
from upswing.core.i18n import use_locale
from upswing.events.log import EventLog
from upswing.spec.quadrants import QuadrantsDefinition
from upswing.spec.validation import validated
from upswing.strategy.quadrant_scores import check_order, cross_scored, cut_at, quadrant_of
from upswing.strategy.quadrants import quadrants
from upswing.strategy.signed_models import fit_logistic

BASE = 1_700_000_000_000_000
NOTHING = np.zeros((0, 0))


def drawn(rng, n=6000):
    """Two signals of each side, and an outcome that they make."""
    desire, friction = rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
    eta = 0.3 + desire @ [0.8, 0.4] - friction @ [0.6, 0.2]
    return desire, friction, rng.random(n) < 1 / (1 + np.exp(-eta))


def ordered(desire, friction, outcome, seed=1):
    scores = cross_scored(desire, friction, np.zeros((len(outcome), 0)), outcome, seed=seed)
    cuts = cut_at(scores.desire, 0.5), cut_at(scores.friction, 0.5)
    return scores, check_order(quadrant_of(scores.desire, scores.friction, cuts), outcome)


def test_planted_scores_are_recovered_and_calibrated():
    desire, friction, outcome = drawn(np.random.default_rng(1))
    scores, order = ordered(desire, friction, outcome)
    assert order.passed
    assert np.corrcoef(scores.desire, desire @ [0.8, 0.4])[0, 1] > 0.99
    assert np.corrcoef(scores.friction, friction @ [0.6, 0.2])[0, 1] > 0.95
    assert scores.slope == pytest.approx(1.0, abs=0.1)
    for low in np.linspace(0.2, 0.7, 6):
        here = (scores.chance >= low) & (scores.chance < low + 0.1)
        assert outcome[here].mean() == pytest.approx(scores.chance[here].mean(), abs=0.06)


def test_shuffled_outcomes_fail_the_check():
    rng = np.random.default_rng(2)
    desire, friction, outcome = drawn(rng, 2000)
    passed = sum(ordered(desire, friction, rng.permutation(outcome), seed)[1].passed for seed in range(60))
    assert passed <= 1
    assert ordered(desire, friction, outcome)[1].passed


def test_weights_cannot_turn_against_their_side():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 2))
    y = (rng.random(4000) < 1 / (1 + np.exp(-(x[:, 0] - x[:, 1])))).astype(float)
    fit = fit_logistic(x, np.zeros((4000, 0)), y)
    assert fit.weights[0] > 0.5
    assert fit.weights[1] == 0
    free = fit_logistic(np.zeros((4000, 0)), x, y)
    assert free.others == pytest.approx([1, -1], abs=0.12)


def test_perfect_separation_stays_finite():
    x = np.repeat([-1.0, 1.0], 100)[:, None]
    fit = fit_logistic(x, np.zeros((200, 0)), (x[:, 0] > 0).astype(float))
    assert 2 < fit.weights[0] < 20


def product(users, seed=0, *, meaning=True, giveaway=False):
    """Users who may ask a question before they join, may meet an error while paying attention, and may then write."""
    rng = np.random.default_rng(seed)
    events = []
    for u in range(users):
        name, join = f"u{u:05}", BASE + int(rng.integers(0, 20)) * DAY
        wish, stop, tries = rng.random() < 0.5, rng.random() < 0.4, rng.random() < 0.8
        own = [(join - 2 * HOUR, "open"), (join, "join")]
        own += [(join - HOUR, "ask")] * wish + [(join - HOUR, "ask_again")] * wish
        own += [(join - HOUR // 2, "try")] * tries + [(join - HOUR // 4, "error")] * (stop and tries)
        chance = 0.4 + meaning * (0.3 * wish - 0.25 * (stop and tries))
        writes = rng.random() < chance
        own += [(join + HOUR, "write")] * writes + [(join - HOUR, "draft")] * (writes and giveaway)
        own += [(join + 8 * DAY, "open")] * (rng.random() < 0.5)
        events += [Event(name, time, i, what, {"channel": "ab"[u % 2]}) for i, (time, what) in enumerate(sorted(own))]
    events.append(Event("z", BASE + 90 * DAY, 0, "open", {"channel": "a"}))
    return EventLog(MemoryEngine(events, batches=2), Calendar("UTC"))


def question(**more):
    body = {
        "name": "q", "start": {"event": "join"}, "before": "1d", "outcome": {"event": "write"}, "within": "1d",
        "desire": [{"event": "ask"}], "friction": [{"event": "error", "among": "try"}], **more,
    }  # fmt: skip
    return validated(QuadrantsDefinition, {k: v for k, v in body.items() if v is not None}, what="quadrants")


def test_from_events_to_quadrants():
    wanted = question(by="channel", retention={"event": "open", "after": "7d", "until": "14d"})
    answer = quadrants(product(1500), wanted)
    assert answer.order.passed
    assert [q.name for q in answer.quadrants] == ["high_low", "high_high", "low_low", "low_high"]
    assert answer.quadrants[0].activation.estimate > 0.6 > answer.quadrants[-1].activation.estimate
    assert all(abs(q.retention.estimate - 0.5) < 0.1 for q in answer.quadrants)
    assert sum(q.users for q in answer.quadrants) == sum(g.users for g in answer.groups) == answer.users == 1500
    assert answer.candidates()[0].gain > 0
    assert json.loads(answer.to_json())["check"]["passed"] is True
    assert all(len(row) == len(t.columns) for t in answer.tables() for row in t.rows)
    again = validated(QuadrantsDefinition, YAML(typ="safe").load(answer.draft()), what="draft")
    assert set(again.cards) == {q.name for q in answer.quadrants}
    with use_locale("zh-CN"):
        assert "摩擦" in str(answer.data()["quadrants"])


def test_proposed_signals_get_their_side_and_are_judged_on_other_users():
    answer = quadrants(product(3000), question(desire=None, friction=None))
    assert answer.proposed
    assert {s.name for s in answer.signals if s.side == "desire"} <= {"ask", "ask_again"}
    assert "error" in {s.name for s in answer.signals if s.side == "friction"}  # and trying, which leads to it
    assert 1300 < answer.users < 1700
    assert answer.order.passed


def test_without_meaning_the_check_fails_and_says_so():
    answer = quadrants(product(1200, meaning=False), question())
    assert not answer.order.passed
    assert "order_fails" in {c.code for c in answer.warnings}
    assert answer.candidates() == ()
    assert "do not act" in str(answer.verdict())


def test_two_identical_signals_and_one_that_never_varies():
    wanted = question(desire=[{"event": "ask"}, {"event": "ask_again"}, {"event": "open", "name": "always"}])
    answer = quadrants(product(800), wanted)
    told = [str(c.message) for c in answer.warnings if c.code == "signal_dropped"]
    assert any("ask_again" in t and "same as ask" in t for t in told)
    assert any("always" in t and "never varies" in t for t in told)
    assert [s.name for s in answer.signals] == ["ask", "error"]


def test_a_signal_that_is_a_part_of_the_outcome_is_called_out():
    answer = quadrants(product(600, giveaway=True), question(desire=[{"event": "draft"}]))
    assert "separation" in {c.code for c in answer.warnings}
    assert answer.area > 0.995
    assert all(np.isfinite(s.weight) for s in answer.signals)


def test_too_few_users_none_at_all_and_none_known_yet():
    for log, wanted, code in (
        (product(15), question(), "UP352"),
        (product(60), question(within="200d"), "UP351"),
        (product(15), question(start={"event": "oepn"}), "UP302"),
    ):
        with pytest.raises((DataError, UsageError)) as caught:
            quadrants(log, wanted)
        assert caught.value.code == code
    with pytest.raises(DataError) as nobody:
        quadrants(product(60), question(), start="2030-01-01", stop="2030-02-01")
    assert nobody.value.code == "UP350"


def test_definitions_that_make_no_sense():
    for more, message in (
        ({"before": None}, "how long signals"),
        ({"friction": None}, "go together"),
        ({"cut": [0.5, 1.0]}, "between 0 and 1"),
        ({"desire": [{"event": "ask", "measure": "sum"}]}, "'of' goes with"),
    ):
        with pytest.raises(DefinitionError, match=message):
            question(**more)
