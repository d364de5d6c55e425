"""Bayesian read-out: what to expect, what a wrong decision costs, and what past experiments say about this one.

It stands beside the test of record, never instead of it: the probability to be best is not protected from peeking.
All priors are finite mixtures of normals (a t prior is one, to any accuracy), so every posterior is closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions
from scipy.optimize import brentq, minimize
from scipy.special import betainc, betaincinv

from upswing.stats._arrays import (
    FloatArray,
    Labels,
    Numbers,
    floats,
    fraction,
    one_of,
    plain,
    plain_labels,
    statuses,
    together,
    vector,
)
from upswing.stats.errors import NOT_ENOUGH_DATA, InvalidInput, NotEnoughData, ShapeMismatch

PriorKind: TypeAlias = Literal["normal", "mixture", "t"]


@dataclass(frozen=True, slots=True)
class Prior:
    """A mixture of normals over the true effect.

    Attributes:
        weights: shape (n_components,), sum 1.
        means: shape (n_components,).
        sds: shape (n_components,), positive; one infinite component alone is the flat prior.
        method: how it came about.
    """

    weights: FloatArray
    means: FloatArray
    sds: FloatArray
    method: str = "given"

    def __post_init__(self) -> None:
        if not (self.weights.shape == self.means.shape == self.sds.shape and self.weights.ndim == 1):
            raise ShapeMismatch("weights, means and sds must have one common shape (n_components,)")
        if (self.weights < 0).any() or abs(self.weights.sum() - 1) > 1e-6 or not (self.sds > 0).all():
            raise InvalidInput("weights must be non-negative and sum to 1, sds must be positive")
        if np.isinf(self.sds).any() and self.sds.size > 1:
            raise InvalidInput("a flat component cannot be mixed with others")


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed about the effect after the data.

    Attributes:
        mean: posterior mean: the effect to put into a forecast.
        sd: posterior standard deviation.
        lower: lower limit of the equal-tailed credible interval.
        upper: upper limit.
        probability_positive: P(effect > 0).
        probability_worth_it: P(effect > cost).
        loss_if_shipped: expected shortfall of shipping, E[max(cost - effect, 0)].
        loss_if_kept: expected gain missed by not shipping, E[max(effect - cost, 0)].
        cost: cost per unit of the effect's scale that the change must earn.
        confidence: credibility of the interval.
        method: "normal_mixture" with the prior's method.
        status: "ok" or "not_enough_data".
    """

    mean: Numbers
    sd: Numbers
    lower: Numbers
    upper: Numbers
    probability_positive: Numbers
    probability_worth_it: Numbers
    loss_if_shipped: Numbers
    loss_if_kept: Numbers
    cost: Numbers
    confidence: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class BetaComparison:
    """Two conversion rates under beta priors.

    Attributes:
        probability_better: P(treatment rate > control rate).
        loss_if_shipped: E[max(control - treatment, 0)].
        loss_if_kept: E[max(treatment - control, 0)].
        difference: posterior mean of treatment minus control.
        method: "beta_binomial".
        status: "ok" or "not_enough_data" (an arm without users, of which only the prior could speak: all NaN).
    """

    probability_better: Numbers
    loss_if_shipped: Numbers
    loss_if_kept: Numbers
    difference: Numbers
    method: str
    status: Labels


FLAT = Prior(np.ones(1), np.zeros(1), np.full(1, np.inf), "flat")


def normal_prior(mean: float, sd: float) -> Prior:
    """Return a normal prior.

    Examples:
        >>> normal_prior(0.0, 0.05).sds
        array([0.05])
    """
    return Prior(np.ones(1), np.array([float(mean)]), np.array([float(sd)]), "normal")


