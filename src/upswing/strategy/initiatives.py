"""Initiatives from idea to sunset: a board by stage, and what is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import ClassVar, Final

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Column, HowComputed, Result, Table, Window
from upswing.core.units import DAY, Duration
from upswing.spec.base import Definition
from upswing.spec.initiative import STAGES, InitiativeDefinition, InitiativeStage

SOON: Final = 7
"""Days before a due date from which on it is named."""
STALE: Final = 60
"""Days without a new stage after which an initiative without a due date is asked about."""
EXPECTED: Final[Mapping[InitiativeStage, InitiativeStage]] = {
    "requirements": "plan", "build": "requirements", "test": "requirements", "trial": "test", "launch": "test",
}  # fmt: skip
"""Stage → the earlier stage whose document should exist by then."""
STAGE_WORDS: Final[Mapping[str, Text]] = {
    "idea": text("idea"), "research": text("market research"), "plan": text("plan"), "prototype": text("prototype"),
    "requirements": text("requirements"), "build": text("build"), "test": text("test"), "trial": text("trial launch"),
    "launch": text("launch"), "iterate": text("iteration"), "sunset": text("sunset"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Due:
    """Something that an initiative waits for.

    Args:
        initiative: which.
        reason: ``overdue``, ``soon``, ``stale``, ``no_document`` or ``no_metric``.
        message: in words.
        days: days from today to the due date (negative when it is over), or in the stage; None where it has none.
    """

    initiative: InitiativeDefinition
    reason: str
    message: Text
    days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardResult(Result):
    """Initiatives by stage, and what is due."""

    verb: ClassVar[str] = "initiatives"
    initiatives: tuple[InitiativeDefinition, ...]
    due: tuple[Due, ...]
    today: date
    metrics: Mapping[str, Definition] = field(default_factory=dict)
    """What the metrics of initiatives are called, by name."""

    def title(self) -> Text:
        """The question."""
        return text("Where does each initiative stand, and what is due?")

    def verdict(self) -> Text:
        """How many are late."""
        late = sum(d.reason == "overdue" for d in self.due)
        if not self.initiatives:
            return text("There is no initiative yet.")
        if late:
            return text("Overdue: {late} of {n} initiatives.", late=late, n=len(self.initiatives))
        return text("None of {n} initiatives is overdue.", n=len(self.initiatives))

    def data(self) -> dict[str, object]:
        """The board, and what is due."""
        return {
            "today": self.today,
            "initiatives": [
                {
                    "name": i.name, "label": i.shown, "stage": i.stage, "since": i.since, "due": i.due,
                    "owner": i.owner, "next_step": i.next_step, "hypotheses": i.hypotheses,
                    "experiments": i.experiments, "metrics": i.metrics,
                    "documents": [p.model_dump(mode="json") for p in i.documents],
                    "decisions": [d.model_dump(mode="json") for d in i.decisions],
                    "notes": [n.model_dump(mode="json") for n in i.notes],
                }
                for i in self.initiatives
            ],
            "due": [
                {"name": d.initiative.name, "reason": d.reason, "message": str(d.message), "days": d.days}
                for d in self.due
            ],
        }  # fmt: skip

    def _row(self, i: InitiativeDefinition) -> tuple[str, Text, int | None, date | None, str, str, int, str]:
        days = None if i.since is None else (self.today - i.since).days
        metrics = (known.shown if (known := self.metrics.get(name)) else name for name in i.metrics)
        return (
            i.shown, STAGE_WORDS[i.stage], days, i.due, i.next_step or "", i.owner or "", len(i.hypotheses), ", ".join(metrics),
        )  # fmt: skip

    def tables(self) -> list[Table]:
        """What is due, the board, and the decisions."""
        note = "" if self.initiatives else text("write one down: upswing new initiative NAME")
        made = [Table("board", text("Board"), _BOARD, [self._row(i) for i in self.initiatives], note)]
        if self.due:
            rows = [(d.initiative.shown, d.message, d.days, d.initiative.owner or "") for d in self.due]
            made.insert(0, Table("due", text("What is due"), _DUE, rows))
        decisions = [
            (i.shown, decision.on, decision.text, decision.because or "", decision.by or "")
            for i in self.initiatives
            for decision in i.decisions
        ]
        if decisions:
            decisions.sort(key=lambda row: row[1], reverse=True)
            made.append(Table("decisions", text("Decisions"), _DECISIONS, decisions))
        return made


def board(
    initiatives: Sequence[InitiativeDefinition],
    *,
    today: date,
    window: Window,
    stage: str | None = None,
    metrics: Mapping[str, Definition] | None = None,
) -> BoardResult:
    """Initiatives in the order of their stages, with what is due.

    Args:
        initiatives: the workspace's.
        today: the day that due dates are compared with.
        window: for the account.
        stage: only initiatives of this stage.
        metrics: definitions of metrics by name, for what they are called.

    Raises:
        UsageError: UP670 an unknown stage.
    """
    if stage is not None and stage not in STAGES:
        raise UsageError(
            text("'{value}' is not a value of {key}", value=stage, key="stage"), code="UP670",
            hint=did_you_mean(stage, STAGES),
        )  # fmt: skip
    wanted = sorted(
        (i for i in initiatives if stage is None or i.stage == stage), key=lambda i: (STAGES.index(i.stage), i.name)
    )
    due = sorted((d for i in wanted for d in _due(i, today)), key=lambda d: (d.days is None, d.days or 0))
    how = HowComputed(
        definition={"stage": stage, "today": today.isoformat()},
        window=window,
        method=text("As written in the workspace's files; due dates are compared with today"),
    )
    return BoardResult(how=how, initiatives=tuple(wanted), due=tuple(due), today=today, metrics=metrics or {})


def _due(i: InitiativeDefinition, today: date) -> list[Due]:
    found = []
    if i.stage != "sunset" and i.due is not None:
        days = (i.due - today).days
        if days < 0:
            found.append(
                Due(i, "overdue", text("overdue by {time}: {step}", time=Duration(-days * DAY), step=_step(i)), days)
            )
        elif days <= SOON:
            found.append(Due(i, "soon", _soon(days, _step(i)), days))
    elif i.stage not in ("sunset", "iterate") and i.since is not None and today - i.since > timedelta(days=STALE):
        days = (today - i.since).days
        found.append(
            Due(i, "stale", text("in this stage for {time}, without a due date", time=Duration(days * DAY)), None)
        )
    wanted = EXPECTED.get(i.stage)
    if wanted is not None and not any(p.stage == wanted for p in i.documents):
        found.append(Due(i, "no_document", text("no document of the stage '{stage}'", stage=STAGE_WORDS[wanted]), None))
    if i.stage in ("test", "trial", "launch", "iterate") and not i.metrics:
        found.append(Due(i, "no_metric", text("no metric says whether it works"), None))
    return found


def _soon(days: int, step: Text | str) -> Text:
    return (
        text("due in {time}: {step}", time=Duration(days * DAY), step=step)
        if days
        else text("due today: {step}", step=step)
    )


def _step(i: InitiativeDefinition) -> Text | str:
    return i.next_step or text("finish the stage '{stage}'", stage=STAGE_WORDS[i.stage])


_BOARD: Final = (
    Column("name", text("Initiative")), Column("stage", text("Stage")), Column("days", text("Days in it"), "count"),
    Column("due", text("Due"), "date"), Column("next_step", text("Next step")),
    Column("owner", text("Owner")), Column("hypotheses", text("Hypotheses"), "count"), Column("metrics", text("Metrics")),
)  # fmt: skip
_DUE: Final = (
    Column("name", text("Initiative")), Column("message", text("Waits for")), Column("days", text("Days left"), "count"),
    Column("owner", text("Owner")),
)  # fmt: skip
_DECISIONS: Final = (
    Column("name", text("Initiative")), Column("decided", text("Decided"), "date"), Column("text", text("Decision")),
    Column("because", text("Because")), Column("by", text("By")),
)  # fmt: skip
