"""Forms made from the registry: what a verb takes, as fields of a page, and back from the address to arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.verbs import Param, Verb

Query = Sequence[tuple[str, str]]

ELSEWHERE: Final = frozenset({"from", "to", "segment"})
"""Set once for every page, at its top."""

_EVENTS: Final = frozenset({
    "step", "start", "return", "event", "then", "after", "before", "exclude", "hide", "milestone", "target", "behaviour",
    "activation", "goal", "conversion",
})  # fmt: skip
_PROPERTIES: Final = frozenset({"by", "hold", "property", "sum", "amount"})

CHOICES: Final[dict[str, Text]] = {
    "ordered": text("in this order"), "strict": text("in this order and nothing between"), "any": text("in any order"),
    "users": text("users"), "sessions": text("sessions"), "totals": text("attempts"), "pairs": text("pairs"),
    "hour": text("hour"), "day": text("day"), "week": text("week"), "month": text("month"), "range": text("the whole range"),
    "drop": text("ends there"), "remove": text("is left out altogether"), "ingest": text("in the order they arrived"),
    "on": text("in that period"), "on-or-after": text("in that period or later"), "on-or-before": text("by that period"),
    "calendar": text("of the calendar"), "rolling": text("from each user's own start"),
    "recurring": text("every period they begin in"), "first-time": text("the first time in the range"),
    "first-ever": text("the first time ever"),
    "count": text("how often"), "sum": text("the sum of a property"), "active-days": text("active days"),
    "idea": text("idea"), "ready": text("ready"), "running": text("running"), "decided": text("decided"),
    "shipped": text("shipped"), "dropped": text("dropped"), "archived": text("archived"), "research": text("research"),
    "plan": text("plan"), "prototype": text("prototype"), "requirements": text("requirements"), "build": text("build"),
    "test": text("test"), "trial": text("trial launch"), "launch": text("launch"), "iterate": text("iteration"),
    "sunset": text("sunset"), "all": text("all"), "value": text("expected value"), "ice": text("ICE"), "rice": text("RICE"),
    "previous": text("the period before"), "year": text("the year before"), "funnel": text("Funnel"),
    "retention": text("Retention"), "lifecycle": text("Lifecycle"), "stickiness": text("Stickiness"), "paths": text("User paths"),
    "interval": text("Time between events"), "distribution": text("Frequency"), "new": text("New"), "returning": text("Returning"),
    "resurrecting": text("Resurrecting"), "dormant": text("Dormant"), "active": text("Active"), "bh": text("Benjamini–Hochberg"),
    "by": text("Benjamini–Yekutieli"),
    "posthog": text("PostHog"), "mixpanel": text("Mixpanel"), "amplitude": text("Amplitude"),
    "clickhouse": text("ClickHouse"), "growingio": text("GrowingIO"),
}  # fmt: skip
"""Words of choices; one that is not here shows itself."""

USUAL: Final[dict[str, Text]] = {
    "order": CHOICES["ordered"], "count": CHOICES["users"], "profile": text("Upswing"), "trend": text("nothing"),
    "exclusion-policy": CHOICES["drop"], "tie": text("any order counts"), "period": CHOICES["week"], "on": CHOICES["on"],
    "clock": CHOICES["calendar"], "entry": CHOICES["recurring"], "measure": CHOICES["count"], "within": text("7d"),
}  # fmt: skip
"""What holds where nothing is chosen."""

LABELS: Final[dict[str, Text]] = {
    "name": text("Name"), "step": text("Steps"), "within": text("Within"), "order": text("Order"),
    "count": text("Count"), "exclude": text("Without"), "exclusion-policy": text("An exclusion"),
    "hold": text("Same value of"), "tie": text("At the same time"), "profile": text("By the rules of"),
    "attribution": text("Group taken at"), "trend": text("Trend by"), "where": text("Where"), "by": text("Broken down by"),
    "limit": text("Groups at most"), "start": text("Begins with"), "return": text("Comes back with"),
    "period": text("Period"), "periods": text("Periods followed"), "on": text("A return counts"), "clock": text("Periods"),
    "entry": text("A user begins"), "first-ever": text("First ever"), "min-count": text("Returns at least"),
    "sum": text("Also sum"), "event": text("Event"), "then": text("Then"), "after": text("After"),
    "before": text("Before"), "depth": text("Steps followed"), "top": text("Events at a step"),
    "session-gap": text("Ends after idle"), "hide": text("Leave out"), "group": text("Join as"),
    "repeats": text("Keep repeats"), "measure": text("Measure"), "property": text("Property"), "bands": text("Bands"),
    "milestone": text("Milestones"), "segment-by": text("Compare by"), "names": text("Metrics"),
    "outcome": text("Outcome"), "day": text("Day"), "until": text("Until"), "times": text("Times"), "behaviour": text("Behaviour"),
    "trigger": text("Trigger"), "action": text("Action"), "reward": text("Reward"), "investment": text("Investment"),
    "activity": text("Activity"), "window": text("Window"), "days": text("Days"), "funnel": text("Funnel"),
    "at": text("Step"), "cohort": text("Cohort"), "adjust": text("Adjusted for"), "share": text("Share"), "seed": text("Seed"),
    "compare": text("Compared with"), "against": text("Against"), "fdr": text("False discoveries at most"), "of": text("Analysis"),
    "counts": text("Counts"), "windows": text("Windows"), "correction": text("Correction"), "returns": text("Returns"),
    "again": text("Again within"), "loops": text("Loops told apart"), "desire": text("Desire"), "friction": text("Friction"),
    "target": text("Target behaviour"), "who": text("Existing users"), "joined": text("After joining"),
    "settled": text("Settled after"), "ahead": text("Looking ahead"), "back": text("Looking back"),
    "motivation": text("Motivation"), "ability": text("Ability"), "good": text("Below a good level"),
    "stage": text("Stage"), "horizon": text("Weeks counted"), "day-cost": text("Cost of a day"), "today": text("Today"),
    "closed": text("Gap closed"), "check-targets": text("Check targets"), "fail": text("Fail on alert"),
    "evidence": text("Evidence"), "draft": text("Draft"),
    "from": text("From"), "to": text("To"), "segment": text("Segment"),
}  # fmt: skip
"""Short labels; the parameter's own sentence stands beside the field."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form.

    Args:
        key: its name in the address.
        label: short name.
        help: what it does.
        kind: ``choice``, ``flag``, ``number``, ``text``, ``event`` or ``property``: how it is entered.
        values: what is given; one empty text where nothing is.
        options: value and words, for a choice.
        many: may be given several times.
        default: shown where nothing is given.
        usual: the same in words, for a choice.
    """

    key: str
    label: str
    help: str
    kind: str
    values: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    many: bool = False
    default: str = ""
    usual: str = ""

    @property
    def value(self) -> str:
        """The first value."""
        return self.values[0] if self.values else ""


def fields(verb: Verb, query: Query) -> dict[str, Field]:
    """The fields of a verb's form with what the address gives."""
    return {p.flag: _field(p, tuple(v for k, v in query if k == p.flag)) for p in verb.params if not p.writes}


