"""Aha moment: which early behaviour, how often, within how long, goes with users staying; and what is left within strata."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from operator import add
from typing import Final

import numpy as np
from sqlglot import exp

from upswing.core.errors import DataError, UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat
from upswing.core.units import MINUTE, Duration
from upswing.diagnose.aha_dose import DoseCurve, dose_curve
from upswing.diagnose.aha_draft import Experiment, experiment
from upswing.diagnose.aha_result import AhaFinding, AhaResult
from upswing.diagnose.aha_search import Finding, Rules, Search, search
from upswing.diagnose.breakdown import Breakdown, breakdown_by
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Category, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.aha import FIRST_BEHAVIOUR, AhaKernel, AhaTables
from upswing.spec.aha import AhaDefinition, Behaviour
from upswing.spec.steps import EventMatch

Moment = str | date | datetime | None

SESSION_GAP: Final = 30 * MINUTE
_SESSION_CUTS: Final = (2, 3, 4, 5, 7, 10)
_EVENT_CUTS: Final = (1, 2, 3, 4, 6, 10)
_MOST_MARKS: Final = 64 - FIRST_BEHAVIOUR
_MOST_CELLS: Final = 20_000_000
_GROUPS_PER_PROPERTY: Final = 8
_DETAILS: Final = 6
"""Findings that get a dose curve: each costs one more pass."""


def aha(
    log: EventLog,
    definition: AhaDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    users: Keys | None = None,
) -> AhaResult:
    """Search behaviours × counts × windows for what goes with the outcome.

    Users are split into halves by a hash of seed and user; see `upswing.diagnose.aha_search.search` for what is done on
    which. A finding is an association within strata of early activity and of the declared properties. It is no proof
    of cause: each comes with the draft of the experiment that would be one.

    Args:
        log: the event log.
        definition: the question.
        start: first moment at which a start counts.
        stop: end of that range, exclusive.
        users: sorted user keys to keep; None = all.

    Raises:
        UsageError: UP302 an event that never occurs, UP301 no such property, UP655 too many cells.
        DataError: UP350 nobody has a start in the range, UP351 no outcome window is over yet.
    """
    scan = Scan(log)
    plan = _plan(scan, definition, start, stop, users)
    tables = scan.run(plan.kernel, plan.request, add)
    _require_users(log, definition, tables)
    assert tables is not None
    rules = Rules(definition.fdr, definition.correction, definition.share, definition.min_users)
    found = search(tables, rules)
    curves = {
        f.behaviour: _curve(scan, plan, f, definition.counts[f.count], rules, definition.seed)
        for f in found.findings[:_DETAILS]
    }
    findings = tuple(_with_details(plan, definition, f, curves.get(f.behaviour)) for f in found.findings)
    how = scan.how(
        definition=definition.model_dump(mode="json", exclude_defaults=True, exclude={"kind"}),
        window=log.window(plan.kernel.start, plan.kernel.stop),
        method=_method(definition),
        caveats=_caveats(plan, tables, found),
    )
    return AhaResult(
        how=how,
        outcome=definition.outcome.described,
        outcome_window=_outcome_window(definition),
        findings=findings,
        judged=found.judged,
        out_of_bounds=found.out_of_bounds,
        behaviours=len(plan.behaviours),
        users_seen=int(tables.users[:, 0].sum()),
        users_reached=int(tables.reached[:, 0].sum()),
        waiting=tables.waiting,
        overlapping=tables.overlapping,
        adjusted_for=plan.adjusted_for,
        fdr=definition.fdr,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The kernel, what it asks of the engine, and the names of what it counts."""

    kernel: AhaKernel
    request: SequenceRequest
    behaviours: tuple[Behaviour, ...]
    confounders: tuple[Breakdown, ...]
    adjusted_for: tuple[str, ...]


