"""Response curves from spend and outcome: power, log and Hill, channels leaning on each other, and which shape it is.

The likelihood of a channel is taken on a grid over the shape's one or two parameters, scale and noise integrated out
exactly. A grid has no starting values to fail from, and where the data only draw a ridge (the usual case for Hill seen
on half of its range) the whole ridge is carried into every interval instead of one point on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from upswing.stats._arrays import FloatArray, Seed, fraction, generator, one_of, plain, vector
from upswing.stats._grid import Grid, pool, quantiles
from upswing.stats._optimise import FittedNumber
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, ZERO_VARIANCE, InvalidInput, ShapeMismatch
from upswing.stats.response import HillResponse, LogResponse, PowerResponse

Shape: TypeAlias = Literal["power", "log", "hill"]
Curve: TypeAlias = PowerResponse | LogResponse | HillResponse
SHAPES: tuple[Shape, ...] = ("power", "log", "hill")
MIN_POINTS = 4
DECISIVE = 0.95
"""Posterior probability from which a shape counts as told apart from the others."""

BOUNDS: dict[Shape, tuple[tuple[float, float], ...]] = {
    "power": ((0.0, 2.0),),
    "log": ((-6.0, 6.0),),
    "hill": ((-4.0, 4.0), (-1.6, 1.8)),
}
"""Prior range: exponent; log of half over the middle spend; the same and log slope (0.2 to 6)."""


@dataclass(frozen=True, slots=True)
class ResponseFits:
    """Curves of one shape for several channels, fitted together.

    Attributes:
        shape: "power", "log" or "hill".
        curves: one per channel: of all curves the posterior holds likely, the one nearest to its mean over the spend
            seen. It gives the median outcome; for the mean multiply by exp(residual_error² / 2).
        names: parameters: ("exponent",), ("half",) or ("half", "slope").
        estimate: posterior medians, shape (n_channels, n_parameters).
        lower: lower limits; for half and slope 0 where the data set none.
        upper: upper limits; for half and slope infinite where the data set none.
        own_estimate: posterior medians of each channel on its own.
        own_lower: lower limits of each channel on its own.
        own_upper: upper limits of each channel on its own.
        between: standard deviation of the true parameters between channels (of the exponent; of the logs of half and
            slope), posterior mean, shape (n_parameters,); NaN with fewer than three channels, which are not pooled.
        residual_error: standard deviation of the log outcome around the curve, per channel.
        log_evidence: log of the probability of all outcomes under this shape, up to a constant of the data.
        confidence: nominal coverage.
        method: "grid_partial_pooling" or, for fewer than three channels, "grid".
        status: per channel: "ok", "not_enough_data" (fewer than 4 points above 0) or "zero_variance" (one spend
            only); such channels have no numbers and do not count for the others.
    """

    shape: Shape
    curves: tuple[Curve, ...]
    names: tuple[str, ...]
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    own_estimate: FloatArray
    own_lower: FloatArray
    own_upper: FloatArray
    between: FloatArray
    residual_error: FloatArray
    log_evidence: float
    confidence: float
    method: str
    status: tuple[str, ...]
    grids: tuple[Grid | None, ...] = field(repr=False)

    def draws(self, channel: int, size: int, *, rng: Seed) -> tuple[Curve, ...]:
        """Draw curves of one channel from the posterior; none where the channel has no fit."""
        grid = self.grids[channel]
        if grid is None:
            return ()
        random = generator(rng)
        cells = random.choice(grid.weight.size, size=size, p=grid.weight)
        moved = random.uniform(-0.5, 0.5, (size, len(self.names)))
        error = np.sqrt(grid.squares[cells] / (grid.points - 1) / grid.points)
        scale = grid.level[cells] + error * random.standard_t(grid.points - 1, size)
        seen = self.curves[channel].observed
        at = grid.cells[cells] + moved * grid.width
        if self.shape == "power":
            at = np.clip(at, *BOUNDS["power"][0])
        return tuple(_curve(self.shape, row, float(s), grid.middle, seen) for row, s in zip(at, scale, strict=True))

    def interval(
        self, channel: int, question: Callable[[Curve], ArrayLike], *, size: int = 1000, rng: Seed = 0
    ) -> FittedNumber:
        """Answer a question to the curve of one channel with an interval, by asking it at `size` posterior draws.

        Args:
            channel: number of the channel.
            question: takes a curve, returns a number or an array, for example ``lambda c: c.marginal(100)``.
            size: number of draws.
            rng: generator or seed.

        Examples:
            >>> x = [1.0, 2, 4, 8, 16]
            >>> fit = fit_responses([x], [[2.0, 2.9, 4, 5.6, 8.1]], shape="power")
            >>> answer = fit.interval(0, lambda curve: curve.response(10))
            >>> round(answer.estimate, 1), bool(answer.lower < answer.estimate < answer.upper)
            (6.3, True)
        """
        point = plain(np.asarray(question(self.curves[channel]), dtype=np.float64))
        if self.status[channel] != OK:
            nan = plain(np.full(np.shape(point), np.nan))
            return FittedNumber(nan, nan, nan, self.confidence, self.method, self.status[channel])
        answers = np.stack([np.asarray(question(curve)) for curve in self.draws(channel, size, rng=rng)])
        lower, upper = np.quantile(answers, [(1 - self.confidence) / 2, (1 + self.confidence) / 2], axis=0)
        return FittedNumber(point, plain(lower), plain(upper), self.confidence, self.method, OK)


@dataclass(frozen=True, slots=True)
class ShapeChoice:
    """Which shape the data speak for.

    Attributes:
        fits: one `ResponseFits` per shape tried, all on the same points.
        probability: of each shape, equally likely before the data; shape (n_shapes,).
        best: number of the most probable one.
        method: "evidence".
        status: "ok", "not_identified" (no shape reaches 0.95: within the range seen they say much the same; use the
            best there, and believe none of them outside) or "not_enough_data".
    """

    fits: tuple[ResponseFits, ...]
    probability: FloatArray
    best: int
    method: str
    status: str

    @property
    def chosen(self) -> ResponseFits:
        """The most probable shape's fit."""
        return self.fits[self.best]


