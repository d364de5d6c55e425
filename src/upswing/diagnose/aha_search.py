"""From the tables of the aha kernel to findings: discovered on one half of the users, confirmed on the other.

Every effect that is shown comes from the confirmation half, which had no say in what was chosen; so the largest of
many is not shown larger than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.sequences.aha import AhaTables
from upswing.stats.association import Association, StratifiedAssociation, associate, mantel_haenszel
from upswing.stats.multiplicity import Adjustment, adjust

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Status = Literal["confirmed", "lower", "explained", "not_confirmed"]
DISCOVERY, CONFIRMATION = 0, 1
GENEROUS: Final = 4.0
"""Discovery tolerates so many times the false findings: the second half decides, and it alone has to keep the level."""
_METHODS: Final[dict[str, Adjustment]] = {"bh": "benjamini_hochberg", "by": "benjamini_yekutieli"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a finding.

    Args:
        fdr: expected share of false ones among the findings.
        correction: ``bh`` or ``by``.
        share: smallest and largest share of users who show a behaviour.
        min_users: fewest users with and without it in a half.
    """

    fdr: float = 0.05
    correction: Literal["bh", "by"] = "bh"
    share: tuple[float, float] = (0.05, 0.95)
    min_users: int = 30


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its interval at 95 %."""

    estimate: float
    lower: float
    upper: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return {"estimate": self.estimate, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, slots=True)
class Finding:
    """A behaviour at its best count and window; all effects on the confirmation half.

    Attributes:
        behaviour: index of the behaviour.
        window: index of the exposure window.
        count: index of the threshold.
        status: ``confirmed``: users who show it stay more, within strata, too; ``lower``: they stay less;
            ``explained``: the raw difference is there and is gone within strata; ``not_confirmed``: the second half
            does not show what the first did.
        users: users of the confirmation half.
        shown: those who showed it.
        rate_with: outcome rate of those who showed it.
        rate_without: of those who did not.
        raw: difference of the two rates.
        adjusted: difference within strata, pooled (Mantel-Haenszel); the same as overlap weights with one propensity per
            stratum.
        phi: correlation of behaviour and outcome (MCC).
        lift: rate with it over the rate of everybody.
        ppv: share of those with it who reach the outcome.
        sensitivity: share of those with the outcome who showed it.
        p_discovery: adjusted for all behaviours, counts and windows that were judged.
        p_raw: of the raw difference on the confirmation half, exact.
        p_confirmation: within strata, adjusted for all that were to be confirmed.
    """

    behaviour: int
    window: int
    count: int
    status: Status
    users: int
    shown: int
    rate_with: float
    rate_without: float
    raw: Interval
    adjusted: Interval
    phi: Interval
    lift: float
    ppv: Interval
    sensitivity: Interval
    p_discovery: float
    p_raw: float
    p_confirmation: float


@dataclass(frozen=True, slots=True)
class Search:
    """What was judged and what was found, best first."""

    findings: tuple[Finding, ...]
    judged: int
    out_of_bounds: int


def search(tables: AhaTables, rules: Rules) -> Search:
    """Choose on the discovery half, judge on the confirmation half.

    On the first half, all behaviours × counts × windows within the volume bounds are tested within strata and corrected
    together, at `GENEROUS` times the level; each behaviour goes on with its most distinct count and window. So do
    behaviours that only differ raw, to be shown as explained. On the second half the former are corrected anew among
    themselves: the false discovery rate holds there whatever was chosen, because other users chose it.

    Args:
        tables: counts of users, both halves.
        rules: level, correction and volume bounds.
    """
    first = _cells(tables, DISCOVERY)
    allowed = _within_bounds(first, rules)
    strict = _tested(mantel_haenszel(*first), allowed, rules)
    loose = _tested(mantel_haenszel(*(c.sum(-1, keepdims=True) for c in first)), allowed, rules)
    shape = tables.shown.shape[1:4]
    level = min(0.5, GENEROUS * rules.fdr)
    chosen = _best_of_each(strict, shape, level)
    behaviours = {int(np.unravel_index(h, shape)[0]) for h in chosen}
    raw_only = [h for h in _best_of_each(loose, shape, rules.fdr) if np.unravel_index(h, shape)[0] not in behaviours]
    findings = _confirm(tables, [*chosen, *raw_only], len(chosen), strict.p_value, rules)
    return Search(tuple(findings), int(allowed.sum()), int((~allowed).sum()))


@dataclass(frozen=True, slots=True)
class _Tested:
    """p-values adjusted over everything judged (NaN elsewhere), and how many standard errors each difference is."""

    p_value: Floats
    distance: Floats


def _cells(tables: AhaTables, half: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Two-by-two tables of a half, each shape (n_hypotheses, n_strata)."""
    shown, both = tables.shown[half], tables.shown_reached[half]
    users, reached = tables.users[half][None, :, None, :], tables.reached[half][None, :, None, :]
    cells = (both, shown - both, reached - both, users - reached - shown + both)
    n_strata = shown.shape[-1]
    a, b, c, d = (cell.reshape(-1, n_strata) for cell in cells)
    return a, b, c, d