def t_prior(df: float, scale: float, *, mean: float = 0.0, components: int = 60) -> Prior:
    """Return a Student t prior as a scale mixture of normals.

    Fat tails matter: with them, large estimates are rare breakthroughs to be believed, small ones noise to be shrunk.

    Args:
        df: degrees of freedom, above 0; the smaller the fatter.
        scale: scale, positive.
        mean: centre.
        components: accuracy.

    References:
        Azevedo, Deng, Montiel Olea, Rao, Weyl (2020), Journal of Political Economy 128:4614-4672.

    Examples:
        >>> prior = t_prior(3.0, 0.02)
        >>> round(float(prior.weights.sum()), 6), prior.method
        (1.0, 't')
    """
    if not (df > 0 and scale > 0 and components >= 2):
        raise InvalidInput("df and scale must be positive, components at least 2")
    # precision ~ Gamma(df/2, rate df/2); on the log scale the trapezoid rule converges geometrically
    low, high = (float(np.log(distributions.gamma.ppf(p, df / 2, scale=2 / df))) for p in (1e-10, 1 - 1e-12))
    precision = np.exp(np.linspace(low, high, components))
    weights = distributions.gamma.pdf(precision, df / 2, scale=2 / df) * precision
    sds = scale / np.sqrt(precision)
    return Prior(weights / weights.sum(), np.full(components, float(mean)), sds, "t")


def posterior(
    estimate: ArrayLike, se: ArrayLike, *, prior: Prior = FLAT, cost: ArrayLike = 0.0, confidence: float = 0.95
) -> Posterior:
    """Combine estimates with a prior.

    Args:
        estimate: effects (differences or lifts), shape (n_problems,) or a number.
        se: standard errors, positive.
        prior: beliefs before the data, in the same scale; `fit_prior` learns one from past experiments.
        cost: what the effect must exceed to be worth it, same scale.
        confidence: credibility.

    References:
        Normal mixture conjugacy; expected loss after Stucchio (2015), VWO whitepaper.

    Examples:
        >>> result = posterior(0.10, 0.05)
        >>> round(result.probability_positive, 3), round(result.loss_if_shipped, 7)
        (0.977, 0.0004245)
    """
    tail = (1 - fraction("confidence", confidence)) / 2
    y, s, price = together(
        estimate=floats("estimate", estimate, nan=True),
        se=floats("se", se, at_least=0, nan=True),
        cost=floats("cost", cost),
    )
    unknown = np.isnan(y) | np.isnan(s) | np.isinf(s) | (s == 0)
    weight, centre, spread = _update(np.where(unknown, 0.0, y), np.where(unknown, 1.0, s), prior)
    mean = (weight * centre).sum(axis=-1)
    sd = np.sqrt((weight * (spread**2 + (centre - mean[..., None]) ** 2)).sum(axis=-1))
    gain, loss = _expected_parts(weight, centre, spread, price[..., None])
    hide = np.where(unknown, np.nan, 0.0)
    return Posterior(
        mean=plain(mean + hide), sd=plain(sd + hide),
        lower=plain(_mixture_quantile(weight, centre, spread, tail) + hide),
        upper=plain(_mixture_quantile(weight, centre, spread, 1 - tail) + hide),
        probability_positive=plain((weight * distributions.norm.sf(-centre / spread)).sum(axis=-1) + hide),
        probability_worth_it=plain(
            (weight * distributions.norm.sf((price[..., None] - centre) / spread)).sum(axis=-1) + hide
        ),
        loss_if_shipped=plain(loss + hide), loss_if_kept=plain(gain + hide), cost=plain(price),
        confidence=confidence, method=f"normal_mixture_{prior.method}",
        status=plain_labels(statuses(y.shape, (unknown, NOT_ENOUGH_DATA))),
    )  # fmt: skip


def value_before_testing(prior: Prior, *, cost: float = 0.0) -> float:
    """Return E[max(effect - cost, 0)] under a prior: what an idea is worth once a perfect test has judged it.

    Examples:
        >>> round(value_before_testing(normal_prior(0.0, 1.0)), 4)
        0.3989
    """
    if np.isinf(prior.sds).any():
        raise InvalidInput("a flat prior has no expected value")
    gain, _ = _expected_parts(prior.weights, prior.means, prior.sds, np.array(cost))
    return float(gain)