def fit_responses(
    spend: Sequence[ArrayLike], outcome: Sequence[ArrayLike], *, shape: Shape, confidence: float = 0.95
) -> ResponseFits:
    """Fit one shape of curve to each channel and let channels with little data lean on the others.

    Outcomes scatter log-normally around the curve. With three channels or more the shape parameters of all channels
    are draws from a normal whose mean and spread are unknown (flat priors, summed over a grid): each channel is
    pulled to the mean as far as its own uncertainty asks for. With fewer, every channel stands alone with a flat
    prior over `BOUNDS`. These are associations of spend with outcome: where spend followed demand, they overstate
    the effect, and only a test of spend corrects that.

    Args:
        spend: per channel, spend per period (carry-over applied first, see `response.geometric_adstock`), shape
            (n_periods,).
        outcome: per channel, outcome credited to it per period; pairs with a zero have no logarithm and are left out.
        shape: "power", "log" or "hill"; `choose_shape` tries all.
        confidence: nominal coverage.

    Raises:
        InvalidInput: negative numbers or an unknown shape. ShapeMismatch: lengths differ.

    References:
        Gelman, Carlin, Stern, Dunson, Vehtari, Rubin (2013), Bayesian Data Analysis, sections 3.2 (scale and noise
        integrated out) and 5.4 (the normal hierarchy).

    Examples:
        >>> x = [1.0, 2, 4, 8, 16]
        >>> y = [[2.0, 2.9, 4, 5.6, 8.1], [1.0, 1.4, 2.1, 2.8, 4], [3, 4, 6, 8, 13]]
        >>> fit = fit_responses([x, x, x], y, shape="power")
        >>> fit.estimate[:, 0].round(1)
        array([0.5, 0.5, 0.5])
    """
    fraction("confidence", confidence)
    one_of("shape", shape, SHAPES)
    if len(spend) != len(outcome):
        raise ShapeMismatch(f"{len(spend)} channels of spend and {len(outcome)} of outcome")
    points = [_points(x, y) for x, y in zip(spend, outcome, strict=True)]
    known = [index for index, point in enumerate(points) if point.status == OK]
    own = [_own_grid(shape, points[index]) for index in known]
    pooled, between, evidence = pool(own, BOUNDS[shape])
    k = len(BOUNDS[shape])
    numbers = np.full((6, len(points), k), np.nan)
    residual = np.full(len(points), np.nan)
    curves = [_curve(shape, np.full(k, np.nan), np.nan, np.nan, point.seen) for point in points]
    grids: list[Grid | None] = [None] * len(points)
    for index, alone, together in zip(known, own, pooled, strict=True):
        grids[index] = together
        residual[index] = float(np.sqrt(together.weight @ together.squares / (together.points - 1)))
        for row, grid in ((0, together), (3, alone)):
            numbers[row : row + 3, index] = _natural(shape, quantiles(grid, confidence, BOUNDS[shape]), grid.middle)
        curves[index] = _nearest_to_mean(shape, together, points[index])
    method = "grid_partial_pooling" if np.isfinite(between).all() else "grid"
    names = {"power": ("exponent",), "log": ("half",), "hill": ("half", "slope")}[shape]
    return ResponseFits(
        shape, tuple(curves), names, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
        between, residual, evidence, confidence, method, tuple(point.status for point in points), tuple(grids),
    )  # fmt: skip


