"""Explanations add up to the last unit, agree with the slow twins, and their intervals hold what they promise."""

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs import embedded_log
from tests.oracles.decomposition import rate_effects, shapley, sum_effects
from tests.oracles.event import DAY, SECOND, Event
from upswing.core.errors import DataError, UsageError
from upswing.metrics.explain import ChangeResult, explain_metric
from upswing.metrics.explain_tree import RESIDUAL, TreeChangeResult, explain_tree
from upswing.metrics.people import Parts
from upswing.metrics.split import Cells, Moments, find_segments, require_sum, split_change
from upswing.metrics.windows import Windows, resolve_windows
from upswing.spec.metric import MetricDefinition
from upswing.spec.tree import TreeDefinition

BASE = 1_767_571_200 * SECOND  # Monday 2026-01-05
WEEK = 7 * DAY
BOTH = Windows((BASE, BASE + WEEK), (BASE + WEEK, BASE + 2 * WEEK))

users = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=30)


def parts(rows, is_sum):
    ones = np.ones(len(rows)) if is_sum else np.array([d for _, _, d in rows], float)
    return Parts(np.arange(len(rows)), np.array([n for _, n, _ in rows], float), ones, is_sum)


def moments(rows, is_sum):
    return Moments.of(parts(rows, is_sum), np.array(["abc".index(s) for s, _, _ in rows]), 3)


@given(users, users)
def test_a_rate_is_shared_as_the_slow_twin_shares_it(before, after):
    split = split_change(moments(before, False), moments(after, False), is_sum=False)
    truth = rate_effects(before, after)
    for i, segment in enumerate("abc"):
        rate, mix = truth.get(segment, (0, 0))
        assert split.rate[i] == pytest.approx(float(rate), abs=1e-12)
        assert split.mix[i] == pytest.approx(float(mix), abs=1e-12)
    whole = Fraction(sum(n for _, n, _ in after), sum(d for *_, d in after)) - Fraction(
        sum(n for _, n, _ in before), sum(d for *_, d in before)
    )
    assert sum(r + m for r, m in truth.values()) == whole  # the twin itself adds up, exactly
    assert split.total.sum() == pytest.approx(float(whole), abs=1e-12)


@given(users, users)
def test_a_sum_is_shared_as_the_slow_twin_shares_it(before, after):
    before, after = ([(s, n, 1) for s, n, _ in rows] for rows in (before, after))
    split = split_change(moments(before, True), moments(after, True), is_sum=True)
    truth = sum_effects(before, after)
    for i, segment in enumerate("abc"):
        for found, expected in zip((split.rate, split.mix, split.volume), truth.get(segment, (0, 0, 0)), strict=True):
            assert found[i] == pytest.approx(float(expected), abs=1e-9)
        own = sum(n for s, n, _ in after if s == segment) - sum(n for s, n, _ in before if s == segment)
        assert split.total[i] == pytest.approx(own, abs=1e-9)  # a segment's share of a sum is its actual change


@given(users, users, st.integers(0, 2))
def test_the_reference_of_the_mix_moves_shares_and_not_the_sum(before, after, rest):
    first, second = moments(before, False), moments(after, False)
    whole, against = (split_change(first, second, is_sum=False, rest=r) for r in (None, rest))
    assert against.total.sum() == pytest.approx(whole.total.sum(), abs=1e-12)
    assert against.mix.sum() == pytest.approx(whole.mix.sum(), abs=1e-12)
    assert abs(against.mix[rest]) < 1e-9


def test_parts_that_do_not_add_up_are_never_shown():
    require_sum(np.array([1.0, 2.0]), 3.0)
    with pytest.raises(AssertionError, match="the change is"):
        require_sum(np.array([1.0, 2.0]), 3.1)


def test_intervals_of_a_segments_share_cover_at_their_level():
    """Users come by chance; the true share is that of the expected sums."""
    rng = np.random.default_rng(7)
    size, rate = np.array([[400, 200, 100], [380, 150, 300]]), np.array([[0.5, 0.4, 0.1], [0.52, 0.3, 0.1]])
    truth = _expected_split(size, rate)
    inside = np.zeros(4)
    rounds = 400
    for _ in range(rounds):
        sides = []
        for s in range(2):
            n = rng.poisson(size[s])
            x = rng.binomial(n, rate[s])
            sides.append(_counted(n, x))
        split = split_change(*sides, is_sum=False)
        inside[:3] += np.abs(split.total - truth.total) <= 1.96 * split.error
        inside[3] += abs(split.change - truth.change) <= 1.96 * split.change_error
    assert (inside / rounds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / rounds)).all(), inside / rounds


def _counted(n, x):
    n, x = n.astype(float), x.astype(float)
    return Moments(n, x, n, x, n, x)  # shares: numerator and denominator are 0 or 1 per user


def _expected_split(size, rate):
    return split_change(_counted(size[0], size[0] * rate[0]), _counted(size[1], size[1] * rate[1]), is_sum=False)


