"""Verbs of strategy: what to change, for whom, in which order."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import BY, FROM, SEGMENT, STRATEGY, TO, Param, Verb

AHA: Final = Verb(
    "aha",
    text("Which early behaviour, how often, within how long, goes with users staying"),
    (
        Param("name", text("An aha question that is defined in the workspace"), positional=True),
        Param("start_event", text("What begins a user's life, e.g. account_created"), option="start"),
        Param("outcome", text("What should follow later, e.g. app_opened")),
        Param("day", text("The outcome on that day after the start, in place of --after and --until"), "integer"),
        Param("after", text("Beginning of the outcome window after the start, e.g. 21d")),
        Param("until", text("End of the outcome window, exclusive, e.g. 28d")),
        Param("clock", text("Counted from each user's start, or in calendar days"), "choice", choices=("rolling", "calendar")),
        Param("times", text("Fewest outcome events in the window"), "integer"),
        Param("behaviours", text("What users may do early; every event if absent"), option="behaviour", many=True),
        Param("exclude", text("Event that is no candidate"), many=True),
        Param("counts", text("Thresholds that are tried, e.g. 1,2,3,5,10")),
        Param("windows", text("Exposure windows that are tried, e.g. 1d,2d,3d")),
        Param("adjust", text("Property to compare like users by, e.g. channel"), many=True),
        Param("activity", text("Early activity to compare like users by: 'sessions', an event, or 'none'")),
        Param("share", text("Smallest and largest share of users who show a behaviour, e.g. 0.05,0.95")),
        Param("fdr", text("Share of false findings tolerated among findings"), "number", default=0.05),
        Param("correction", text("Benjamini-Hochberg, or Benjamini-Yekutieli"), "choice", choices=("bh", "by")),
        Param("seed", text("Of the split into discovery and confirmation"), "integer"),
        FROM, TO, SEGMENT,
    ),
    STRATEGY,
)  # fmt: skip

HOOK: Final = Verb(
    "hook",
    text("Where the loop of trigger, action, reward and investment breaks, and how often users walk it"),
    (
        Param("name", text("A hook loop that is defined in the workspace"), positional=True),
        Param("trigger", text("What brings the user, e.g. 'reminder_opened | app_opened'")),
        Param("action", text("The simplest thing done in expectation of the reward")),
        Param("reward", text("What the user gets")),
        Param("investment", text("What the user leaves behind")),
        Param("within", text("Longest time from each part to the next, e.g. 1d")),
        Param("returns", text("Longest time from the last part to the next trigger, e.g. 7d")),
        Param("again", text("Time in which another loop is to follow, e.g. 14d")),
        Param("loops", text("Loops told apart"), "integer"),
        BY, FROM, TO, SEGMENT,
    ),
    STRATEGY,
)  # fmt: skip

QUADRANTS: Final = Verb(
    "quadrants",
    text("New users by desire and friction: who wants to, whom something stops, what to do for each"),
    (
        Param("name", text("Quadrants that are defined in the workspace"), positional=True),
        Param("start_event", text("When users are looked at, e.g. account_created"), option="start"),
        Param("outcome", text("What activates, e.g. entry_created")),
        Param("before", text("Signals are looked for so long before the start, e.g. 1d")),
        Param("after", text("And so long after it; activation counts only afterwards")),
        Param("within", text("Time for activation, e.g. 2d")),
        Param("desire", text("Signal of desire; proposed from the data if absent"), many=True),
        Param("friction", text("Signal of friction; proposed from the data if absent"), many=True),
        Param("by", text("Property to show the quadrants by, e.g. channel")),
        Param("seed", text("Of the folds"), "integer"),
        FROM, TO, SEGMENT,
    ),
    STRATEGY,
)  # fmt: skip

BEHAVIOUR: Final = Verb(
    "behaviour",
    text("Which of motivation, ability and trigger limits a behaviour, and what raising it is worth"),
    (
        Param("name", text("A behaviour that is defined in the workspace"), positional=True),
        Param("target", text("The behaviour that is wanted, e.g. entry_created")),
        Param("who", text("Existing users have such an event lately; the target if absent")),
        Param("joined", text("Look at each user some time after this event, in place of one date for everybody")),
        Param("settled", text("Time from joining to that moment, e.g. 2d")),
        Param("ahead", text("The target is counted for so long, e.g. 7d")),
        Param("back", text("Signals are looked for so long before, e.g. 28d")),
        Param("motivation", text("Event whose number tells of motivation"), many=True),
        Param("ability", text("Event whose number tells of ability; '-error_shown' of its lack"), many=True),
        Param("trigger", text("Event whose number tells of triggers, e.g. reminder_received"), many=True),
        Param("by", text("Property to show the limiting factor by")),
        Param("good", text("Share of users below a good level"), "number", default=0.8),
        Param("seed", text("Of the draws behind the intervals"), "integer"),
        FROM, TO, SEGMENT,
    ),
    STRATEGY,
)  # fmt: skip

VERBS: Final[tuple[Verb, ...]] = (AHA, HOOK, QUADRANTS, BEHAVIOUR)