def choose_shape(
    spend: Sequence[ArrayLike],
    outcome: Sequence[ArrayLike],
    *,
    shapes: Sequence[Shape] = SHAPES,
    confidence: float = 0.95,
) -> ShapeChoice:
    """Fit several shapes to the same points and say how probable each is.

    Probabilities are those of the data under each shape with the priors of `fit_responses`: a shape with more freedom
    has to earn it. Over the range seen, shapes often fit alike; then no probability is decisive and the status says
    so.

    Args:
        spend: as in `fit_responses`.
        outcome: as in `fit_responses`.
        shapes: which to try.
        confidence: nominal coverage of the fits' intervals.

    References:
        MacKay (2003), Information Theory, Inference, and Learning Algorithms, chapter 28.

    Examples:
        >>> x = [1.0, 2, 4, 8, 16, 32, 64]
        >>> choice = choose_shape([x], [[9.1, 16.6, 28.7, 44.3, 61.7, 76.0, 86.6]])
        >>> choice.chosen.shape
        'hill'
    """
    if not shapes:
        raise InvalidInput("there must be a shape to try")
    fits = tuple(fit_responses(spend, outcome, shape=shape, confidence=confidence) for shape in shapes)
    evidence = np.array([fit.log_evidence for fit in fits])
    if OK not in fits[0].status:
        return ShapeChoice(fits, np.full(len(fits), np.nan), 0, "evidence", NOT_ENOUGH_DATA)
    probability = np.exp(evidence - logsumexp(evidence))
    best = int(probability.argmax())
    return ShapeChoice(fits, probability, best, "evidence", OK if probability[best] >= DECISIVE else "not_identified")


@dataclass(frozen=True, slots=True)
class _Points:
    log_spend: FloatArray
    log_outcome: FloatArray
    seen: tuple[float, float]
    status: str