def fit_prior(estimates: ArrayLike, standard_errors: ArrayLike, *, kind: PriorKind = "normal") -> Prior:
    """Learn the prior of the next effect from past experiments on the same surface and metric.

    Args:
        estimates: past effects, shape (n,), at least 5; all of them, not only the launched ones.
        standard_errors: shape (n,), positive.
        kind: "normal"; "mixture" of two normals around a common mean (many duds, few breakthroughs); "t".

    Raises:
        NotEnoughData: fewer than 5 experiments.
        InvalidInput: standard errors that are not positive.

    References:
        Marginal maximum likelihood; Azevedo et al. (2020) for "t".

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> se = np.full(400, 0.02)
        >>> prior = fit_prior(rng.normal(0.01, np.hypot(0.05, se)), se)
        >>> round(float(prior.means[0]), 2), round(float(prior.sds[0]), 2)
        (0.01, 0.05)
    """
    one_of("kind", kind, ("normal", "mixture", "t"))
    y = vector("estimates", estimates)
    se = vector("standard_errors", standard_errors, size=y.size)
    if y.size < 5:
        raise NotEnoughData(f"{y.size} past experiments, at least 5 are needed", hint="use a given normal_prior")
    if not (se > 0).all():
        raise InvalidInput("standard errors must be positive")
    unit = float(np.sqrt(max(y.var(), float(np.square(se).mean()))))
    start = np.log(max(np.sqrt(max(float(y.var() - np.square(se).mean()), 0.0)), 0.05 * unit) / unit)
    builders = {"normal": _normal_of, "mixture": _mixture_of, "t": _t_of}
    seeds = {
        "normal": [[0.0, start]],
        "mixture": [[0.0, start - 1, 1.0, 0.0], [0.0, start - 0.5, 0.5, -2.0]],
        "t": [[0.0, start - 0.5, 1.0], [0.0, start, 3.0]],
    }[kind]
    build, centre = builders[kind], float(np.average(y, weights=se**-2.0))

    def surprise(raw: FloatArray) -> float:
        return -_log_marginal(build(raw, centre, unit), y, se)

    fits = [minimize(surprise, np.array(seed), method="Nelder-Mead", options={"maxiter": 2000}) for seed in seeds]
    best = min(fits, key=lambda fit: float(fit.fun))
    return build(np.asarray(best.x), centre, unit)


def compare_beta(
    s1: ArrayLike, n1: ArrayLike, s2: ArrayLike, n2: ArrayLike, *, prior: tuple[float, float] = (1.0, 1.0)
) -> BetaComparison:
    """Compare conversion rates with beta priors; first group is the treatment, second the control.

    Args:
        s1: successes of the treatment, shape (n_problems,) or a number.
        n1: users of the treatment.
        s2: successes of the control.
        n2: users of the control.
        prior: parameters of the beta prior of both rates; (1, 1) is uniform.

    References:
        Miller (2015), "Formulas for Bayesian A/B Testing", formula 6, here by quadrature, so that parameters need
        not be whole.

    Examples:
        >>> result = compare_beta(12, 100, 8, 100)
        >>> round(result.probability_better, 3)
        0.822
    """
    if min(prior) <= 0:
        raise InvalidInput("prior parameters must be positive")
    a, na, c, nc = together(
        s1=floats("s1", s1, at_least=0), n1=floats("n1", n1), s2=floats("s2", s2, at_least=0), n2=floats("n2", n2)
    )
    if (a > na).any() or (c > nc).any():
        raise InvalidInput("successes exceed the number of users")
    at, bt, ac, bc = a + prior[0], na - a + prior[1], c + prior[0], nc - c + prior[1]
    u, w = np.polynomial.legendre.leggauss(300)
    weight = w / 2
    x = betaincinv(at[..., None], bt[..., None], (u + 1) / 2)
    below = betainc(ac[..., None], bc[..., None], x)
    mean_t, mean_c = at / (at + bt), ac / (ac + bc)
    # E[(control - x)+] = E[control; control > x] - x P(control > x)
    above = mean_c[..., None] * (1 - betainc(ac[..., None] + 1, bc[..., None], x)) - x * (1 - below)
    loss = (weight * above).sum(axis=-1)
    empty = (na == 0) | (nc == 0)
    return BetaComparison(
        probability_better=plain(np.where(empty, np.nan, (weight * below).sum(axis=-1))),
        loss_if_shipped=plain(np.where(empty, np.nan, loss)),
        loss_if_kept=plain(np.where(empty, np.nan, loss + mean_t - mean_c)),
        difference=plain(np.where(empty, np.nan, mean_t - mean_c)),
        method="beta_binomial",
        status=plain_labels(statuses(na.shape, (empty, NOT_ENOUGH_DATA))),
    )


