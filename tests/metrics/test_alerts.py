"""Alerts, tracking breaks, targets and comparisons, on small logs whose truth is known."""

import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.logs import embedded_log
from tests.oracles.event import DAY, HOUR, SECOND
from tests.oracles.event import Event as Row
from upswing.core.errors import DefinitionError, UsageError
from upswing.metrics.alerts import find_alerts
from upswing.metrics.people import user_values
from upswing.metrics.series import metric_series
from upswing.metrics.standing import earlier, last_day
from upswing.metrics.tracking import tracking_breaks
from upswing.spec.metric import MetricDefinition

BASE = 1_767_571_200 * SECOND  # Monday 2026-01-05


def metric(name="m", **body):
    return MetricDefinition.model_validate({"name": name, **body})


PEOPLE = metric("people", type="simple", numerator={"event": "open", "agg": "users"}, better="up")
PAYS = metric("pays", type="proportion", numerator={"event": "pay"}, better="up", min_sample=30)


def event(user, time, name, props, row):
    return Row(user=user, time=time, name=name, props=props, row=row)


def days_log(folder, days, *, daily=60, drop=(), low=(), seed=3, paying=0.5):
    """`daily` users open and then pay at `paying`; on `drop` (day, platform) no pay is sent; on `low` days few come."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        n = int(rng.poisson(daily * (0.3 if day in low else 1.0)))
        for i in range(n):
            platform = "ios" if i % 2 else "web"
            moment = BASE + day * DAY + i * 60 * SECOND
            user = f"d{day}u{i}"
            rows.append(event(user, moment, "open", {"platform": platform}, len(rows)))
            rows.append(event(user, moment + SECOND, "see", {"platform": platform}, len(rows)))
            if rng.random() < paying and (day, platform) not in drop and (day, "*") not in drop:
                rows.append(event(user, moment + HOUR, "pay", {"platform": platform}, len(rows)))
    rows.append(event("last", BASE + days * DAY, "open", {"platform": "web"}, len(rows)))
    return embedded_log(Path(folder), rows)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory() as found:
        yield found


def test_an_event_that_stops_in_one_group_is_found_and_told_from_behaviour(folder):
    log = days_log(folder, 40, daily=200, drop={(30, "ios"), (31, "ios")}, low={20})
    found = tracking_breaks(log, start=BASE, stop=BASE + 40 * DAY, dimensions=("platform",))
    assert [(b.event, b.dimension, b.group, b.first, b.last, b.seen) for b in found] == [
        ("pay", "platform", "ios", "2026-02-04", "2026-02-05", 0)
    ]
    assert "tracking, not behaviour" in str(found[0].sentence())


def test_a_break_of_everybody_is_told_once(folder):
    log = days_log(folder, 30, daily=200, drop={(25, "*")})
    found = tracking_breaks(log, start=BASE, stop=BASE + 30 * DAY, dimensions=("platform",))
    assert [(b.event, b.dimension, b.open) for b in found] == [("pay", "", False)]


def test_small_counts_and_quiet_days_are_no_breaks(folder):
    log = days_log(folder, 40, daily=12, drop={(30, "ios")}, low={33, 34})
    assert tracking_breaks(log, start=BASE, stop=BASE + 40 * DAY, dimensions=("platform",)) == []


def test_ordinary_days_raise_no_alert():
    """At most one log in ten with any unusual day or week, where nothing happened (nominally one in twenty for each)."""
    loud = 0
    for seed in range(20):
        with tempfile.TemporaryDirectory() as place:
            log = days_log(place, 56, daily=60, seed=seed)
            loud += bool(find_alerts(log, [PEOPLE, PAYS], breaks=()).alerts)
            log.engine.close()
    assert loud <= 5, loud


def test_an_unusual_day_alerts_with_what_was_to_be_expected(folder):
    log = days_log(folder, 56, daily=100, low={54})
    found = find_alerts(log, [PEOPLE], breaks=())
    assert ("day", "2026-02-28", True) in [(a.kind, a.when, a.worse) for a in found.alerts]
    alert = next(a for a in found.alerts if a.kind == "day")
    assert alert.value < alert.lower < alert.expected < alert.upper
    assert find_alerts(log, [PEOPLE], breaks=(), fail=True).passed() is False


@pytest.mark.parametrize("days", [-(2**53), 0, 141, 2**53])
def test_days_that_cannot_be_judged_are_refused(folder, days):
    log = days_log(folder, 3)
    with pytest.raises(UsageError) as refused:
        find_alerts(log, [PEOPLE], days=days)
    assert refused.value.code == "UP660"


def test_few_users_are_not_judged(folder):
    log = days_log(folder, 56, daily=10, low={54})
    found = find_alerts(log, [PAYS], breaks=())
    assert (found.alerts, found.looked_at) == ((), ())
    assert [c.code for c in found.silent] == ["too_little"]


def test_only_the_worse_alerts_where_that_is_declared(folder):
    log = days_log(folder, 56, daily=60, low=set(range(49)))  # the last week is far above the ones before
    for wanted, number in (("both", True), ("worse", False)):
        found = find_alerts(log, [PEOPLE.model_copy(update={"alert": wanted})], breaks=())
        assert bool(found.alerts) is number


def test_three_users_give_numbers_and_no_judgement(folder):
    rows = [event(f"u{i}", BASE + i * DAY, "open", {"platform": "web"}, i) for i in range(3)]
    log = embedded_log(Path(folder), [*rows, event("u0", BASE + 9 * DAY, "pay", {"platform": "web"}, 9)])
    wanted = metric("pays", type="proportion", numerator={"event": "pay"}, better="up", targets=[{"value": 0.9}])
    result = metric_series(log, [wanted], check_targets=True)
    assert result.standings[0].target == "too_few"
    assert result.passed() is True
    assert find_alerts(log, [PAYS]).alerts == ()


def test_targets_are_met_missed_or_within_chance(folder):
    log = days_log(folder, 21, daily=100, paying=0.5)
    wanted = {"met": 0.4, "missed": 0.7, "open": None}
    share = metric_series(log, [PAYS]).standings[0].value
    wanted["open"] = share + 0.01
    for standing, value in wanted.items():
        one = metric("pays", type="proportion", numerator={"event": "pay"}, better="up", targets=[{"value": value}])
        result = metric_series(log, [one], check_targets=True)
        assert result.standings[0].target == standing
        assert result.passed() is (standing != "missed")
    later = metric(
        "p", type="proportion", numerator={"event": "pay"}, better="up", targets=[{"value": 1, "by": date(2027, 1, 1)}]
    )
    assert metric_series(log, [later]).standings[0].target == "not_due"


def test_the_period_before_and_the_year_before_are_compared(folder):
    rows = [event(f"u{i}", BASE + (d - 364) * DAY, "open", {"platform": "web"}, i) for i, d in enumerate((0, 0, 0, 7))]
    rows += [
        event(f"v{i}", BASE + d * DAY, "open", {"platform": "web"}, 9 + i) for i, d in enumerate((0, 0, 7, 7, 7, 14))
    ]
    log = embedded_log(Path(folder), rows)
    opens = metric("opens", type="simple", numerator={"event": "open"})
    now = metric_series(log, [opens], start="2026-01-12").standings[0]
    assert (now.period, now.value, now.compared, now.previous, now.change) == ("2026-01-12", 3, "2026-01-05", 2, 1)
    year = metric_series(log, [opens], start="2026-01-12", compare="year").standings[0]
    assert (year.compared, year.previous, year.relative) == ("2025-01-13", 1, 2.0)
    with pytest.raises(UsageError, match="no comparison"):
        metric_series(log, [opens], compare="decade")


def test_labels_go_back_over_the_turn_of_the_year():
    assert earlier("2026-01", "month", "year") == "2025-01"
    assert earlier("2026-01-01", "day", "previous") == "2025-12-31"
    assert (last_day("2026-02", "month"), last_day("2026-01-05", "week")) == (date(2026, 2, 28), date(2026, 1, 11))


def test_derived_and_cumulative_metrics_agree_with_counting_by_hand(folder):
    log = days_log(folder, 10, daily=20)
    opens = metric("opens", type="simple", numerator={"event": "open"})
    week = metric("week", type="cumulative", numerator={"event": "open", "agg": "users"}, window="3d")
    ever = metric("ever", type="cumulative", numerator={"event": "open"})
    each = metric("each", type="derived", expression="opens / people")
    known = {m.name: m for m in (opens, PEOPLE, week, ever, each)}
    points = {
        (p.metric, p.period): p.value
        for p in metric_series(log, [week, ever, each, opens], known=known, period="day").points
    }
    days = [f"2026-01-{d:02d}" for d in range(5, 15)]
    daily = [points["opens", d] for d in days]
    assert [points["week", d] for d in days[2:]] == [
        sum(daily[i - 2 : i + 1]) for i in range(2, 10)
    ]  # users come once here
    assert points["ever", days[-1]] == sum(daily)
    assert points["each", days[3]] == 1.0
    with pytest.raises(UsageError, match="no value per user"):
        user_values(log, [each], start=BASE, stop=BASE + DAY)


def test_metrics_that_derive_from_each_other_are_refused(folder):
    log = days_log(folder, 2)
    known = {"a": metric("a", type="derived", expression="b + 1"), "b": metric("b", type="derived", expression="a + 1")}
    with pytest.raises(DefinitionError, match="a → b → a"):
        metric_series(log, [known["a"]], known=known)


def test_a_ratio_without_a_denominator_has_no_value_and_says_so(folder):
    log = days_log(folder, 3, paying=0.0)
    rows = [event("p", BASE, "pay", {"platform": "web"}, 0), event("p", BASE + 2 * DAY, "open", {"platform": "web"}, 1)]
    log.engine.close()
    log = embedded_log(Path(folder), rows)
    each = metric("each", type="ratio", numerator={"event": "open"}, denominator={"event": "pay"})
    result = metric_series(log, [each], period="day")
    assert [p.value for p in result.points] == [0.0, None, None]
    assert "no_value" in [c.code for c in result.warnings]
