"""The life of an account after its first 48 hours: openings, reminders, invitations, payments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upswing.demo.clock import DAY, SECOND, Times, at_time_of_day, micros, seconds, time_of_day, weekday
from upswing.demo.ledger import ERRORS, Ledger, Users
from upswing.demo.model import Model
from upswing.demo.onboarding import add_reports, session_milliseconds, write_entries
from upswing.demo.people import People


@dataclass(frozen=True, slots=True)
class Invitations:
    """Invitations sent: who (index within the generation) and when."""

    users: Users
    times: Times


def live_on(rng: np.random.Generator, people: People, ledger: Ledger, *, base: int, model: Model) -> Invitations:
    """Simulate every account of a generation from day 2 to its death or the end; returns the invitations it sent."""
    owners, last = lifetimes(rng, people, model)
    own, own_times = _own_openings(rng, people, owners, last, model)
    reminded, reminded_times = _reminders(rng, people, owners, last, ledger, base, model)
    users = np.concatenate([own, reminded])
    times = np.concatenate([own_times, reminded_times])
    before = times < micros(model.end)
    users, times = users[before], times[before]
    ledger.add("app_opened", users + base, times, duration_ms=session_milliseconds(rng, len(users)))
    return _sessions(rng, people, users, times, ledger, base, model)


def lifetimes(rng: np.random.Generator, people: People, model: Model) -> tuple[Users, NDArray[np.int64]]:
    """Accounts and the last day of their life, counted in 24 h from account creation; every account lives on day 2."""
    owners = np.flatnonzero(people.account >= 0)
    dies = 1 - np.where(people.habit[owners], model.survives_habit, model.survives_casual)
    return owners, 1 + rng.geometric(dies).astype(np.int64)


def _own_openings(
    rng: np.random.Generator, people: People, owners: Users, last: NDArray[np.int64], model: Model
) -> tuple[Users, Times]:
    """At most one opening of one's own per day of life, at the usual times, more often on some weekdays."""
    users, days = _user_days(people, owners, last, model)
    factors = np.array(model.weekday) / np.mean(model.weekday)
    # thinning: propose with the busiest weekday's chance, keep by the weekday on which the time falls
    proposed = rng.random(len(users)) < np.array(model.level_opens)[people.level[users]] * factors.max()
    users, days = users[proposed], days[proposed]
    times = at_time_of_day(people.account[users] + days * DAY, time_of_day(rng, len(users)))
    kept = rng.random(len(users)) < factors[weekday(times)] / factors.max()
    return users[kept], times[kept]


def _reminders(
    rng: np.random.Generator,
    people: People,
    owners: Users,
    last: NDArray[np.int64],
    ledger: Ledger,
    base: int,
    model: Model,
) -> tuple[Users, Times]:
    """Reminders around 20:30 to those who gave permission; returns the openings they cause."""
    allowed = people.push[owners]
    users, days = _user_days(people, owners[allowed], last[allowed] + model.reminders_after, model)
    sent = rng.random(len(users)) < model.reminder
    users, days = users[sent], days[sent]
    clock = (20 * 3600 + 30 * 60) * SECOND + rng.integers(0, 600 * SECOND, len(users))
    times = at_time_of_day(people.account[users] + days * DAY, clock)
    ledger.add("reminder_received", users + base, times)
    last_day = np.zeros(len(people), dtype=np.int64)
    last_day[owners] = last
    alive = days <= last_day[users]
    opened = alive & (rng.random(len(users)) < np.array(model.level_reminded)[people.level[users]])
    users = users[opened]
    # opened within a quarter of an hour, so that the opening stays in its day unless that is just ending
    times = times[opened] + np.minimum(seconds(rng, len(users), median=60), 900 * SECOND)
    ledger.add("reminder_opened", users + base, times)
    return users, times + SECOND


def _user_days(people: People, owners: Users, last: NDArray[np.int64], model: Model) -> tuple[Users, NDArray[np.int64]]:
    """One row for every user and day, from day 2 to the last one that begins before the end."""
    left = (micros(model.end) - people.account[owners]) // DAY
    counts = np.clip(np.minimum(last, left) - 1, 0, None)
    users = np.repeat(owners, counts)
    return users, np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts) + 2


def _sessions(
    rng: np.random.Generator, people: People, users: Users, times: Times, ledger: Ledger, base: int, model: Model
) -> Invitations:
    n = len(users)
    enters = rng.random(n) < model.enters
    counts = np.where(enters, 1 + rng.poisson(model.more_entries_later, n), 0)
    write_entries(rng, ledger, users, times, counts, base=base)
    reports = rng.random(n) < model.late_report
    add_reports(rng, ledger, users[reports] + base, times[reports])
    budgets = rng.random(n) < model.late_budget
    ledger.add("budget_set", users[budgets] + base, times[budgets] + seconds(rng, int(budgets.sum()), median=110))
    errors = rng.random(n) < model.meets_error
    code = np.full(int(errors.sum()), ERRORS.index("network"))
    ledger.add("error_shown", users[errors] + base, times[errors] + 3 * SECOND, error_code=code)
    walls = rng.random(n) < model.sees_paywall
    _pay(rng, people, users[walls], times[walls] + seconds(rng, int(walls.sum()), median=50), ledger, base, model)
    invites = rng.random(n) < model.invites
    sent = times[invites] + seconds(rng, int(invites.sum()), median=90)
    ledger.add("invitation_sent", users[invites] + base, sent)
    return Invitations(users=users[invites], times=sent)


def _pay(
    rng: np.random.Generator, people: People, users: Users, times: Times, ledger: Ledger, base: int, model: Model
) -> None:
    """Paywalls, the first purchase of each user, and its renewals; paywalls after the purchase are not shown."""
    bought = rng.random(len(users)) < people.by_desire(model.pays)[users]
    purchase = np.full(len(people), np.iinfo(np.int64).max)
    np.minimum.at(purchase, users[bought], times[bought])
    shown = times <= purchase[users]
    ledger.add("paywall_viewed", users[shown] + base, times[shown])
    buyers = np.flatnonzero(purchase < np.iinfo(np.int64).max)
    plan = rng.choice(len(model.plans), size=len(buyers), p=model.plan_share)
    terms = rng.geometric(1 - model.renews, len(buyers))
    by = np.repeat(np.arange(len(buyers)), terms)
    term = np.arange(len(by)) - np.repeat(np.cumsum(terms) - terms, terms)
    first = purchase[buyers] + seconds(rng, len(buyers), median=35)
    due = first[by] + term * np.array(model.plan_days)[plan[by]] * DAY
    price = np.array(model.plan_price)[plan[by]]
    ledger.add("order_paid", buyers[by] + base, due, plan=plan[by], amount=price)
