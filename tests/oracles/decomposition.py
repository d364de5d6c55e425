"""Slow and obvious twins of explanations: user by user in plain Python, fractions instead of floats, every order by hand."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import permutations


def evaluate(formula: str, values: Mapping[str, Fraction]) -> Fraction:
    """A formula's value in exact arithmetic."""
    return eval(compile(ast.parse(formula, mode="eval"), "formula", "eval"), {}, dict(values))


def shapley(formula: str, before: Mapping[str, Fraction], after: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Each input's effect averaged over every order in which inputs could have moved."""
    names = list(before)
    orders = list(permutations(names))
    share = dict.fromkeys(names, Fraction(0))
    for order in orders:
        point = dict(before)
        value = evaluate(formula, point)
        for name in order:
            point[name] = after[name]
            moved = evaluate(formula, point)
            share[name] += (moved - value) / len(orders)
            value = moved
    return share


Row = tuple[str, int, int]
"""Segment, numerator, denominator of one user."""


def rate_effects(before: Sequence[Row], after: Sequence[Row]) -> dict[str, tuple[Fraction, Fraction]]:
    """Rate and mix of each segment by Kitagawa's midpoint form, mix against the whole, from one row per user."""
    segments = sorted({s for s, _, _ in (*before, *after)})

    def summed(rows: Sequence[Row], segment: str | None) -> tuple[Fraction, Fraction]:
        mine = [(n, d) for s, n, d in rows if segment in (None, s)]
        return Fraction(sum(n for n, _ in mine)), Fraction(sum(d for _, d in mine))

    (n0, d0), (n1, d1) = summed(before, None), summed(after, None)
    level = (n0 / d0 + n1 / d1) / 2
    found = {}
    for segment in segments:
        (a0, b0), (a1, b1) = summed(before, segment), summed(after, segment)
        r0 = a0 / b0 if b0 else None
        r1 = a1 / b1 if b1 else None
        r0, r1 = (r1 if r0 is None else r0) or Fraction(0), (r0 if r1 is None else r1) or Fraction(0)
        p0, p1 = b0 / d0, b1 / d1
        found[segment] = ((p0 + p1) / 2 * (r1 - r0), (p1 - p0) * ((r0 + r1) / 2 - level))
    return found


def sum_effects(before: Sequence[Row], after: Sequence[Row]) -> dict[str, tuple[Fraction, Fraction, Fraction]]:
    """Rate, mix and volume of each segment's part of a sum: volume × share × rate, averaged over the six orders."""
    segments = sorted({s for s, _, _ in (*before, *after)})
    whole = [Fraction(sum(d for _, _, d in rows)) for rows in (before, after)]
    found = {}
    for segment in segments:
        tops = [Fraction(sum(n for s, n, _ in rows if s == segment)) for rows in (before, after)]
        sizes = [Fraction(sum(d for s, _, d in rows if s == segment)) for rows in (before, after)]
        rates = [t / z if z else None for t, z in zip(tops, sizes, strict=True)]
        r = [(rates[1 - i] if rates[i] is None else rates[i]) or Fraction(0) for i in range(2)]
        inputs = (
            {"v": whole[0], "p": sizes[0] / whole[0], "r": r[0]},
            {"v": whole[1], "p": sizes[1] / whole[1], "r": r[1]},
        )
        share = shapley("v * p * r", *inputs)
        found[segment] = (share["r"], share["p"], share["v"])
    return found
