"""Verbs of strategy: each a thin call into `upswing.strategy`, or into the search for the aha moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.workspace.base import OpenWorkspace, Options

if TYPE_CHECKING:
    from upswing.diagnose.aha_result import AhaResult
    from upswing.spec.steps import EventMatch
    from upswing.strategy.behaviour_result import BehaviourResult
    from upswing.strategy.hook_result import HookResult
    from upswing.strategy.quadrants_result import QuadrantsResult


class StrategyVerbs(OpenWorkspace):
    """What to change, for whom, and in which order."""

    def aha(self, name: str | None = None, **question: Any) -> AhaResult:
        """Which early behaviour, how often, within how long, goes with users staying.

        Args:
            name: an aha question of the workspace; or give `start_event` and `outcome`.
            question: start_event, outcome, after, until, day, clock, times, behaviours, exclude, counts, windows, adjust,
                activity, share, min_users, fdr, correction, seed, start, stop, segment; see ``upswing aha --help``.
        """
        from upswing.diagnose.aha import aha
        from upswing.spec.aha import AhaDefinition

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        day = options.take("day")
        if day is not None:
            options.set("after", f"{day}d")
            options.set("until", f"{int(day) + 1}d")
        self._set_match(options, "start_event", "start")
        self._set_match(options, "outcome")
        behaviours = options.take("behaviours", [])
        if behaviours:
            options.set("behaviours", [_plain(self._match(b, "behaviour")) for b in behaviours])
        if options.get("activity") not in (None, "sessions", "none"):
            self._set_match(options, "activity")
        _set_list(options, "counts", int)
        _set_list(options, "windows", str)
        _set_list(options, "share", float)
        definition = self._definition("aha", AhaDefinition, name, options, needed="--start EVENT --outcome EVENT")
        return aha(self.log, definition, start=start, stop=stop, users=self._users(segment, stop))

    def hook(self, name: str | None = None, *, by: str | None = None, **question: Any) -> HookResult:
        """Where the loop of trigger, action, reward and investment breaks, and how often users walk it.

        Args:
            name: a hook loop of the workspace; or give its parts.
            by: property at the first trigger to break down by; ``segment:NAME`` compares a segment with everybody else.
            question: trigger, action, reward, investment, within, returns, again, loops, start, stop, segment; see
                ``upswing hook --help``.
        """
        from upswing.spec.hook import PARTS, HookDefinition
        from upswing.strategy.hook import hook

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        for part in PARTS:
            self._set_match(options, part)
        within, returns = options.take("within"), options.take("returns")
        if isinstance(within, str) or returns is not None:
            windows = dict.fromkeys(("action", "reward", "investment"), within) if within else {}
            options.set("within", {**windows, **({"trigger": returns} if returns else {})})
        elif within is not None:
            options.set("within", within)
        definition = self._definition(
            "hook", HookDefinition, name, options, needed="--trigger EVENT --action EVENT --reward EVENT"
        )
        by, compared = self._comparison(by, stop)
        users = self._users(segment, stop)
        return hook(self.log, definition, start=start, stop=stop, by=by, users=users, segment=compared)

    def quadrants(self, name: str | None = None, **question: Any) -> QuadrantsResult:
        """New users by desire and friction: who wants to, whom something stops, and what to do for each.

        Args:
            name: quadrants of the workspace; or give `start_event` and `outcome`.
            question: start_event, outcome, before, after, within, desire, friction, by, seed, start, stop, segment; see
                ``upswing quadrants --help``. Without signals both sides are proposed from the data.
        """
        from upswing.spec.quadrants import QuadrantsDefinition
        from upswing.strategy.quadrants import quadrants

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        self._set_match(options, "start_event", "start")
        self._set_match(options, "outcome")
        for side in ("desire", "friction"):
            self._set_signals(options, side)
        definition = self._definition(
            "quadrants", QuadrantsDefinition, name, options, needed="--start EVENT --outcome EVENT --before 1d"
        )
        return quadrants(self.log, definition, start=start, stop=stop, users=self._users(segment, stop))

    def behaviour(self, name: str | None = None, **question: Any) -> BehaviourResult:
        """Which of motivation, ability and trigger limits a behaviour, for whom, and what raising it is worth.

        Args:
            name: a behaviour of the workspace; or give `target` and signals.
            question: target, who, joined, settled, ahead, back, motivation, ability, trigger, by, good, seed, start, stop,
                segment; see
                ``upswing behaviour --help``. On the command line a signal is an event that is counted; ``-event`` counts
                against its factor.
        """
        from upswing.spec.behaviour import FACTORS, BehaviourDefinition
        from upswing.strategy.behaviour import behaviour

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        for key in ("target", "who", "joined"):
            self._set_match(options, key)
        for factor in FACTORS:
            written = options.take(factor, [])
            if written:
                options.set(factor, [self._counted(s, factor) if isinstance(s, str) else s for s in written])
        definition = self._definition(
            "behaviour",
            BehaviourDefinition,
            name,
            options,
            needed="--target EVENT --motivation EVENT --ability -EVENT --trigger EVENT",
        )
        return behaviour(self.log, definition, start=start, stop=stop, users=self._users(segment, stop))

    def _counted(self, written: str, what: str) -> dict[str, Any]:
        """A signal on the command line: the number of an event, against its factor after a minus sign."""
        less = written.startswith("-")
        match = _plain(self._match(written.removeprefix("-"), what))
        return {**match, "measure": "count", "sign": "less" if less else "more"}

    def _set_signals(self, options: Options, key: str) -> None:
        """Read signals: events as written on the command line, or mappings as in YAML."""
        written = options.take(key, [])
        if written:
            options.set(key, [_plain(self._match(s, key)) if isinstance(s, str) else s for s in written])

    def _set_match(self, options: Options, key: str, target: str | None = None) -> None:
        """Read an event as written on the command line or in YAML."""
        written = options.take(key)
        if written is not None:
            options.set(target or key, self._match(written, target or key))


def _plain(match: EventMatch) -> dict[str, Any]:
    """An event match as the keys of a definition."""
    return match.model_dump(exclude_none=True, exclude_defaults=True)


def _set_list(options: Options, key: str, kind: type[int] | type[float] | type[str]) -> None:
    """Read ``1,2,3`` as a list; a list stays one."""
    written: str | Sequence[Any] | None = options.take(key)
    if written is None:
        return
    parts = written.split(",") if isinstance(written, str) else list(written)
    try:
        options.set(key, [kind(str(p).strip()) if isinstance(p, str) else p for p in parts])
    except ValueError:
        raise UsageError(
            text("{what} '{written}' is not a list of numbers", what=key, written=written),
            code="UP656",
            hint=text("write numbers with commas between them, e.g. 1,2,3"),
        ) from None
