"""Sufficient statistics: all that means, ratios and covariates need to know about the rows.

`Aggregates` holds, for any number of problems at once, the count of units, the mean of each column and the centred
cross products. They merge and subtract exactly, so days, shards and segments are added up, never re-scanned.

Means and centred products are stored instead of sums and sums of squares: with revenue around 1e6 per user the raw
sums lose all digits of the variance, the centred ones lose none (Chan, Golub, LeVeque 1983, formula 2.1b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import BoolArray, FloatArray, IntArray, divide, floats, vector
from upswing.stats.errors import InvalidInput, ShapeMismatch


@dataclass(frozen=True, slots=True, eq=False)
class Aggregates:
    """Counts, means and centred cross products of the columns of many problems.

    A problem is one (experiment, arm, metric, segment, day …); `shape` is the shape of the problems, () for one.

    Attributes:
        columns: names of the columns, k of them.
        n: number of units, shape (*shape,).
        means: mean of each column, shape (*shape, k); NaN-free: 0 where n is 0.
        products: sum over units of (x_i - mean_i)(x_j - mean_j), shape (*shape, k, k).

    Examples:
        >>> day_1 = Aggregates.from_rows({"revenue": [0.0, 3.0]})
        >>> day_2 = Aggregates.from_rows({"revenue": [6.0]})
        >>> both = day_1 + day_2
        >>> float(both.n), float(both.mean("revenue")), float(both.variance("revenue"))
        (3.0, 3.0, 9.0)
        >>> float((both - day_2).mean("revenue"))
        1.5
    """

    columns: tuple[str, ...]
    n: FloatArray
    means: FloatArray
    products: FloatArray = field(repr=False)

    def __post_init__(self) -> None:
        k = len(self.columns)
        if len(set(self.columns)) != k:
            raise InvalidInput(f"columns repeat: {', '.join(self.columns)}")
        if self.means.shape != (*self.n.shape, k) or self.products.shape != (*self.n.shape, k, k):
            raise ShapeMismatch(
                f"n {self.n.shape}, means {self.means.shape}, products {self.products.shape} "
                f"do not fit {k} columns: {', '.join(self.columns)}"
            )

    @classmethod
    def from_rows(
        cls, rows: Mapping[str, ArrayLike], *, groups: ArrayLike | None = None, n_groups: int = 0
    ) -> Aggregates:
        """Aggregate raw rows, one per unit.

        Args:
            rows: column name to values, each of shape (n_units,). At least one column; no NaN.
            groups: problem number of each unit, shape (n_units,), values in 0 … n_groups - 1; without it one problem.
            n_groups: number of problems when `groups` is given.

        Raises:
            InvalidInput: NaN, no column, or a group number out of range.
            ShapeMismatch: columns of different lengths.

        Examples:
            >>> Aggregates.from_rows({"x": [1.0, 2.0, 5.0]}, groups=[0, 1, 1], n_groups=2).means[:, 0]
            array([1. , 3.5])
        """
        if not rows:
            raise InvalidInput("at least one column is needed")
        first = vector("rows", next(iter(rows.values())))
        data = np.column_stack([vector(name, values, size=first.size) for name, values in rows.items()])
        if groups is None:
            return cls._grouped(tuple(rows), data, np.zeros(first.size, dtype=np.int64), ()).reshape(())
        number = np.asarray(groups, dtype=np.int64)
        if number.shape != (first.size,):
            raise ShapeMismatch(f"groups has shape {number.shape}, it must have shape ({first.size},)")
        if number.size and (number.min() < 0 or number.max() >= n_groups):
            raise InvalidInput(f"groups must lie in 0 … {n_groups - 1}")
        return cls._grouped(tuple(rows), data, number, (n_groups,))

    @classmethod
    def _grouped(
        cls, columns: tuple[str, ...], data: FloatArray, number: IntArray, shape: tuple[int, ...]
    ) -> Aggregates:
        groups = shape[0] if shape else 1
        k = len(columns)
        n = np.bincount(number, minlength=groups).astype(np.float64)
        sums = np.stack([np.bincount(number, weights=data[:, i], minlength=groups) for i in range(k)], axis=-1)
        means = np.nan_to_num(divide(sums, n[:, None]))
        centred = data - means[number]
        products = np.empty((groups, k, k))
        for i in range(k):
            for j in range(i, k):
                moment = np.bincount(number, weights=centred[:, i] * centred[:, j], minlength=groups)
                products[:, i, j] = products[:, j, i] = moment
        return cls(columns, n, means, products)

    @classmethod
    def from_sums(
        cls,
        n: ArrayLike,
        sums: Mapping[str, ArrayLike],
        *,
        squares: Mapping[str, ArrayLike],
        cross: Mapping[tuple[str, str], ArrayLike] | None = None,
    ) -> Aggregates:
        """Build from what an engine returns: n, sums, sums of squares and sums of cross products.

        Args:
            n: number of units, shape (*shape,).
            sums: column name to the sum of its values.
            squares: column name to the sum of squared values.
            cross: (column, column) to the sum of products of the two; every pair is needed for several columns.

        Raises:
            InvalidInput: NaN, negative counts, a square or cross product that is missing.

        Examples:
            >>> moments = Aggregates.from_sums(3407, {"y": 1396.87}, squares={"y": 52377.9767})
            >>> round(float(moments.mean("y")), 4), round(float(moments.variance("y")), 4)
            (0.41, 15.21)
        """
        columns = tuple(sums)
        count = floats("n", n, at_least=0, finite=True)
        total = np.stack(
            [np.broadcast_to(floats(f"sum of {c}", sums[c], finite=True), count.shape) for c in columns], axis=-1
        )
        raw = np.empty((*count.shape, len(columns), len(columns)))
        for i, left in enumerate(columns):
            if left not in squares:
                raise InvalidInput(f"squares lack {left!r}")
            raw[..., i, i] = floats(f"squares of {left}", squares[left], at_least=0, finite=True)
            for j in range(i + 1, len(columns)):
                raw[..., i, j] = raw[..., j, i] = _cross(cross or {}, left, columns[j])
        means = np.nan_to_num(divide(total, count[..., None]))
        products = raw - count[..., None, None] * means[..., :, None] * means[..., None, :]
        diagonal = np.arange(len(columns))
        # rounding of the raw sums may leave a tiny negative square
        products[..., diagonal, diagonal] = np.maximum(products[..., diagonal, diagonal], 0.0)
        return cls(columns, count, means, products)

    @classmethod
    def from_moments(cls, n: ArrayLike, mean: ArrayLike, variance: ArrayLike, *, column: str = "value") -> Aggregates:
        """Build a single column from its count, mean and sample variance (divisor n - 1)."""
        count, centre, spread = np.broadcast_arrays(
            floats("n", n, at_least=0, finite=True),
            floats("mean", mean, finite=True),
            floats("variance", variance, at_least=0, finite=True),
        )
        products = spread * np.maximum(count - 1, 0)
        return cls((column,), count.copy(), centre[..., None].copy(), products[..., None, None])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the problems; () for a single one."""
        return self.n.shape

    def mean(self, column: str | None = None) -> FloatArray:
        """Return the mean of a column (of the only one without a name); NaN where n is 0."""
        return np.where(self.n > 0, self.means[..., self._index(column)], np.nan)

    def variance(self, column: str | None = None) -> FloatArray:
        """Return the sample variance (divisor n - 1); NaN where n < 2."""
        index = self._index(column)
        return self._per_degree(self.products[..., index, index])

    def covariance(self, left: str, right: str) -> FloatArray:
        """Return the sample covariance (divisor n - 1) of two columns; NaN where n < 2."""
        return self._per_degree(self.products[..., self._index(left), self._index(right)])

    def only(self, *columns: str) -> Aggregates:
        """Return the same problems with these columns only."""
        chosen = np.array([self._index(column) for column in columns])
        return Aggregates(
            columns, self.n, self.means[..., chosen], self.products[..., chosen[:, None], chosen[None, :]]
        )

    def take(self, index: int | slice | IntArray | BoolArray | tuple[int | slice, ...]) -> Aggregates:
        """Return some of the problems, by any numpy index on their shape."""
        n = np.asarray(self.n[index], dtype=np.float64)
        return Aggregates(self.columns, n, self.means[index], self.products[index])

    def reshape(self, shape: tuple[int, ...]) -> Aggregates:
        """Return the same problems in another shape."""
        k = len(self.columns)
        return Aggregates(
            self.columns, self.n.reshape(shape), self.means.reshape(*shape, k), self.products.reshape(*shape, k, k)
        )

    def total(self, axis: int = -1) -> Aggregates:
        """Merge along one axis of the problems, for example days or segments."""
        where = axis % max(len(self.shape), 1)
        parts = np.moveaxis(self.n, where, 0).shape[0]
        first: tuple[slice | int, ...] = (slice(None),) * where
        result = self.take((*first, 0))
        for i in range(1, parts):
            result = result + self.take((*first, i))
        return result

    def __add__(self, other: Aggregates) -> Aggregates:
        """Merge with the aggregates of other units."""
        return self._combine(other, 1.0)

    def __sub__(self, other: Aggregates) -> Aggregates:
        """Take out units that are part of these aggregates.

        Raises:
            InvalidInput: more units taken out than there are.
        """
        if (other.n > self.n).any():
            raise InvalidInput("more units subtracted than there are")
        return self._combine(other, -1.0)

    def _combine(self, other: Aggregates, sign: float) -> Aggregates:
        if self.columns != other.columns:
            raise InvalidInput(f"columns differ: {', '.join(self.columns)} and {', '.join(other.columns)}")
        n = self.n + sign * other.n
        share = np.nan_to_num(divide(sign * other.n, n))
        gap = other.means - self.means
        weight = self.n * share
        means = self.means + gap * share[..., None]
        products = (
            self.products + sign * other.products + weight[..., None, None] * gap[..., :, None] * gap[..., None, :]
        )
        empty = n == 0
        means = np.where(empty[..., None], 0.0, means)
        return Aggregates(self.columns, n, means, np.where(empty[..., None, None], 0.0, products))

    def _index(self, column: str | None) -> int:
        if column is None:
            if len(self.columns) != 1:
                raise InvalidInput(f"name one of the columns {', '.join(self.columns)}")
            return 0
        if column not in self.columns:
            raise InvalidInput(f"no column {column!r}; there are {', '.join(self.columns)}")
        return self.columns.index(column)

    def _per_degree(self, products: FloatArray) -> FloatArray:
        return np.where(self.n >= 2, divide(products, self.n - 1), np.nan)


def stack(parts: Sequence[Aggregates]) -> Aggregates:
    """Put problems of equal shape side by side along a new first axis (arms, metrics renamed alike, days).

    Raises:
        InvalidInput: nothing to stack or different columns.

    Examples:
        >>> stack([Aggregates.from_moments(10, 2.0, 4.0), Aggregates.from_moments(20, 3.0, 1.0)]).mean()
        array([2., 3.])
    """
    if not parts:
        raise InvalidInput("nothing to stack")
    if any(part.columns != parts[0].columns for part in parts):
        raise InvalidInput("the parts have different columns")
    return Aggregates(
        parts[0].columns,
        np.stack([part.n for part in parts]),
        np.stack([part.means for part in parts]),
        np.stack([part.products for part in parts]),
    )


def _cross(cross: Mapping[tuple[str, str], ArrayLike], left: str, right: str) -> FloatArray:
    for key in ((left, right), (right, left)):
        if key in cross:
            return floats(f"cross product of {left} and {right}", cross[key], finite=True)
    raise InvalidInput(f"cross lacks the pair ({left!r}, {right!r})")
