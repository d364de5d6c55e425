"""Every parameter of the simulated product: a bookkeeping app, from install to payment.

The product and all its numbers are invented. Each hidden trait is discrete, so that the truths of `truths` are finite
sums over these parameters and not estimates.

A user has two hidden traits. *Desire* (high or low) comes from the channel alone; *friction* (high or low) is a coin of
its own, independent of everything else. What follows from them is written beside each parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Asia/Shanghai")
PLATFORMS: Final = ("ios", "android", "harmonyos")
CITY_TIERS: Final = ("tier_1", "tier_2", "tier_3", "tier_4")
VERSIONS: Final = ("3.0.0", "3.1.0", "3.1.4", "3.2.0")
INVITED: Final = "invitation"

EVENTS: Final = (
    "app_installed",
    "app_opened",
    "onboarding_viewed",
    "goal_chosen",
    "signup_started",
    "code_resent",
    "phone_verified",
    "account_created",
    "entry_created",
    "budget_set",
    "report_viewed",
    "reminder_received",
    "reminder_opened",
    "invitation_sent",
    "invitation_accepted",
    "paywall_viewed",
    "order_paid",
    "error_shown",
)


@dataclass(frozen=True, slots=True)
class Channel:
    """An acquisition channel: its share of the installs that nobody invited, and the quality of who comes.

    Args:
        volume: relative number of installs in a usual week; 0 for the invited, who come through other users.
        desire: share of its users with high desire.
    """

    volume: float
    desire: float


@dataclass(frozen=True, slots=True)
class ByDesire:
    """One number for users of low desire, one for users of high desire."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ByFriction:
    """One number for users of low friction, one for users of high friction."""

    low: float
    high: float


def _channels() -> dict[str, Channel]:
    return {
        "app_store": Channel(volume=0.40, desire=0.55),
        "douyin_feed": Channel(volume=0.30, desire=0.42),
        "xiaohongshu": Channel(volume=0.20, desire=0.52),
        "reward_wall": Channel(volume=0.10, desire=0.10),
        INVITED: Channel(volume=0.0, desire=0.60),
    }


