"""Verbs of what people know and plan: journey, hypotheses, initiatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from upswing.core.errors import UpswingError, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.core.results import Caveat, Window
from upswing.spec.base import Definition
from upswing.spec.files import edit_yaml, write_yaml
from upswing.workspace.base import Moment, OpenWorkspace
from upswing.workspace.plugs import ENDED, offered

if TYPE_CHECKING:
    from upswing.diagnose.evidence import EvidenceImport
    from upswing.diagnose.journey import JourneyResult
    from upswing.metrics.candidate import Evidence
    from upswing.spec.journey import JourneyDefinition
    from upswing.strategy.backlog import BacklogResult, Direction
    from upswing.strategy.initiatives import BoardResult


_TOP: Final = 10
"""Hypotheses that the weekly review shows."""
_LINES: Final = ("touchpoints", "pains", "ideas")
"""What a stage lists, one per line."""


class BacklogVerbs(OpenWorkspace):
    """The journey map over live numbers, hypotheses ranked, initiatives on a board."""

    def journey(
        self,
        name: str | None = None,
        *,
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
        evidence: Sequence[str] = (),
        source: str | None = None,
        tag: Sequence[str] = (),
        draft: str | None = None,
    ) -> JourneyResult:
        """What users do and feel at each stage.

        Args:
            name: a journey of the workspace; the only one if absent.
            start: first moment of the entry range.
            stop: its end, exclusive.
            segment: only users of this segment; the journey's own otherwise.
            evidence: CSV files of notes to add first; see `upswing.diagnose.evidence.import_notes`.
            source: what those notes come from, where the files do not say.
            tag: notes to put into stages, ``NOTE=STAGE``.
            draft: write a journey mined from the events under this name, and show it.
        """
        from upswing.diagnose import evidence as notes
        from upswing.diagnose.journey import draft as mined
        from upswing.diagnose.journey import journey

        if draft is not None:
            self._write_new("journeys", draft, mined(self.log, draft, start=start, stop=stop))
            name = draft
        imported = [(file, notes.import_notes(self.root, Path(file), source=source)) for file in evidence]
        definition = self._journey(name)
        if tag:
            notes.tag_notes(self.root, definition, dict(_tag(t) for t in tag))
        users = self._users(segment or definition.segment, stop)
        found = journey(self.log, definition, notes.read_notes(self.root), start=start, stop=stop, users=users)
        told = [caveat for file, done in imported for caveat in _told(file, done)]
        return replace(found, how=replace(found.how, caveats=(*told, *found.how.caveats))) if told else found

    def hypotheses(
        self,
        name: str | None = None,
        *,
        by: str = "value",
        stage: str | None = None,
        horizon: int = 26,
        day_cost: float | None = None,
        experiment: bool = False,
    ) -> BacklogResult:
        """The backlog, ranked.

        Args:
            name: only this hypothesis, in any stage.
            by: ``value`` (expected gain per day of traffic), ``ice`` or ``rice``.
            stage: only this stage; the open ones if absent; ``all``.
            horizon: weeks over which a shipped effect counts.
            day_cost: money per person-day.
            experiment: write ``experiments/NAME.yml`` for the named hypothesis, and move it to stage ``ready``.
        """
        from upswing.spec.hypothesis import HypothesisDefinition
        from upswing.strategy.backlog import backlog, draft_experiment

        if name is not None:
            self.definitions.get("hypothesis", name, HypothesisDefinition)
        every = [h for h in self._all("hypothesis") if isinstance(h, HypothesisDefinition)]
        baselines = self._baselines({h.metric for h in every if h.metric and h.baseline is None})
        if experiment:
            if name is None:
                raise UsageError(
                    text("an experiment is drafted for one hypothesis"), code="UP673",
                    hint=text("upswing hypotheses NAME --experiment"),
                )  # fmt: skip
            chosen = next(h for h in every if h.name == name)
            body = draft_experiment(chosen, baseline=baselines.get(chosen.metric or ""))
            self._write_new("experiments", name, body)
            self._edit("hypothesis", name, lambda body: body.update({"experiment": name, "stage": "ready"}))
            every = [h for h in self._all("hypothesis") if isinstance(h, HypothesisDefinition)]
        result = backlog(
            every,
            window=self._whole_range(),
            by=by,  # type: ignore[arg-type]
            stage="all" if name else stage,
            ended=[e for room in offered(self, ENDED) for e in room],
            baselines=baselines,
            directions=self._directions(),
            horizon_weeks=horizon,
            day_cost=day_cost,
        )
        if name is None:
            return result
        if experiment:
            written = text("written: {file}; the hypothesis is ready", file=f"experiments/{name}.yml")
            result = replace(result, how=replace(result.how, caveats=(Caveat("written", written), *result.how.caveats)))
        return replace(result, ranked=tuple(r for r in result.ranked if r.hypothesis.name == name))

    def growth_section(self) -> BacklogResult | None:
        """The backlog's top ten for the weekly review; None while no hypothesis is open."""
        found = self.hypotheses()
        return replace(found, ranked=found.ranked[:_TOP]) if found.ranked else None

    def growth_notes(self) -> Mapping[str, tuple[Evidence, ...]]:
        """What people said, by the event that they did not get to: the evidence beside the numbers of a growth point."""
        from upswing.diagnose.evidence import read_notes
        from upswing.diagnose.journey import told
        from upswing.spec.journey import JourneyDefinition

        notes = read_notes(self.root)
        found: dict[str, tuple[Evidence, ...]] = {}
        for journey in self._all("journey"):
            if isinstance(journey, JourneyDefinition) and notes:
                found.update(told(journey, notes))
        return found

    def initiatives(
        self, name: str | None = None, *, stage: str | None = None, today: date | str | None = None
    ) -> BoardResult:
        """Where each initiative stands, and what is due.

        Args:
            name: only this initiative.
            stage: only this stage.
            today: the day that due dates are compared with.
        """
        from upswing.spec.initiative import InitiativeDefinition
        from upswing.strategy.initiatives import board

        if name is not None:
            self.definitions.get("initiative", name, InitiativeDefinition)
        wanted = [i for i in self._all("initiative") if isinstance(i, InitiativeDefinition) and name in (None, i.name)]
        metrics = {m.name: m for m in self._all("metric") if isinstance(m, Definition)}
        return board(wanted, today=self._day(today), window=self._whole_range(), stage=stage, metrics=metrics)

    # -- reading and writing definitions ----------------------------------------------------------------------------

    def _all(self, kind: str) -> list[object]:
        return list(self.definitions.by_kind.get(kind, {}).values())

    def _journey(self, name: str | None) -> JourneyDefinition:
        from upswing.spec.journey import JourneyDefinition

        known = self.definitions.by_kind.get("journey", {})
        if not name and len(known) != 1:
            raise UsageError(
                text("which journey? there are {n}", n=len(known)), code="UP674",
                hint=text("name one: {names}", names=", ".join(known))
                if known
                else text("begin with a draft from the events: upswing journey --draft NAME"),
            )  # fmt: skip
        return self.definitions.get("journey", name or next(iter(known)), JourneyDefinition)

    def _write_new(self, folder: str, name: str, body: dict[str, object]) -> None:
        path = self.root / folder / f"{name}.yml"
        kind = str(body["kind"])
        from upswing.spec.definitions import model_of
        from upswing.spec.validation import validated

        if path.exists() or name in self.definitions.by_kind.get(kind, {}):
            raise UsageError(
                text("there is a {kind} named '{name}' already", kind=kind, name=name), code="UP675",
                hint=text("choose another name, or remove {file}", file=path.relative_to(self.root)),
            )  # fmt: skip
        validated(model_of(kind), body, what=kind)
        write_yaml(path, body)
        self._definitions = None

    def write_stage(self, journey: str, stage: str, key: str, value: str) -> None:
        """Change what a journey's map says of a stage, in its file; the next reading has it.

        Args:
            journey: name of the journey.
            stage: name of the stage.
            key: ``does`` or ``thinks`` (text), ``touchpoints``, ``pains`` or ``ideas`` (one per line).
            value: the new text; an empty one removes the key.

        Raises:
            UsageError: UP672 no such stage; UP670 another key.
        """
        definition = self._journey(journey)
        at = next((i for i, s in enumerate(definition.stages) if s.name == stage), None)
        if at is None:
            names = [s.name for s in definition.stages]
            raise UsageError(
                text("the journey has no stage '{name}'", name=stage), code="UP672", hint=did_you_mean(stage, names)
            )
        if key not in ("does", "thinks", *_LINES):
            raise UsageError(text("'{value}' is not a value of {key}", value=key, key="key"), code="UP670")
        lines = [line.strip() for line in value.splitlines() if line.strip()]
        known = {idea.text: idea.hypothesis for idea in definition.stages[at].ideas}
        written: object = lines if key in _LINES else " ".join(lines)
        if key == "ideas":
            written = [{"text": t, **({"hypothesis": known[t]} if known.get(t) else {})} for t in lines]

        def change(body: Any) -> None:
            if lines:
                body["stages"][at][key] = written
            else:
                body["stages"][at].pop(key, None)

        self._edit("journey", definition.name, change)

    def _edit(self, kind: str, name: str, change: Callable[[Any], None]) -> None:
        """Change a definition in its file; comments and the file's other definitions stay."""
        document = self.definitions.documents[kind, name]
        beside = [d for d in self.definitions.documents.values() if d.file == document.file]
        edit_yaml(self.root / document.file, change, document=beside.index(document))
        self._definitions = None

    def _baselines(self, metrics: set[str]) -> dict[str, float]:
        """The last complete week of metrics; those that cannot be measured are left out."""
        from upswing.metrics.series import metric_series
        from upswing.spec.metric import MetricDefinition

        found: dict[str, float] = {}
        for name in sorted(metrics):
            try:
                metric = self.definitions.get("metric", name, MetricDefinition)
                points = metric_series(self.log, [metric], period="week").points
            except UpswingError:
                continue
            values = [p.value for p in points if p.complete and p.value is not None]
            if values:
                found[name] = float(values[-1])
        return found

    def _directions(self) -> dict[str, Direction]:
        from upswing.spec.metric import MetricDefinition

        return {
            m.name: m.better for m in self._all("metric") if isinstance(m, MetricDefinition) and m.better is not None
        }

    def _whole_range(self) -> Window:
        try:
            lo, hi = self.log.resolve_range(None, None)
            return self.log.window(lo, hi)
        except UpswingError:  # a backlog needs no events
            now = datetime.now(self.project.calendar.zone)
            return Window(now, now, self.project.timezone)

    def _day(self, written: date | str | None) -> date:
        if isinstance(written, date):
            return written
        if written is None:
            return datetime.now(self.project.calendar.zone).date()
        return self.project.calendar.local(self.project.calendar.instant(written)).date()


def _told(file: str, done: EvidenceImport) -> list[Caveat]:
    """What an import of notes did, and the rows that it could not use."""
    message = text(
        "{file}: {n} notes read, {added} new, {known} known already", file=file, n=done.read, added=done.added,
        known=done.known,
    )  # fmt: skip
    found = [Caveat("evidence", message)]
    if done.rejected:
        line, reason = done.rejected[0]
        found.append(
            Caveat(
                "evidence_rejected",
                text("{n} rows set aside, e.g. line {line}: {reason}", n=len(done.rejected), line=line, reason=reason),
            )
        )
    return found


def _tag(written: str) -> tuple[str, str]:
    note, sign, stage = written.partition("=")
    if not sign or not note:
        raise UsageError(text("'{written}' is not NOTE=STAGE", written=written), code="UP676")
    return note.strip(), stage.strip()
