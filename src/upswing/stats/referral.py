"""How far users bring users: K-factor, cycle time, and the branching that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, IntArray, Numbers, floats, fraction, plain, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, UNBOUNDED, InvalidInput, ShapeMismatch

MIN_PAIRS = 5


@dataclass(frozen=True, slots=True)
class KFactor:
    """New users one user brings.

    Attributes:
        estimate: mean over users, those who brought nobody included.
        standard_error: from the spread between users, which is far wider than Poisson.
        lower: lower limit, at least 0.
        upper: upper limit.
        amplification: users one acquired user becomes in the end, 1 / (1 - K); infinite for K of 1 or more.
        amplification_lower: at the lower limit of K.
        amplification_upper: at the upper limit of K; infinite when that reaches 1.
        confidence: nominal coverage.
        users: users asked about.
        method: "k_factor".
        status: "ok", "unbounded" (K may be 1 or more: the amplification has no upper limit) or "not_enough_data".
    """

    estimate: float
    standard_error: float
    lower: float
    upper: float
    amplification: float
    amplification_lower: float
    amplification_upper: float
    confidence: float
    users: int
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class CycleTime:
    """How long it takes users to bring users.

    Attributes:
        mean: mean time from a user's joining to the joining of those they bring within the horizon.
        lower: lower limit.
        upper: upper limit.
        median: time by which half of those have joined.
        k: new users one user brings within the horizon.
        k_lower: lower limit.
        k_upper: upper limit.
        growth_rate: continuous growth per unit of time from invitations alone, the rate at which each user, brought
            users discounted, replaces themselves once; negative for K below 1.
        times: moments at which somebody was brought, ascending.
        brought: new users per user up to each of them, the mean cumulative function.
        horizon: longest time counted.
        confidence: nominal coverage.
        users: users watched.
        pairs: invitations that worked within the horizon.
        method: "mean_cumulative_function".
        status: "ok" or "not_enough_data" (fewer than 5 pairs, or nobody watched to the horizon).
    """

    mean: float
    lower: float
    upper: float
    median: float
    k: float
    k_lower: float
    k_upper: float
    growth_rate: float
    times: FloatArray
    brought: FloatArray
    horizon: float
    confidence: float
    users: int
    pairs: int
    method: str
    status: str


def k_factor(brought: ArrayLike, *, confidence: float = 0.95) -> KFactor:
    """Estimate K from the new users each user brought.

    Users must have been watched for the whole time in which they may invite; younger ones would pull K down.

    Args:
        brought: new users per user, zeros included, shape (n_users,).
        confidence: nominal coverage.

    Raises:
        InvalidInput: negative or fractional counts.

    Examples:
        >>> result = k_factor([0, 0, 0, 1, 0, 2, 0, 0, 1, 0] * 30)
        >>> round(result.estimate, 2), round(result.amplification, 2)
        (0.4, 1.67)
    """
    fraction("confidence", confidence)
    counts = floats("brought", brought, at_least=0)
    if counts.ndim != 1:
        raise ShapeMismatch(f"brought has shape {counts.shape}, it must have shape (n_users,)")
    if (counts != np.floor(counts)).any():
        raise InvalidInput("brought must be whole numbers of new users")
    n = counts.size
    if n < 2 or not counts.any():
        nan, k = np.nan, 0.0 if n else np.nan
        # Nobody brought anybody: K may still be up to 3 in n (exact Poisson limit).
        upper = float(-np.log((1 - confidence) / 2) / n) if n else nan
        return KFactor(k, nan, k, upper, nan, nan, nan, confidence, n, "k_factor", NOT_ENOUGH_DATA)
    mean = float(counts.mean())
    error = float(counts.std(ddof=1) / np.sqrt(n))
    # On the log scale: counts of invitations are skewed, and K cannot be negative.
    reach = float(distributions.t.ppf((1 + confidence) / 2, n - 1)) * error / mean
    lower, upper = mean * float(np.exp(-reach)), mean * float(np.exp(reach))
    status = OK if upper < 1 else UNBOUNDED
    return KFactor(
        mean, error, lower, upper,
        _amplify(mean), _amplify(lower), _amplify(upper), confidence, n, "k_factor", status,
    )  # fmt: skip


def cycle_time(
    delay: ArrayLike, inviter: ArrayLike, watched: ArrayLike, *, horizon: float, confidence: float = 0.95
) -> CycleTime:
    """Estimate cycle time and K together from users watched for different lengths of time.

    Taking the mean of the delays seen would be too short: late invitations of young users have not happened yet. Here
    each delay counts against the users who were watched that long, so every age of user tells its part.

    Args:
        delay: time from the inviter's joining to the new user's joining, shape (n_pairs,).
        inviter: position of the inviter among the users, shape (n_pairs,).
        watched: how long each user has been watched, shape (n_users,), those who brought nobody included.
        horizon: longest delay to count; somebody must have been watched that long.
        confidence: nominal coverage; the limits take a user, not an invitation, as the unit that varies.

    Raises:
        InvalidInput: a delay longer than its inviter was watched, an inviter that is not there, a horizon not above 0.
        ShapeMismatch: delays and inviters of different lengths.

    References:
        Lawless, Nadeau (1995), Technometrics 37: Some Simple Robust Methods for the Analysis of Recurrent Events,
        eq. (2.2) and (2.4); growth rate by Lotka's equation, as in Wallinga, Lipsitch (2007), Proc. R. Soc. B 274.

    Examples:
        >>> result = cycle_time([1, 2, 3, 2, 2] * 20, list(range(100)), [10.0] * 200, horizon=10)
        >>> result.mean, result.median, result.k
        (2.0, 2.0, 0.5)
        >>> round(result.growth_rate, 2)
        -0.34
    """
    fraction("confidence", confidence)
    late, owner, age = _pairs(delay, inviter, watched, horizon)
    keep = late <= horizon
    late, owner = late[keep], owner[keep]
    times, slot = np.unique(late, return_inverse=True)
    at_risk = (age.size - np.searchsorted(np.sort(age), times, side="left")).astype(np.float64)
    step = np.bincount(slot, minlength=times.size) / at_risk
    total = step.cumsum()
    if late.size < MIN_PAIRS or not (age >= horizon).any():
        nan = np.nan
        return CycleTime(
            nan, nan, nan, nan, nan, nan, nan, nan, times, total, float(horizon), confidence, age.size, late.size,
            "mean_cumulative_function", NOT_ENOUGH_DATA,
        )  # fmt: skip
    k, mean = float(total[-1]), float(times @ step / total[-1])
    z = float(distributions.t.ppf((1 + confidence) / 2, np.unique(owner).size))
    k_reach = z * _robust_error(np.ones(times.size), times, step, at_risk, slot, owner, age) / k
    reach = z * _robust_error(times - mean, times, step, at_risk, slot, owner, age) / k / max(mean, 1e-300)
    return CycleTime(
        mean, mean * float(np.exp(-reach)), mean * float(np.exp(reach)),
        float(times[np.searchsorted(total, k / 2 * (1 - 1e-12))]),
        k, k * float(np.exp(-k_reach)), k * float(np.exp(k_reach)),
        _growth_rate(times, step), times, total, float(horizon), confidence, age.size, late.size,
        "mean_cumulative_function", OK,
    )  # fmt: skip


def k_from_funnel(invites_per_user: ArrayLike, conversion: ArrayLike) -> Numbers:
    """Return K = invitations per user x share of invitations that become users.

    Examples:
        >>> k_from_funnel(5.0, 0.1)
        0.5
    """
    rate = floats("conversion", conversion, at_least=0)
    if (rate > 1).any():
        raise InvalidInput("conversion is above 1", hint="write 0.1 for 10 %")
    return plain(floats("invites_per_user", invites_per_user, at_least=0) * rate)


def users_over_time(start: float, *, k: float, cycle: float, time: ArrayLike) -> Numbers:
    """Return all users after `time`, everybody inviting once per cycle and nobody leaving.

    Args:
        start: users at the beginning.
        k: new users each brings.
        cycle: time from joining to the friends' joining, same unit as `time`.
        time: when.

    References:
        Skok and Reiss, as in kevinlawler.com "Viral growth": U(t) = U0 (K^(t/p + 1) - 1) / (K - 1).

    Examples:
        >>> users_over_time(10, k=2, cycle=1, time=[0, 1, 2, 3, 4, 5])
        array([ 10.,  30.,  70., 150., 310., 630.])
    """
    if not (cycle > 0 and k >= 0 and start >= 0):
        raise InvalidInput("cycle must be above 0, k and start at least 0")
    generations = floats("time", time, at_least=0) / cycle + 1
    if abs(k - 1) < 1e-9:
        return plain(start * generations)
    return plain(start * (k**generations - 1) / (k - 1))


def extinction_probability(offspring: ArrayLike) -> float:
    """Return the probability that one user's chain of invitations dies out.

    Args:
        offspring: probability (or count of users) of bringing 0, 1, 2, … new users, shape (n,).

    Returns:
        The smallest root of f(s) = s of the generating function; 1 when K is 1 or less (unless everybody brings
        exactly one).

    References:
        Harris (1963), The Theory of Branching Processes, theorem I.6.1.

    Examples:
        >>> round(extinction_probability([0.25, 0.25, 0.5]), 6)
        0.5
    """
    weight = floats("offspring", offspring, at_least=0)
    if weight.ndim != 1 or not weight.sum() > 0:
        raise ShapeMismatch("offspring must be a list of probabilities that are not all 0")
    p = weight / weight.sum()
    if p[0] == 0:
        return 0.0
    if p @ np.arange(p.size) <= 1:
        return 1.0

    def gap(s: float) -> float:
        return float(np.polyval(p[::-1], s) - s)

    # f(s) - s is convex, above 0 at 0 and 0 at 1: past its lowest point only the root at 1 is left.
    lowest = optimize.minimize_scalar(gap, bounds=(0.0, 1.0), method="bounded").x
    return float(optimize.brentq(gap, 0.0, float(lowest)))


def cascade_sizes(offspring: ArrayLike, *, size: int) -> FloatArray:
    """Return the probability that a chain ends with exactly 1, 2, … `size` users, the first included.

    References:
        Dwass (1969), J. Applied Probability 6: P(total = n) = P(n users bring n - 1 in all) / n.

    Examples:
        >>> cascade_sizes([0.5, 0.5], size=3)
        array([0.5  , 0.25 , 0.125])
    """
    weight = floats("offspring", offspring, at_least=0)
    if weight.ndim != 1 or not weight.sum() > 0 or size < 1:
        raise ShapeMismatch("offspring must be a list of probabilities that are not all 0, size at least 1")
    p = weight / weight.sum()
    result, power = np.zeros(size), np.ones(1)
    for n in range(1, size + 1):
        power = np.convolve(power, p)[:size]
        result[n - 1] = (power[n - 1] if power.size >= n else 0.0) / n
    return result


def effective_cac(cost: ArrayLike, acquired: ArrayLike, *, k: ArrayLike, reward: float = 0.0) -> Numbers:
    """Return the cost per user once the users they bring are counted.

    Args:
        cost: money spent to acquire.
        acquired: users acquired with it.
        k: new users each brings; NaN comes back for 1 or more, where no such number exists.
        reward: money paid per user brought.

    Examples:
        >>> effective_cac(1000.0, 100.0, k=0.5)
        5.0
    """
    rate, bought = floats("k", k, at_least=0), floats("acquired", acquired, at_least=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_user = floats("cost", cost, at_least=0) / bought
        value = per_user * (1 - rate) + reward * rate
    return plain(np.where((rate < 1) & (bought > 0), value, np.nan))


def _pairs(
    delay: ArrayLike, inviter: ArrayLike, watched: ArrayLike, horizon: float
) -> tuple[FloatArray, IntArray, FloatArray]:
    age, late = vector("watched", watched), vector("delay", delay)
    owner = np.asarray(inviter)
    if owner.shape != late.shape:
        raise ShapeMismatch(f"delay {late.shape} and inviter {owner.shape} must have one shape (n_pairs,)")
    if not horizon > 0 or (age < 0).any() or (late < 0).any():
        raise InvalidInput("horizon must be above 0, delays and times watched at least 0")
    if owner.size and not (np.issubdtype(owner.dtype, np.integer) and owner.min() >= 0 and owner.max() < age.size):
        raise InvalidInput("inviter must be whole numbers, positions among the users watched")
    if (late > age[owner.astype(int)]).any():
        raise InvalidInput("a delay is longer than its inviter was watched")
    return late, owner.astype(np.int64), age


def _robust_error(
    worth: FloatArray,
    times: FloatArray,
    step: FloatArray,
    at_risk: FloatArray,
    slot: IntArray,
    owner: IntArray,
    age: FloatArray,
) -> float:
    """Standard error of the sum of worth x step over times: each user's own share of it, squared and summed."""
    each = worth / at_risk
    own = np.bincount(owner, weights=each[slot], minlength=age.size)
    expected = np.concatenate([[0.0], (each * step).cumsum()])
    return float(np.sqrt(((own - expected[np.searchsorted(times, age, side="right")]) ** 2).sum()))


def _growth_rate(times: FloatArray, step: FloatArray) -> float:
    """Root of Lotka's equation: the rate at which the discounted users brought sum to one."""

    def excess(rate: float) -> float:
        return float(np.log(step @ np.exp(-rate * (times - times.mean()))) - rate * times.mean())

    scale = max(float(times @ step / step.sum()), 1e-300)
    low, high = -1.0 / scale, 1.0 / scale
    if times[0] == 0 and step[0] >= 1:
        return np.inf
    for _ in range(60):
        if excess(low) > 0:
            break
        low *= 2
    for _ in range(60):
        if excess(high) < 0:
            break
        high *= 2
    return float(optimize.brentq(excess, low, high)) if excess(low) > 0 > excess(high) else np.nan


def _amplify(k: float) -> float:
    return 1 / (1 - k) if k < 1 else np.inf
