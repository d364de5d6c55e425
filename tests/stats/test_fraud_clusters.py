"""Cluster scores: honest clusters are left alone, planted ones found and named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.fraud_clusters import _burst_tail, _cauchy, _size_tail, score_clusters


def honest(rng, clusters=400):
    """Households and offices: skewed sizes, busier days, keeping users varies between clusters."""
    size = 1 + rng.negative_binomial(0.7, 0.35, clusters)
    label = np.repeat(np.arange(clusters), size)
    day = rng.choice(30, label.size, p=np.repeat([0.02, 0.06], [15, 15]) / np.repeat([0.02, 0.06], [15, 15]).sum())
    share = rng.beta(4, 6, clusters)[label]
    return label, day + rng.random(label.size), rng.random(label.size) < share


def test_honest_clusters_are_rarely_called_out():
    rng = np.random.default_rng(0)
    runs, alarms, small = 40, 0, []
    for _ in range(runs):
        label, came, kept = honest(rng)
        result = score_clusters(label, time=came, measures={"kept": (kept, "fewer")})
        alarms += (result.q_value < 0.05).any()
        small.append((result.p_value < 0.01).mean())
    assert alarms / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert np.mean(small) < 0.012


@pytest.mark.parametrize(
    ("members", "burst", "kept_share", "reason"),
    [(60, False, 0.4, "size"), (12, True, 0.4, "burst"), (20, False, 0.0, "kept")],
)
def test_planted_clusters_are_found_with_their_reason(members, burst, kept_share, reason):
    rng, found = np.random.default_rng(1), 0
    for _ in range(12):
        label, came, kept = honest(rng)
        label = np.append(label, np.full(members, 9999))
        came = np.append(came, 12.5 + 0.05 * rng.random(members) if burst else rng.uniform(0, 30, members))
        kept = np.append(kept, rng.random(members) < kept_share)
        result = score_clusters(label, time=came, measures={"kept": (kept, "fewer")})
        place = result.clusters.tolist().index("9999")
        found += place < 3 and reason in result.reasons[place]
    assert found >= 10


def test_burst_law_is_valid_and_sees_a_clump():
    rng = np.random.default_rng(2)
    member = np.repeat(np.arange(3000), 6)
    p = _burst_tail(rng.random(member.size), member, np.full(3000, 6))
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / 3000)
    assert (p <= 0.05).mean() > 0.015  # a bound, not an empty one


def test_size_law_is_not_bent_by_the_large_ones():
    rng = np.random.default_rng(3)
    size = 1 + rng.negative_binomial(2, 0.5, 2000)
    clean = _size_tail(size)
    assert (clean < 0.01).mean() < 0.02
    planted = size.copy()
    planted[:40] = 80
    assert (_size_tail(planted)[:40] < 1e-6).all()


def test_cauchy_combination_agrees_with_its_definition_and_keeps_its_level():
    rng = np.random.default_rng(4)
    p = rng.random((20, 3))
    t = np.tan((0.5 - np.minimum(p, 0.9)) * np.pi).mean(axis=1)
    assert _cauchy(p) == pytest.approx(distributions.cauchy.sf(t), rel=1e-9)
    shared = rng.normal(size=(40_000, 1))
    together = distributions.norm.sf(0.8 * shared + 0.6 * rng.normal(size=(40_000, 4)))
    assert (_cauchy(together) < 0.01).mean() == pytest.approx(0.01, abs=0.003)
    tiny = _cauchy(np.array([[1e-200, 0.5, np.nan]]))
    assert tiny[0] == pytest.approx(2e-200, rel=1e-6)


def test_units_of_time_labels_and_order_do_not_matter():
    label, came, kept = honest(np.random.default_rng(5), 60)
    one = score_clusters(label, time=came, measures={"kept": (kept, "more")})
    order = np.random.default_rng(6).permutation(label.size)
    other = score_clusters(
        [f"ip-{i}" for i in label[order]], time=came[order] * 86400 + 5, measures={"kept": (kept[order], "more")}
    )
    named = dict(zip(other.clusters.tolist(), other.p_value.tolist(), strict=True))
    assert [named[f"ip-{c}"] for c in one.clusters] == pytest.approx(one.p_value.tolist(), rel=1e-6)
    assert (np.diff(one.p_value) >= 0).all()


def test_states_and_wrong_calls():
    few = score_clusters(["a", "b"])
    assert few.status == "not_enough_data"
    assert np.isnan(few.score).all()
    singles = score_clusters(np.arange(50))
    assert singles.status == "ok"
    assert (singles.q_value > 0.5).all()
    assert score_clusters([]).status == "not_enough_data"
    same = score_clusters(np.arange(50) // 2, time=np.zeros(50), measures={"kept": (np.ones(50), "fewer")})
    assert (same.p_measures == 1).all()
    with pytest.raises(InvalidInput):
        score_clusters(np.arange(50), measures={"kept": (np.full(50, 0.5), "fewer")})
    with pytest.raises(InvalidInput):
        score_clusters(np.arange(50), measures={"kept": (np.ones(50), "odd")})
    with pytest.raises(InvalidInput):
        score_clusters(np.arange(50), time=np.full(50, np.nan))
    with pytest.raises(ShapeMismatch):
        score_clusters(np.arange(50), time=np.zeros(49))
