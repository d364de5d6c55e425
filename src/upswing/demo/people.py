"""Who comes to the simulated product, when, and with which hidden traits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from upswing.demo.clock import DAY, Times, at_time_of_day, micros, time_of_day, weekday
from upswing.demo.model import INVITED, VERSIONS, ByDesire, ByFriction, Model

Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]

_INSTALLS_BY_WEEKDAY: Final = np.array([0.95, 0.93, 0.94, 0.96, 1.02, 1.12, 1.08])


@dataclass(frozen=True, slots=True)
class People:
    """One generation or block of users, one element per user in every array.

    Args:
        number: number of the user in the whole simulation; makes the ids.
        channel: index into the model's channels.
        platform: index into `PLATFORMS`.
        city: index into `CITY_TIERS`.
        desire: hidden, True is high.
        friction: hidden, True is high.
        push: push permission given.
        level: hidden activity level, index into the model's levels.
        anonymous: known by a device id until the account.
        install: µs UTC.
        lag: how long after a release this user has it, µs.
        inviter: index within the block of who invited the user, -1 for nobody.
        account: µs UTC of account creation, -1 for never. Filled by signing up.
        habit: hidden, whether the account became a habit. Filled by the first 48 hours.
    """

    number: Codes
    channel: Codes
    platform: Codes
    city: Codes
    desire: Flags
    friction: Flags
    push: Flags
    level: Codes
    anonymous: Flags
    install: Times
    lag: Times
    inviter: Codes
    account: Times
    habit: Flags

    def __len__(self) -> int:
        return len(self.number)

    def by_desire(self, values: ByDesire) -> NDArray[np.float64]:
        """The number that applies to each user's desire."""
        return np.where(self.desire, values.high, values.low)

    def by_friction(self, values: ByFriction) -> NDArray[np.float64]:
        """The number that applies to each user's friction."""
        return np.where(self.friction, values.high, values.low)

    def version_at(self, users: Codes, times: Times, model: Model) -> Codes:
        """Index into `VERSIONS` of the app version that each user runs at a time."""
        releases = np.array([micros(r) for r in model.releases], dtype=np.int64)
        if len(releases) + 1 != len(VERSIONS):
            raise ValueError(f"{len(VERSIONS)} versions need {len(VERSIONS) - 1} releases, not {len(releases)}")
        return np.searchsorted(releases, times - self.lag[users], side="right")

    def user_ids(self) -> pa.Array:
        """Text ids, as used from account creation on."""
        digits = pc.utf8_lpad(pa.array(self.number).cast(pa.string()), 8, "0")
        return pc.binary_join_element_wise("u", digits, "")

    def device_ids(self) -> pa.Array:
        """Text ids of the devices: a one-to-one scramble of the user number, which does not show it."""
        return pc.binary_join_element_wise("d", pa.array(_scramble(self.number)).cast(pa.string()), "")


def concatenate(generations: Sequence[People]) -> People:
    """Put generations one after another into one block."""
    return People(*(np.concatenate([getattr(g, f.name) for g in generations]) for f in fields(People)))


def seeds(rng: np.random.Generator, n: int, *, model: Model) -> People:
    """Draw `n` users whom nobody invited: channel and day together, so that a channel's volume can change over time."""
    volume = expected_installs(model)
    cells = rng.choice(volume.size, size=n, p=(volume / volume.sum()).ravel())
    day, channel = np.divmod(cells, volume.shape[1])
    install = at_time_of_day(micros(model.start) + day * DAY, time_of_day(rng, n))
    return _draw(rng, channel.astype(np.int64), install, np.full(n, -1), model)


def invited(rng: np.random.Generator, inviter: Codes, sent: Times, *, model: Model) -> People:
    """Draw the users who accept the given invitations before the end of the simulated span."""
    delay = micros_of_hours(rng, len(sent), model.accept_median.total_seconds() / 3600)
    taken = (rng.random(len(sent)) < model.accepts) & (sent + delay < micros(model.end))
    channel = np.full(int(taken.sum()), list(model.channels).index(INVITED))
    return _draw(rng, channel, (sent + delay)[taken], inviter[taken], model)


def expected_installs(model: Model) -> NDArray[np.float64]:
    """Relative number of installs nobody invited, by day and channel, shape (days, channels)."""
    starts = micros(model.start) + np.arange(model.days, dtype=np.int64) * DAY
    by_day = np.linspace(1 - model.growth / 2, 1 + model.growth / 2, model.days) * _INSTALLS_BY_WEEKDAY[weekday(starts)]
    volume = np.outer(by_day, [c.volume for c in model.channels.values()])
    volume[starts >= micros(model.shift_start), list(model.channels).index(model.shift_channel)] *= model.shift_factor
    return volume


def micros_of_hours(rng: np.random.Generator, n: int, median: float) -> Times:
    """Lognormal durations around a median in hours, with a long tail; in µs."""
    return (median * 3600e6 * np.exp(rng.standard_normal(n))).astype(np.int64)


def _draw(rng: np.random.Generator, channel: Codes, install: Times, inviter: Codes, model: Model) -> People:
    n = len(channel)
    platform = rng.choice(len(model.platform_share), size=n, p=model.platform_share)
    desire = np.array([c.desire for c in model.channels.values()])
    return People(
        number=np.full(n, -1),
        channel=channel,
        platform=platform,
        city=rng.choice(len(model.city_share), size=n, p=model.city_share),
        desire=rng.random(n) < desire[channel],
        friction=rng.random(n) < model.friction_share,
        push=rng.random(n) < np.array(model.push_permission)[platform],
        level=rng.choice(len(model.level_share), size=n, p=model.level_share),
        anonymous=rng.random(n) < model.anonymous_share,
        install=install,
        lag=(rng.random(n) * model.update_lag_max.total_seconds() * 1e6).astype(np.int64),
        inviter=inviter,
        account=np.full(n, -1),
        habit=np.zeros(n, dtype=np.bool_),
    )


def _scramble(numbers: Codes) -> NDArray[np.uint64]:
    """A bijection of 64-bit numbers (the finaliser of SplitMix64: Steele, Lea, Flood 2014, OOPSLA)."""
    x = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