def _plan(scan: Scan, definition: AhaDefinition, start: Moment, stop: Moment, users: Keys | None) -> _Plan:
    log = scan.log
    lo, hi = log.resolve_range(start, stop)
    behaviours = _behaviours(log, definition)
    plain = [i for i, b in enumerate(behaviours) if b.events is not None and not b.where]
    coded = plain if len(behaviours) > _MOST_MARKS else []
    marked = [i for i in range(len(behaviours)) if i not in set(coded)]
    if len(marked) > _MOST_MARKS:
        raise UsageError(
            text("{n} behaviours with conditions are too many", n=len(marked)),
            code="UP655",
            hint=text("at most {n}; behaviours that are whole events are not limited", n=_MOST_MARKS),
        )
    confounders = tuple(
        breakdown_by(scan, p, definition.start, start=lo, stop=hi, limit=_GROUPS_PER_PROPERTY, users=users)
        for p in definition.adjust
    )
    names = list(log.schema.events) if coded else []
    kernel = _kernel(log, definition, lo, hi, behaviours, coded, marked, names, confounders)
    cells = 2 * len(behaviours) * len(kernel.windows) * len(kernel.counts) * kernel.n_strata
    if cells > _MOST_CELLS:
        raise UsageError(
            text("{n} cells to count are too many", n=cells),
            code="UP655",
            hint=text("adjust for fewer properties, or name the behaviours"),
        )
    event = exp.column(exp.to_identifier("event", quoted=True))
    activity = definition.activity if isinstance(definition.activity, EventMatch) else _by_users(log, definition)
    request = SequenceRequest(
        marks=tuple(
            log.mark(m) for m in (definition.start, definition.outcome, activity, *(behaviours[i] for i in marked))
        ),
        columns=(*([Category(event, tuple(names))] if coded else []), *(c.category for c in confounders)),
        users=users,
        unmarked=kernel.gap > 0 or bool(coded) or bool(confounders),
    )
    early = () if definition.activity == "none" else (_activity_name(definition),)
    return _Plan(kernel, request, behaviours, confounders, (*early, *definition.adjust))


def _behaviours(log: EventLog, definition: AhaDefinition) -> tuple[Behaviour, ...]:
    """Those declared, or every event but the start, the outcome itself, and what counts as activity."""
    if definition.behaviours:
        return tuple(definition.behaviours)
    hidden = {*definition.exclude, *(definition.start.events or ()), *(definition.outcome.events or ())}
    log.require_known(definition.exclude)
    if isinstance(definition.activity, EventMatch):
        hidden |= set(definition.activity.events or ())
    return tuple(Behaviour(event=name) for name in log.schema.events if name not in hidden)


def _by_users(log: EventLog, definition: AhaDefinition) -> EventMatch:
    """Events that make sessions: all but those that are excluded, e.g. messages that the product sends."""
    kept = [name for name in log.schema.events if name not in definition.exclude]
    return EventMatch(any_of=kept) if definition.exclude and kept else EventMatch(event="*")


def _kernel(
    log: EventLog, definition: AhaDefinition, lo: int, hi: int, behaviours: tuple[Behaviour, ...], coded: list[int],
    marked: list[int], names: list[str], confounders: tuple[Breakdown, ...],
) -> AhaKernel:  # fmt: skip
    owners: list[list[int]] = [[i for i in coded if name in (behaviours[i].events or ())] for name in names]
    offsets = np.concatenate(([0], np.cumsum([len(o) for o in owners]))) if names else np.zeros(0)
    horizon = log.require_events().horizon or 0
    after, until, edges = definition.after.microseconds, definition.until.microseconds, np.zeros(0, np.int64)
    if definition.clock == "calendar":
        edges = log.calendar.edges("day", lo, horizon + 1)
        after, until = after // Duration.parse("1d").microseconds, until // Duration.parse("1d").microseconds
    sessions = definition.activity == "sessions"
    cuts: tuple[int, ...] = () if definition.activity == "none" else _SESSION_CUTS if sessions else _EVENT_CUTS
    return AhaKernel(
        n_behaviours=len(behaviours),
        windows=np.array(definition.usable_windows, np.int64),
        counts=np.array(definition.counts, np.int64),
        after=after,
        until=until,
        start=lo,
        stop=hi,
        horizon=horizon,
        times=definition.times,
        code_offsets=offsets.astype(np.int64),
        code_behaviours=np.array([i for o in owners for i in o], np.int64),
        bit_behaviours=np.array(marked, np.int64),
        edges=edges,
        gap=SESSION_GAP if sessions else 0,
        cuts=np.array(cuts, np.int64),
        radices=tuple(len(c.groups) for c in confounders),
        seed=definition.seed,
    )


