"""What the model implies: exact expectations as finite sums over the hidden traits, without simulating anything.

Shares and rates are per account unless said otherwise, for users nobody invited, and leave out the broken step, which
changes how many accounts there are and nothing that happens afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.demo.model import ByDesire, ByFriction, Model

Array = NDArray[np.float64]

FIRST_LIVING_DAY: Final = 2
_WEEK_4: Final = (21, 28)
_MOST_REVISITS: Final = 40  # beyond it the Poisson mass is below 1e-16


@dataclass(frozen=True, slots=True)
class Contrast:
    """Week-4 retention of the accounts that showed a behaviour in the first 48 hours, and of those that did not."""

    shown: float
    not_shown: float

    @property
    def difference(self) -> float:
        """Raw difference; a cause only if nothing else drives both."""
        return self.shown - self.not_shown


@dataclass(frozen=True, slots=True)
class Expectation:
    """Expectations of one model. Arrays by desire have shape (2,), by desire and friction (2, 2), low first."""

    model: Model

    def account_chance(self, channel: str) -> float:
        """Relative chance that an install of this channel becomes an account; comparable between channels only."""
        return float(self._desire_at_install(channel) @ _pair(self.model.starts_signup))

    def desire(self, channel: str) -> Array:
        """Distribution of desire among the channel's accounts."""
        return _normalised(self._desire_at_install(channel) * _pair(self.model.starts_signup))

    def friction(self) -> Array:
        """Distribution of friction among accounts; the same in every channel, and independent of desire."""
        return _normalised(self._friction_at_signup() * _pair(self.model.verifies))

    def verification(self) -> float:
        """Share of the sign-ups that pass phone verification where it is not broken."""
        return float(self._friction_at_signup() @ _pair(self.model.verifies))

    def activation(self) -> Array:
        """Chance of a first entry within 48 hours of the account, by desire and friction."""
        m = self.model
        success = _pair(m.succeeds)[None, :]
        first = 1 - _pair(m.tries_first)[:, None] * success
        later = np.exp(-_pair(m.revisits)[:, None] * m.tries_later * success)
        return 1 - first * later

    def activation_from_install(self) -> Array:
        """Chance that an install becomes an account with a first entry within 48 hours, by desire and friction."""
        m = self.model
        start = np.outer(_pair(m.starts_signup), _pair(m.starts_despite) * _pair(m.verifies))
        return m.opens * start * m.creates_account * self.activation()

    def habit_share(self, desire: Array) -> float:
        """Share of accounts that become a habit, for a distribution of desire."""
        enough = np.einsum("dfx,dx->df", self._enough(), self._revisits())
        chance = _pair(self.model.habit)[:, None] + self.model.aha_effect * enough
        return float(desire @ chance @ self.friction())

    def openings_per_day(self, *, push: float) -> float:
        """Openings per day of life when a share `push` of the users has given push permission."""
        m = self.model
        own = np.dot(m.level_share, m.level_opens)
        return float(own + push * m.reminder * np.dot(m.level_share, m.level_reminded))

    def push_share(self) -> float:
        """Share of users who gave push permission."""
        return float(np.dot(self.model.platform_share, self.model.push_permission))

    def living_days(self, habit: float, *, until: int) -> float:
        """Expected days of life from day 2 to before day `until`, for a share `habit` of habits."""
        days = np.arange(until - FIRST_LIVING_DAY)
        habitual = (self.model.survives_habit**days).sum()
        casual = (self.model.survives_casual**days).sum()
        return float(habit * habitual + (1 - habit) * casual)

    def retention(self, *, habit: bool, push: float) -> float:
        """Chance of an opening in week 4 (days 21 to 27 of the account), for a share `push` with permission."""
        survives = self.model.survives_habit if habit else self.model.survives_casual
        with_push = self._week_4(survives, reminded=True)
        return push * with_push + (1 - push) * self._week_4(survives, reminded=False)

    def retention_of(self, habit_share: float, *, push: float | None = None) -> float:
        """Week-4 retention of accounts of which a share becomes a habit."""
        push = self.push_share() if push is None else push
        habitual, casual = self.retention(habit=True, push=push), self.retention(habit=False, push=push)
        return habit_share * habitual + (1 - habit_share) * casual

    def contrast_entries(self, desire: Array) -> Contrast:
        """Raw contrast of enough entries in the first 48 hours."""
        base, gain = _pair(self.model.habit)[:, None, None], self.model.aha_effect
        return self._contrast(desire, self._enough(), habit_shown=base + gain, habit_not=base)

    def contrast_report(self, desire: Array) -> Contrast:
        """Raw contrast of at least one report view in the first 48 hours; it depends on the visits only."""
        seen = 1 - (1 - self.model.early_report) ** (1 + np.arange(_MOST_REVISITS + 1))
        enough = self._enough()
        habit = _pair(self.model.habit)[:, None, None] + self.model.aha_effect * enough
        return self._contrast(desire, np.broadcast_to(seen, enough.shape), habit_shown=habit, habit_not=habit)

    def _contrast(self, desire: Array, shown: Array, *, habit_shown: Array, habit_not: Array) -> Contrast:
        """Average the chance of a habit over who shows a behaviour; arrays by desire, friction, further sessions."""
        mass = desire[:, None, None] * self.friction()[None, :, None] * self._revisits()[:, None, :]
        with_it = float((mass * shown * habit_shown).sum() / (mass * shown).sum())
        without = float((mass * (1 - shown) * habit_not).sum() / (mass * (1 - shown)).sum())
        return Contrast(shown=self.retention_of(with_it), not_shown=self.retention_of(without))

    def _enough(self) -> Array:
        """Chance of enough entries in the first 48 hours by desire, friction and number of further sessions."""
        m = self.model
        chances = np.empty((2, 2, _MOST_REVISITS + 1))
        for d, first in enumerate(_pair(m.tries_first)):
            for f, success in enumerate(_pair(m.succeeds)):
                session = self._entries(m.tries_later * success)
                total = self._entries(first * success)
                for x in range(_MOST_REVISITS + 1):
                    chances[d, f, x] = 1 - total.sum()
                    total = np.convolve(total, session)[: m.aha_entries]
        return chances

    def _entries(self, chance: float) -> Array:
        """Distribution of the entries of one session, cut below the aha threshold."""
        counts = range(self.model.aha_entries - 1)
        some = [chance * _poisson(k, self.model.more_entries) for k in counts]
        return np.array([1 - chance, *some])

    def _revisits(self) -> Array:
        counts = range(_MOST_REVISITS + 1)
        return np.array([[_poisson(k, rate) for k in counts] for rate in _pair(self.model.revisits)])

    def _week_4(self, survives: float, *, reminded: bool) -> float:
        m = self.model
        weekday = np.array(m.weekday) / np.mean(m.weekday)
        reached = survives ** (np.arange(*_WEEK_4) - FIRST_LIVING_DAY)
        last = reached - np.append(reached[1:], 0.0)  # chance that life ends on this day, or after the last one
        chance = 0.0
        for share, opens, reacts in zip(m.level_share, m.level_opens, m.level_reminded, strict=True):
            reminder = m.reminder * reacts if reminded else 0.0
            silent = (1 - opens * weekday) * (1 - reminder)
            by_start = [1 - np.cumprod(np.roll(silent, -start)) for start in range(7)]
            chance += share * float(np.mean(by_start, axis=0) @ last)
        return chance

    def _desire_at_install(self, channel: str) -> Array:
        high = self.model.channels[channel].desire
        return np.array([1 - high, high])

    def _friction_at_signup(self) -> Array:
        share = self.model.friction_share
        return _normalised(np.array([1 - share, share]) * _pair(self.model.starts_despite))


def account_mix(model: Model, *, shifted: bool = False) -> Mapping[str, float]:
    """Share of each channel among the accounts nobody invited, in usual weeks or during the mix shift."""
    expectation = Expectation(model)
    weights = {}
    for name, channel in model.channels.items():
        if channel.volume > 0:
            factor = model.shift_factor if shifted and name == model.shift_channel else 1.0
            weights[name] = channel.volume * factor * expectation.account_chance(name)
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _normalised(weights: Array) -> Array:
    shares: Array = weights / weights.sum()
    return shares


def _pair(values: ByDesire | ByFriction) -> Array:
    return np.array([values.low, values.high])


def _poisson(k: int, rate: float) -> float:
    return math.exp(-rate) * rate**k / math.factorial(k)