def _points(spend: ArrayLike, outcome: ArrayLike) -> _Points:
    x, y = vector("spend", spend), vector("outcome", outcome)
    if x.shape != y.shape:
        raise ShapeMismatch(f"spend {x.shape} and outcome {y.shape} must have one shape")
    if (x < 0).any() or (y < 0).any():
        raise InvalidInput("spend and outcome must be at least 0")
    seen = (float(x.min(initial=np.inf)), float(x.max(initial=-np.inf)))
    keep = (x > 0) & (y > 0)
    u, v = np.log(x[keep]), np.log(y[keep])
    if u.size < MIN_POINTS:
        return _Points(u, v, seen, NOT_ENOUGH_DATA)
    return _Points(u, v, seen, ZERO_VARIANCE if np.ptp(u) <= 1e-9 else OK)


def _own_grid(shape: Shape, points: _Points) -> Grid:
    """Grid over the part of the prior range where the channel's own likelihood lies."""
    middle = float(points.log_spend.mean())
    sides = 240 if len(BOUNDS[shape]) == 1 else 48
    ranges = np.array(BOUNDS[shape])
    for _ in range(4):
        grid = _evaluate(shape, points, middle, ranges, sides)
        shown = grid.log_likelihood > grid.log_likelihood.max() - 16
        inside = grid.cells[shown]
        tight = np.column_stack([inside.min(axis=0) - grid.width, inside.max(axis=0) + grid.width])
        narrower = np.clip(tight, np.array(BOUNDS[shape])[:, :1], np.array(BOUNDS[shape])[:, 1:])
        if (np.diff(narrower) > 0.7 * np.diff(ranges)).all():
            break
        ranges = narrower
    return grid


def _evaluate(shape: Shape, points: _Points, middle: float, ranges: FloatArray, sides: int) -> Grid:
    edges = [np.linspace(low, high, sides + 1) for low, high in ranges]
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    cells = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, len(edges))
    gap = points.log_outcome - _log_shape(shape, cells, points.log_spend - middle)
    level = gap.mean(axis=1)
    squares = np.maximum(((gap - level[:, None]) ** 2).sum(axis=1), 1e-18 * points.log_spend.size)
    n = points.log_spend.size
    log_likelihood = -(n - 1) / 2 * np.log(squares)
    weight = np.exp(log_likelihood - logsumexp(log_likelihood))
    width = np.array([edge[1] - edge[0] for edge in edges])
    return Grid(cells, tuple(edges), width, log_likelihood, weight, level, squares, n, middle)


def _log_shape(shape: Shape, cells: FloatArray, log_spend: FloatArray) -> FloatArray:
    """Log of the curve without its scale, shape (n_cells, n_points); spend measured against the middle spend."""
    first = cells[:, :1]
    if shape == "power":
        return np.asarray(first * log_spend)
    if shape == "log":
        return np.asarray(np.log(np.log1p(np.exp(log_spend - first))))
    return np.asarray(-np.logaddexp(0.0, -np.exp(cells[:, 1:]) * (log_spend - first)))


def _natural(shape: Shape, numbers: FloatArray, middle: float) -> FloatArray:
    if shape == "power":
        return numbers
    natural = np.exp(numbers)
    natural[:, 0] *= np.exp(middle)
    return np.asarray(natural)


def _nearest_to_mean(shape: Shape, grid: Grid, points: _Points) -> Curve:
    fitted = grid.level[:, None] + _log_shape(shape, grid.cells, points.log_spend - grid.middle)
    distance = ((fitted - grid.weight @ fitted) ** 2).sum(axis=1)
    best = int(np.where(grid.weight > 1e-4 * grid.weight.max(), distance, np.inf).argmin())
    return _curve(shape, grid.cells[best], float(grid.level[best]), grid.middle, points.seen)


def _curve(shape: Shape, cell: FloatArray, level: float, middle: float, seen: tuple[float, float]) -> Curve:
    if shape == "power":
        return PowerResponse(float(np.exp(level - cell[0] * middle)), float(cell[0]), seen)
    half = float(np.exp(middle + cell[0]))
    if shape == "log":
        return LogResponse(float(np.exp(level)), half, seen)
    return HillResponse(float(np.exp(level)), half, float(np.exp(cell[1])), seen)
