"""Sample ratio mismatch: did the split come out as planned? If not, no other number of the experiment counts.

`sample_ratio` is the chi-square for a look taken once; `sequential_sample_ratio` may be read after every user;
`localise` asks where the mismatch sits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions
from scipy.special import gammaln

from upswing.stats._arrays import FloatArray, Labels, Numbers, divide, floats, plain, plain_labels, statuses
from upswing.stats.errors import NOT_ENOUGH_DATA, InvalidInput, ShapeMismatch
from upswing.stats.multiplicity import adjust

UNEXPECTED_ARM = "unexpected_arm"


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """A chi-square test of the split.

    Attributes:
        p_value: probability of a split at least this far from the plan.
        statistic: chi-square.
        df: arms with a share, less one.
        observed: share of each arm among those with a planned share, shape (*shape, n_arms).
        method: "chi_square".
        status: "ok", "not_enough_data" (nobody), or "unexpected_arm" (units in an arm whose share is 0; they are
            left out of the test, but should not exist).
    """

    p_value: Numbers
    statistic: Numbers
    df: int
    observed: FloatArray
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class SequentialSampleRatio:
    """An always-valid test of the split.

    Attributes:
        p_value: p-value at each look, never rising; stop the experiment when it falls below alpha.
        bayes_factor: evidence against the plan at each look, on the log scale.
        concentration: prior weight given to the planned split.
        method: "dirichlet_multinomial".
        status: "ok" or "not_enough_data", per look.
    """

    p_value: Numbers
    bayes_factor: Numbers
    concentration: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class Suspect:
    """One value of one dimension, examined as the place of the mismatch.

    Attributes:
        dimension: for example "platform".
        value: for example "ios".
        units: units there.
        p_value: chi-square p-value of the split inside this value.
        adjusted_p: the same after Holm over all values of all dimensions.
        p_value_without: p-value of the whole experiment with these units left out; near 1 means that the mismatch
            sits here and nowhere else.
        excess: units above (or below) plan in each arm, shape (n_arms,).
        method: "chi_square_holm".
    """

    dimension: str
    value: str
    units: float
    p_value: float
    adjusted_p: float
    p_value_without: float
    excess: FloatArray
    method: str = "chi_square_holm"


def sample_ratio(counts: ArrayLike, weights: ArrayLike) -> SampleRatio:
    """Test a split once.

    Args:
        counts: units per arm, shape (n_arms,) or (n_problems, n_arms).
        weights: planned shares, shape (n_arms,), sum 1; an arm with share 0 is left out.

    Raises:
        InvalidInput: negative counts, shares that do not sum to 1, fewer than 2 arms with a share.
        ShapeMismatch: counts and weights of different numbers of arms.

    References:
        Fabijan et al. (2019), KDD, "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments".

    Examples:
        >>> round(sample_ratio([44_700, 45_489], [0.5, 0.5]).p_value, 4)
        0.0086
    """
    observed, share = _split(counts, weights)
    used = share > 0
    kept = observed[..., used]
    total = kept.sum(axis=-1)
    expected = total[..., None] * share[used]
    statistic = divide((kept - expected) ** 2, expected).sum(axis=-1)
    df = int(used.sum()) - 1
    empty = total == 0
    stray = observed[..., ~used].sum(axis=-1) > 0
    seen = np.zeros_like(observed)
    seen[..., used] = np.where(empty[..., None], np.nan, divide(kept, total[..., None]))
    return SampleRatio(
        p_value=plain(np.where(empty, np.nan, distributions.chi2.sf(statistic, df))),
        statistic=plain(np.where(empty, np.nan, statistic)),
        df=df,
        observed=seen,
        method="chi_square",
        status=plain_labels(statuses(total.shape, (empty, NOT_ENOUGH_DATA), (stray, UNEXPECTED_ARM))),
    )


def sequential_sample_ratio(
    counts: ArrayLike, weights: ArrayLike, *, concentration: float = 1000.0, uniform_prior: bool = False
) -> SequentialSampleRatio:
    """Test a split after every refresh without inflating the error.

    Args:
        counts: cumulative units per arm, shape (n_arms,) for one look or (n_looks, n_arms) for all of them in order.
        weights: planned shares, shape (n_arms,), sum 1.
        concentration: how strongly the alternative is believed to sit near the plan; around 1000 catches the small
            mismatches of real experiments, a small value loses power at large n.
        uniform_prior: use the flat Dirichlet(1, …, 1) instead of concentration × weights.

    Raises:
        InvalidInput: negative or shrinking counts, bad shares or concentration.

    References:
        Lindon, Malek (2022), NeurIPS, arXiv 2011.03567, formula 6.

    Examples:
        >>> round(sequential_sample_ratio([1000, 1200], [0.5, 0.5]).p_value, 4)
        0.0034
    """
    observed, share = _split(counts, weights)
    if not concentration > 0:
        raise InvalidInput("concentration must be positive")
    if observed.ndim > 2:
        raise ShapeMismatch("counts must have shape (n_arms,) or (n_looks, n_arms)")
    if observed.ndim == 2 and (np.diff(observed, axis=0) < 0).any():
        raise InvalidInput("counts fall from look to look", hint="give cumulative counts")
    used = share > 0
    seen, plan = observed[..., used], share[used]
    prior = np.ones(plan.size) if uniform_prior else concentration * plan
    total = seen.sum(axis=-1)
    marginal = (
        gammaln(prior.sum()) - gammaln(prior.sum() + total) + (gammaln(prior + seen) - gammaln(prior)).sum(axis=-1)
    )
    log_factor = marginal - (seen * np.log(plan)).sum(axis=-1)
    strongest = np.maximum.accumulate(log_factor) if observed.ndim == 2 else log_factor
    return SequentialSampleRatio(
        p_value=plain(np.exp(-np.maximum(strongest, 0.0))),
        bayes_factor=plain(log_factor),
        concentration=float(plan.size) if uniform_prior else concentration,
        method="dirichlet_multinomial",
        status=plain_labels(statuses(total.shape, (total == 0, NOT_ENOUGH_DATA))),
    )


def localise(dimensions: Mapping[str, tuple[Sequence[str], ArrayLike]], weights: ArrayLike) -> tuple[Suspect, ...]:
    """Rank the places where a mismatch may come from.

    Args:
        dimensions: name to (values, counts of shape (n_values, n_arms)); each dimension partitions the same units.
        weights: planned shares, shape (n_arms,), sum 1.

    Returns:
        Every value of every dimension, most suspicious first (by adjusted p, then by how well leaving it out cures).

    Raises:
        ShapeMismatch: values and counts of different lengths.

    References:
        Fabijan et al. (2019), KDD, section 5 (segment analysis); Holm (1979).

    Examples:
        >>> found = localise({"platform": (["ios", "web"], [[500, 300], [1000, 1010]])}, [0.5, 0.5])
        >>> found[0].value, found[0].adjusted_p < 0.001, round(found[0].p_value_without, 2)
        ('ios', True, 0.82)
    """
    found: list[Suspect] = []
    for name, (values, counts) in dimensions.items():
        table, share = _split(counts, weights)
        if table.ndim != 2 or len(values) != table.shape[0]:
            raise ShapeMismatch(f"{name}: {len(values)} values, but counts of shape {table.shape}")
        inside = np.atleast_1d(np.asarray(sample_ratio(table, share).p_value))
        without = np.atleast_1d(np.asarray(sample_ratio(table.sum(axis=0) - table, share).p_value))
        units = table.sum(axis=1)
        excess = table - units[:, None] * share
        found.extend(
            Suspect(name, str(values[i]), float(units[i]), float(inside[i]), np.nan, float(without[i]), excess[i])
            for i in range(len(values))
        )
    adjusted = adjust([suspect.p_value for suspect in found], method="holm") if found else np.zeros(0)
    ranked = [
        Suspect(s.dimension, s.value, s.units, s.p_value, float(p), s.p_value_without, s.excess)
        for s, p in zip(found, adjusted, strict=True)
    ]
    # a value that nobody is in cannot be ranked: it goes last
    order = lambda s: (np.nan_to_num(s.adjusted_p, nan=2.0), -np.nan_to_num(s.p_value_without, nan=0.0))  # noqa: E731
    return tuple(sorted(ranked, key=order))


def _split(counts: ArrayLike, weights: ArrayLike) -> tuple[FloatArray, FloatArray]:
    observed, share = floats("counts", counts, at_least=0), floats("weights", weights, at_least=0)
    if share.ndim != 1 or observed.ndim == 0 or observed.shape[-1] != share.size:
        raise ShapeMismatch(f"counts {observed.shape} and weights {share.shape} differ in their arms")
    if abs(share.sum() - 1) > 1e-6:
        raise InvalidInput(f"weights sum to {share.sum():g}, they must sum to 1")
    if (share > 0).sum() < 2:
        raise InvalidInput("at least two arms need a share")
    if not np.isfinite(observed).all():
        raise InvalidInput("counts must be finite")
    return observed, share
