"""``watch`` and ``guardrails``: what is out of the ordinary goes to the channels, once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from upswing.core.i18n import text, use_locale
from upswing.metrics.alerts import Alert, AlertsResult
from upswing.server.notify.outbox import Notifier
from upswing.server.rounds.asking import answer
from upswing.server.schedule import Run
from upswing.spec.experiment import ExperimentDefinition

if TYPE_CHECKING:
    from upswing.facts.database import Facts
    from upswing.server.state import ServerState
    from upswing.server.storage import Moment

_MOST: Final = 20
"""Alerts told in one run; the gravest come first, and more than these nobody reads."""


def watch(state: ServerState, facts: Facts, run: Run) -> None:
    """Tell what ``upswing alerts`` finds over all metrics; nothing where nobody is to be told."""
    ready = _ready(state, facts)
    if ready is None:
        return
    moment, notifier = ready
    for alert in _found(state, run, moment, {}):
        group = alert.sentence.values.get("group", "")  # tracking may break for each group of users by itself
        notifier.tell(
            ":".join(filter(None, (alert.kind, alert.metric, str(group)))), period=period_told(alert),
            title=alert.sentence, severity="info" if alert.worse is False else "warning",
        )  # fmt: skip


def guardrails(state: ServerState, facts: Facts, run: Run) -> None:
    """Tell at once, at night too, where a guardrail of a running experiment moves for the worse among all users.

    It looks at the metric as a whole, like `watch`; what the experiment itself does to it is for the experiment to say.
    """
    ready = _ready(state, facts)
    if ready is None:
        return
    moment, notifier = ready
    guarding: dict[str, list[ExperimentDefinition]] = {}
    for experiment in _running(moment):
        for guardrail in experiment.guardrails:
            guarding.setdefault(guardrail.metric, []).append(experiment)
    if not guarding:
        return
    for alert in _found(state, run, moment, {"names": sorted(guarding)}):
        if alert.worse is False or alert.kind == "tracking":
            continue
        for experiment in guarding.get(alert.metric, []):
            with use_locale(moment.project.locale):
                title = text("Guardrail of “{experiment}”: {what}", experiment=experiment.shown, what=alert.sentence)
            notifier.tell(
                f"guardrail:{experiment.name}:{alert.kind}:{alert.metric}", period=period_told(alert), title=title,
                severity="critical",
            )  # fmt: skip


def period_told(alert: Alert) -> str:
    """The time for which an alert is told once: an unusual day; of what lasts, the week that it began in.

    Examples:
        >>> lasting = Alert("tracking", "pay", "2026-03-05 – 2026-03-09", 0.0, 10.0, None, None, True, text("gone"))
        >>> period_told(lasting)
        'week of 2026-03-02'
    """
    if alert.kind == "day":
        return alert.when
    first = alert.when.partition(" – ")[0]
    try:
        day = date.fromisoformat(first[:10])
    except ValueError:
        return first
    return f"week of {day - timedelta(days=day.weekday())}"


def _ready(state: ServerState, facts: Facts) -> tuple[Moment, Notifier] | None:
    """The workspace as of now; None where there is nothing to tell or nobody to be told."""
    if not state.storage.settings().notify.channels:
        return None
    moment = state.storage.moment()
    return (moment, Notifier(facts, moment.project)) if moment.engine.schema().n_events else None


def _found(state: ServerState, run: Run, moment: Moment, arguments: dict[str, object]) -> tuple[Alert, ...]:
    result = answer(state, run, "alerts", arguments, locale=moment.project.locale)
    assert isinstance(result, AlertsResult)
    return result.alerts[:_MOST]


def _running(moment: Moment) -> Iterator[ExperimentDefinition]:
    for definition in moment.definitions.by_kind.get("experiment", {}).values():
        if isinstance(definition, ExperimentDefinition) and definition.status == "running":
            yield definition