def _within_bounds(cells: tuple[Ints, Ints, Ints, Ints], rules: Rules) -> NDArray[np.bool_]:
    a, b, c, d = (cell.sum(-1) for cell in cells)
    with_, without = a + b, c + d
    share = with_ / np.maximum(with_ + without, 1)
    low, high = rules.share
    allowed: NDArray[np.bool_] = (share >= low) & (share <= high) & (np.minimum(with_, without) >= rules.min_users)
    bounded: NDArray[np.bool_] = allowed & (a + c > 0) & (b + d > 0)
    return bounded


def _tested(found: StratifiedAssociation, allowed: NDArray[np.bool_], rules: Rules) -> _Tested:
    p_value = np.where(allowed, np.atleast_1d(found.p_value), np.nan)
    known = ~np.isnan(p_value)
    adjusted = np.full(p_value.shape, np.nan)
    if known.any():
        adjusted[known] = adjust(p_value[known], method=_METHODS[rules.correction])
    difference = np.atleast_1d(found.difference)
    reach = difference - np.atleast_1d(found.difference_lower)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(known & (reach > 0), np.abs(difference) / reach, -1.0)
    return _Tested(adjusted, distance)


def _best_of_each(tested: _Tested, shape: tuple[int, ...], fdr: float) -> list[int]:
    """The most distinct hypothesis of each behaviour that has one at the level, most distinct behaviour first."""
    passed = np.where(np.nan_to_num(tested.p_value, nan=1.0) <= fdr, tested.distance, -1.0).reshape(shape[0], -1)
    best = passed.argmax(axis=1)
    top = passed[np.arange(shape[0]), best]
    order = np.argsort(-top, kind="stable")
    return [int(b * passed.shape[1] + best[b]) for b in order if top[b] >= 0]


def _confirm(tables: AhaTables, chosen: list[int], n_strict: int, p_discovery: Floats, rules: Rules) -> list[Finding]:
    if not chosen:
        return []
    cells = tuple(c[chosen] for c in _cells(tables, CONFIRMATION))
    within = mantel_haenszel(*cells)
    raw = associate(*(c.sum(-1) for c in cells))
    p_within = np.array(np.atleast_1d(within.p_value), dtype=np.float64)
    p_adjusted = p_within.copy()
    p_adjusted[:n_strict] = adjust(p_within[:n_strict], method=_METHODS[rules.correction]) if n_strict else []
    shape = tables.shown.shape[1:4]
    found = []
    for i, hypothesis in enumerate(chosen):
        place = tuple(int(x) for x in np.unravel_index(hypothesis, shape))
        counts = tuple(int(c[i].sum()) for c in cells)
        status = _status(within, raw, i, float(p_adjusted[i]), strict=i < n_strict, fdr=rules.fdr)
        found.append(
            _finding(place, status, counts, raw, within, i, float(p_discovery[hypothesis]), float(p_adjusted[i]))
        )
    return sorted(found, key=_rank)


def _status(within: StratifiedAssociation, raw: Association, i: int, p: float, *, strict: bool, fdr: float) -> Status:
    difference = float(np.atleast_1d(within.difference)[i])
    if strict and p <= fdr:
        return "confirmed" if difference > 0 else "lower"
    return "explained" if float(np.atleast_1d(raw.p_value)[i]) <= fdr else "not_confirmed"


def _rank(finding: Finding) -> tuple[int, float]:
    order: dict[Status, int] = {"confirmed": 0, "explained": 1, "lower": 2, "not_confirmed": 3}
    size = finding.adjusted.lower if finding.status == "confirmed" else abs(finding.raw.estimate)
    return order[finding.status], -size


def _finding(
    place: tuple[int, ...], status: Status, counts: tuple[int, ...], raw: Association, within: StratifiedAssociation,
    i: int, p_discovery: float, p_confirmation: float,
) -> Finding:  # fmt: skip
    a, b, c, d = counts

    def of(result: Association | StratifiedAssociation, name: str) -> Interval:
        values = (getattr(result, key) for key in (name, f"{name}_lower", f"{name}_upper"))
        return Interval(*(float(np.atleast_1d(v)[i]) for v in values))

    return Finding(
        behaviour=place[0], window=place[1], count=place[2], status=status, users=sum(counts), shown=a + b,
        rate_with=a / (a + b) if a + b else float("nan"), rate_without=c / (c + d) if c + d else float("nan"),
        raw=of(raw, "difference"), adjusted=of(within, "difference"), phi=of(raw, "phi"),
        lift=float(np.atleast_1d(raw.lift)[i]), ppv=of(raw, "ppv"), sensitivity=of(raw, "sensitivity"),
        p_discovery=p_discovery, p_raw=float(np.atleast_1d(raw.p_value)[i]), p_confirmation=p_confirmation,
    )  # fmt: skip
