"""Growth points from the strategy rooms: aha, quadrants, B = M·A·T and hook loop, brought to the one unit of all points.

Each room counts its chance in a unit of its own: users who stay, activated users, target events, closed loops. Here a
chance becomes *gap × users per week × worth in the north star*, with the worth measured as for every other point: the
north star over the horizon of those with the outcome less that of those without. Where that cannot be measured, the
review says so and gives no size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_rate
from upswing.core.results import Caveat
from upswing.core.units import DAY
from upswing.diagnose.aha import aha
from upswing.diagnose.candidates import Candidate as Chance
from upswing.metrics.candidate import Candidate, Draft, Evidence, Worth
from upswing.metrics.people import north_star_values, user_dimensions
from upswing.review.setting import Keys, Setting, Starts
from upswing.spec.aha import AhaDefinition
from upswing.spec.behaviour import BehaviourDefinition
from upswing.spec.hook import HookDefinition
from upswing.spec.metric import MetricDefinition
from upswing.spec.quadrants import QuadrantsDefinition
from upswing.spec.steps import EventMatch
from upswing.stats.proportions import newcombe_difference
from upswing.strategy.behaviour import behaviour
from upswing.strategy.hook import hook
from upswing.strategy.quadrants import quadrants

StrategyDefinition: TypeAlias = AhaDefinition | QuadrantsDefinition | BehaviourDefinition | HookDefinition
Source = Callable[[Setting], list[Candidate]]
FEWEST: Final = 100
"""Fewer users than this, with or without the outcome, tell no worth."""
_WEEK: Final = 7 * DAY
_HOOK_PROPERTIES: Final = 2


def strategy_points(definitions: Sequence[StrategyDefinition]) -> tuple[Source, ...]:
    """One source per question that the workspace declares; a question without an answer does not stop the others.

    Args:
        definitions: aha questions, quadrants, behaviours and hook loops.
    """
    return tuple(_source(definition) for definition in definitions)


def _source(definition: StrategyDefinition) -> Source:
    def source(setting: Setting) -> list[Candidate]:
        match definition:
            case AhaDefinition():
                return _from_aha(setting, definition)
            case QuadrantsDefinition():
                return _from_quadrants(setting, definition)
            case BehaviourDefinition():
                return _from_behaviour(setting, definition)
            case _:
                return _from_hook(setting, definition)

    source.__name__ = f"{definition.kind} {definition.name}"
    return source


def _range(setting: Setting) -> tuple[str, str]:
    local = setting.log.calendar.local
    return local(setting.start).isoformat(), local(setting.stop).isoformat()


def _from_aha(setting: Setting, definition: AhaDefinition) -> list[Candidate]:
    """The recommended behaviour: users without it, whose outcome would rise to that of like users with it."""
    start, stop = _range(setting)
    answer = aha(setting.log, definition, start=start, stop=stop)
    best, chances = answer.recommended, answer.candidates()
    if best is None or not chances:
        return []
    if definition.times > 1 or definition.clock == "calendar":
        _unsized(setting, chances[0], text("its outcome is not a single event in a rolling window"))
        return []
    after, until = definition.after, definition.until
    starts = setting.starts(
        _metric("retention", definition.start, definition.outcome, until.microseconds - after.microseconds,
                after=after.microseconds)
    )  # fmt: skip
    worth = _worth(setting, starts)
    if worth is None:
        _unsized(setting, chances[0], _too_few())
        return []
    found = best.found
    missing = 1 - found.shown / found.users
    flow, error = setting.flow(starts.since, until.microseconds)
    place = str(text("{outcome}, {window} after {start}", outcome=definition.outcome.words,
                     window=answer.outcome_window, start=definition.start.words))  # fmt: skip
    who = str(text("without {behaviour}", behaviour=best.sentence))
    sentence = text(
        "{who}: {rate} have “{place}”, against {best} of like users with it",
        who=who,
        rate=format_rate(found.rate_without),
        place=place,
        best=format_rate(found.rate_without + found.adjusted.estimate),
    )  # fmt: skip
    return [
        _made(
            chances[0], place=place, who=who, sentence=sentence, rate=found.rate_without, n=missing * answer.users_seen,
            gap=(found.adjusted.estimate, found.adjusted.lower, found.adjusted.upper),
            reference=text("like users with it"), p_value=found.p_confirmation, flow=_part(flow, error, missing, found.users),
            worth=worth, stage="activation", lost=starts.users[~starts.passed],
        )
    ]  # fmt: skip


def _from_quadrants(setting: Setting, definition: QuadrantsDefinition) -> list[Candidate]:
    """Willing users whom friction stops, against willing users whom it does not."""
    start, stop = _range(setting)
    answer = quadrants(setting.log, definition, start=start, stop=stop)
    chances = answer.candidates()
    if not chances:
        return []
    after = 0 if definition.after is None else definition.after.microseconds
    within = definition.within.microseconds
    kind = "retention" if after else "conversion"
    starts = setting.starts(_metric(kind, definition.start, definition.outcome, within, after=after))
    worth = _worth(setting, starts)
    if worth is None:
        _unsized(setting, chances[0], _too_few())
        return []
    stopped, gain = answer.quadrants[1], answer.friction_gain
    share = stopped.users / (answer.users + answer.early)
    flow, error = setting.flow(starts.since, after + within)
    place = definition.outcome.described
    who = str(text("high desire, high friction"))
    sentence = text(
        "{who}: {rate} reach “{place}”, against {best} of the willing with low friction",
        who=who,
        rate=format_rate(stopped.activation.estimate),
        place=place,
        best=format_rate(stopped.activation.estimate + gain.estimate),
    )  # fmt: skip
    return [
        _made(
            chances[0], place=place, who=who, sentence=sentence, rate=stopped.activation.estimate, n=stopped.users,
            gap=(gain.estimate, gain.lower, gain.upper), reference=text("high desire, low friction"), p_value=None,
            flow=_part(flow, error, share, answer.users), worth=worth, stage="activation", lost=starts.users[~starts.passed],
        )
    ]  # fmt: skip


def _from_behaviour(setting: Setting, definition: BehaviourDefinition) -> list[Candidate]:
    """The limiting factor of each group: what they do as a share of what they would do at a good level of it."""
    start, stop = _range(setting)
    ranged = (start, stop) if definition.joined is not None else (None, stop)
    answer = behaviour(setting.log, definition, start=ranged[0], stop=ranged[1])
    chances = {str(c.definition["group"] or ""): c for c in answer.candidates()}
    if not chances:
        return []
    worth = _worth_of_one(setting, definition)
    found = []
    for group in answer.groups or (answer.whole,):
        chance, best = chances.get(group.name or ""), group.limiting
        if chance is None or best is None:
            continue
        if worth is None:
            _unsized(setting, chance, _too_few())
            continue
        now, more = group.mean, np.array([best.gain.estimate, best.gain.lower, best.gain.upper]) / group.users
        full = now + float(more[0])
        lost, flow, error = _limited(setting, definition, group.name, group.users, answer.users)
        who = str(text("everybody")) if group.name is None else f"{definition.by} = {group.name}"
        place = definition.target.described
        sentence = text(
            "{who}: {now} × “{place}” in {ahead}, against {full} at a good level of {factor}",
            who=who, now=f"{now:.1f}", place=place, ahead=definition.ahead, full=f"{full:.1f}",
            factor=_factor(best.factor),
        )  # fmt: skip
        found.append(
            _made(
                chance, place=place, who=who, sentence=sentence, rate=now / full, n=group.users,
                gap=(float(more[0]) / full, float(more[1]) / full, float(more[2]) / full),
                reference=text("a good level of {factor}", factor=_factor(best.factor)), p_value=None,
                flow=(flow, error), worth=Worth(full * worth.value, full * worth.error, worth.passed, worth.failed),
                stage="retention", lost=lost,
            )
        )  # fmt: skip
    return found


def _from_hook(setting: Setting, definition: HookDefinition) -> list[Candidate]:
    """The arc where a group's loop breaks, against the best group, over each user's first attempt."""
    start, stop = _range(setting)
    matches = dict(definition.parts)
    names = [name for name, _ in definition.parts]
    found = []
    for by in setting.dimensions[:_HOOK_PROPERTIES]:
        answer = hook(setting.log, definition, start=start, stop=stop, by=by)
        for chance in answer.candidates():
            source, target = str(chance.definition["arc"]).split("-")
            window = definition.windows[names.index(source)]  # type: ignore[arg-type]
            pair = matches[source], matches[target]  # type: ignore[index]
            starts = setting.starts(_metric("conversion", *pair, window))
            made = _broken_arc(setting, chance, starts, by=by, place=pair[1].described, window=window)
            if made is None:
                _unsized(setting, chance, _too_few())
            else:
                found.append(made)
    return [c for c in found if c.gap_lower > 0]


def _broken_arc(
    setting: Setting, chance: Chance, starts: Starts, *, by: str, place: str, window: int
) -> Candidate | None:
    names, codes = user_dimensions(setting.log, [by], setting.start, setting.stop, starts.users)[by]
    group = str(chance.definition["group"])
    came = np.bincount(codes, minlength=len(names))
    passed = np.bincount(codes[starts.passed], minlength=len(names))
    others = [i for i, name in enumerate(names) if name != group and came[i] >= FEWEST]
    if group not in names or not others or came[names.index(group)] < FEWEST:
        return None
    mine, best = names.index(group), max(others, key=lambda i: passed[i] / came[i])
    members = codes == mine
    values = setting.values_after(starts.users, starts.since)
    worth, own = setting.worth_here(values, members, np.ones(len(codes), np.bool_), starts.passed)
    if min(worth.passed, worth.failed) < FEWEST:
        return None
    # corrected for having chosen the best of the others
    limits = newcombe_difference(passed[best], came[best], passed[mine], came[mine], 1 - 0.05 / len(others))
    rate, reference = float(passed[mine] / came[mine]), float(passed[best] / came[best])
    sentence = text(
        "{who}: {rate} go on to “{place}” at their first attempt, {best} for {reference}",
        who=f"{by} = {group}", rate=format_rate(rate), place=place, best=format_rate(reference), reference=names[best],
    )  # fmt: skip
    return _made(
        chance, place=place, who=f"{by} = {group}", sentence=sentence, rate=rate, n=float(came[mine]),
        gap=(reference - rate, float(limits.lower), float(limits.upper)), reference=names[best], p_value=None,
        flow=setting.flow(starts.since[members], window), worth=worth, stage="retention",
        lost=starts.users[members & ~starts.passed],
        doubts=() if own else (Caveat("selection", text("too few of these users were seen for long enough: worth taken from "
                                                        "everybody")),),
    )  # fmt: skip


def _made(
    chance: Chance, *, place: str, who: str, sentence: Text, rate: float, n: float, gap: tuple[float, float, float],
    reference: Text | str, p_value: float | None, flow: tuple[float, float], worth: Worth, stage: str, lost: Keys,
    doubts: Sequence[Caveat] = (),
) -> Candidate:  # fmt: skip
    """The review's record of a room's chance; its state, trace and lever are the draft."""
    return Candidate(
        source=chance.source, place=place, who=who, sentence=sentence, rate=rate, users=n, reference=rate + gap[0],
        reference_name=reference, reference_users=n, gap_lower=gap[1], gap_upper=gap[2], p_value=p_value,
        per_week=flow[0], per_week_error=flow[1], worth=worth, draft=Draft(chance.state, chance.trace, chance.lever),
        stage=stage, lost=np.sort(lost),
        evidence=(Evidence("quantitative", chance.trace, round(n)),),
        confounders=(Caveat("selection", text("{basis}", basis=chance.basis)), *doubts),
    )  # fmt: skip


def _metric(kind: str, start: EventMatch, target: EventMatch, within: int, *, after: int = 0) -> MetricDefinition:
    from upswing.core.units import Duration

    body: dict[str, object] = {
        "name": "outcome", "type": kind, "start": start.model_dump(exclude_none=True, include={"event", "any_of", "where"}),
        "target": target.model_dump(exclude_none=True, include={"event", "any_of", "where"}), "within": Duration(within),
    }  # fmt: skip
    if kind == "retention":
        body["after"] = Duration(after)
    return MetricDefinition.model_validate(body)


def _worth(setting: Setting, starts: Starts) -> Worth | None:
    """Of one more user with the outcome; None where too few were seen over the whole horizon."""
    worth = setting.worth(setting.values_after(starts.users, starts.since), starts.passed, ~starts.passed)
    return worth if min(worth.passed, worth.failed) >= FEWEST else None


def _worth_of_one(setting: Setting, definition: BehaviourDefinition) -> Worth | None:
    """What one more target event goes with in the north star: least squares over users seen for the whole horizon."""
    target = {**definition.target.model_dump(exclude_none=True), "agg": "count"}
    counted = MetricDefinition.model_validate({"name": "target", "type": "simple", "numerator": target})
    complete = int(np.sum(setting.week_edges[1:] <= setting.horizon))
    first = complete - setting.north_star.horizon
    if first < 0:
        return None
    edges = setting.week_edges[first : complete + 1]
    done, worth = (north_star_values(setting.log, m, edges) for m in (counted, setting.north_star.metric))
    keys = np.union1d(done[0], worth[0])
    if len(keys) < FEWEST:
        return None
    x, y = (
        np.bincount(np.searchsorted(keys, owners), weights=amounts, minlength=len(keys)).astype(np.float64)
        for owners, _, amounts in (done, worth)
    )
    return _slope(x, y)


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> Worth | None:
    """Least squares with an error that allows for unequal spread (HC0; White 1980, Econometrica 48: 817)."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread <= 0:
        return None
    slope = float(centred @ y) / spread
    left = y - y.mean() - slope * centred
    error = float(np.sqrt((centred**2) @ (left**2))) / spread
    return Worth(slope, error, int((x > 0).sum()), int((x <= 0).sum()))


