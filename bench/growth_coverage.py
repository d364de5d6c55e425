"""How often the interval of a growth point holds the true gain, over simulated products whose gain is known exactly.

Each product has users of three platforms and three channels who come to a step and pass it or not; on one platform, and in
one channel, fewer pass. Who passes is active in more of the next four weeks than who does not. All that is random in real
data is random here: who comes when, who passes, who is active, and which gap is named against which reference. The method
is asked as `growth-points` asks it: search, reference, worth, flow, interval and rank.

What this cannot tell: whether users who would pass then are like those who pass now. Here they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upswing.core.calendar import Calendar
from upswing.core.units import DAY, Duration
from upswing.diagnose.weak_points import Division
from upswing.metrics.candidate import Candidate
from upswing.review.setting import NorthStar, Setting, divide
from upswing.review.sizing import CLOSED, rank
from upswing.review.sources import weak_steps

WEEK = 7 * DAY
PLATFORMS, CHANNELS = ("a", "b", "c"), ("x", "y", "z")
SHARE = {"platform": (0.4, 0.35, 0.25), "channel": (0.5, 0.3, 0.2)}
WEEKS, HORIZON = 16, 4
ACTIVE = (0.15, 0.6)
"""Chance to be active in each of the next weeks of who did not pass, and of who did."""


@dataclass(frozen=True, slots=True)
class Product:
    """Parameters of one product.

    Args:
        per_week: users who come in a week, on average.
        rate: share that passes where nothing is wrong.
        platform_gap: how much less on platform b.
        channel_gap: how much less in channel z.
    """

    per_week: float
    rate: float
    platform_gap: float
    channel_gap: float

    def passes(self, platform: int | None, channel: int | None) -> float:
        """True pass rate of a group; None is all values."""
        on = SHARE["platform"][1] if platform is None else float(platform == 1)
        by = SHARE["channel"][2] if channel is None else float(channel == 2)
        return self.rate - on * self.platform_gap - by * self.channel_gap

    @property
    def largest(self) -> str:
        """The planted gap that is worth more."""
        by_platform = SHARE["platform"][1] * self.platform_gap
        return "platform = b" if by_platform > SHARE["channel"][2] * self.channel_gap else "channel = z"

    def truth(self, candidate: Candidate) -> float:
        """Gain in active user weeks per week if the declared share of the named gap closes."""
        named = [part.split(" = ") for part in candidate.who.split(", ")]
        if any(len(part) != 2 for part in named):
            return 0.0  # weeks of entry: no week is worse than another
        values = [part.split(" = ")[-1] for part in str(candidate.reference_name).split(", ")]
        mine = self._group([v for _, v in named], [d for d, _ in named])
        best = self._group(values, [d for d, _ in named])
        flow = self.per_week
        for dimension, value in named:
            flow *= SHARE[dimension][(PLATFORMS if dimension == "platform" else CHANNELS).index(value)]
        worth = HORIZON * (ACTIVE[1] - ACTIVE[0])
        return CLOSED * (self.passes(*best) - self.passes(*mine)) * flow * worth

    def _group(self, values: list[str], dimensions: list[str]) -> tuple[int | None, int | None]:
        known = dict(zip(dimensions, values, strict=True))
        platform, channel = known.get("platform"), known.get("channel")
        return (
            None if platform is None else PLATFORMS.index(platform),
            None if channel is None else CHANNELS.index(channel),
        )


def cover(products: int, *, seed: int = 1) -> dict[str, str]:
    """Simulate products and count.

    Args:
        products: how many.
        seed: of the first.
    """
    first, every, planted, weeks = [], [], 0, 0
    for number in range(products):
        rng = np.random.default_rng([seed, number])
        product = Product(
            float(rng.uniform(200, 2000)), float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.03, 0.3)), float(rng.uniform(0, 0.1))
        )  # fmt: skip
        points = [p for p in rank(weak_steps(simulated(product, rng))) if p.sound]
        held = [p.lower <= product.truth(p.candidate) <= p.upper for p in points]
        every += held
        first += held[:1]
        planted += any(product.largest in name for p in points[:1] for name in (p.candidate.who, *p.also))
        weeks += any(" = " not in p.candidate.who.split(", ")[-1] for p in points)
    return {
        "the larger of the two planted gaps leads": f"{planted} of {products}",
        "a week is named though none is worse": f"{weeks} of {products}",
        "the first point's interval holds its true gain": _share(first),
        "any sound point's interval holds its true gain": _share(every),
    }


def simulated(product: Product, rng: np.random.Generator) -> Setting:
    """One drawn product as the ground that sources of growth points work on."""
    n = int(rng.poisson(product.per_week * WEEKS))
    calendar = Calendar("UTC")
    begin = calendar.instant("2026-01-05")
    entry = np.sort(rng.integers(begin, begin + WEEKS * WEEK, n))
    platform, channel = (rng.choice(3, n, p=SHARE[name]) for name in ("platform", "channel"))
    chance = product.rate - (platform == 1) * product.platform_gap - (channel == 2) * product.channel_gap
    passed = rng.random(n) < chance
    horizon = begin + (WEEKS + 1) * WEEK
    log: Any = SimpleNamespace(calendar=calendar, schema=SimpleNamespace(horizon=horizon))
    whole: Any = SimpleNamespace(steps=[SimpleNamespace(name="came"), SimpleNamespace(name="passed")])
    single = [
        Division("platform", PLATFORMS, platform.astype(np.int64)),
        Division("channel", CHANNELS, channel.astype(np.int64)),
    ]
    return Setting(
        log=log, start=begin, stop=horizon, path=SimpleNamespace(events=("came", "passed")), whole=whole,  # type: ignore[arg-type]
        window=Duration(WEEK), users=np.arange(n), entry=entry, depth=1 + passed.astype(np.int64),
        dimensions=("platform", "channel"), divisions=divide(log, single, entry),
        north_star=NorthStar(SimpleNamespace(), True, HORIZON), breaks=[], _values=_activity(rng, entry, passed, begin),  # type: ignore[arg-type]
    )  # fmt: skip


def _activity(
    rng: np.random.Generator, entry: NDArray[np.int64], passed: NDArray[np.bool_], begin: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """User, week and amount of everything that adds to the north star."""
    came = (entry - begin) // WEEK
    users, lags = np.nonzero(rng.random((len(entry), HORIZON)) < np.where(passed, ACTIVE[1], ACTIVE[0])[:, None])
    weeks = came[users] + lags
    seen = weeks <= WEEKS
    return users[seen], weeks[seen], np.ones(int(seen.sum()))


def _share(held: list[bool]) -> str:
    return f"{np.mean(held):.1%} of {len(held)}" if held else "none"
