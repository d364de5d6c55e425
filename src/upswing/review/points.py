"""Growth points: every source's candidates, sized in the north star per week, each lost user once, ranked."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import Text, text
from upswing.core.numbers import format_number, format_rate
from upswing.core.results import Caveat, Cell, Chart, Column, HowComputed, Result, Table
from upswing.diagnose.weak_points import MIN_USERS
from upswing.metrics.candidate import Candidate
from upswing.metrics.quantity import Quantity
from upswing.review.setting import NorthStar, Setting
from upswing.review.sizing import CLOSED, GrowthPoint, rank, total
from upswing.review.sources import BUILT_IN, Source

MOST: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPointsResult(Result):
    """Ranked growth points.

    Args:
        points: sound ones first, by gain.
        closed: share of each gap that is taken to close.
        north_star: what gains are in.
        together: gain of all sound points, each lost user once, with limits.
        dimensions: properties that groups were compared by.
        left_out: sources that could not look, and why.
    """

    verb: ClassVar[str] = "growth-points"
    points: tuple[GrowthPoint, ...]
    closed: float
    north_star: NorthStar
    together: tuple[float, float, float]
    dimensions: tuple[str, ...]
    left_out: tuple[Caveat, ...] = ()

    def title(self) -> Text:
        """The question."""
        return text("What is worth fixing first?")

    def verdict(self) -> Text | str:
        """The first point with its size, or that there is none."""
        sound = [p for p in self.points if p.sound and p.gain > 0]
        if not sound and not self.dimensions:
            return text(
                "No gap could be looked for but between weeks: the log has no property to compare users by. Import one with "
                "the events (channel, platform, plan), or declare a target"
            )
        if not sound and self.points:
            return text(
                "{n} gaps stand out, and none is left to close: each is over, made by tracking, or explained by something else",
                n=len(self.points),
            )
        if not sound and (self.how.users or 0) < 2 * MIN_USERS:
            return text("{n} users whose window has closed are too few to find a gap among", n=self.how.users or 0)
        if not sound:
            return text("No gap stands out beyond chance: there is nothing to size yet")
        return self.sentence(sound[0])

    def sentence(self, point: GrowthPoint) -> Text:
        """One point as a growth manager would say it."""
        found = point.candidate
        alike = Quantity(found.gap, "ratio", change=True)
        return text(
            "{gap}. Closing {share} of it is worth {gain} more a week in “{star}” [{low} to {high}]",
            gap=text("{gap}; between users alike it is {alike}", gap=found.sentence, alike=alike)
            if found.mixed
            else found.sentence,
            share=format_rate(self.closed, digits=0),
            gain=_whole(point.gain),
            star=self.north_star.metric.shown,
            low=_whole(point.lower),
            high=_whole(point.upper),
        )

    def data(self) -> dict[str, object]:
        """Points with all that they are made of."""
        return {
            "north_star": {
                "metric": self.north_star.metric.name, "label": self.north_star.metric.shown,
                "declared": self.north_star.declared, "horizon_weeks": self.north_star.horizon,
            },
            "closed": self.closed,
            "together": dict(zip(("gain", "lower", "upper"), self.together, strict=True)),
            "points": [_point(p) for p in self.points],
            "dimensions": list(self.dimensions),
            "left_out": [c.to_dict() for c in self.left_out],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """The ranking, what speaks for and against each, and the drafts."""
        return [self._ranking(), self._evidence(), self._drafts()] if self.points else [self._ranking()]

    def charts(self) -> list[Chart]:
        """None: the ranking is the picture."""
        return []

    def _ranking(self) -> Table:
        star = self.north_star.metric.shown
        columns = (
            Column("rank", "#", "count"),
            Column("place", text("What is not passed")),
            Column("who", text("By whom")),
            Column("rate", text("Pass rate"), "ratio"),
            Column("reference", text("Reference"), "ratio", text("of the best comparable users, or the target")),
            Column("per_week", text("Users/week"), "number", text("who come to it now")),
            Column("worth", text("Worth of one"), "number",
                   text("what one more who passes adds to “{star}” over {n} weeks", star=star, n=self.north_star.horizon)),
            Column("gain", text("Gain/week"), "number",
                   text("in “{star}”, if {share} of the gap closes", star=star, share=format_rate(self.closed, digits=0))),
            Column("lower", text("from"), "number", text("95 %, corrected for what it was chosen from")),
            Column("upper", text("to"), "number"),
            Column("own", text("Of its own"), "number", text("not counted under a point above")),
            Column("doubts", text("Doubts")),
        )  # fmt: skip
        rows: list[tuple[Cell, ...]] = [
            (
                i, p.candidate.place, p.candidate.who, p.candidate.rate, p.candidate.reference, _round(p.candidate.per_week),
                _round(p.candidate.worth.value), _round(p.gain), _round(p.lower), _round(p.upper), _round(p.own),
                _doubt_words(p.candidate),
            )
            for i, p in enumerate(self.points, start=1)
        ]  # fmt: skip
        note = text(
            "Gain = {share} of the gap × users per week × worth of one more who passes. All sound points together, each lost "
            "user once: {gain} [{low} to {high}]. A gap is an observation: whoever passes now may be keener than whoever would "
            "pass then, so take the size as an upper guess until an experiment has measured it",
            share=format_rate(self.closed, digits=0), gain=_whole(self.together[0]), low=_whole(self.together[1]),
            high=_whole(self.together[2]),
        )  # fmt: skip
        return Table("growth_points", text("Growth points, largest gain first"), columns, rows, note if rows else "")

    def _evidence(self) -> Table:
        columns = (
            Column("rank", "#", "count"),
            Column("kind", text("Kind")),
            Column("sentence", text("What speaks for and against it")),
        )
        kinds = {"quantitative": text("counted"), "qualitative": text("told by users")}
        doubts = _doubt_names()
        rows: list[tuple[Cell, ...]] = []
        for i, p in enumerate(self.points, start=1):
            rows += [(i, kinds[e.kind], e.sentence) for e in p.candidate.evidence]
            rows += [
                (i, text("doubt: {what}", what=doubts.get(c.code, c.code)), c.message) for c in p.candidate.confounders
            ]
        return Table("evidence", text("Evidence and doubts"), columns, rows)

    def _drafts(self) -> Table:
        columns = (
            Column("rank", "#", "count"),
            Column("state", text("State of mind")),
            Column("trace", text("Its trace in the data")),
            Column("lever", text("The change that moves it")),
        )
        rows: list[tuple[Cell, ...]] = [
            (i, p.candidate.draft.state, p.candidate.draft.trace, p.candidate.draft.lever)
            for i, p in enumerate(self.points, start=1)
        ]
        return Table("drafts", text("Drafts of hypotheses"), columns, rows)


def growth_points(
    setting: Setting,
    *,
    sources: Sequence[Source] = BUILT_IN,
    extra: Sequence[Candidate] = (),
    closed: float = CLOSED,
    most: int = MOST,
    tell: Callable[[object], None] = lambda _: None,
) -> GrowthPointsResult:
    """Collect, size and rank.

    Args:
        setting: the ground, from `build_setting`.
        sources: functions that find candidates; one that cannot look is told apart and does not stop the others.
        extra: candidates of other rooms, ready made.
        closed: share of each gap that is taken to close, in (0, 1].
        most: points shown at most.
        tell: told when the sources begin.

    Raises:
        UsageError: UP663 a share that is not in (0, 1].
    """
    if not 0 < closed <= 1:
        raise UsageError(
            text("the share of a gap that closes lies above 0 and at most at 1, not {share}", share=closed),
            code="UP663",
        )
    begun = clock.perf_counter()
    tell(text("growth points"))
    found: list[Candidate] = list(extra)
    missing: list[Caveat] = []
    for source in sources:
        try:
            found += source(setting)
        except UpswingError as error:
            name = getattr(source, "__name__", "source")
            missing.append(
                Caveat(name, text("{part} could not be computed: {reason}", part=name, reason=error.message))
            )
    ranked = rank(found, closed=closed)
    missing = [*setting.missing, *missing]
    if setting.north_star.note is not None:
        missing.append(Caveat("north_star", setting.north_star.note))
    how = HowComputed(
        definition={
            "milestones": list(setting.path.events), "dimensions": list(setting.dimensions), "within": str(setting.window),
            "north_star": setting.north_star.metric.model_dump(mode="json", exclude_defaults=True),
            "horizon_weeks": setting.north_star.horizon, "closed": closed,
        },
        window=setting.log.window(setting.start, setting.stop),
        method=text(
            "Gaps against the best comparable users or a target, over users whose window has closed; Newcombe limits corrected "
            "for the choice, false discovery rate of 5 % over all gaps of a step path (Benjamini–Yekutieli). Worth: the north "
            "star of those who passed minus that of those who did not, over the horizon. Interval of the product by MOVER (Zou "
            "and Donner 2008). Mix and season by direct standardisation"
        ),
        sql=setting.whole.how.sql,
        events=setting.log.schema.n_events,
        users=len(setting.users),
        data_as_of=setting.log.calendar.local(setting.horizon),
        engine=setting.log.engine.name,
        caveats=tuple(missing),
        timings={"total": clock.perf_counter() - begun},
    )  # fmt: skip
    return GrowthPointsResult(
        how=how, points=tuple(ranked[:most]), closed=closed, north_star=setting.north_star, together=total(ranked),
        dimensions=setting.dimensions, left_out=tuple(missing),
    )  # fmt: skip


def _point(p: GrowthPoint) -> dict[str, object]:
    c = p.candidate
    return {
        "source": c.source, "place": c.place, "who": c.who, "stage": c.stage or None, "sentence": str(c.sentence),
        "rate": c.rate, "users": c.users, "reference": c.reference, "reference_name": str(c.reference_name),
        "gap": c.gap, "mixed": c.mixed,
        "gap_lower": c.gap_lower, "gap_upper": c.gap_upper, "p_value": c.p_value, "per_week": c.per_week,
        "worth": c.worth.value, "worth_error": c.worth.error, "gain": p.gain, "lower": p.lower, "upper": p.upper,
        "own": p.own, "overlap": p.overlap, "sound": p.sound,
        "also": list(p.also),
        "evidence": [{"kind": e.kind, "n": e.n, "sentence": str(e.sentence)} for e in c.evidence],
        "doubts": [d.to_dict() for d in c.confounders],
        "draft": {"state": str(c.draft.state), "trace": str(c.draft.trace), "lever": str(c.draft.lever)},
    }  # fmt: skip


def _doubt_names() -> dict[str, Text]:
    return {
        "mix": text("mix"), "season": text("season"), "maturity": text("maturity"), "tracking": text("tracking"),
        "ended": text("over"), "explained": text("explained otherwise"), "selection": text("selection"),
    }  # fmt: skip


class _Doubts(Text):
    """Names of doubts, each once, in the language in force when shown."""

    __slots__ = ("codes",)

    def __init__(self, codes: Sequence[str]) -> None:
        super().__init__("", {})
        self.codes = tuple(dict.fromkeys(codes))

    def __str__(self) -> str:
        names = _doubt_names()
        return ", ".join(str(names.get(code, code)) for code in self.codes)


def _doubt_words(candidate: Candidate) -> Text:
    return _Doubts([c.code for c in candidate.confounders])


def _whole(value: float) -> str:
    return format_number(float(round(value)) if abs(value) >= 10 else round(value, 2))


def _round(value: float) -> float:
    return float(round(value)) if abs(value) >= 10 else round(value, 2)