def _limited(
    setting: Setting, definition: BehaviourDefinition, group: str | None, n: int, total: int
) -> tuple[Keys, float, float]:
    """Users of a group one by one, and how many come to the moment of decision in a week."""
    chooses = definition.joined or definition.who or definition.target
    span = definition.ahead.microseconds + (definition.settled.microseconds if definition.joined else 0)
    starts = setting.starts(_metric("conversion", chooses, definition.target, span))
    users = starts.users
    if definition.by is not None and group is not None:
        names, codes = user_dimensions(setting.log, [definition.by], setting.start, setting.stop, users)[definition.by]
        if group in names:
            users = users[codes == names.index(group)]
    if definition.joined is None:  # one look at all existing users: each has one such time in `ahead`
        return users, n * _WEEK / definition.ahead.microseconds, 0.0
    flow, error = setting.flow(starts.since, span)
    return users, *_part(flow, error, n / total, total)


def _part(flow: float, error: float, share: float, n: int) -> tuple[float, float]:
    """Users per week who belong to a share that was seen among `n` users, and its standard error."""
    return flow * share, float(np.hypot(error * share, flow * np.sqrt(share * (1 - share) / max(1, n))))


def _factor(name: str) -> Text:
    from upswing.spec.behaviour import FACTORS
    from upswing.strategy.behaviour_result import FACTOR_NAMES

    return FACTOR_NAMES[next(f for f in FACTORS if f == name)]


def _too_few() -> Text:
    return text("fewer than {n} users with or without the outcome were seen over the whole horizon", n=FEWEST)


def _unsized(setting: Setting, chance: Chance, reason: Text) -> None:
    """Said, not guessed."""
    message = text("{trace}: found by {source}, and not sized: {reason}", trace=chance.trace, source=chance.source,
                   reason=reason)  # fmt: skip
    setting.missing.append(Caveat("unsized", message))
