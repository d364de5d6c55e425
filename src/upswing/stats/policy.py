"""What would have happened under another rule: policy value from randomised or logged decisions, and a budget to share.

`policy_value` serves both a coupon rule on a randomised experiment (propensity known by design) and the off-policy
evaluation of a recommender's log (propensity logged).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, IntArray, floats, fraction, one_of, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, InvalidInput, ShapeMismatch

Estimator: TypeAlias = Literal["ips", "snips", "doubly_robust"]


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """Estimated mean reward of a policy.

    Attributes:
        value: mean reward per decision if the policy had decided.
        se: standard error.
        lower: lower limit.
        upper: upper limit.
        effective_n: (Σw)² / Σw²: how many decisions the estimate really rests on.
        largest_weight: share of the heaviest single decision in the total weight.
        confidence: nominal coverage.
        method: "ips", "snips" or "doubly_robust".
        status: "ok", or "not_enough_data" (fewer than 10 effective decisions: do not trust the interval).
    """

    value: float
    se: float
    lower: float
    upper: float
    effective_n: float
    largest_weight: float
    confidence: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """Which option each user gets.

    Attributes:
        choice: option per user, shape (n_users,).
        value: total value.
        cost: total cost, at most the budget.
        price: shadow price: value gained by the last unit of budget.
        bound: upper bound of the best possible value; bound - value is at most one user's step.
        method: "multiple_choice_knapsack_dual".
    """

    choice: IntArray
    value: float
    cost: float
    price: float
    bound: float
    method: str


def policy_value(
    reward: ArrayLike,
    action: ArrayLike,
    propensity: ArrayLike,
    policy: ArrayLike,
    *,
    model: ArrayLike | None = None,
    estimator: Estimator | None = None,
    confidence: float = 0.95,
) -> PolicyValue:
    """Estimate the mean reward a policy would have earned.

    Args:
        reward: what was earned, shape (n,).
        action: which action was taken, whole numbers from 0, shape (n,).
        propensity: probability with which that action was taken, in (0, 1], shape (n,). In an experiment: the arm's
            share.
        policy: probability of each action under the new policy, shape (n, n_actions), rows sum to 1; or the action
            it would take, shape (n,).
        model: predicted reward of each action, shape (n, n_actions), from a model that has not seen the row
            (cross-fitted); needed for "doubly_robust".
        estimator: "ips" (unbiased), "snips" (weights normalised: less variance, tiny bias), or "doubly_robust"
            (AIPW: right if propensity *or* model is right). By default the last where there is a model, else "snips".
        confidence: nominal coverage.

    Raises:
        InvalidInput: propensities outside (0, 1], policies that do not sum to 1, unknown actions, no model.
        ShapeMismatch: lengths that differ.

    References:
        Horvitz, Thompson (1952); Swaminathan, Joachims (2015), formula 6; Dudík, Langford, Li (2011); Robins,
        Rotnitzky, Zhao (1994).

    Examples:
        >>> reward, action = [1.0, 0.0, 1.0, 0.0], [1, 0, 1, 0]
        >>> policy_value(reward, action, [0.5] * 4, [1, 1, 1, 1], estimator="ips").value
        1.0
    """
    y = vector("reward", reward)
    n = y.size
    p = vector("propensity", propensity, size=n)
    taken = _whole("action", action, n)
    if n and ((p <= 0) | (p > 1)).any():
        raise InvalidInput("propensities must lie in (0, 1]", hint="an action that can never happen cannot be judged")
    predicted = None if model is None else floats("model", model)
    chance = _probabilities(policy, n, taken, None if predicted is None else predicted.shape[-1])
    kind = estimator or ("snips" if predicted is None else "doubly_robust")
    one_of("estimator", kind, ("ips", "snips", "doubly_robust"))
    fraction("confidence", confidence)
    if n < 2:
        return PolicyValue(*(np.nan,) * 6, confidence=confidence, method=kind, status=NOT_ENOUGH_DATA)
    weight = chance[np.arange(n), taken] / p
    value, influence = _estimate(kind, y, weight, chance, predicted, taken)
    se = float(np.sqrt(influence.var(ddof=1) / n))
    reach = float(distributions.norm.isf((1 - confidence) / 2)) * se
    total = float(weight.sum())
    effective = total**2 / float(np.square(weight).sum()) if total > 0 else 0.0
    trusted = effective >= 10 and np.isfinite(value)
    return PolicyValue(
        value, se, value - reach, value + reach, effective, float(weight.max()) / total if total > 0 else np.nan,
        confidence, kind, OK if trusted else NOT_ENOUGH_DATA,
    )  # fmt: skip


def allocate(value: ArrayLike, cost: ArrayLike, budget: float) -> Allocation:
    """Give each user exactly one option so that total value is as large as the budget allows.

    Args:
        value: expected value of each option for each user, shape (n_users, n_options); option 0 is usually "nothing".
        cost: its expected cost, same shape, non-negative; each user needs an option that fits.
        budget: total to spend.

    Returns:
        Near-optimal allocation: a price per unit of budget is found such that everybody maximising value - price·cost
        stays within the budget, and what is left is spent greedily on the best remaining steps.

    Raises:
        InvalidInput: negative costs, or a budget below the cheapest assignment.

    References:
        Sinha, Zoltners (1979), Operations Research 27:503-515 (multiple-choice knapsack, dual bound); Goldenberg et
        al. (2020), arXiv 2008.06293 (coupons).

    Examples:
        >>> result = allocate([[0.0, 5.0, 6.0], [0.0, 1.0, 4.0]], [[0.0, 1.0, 3.0], [0.0, 1.0, 2.0]], 3.0)
        >>> result.choice, result.value, result.cost
        (array([1, 2]), 9.0, 3.0)
    """
    gain, price_of = floats("value", value), floats("cost", cost, at_least=0)
    if gain.ndim != 2 or gain.shape != price_of.shape or gain.shape[1] < 1:
        raise ShapeMismatch(f"value {gain.shape} and cost {price_of.shape} must both be (n_users, n_options)")
    cheapest = float(price_of.min(axis=1).sum())
    if budget < cheapest - 1e-9 * max(1.0, cheapest):
        raise InvalidInput(f"the budget {budget:g} is below the cheapest assignment {cheapest:g}")
    rows = np.arange(gain.shape[0])

    def respond(price: float) -> IntArray:
        # ties go to the cheaper option, so that a higher price never costs more
        score = gain - price * price_of
        best = score.max(axis=1, keepdims=True)
        tied = np.where(score >= best - 1e-12 * np.maximum(1.0, np.abs(best)), price_of, np.inf)
        return np.asarray(tied.argmin(axis=1), dtype=np.int64)

    choice, price = respond(0.0), 0.0
    if float(price_of[rows, choice].sum()) > budget:
        low, high = 0.0, 1.0
        while float(price_of[rows, respond(high)].sum()) > budget:
            low, high = high, high * 2
            if high > 1e18:
                break
        for _ in range(200):
            middle = (low + high) / 2
            over = float(price_of[rows, respond(middle)].sum()) > budget
            low, high = (middle, high) if over else (low, middle)
        price = high
        choice = respond(price)
        if float(price_of[rows, choice].sum()) > budget:
            choice = np.asarray(price_of.argmin(axis=1), dtype=np.int64)
    bound = float((gain - price * price_of).max(axis=1).sum() + price * budget)
    choice = _spend_the_rest(gain, price_of, choice, budget)
    return Allocation(
        choice, float(gain[rows, choice].sum()), float(price_of[rows, choice].sum()), price, bound,
        "multiple_choice_knapsack_dual",
    )  # fmt: skip


def _spend_the_rest(gain: FloatArray, cost: FloatArray, choice: IntArray, budget: float) -> IntArray:
    """Take the best upgrades, by value per cost, that still fit; each user at most once."""
    rows = np.arange(gain.shape[0])
    result = choice.copy()
    left = budget - float(cost[rows, choice].sum())
    more = gain - gain[rows, choice][:, None]
    extra = cost - cost[rows, choice][:, None]
    useful = (more > 0) & (extra <= left + 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(useful, np.where(extra > 0, more / extra, np.inf), -np.inf)
    users, options = np.nonzero(useful)
    order = np.argsort(-rate[users, options], kind="stable")
    done = np.zeros(gain.shape[0], dtype=bool)
    for at in order:
        user, option = users[at], options[at]
        if not done[user] and extra[user, option] <= left + 1e-12:
            result[user], done[user] = option, True
            left -= float(extra[user, option])
    return result


def _whole(name: str, value: ArrayLike, n: int) -> IntArray:
    array = np.asarray(value)
    if array.shape != (n,):
        raise ShapeMismatch(f"{name} has shape {array.shape}, it must have shape ({n},)")
    if n and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
        raise InvalidInput(f"{name} must be whole numbers from 0")
    return np.asarray(array, dtype=np.int64)


def _probabilities(policy: ArrayLike, n: int, taken: IntArray, actions: int | None) -> FloatArray:
    given = np.asarray(policy)
    if given.ndim == 1:
        chosen = _whole("policy", given, n)
        width = max(int(max(chosen.max(initial=0), taken.max(initial=0))) + 1, actions or 0)
        chance = np.zeros((n, width))
        chance[np.arange(n), chosen] = 1.0
        return chance
    chance = floats("policy", given, at_least=0)
    if chance.ndim != 2 or chance.shape[0] != n or (actions is not None and chance.shape[1] != actions):
        raise ShapeMismatch(f"policy has shape {chance.shape}, there are {n} rows and {actions} modelled actions")
    if n and np.abs(chance.sum(axis=1) - 1).max() > 1e-6:
        raise InvalidInput("each row of the policy must sum to 1")
    if n and taken.max() >= chance.shape[1]:
        raise InvalidInput("an action was taken that the policy does not know")
    return chance


def _estimate(
    kind: str, y: FloatArray, weight: FloatArray, chance: FloatArray, predicted: FloatArray | None, taken: IntArray
) -> tuple[float, FloatArray]:
    """Return the estimate and each row's influence on it."""
    if kind == "ips":
        return float((weight * y).mean()), weight * y
    if kind == "snips":
        total = float(weight.mean())
        if total <= 0:
            return np.nan, np.full(y.size, np.nan)
        value = float((weight * y).mean()) / total
        return value, weight * (y - value) / total
    if predicted is None:
        raise InvalidInput("doubly_robust needs the model's predictions")
    if predicted.shape != chance.shape:
        raise ShapeMismatch(f"model {predicted.shape} and policy {chance.shape} differ")
    score = (chance * predicted).sum(axis=1) + weight * (y - predicted[np.arange(y.size), taken])
    return float(score.mean()), score