def arguments(verb: Verb, query: Query) -> dict[str, object]:
    """Keyword arguments of the workspace's method, from the address.

    Raises:
        UsageError: UP651 a value that is not a number, or none of the choices.

    Examples:
        >>> from upswing.verbs import verb
        >>> arguments(verb("funnel"), [("step", "view"), ("step", "pay"), ("limit", "5")])
        {'steps': ['view', 'pay'], 'limit': 5}
    """
    found: dict[str, object] = {}
    for param in verb.params:
        if param.writes:  # an address is followed without being asked: it never changes anything
            continue
        given = [value for key, value in query if key == param.flag and value.strip()]
        if not given:
            continue
        read = [_read(param, value.strip()) for value in given]
        if param.kind == "flag":
            if read[-1]:
                found[param.key] = True
        else:
            found[param.key] = read if param.many else read[-1]
    return found


def asked(verb: Verb, query: Query) -> bool:
    """Whether the address asks something, beyond range and segment."""
    own = {p.flag for p in verb.params} - ELSEWHERE
    return any(key in own and value for key, value in query)


def words_of(choice: str) -> str:
    """A choice in words."""
    return str(CHOICES.get(choice, choice))


def _field(param: Param, given: tuple[str, ...]) -> Field:
    kind: str = param.kind
    if kind == "integer":
        kind = "number"
    if kind == "text" and param.flag in _EVENTS:
        kind = "event"
    elif kind == "text" and param.flag in _PROPERTIES:
        kind = "property"
    label: Text | str = LABELS.get(param.flag, param.flag.replace("-", " ").capitalize())
    if param.flag == "by" and param.kind == "choice":
        label = text("Ranked by")
    return Field(
        key=param.flag,
        label=str(label),
        help=str(param.help),
        kind=kind,
        values=given or ("",),
        options=tuple((c, words_of(c)) for c in param.choices),
        many=param.many,
        default=str(USUAL.get(param.flag, ""))
        if param.default is None and param.kind == "text"
        else str(param.default or ""),
        usual=str(USUAL.get(param.flag, text("not set"))),
    )


def _read(param: Param, value: str) -> object:
    name = str(LABELS.get(param.flag, param.flag))
    if param.kind == "flag":
        return value.lower() not in ("0", "false", "no", "off")
    if param.kind == "choice" and value not in param.choices:
        from upswing.core.errors import did_you_mean

        raise UsageError(
            text("'{value}' is not a choice for {name}", value=value, name=name),
            code="UP651",
            hint=did_you_mean(value, param.choices),
        )
    if param.kind in ("integer", "number"):
        try:
            return int(value) if param.kind == "integer" else float(value)
        except ValueError:
            raise UsageError(text("{name}: '{value}' is not a number", name=name, value=value), code="UP651") from None
    return value
