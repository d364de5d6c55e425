"""Words of the definition form: a short label for every key, and its meaning in both languages.

The meaning is the model's own description; here it is listed so that it is collected for translation. A test compares both.
"""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import Text, text

LABELS: Final[dict[str, Text]] = {
    "name": text("Name"),
    "label": text("Shown name"),
    "description": text("Description"),
    "owner": text("Owner"),
    "managed": text("Managed"),
    "window": text("Window"),
    "order": text("Order"),
    "count": text("Count"),
    "session_gap": text("Ends after idle"),
    "session": text("Session property"),
    "exclusion_policy": text("An exclusion"),
    "tie": text("At the same time"),
    "profile": text("By the rules of"),
    "attribution": text("Group taken at"),
    "period": text("Period"),
    "periods": text("Periods followed"),
    "entry": text("A user begins"),
    "clock": text("Clock"),
    "at": text("A return counts"),
    "min_count": text("Returns at least"),
    "sum": text("Also sum"),
    "node": text("A step is"),
    "collapse": text("Join repeats"),
    "depth": text("Steps followed"),
    "top": text("Events at a step"),
    "type": text("Type"),
    "after": text("After"),
    "within": text("Within"),
    "quantile": text("Quantile"),
    "expression": text("Formula"),
    "better": text("Better"),
    "unit": text("Unit"),
    "level": text("Trust"),
    "min_sample": text("Smallest sample"),
    "alert": text("Alerts"),
    "north_star": text("North star"),
    "horizon": text("Horizon"),
    "until": text("Until"),
    "times": text("Times"),
    "min_users": text("Users at least"),
    "fdr": text("False discoveries at most"),
    "correction": text("Correction"),
    "seed": text("Seed"),
    "again": text("Again within"),
    "loops": text("Loops told apart"),
    "before": text("Before"),
    "by": text("Broken down by"),
    "settled": text("Settled after"),
    "ahead": text("Looking ahead"),
    "back": text("Looking back"),
    "good": text("Below a good level"),
    "segment": text("Segment"),
    "min_n": text("Scores at least"),
    "state": text("State of mind"),
    "trace": text("Trace in the data"),
    "lever": text("Lever"),
    "growth_point": text("Growth point"),
    "metric": text("Metric"),
    "confidence": text("Confidence"),
    "baseline": text("Baseline"),
    "deviation": text("Standard deviation"),
    "reach": text("Reach"),
    "cost": text("Cost"),
    "worth": text("Worth of a unit"),
    "impact": text("Impact"),
    "ease": text("Ease"),
    "stage": text("Stage"),
    "experiment": text("Experiment"),
    "created": text("Created"),
    "hypothesis": text("Hypothesis"),
    "status": text("Status"),
    "control": text("Control"),
    "audience": text("Audience"),
    "users_needed": text("Users needed"),
    "due": text("Due"),
    "next_step": text("Next step"),
    "hold": text("Same value of"),
    "breakdowns": text("Broken down by"),
    "events": text("Events"),
    "hide": text("Leave out"),
    "exclude": text("Without"),
    "counts": text("Counts"),
    "windows": text("Windows"),
    "adjust": text("Adjusted for"),
    "secondary": text("Further metrics"),
    "hypotheses": text("Hypotheses"),
    "experiments": text("Experiments"),
    "metrics": text("Metrics"),
}
"""By key; the same key means the same in every kind."""

