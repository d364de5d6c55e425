"""The journey map: what users feel at each stage, from notes and scores, over what they do there, from the events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count
from upswing.core.results import Caveat, Chart, Column, HowComputed, Result, Table
from upswing.diagnose.evidence import Note, placed
from upswing.diagnose.funnel import funnel
from upswing.diagnose.funnel_result import FunnelResult, FunnelStep
from upswing.diagnose.milestones import propose_milestones
from upswing.events.log import EventLog
from upswing.metrics.candidate import Evidence
from upswing.metrics.quantity import Quantity
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.journey import Feeling, JourneyDefinition, Stage
from upswing.spec.steps import Step

_QUOTES: Final = 3
"""Notes shown per stage; the export has all."""


@dataclass(frozen=True, slots=True)
class Feel:
    """A point of the emotion curve, from -1 (worst score) to 1 (best).

    Attributes:
        score: weighted mean of the sources' mean scores; None without scores.
        lower: lower limit (95 %, t with Satterthwaite's degrees of freedom); None below two scores in a source.
        upper: upper limit.
        n: scores.
        sources: where they come from.
        hollow: fewer scores than the journey asks for.
    """

    score: float | None
    lower: float | None
    upper: float | None
    n: int
    sources: tuple[str, ...]
    hollow: bool


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage: what was said, and what happened.

    Attributes:
        stage: as written.
        users: who came to it; None where the log was not asked.
        passed: share of them who came to the next stage (or left the last one).
        lower: lower limit of `passed` (Wilson, 95 %).
        upper: upper limit.
        median_seconds: median time to the next stage.
        target: target of `passed`.
        standing: ``met``, ``missed`` or ``open`` against the target.
        feel: its point on the emotion curve.
        notes: notes of the stage.
        strange: scores off their scale, which are left out.
    """

    stage: Stage
    users: int | None
    passed: float | None
    lower: float | None
    upper: float | None
    median_seconds: float | None
    target: float | None
    standing: str | None
    feel: Feel
    notes: tuple[Note, ...]
    strange: int

    @property
    def gap(self) -> float | None:
        """Pass rate less target."""
        return None if self.passed is None or self.target is None else self.passed - self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyResult(Result):
    """A journey map with its numbers."""

    verb: ClassVar[str] = "journey"
    definition: JourneyDefinition
    stages: tuple[StageResult, ...]
    elsewhere: int

    def title(self) -> Text:
        """The question."""
        return text("What do users do and feel at each stage of {journey}?", journey=self.definition.shown)

    def verdict(self) -> Text:
        """The stage that loses most, and the one that hurts most."""
        losing = [s for s in self.stages if s.passed is not None]
        felt = [s for s in self.stages if s.feel.score is not None and not s.feel.hollow]
        if not losing:
            return text("No user has entered the journey yet.")
        weakest = min(losing, key=lambda s: s.passed if s.passed is not None else 1.0)
        lost = text(
            "Fewest go on from {stage}: {rate}",
            stage=weakest.stage.shown,
            rate=Quantity(weakest.passed or 0.0, "ratio"),
        )
        if not felt:
            return text("{lost}; no stage has enough scores to say how it feels.", lost=lost)
        saddest = min(felt, key=lambda s: s.feel.score if s.feel.score is not None else 1.0)
        if saddest is weakest:
            return text("{lost}, and it feels worst there too.", lost=lost)
        return text("{lost}; it feels worst at {stage}.", lost=lost, stage=saddest.stage.shown)

    def data(self) -> dict[str, object]:
        """Every stage."""
        return {
            "journey": self.definition.name,
            "persona": None if self.definition.persona is None else self.definition.persona.model_dump(),
            "stages": [_stage_data(s) for s in self.stages],
            "notes_elsewhere": self.elsewhere,
        }

    def tables(self) -> list[Table]:
        """Numbers, feelings, and what was written and said."""
        numbers = [
            (s.stage.shown, s.users, s.passed, s.lower, s.upper, s.median_seconds, s.target, s.gap)
            for s in self.stages
        ]  # fmt: skip
        feelings = [
            (s.stage.shown, s.feel.score, s.feel.lower, s.feel.upper, s.feel.n, ", ".join(s.feel.sources))
            for s in self.stages
        ]
        words = [
            (s.stage.shown, ", ".join(s.stage.touchpoints), s.stage.does or "", s.stage.thinks or "",
             "; ".join(s.stage.pains), "; ".join(i.text for i in s.stage.ideas))
            for s in self.stages
        ]  # fmt: skip
        said = [(s.stage.shown, n.source, n.score, n.text, n.id) for s in self.stages for n in _telling(s)]
        made = [Table("stages", text("What users do"), _NUMBERS, numbers)]
        hollow = any(s.feel.hollow and s.feel.n for s in self.stages)
        note = text("fewer than {n} scores: read with care", n=self.definition.min_n) if hollow else ""
        made.append(Table("feelings", text("What users feel"), _FEELINGS, feelings, note))
        made.append(Table("words", text("The map"), _MAP, words))
        if said:
            made.append(Table("notes", text("What users say"), _NOTES, said))
        return made

    def charts(self) -> list[Chart]:
        """The emotion curve over the stages, and the users."""
        found = [Chart("funnel", "stages", text("Users at each stage"), x="stage", y=("users",))]
        if any(s.feel.score is not None for s in self.stages):
            curve = Chart("interval", "feelings", text("Emotion curve"), x="stage", y=("score", "lower", "upper"))
            found.insert(0, curve)
        return found


def journey(
    log: EventLog,
    definition: JourneyDefinition,
    notes: Sequence[Note],
    *,
    start: str | None = None,
    stop: str | None = None,
    users: NDArray[np.int64] | None = None,
) -> JourneyResult:
    """The map with live numbers: a funnel over the stages' first events, and the scores of each stage's notes.

    Args:
        log: the event log.
        definition: the map.
        notes: what users said.
        start: first moment of the entry range.
        stop: its end, exclusive.
        users: sorted user keys to keep.

    Raises:
        UsageError: UP302 an event of a stage that the log does not have.
    """
    for stage in definition.stages:
        _require_events(log, definition, stage)
    answer = funnel(log, as_funnel(definition), start=start, stop=stop, users=users)
    where = placed(definition, notes)
    stages = tuple(_stage(definition, stage, where[stage.name], answer, i) for i, stage in enumerate(definition.stages))
    strange = sum(s.strange for s in stages)
    caveats = list(answer.how.caveats)
    if where[""]:
        nowhere = text(
            "{n} of {all} notes are in no stage: give stages `tags` (words) or `feels` (surveys), or put a note into a stage by "
            "hand", n=format_count(len(where[""])), all=format_count(len(notes)),
        )  # fmt: skip
        caveats.append(Caveat("notes_elsewhere", nowhere))
    if strange:
        caveats.append(Caveat("off_scale", text("{n} scores lie off their scale and are left out", n=strange)))
    how = HowComputed(
        definition={**definition.model_dump(mode="json", exclude_defaults=True), "hash": definition.hash},
        window=answer.how.window,
        method=text(
            "Users and pass rates: {funnel} Feelings: each source's scores on a scale from -1 to 1, their means weighted; "
            "interval by t with Satterthwaite's degrees of freedom",
            funnel=answer.how.method,
        ),
        sql=answer.how.sql, events=answer.how.events, users=answer.how.users, data_as_of=answer.how.data_as_of,
        engine=answer.how.engine, caveats=tuple(caveats), timings=answer.how.timings,
    )  # fmt: skip
    return JourneyResult(how=how, definition=definition, stages=stages, elsewhere=len(where[""]))


def as_funnel(definition: JourneyDefinition) -> FunnelDefinition:
    """The funnel over a journey's stages; where the last one has an end, that is a step as well."""
    events = [(s.enters, s.shown) for s in definition.stages]
    last = definition.stages[-1]
    if last.leaves is not None:
        events.append((last.leaves, str(text("{stage}: done", stage=last.shown))))
    targets = [None, *(s.target for s in definition.stages)]
    steps = [
        Step(event=match.event, any_of=match.any_of, where=match.where, name=name, target=target)
        for (match, name), target in zip(events, targets, strict=False)
    ]
    return FunnelDefinition(name=definition.name, steps=steps, window=definition.window)


def told(definition: JourneyDefinition, notes: Sequence[Note]) -> dict[str, tuple[Evidence, ...]]:
    """What was said in each stage, under the events that the stage leads to: where a growth point would be.

    Args:
        definition: the map.
        notes: what users said.

    Returns:
        Event → the most telling notes, then how many there are and how it feels.
    """
    where = placed(definition, notes)
    ends = [*(s.enters for s in definition.stages[1:]), definition.stages[-1].leaves]
    found: dict[str, tuple[Evidence, ...]] = {}
    for stage, end in zip(definition.stages, ends, strict=True):
        said = where[stage.name]
        if end is None or not said:
            continue
        quotes = [
            Evidence("qualitative", text("“{said}” ({source})", said=n.text, source=n.source), 1)
            for n in _most_telling(said)
        ]
        point = feel(definition, stage, said)[0]
        count = text("{n} notes on “{stage}”", n=len(said), stage=stage.shown)
        if point.score is not None:
            count = text("{n} notes on “{stage}”; feeling {score} from {k} scores (−1 worst, 1 best)", n=len(said),
                         stage=stage.shown, score=f"{point.score:.2f}".replace("-", "−"), k=point.n)  # fmt: skip
        for event in end.events or ():
            found[event] = (*quotes, Evidence("qualitative", count, len(said)))
    return found


def draft(log: EventLog, name: str, *, start: str | None = None, stop: str | None = None) -> dict[str, Any]:
    """A journey mined from the events, for a person to name: frequent milestones in their usual order.

    Raises:
        DataError: UP315 fewer than two events to make a way from.
    """
    lo, hi = log.resolve_range(start, stop)
    found = propose_milestones(log, start=lo, stop=hi)
    stages: list[dict[str, Any]] = []
    for i, (event, following) in enumerate(pairwise((*found.events, ""))):
        if following == "" and i > 0:
            stages[-1]["leaves"] = {"event": event}
            break
        stages.append(_drafted(event, i))
    if len(stages) < 2:  # two milestones: both are stages
        stages.append(_drafted(found.events[-1], 1))
        stages[0].pop("leaves", None)
    return {"kind": "journey", "name": name, "window": f"{found.window_days}d", "stages": stages}


def _require_events(log: EventLog, definition: JourneyDefinition, stage: Stage) -> None:
    """A stage whose event never occurs is named with its journey, which is a file that somebody wrote."""
    leaves = () if stage.leaves is None else stage.leaves.events or ()
    try:
        log.require_known((*(stage.enters.events or ()), *leaves))
    except UsageError as error:
        raise UsageError(
            text("stage '{stage}' of journey '{journey}': {cause}", stage=stage.name, journey=definition.name,
                 cause=error.message),
            code="UP302", hint=error.hint,
        ) from None  # fmt: skip


def _drafted(event: str, index: int) -> dict[str, Any]:
    """A stage named like its event where that is a name."""
    plain_name = re.fullmatch(r"[a-z][a-z0-9_]*", event) is not None
    return {"name": event if plain_name else f"stage_{index + 1}", "label": event, "enters": {"event": event}}


def feel(definition: JourneyDefinition, stage: Stage, notes: Sequence[Note]) -> tuple[Feel, int]:
    """A stage's point on the emotion curve, and the number of scores off their scale."""
    used: list[tuple[Feeling, NDArray[np.float64]]] = []
    strange = 0
    for source in stage.feels:
        scores = np.array([n.score for n in notes if n.source == source.survey and n.score is not None])
        inside = (scores >= source.low) & (scores <= source.high) if len(scores) else np.zeros(0, bool)
        strange += int(len(scores) - inside.sum())
        if inside.any():
            used.append((source, 2 * (scores[inside] - source.low) / (source.high - source.low) - 1))
    n = sum(len(scores) for _, scores in used)
    if not used:
        return Feel(None, None, None, 0, (), True), strange
    weights = np.array([source.weight for source, _ in used])
    weights = weights / weights.sum()
    score = float(weights @ np.array([scores.mean() for _, scores in used]))
    lower = upper = None
    if all(len(scores) >= 2 for _, scores in used):
        parts = weights**2 * np.array([scores.var(ddof=1) / len(scores) for _, scores in used])
        variance = float(parts.sum())
        if variance > 0:
            freedom = variance**2 / float(sum(p**2 / (len(s) - 1) for p, (_, s) in zip(parts, used, strict=True)))
            half = float(distributions.t.ppf(0.975, freedom)) * float(np.sqrt(variance))
            lower, upper = max(-1.0, score - half), min(1.0, score + half)
    return Feel(score, lower, upper, n, tuple(f.survey for f, _ in used), n < definition.min_n), strange


def _stage(
    definition: JourneyDefinition, stage: Stage, notes: Sequence[Note], answer: FunnelResult, i: int
) -> StageResult:
    here = answer.steps[i]
    after: FunnelStep | None = answer.steps[i + 1] if i + 1 < len(answer.steps) else None
    point, strange = feel(definition, stage, notes)
    judged = None if after is None else after.target
    return StageResult(
        stage=stage,
        users=here.users,
        passed=None if after is None else after.rate_from_previous,
        lower=None if after is None else after.lower,
        upper=None if after is None else after.upper,
        median_seconds=None if after is None else after.median_seconds_from_previous,
        target=stage.target,
        standing=None if judged is None else judged.standing,
        feel=point,
        notes=tuple(notes),
        strange=strange,
    )


def _telling(stage: StageResult) -> list[Note]:
    return _most_telling(stage.notes)


def _most_telling(notes: Sequence[Note]) -> list[Note]:
    """The notes that say most: the lowest scores first, then the longest."""
    said = [n for n in notes if n.text]
    worst = float("inf")
    return sorted(said, key=lambda n: (n.score if n.score is not None else worst, -len(n.text)))[:_QUOTES]


def _stage_data(s: StageResult) -> dict[str, object]:
    return {
        "name": s.stage.name, "label": s.stage.shown, "touchpoints": s.stage.touchpoints, "does": s.stage.does,
        "thinks": s.stage.thinks, "pains": s.stage.pains, "ideas": [i.model_dump() for i in s.stage.ideas],
        "users": s.users, "pass_rate": s.passed, "lower": s.lower, "upper": s.upper,
        "median_seconds": s.median_seconds, "target": s.target, "gap": s.gap, "standing": s.standing,
        "emotion": {"score": s.feel.score, "lower": s.feel.lower, "upper": s.feel.upper, "n": s.feel.n,
                    "sources": list(s.feel.sources), "hollow": s.feel.hollow},
        "notes": len(s.notes), "scores_off_scale": s.strange,
        "quotes": [{"id": n.id, "source": n.source, "score": n.score, "text": n.text} for n in _telling(s)],
    }  # fmt: skip


_NUMBERS: Final = (
    Column("stage", text("Stage")), Column("users", text("Users"), "count"), Column("passed", text("Go on"), "ratio"),
    Column("lower", text("from"), "ratio"), Column("upper", text("to"), "ratio"),
    Column("median_seconds", text("Median time"), "seconds"), Column("target", text("Target"), "ratio"),
    Column("gap", text("Gap"), "difference"),
)  # fmt: skip
_FEELINGS: Final = (
    Column("stage", text("Stage")), Column("score", text("Feeling"), "score", text("-1 worst, 1 best")),
    Column("lower", text("from"), "score"), Column("upper", text("to"), "score"),
    Column("n", text("Scores"), "count"), Column("sources", text("Sources")),
)  # fmt: skip
_MAP: Final = (
    Column("stage", text("Stage")), Column("touchpoints", text("Touchpoints")), Column("does", text("Does")),
    Column("thinks", text("Thinks")), Column("pains", text("What hurts")), Column("ideas", text("Ideas")),
)  # fmt: skip
_NOTES: Final = (
    Column("stage", text("Stage")), Column("source", text("Source")), Column("score", text("Score"), "number"),
    Column("text", text("Said")), Column("id", text("Note")),
)  # fmt: skip
