"""What the aha search answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Chart, Column, Result, Table, show
from upswing.core.units import Duration
from upswing.diagnose.aha_dose import DoseCurve
from upswing.diagnose.aha_draft import Experiment
from upswing.diagnose.aha_search import Finding, Status
from upswing.diagnose.candidates import Candidate


@dataclass(frozen=True, slots=True)
class AhaFinding:
    """A behaviour with what was found about it.

    Attributes:
        behaviour: its name.
        count: at least so many times.
        window: within so long after the start.
        found: effects, on the confirmation half.
        curve: outcome by dose; None for findings far down the list.
        experiment: draft for a confirmed finding.
    """

    behaviour: str
    count: int
    window: Duration
    found: Finding
    curve: DoseCurve | None
    experiment: Experiment | None

    @property
    def sentence(self) -> Text:
        """The behaviour as a sentence."""
        return text(
            "{count} × {behaviour} within {window}", count=self.count, behaviour=self.behaviour, window=self.window
        )

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        f, c, e = self.found, self.curve, self.experiment
        return {
            "behaviour": self.behaviour, "count": self.count, "window": str(self.window), "status": f.status,
            "users": f.users, "shown": f.shown, "rate_with": f.rate_with, "rate_without": f.rate_without,
            "difference": f.raw.to_dict(), "adjusted": f.adjusted.to_dict(),
            "overlap": None if c is None or c.overlap is None else c.overlap.to_dict(),
            "mcc": f.phi.to_dict(), "lift": f.lift, "ppv": f.ppv.to_dict(), "sensitivity": f.sensitivity.to_dict(),
            "p_discovery": f.p_discovery, "p_raw": f.p_raw, "p_confirmation": f.p_confirmation,
            "dose": None if c is None else {
                "threshold": c.threshold, "stability": c.stability, "effect": c.effect.to_dict(),
                "curve": [
                    {"dose": d.dose, "users": d.users, "rate": d.rate.to_dict(), "adjusted": d.adjusted} for d in c.doses
                ],
            },
            "experiment": None if e is None else {
                "effect": e.effect, "base_rate": e.base_rate, "users": e.users, "yaml": e.yaml,
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AhaResult(Result):
    """Findings, best first: confirmed ones, then those that strata explain, those that go with less, the unconfirmed."""

    verb: ClassVar[str] = "aha"
    outcome: str
    outcome_window: Text
    findings: tuple[AhaFinding, ...]
    judged: int
    out_of_bounds: int
    behaviours: int
    users_seen: int
    users_reached: int
    waiting: int
    overlapping: int
    adjusted_for: tuple[str, ...]
    fdr: float

    def of(self, status: Status) -> tuple[AhaFinding, ...]:
        """Findings with a status."""
        return tuple(f for f in self.findings if f.found.status == status)

    @property
    def recommended(self) -> AhaFinding | None:
        """The confirmed finding with the largest difference within strata that can be relied on (its lower limit)."""
        return next(iter(self.of("confirmed")), None)

    def title(self) -> Text:
        """The question."""
        return text(
            "What do users who stay do early? ({outcome}, {window})", outcome=self.outcome, window=self.outcome_window
        )

    def verdict(self) -> Text:
        """The best confirmed finding."""
        best = self.recommended
        if best is None and not self.judged:
            return text("Nothing could be judged: too few users ({n}), or behaviours of nearly all or nearly none of them.",
                        n=f"{self.users_seen:,}")  # fmt: skip
        if best is None:
            return text("No behaviour is confirmed: {n} were judged, none holds on other users.", n=f"{self.judged:,}")
        f = best.found
        return text(
            "{behaviour}: {with_} stay, of the others {without}; {adjusted} within like users (95 %: {lower} to {upper}).",
            behaviour=best.sentence, with_=show(f.rate_with, "ratio"), without=show(f.rate_without, "ratio"),
            adjusted=show(f.adjusted.estimate, "difference"), lower=show(f.adjusted.lower, "difference"),
            upper=show(f.adjusted.upper, "difference"),
        )  # fmt: skip

    def candidates(self) -> tuple[Candidate, ...]:
        """Each confirmed behaviour as something to work on: the users who do not reach it yet."""
        found = []
        for finding in self.of("confirmed"):
            f = finding.found
            missing = round((1 - f.shown / f.users) * self.users_seen)
            found.append(
                Candidate(
                    source=self.verb,
                    key=f"{finding.behaviour}_{finding.count}_{finding.window}",
                    state=text("New users leave before they have felt the value"),
                    trace=text("{n} of {total} users do not reach {behaviour}", n=f"{missing:,}",
                               total=f"{self.users_seen:,}", behaviour=finding.sentence),
                    lever=text("Bring new users to {behaviour}", behaviour=finding.sentence),
                    metric=text("users with {outcome}", outcome=self.outcome),
                    users=missing,
                    gain=missing * f.adjusted.estimate,
                    lower=missing * f.adjusted.lower,
                    upper=missing * f.adjusted.upper,
                    basis=text("observed association within strata, not an experiment"),
                    definition={"behaviour": finding.behaviour, "count": finding.count, "window": str(finding.window)},
                )
            )  # fmt: skip
        return tuple(found)

    def data(self) -> dict[str, object]:
        """Findings with all measures, and how many were judged."""
        return {
            "outcome": self.outcome, "outcome_window": str(self.outcome_window), "users": self.users_seen,
            "reached": self.users_reached, "waiting": self.waiting, "overlapping": self.overlapping,
            "behaviours": self.behaviours, "judged": self.judged, "out_of_bounds": self.out_of_bounds,
            "adjusted_for": list(self.adjusted_for), "fdr": self.fdr,
            "recommended": None if self.recommended is None else self.recommended.behaviour,
            "findings": [f.to_dict() for f in self.findings],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """Findings; the dose curve of the first; drafts of experiments."""
        tables = [Table("findings", text("Behaviours"), _FINDINGS, [_row(f) for f in self.findings], self._note())]
        tables += [_dose_table(f) for f in self.findings[:1] if f.curve is not None]
        drafts: list[tuple[Cell, ...]] = [
            (
                f.sentence,
                f.experiment.base_rate,
                f.experiment.effect,
                f.experiment.low,
                f.experiment.high,
                f.experiment.users,
            )
            for f in self.findings
            if f.experiment is not None
        ]
        if drafts:
            tables.append(Table("experiments", text("What would prove it"), _EXPERIMENTS, drafts))
        return tables

    def charts(self) -> list[Chart]:
        """Raw and adjusted differences, and the dose curve of the first finding."""
        if not self.findings:
            return []
        charts = [
            Chart(
                "bar", "findings", text("Difference, raw and within like users"), x="behaviour", y=("raw", "adjusted")
            )
        ]
        first = self.findings[0]
        if first.curve is not None:
            charts.append(
                Chart("dose", "dose", text("Outcome by times of {behaviour}", behaviour=first.behaviour),
                      x="dose", y=("rate", "adjusted", "lower", "upper"), marks=(("x", float(first.curve.threshold)),))
            )  # fmt: skip
        return charts

    def _note(self) -> Text:
        return text(
            "{judged} behaviours × counts × windows judged, {out} outside the volume bounds; effects on the half that did "
            "not choose; adjusted for: {adjusted}",
            judged=f"{self.judged:,}", out=f"{self.out_of_bounds:,}", adjusted=", ".join(self.adjusted_for) or "–",
        )  # fmt: skip


_STATUS = {
    "confirmed": text("confirmed"),
    "explained": text("gone within like users"),
    "lower": text("goes with less"),
    "not_confirmed": text("not confirmed"),
}

_FINDINGS = (
    Column("behaviour", text("Behaviour")),
    Column("count", text("Times"), "count", text("at least")),
    Column("window", text("Within"), "text", text("after the start")),
    Column("status", text("Finding")),
    Column("share", text("Users who do"), "ratio"),
    Column("rate_with", text("Outcome with"), "ratio"),
    Column("rate_without", text("Outcome without"), "ratio"),
    Column("raw", text("Difference, raw"), "difference"),
    Column("adjusted", text("Difference within like users"), "difference", text("Mantel-Haenszel over strata")),
    Column("lower", text("Lower limit"), "difference", text("of the difference within like users, 95 %")),
    Column("upper", text("Upper limit"), "difference"),
    Column("overlap", text("By overlap weights"), "difference", text("a second method for the same comparison")),
    Column("lift", text("Lift"), "number", text("outcome rate with it over the rate of everybody")),
    Column("ppv", text("PPV"), "ratio", text("share of those with it who reach the outcome")),
    Column("sensitivity", text("Sensitivity"), "ratio", text("share of those with the outcome who showed it")),
    Column("mcc", text("MCC"), "number", text("correlation of behaviour and outcome")),
    Column("p_value", text("p"), "p_value", text("within strata, corrected, on the confirmation half")),
    Column("threshold", text("Suggested times"), "count", text("where the contrast within strata is most distinct")),
    Column("stability", text("Stable"), "ratio", text("share of resamples that suggest the same")),
)
_EXPERIMENTS = (
    Column("behaviour", text("Behaviour")),
    Column("base_rate", text("Outcome rate now"), "ratio"),
    Column(
        "effect",
        text("Likely gain"),
        "difference",
        text("a nudge brings 5 to 20 % of the others to it, any part of the difference is cause"),
    ),
    Column("low", text("Low"), "difference", text("exceeded nine times in ten")),
    Column("high", text("High"), "difference", text("exceeded once in ten")),
    Column("users", text("Users needed"), "count", text("both arms, 80 % power, 95 % confidence")),
)
_DOSE = (
    Column("dose", text("Times"), "count"),
    Column("users", text("Users"), "count"),
    Column("rate", text("Outcome rate"), "ratio"),
    Column("lower", text("Lower limit"), "ratio"),
    Column("upper", text("Upper limit"), "ratio"),
    Column("adjusted", text("Rate with everybody's strata"), "ratio", text("as if all doses had like users")),
)


def _row(finding: AhaFinding) -> tuple[Cell, ...]:
    f, c = finding.found, finding.curve
    return (
        finding.behaviour, finding.count, str(finding.window), _STATUS[f.status], f.shown / f.users if f.users else None,
        f.rate_with, f.rate_without, f.raw.estimate, f.adjusted.estimate, f.adjusted.lower, f.adjusted.upper,
        None if c is None or c.overlap is None else c.overlap.estimate,
        f.lift, f.ppv.estimate, f.sensitivity.estimate, f.phi.estimate, f.p_confirmation,
        None if c is None else c.threshold, None if c is None else c.stability,
    )  # fmt: skip


def _dose_table(finding: AhaFinding) -> Table:
    assert finding.curve is not None
    rows: list[tuple[Cell, ...]] = [
        (d.dose, d.users, d.rate.estimate, d.rate.lower, d.rate.upper, d.adjusted) for d in finding.curve.doses
    ]
    title = text("Outcome by times of {behaviour} within {window}", behaviour=finding.behaviour, window=finding.window)
    return Table("dose", title, _DOSE, rows)
