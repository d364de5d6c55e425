"""The backlog of hypotheses, ranked; and how well its forecasts have come true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Chart, Column, HowComputed, Result, Table, Window
from upswing.spec.hypothesis import OPEN, STAGES, HypothesisDefinition
from upswing.strategy.calibration import NOMINAL, Calibration, EndedExperiment, Record, calibrate, ended_of
from upswing.strategy.ranking import Worth, judge, needed_users, prior_of

Ranking: TypeAlias = Literal["value", "ice", "rice"]
Direction: TypeAlias = Literal["up", "down"]
RANKINGS: Final[tuple[Ranking, ...]] = ("value", "ice", "rice")
STAGE_WORDS: Final[Mapping[str, Text]] = {
    "idea": text("idea"), "ready": text("ready"), "running": text("running"), "decided": text("decided"),
    "shipped": text("shipped"), "dropped": text("dropped"), "archived": text("archived"),
}  # fmt: skip
_SOURCE_WORDS: Final[Mapping[str, Text]] = {
    "growth_point": text("growth point"), "experiment": text("earlier experiment"), "analogy": text("analogy"),
    "research": text("research"), "judgement": text("judgement"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ranked:
    """A hypothesis with what it is worth."""

    hypothesis: HypothesisDefinition
    worth: Worth

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        h, w = self.hypothesis, self.worth
        return {
            "name": h.name, "label": h.shown, "stage": h.stage, "state": h.state, "trace": h.trace, "lever": h.lever,
            "metric": h.metric, "segment": h.segment, "growth_point": h.growth_point, "owner": h.owner,
            "reach": h.reach, "cost": h.cost, "experiment": h.experiment, "ice": w.ice, "rice": w.rice,
            "effect": w.effect, "effect_sd": w.effect_sd, "test_days": w.days, "probability_ships": w.ships,
            "gain": w.gain, "gain_per_day": w.per_day, "net": w.net, "needs": list(w.needs),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogResult(Result):
    """Hypotheses in the order asked for, and the record of forecasts."""

    verb: ClassVar[str] = "hypotheses"
    ranked: tuple[Ranked, ...]
    by: Ranking
    calibration: Calibration
    stage: str | None = None

    def title(self) -> Text:
        """The question."""
        return text("Which hypothesis is worth trying next?")

    def verdict(self) -> Text:
        """The first of the list that is still open."""
        if not self.ranked:
            return text("There is no hypothesis yet.")
        first = next((r for r in self.ranked if r.hypothesis.stage in ("idea", "ready")), None)
        if first is None:
            return text("Every hypothesis is being tested or has been answered.")
        if self.by == "value" and first.worth.per_day is not None:
            return text(
                "Next: {name}. A test of {days} days ships with probability {p} %.",
                name=first.hypothesis.shown, days=first.worth.days, p=round(100 * (first.worth.ships or 0)),
            )  # fmt: skip
        return text("Next: {name}.", name=first.hypothesis.shown)

    def data(self) -> dict[str, object]:
        """The ranked rows and the record of forecasts."""
        everybody = self.calibration.everybody
        return {
            "ranked_by": self.by,
            "hypotheses": [r.to_dict() for r in self.ranked],
            "calibration": {
                "nominal": NOMINAL,
                "everybody": _record_data(everybody),
                "forecasters": [_record_data(r) for r in self.calibration.people.values()],
                "sources": [_record_data(r) for r in self.calibration.sources.values()],
            },
        }

    def tables(self) -> list[Table]:
        """The backlog as cards in words, its figures, and the record of forecasts."""
        note = "" if self.ranked else text("write one down: upswing new hypothesis NAME")
        figures = [
            (r.hypothesis.shown, r.worth.ice, r.worth.rice, r.worth.effect, r.hypothesis.reach, r.worth.days,
             r.worth.ships, r.worth.per_day, r.worth.gain, r.hypothesis.cost, r.worth.net, ", ".join(r.worth.needs))
            for r in self.ranked
        ]  # fmt: skip
        words = [
            (r.hypothesis.shown, STAGE_WORDS[r.hypothesis.stage], r.hypothesis.state, r.hypothesis.trace,
             r.hypothesis.lever, r.hypothesis.owner or "")
            for r in self.ranked
        ]  # fmt: skip
        made = [Table("ranking", text("Worth and cost"), _FIGURES, figures, note)]
        made.append(Table("hypotheses", text("State, trace, lever"), _WORDS, words))
        if self.calibration.everybody.n:
            made.append(_calibration_table(self.calibration))
        return made

    def charts(self) -> list[Chart]:
        """Cost against value."""
        if sum(r.worth.per_day is not None and r.hypothesis.cost is not None for r in self.ranked) < 2:
            return []
        return [Chart("scatter", "ranking", text("Cost and value"), x="cost", y=("gain_per_day",), series="name")]


def backlog(
    hypotheses: Sequence[HypothesisDefinition],
    *,
    window: Window,
    by: Ranking = "value",
    stage: str | None = None,
    ended: Sequence[EndedExperiment] = (),
    baselines: Mapping[str, float] | None = None,
    directions: Mapping[str, Direction] | None = None,
    horizon_weeks: int = 26,
    day_cost: float | None = None,
) -> BacklogResult:
    """Rank hypotheses by expected value per day of traffic, ICE or RICE.

    Args:
        hypotheses: the workspace's, in any stage; answered ones teach the prior and the record of forecasts.
        window: the range in which baselines were measured, for the account.
        by: what decides the order; what cannot be computed comes last.
        stage: only hypotheses of this stage; the open ones otherwise.
        ended: further ended experiments.
        baselines: metric → its value today.
        directions: metric → which way is good.
        horizon_weeks: weeks over which a shipped effect counts.
        day_cost: money per person-day.

    Raises:
        UsageError: UP670 an unknown ranking or stage.
    """
    _require("by", by, RANKINGS)
    if stage is not None:
        _require("stage", stage, (*STAGES, "all"))
    known, ways = baselines or {}, directions or {}
    results = [*ended_of(hypotheses), *ended]
    record = calibrate(hypotheses, ended)
    wanted = [h for h in hypotheses if stage == "all" or h.stage in ((stage,) if stage else OPEN)]
    ranked = [
        Ranked(
            h,
            judge(
                h, calibration=record, ended=results, baseline=known.get(h.metric or ""),
                better=ways.get(h.metric or "", "up"), horizon_weeks=horizon_weeks, day_cost=day_cost,
            ),
        )
        for h in wanted
    ]  # fmt: skip
    ranked.sort(key=lambda r: (_key(r.worth, by) is None, -(_key(r.worth, by) or 0.0), r.hypothesis.name))
    how = HowComputed(
        definition={"by": by, "stage": stage, "horizon_weeks": horizon_weeks, "ended_experiments": len(results)},
        window=window,
        method=text(
            "Forecast points by the 30-40-30 rule, corrected by the forecaster's record, combined with the effects of "
            "{n} ended experiments; a test of two equal arms ships above 1.96 standard errors; gain over {weeks} weeks, "
            "divided by the days of the best test of 1 to 8 weeks",
            n=len(results), weeks=horizon_weeks,
        ),
        caveats=tuple(_caveats(ranked, results, wanted)),
    )  # fmt: skip
    return BacklogResult(how=how, ranked=tuple(ranked), by=by, calibration=record, stage=stage)


def draft_experiment(hypothesis: HypothesisDefinition, *, baseline: float | None = None) -> dict[str, Any]:
    """An experiment file for a hypothesis: two equal arms, the users that its likely effect needs.

    Raises:
        UsageError: UP671 the hypothesis names no metric.
    """
    if hypothesis.metric is None:
        raise UsageError(
            text("hypothesis '{name}' names no metric, so nothing can decide it", name=hypothesis.name),
            code="UP671",
            hint=text("write 'metric: NAME' into it"),
        )
    primary: dict[str, Any] = {"metric": hypothesis.metric}
    forecast = hypothesis.forecast
    level = hypothesis.baseline if hypothesis.baseline is not None else baseline
    if forecast is not None and forecast.likely:
        relative = forecast.likely if forecast.scale == "relative" else (forecast.likely / level if level else None)
        if relative:
            primary["mde_rel"] = float(f"{abs(relative):.4g}")
    body: dict[str, Any] = {
        "kind": "experiment", "name": hypothesis.name, "hypothesis": hypothesis.name, "status": "draft",
        "unit": "user", "variants": {"control": 0.5, "treatment": 0.5}, "control": "control", "primary": primary,
    }  # fmt: skip
    if hypothesis.owner:
        body["owner"] = hypothesis.owner
    if hypothesis.segment:
        body["audience"] = hypothesis.segment
    users = needed_users(hypothesis, baseline)
    if users is not None:
        body["users_needed"] = users
    return body


_FIGURES: Final = (
    Column("name", text("Hypothesis")),
    Column("ice", text("ICE"), "score", text("impact × confidence × ease")),
    Column("rice", text("RICE"), "score", text("reach × impact × confidence ÷ cost")),
    Column("effect", text("Expected effect"), "change"),
    Column("reach", text("Users a week"), "count"),
    Column("test_days", text("Days of test"), "count"),
    Column("ships", text("Ships with probability"), "ratio"),
    Column("gain_per_day", text("Gain per day of traffic"), "number"),
    Column("gain", text("Expected gain"), "number"),
    Column("cost", text("Cost, person-days"), "number"),
    Column("net", text("Net of cost"), "number"),
    Column("needs", text("Missing")),
)
_WORDS: Final = (
    Column("name", text("Hypothesis")),
    Column("stage", text("Stage")),
    Column("state", text("What users feel")),
    Column("trace", text("Trace in the data")),
    Column("lever", text("Lever")),
    Column("owner", text("Owner")),
)


def _calibration_table(calibration: Calibration) -> Table:
    columns = (
        Column("who", text("Forecasts by")), Column("n", text("With result"), "count"),
        Column("inside", text("Inside the range"), "ratio", text("{share} % is right", share=round(100 * NOMINAL))),
        Column("lower", text("from"), "ratio"), Column("upper", text("to"), "ratio"),
        Column("bias", text("Too hopeful by"), "change"), Column("sign", text("Right direction"), "ratio"),
    )  # fmt: skip
    everybody = calibration.everybody
    rows = [_calibration_row(text("everybody"), everybody)]
    rows += [_calibration_row(who, r) for who, r in calibration.people.items()]
    rows += [_calibration_row(_SOURCE_WORDS[source], r) for source, r in calibration.sources.items()]
    return Table("calibration", text("Forecasts and results"), columns, rows)


def _calibration_row(
    who: Text | str, r: Record
) -> tuple[Text | str, int, float | None, float | None, float | None, float | None, float | None]:
    return (who, r.n, r.share_inside, r.inside_lower, r.inside_upper, r.bias, r.sign)


def _record_data(r: Record) -> dict[str, object]:
    return {
        "who": r.who, "n": r.n, "inside": r.inside, "share_inside": r.share_inside, "lower": r.inside_lower,
        "upper": r.inside_upper, "bias": r.bias, "extra_sd": r.extra_sd, "right_direction": r.sign,
    }  # fmt: skip


def _key(worth: Worth, by: Ranking) -> float | None:
    return {"value": worth.per_day, "ice": worth.ice, "rice": worth.rice}[by]


def _caveats(
    ranked: Sequence[Ranked], results: Sequence[EndedExperiment], wanted: Sequence[HypothesisDefinition]
) -> list[Caveat]:
    found = []
    lacking = [r.hypothesis.name for r in ranked if r.worth.needs]
    if lacking:
        found.append(Caveat("incomplete", text("no value can be computed for: {names}", names=", ".join(lacking[:5]))))
    if wanted and all(prior_of(results, h.metric) is None for h in wanted):
        message = text("fewer than 5 ended experiments: forecasts are taken at their word, which is usually too much")
        found.append(Caveat("no_prior", message))
    return found


def _require(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(
            text("'{value}' is not a value of {key}", value=value, key=key),
            code="UP670",
            hint=did_you_mean(value, known),
        )
