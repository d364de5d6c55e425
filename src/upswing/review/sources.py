"""Where growth points come from: each source looks at the setting and returns candidates in the one record.

Another room plugs in with a function of the same shape, or by handing over candidates it has made itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count, format_rate
from upswing.core.results import Caveat
from upswing.core.units import DAY
from upswing.diagnose.funnel import funnel
from upswing.diagnose.milestones import activity
from upswing.diagnose.weak_points import LEVEL, Division, WeakPoint, find_weak_points, sides
from upswing.metrics.candidate import Candidate, Draft, Evidence, Worth
from upswing.metrics.people import north_star_values, user_dimensions
from upswing.review.confounders import confounders, tracking_doubt
from upswing.review.setting import Setting, divide
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.metric import MetricDefinition
from upswing.stats.proportions import wilson_interval

Source = Callable[[Setting], list[Candidate]]

_WEEK: Final = 7 * DAY
_RUN: Final = 4
"""Weeks of a lifecycle run."""
_MOST_VALUES: Final = 30
_RECENT_SHARE: Final = 0.25
"""A group whose flow fell below this share of its usual one is no longer there to be helped."""


def weak_steps(setting: Setting) -> list[Candidate]:
    """Groups and weeks of entry that pass a step of the path less often than their best comparable."""
    points = _weak(setting, setting.depth, setting.divisions, setting.steps)
    values = setting.values_after(setting.users, setting.entry)
    path = setting.path.events
    return [
        _from_weak_point(
            setting, p, setting.divisions, setting.users, setting.entry, setting.depth, values, source="funnel",
            events=path[p.step - 2 : p.step], maturity=setting.window.microseconds, place=p.to_step,
        )
        for p in points
    ]  # fmt: skip


def weak_retention(setting: Setting) -> list[Candidate]:
    """Groups and weeks of start that come back less often in the week after they reached the end of the path."""
    last = setting.path.events[-1]
    metric = MetricDefinition.model_validate(
        {"name": "week_one", "type": "retention", "start": {"event": last}, "after": "7d", "within": "7d",
         "target": activity(setting.log)}
    )  # fmt: skip
    starts = setting.starts(metric)
    users, since = starts.users, starts.since
    if not len(users):
        return []
    depth = 1 + starts.passed.astype(np.int64)
    known = user_dimensions(setting.log, setting.dimensions, setting.start, setting.stop, users)
    single = [_division(name, *known[name]) for name in setting.dimensions]
    divisions = divide(setting.log, single, since)
    steps = [last, str(text("back in the week after"))]
    points = _weak(setting, depth, divisions, steps)
    values = setting.values_after(users, since)
    return [
        _from_weak_point(
            setting, p, divisions, users, since, depth, values, source="retention", events=(last,),
            maturity=2 * _WEEK, place=steps[1],
        )
        for p in points
    ]  # fmt: skip


def missed_targets(funnels: Sequence[FunnelDefinition]) -> Source:
    """Steps of defined funnels that fall short of their declared target, over everybody."""

    def source(setting: Setting) -> list[Candidate]:
        found = []
        for definition in funnels:
            if any(step.target is not None for step in definition.steps) and definition.count == "users":
                found += _missed(setting, definition)
        return found

    return source


def leaking_flow(setting: Setting) -> list[Candidate]:
    """Active users of one week who are active in the next: the last four weeks against the best four before."""
    edges = setting.week_edges
    complete = int(np.sum(edges[1:] <= setting.horizon))
    if complete < 2 * _RUN + 2:
        return []
    active_in = {**activity(setting.log).model_dump(exclude_none=True), "agg": "users"}
    anything = MetricDefinition.model_validate({"name": "any", "type": "simple", "numerator": active_in})
    owners, weeks, _ = north_star_values(setting.log, anything, edges[: complete + 1])
    keys, row = np.unique(owners, return_inverse=True)
    active = np.zeros((len(keys), complete), dtype=np.bool_)
    active[row, weeks] = True
    came = active[:, :-1].sum(axis=0).astype(float)
    stayed = (active[:, :-1] & active[:, 1:]).sum(axis=0).astype(float)
    if (came < 30).any():
        return []
    return _flow_candidate(setting, keys, active, came, stayed)


BUILT_IN: Final[tuple[Source, ...]] = (weak_steps, weak_retention, leaking_flow)


def _weak(
    setting: Setting, depth: NDArray[np.int64], divisions: Sequence[Division], steps: Sequence[str]
) -> list[WeakPoint]:
    """Weak groups and weak weeks, looked for apart, at half the level each.

    Together, a broken version may be named by the weeks since its release alone, and the version then counts as their
    shadow; apart, both are found, and who explains whom is told by standardisation.
    """
    found = []
    for cohorts in (False, True):
        alike = [d for d in divisions if d.is_cohort is cohorts]
        found += find_weak_points(depth, alike, steps, weeks=setting.weeks, level=LEVEL / 2)
    return found


def _from_weak_point(
    setting: Setting, p: WeakPoint, divisions: Sequence[Division], users: NDArray[np.int64], times: NDArray[np.int64],
    depth: NDArray[np.int64], values: NDArray[np.float64], *, source: str, events: Sequence[str], maturity: int, place: str,
) -> Candidate:  # fmt: skip
    members, others = sides(p, divisions)
    came, passed = depth >= p.step - 1, depth >= p.step
    worth, own = setting.worth_here(values, members, came, passed)
    mine = members & came
    flow, flow_error = setting.flow(times[mine], maturity)
    found, mixed = confounders(
        p.gap, p.gap_lower, members, others, came, passed, dimension=p.dimension, divisions=divisions
    )
    doubts = list(found)
    doubts += _ended(setting, times[mine], flow, maturity)
    if mine.any():
        span = (int(times[mine].min()), int(times[mine].max()) + maturity)
        least = 0.2 if p.kind == "cohort" else 0.05
        doubts += tracking_doubt(events, p.dimension, p.group, *span, setting.breaks, least)
    if not own:
        doubts.append(
            Caveat("selection", text("too few of these users were seen for long enough: worth taken from everybody"))
        )
    reference = p.compared
    counted = Evidence(
        "quantitative",
        text("{rate} of {n} users pass, {best} of {m} among {reference}", rate=format_rate(p.rate), n=format_count(p.users),
             best=format_rate(p.reference_rate), m=format_count(p.reference_users), reference=reference),
        p.users,
    )  # fmt: skip
    return Candidate(
        source=source,
        place=place,
        who=p.who,
        sentence=p.gap_sentence(),
        rate=p.rate,
        users=p.users,
        reference=p.reference_rate,
        reference_name=text("other weeks") if p.kind == "cohort" else reference,
        reference_users=p.reference_users,
        gap_lower=p.gap_lower - mixed,
        gap_upper=p.gap_upper - mixed,
        p_value=p.p_value,
        per_week=flow,
        per_week_error=flow_error,
        worth=worth,
        draft=_draft(
            setting,
            p.from_step,
            place,
            p.who,
            p.rate,
            p.reference_rate,
            reference,
            against="weeks" if p.kind == "cohort" else "group",
        ),
        stage="retention" if source == "retention" else "",
        lost=np.sort(users[mine & ~passed]),
        evidence=(counted, *setting.notes.get(events[-1], ())),
        confounders=tuple(doubts),
        mixed=mixed,
    )


def _ended(setting: Setting, times: NDArray[np.int64], flow: float, maturity: int) -> list[Caveat]:
    """A run of weeks that is over, or a group that hardly anybody belongs to any more, is history."""
    if not len(times):
        return [Caveat("ended", text("nobody of this group came"))]
    span = max((int(times.max()) - int(times.min())) / _WEEK, 1.0)
    usual = len(times) / span
    last = int(times.max())
    over = last < setting.latest(maturity) - 2 * _WEEK
    if over or flow < _RECENT_SHARE * usual:
        day = setting.log.calendar.local(last).date().isoformat()
        return (
            [
                Caveat(
                    "ended",
                    text(
                        "it is over: the last of these users came on {day}, so there is nothing left to close", day=day
                    ),
                )
            ]
            if over
            else [
                Caveat(
                    "ended",
                    text(
                        "hardly any of these users come now: {now} a week, {usual} before",
                        now=format_count(round(flow)),
                        usual=format_count(round(usual)),
                    ),
                )
            ]
        )
    return []


def _missed(setting: Setting, definition: FunnelDefinition) -> list[Candidate]:
    start = setting.log.calendar.local(setting.start).isoformat()
    stop = setting.log.calendar.local(setting.stop).isoformat()
    result = funnel(setting.log, definition, start=start, stop=stop)
    assert result.chains is not None
    order = np.argsort(result.chains.users, kind="stable")
    mature = result.chains.entry[order] + definition.window.microseconds <= setting.horizon
    chosen = order[mature]
    users, entry, depth = result.chains.users[chosen], result.chains.entry[chosen], result.chains.depth[chosen]
    values = setting.values_after(users, entry)
    found = []
    for index, step in enumerate(definition.steps[1:], start=2):
        came, passed = depth >= index - 1, depth >= index
        n, x = int(came.sum()), int(passed.sum())
        if step.target is None or n < 30:
            continue
        interval = wilson_interval(x, n)
        if float(interval.upper) >= step.target:
            continue
        worth = setting.worth(values, passed, came & ~passed)
        flow, flow_error = setting.flow(entry[came], definition.window.microseconds)
        rate, before = x / n, definition.steps[index - 2].shown
        who = str(text("everybody"))
        sentence = text(
            "{rate} get from “{a}” to “{b}”; the target is {target}", rate=format_rate(rate), a=before, b=step.shown,
            target=format_rate(step.target),
        )  # fmt: skip
        counted = Evidence(
            "quantitative", text("{rate} of {n} users pass", rate=format_rate(rate), n=format_count(n)), n
        )
        event = (step.events or ("",))[0]
        found.append(
            Candidate(
                source="target",
                place=event or step.shown,
                who=who,
                sentence=sentence,
                rate=rate,
                users=n,
                reference=step.target,
                reference_name=text("target"),
                reference_users=None,
                gap_lower=step.target - float(interval.upper),
                gap_upper=step.target - float(interval.lower),
                p_value=None,
                per_week=flow,
                per_week_error=flow_error,
                worth=worth,
                draft=_draft(setting, before, step.shown, who, rate, step.target, "", against="target"),
                lost=np.sort(users[came & ~passed]),
                evidence=(counted, *setting.notes.get(event, ())),
                confounders=(),
            )
        )
    return found


def _flow_candidate(
    setting: Setting, keys: NDArray[np.int64], active: NDArray[np.bool_], came: NDArray[np.float64],
    stayed: NDArray[np.float64],
) -> list[Candidate]:  # fmt: skip
    """The last run of weeks against the best earlier one, with weeks, not users, as the unit of chance."""
    rate = stayed / came
    runs = len(came) - 2 * _RUN + 1
    now = slice(len(came) - _RUN, len(came))
    starts = np.arange(runs)
    earlier = np.array([stayed[i : i + _RUN].sum() / came[i : i + _RUN].sum() for i in starts])
    best = int(np.argmax(earlier))
    then = slice(best, best + _RUN)
    level, reference = float(stayed[now].sum() / came[now].sum()), float(earlier[best])
    # weeks differ by more than chance among users: the spread of weekly rates inside both runs
    spread = float(np.sqrt((rate[now].var(ddof=1) + rate[then].var(ddof=1)) / _RUN))
    chance = float(np.sqrt(level * (1 - level) / came[now].sum() + reference * (1 - reference) / came[then].sum()))
    from scipy.stats import t

    reach = float(t.isf(0.025 / runs, 2 * _RUN - 2)) * max(spread, chance)
    gap = reference - level
    if gap - reach <= 0:
        return []
    worth = _flow_worth(setting, keys, active)
    calendar, edges = setting.log.calendar, setting.week_edges
    span = f"{calendar.label(int(edges[best]), 'week')} – {calendar.label(int(edges[best + _RUN - 1]), 'week')}"
    sentence = text(
        "Of the active users of a week {rate} are active in the next, over the last {n} weeks; {best} in the best {n} "
        "weeks ({span})",
        rate=format_rate(level), best=format_rate(reference), n=_RUN, span=span,
    )  # fmt: skip
    who, place = str(text("active users")), str(text("active again in the next week"))
    doubts = (
        Caveat("mix", text("new users come back less often than old ones: more new users alone lower this rate")),
        Caveat("season", text("the two runs of weeks lie at different times of the year")),
    )
    per_week = float(came[now].mean())
    return [
        Candidate(
            source="lifecycle", place=place, who=who, sentence=sentence, rate=level, users=float(came[now].sum()),
            reference=reference, reference_name=span, reference_users=float(came[then].sum()), gap_lower=gap - reach,
            gap_upper=gap + reach, p_value=None, per_week=per_week, per_week_error=float(came[now].std(ddof=1)) / 2,
            worth=worth, draft=_draft(setting, who, place, who, level, reference, span, against="then"), stage="retention",
            evidence=(Evidence("quantitative", sentence, int(came[now].sum())),), confounders=doubts,
        )
    ]  # fmt: skip


def _flow_worth(setting: Setting, keys: NDArray[np.int64], active: NDArray[np.bool_]) -> Worth:
    """Worth of coming back, in the latest week that was seen over the whole horizon."""
    week = active.shape[1] - 1 - setting.north_star.horizon
    if week < 0:
        return Worth(0.0, 0.0, 0, 0)
    there = active[:, week]
    mine = keys[there]
    since = np.full(len(mine), setting.week_edges[week + 1], dtype=np.int64)
    values = setting.values_after(mine, since)
    back = active[there, week + 1]
    return setting.worth(values, back, ~back)


def _draft(
    setting: Setting,
    before: str,
    place: str,
    who: str,
    rate: float,
    best: float,
    reference: str,
    *,
    against: Literal["group", "weeks", "target", "then"] = "group",
) -> Draft:
    """A row to start from; the state of mind is for people to find out, unless they have told it already.

    Args:
        setting: of the review.
        before: where users come from.
        place: what they do not pass.
        who: those users.
        rate: share of them who pass.
        best: share that is the reference.
        reference: whose share that is; unused for a target.
        against: other users, other weeks, a target, or the same users in an earlier run of weeks.
    """
    told = [e.sentence for e in setting.notes.get(place, ()) if e.kind == "qualitative"]
    state: Text | str = (
        text("Told at this step: {words}", words=" · ".join(str(t) for t in told[:3]))
        if told
        else text(
            "Not known yet. Ask five of those who came to “{a}” and did not get to “{b}”: what did they want, what stopped them?",
            a=before,
            b=place,
        )
    )
    shares = {"who": who, "rate": format_rate(rate), "b": place, "best": format_rate(best)}
    if against == "target":
        trace = text("{who}: {rate} pass “{b}”; the target is {best}", **shares)
        lever = text(
            "Find what stops those who do not pass “{b}” (watch, ask, break it down by property); mend the most common "
            "cause, for half of the users",
            b=place,
        )
    else:
        trace = text("{who}: {rate} pass “{b}”, {best} for {reference}", reference=reference, **shares)
        lever = {
            "weeks": text("Find what changed at “{b}” with these weeks (a release, a campaign, who came); undo or repair that "
                          "alone, for half of the users", b=place),
            "then": text("Find what changed since {reference} (a release, a campaign, who came); undo or repair that alone, for "
                         "half of the users", reference=reference),
            "group": text("Find what {reference} has at “{b}” that {who} has not; change that alone, for half of {who}", who=who,
                          b=place, reference=reference),
        }[against]  # fmt: skip
    return Draft(state, trace, lever)


def _division(name: str, names: tuple[str, ...], codes: NDArray[np.int64]) -> Division:
    """Groups with a name of their own; too many values make none."""
    if len(names) - 1 > _MOST_VALUES:
        return Division(name, (), np.full(len(codes), -1, np.int64))
    return Division(name, names[:-1], np.where(codes == len(names) - 1, -1, codes))