MEANINGS: Final[tuple[Text, ...]] = (
    text("Id: lower_snake_case, never shown."),
    text("Shown name: text, or one for each of en and zh."),
    text("What it is for."),
    text("Who answers for it."),
    text("`code`: read-only on pages."),
    text(
        "Longest time from the first step to the last, inclusive. The range of a question limits entries "
        "only; later steps may lie after it."
    ),
    text("`ordered`: other events may lie between; `strict`: none at all; `any`: steps in any order."),
    text(
        "What is counted: users (their deepest chain), sessions, totals (every attempt), or pairs of user and"
        " held value."
    ),
    text("Pause that ends a session (count: sessions)."),
    text("Property that names the session, instead of the pause (count: sessions)."),
    text("What an exclusion does: the user drops out at that step, or leaves the funnel altogether."),
    text("Property (or several) that must have the same value at every step; a missing one matches nothing."),
    text(
        "Events at the same time: `any` order counts, the order of `ingest` does, or one never follows the "
        "other (`strict`)."
    ),
    text("Rules of another product, to reproduce its numbers."),
    text("Properties to break down by on pages and reports."),
    text(
        "Event that gives the breakdown value: at entry, the last step reached, a step by number, or `all` "
        "steps, which must then share the value."
    ),
    text("Length of a period."),
    text("Periods followed after the start."),
    text(
        "Who is in a cohort: `recurring` everyone with a start in the period, so a user may be in several; "
        "`first-time` those whose first start falls in it; `first-ever` those whose first event of that type,"
        " whatever its properties, falls in it and passes the conditions."
    ),
    text("Periods of the workspace's calendar, or counted from each user's own start (a month is 30 days)."),
    text("When a return counts: in the period, in it or any later one, in any up to it, or in brackets of periods."),
    text("Fewest returns in a period for it to count."),
    text("Property summed over the return events from the start on (ARPU, LTV)."),
    text("Only these events are steps; all if absent."),
    text("What a step is called by: 'event', or a property such as page."),
    text("Idle time that ends a path; 'none' for whole histories."),
    text("Property that names the session; then the gap does not count."),
    text("Consecutive repeats of a step count as one."),
    text("Names or patterns (view_*) that are left out."),
    text("Most steps of a path."),
    text("Most names at a position; the rest is '(other)'."),
    text("How it is computed."),
    text("Retention: earliest time after the start."),
    text("Length of the window."),
    text("Cumulative: length of the window that ends with the period; all time if absent."),
    text("Which quantile, e.g. 0.95."),
    text("Derived: a formula over metrics, e.g. revenue / payers."),
    text("Which way is good."),
    text("How it is shown."),
    text("How far it is to be trusted."),
    text("Fewest users (or events) behind a value that is judged or alerts."),
    text("Which unusual values alert."),
    text("The node at the top."),
    text("Period that is compared."),
    text("Periods over which one more user's worth for the north star is counted."),
    text("Beginning of the outcome window, counted from the start."),
    text("End of the outcome window, exclusive."),
    text(
        "Outcome window counted from each user's own start, or in days of the workspace's calendar after the "
        "day of the start."
    ),
    text("Fewest outcome events in the window."),
    text("Events that are neither candidates nor part of sessions, e.g. messages that the product sends."),
    text("At least so many times."),
    text("Within so long after the start; each must end before the outcome window begins."),
    text("Properties known at the start that may drive behaviour and outcome, e.g. channel."),
    text("Fewest users with and without it, in each half."),
    text("Share of false findings tolerated among findings."),
    text("Benjamini–Hochberg, or Benjamini–Yekutieli for any dependence."),
    text("Of the split into discovery and confirmation."),
    text("Time in which the next loop is to be closed after a loop."),
    text("Loops told apart; further ones are counted with the last."),
    text("Signals are looked for so long before the start."),
    text("And so long after it; activation counts only afterwards."),
    text("Time for activation once the signals have been seen."),
    text("Property to show the quadrants by, e.g. channel."),
    text("Of the folds, and of the split when signals are proposed."),
    text("Time from joining to that moment."),
    text("The target is counted for so long."),
    text("Signals are looked for so long before; that ends where it begins."),
    text("Property to show the limiting factor by."),
    text("A factor is at a good level where this share of users is below it."),
    text("Of the draws behind the intervals."),
    text("Users of this segment only."),
    text("Longest time from the first stage to the last."),
    text("Fewer scores than this make a hollow point."),
    text("What the user feels or thinks now."),
    text("How that shows in the data."),
    text("The change that moves it."),
    text("Growth point that it comes from."),
    text("Metric that is to move."),
    text("For whom; everybody if absent."),
    text("Probability that the lever does anything at all."),
    text("The metric today; measured from the log if absent."),
    text("Standard deviation of the metric per user; of a rate it follows from the baseline."),
    text("Users per week whom the change concerns."),
    text("Person-days to build and to run it."),
    text("Value of one unit of the metric for one user, e.g. money per conversion."),
    text("For ICE and RICE: how much it moves, 1 to 10."),
    text("For ICE: how easy it is, 1 to 10."),
    text("Where it stands."),
    text("Experiment that tests it."),
    text("When it was written down."),
    text("Name of the hypothesis it tests, or the claim in words."),
    text("What is assigned."),
    text("The variant that the others are compared with."),
    text("Segment that takes part; everybody if absent."),
    text("Users in all variants for the stated power."),
    text("Metrics that are looked at as well."),
    text("When the stage is to be done."),
    text("What has to happen next."),
    text("Hypotheses that belong to it."),
    text("Experiments that belong to it."),
    text("Metrics by which it is judged."),
)
"""Descriptions of the keys that a form sets."""


def label(key: str) -> str:
    """The short name of a key.

    Examples:
        >>> label("north_star")
        'North star'
    """
    return str(LABELS[key]) if key in LABELS else key


def meaning(description: str) -> str:
    """What a key means, in the language in force."""
    return str(Text(description, {})) if description else ""
