"""The aha search: what it finds, what it refuses to find, and what it says when there is nothing to find in."""

import json

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.diagnose.memory import MemoryEngine
from tests.oracles.event import DAY, HOUR, Event
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, DefinitionError, UsageError
from upswing.diagnose.aha import aha
from upswing.diagnose.aha_dose import dose_curve
from upswing.diagnose.aha_search import Rules, search
from upswing.events.log import EventLog
from upswing.sequences.aha import AhaRows, AhaTables
from upswing.spec.aha import AhaDefinition
from upswing.spec.hypothesis import HypothesisDefinition
from upswing.spec.validation import validated

BASE = 1_700_000_000_000_000


def tables(rng, *, users=4000, behaviours=12, causes=0, effect=0.2):
    """Behaviours and outcome both follow activity; the first `causes` behaviours also raise the outcome."""
    level = rng.integers(0, 4, users)
    did = rng.random((users, behaviours)) < (0.1 + 0.2 * level)[:, None]
    reached = rng.random(users) < 0.1 + 0.1 * level + effect * did[:, :causes].sum(axis=1)
    half = rng.integers(0, 2, users)
    totals, ends = (np.zeros((2, 1, 4), np.int64) for _ in range(2))
    shown, both = (np.zeros((2, behaviours, 1, 1, 4), np.int64) for _ in range(2))
    np.add.at(totals[:, 0], (half, level), 1)
    np.add.at(ends[:, 0], (half, level), reached)
    for b in range(behaviours):
        np.add.at(shown[:, b, 0, 0], (half, level), did[:, b])
        np.add.at(both[:, b, 0, 0], (half, level), did[:, b] & reached)
    return AhaTables(totals, ends, shown, both, users, 0, 0)


def test_without_a_cause_false_findings_are_rarer_than_the_level():
    """The whole figure (200 runs) is printed by ``python -m bench.aha_truth null``."""
    false = 0
    for seed in range(40):
        found = search(tables(np.random.default_rng(seed)), Rules()).findings
        false += any(f.status in ("confirmed", "lower") for f in found)
        assert any(f.status == "explained" for f in found)  # raw, all twelve go with the outcome
    assert false / 40 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 40)


def test_a_cause_is_found_and_sized_among_decoys():
    found = search(tables(np.random.default_rng(3), users=12_000, causes=1), Rules()).findings
    confirmed = [f for f in found if f.status == "confirmed"]
    assert [f.behaviour for f in confirmed] == [0]
    assert confirmed[0].adjusted.lower < 0.2 < confirmed[0].adjusted.upper
    assert confirmed[0].raw.estimate > confirmed[0].adjusted.estimate


def test_correction_for_any_dependence_is_stricter():
    table = tables(np.random.default_rng(5), causes=2)
    gentle, strict = (search(table, Rules(correction=c)).findings for c in ("bh", "by"))
    assert {f.behaviour for f in strict if f.status == "confirmed"} <= {
        f.behaviour for f in gentle if f.status == "confirmed"
    }
    assert all(f.p_discovery >= g.p_discovery for f in strict for g in gentle if f.behaviour == g.behaviour)


def test_behaviours_of_all_or_hardly_any_users_are_not_judged():
    table = tables(np.random.default_rng(6), behaviours=2)
    table.shown[:, 0, 0, 0], table.shown_reached[:, 0, 0, 0] = table.users[:, 0], table.reached[:, 0]
    found = search(table, Rules())
    assert (found.judged, found.out_of_bounds) == (1, 1)
    assert all(f.behaviour == 1 for f in found.findings)


def test_the_suggested_count_is_where_the_step_is():
    rng = np.random.default_rng(7)
    n = 8000
    activity = 1 + rng.poisson(1.5, n)
    dose = rng.poisson(0.9 * activity)
    reached = rng.random(n) < 0.1 + 0.04 * np.minimum(activity, 6) + 0.2 * (dose >= 4)
    rows = AhaRows(np.arange(n), rng.integers(0, 2, n), dose, reached, activity, np.zeros(n, np.int64))
    cuts = np.array([2, 3, 4, 5, 7])
    curve = dose_curve(rows, count=4, rules=Rules(), cuts=cuts, radices=(), seed=1)
    assert curve.threshold == 4
    assert curve.stability > 0.8
    assert curve.effect.lower < 0.2 < curve.effect.upper
    assert curve.overlap is not None
    assert curve.overlap.estimate == pytest.approx(curve.effect.estimate, abs=0.01)
    assert sum(d.users for d in curve.doses) == (rows.half == 1).sum()


