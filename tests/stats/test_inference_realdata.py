"""The experiment statistics on real experiments, against what their publishers reported."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions
from tests.realdata import data_file

from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Level
from upswing.stats.cuped import compare_adjusted
from upswing.stats.dunnett import compare_to_control
from upswing.stats.means import compare_means
from upswing.stats.money import net_value
from upswing.stats.proportions import two_proportion_test
from upswing.stats.resampling import bootstrap
from upswing.stats.srm import sample_ratio

pytestmark = pytest.mark.realdata


def test_r10_cookie_cats():
    players = pd.read_parquet(data_file("cookie_cats/cookie_cats.parquet"))
    late = players[players.version == "gate_40"]
    early = players[players.version == "gate_30"]
    assert sample_ratio([len(early), len(late)], [0.5, 0.5]).p_value == pytest.approx(0.0086, abs=5e-5)
    for column, share_30, share_40, p_value in (
        ("retention_1", 0.448188, 0.442283, 0.0744), ("retention_7", 0.190201, 0.182000, 0.00155),
    ):  # fmt: skip
        result = two_proportion_test(late[column].sum(), len(late), early[column].sum(), len(early))
        assert result.difference == pytest.approx(share_40 - share_30, abs=1e-6)
        assert result.p_value == pytest.approx(p_value, abs=6e-5)


def test_cookie_cats_one_player_does_not_decide():
    """One player with 49,854 rounds moves the mean of her arm; the bootstrap and Welch agree that it says nothing."""
    players = pd.read_parquet(data_file("cookie_cats/cookie_cats.parquet"))
    arms = [players.sum_game_rounds[players.version == v].to_numpy(float) for v in ("gate_30", "gate_40")]
    welch = compare_means(*(Aggregates.from_rows({"y": arm}) for arm in arms))
    resampled = bootstrap(*arms, resamples=300, weights="poisson", rng=1)
    assert welch.p_value > 0.3
    assert resampled.lower < 0 < resampled.upper
    capped = compare_means(*(Aggregates.from_rows({"y": np.minimum(arm, 3000)}) for arm in arms))
    assert capped.se < 0.8 * welch.se


def test_gerber_green_larimer_2008_turnout():
    voters = pd.read_parquet(data_file("social_pressure/social.parquet"))
    published = {"Control": 29.7, "Civic Duty": 31.5, "Hawthorne": 32.2, "Neighbors": 37.8}
    arms = {
        name: Aggregates.from_rows({
            "voted": part.primary2006.to_numpy(float), "before": part.primary2004.to_numpy(float),
        })
        for name, part in voters.groupby("messages")
    }  # fmt: skip
    for name, turnout in published.items():
        assert 100 * arms[name].mean("voted") == pytest.approx(turnout, abs=0.06)
    neighbours = compare_adjusted(arms["Control"], arms["Neighbors"], outcome="voted", covariates=["before"])
    assert neighbours.adjusted.difference == pytest.approx(0.081, abs=2e-3)
    assert 0.02 < neighbours.variance_reduction < 0.05


def test_gerber_green_larimer_2008_all_arms_against_control():
    voters = pd.read_parquet(data_file("social_pressure/social.parquet"))
    moments = voters.groupby("messages").primary2006.agg(["count", "mean", "var"])
    control = moments.loc["Control"]
    treated = moments.drop("Control")
    result = compare_to_control(
        Level.of(control["mean"], control["var"] / control["count"], df=control["count"] - 1),
        Level.of(treated["mean"], treated["var"] / treated["count"], df=treated["count"] - 1),
    )
    # published effects: +1.8, +2.5 and +8.1 points, all significant
    assert 100 * result.difference == pytest.approx([1.8, 2.5, 8.1], abs=0.1)
    assert (result.p_value < 1e-6).all()


def test_asos_every_row_in_one_call():
    rows = pd.read_parquet(data_file("asos/asos_digital_experiments_dataset.parquet"))
    rows = rows[(rows.count_c > 1) & (rows.count_t > 1) & (rows.variance_c > 0) & (rows.variance_t > 0)]
    rows = rows.assign(sd_c=np.sqrt(rows.variance_c), sd_t=np.sqrt(rows.variance_t))
    expected = distributions.ttest_ind_from_stats(
        *(rows[c].to_numpy() for c in ("mean_t", "sd_t", "count_t", "mean_c", "sd_c", "count_c")), equal_var=False
    )
    control = Aggregates.from_moments(rows.count_c, rows.mean_c, rows.variance_c)
    treatment = Aggregates.from_moments(rows.count_t, rows.mean_t, rows.variance_t)
    result = compare_means(control, treatment)
    assert len(rows) > 20_000
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    bounded = result.lift_status == "ok"
    significant = result.p_value[bounded] < 0.05
    excludes = (result.lift_lower[bounded] > 0) | (result.lift_upper[bounded] < 0)
    assert (significant == excludes).mean() > 0.9999


def test_starbucks_net_incremental_revenue():
    """NIR of the exercise: (10·buyers_t - 0.15·n_t) - 10·buyers_c, per customer of equal arms."""
    customers = pd.read_parquet(data_file("starbucks_promo/training.parquet"))
    arms = []
    for promoted in ("No", "Yes"):
        part = customers[customers.Promotion == promoted]
        arms.append(
            Aggregates.from_rows({"purchase": part.purchase, "promotion": np.full(len(part), promoted == "Yes")})
        )
    result = net_value(arms[0], arms[1], {"purchase": 10.0, "promotion": -0.15})
    rates = [float(arm.mean("purchase")) for arm in arms]
    assert result.difference == pytest.approx(10 * (rates[1] - rates[0]) - 0.15)
    assert result.upper < 0  # sending it to everybody loses money