def test_where_nothing_sets_a_segment_apart_none_is_named():
    """Everything moved alike: a segment is named in at most one run of twenty."""
    rng = np.random.default_rng(8)
    false = 0
    rounds = 150
    for _ in range(rounds):
        sides = []
        for level in (0.5, 0.42):
            n = rng.poisson(np.full(12, 150))
            sides.append(_counted(n, rng.binomial(n, level)))
        dims = {"a": tuple("xyz"[i // 4] for i in range(12)), "b": tuple("uvwo"[i % 4] for i in range(12))}
        found, _ = find_segments(Cells(dims, *sides), is_sum=False)
        false += bool(found)
    assert false / rounds <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


def test_the_one_segment_that_moved_is_named_and_nothing_else():
    rng = np.random.default_rng(9)
    dims = {"a": tuple("xyz"[i // 4] for i in range(12)), "b": tuple("uvwo"[i % 4] for i in range(12))}
    hits = 0
    for _ in range(40):
        sides = []
        for dropped in (0.0, 0.3):
            n = rng.poisson(np.full(12, 1500))
            rate = np.full(12, 0.6)
            rate[5] -= dropped  # a = y, b = v
            sides.append(_counted(n, rng.binomial(n, rate)))
        found, rest = find_segments(Cells(dims, *sides), is_sum=False)
        hits += [dict(f.condition) for f in found] == [{"a": "y", "b": "v"}]
        change = split_change(*sides, is_sum=False).change
        assert sum(f.total for f in found) + rest == pytest.approx(change, abs=1e-12)
    assert hits >= 36, hits


def events(rows):
    """(user, week 0 or 1, event, channel, amount)"""
    found = []
    for i, (user, week, name, channel, amount) in enumerate(rows):
        props = {"channel": channel, "amount": amount}
        found.append(Event(user=user, time=BASE + week * WEEK + i * SECOND, name=name, props=props, row=i))
    return found


def opened(folder, rows):
    """A log that also has something in the week after, so that both weeks are complete and all windows closed."""
    later = Event(user="late", time=BASE + 4 * WEEK, name="visit", props={"channel": "x", "amount": 0.0}, row=10**6)
    return embedded_log(Path(folder), [*events(rows), later])


visits = st.lists(
    st.tuples(
        st.sampled_from([f"u{i}" for i in range(12)]), st.integers(0, 1), st.sampled_from(["visit", "pay"]),
        st.sampled_from(["x", "y"]), st.sampled_from([1.0, 2.0, 5.0]),
    ),
    min_size=4, max_size=40,
).filter(lambda rows: {w for _, w, *_ in rows} == {0, 1} and {n for _, _, n, *_ in rows} == {"visit", "pay"})  # fmt: skip

METRICS = {
    "people": {"type": "simple", "numerator": {"event": "*", "agg": "users"}},
    "revenue": {"type": "simple", "numerator": {"event": "pay", "agg": "sum", "of": "amount"}, "unit": "money"},
    "share": {"type": "proportion", "numerator": {"event": "pay"}},
    "basket": {"type": "simple", "numerator": {"event": "pay", "agg": "mean", "of": "amount"}, "unit": "money"},
    "conversion": {"type": "conversion", "start": {"event": "visit"}, "target": {"event": "pay"}, "within": "2d"},
}


def metric(name):
    return MetricDefinition.model_validate({"name": name, **METRICS[name]})


@settings(max_examples=40, deadline=None)
@given(visits, st.sampled_from(sorted(METRICS)))
def test_any_metric_of_any_log_is_shared_to_the_last_unit(rows, name):
    with tempfile.TemporaryDirectory() as folder:
        log = opened(folder, rows)
        result = explain_metric(log, metric(name), BOTH, dimensions=("channel",))
        log.engine.close()
    assert isinstance(result, ChangeResult)
    if result.change is None:
        assert "no value" in str(result.verdict())
        return
    for split in result.splits:
        assert sum(r.total for r in split.rows) == pytest.approx(result.change, abs=1e-9)
        assert split.rate + split.mix + split.volume == pytest.approx(result.change, abs=1e-9)
    if result.findings:
        assert sum(f.total for f in result.findings) + result.remainder == pytest.approx(result.change, abs=1e-9)


TREE = {
    "name": "t", "north_star": "revenue",
    "nodes": {"revenue": {"is": "people × share × basket"}, "people": {}, "share": {}, "basket": {"is": "conversion + 1"}},
}  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(visits)
def test_a_tree_adds_up_at_every_level_whatever_its_formulas_miss(rows):
    """basket = conversion + 1 is nonsense, and so is revenue: the rest shows as what formulas do not explain."""
    tree = TreeDefinition.model_validate(TREE)
    with tempfile.TemporaryDirectory() as folder:
        log = opened(folder, rows)
        result = explain_tree(log, tree, {n: metric(n) for n in METRICS}, BOTH, dimensions=("channel",))
        log.engine.close()
    assert isinstance(result, TreeChangeResult)
    top = result.north_star
    if top.contribution is None:
        assert any(c.code in ("no_value", "divided_by_zero") for c in result.unexplained)
        return
    assert top.contribution == pytest.approx(top.change, abs=1e-9)
    leaves = [n for n in result.nodes if not n.formula and not n.driver]
    residuals = [n.residual for n in result.nodes if n.residual is not None]
    assert sum(n.contribution for n in leaves) + sum(residuals) == pytest.approx(top.change, abs=1e-9)
    middle = next(n for n in result.nodes if n.name == "basket")
    below = next(n for n in result.nodes if n.name == "conversion")
    assert middle.contribution == pytest.approx(below.contribution + middle.residual, abs=1e-9)


@given(st.lists(st.integers(1, 9), min_size=6, max_size=6))
def test_the_trees_shares_are_shapleys(values):
    from upswing.metrics.explain_tree import _Made, _shares

    tree = TreeDefinition.model_validate(
        {"name": "t", "north_star": "top", "nodes": {"top": {"is": "a × b + c"}, "a": {}, "b": {}, "c": {}}}
    )
    made = _Made(tree, ("a", "b", "c"))
    before, after = dict(zip("abc", values[:3], strict=True)), dict(zip("abc", values[3:], strict=True))
    shares, method = _shares(made.evaluate, made.inputs(before), made.inputs(after))
    exact = shapley("a * b + c", *({k: Fraction(v) for k, v in side.items()} for side in (before, after)))
    assert method == "shapley"
    assert shares == pytest.approx({k: float(v) for k, v in exact.items()})
    assert RESIDUAL + "top" not in shares


def test_many_leaves_are_sampled_and_still_add_up():
    from upswing.metrics.explain_tree import _Made, _shares

    names = [f"m{i:02d}" for i in range(15)]
    tree = TreeDefinition.model_validate(
        {"name": "t", "north_star": "top", "nodes": {"top": {"is": " × ".join(names)}, **{n: {} for n in names}}}
    )
    made = _Made(tree, names)
    before, after = dict.fromkeys(names, 2.0), {n: 2.0 + i / 10 for i, n in enumerate(names, start=1)}
    shares, method = _shares(made.evaluate, made.inputs(before), made.inputs(after))
    assert method == "shapley_sampled"
    assert sum(shares.values()) == pytest.approx(made.evaluate(after) - made.evaluate(before))
    ordered = [shares[n] for n in names]
    assert np.corrcoef(ordered, range(15))[0, 1] > 0.95  # who moved more has more


def test_something_divided_by_zero_is_said_and_not_guessed():
    rows = [("u1", 0, "visit", "x", 1.0), ("u1", 1, "visit", "x", 1.0), ("u2", 1, "pay", "x", 1.0)]
    tree = TreeDefinition.model_validate(
        {"name": "t", "north_star": "each", "nodes": {"each": {"is": "revenue / payers"}, "payers": {}, "revenue": {}}}
    )
    payers = MetricDefinition.model_validate(
        {"name": "payers", "type": "simple", "numerator": {"event": "pay", "agg": "users"}}
    )
    with tempfile.TemporaryDirectory() as folder:
        log = opened(folder, rows)
        result = explain_tree(
            log, tree, {"revenue": metric("revenue"), "payers": payers}, BOTH, dimensions=("channel",)
        )
        log.engine.close()
    assert result.north_star.contribution is None
    assert {"divided_by_zero", "no_value"} <= {c.code for c in result.unexplained}
    assert "no value" in str(result.verdict())


def test_windows_that_overlap_or_have_no_data_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        log = opened(folder, [("u1", 0, "visit", "x", 1.0), ("u1", 1, "pay", "x", 1.0)])
        found = resolve_windows(log, period="week")
        assert found.after[1] - found.after[0] == WEEK
        assert found.before[1] == found.after[0]
        with pytest.raises(UsageError, match="overlap"):
            resolve_windows(log, start="2026-01-12", stop="2026-01-19", against="2026-01-10..2026-01-14")
        with pytest.raises(UsageError, match="names no window"):
            resolve_windows(log, start="2026-01-12", stop="2026-01-19", against="yesterday")
        with pytest.raises(DataError, match="no events in the earlier"):
            resolve_windows(log, start="2026-01-05", stop="2026-01-12", against="2020-01-01..2020-01-08")
        for periods in (0, -1):
            with pytest.raises(UsageError, match="at least one week"):
                resolve_windows(log, period="week", periods=periods)
        with pytest.raises(DataError, match="no events in the earlier"):  # all there are, and so none before
            resolve_windows(log, period="week", periods=10**20)
        log.engine.close()


def test_a_median_cannot_be_shared():
    with tempfile.TemporaryDirectory() as folder:
        log = opened(folder, [("u1", 0, "pay", "x", 1.0), ("u1", 1, "pay", "x", 1.0)])
        median = MetricDefinition.model_validate(
            {
                "name": "m",
                "type": "quantile",
                "quantile": 0.5,
                "numerator": {"event": "pay", "agg": "sum", "of": "amount"},
            }
        )
        with pytest.raises(UsageError, match="no sum and no ratio"):
            explain_metric(log, median, BOTH, dimensions=("channel",))
        log.engine.close()
