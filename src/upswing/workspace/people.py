"""Who stands behind a number: the users of a segment, a funnel step, a cell, a state, a band or a step of a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.workspace.base import Options
from upswing.workspace.data import DataVerbs
from upswing.workspace.diagnose import DiagnoseVerbs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upswing.core.results import Result

    Found = tuple[NDArray[np.int64], Text]

_RANGE: Final = ("start", "stop", "segment", "by", "limit")
_ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "funnel": (
        "name", "steps", "within", "order", "count", "exclude", "exclusion_policy", "hold", "tie", "profile", "where",
        "attribution",
    ),
    "retention": (
        "name", "start_event", "return_event", "period", "periods", "on", "clock", "entry", "first_ever", "min_count",
    ),
    "lifecycle": ("event", "period"),
    "stickiness": ("event", "period"),
    "paths": ("name", "after", "before", "depth", "top", "session_gap", "hide", "repeats"),
    "interval": ("event", "then"),
    "distribution": ("event", "measure", "property", "window"),
}  # fmt: skip
"""What belongs to the question of each analysis, beside the range, segment and breakdown."""
_PLACE: Final[Mapping[str, tuple[str, ...]]] = {
    "funnel": ("at", "dropped", "group"),
    "retention": ("cohort", "lag", "lost", "group"),
    "lifecycle": ("in_period", "state", "group"),
    "stickiness": ("in_period", "days", "group"),
    "paths": ("position", "node", "next", "group"),
    "interval": ("at_least", "below", "group"),
    "distribution": ("at_least", "below", "group"),
}
"""Which number of its answer is meant."""


class PeopleVerbs(DiagnoseVerbs, DataVerbs):
    """From numbers back to people."""

    def users(self, of: str | None = None, **question: Any) -> Result:
        """Who stands behind a number; `save` makes them a segment.

        The analysis is asked again and its own pass says who was counted, so the list is as long as the number is large.

        Args:
            of: the analysis: funnel, retention, lifecycle, stickiness, paths, interval or distribution. Without it, the
                users of `segment`, or of a funnel where `funnel` or `steps` is given.
            question: what that analysis is asked (a definition's `name`, or its arguments), and which of its numbers is
                meant: funnel `at`, `dropped`; retention `cohort`, `lag`, `lost`; lifecycle `in_period`, `state`;
                stickiness `in_period`, `days`; paths `position`, `node`, `next`; interval and distribution `at_least`,
                `below`; with `by`, also `group`. Then `segment`, `start`, `stop`, `limit` (most ids listed) and `save`.

        Raises:
            UsageError: UP603 no number is named, UP608 an argument that does not go with the analysis, UP644 the answer
                has no such number.
        """
        from upswing.diagnose.people import list_users

        options = Options(question)
        save, listed = options.take("save"), options.take("limit", 100)
        start, stop = options.get("start"), options.get("stop")
        funnel = options.take("funnel")
        if funnel is not None:
            options.set("name", funnel)
        if of is None and (funnel is not None or options.get("steps")):
            of = "funnel"
        keys, source = self._segment_users(options) if of is None else self._behind(of, options)
        if save:
            self.save_segment(str(save), keys, description=str(source))
        return list_users(self.log, keys, source=source, limit=listed, start=start, stop=stop, saved=save)

    def _segment_users(self, options: Options) -> Found:
        segment, stop = options.take("segment"), options.take("stop")
        options.take("start")
        users = self._users(segment, stop)
        if users is None:
            raise _nothing(text("--segment NAME; --step EVENT --step EVENT --at N; or --of ANALYSIS"))
        _none_left(options, "segment")
        return users, text("segment {name}", name=segment)

    def _behind(self, of: str, options: Options) -> Found:
        find = _FIND.get(of)
        if find is None:
            raise UsageError(
                text("no {what} '{name}' in this result", what=text("analysis"), name=of),
                code="UP644",
                hint=did_you_mean(of, _FIND),
            )
        asked = {key: options.take(key) for key in (*_ASKED[of], *_RANGE)}
        place = Options({key: options.take(key) for key in _PLACE[of]})
        _none_left(options, of)
        given = {key: value for key, value in asked.items() if value is not None}
        if "on" in given:
            given["at"] = given.pop("on")
        return find(getattr(self, of)(**given), place)


def _funnel(result: Any, place: Options) -> Found:
    n = len(result.definition.steps)
    step, dropped = int(place.take("at", n)), bool(place.take("dropped", False))
    keys = result.users_at(step, dropped=dropped, group=place.take("group"))
    shown = result.definition.steps[step - 1].shown
    if dropped:
        return keys, text("did not reach step {n} ({step})", n=step, step=shown)
    return keys, text("reached step {n} ({step})", n=step, step=shown)


def _retention(result: Any, place: Options) -> Found:
    cohort, lag, lost = place.take("cohort"), place.take("lag"), bool(place.take("lost", False))
    if cohort is None or lag is None:
        raise _nothing(text("--cohort {cohort} --lag 1", cohort=result.cohorts[0].start))
    keys = result.users_in(str(cohort), str(lag), state="lost" if lost else "retained", group=place.take("group"))
    words = {"cohort": cohort, "lag": result.lag_label(lag if "-" in str(lag) else int(lag))}
    if lost:
        return keys, text("began in {cohort}, not back in {lag}", **words)
    return keys, text("began in {cohort}, back in {lag}", **words)


def _lifecycle(result: Any, place: Options) -> Found:
    period, state = place.take("in_period"), place.take("state")
    if period is None or state is None:
        raise _nothing(text("--in {period} --state dormant", period=result.periods[-1].start))
    words = {"new": text("new"), "returning": text("returning"), "resurrecting": text("resurrecting"),
             "dormant": text("dormant"), "active": text("active")}  # fmt: skip
    keys = result.users_in(period, state, group=place.take("group"))
    return keys, text("{state} in {period}", state=words[state], period=period)


def _stickiness(result: Any, place: Options) -> Found:
    period, days = place.take("in_period"), place.take("days")
    if period is None or days is None:
        raise _nothing(text("--in {period} --days 1", period=result.periods[-1].start))
    keys = result.users_in(period, int(days), group=place.take("group"))
    return keys, text("active on {days} days of {period}", days=days, period=period)


def _paths(result: Any, place: Options) -> Found:
    position, node, then = place.take("position"), place.take("node"), place.take("next")
    if position is None or node is None:
        raise _nothing(text("--position 2 --node EVENT, and --next EVENT for the way between"))
    keys = result.users_at(int(position), node, then=then, group=place.take("group"))
    if then is not None:
        return keys, text("{node} at position {n}, then {next}", node=node, n=position, next=then)
    return keys, text("{node} at position {n}", node=node, n=position)


def _interval(result: Any, place: Options) -> Found:
    least, below = place.take("at_least"), place.take("below")
    keys = result.users_in(at_least=least, below=below, group=place.take("group"))
    return keys, _between(text("took from {a} to {b}", a=result.first, b=result.then), least, below)


def _distribution(result: Any, place: Options) -> Found:
    least, below = place.take("at_least"), place.take("below")
    keys = result.users_in(
        at_least=_number(least, -float("inf")), below=_number(below, float("inf")), group=place.take("group")
    )
    return keys, _between(result.title(), least, below)


_FIND: Final[Mapping[str, Callable[[Any, Options], Found]]] = {
    "funnel": _funnel,
    "retention": _retention,
    "lifecycle": _lifecycle,
    "stickiness": _stickiness,
    "paths": _paths,
    "interval": _interval,
    "distribution": _distribution,
}


def _between(what: Text, least: object, below: object) -> Text:
    if least is not None and below is not None:
        return text("{what}: {least} or more, less than {below}", what=what, least=least, below=below)
    if least is not None:
        return text("{what}: {least} or more", what=what, least=least)
    return text("{what}: less than {below}", what=what, below=below) if below is not None else what


def _number(written: object, otherwise: float) -> float:
    try:
        return otherwise if written is None else float(str(written))
    except ValueError:
        raise UsageError(
            text("bands are numbers, got '{written}'", written=written), code="UP642", hint=text("e.g. 1,2,5,10")
        ) from None


def _nothing(needed: Text) -> UsageError:
    return UsageError(text("whose users? give a segment or a number that they stand behind"), code="UP603", hint=needed)


def _none_left(options: Options, of: str) -> None:
    for key in options.rest():
        raise UsageError(
            text("'{key}' does not go with the users of a {what}", key=key, what=of),
            code="UP608",
            hint=did_you_mean(key, (*_ASKED.get(of, ()), *_PLACE.get(of, ()), *_RANGE)),
        )
