"""B = M·A·T: planted factors come back, the limiting one is named by group, and what cannot be told is said."""

import json

import numpy as np
import pytest

from tests.diagnose.memory import MemoryEngine
from tests.oracles.event import DAY, HOUR, Event
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, DefinitionError, UsageError
from upswing.events.log import EventLog
from upswing.spec.behaviour import BehaviourDefinition
from upswing.spec.validation import validated
from upswing.strategy.behaviour import behaviour
from upswing.strategy.behaviour_model import fit_factors, gains_with_intervals
from upswing.strategy.signed_models import fit_rate

BASE = 1_699_920_000_000_000  # a midnight in UTC
OWNER = np.array([0, 1, 2])
NONE = np.zeros((8000, 0))


def drawn(rng, weights=(0.5, 0.3, 0.4), n=8000, together=0.0):
    x = rng.normal(size=(n, 3))
    x[:, 2] = together * x[:, 0] + np.sqrt(1 - together**2) * x[:, 2]
    x[:, 2] = np.where(x[:, 2] > 0, 1.0, -1.0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, rng.poisson(np.exp(0.5 + x @ np.array(weights))).astype(float)


def test_weights_and_gains_are_recovered():
    x, counts = drawn(np.random.default_rng(1))
    model = fit_factors(x, OWNER, NONE, counts, good=0.8)
    assert model.fit.weights == pytest.approx([0.5, 0.3, 0.4], abs=0.03)
    assert model.told == (True, True, True)
    assert model.interaction > 0.01
    # users without the trigger: by the truth they would do exp(spread of the trigger × 0.4) as much with it
    without = x[:, 2] < 0
    gain = gains_with_intervals(model, x, NONE, [without], good=0.8, seed=1)[0][2]
    truth = counts[without].sum() * np.expm1(0.4 * (x[:, 2].max() - x[:, 2].min()))
    assert gain.lower < truth < gain.upper
    assert gain.estimate == pytest.approx(truth, rel=0.1)


def test_gradient_of_the_rate_is_that_of_its_likelihood():
    x, counts = drawn(np.random.default_rng(2))
    fit = fit_rate(NONE, x, counts)
    mean = np.exp(fit.intercept + x @ fit.others)
    score = np.column_stack([np.ones(len(x)), x]).T @ (counts - mean)
    assert np.abs(score - [0, *fit.others]).max() < 1.0  # the ridge's own pull is one coefficient's size
    errors = np.sqrt(np.diag(fit.covariance))
    inverse = np.linalg.inv(
        (np.column_stack([np.ones(len(x)), x]) * mean[:, None]).T @ np.column_stack([np.ones(len(x)), x])
    )
    assert errors == pytest.approx(np.sqrt(np.diag(inverse)), rel=0.1)  # Poisson: robust and model errors agree


def test_a_factor_that_does_not_multiply_is_noticed():
    rng = np.random.default_rng(3)
    x, _ = drawn(rng)
    counts = rng.poisson(np.exp(0.5 + 0.4 * x[:, 0] + 0.4 * x[:, 2] + 0.5 * x[:, 0] * x[:, 2])).astype(float)
    assert fit_factors(x, OWNER, NONE, counts, good=0.8).interaction < 0.001


def product(users, seed=0, *, push_works=True):
    """Users who read (motivation), meet errors (ability), may have push (trigger), and write in the week after."""
    rng = np.random.default_rng(seed)
    events = []
    for u in range(users):
        push = "yes" if rng.random() < 0.5 else "no"
        reads, errors = rng.poisson(3), rng.poisson(1)
        own = [(BASE + int(rng.integers(0, 20)) * DAY, "open")]
        own += [(BASE + int(rng.integers(0, 25)) * DAY, "read") for _ in range(reads)]
        own += [(BASE + int(rng.integers(0, 25)) * DAY, "error") for _ in range(errors)]
        own += [(BASE + int(rng.integers(0, 25)) * DAY, "push") for _ in range(4 * (push == "yes"))]
        mean = np.exp(-0.8 + 0.15 * reads - 0.25 * errors + push_works * 0.9 * (push == "yes"))
        own += [(BASE + 28 * DAY + i * HOUR, "write") for i in range(rng.poisson(mean))]
        events += [Event(f"u{u:05}", t, i, what, {"allowed": push}) for i, (t, what) in enumerate(sorted(own))]
    events.append(Event("z", BASE + 35 * DAY - 1, 0, "open", {"allowed": "no"}))
    return EventLog(MemoryEngine(events, batches=2), Calendar("UTC"))


def question(**more):
    body = {
        "name": "q", "target": {"event": "write"}, "who": {"event": "open"},
        "motivation": [{"event": "read", "measure": "count"}],
        "ability": [{"event": "error", "measure": "count", "sign": "less"}],
        "trigger": [{"event": "push", "measure": "count"}], "by": "allowed", **more,
    }  # fmt: skip
    return validated(BehaviourDefinition, {k: v for k, v in body.items() if v is not None}, what="behaviour")


def test_the_group_without_triggers_is_limited_by_them():
    answer = behaviour(product(1500), question())
    assert answer.users == 1500
    groups = {g.name: g for g in answer.groups}
    assert groups["no"].limiting.factor == "trigger"
    assert groups["yes"].limiting.factor != "trigger"
    assert groups["no"].factors[2].gain.lower > 0
    gain = groups["no"].factors[2].gain
    assert gain.lower < groups["no"].users * groups["no"].mean * np.expm1(0.9) < gain.upper
    assert {c.definition["group"]: c.definition["factor"] for c in answer.candidates()}["no"] == "trigger"
    body = json.loads(answer.to_json())
    assert body["whole"]["limiting"] in ("motivation", "ability", "trigger")
    assert len(body["action_line"]) == 25
    assert all(len(row) == len(t.columns) for t in answer.tables() for row in t.rows)
    seen = sum(c.seen * c.users for c in answer.calibration)
    assert seen == pytest.approx(sum(c.expected * c.users for c in answer.calibration), rel=0.01)


def test_triggers_that_do_nothing_limit_nobody():
    answer = behaviour(product(1500, push_works=False), question())
    assert all(g.limiting.factor != "trigger" for g in answer.groups)


def test_each_user_at_their_own_moment():
    answer = behaviour(
        product(1200), question(who=None, joined={"event": "open"}, settled="8d", back="8d", ahead="20d")
    )
    assert answer.users < 1200
    assert "waiting" in {c.code for c in answer.warnings}


def test_what_cannot_be_told_is_said():
    same = question(
        trigger=[{"event": "push", "measure": "count"}, {"event": "push", "measure": "count", "name": "twin"}]
    )
    told = {c.code: str(c.message) for c in behaviour(product(900), same).warnings}
    assert "twin" in told["signal_dropped"]
    silent = question(ability=[{"event": "open"}])
    answer = behaviour(product(900), silent)
    codes = {c.code for c in answer.warnings}
    assert {"factor_untold", "signal_dropped"} <= codes
    assert answer.whole.factors[1].gain.estimate == 0
    entangled = behaviour(
        product(900), question(motivation=[{"event": "push"}, {"event": "write", "measure": "count"}])
    )
    assert {"together", "own_history"} <= {c.code for c in entangled.warnings}


def test_too_little_to_fit_and_unknown_events():
    with pytest.raises(DataError) as few:
        behaviour(product(12), question())
    assert few.value.code == "UP352"
    with pytest.raises(UsageError) as unknown:
        behaviour(product(60), question(target={"event": "wriet"}))
    assert unknown.value.code == "UP302"
    with pytest.raises(DefinitionError, match="each factor"):
        question(trigger=[])
    with pytest.raises(DefinitionError, match="either 'who' or 'joined'"):
        question(joined={"event": "open"})
