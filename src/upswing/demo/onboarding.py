"""From install to account, and the first 48 hours of an account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from upswing.demo.clock import DAY, SECOND, Times, at_time_of_day, seconds, time_of_day
from upswing.demo.ledger import CATEGORIES, ERRORS, Ledger, Users
from upswing.demo.model import PLATFORMS, VERSIONS, Model
from upswing.demo.people import People

_CATEGORY_SHARE = np.array([0.34, 0.16, 0.18, 0.06, 0.10, 0.05, 0.05, 0.06])
_TYPICAL_AMOUNT = np.array([32.0, 12.0, 95.0, 900.0, 60.0, 80.0, 150.0, 6500.0])


def sign_up(rng: np.random.Generator, people: People, ledger: Ledger, *, base: int, model: Model) -> People:
    """Take a generation from install towards the account; returns it with `account` filled.

    Args:
        rng: source of chance.
        people: the generation.
        ledger: takes the events.
        base: index of the generation's first user within the block.
        model: the parameters.
    """
    n = len(people)
    here = np.arange(n)
    ledger.add("app_installed", here + base, people.install)
    came = np.flatnonzero(people.inviter >= 0)
    ledger.add("invitation_accepted", came + base, people.install[came] + 2 * SECOND)

    here = here[rng.random(n) < model.opens]
    time = people.install[here] + seconds(rng, len(here), median=40)
    ledger.add("app_opened", here + base, time, duration_ms=_milliseconds(rng, len(here), 45_000))
    # how long the welcome pages are read tells of desire
    reading = seconds(rng, len(here), median=1) * np.where(people.desire[here], 26, 15)
    ledger.add("onboarding_viewed", here + base, time + SECOND, duration_ms=(reading // 1000).astype(np.float64))
    time = time + SECOND + reading
    chose = rng.random(len(here)) < people.by_desire(model.chooses_goal)[here]
    ledger.add("goal_chosen", here[chose] + base, time[chose])

    started = (
        rng.random(len(here)) < (people.by_desire(model.starts_signup) * people.by_friction(model.starts_despite))[here]
    )
    here = here[started]
    time = time[started] + seconds(rng, len(here), median=6)
    ledger.add("signup_started", here + base, time)
    here, time = _verify(rng, people, here, time, ledger, base, model)

    created = rng.random(len(here)) < model.creates_account
    here = here[created]
    time = time[created] + seconds(rng, len(here), median=9)
    ledger.add("account_created", here + base, time)
    account = people.account.copy()
    account[here] = time
    return replace(people, account=account)


def _verify(
    rng: np.random.Generator, people: People, here: Users, time: Times, ledger: Ledger, base: int, model: Model
) -> tuple[Users, Times]:
    version = people.version_at(here, time, model)
    broken = (people.platform[here] == PLATFORMS.index(model.broken_platform)) & (
        version == VERSIONS.index(model.broken_version)
    )
    chance = people.by_friction(model.verifies)[here] * np.where(broken, model.broken_factor, 1.0)
    passed = rng.random(len(here)) < chance
    wait = seconds(rng, len(here), median=1) * np.where(people.friction[here] | broken, 38, 17)
    again = rng.random(len(here)) < np.where(broken, 0.6, people.by_friction(model.resends)[here])
    ledger.add("code_resent", here[again] + base, (time + wait // 2)[again])
    failed = ~passed & (rng.random(len(here)) < 0.8)
    code = np.where(broken[failed], ERRORS.index("sms_timeout"), ERRORS.index("code_rejected"))
    ledger.add("error_shown", here[failed] + base, (time + wait)[failed], error_code=code)
    arrived = time + wait
    milliseconds = (wait // 1000).astype(np.float64)
    ledger.add("phone_verified", here[passed] + base, arrived[passed], duration_ms=milliseconds[passed])
    return here[passed], arrived[passed]


def first_days(rng: np.random.Generator, people: People, ledger: Ledger, *, base: int, model: Model) -> People:
    """The first 48 hours of every account of a generation; returns it with `habit` decided."""
    owners = np.flatnonzero(people.account >= 0)
    again = np.repeat(owners, rng.poisson(people.by_desire(model.revisits)[owners]))
    later = at_time_of_day(people.account[again] + rng.integers(0, 2, len(again)) * DAY, time_of_day(rng, len(again)))
    users = np.concatenate([owners, again])
    starts = np.concatenate([people.account[owners] + 5 * SECOND, later])
    tries_chance = np.concatenate([people.by_desire(model.tries_first)[owners], np.full(len(again), model.tries_later)])
    ledger.add("app_opened", again + base, later, duration_ms=_milliseconds(rng, len(again), 80_000))

    tries = rng.random(len(users)) < tries_chance
    succeeds = rng.random(len(users)) < people.by_friction(model.succeeds)[users]
    failed = tries & ~succeeds
    code = np.full(int(failed.sum()), ERRORS.index("save_failed"))
    ledger.add("error_shown", users[failed] + base, starts[failed] + 25 * SECOND, error_code=code)
    counts = np.where(tries & succeeds, 1 + rng.poisson(model.more_entries, len(users)), 0)
    by, when = write_entries(rng, ledger, users, starts, counts, base=base)
    looked = rng.random(len(users)) < model.early_report
    add_reports(rng, ledger, users[looked] + base, starts[looked])
    budgeted = rng.random(len(users)) < model.early_budget
    ledger.add("budget_set", users[budgeted] + base, starts[budgeted] + seconds(rng, int(budgeted.sum()), median=110))

    window = int(model.aha_window.total_seconds()) * SECOND
    inside = when < people.account[by] + window
    enough = np.bincount(by[inside], minlength=len(people)) >= model.aha_entries
    chance = people.by_desire(model.habit) + model.aha_effect * enough
    return replace(people, habit=(people.account >= 0) & (rng.random(len(people)) < chance))


def write_entries(
    rng: np.random.Generator, ledger: Ledger, users: Users, starts: Times, counts: NDArray[np.int64], *, base: int
) -> tuple[Users, Times]:
    """Add `counts` entries to each session that begins at `starts`; returns user and time of every entry."""
    by = np.repeat(users, counts)
    position = np.arange(len(by)) - np.repeat(np.cumsum(counts) - counts, counts)
    times = np.repeat(starts, counts) + (position * 24 + 12) * SECOND + rng.integers(0, 20 * SECOND, len(by))
    category = rng.choice(len(CATEGORIES), size=len(by), p=_CATEGORY_SHARE)
    amount = np.round(_TYPICAL_AMOUNT[category] * np.exp(0.7 * rng.standard_normal(len(by))), 2)
    ledger.add("entry_created", by + base, times, category=category, entry_amount=amount)
    return by, times


def add_reports(rng: np.random.Generator, ledger: Ledger, users: Users, starts: Times) -> None:
    """Add one report view to each session that begins at `starts`."""
    n = len(users)
    times = starts + seconds(rng, n, median=75)
    ledger.add("report_viewed", users, times, duration_ms=_milliseconds(rng, n, 700))


def _milliseconds(rng: np.random.Generator, n: int, median: float) -> NDArray[np.float64]:
    return np.round(median * np.exp(0.6 * rng.standard_normal(n)))


def session_milliseconds(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """How long sessions of `n` openings stay in the foreground."""
    return _milliseconds(rng, n, 80_000)
