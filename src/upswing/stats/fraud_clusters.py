"""Groups of accounts that share a device, an address or an inviter: which of them do not look like people.

Four kinds of evidence per cluster, each as a p-value under what is usual in the same data: too many members, members
that came in one burst, and shares (kept users, new devices, night-time installs, …) unlike everybody's. They are
combined into one p-value that stays valid though the kinds go together, and corrected for the number of clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special
from scipy import stats as distributions

from upswing.stats._arrays import BoolArray, FloatArray, IntArray, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, InvalidInput, ShapeMismatch
from upswing.stats.multiplicity import adjust

Direction: TypeAlias = Literal["more", "fewer"]
MIN_CLUSTERS = 20
BULK = 0.95
"""Clusters up to this quantile of size, and of share, say what is usual: those beyond may be what is looked for."""


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """How unlike the rest each cluster is.

    Attributes:
        clusters: labels, shape (n_clusters,), strongest evidence first.
        size: members of each.
        p_size: probability of a cluster at least as large among usual ones.
        p_burst: probability of members coming at least as closely together; NaN without times or below 3 members.
        p_measures: per measure, probability of a share at least as far out in the suspicious direction; shape
            (n_clusters, n_measures).
        p_value: all of them combined.
        q_value: after Benjamini-Hochberg over clusters: the share of false alarms among clusters up to here.
        score: -log10 of `p_value`.
        reasons: per cluster the kinds of evidence below 0.01, strongest first: "size", "burst", names of measures.
        method: "cluster_evidence_cauchy".
        status: "ok" or "not_enough_data" (fewer than 20 clusters: nothing says what is usual).
    """

    clusters: NDArray[np.str_]
    size: IntArray
    p_size: FloatArray
    p_burst: FloatArray
    p_measures: FloatArray
    p_value: FloatArray
    q_value: FloatArray
    score: FloatArray
    reasons: tuple[tuple[str, ...], ...]
    method: str
    status: str


def score_clusters(
    cluster: Sequence[object] | NDArray[np.generic],
    *,
    time: ArrayLike | None = None,
    measures: Mapping[str, tuple[ArrayLike, Direction]] | None = None,
) -> ClusterScores:
    """Score clusters of accounts by size, burst and behaviour.

    *Size*: a zero-truncated negative binomial fitted to the clusters up to the 95 % quantile, as truncated data, so
    that the large ones do not make themselves usual. *Burst*: moments are first put on the clock of all accounts
    (their ranks), so busy days are not bursts; the shortest span of four fifths of the members is held against the
    beta law of spacings, times the number of spans. *Measures*: the tail of a beta-binomial with the overall share
    and the variation between usual clusters. Combination: Cauchy's.

    Args:
        cluster: label per account (address, device, inviter), shape (n_accounts,).
        time: when each account came, shape (n_accounts,).
        measures: name to (0 or 1 per account, which direction is suspicious: "more" or "fewer").

    Raises:
        InvalidInput: a measure that is not 0 or 1, or a direction that is neither. ShapeMismatch: lengths differ.

    References:
        Liu, Xie (2020), JASA 115: Cauchy Combination Test, theorem 1, truncated as in Fang, Chang, Park, Tseng (2023),
        Statistica Sinica 33. Spacings: David, Nagaraja (2003), Order
        Statistics, section 2.5. Beta-binomial: Skellam (1948), JRSS B 10.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> label = np.append(rng.integers(0, 400, 1000), np.full(60, 999))
        >>> came = np.append(rng.uniform(0, 30, 1000), rng.uniform(12.0, 12.2, 60))
        >>> kept = np.append(rng.random(1000) < 0.4, np.zeros(60))
        >>> result = score_clusters(label, time=came, measures={"kept": (kept, "fewer")})
        >>> str(result.clusters[0]), result.reasons[0], int((result.q_value < 0.05).sum())
        ('999', ('size', 'burst', 'kept'), 1)
    """
    given = np.asarray(cluster)
    if given.ndim != 1:
        raise ShapeMismatch(f"cluster has shape {given.shape}, it must have shape (n_accounts,)")
    labels, member = np.unique(given.astype(str), return_inverse=True)
    size = np.bincount(member, minlength=labels.size)
    moments = None if time is None else vector("time", time, size=member.size)
    shares = {name: (_zero_one(name, flag, member.size, way), way) for name, (flag, way) in (measures or {}).items()}
    if labels.size < MIN_CLUSTERS:
        gap = np.full(labels.size, np.nan)
        table = np.full((labels.size, len(shares)), np.nan)
        none = ((),) * labels.size
        return ClusterScores(
            labels, size, gap, gap, table, gap, gap, gap, none, "cluster_evidence_cauchy", NOT_ENOUGH_DATA
        )
    p_size = _size_tail(size)
    p_burst = np.full(labels.size, np.nan) if moments is None else _burst_tail(moments, member, size)
    columns = [
        _share_tail(np.bincount(member, weights=flag).astype(np.float64), size, way) for flag, way in shares.values()
    ]
    p_measures = np.column_stack(columns) if columns else np.empty((labels.size, 0))
    every = np.column_stack([p_size, p_burst, p_measures])
    p_value = _cauchy(every)
    order = np.lexsort([-size, p_value])
    names = ("size", "burst", *shares)
    reasons = tuple(
        tuple(names[i] for i in np.argsort(every[row]) if every[row, i] < 0.01)  # NaN sorts last and is never below
        for row in order
    )
    q_value = adjust(p_value, method="benjamini_hochberg")
    return ClusterScores(
        labels[order], size[order], p_size[order], p_burst[order], p_measures[order], p_value[order], q_value[order],
        -np.log10(np.maximum(p_value[order], 1e-300)), reasons, "cluster_evidence_cauchy", OK,
    )  # fmt: skip


def _zero_one(name: str, flag: ArrayLike, n: int, way: str) -> FloatArray:
    values = vector(name, np.asarray(flag, dtype=np.float64), size=n)
    if not np.isin(values, (0.0, 1.0)).all():
        raise InvalidInput(f"measure {name!r} must be 0 or 1 for each account")
    if way not in ("more", "fewer"):
        raise InvalidInput(f"the direction of measure {name!r} is {way!r}, it must be 'more' or 'fewer'")
    return values


def _size_tail(size: IntArray) -> FloatArray:
    """P(size >= seen | size >= 1) of a negative binomial fitted to sizes 1 … the 95 % quantile."""
    most = int(np.quantile(size, BULK, method="inverted_cdf"))
    usual = size[size <= most]
    value, count = np.unique(usual, return_counts=True)
    support = np.arange(1, most + 1)

    def loss(point: FloatArray) -> float:
        mean, shape = np.exp(point)
        logs = (
            special.gammaln(shape + support) - special.gammaln(support + 1.0) + support * np.log(mean / (shape + mean))
        )
        return float(usual.size * special.logsumexp(logs) - count @ logs[value - 1])

    if most == 1:  # nothing to fit a shape on: a Poisson whose singles are as common as seen
        spare = max(float((size > 1).mean()), 1.0 / size.size)
        rate = min(2 * spare, 1.0)
        return np.asarray(distributions.poisson.sf(size - 1, rate) / distributions.poisson.sf(0, rate))
    start = np.log([max(float(usual.mean()) - 0.5, 0.1), 2.0])
    bounds = [(-6.0, float(np.log(4 * most))), (-4.0, 6.0)]
    mean, shape = np.exp(optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)
    law = distributions.nbinom(shape, shape / (shape + mean))
    return np.asarray(np.minimum(law.sf(size - 1) / law.sf(0), 1.0))


def _burst_tail(time: FloatArray, member: IntArray, size: IntArray) -> FloatArray:
    """Shortest span of four fifths of the members, on the clock of everybody, against the law of spacings."""
    clock = (distributions.rankdata(time) - 0.5) / time.size
    order = np.lexsort([clock, member])
    ends = size.cumsum()
    tail = np.full(size.size, np.nan)
    for index in np.flatnonzero(size >= 3):
        m = int(size[index])
        mine = clock[order[ends[index] - m : ends[index]]]
        held = max(int(np.ceil(0.8 * m)), 3)
        # ranks cannot be closer than one account: a tie counts as that
        span = max(float((mine[held - 1 :] - mine[: m - held + 1]).min()), (held - 1) / time.size)
        tail[index] = min((m - held + 1) * float(distributions.beta.cdf(span, held - 1, m - held + 2)), 1.0)
    return tail


def _share_tail(events: FloatArray, size: IntArray, way: Direction) -> FloatArray:
    """Tail of the beta-binomial; half the probability of the count itself is left out (mid-p)."""
    share = float(events.sum() / size.sum())
    if share in (0.0, 1.0):
        return np.ones(size.size)
    spread = _between(events, size, share)
    strength = 1 / max(spread, 1e-6) - 1  # the binomial is its limit
    law = distributions.betabinom(size, share * strength, (1 - share) * strength)
    beyond = law.sf(events) if way == "more" else law.cdf(events - 1)
    return np.asarray(np.clip(beyond + law.pmf(events) / 2, 0.0, 1.0))


def _between(events: FloatArray, size: IntArray, share: float) -> float:
    """Correlation of members of a usual cluster, by moments over clusters without the most extreme 5 %."""
    several: BoolArray = size > 1
    n, x = size[several].astype(np.float64), events[several]
    if n.size < MIN_CLUSTERS:
        return 0.0
    residual = (x - n * share) ** 2 / (n * share * (1 - share))
    usual = residual <= np.quantile(residual, BULK)
    n, residual = n[usual], residual[usual]
    # the excess over 1 is (n - 1) times the correlation
    return float(np.clip((residual - 1).sum() / (n - 1).sum(), 0.0, 0.9))


def _cauchy(p: FloatArray) -> FloatArray:
    """Cauchy combination of the known p-values of each row; above 0.9 all count as 0.9.

    Untruncated, one p-value of 1 (a burst that is none) would silence any evidence beside it.
    """
    known = ~np.isnan(p)
    safe = np.clip(np.where(known, p, 0.5), 1e-300, 0.9)
    # tan(pi (1/2 - p)) is 1 / (pi p) for small p, where the difference would lose all its digits
    wide = np.where(safe < 1e-12, 1 / (np.pi * safe), np.tan(np.pi * (0.5 - np.maximum(safe, 1e-12))))
    mean = np.where(known, wide, 0.0).sum(axis=1) / known.sum(axis=1)
    with np.errstate(divide="ignore"):
        combined = np.where(mean > 1e12, 1 / (np.pi * np.maximum(mean, 1e-300)), 0.5 - np.arctan(mean) / np.pi)
    return np.asarray(np.clip(combined, 0.0, 1.0))