def _update(y: FloatArray, s: FloatArray, prior: Prior) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return weights, means and sds of the posterior mixture, components on the last axis."""
    y, s = y[..., None], s[..., None]
    if np.isinf(prior.sds).any():
        return np.ones_like(y), y, s
    total = s**2 + prior.sds**2
    log_weight = np.log(np.maximum(prior.weights, 1e-300)) - 0.5 * (np.log(total) + (y - prior.means) ** 2 / total)
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    keep = prior.sds**2 / total
    return weight / weight.sum(axis=-1, keepdims=True), keep * y + (1 - keep) * prior.means, np.sqrt(keep) * s


def _expected_parts(
    weight: FloatArray, centre: FloatArray, spread: FloatArray, price: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return E[(θ - price)+] and E[(price - θ)+]."""
    z = (centre - price) / spread
    density = distributions.norm.pdf(z)
    gain = spread * (density + z * distributions.norm.cdf(z))
    loss = spread * (density - z * distributions.norm.sf(z))
    return (weight * gain).sum(axis=-1), (weight * loss).sum(axis=-1)


def _mixture_quantile(weight: FloatArray, centre: FloatArray, spread: FloatArray, p: float) -> FloatArray:
    single = centre + spread * distributions.norm.ppf(p)
    if weight.shape[-1] == 1:
        return np.asarray(single[..., 0])
    shape = weight.shape[:-1]
    rows = zip(
        weight.reshape(-1, weight.shape[-1]), np.broadcast_to(centre, weight.shape).reshape(-1, weight.shape[-1]),
        np.broadcast_to(spread, weight.shape).reshape(-1, weight.shape[-1]), strict=True,
    )  # fmt: skip
    result = [_one_quantile(w, m, s, p) for w, m, s in rows]
    return np.array(result).reshape(shape)


def _one_quantile(weight: FloatArray, centre: FloatArray, spread: FloatArray, p: float) -> float:
    heavy = weight > 1e-14
    ends = centre[heavy] + spread[heavy] * distributions.norm.ppf(p)
    if np.ptp(ends) == 0:
        return float(ends[0])

    def excess(x: float) -> float:
        return float(weight[heavy] @ distributions.norm.cdf((x - centre[heavy]) / spread[heavy])) - p * float(
            weight[heavy].sum()
        )

    return float(brentq(excess, float(ends.min()), float(ends.max()), xtol=1e-12))


def _log_marginal(prior: Prior, y: FloatArray, se: FloatArray) -> float:
    total = se[:, None] ** 2 + prior.sds**2
    log_density = np.log(np.maximum(prior.weights, 1e-300)) - 0.5 * (
        np.log(2 * np.pi * total) + (y[:, None] - prior.means) ** 2 / total
    )
    top = log_density.max(axis=1, keepdims=True)
    return float((top[:, 0] + np.log(np.exp(log_density - top).sum(axis=1))).sum())


def _normal_of(raw: FloatArray, centre: float, unit: float) -> Prior:
    prior = normal_prior(centre + unit * float(raw[0]), unit * float(np.exp(np.clip(raw[1], -12, 12))))
    return Prior(prior.weights, prior.means, prior.sds, "fitted_normal")


def _mixture_of(raw: FloatArray, centre: float, unit: float) -> Prior:
    narrow = unit * float(np.exp(np.clip(raw[1], -12, 12)))
    wide = narrow * (1 + float(np.exp(np.clip(raw[2], -12, 12))))
    share = 1 / (1 + float(np.exp(-np.clip(raw[3], -12, 12))))
    mean = centre + unit * float(raw[0])
    return Prior(np.array([1 - share, share]), np.full(2, mean), np.array([narrow, wide]), "fitted_mixture")


def _t_of(raw: FloatArray, centre: float, unit: float) -> Prior:
    scale = unit * float(np.exp(np.clip(raw[1], -12, 12)))
    df = 0.5 + float(np.exp(np.clip(raw[2], -3, 5)))
    prior = t_prior(df, scale, mean=centre + unit * float(raw[0]), components=40)
    return Prior(prior.weights, prior.means, prior.sds, "fitted_t")