def _require_users(log: EventLog, definition: AhaDefinition, tables: AhaTables | None) -> None:
    if tables is None or tables.started == 0:
        raise DataError(
            text("nobody has '{event}' in the range", event=definition.start.described),
            code="UP350",
            hint=text("choose another start, or a longer range"),
        )
    if tables.users.sum() == 0:
        raise DataError(
            text("no outcome can be known yet: the outcome windows of all {n} users end after the last event ({last})",
                 n=f"{tables.started:,}", last=log.calendar.local(log.schema.horizon or 0).isoformat(timespec="minutes")),
            code="UP351",
            hint=text("wait, or ask for an earlier outcome window: now it ends {until} after the start",
                      until=definition.until),
        )  # fmt: skip


def _curve(scan: Scan, plan: _Plan, finding: Finding, count: int, rules: Rules, seed: int) -> DoseCurve:
    """One more pass for the users behind a finding, one by one."""
    rows = scan.run(lambda batch: plan.kernel.rows(batch, finding.behaviour, finding.window), plan.request, add)
    assert rows is not None
    return dose_curve(rows, count=count, rules=rules, cuts=plan.kernel.cuts, radices=plan.kernel.radices, seed=seed)


def _with_details(plan: _Plan, definition: AhaDefinition, found: Finding, curve: DoseCurve | None) -> AhaFinding:
    window = Duration(int(plan.kernel.windows[found.window]))
    behaviour = plan.behaviours[found.behaviour].shown
    count = definition.counts[found.count]
    draft: Experiment | None = None
    if found.status == "confirmed":
        draft = experiment(found, behaviour=behaviour, count=count, window=window, outcome=_outcome(definition))
    return AhaFinding(behaviour, count, window, found, curve, draft)


def _outcome(definition: AhaDefinition) -> str:
    return f"{definition.outcome.described} ({_outcome_window(definition)})"


def _outcome_window(definition: AhaDefinition) -> Text:
    return text("{after} – {until}", after=definition.after, until=definition.until)


def _activity_name(definition: AhaDefinition) -> str:
    return str(text("sessions")) if isinstance(definition.activity, str) else definition.activity.described


def _method(definition: AhaDefinition) -> Text:
    return text(
        "One pass counts users by behaviour, count, window and stratum; exposure ends before the outcome window begins; "
        "users whose outcome window is not over are left out. Discovery on one half of the users, confirmation on the "
        "other, each corrected for all tests ({correction}, q = {fdr}); effects are those of the confirmation half, "
        "within strata by Mantel-Haenszel",
        correction=definition.correction.upper(), fdr=definition.fdr,
    )  # fmt: skip


def _caveats(plan: _Plan, tables: AhaTables, found: Search) -> list[Caveat]:
    notes = [
        Caveat("correlation", text("an association, not an effect: only the experiment tells whether it is a cause"))
    ]
    if tables.waiting:
        message = text("{n} of {total} users left out: their outcome window is not over yet",
                       n=f"{tables.waiting:,}", total=f"{tables.started:,}")  # fmt: skip
        notes.append(Caveat("waiting", message))
    if tables.overlapping:
        message = text("{n} users left out: their exposure window reaches into their outcome window",
                       n=f"{tables.overlapping:,}")  # fmt: skip
        notes.append(Caveat("overlapping", message))
    seen, reached = int(tables.users[:, 0].sum()), int(tables.reached[:, 0].sum())
    if reached in (0, seen):
        message = text("everybody reached the outcome") if reached else text("nobody reached the outcome")
        notes.append(Caveat("no_contrast", message))
    elif found.judged == 0:
        message = text("too few users ({n}) or too one-sided behaviours: nothing could be judged", n=f"{seen:,}")
        notes.append(Caveat("too_few", message))
    if not plan.adjusted_for:
        notes.append(
            Caveat("raw", text("not adjusted for anything: eager users do more of everything and stay longer"))
        )
    return notes