def product(users, seed=0, *, causal=True):
    """Users who start, may rate something early, and may open the app in the second week."""
    rng = np.random.default_rng(seed)
    events = []
    for u in range(users):
        name, begin = f"u{u:05}", BASE + int(rng.integers(0, 5)) * DAY
        own = [(begin, "start")]
        rates = int(rng.poisson(1.5))
        own += [(begin + HOUR * (i + 1), "rate") for i in range(rates)]
        if rng.random() < 0.4:
            own.append((begin + 3 * HOUR, "look"))
        if rng.random() < 0.2 + 0.4 * (causal and rates >= 2):
            own.append((begin + 8 * DAY, "open"))
        events += [Event(name, time, i, what, {"channel": "ab"[u % 2]}) for i, (time, what) in enumerate(own)]
    events.append(Event("late", BASE + 30 * DAY, 0, "look", {"channel": "a"}))
    return EventLog(MemoryEngine(events, batches=3), Calendar("Europe/Berlin"))


def question(**more):
    return validated(
        AhaDefinition, {"name": "q", "start": {"event": "start"}, "outcome": {"event": "open"}, **more}, what="aha"
    )


def forecast_twin(difference, without):
    """Draws of everything the draft does not know, multiplied: 10, 50 and 90 % points."""
    rng = np.random.default_rng(5)
    n = 1_000_000
    se = (difference.upper - difference.lower) / (2 * 1.96)
    cause, uptake = rng.random(n), 0.1 * 2 ** (rng.normal(size=n) / 1.2816)
    return tuple(np.quantile(rng.normal(difference.estimate, se, n) * cause * uptake * without, (0.1, 0.5, 0.9)))


def test_from_events_to_a_recommendation():
    answer = aha(product(1500), question(counts=[1, 2, 3], adjust=["channel"], activity="none"))
    best = answer.recommended
    assert best is not None
    assert (best.behaviour, best.count) == ("rate", 2)
    assert best.curve is not None
    assert best.curve.threshold == 2
    assert best.experiment is not None
    draft = validated(HypothesisDefinition, YAML(typ="safe").load(best.experiment.yaml), what="draft")
    assert draft.forecast.likely == pytest.approx(best.experiment.effect, abs=1e-5)
    assert draft.baseline == pytest.approx(best.experiment.base_rate, abs=1e-5)
    found = best.found
    without = 1 - found.shown / found.users
    assert (draft.forecast.low, draft.forecast.likely, draft.forecast.high) == pytest.approx(
        forecast_twin(found.adjusted, without), rel=0.02
    )
    assert answer.users_seen == 1500
    body = json.loads(answer.to_json())
    assert body["recommended"] == "rate"
    assert body["findings"][0]["adjusted"]["lower"] > 0
    assert answer.candidates()[0].gain > 0
    assert [t.name for t in answer.tables()] == ["findings", "dose", "experiments"]
    assert all(len(row) == len(t.columns) for t in answer.tables() for row in t.rows)


def test_marks_and_codes_give_the_same_answer(monkeypatch):
    log = product(400)
    wanted = question(counts=[1, 2], activity="none", behaviours=[{"event": "rate"}, {"any_of": ["look", "rate"]}])
    by_marks = aha(log, wanted).data()
    monkeypatch.setattr("upswing.diagnose.aha._MOST_MARKS", 1)
    assert aha(log, wanted).data() == by_marks
    assert by_marks["judged"]


def test_a_calendar_day_is_an_outcome_too():
    answer = aha(product(600), question(clock="calendar", after="8d", until="9d", activity="none"))
    assert answer.users_reached > 100
    assert answer.recommended is not None


def test_exposure_must_end_before_the_outcome():
    with pytest.raises(DefinitionError, match="reaches into the outcome window"):
        question(windows=["1d", "9d"])
    assert question(after="2d").usable_windows == (DAY, 2 * DAY)
    with pytest.raises(DefinitionError, match="before any exposure window"):
        question(after="12h", until="2d")


def test_three_users_are_too_few():
    answer = aha(product(3), question())
    assert answer.recommended is None
    assert {"too_few", "no_contrast"} & {c.code for c in answer.warnings}
    assert "too few users" in str(answer.verdict())


def test_no_outcome_can_be_known_yet():
    with pytest.raises(DataError) as caught:
        aha(product(50), question(after="60d", until="90d"))
    assert caught.value.code == "UP351"


def test_an_outcome_that_nobody_reaches():
    answer = aha(product(60), question(after="15d", until="20d"))
    assert "no_contrast" in {c.code for c in answer.warnings}
    assert answer.findings == ()


def test_an_event_that_never_occurs():
    with pytest.raises(UsageError) as caught:
        aha(product(5), question(outcome={"event": "opne"}))
    assert caught.value.code == "UP302"
    with pytest.raises(DataError) as nobody:
        aha(product(5), question(), start="2030-01-01", stop="2030-02-01")
    assert nobody.value.code == "UP350"