@dataclass(frozen=True, slots=True)
class Model:
    """The generator's parameters. Probabilities unless a unit is named; days are 24 h counted from account creation.

    Change one with `dataclasses.replace` to make a twin world, for instance one without the aha effect:

    Examples:
        >>> from dataclasses import replace
        >>> replace(MODEL, aha_effect=0.0).aha_effect
        0.0
        >>> MODEL.end - MODEL.start
        datetime.timedelta(days=182)
    """

    # Calendar: 26 whole weeks, Monday to Sunday in Shanghai. `end` is exclusive.
    start: datetime = datetime(2025, 12, 29, tzinfo=ZONE)
    end: datetime = datetime(2026, 6, 29, tzinfo=ZONE)

    # Who comes. Installs grow linearly by `growth` over the whole span.
    channels: Mapping[str, Channel] = field(default_factory=_channels)
    growth: float = 0.3
    platform_share: tuple[float, ...] = (0.34, 0.50, 0.16)
    city_share: tuple[float, ...] = (0.22, 0.30, 0.30, 0.18)
    friction_share: float = 0.35
    anonymous_share: float = 0.4

    # Mix shift: in the last days one channel's volume is multiplied. No rate changes anywhere.
    shift_channel: str = "reward_wall"
    shift_start: datetime = datetime(2026, 6, 8, tzinfo=ZONE)
    shift_factor: float = 6.0

    # Releases: a user runs the newest version released at least `update lag` ago, the lag uniform on [0, max] per user.
    releases: tuple[datetime, ...] = (
        datetime(2026, 2, 2, tzinfo=ZONE),
        datetime(2026, 3, 23, tzinfo=ZONE),
        datetime(2026, 5, 4, tzinfo=ZONE),
    )
    update_lag_max: timedelta = timedelta(days=14)

    # Signing up. The chance to start is a product of a part for desire and a part for friction, so that friction among
    # those who start is the same in every channel.
    opens: float = 0.97
    chooses_goal: ByDesire = ByDesire(low=0.30, high=0.72)
    starts_signup: ByDesire = ByDesire(low=0.66, high=0.92)
    starts_despite: ByFriction = ByFriction(low=1.0, high=0.9)
    verifies: ByFriction = ByFriction(low=0.96, high=0.82)
    creates_account: float = 0.98
    resends: ByFriction = ByFriction(low=0.08, high=0.35)

    # The broken step: phone verification on one platform, from one version on.
    broken_platform: str = "android"
    broken_version: str = "3.2.0"
    broken_factor: float = 0.55

    # The tracking break: the app does everything, but one event is not sent from one platform.
    untracked_event: str = "phone_verified"
    untracked_platform: str = "ios"
    untracked_from: datetime = datetime(2026, 4, 14, tzinfo=ZONE)
    untracked_until: datetime = datetime(2026, 4, 16, tzinfo=ZONE)

    # First 48 hours of an account: the first session, then Poisson(`revisits`) further ones. A session in which the
    # user tries to enter something succeeds by friction, and then holds 1 + Poisson(`more_entries`) entries.
    revisits: ByDesire = ByDesire(low=0.7, high=2.3)
    tries_first: ByDesire = ByDesire(low=0.60, high=0.90)
    tries_later: float = 0.70
    succeeds: ByFriction = ByFriction(low=0.96, high=0.58)
    more_entries: float = 0.5
    early_report: float = 0.35
    early_budget: float = 0.08

    # Habit: decided once after 48 hours; the chance depends on desire, and rises by `aha_effect` with enough entries.
    aha_entries: int = 3
    aha_window: timedelta = timedelta(hours=48)
    habit: ByDesire = ByDesire(low=0.10, high=0.30)
    aha_effect: float = 0.20

    # Life of an account from day 2 on: chance to live another day, with and without the habit; chance to open the app
    # on a day, by activity level (independent of all else), times the weekday.
    survives_casual: float = 0.78
    survives_habit: float = 0.994
    level_share: tuple[float, ...] = (0.30, 0.45, 0.25)
    level_opens: tuple[float, ...] = (0.12, 0.32, 0.62)
    weekday: tuple[float, ...] = (1.02, 0.98, 0.97, 0.97, 0.96, 1.04, 1.06)

    # Triggers: push permission by platform only; a reminder on a day by chance, opened by activity level. Reminders go
    # on for a while after a user has gone, and are then not opened.
    push_permission: tuple[float, ...] = (0.48, 0.68, 0.60)
    reminder: float = 0.40
    level_reminded: tuple[float, ...] = (0.16, 0.24, 0.32)
    reminders_after: int = 7

    # A session of an account older than 48 hours.
    enters: float = 0.86
    more_entries_later: float = 1.2
    late_report: float = 0.30
    late_budget: float = 0.03
    sees_paywall: float = 0.06
    meets_error: float = 0.015

    # Referral: invitations per late session, accepted by chance after a lognormal delay.
    invites: float = 0.05
    accepts: float = 0.40
    accept_median: timedelta = timedelta(hours=9)

    # Payment: chance per paywall, until the first purchase; plans with price in CNY, term in days, renewal.
    pays: ByDesire = ByDesire(low=0.06, high=0.18)
    plans: tuple[str, ...] = ("monthly", "quarterly", "annual")
    plan_share: tuple[float, ...] = (0.60, 0.15, 0.25)
    plan_price: tuple[float, ...] = (15.0, 40.0, 128.0)
    plan_days: tuple[int, ...] = (30, 90, 365)
    renews: float = 0.72

    @property
    def days(self) -> int:
        """Length of the simulated span in days."""
        return (self.end - self.start).days


MODEL: Final = Model()
