"""Argument checking and small array work that every statistic shares."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from upswing.stats.errors import OK, InvalidInput, ShapeMismatch

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = float | FloatArray
"""A result's number: a float for one problem, an array of shape (n_problems,) for many."""
Labels: TypeAlias = str | NDArray[np.str_]
"""A result's word (status, method): a string for one problem, an array of strings for many."""
Alternative: TypeAlias = Literal["two_sided", "greater", "less"]
Seed: TypeAlias = np.random.Generator | int


def floats(
    name: str, value: ArrayLike, *, at_least: float | None = None, nan: bool = False, finite: bool = False
) -> FloatArray:
    """Return `value` as float64, after checking its domain.

    Args:
        name: what the caller calls it, for the message.
        value: a number or an array.
        at_least: smallest allowed value.
        nan: whether NaN may pass.
        finite: whether infinities are refused.

    Raises:
        InvalidInput: not numeric, NaN or infinity where forbidden, or below `at_least`.

    Examples:
        >>> floats("n", [1, 2])
        array([1., 2.])
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise InvalidInput(f"{name} must be a number or an array of numbers") from problem
    if not nan and np.isnan(array).any():
        raise InvalidInput(f"{name} contains NaN", hint="drop or fill missing values first")
    if finite and np.isinf(array).any():
        raise InvalidInput(f"{name} contains infinity")
    if at_least is not None and (array < at_least).any():
        raise InvalidInput(f"{name} is {np.nanmin(array):g}, it must be at least {at_least:g}")
    return array


def vector(name: str, value: ArrayLike, *, size: int | None = None, nan: bool = False) -> FloatArray:
    """Return `value` as a one-dimensional float64 array of the given size, without infinities.

    Raises:
        ShapeMismatch: not one-dimensional, or of another size.
        InvalidInput: NaN where forbidden, or an infinity.
    """
    array = floats(name, value, nan=nan, finite=True)
    if array.ndim != 1 or (size is not None and array.size != size):
        wanted = "(n,)" if size is None else f"({size},)"
        raise ShapeMismatch(f"{name} has shape {array.shape}, it must have shape {wanted}")
    return array


def together(**named: FloatArray) -> tuple[FloatArray, ...]:
    """Broadcast arrays against each other; `ShapeMismatch` names those that do not fit."""
    try:
        return tuple(np.broadcast_arrays(*named.values()))
    except ValueError as problem:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in named.items())
        raise ShapeMismatch(f"these shapes do not belong together: {shapes}") from problem


def fraction(name: str, value: float) -> float:
    """Return `value` if it lies strictly between 0 and 1.

    Raises:
        InvalidInput: outside (0, 1); a percentage is the usual cause.
    """
    if not 0 < value < 1:
        raise InvalidInput(f"{name} is {value:g}, it must lie between 0 and 1", hint="write 0.95, not 95")
    return float(value)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises:
        InvalidInput: it is not; the message lists what is.
    """
    if value not in allowed:
        raise InvalidInput(f"{name} is {value!r}, it must be one of {', '.join(allowed)}")
    return value


def cluster_numbers(clusters: ArrayLike | None, n: int) -> IntArray:
    """Return the number (0, 1, …) of each unit's cluster; without clusters every unit is its own.

    Raises:
        ShapeMismatch: not one label per unit.
    """
    if clusters is None:
        return np.arange(n)
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise ShapeMismatch(f"clusters has shape {labels.shape}, it must have shape ({n},)")
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def generator(rng: Seed) -> np.random.Generator:
    """Return a random generator from a generator or a seed."""
    return rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)


def plain(array: ArrayLike) -> Numbers:
    """Return a float for a zero-dimensional array, the array itself otherwise.

    Examples:
        >>> plain(np.array(2.0))
        2.0
    """
    result = np.asarray(array, dtype=np.float64)
    return float(result) if result.ndim == 0 else result


def plain_labels(array: NDArray[np.str_]) -> Labels:
    """Return a string for a zero-dimensional array, the array itself otherwise."""
    return str(array) if array.ndim == 0 else array


def statuses(shape: tuple[int, ...], *cases: tuple[BoolArray | np.bool_, str]) -> NDArray[np.str_]:
    """Return one status per problem: the first case whose condition holds, else "ok".

    Examples:
        >>> statuses((2,), (np.array([True, False]), "not_enough_data"))
        array(['not_enough_data', 'ok'], dtype='<U15')
    """
    if not cases:
        return np.full(shape, OK)
    conditions = [np.broadcast_to(condition, shape) for condition, _ in cases]
    return np.asarray(np.select(conditions, [np.asarray(word) for _, word in cases], default=np.asarray(OK)))


def divide(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Divide, giving NaN (and no warning) wherever the denominator is zero."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    result = np.full(top.shape, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        np.divide(top, bottom, out=result, where=bottom != 0)
    return result


def tail_probability(statistic: FloatArray, *, df: ArrayLike = np.inf, alternative: Alternative) -> FloatArray:
    """Return the p-value of a t statistic (normal when `df` is infinite).

    Examples:
        >>> float(tail_probability(np.array(1.959964), alternative="two_sided").round(6))
        0.05
    """
    degrees = np.broadcast_to(np.asarray(df, dtype=np.float64), statistic.shape)
    if alternative == "two_sided":
        return np.asarray(np.minimum(1.0, 2 * distributions.t.sf(np.abs(statistic), degrees)))
    signed = statistic if alternative == "greater" else -statistic
    return np.asarray(distributions.t.sf(signed, degrees))


def critical_value(*, confidence: float, df: ArrayLike = np.inf, alternative: Alternative = "two_sided") -> FloatArray:
    """Return how many standard errors an interval reaches (t quantile, normal when `df` is infinite)."""
    tail = 1 - confidence
    upper = 1 - tail / 2 if alternative == "two_sided" else 1 - tail
    return np.asarray(distributions.t.ppf(upper, np.asarray(df, dtype=np.float64)), dtype=np.float64)


def limits(centre: FloatArray, half_width: FloatArray, alternative: Alternative) -> tuple[FloatArray, FloatArray]:
    """Return the interval that matches the test: two-sided, or open on the side the alternative does not look at."""
    known = ~np.isnan(centre + half_width)
    lower = np.where(known, centre - half_width, np.nan)
    upper = np.where(known, centre + half_width, np.nan)
    if alternative == "greater":
        upper = np.where(known, np.inf, np.nan)
    if alternative == "less":
        lower = np.where(known, -np.inf, np.nan)
    return lower, upper
