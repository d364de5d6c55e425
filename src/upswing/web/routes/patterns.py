"""Every component on one page, with made-up numbers: where a change of style shows first."""

from __future__ import annotations

from datetime import date, timedelta

from markupsafe import Markup
from starlette.responses import Response

from upswing.core.errors import did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Chart, Column, Table
from upswing.report.sections import Numbers
from upswing.report.tables import table_html
from upswing.verbs import verb
from upswing.web.compared import Direction, change
from upswing.web.definition_files import difference, settings_of
from upswing.web.forms import fields
from upswing.web.headlines import Headline, spark
from upswing.web.host import Annotation
from upswing.web.marks import Scale, cell_bar, forest, reading
from upswing.web.render import render
from upswing.web.shown import Figure, figure
from upswing.web.site import Pages
from upswing.web.view import Problem, View

_BEFORE = "kind: funnel\nname: signup\nwindow: 7d\nsteps:\n  - {event: visit}\n  - {event: sign_up}\n"


def mount(pages: Pages) -> None:
    """One page."""
    pages.get("/-/patterns", show)


def show(view: View) -> Response:
    """The components."""
    scale = Scale(-0.08, 0.08, 0.01)
    rows: tuple[tuple[Text, float, float, float, float, float, Direction], ...] = (
        (text("Day-7 retention"), 0.312, 0.321, 0.029, 0.009, 0.049, "up"),
        (text("Sign-up rate"), 0.184, 0.185, 0.006, -0.016, 0.028, "up"),
        (text("Refund rate"), 0.0221, 0.0229, 0.036, 0.011, 0.061, "down"),
    )
    experiments = [
        (str(name), a, b, estimate, lower, upper, forest(estimate, lower, upper, scale, better=better),
         *reading(lower, upper, better))
        for name, a, b, estimate, lower, upper, better in rows
    ]  # fmt: skip
    cards = [
        (text("Search ads"), 8210, 0.82, 6.8, "good"),
        (text("Feed ads"), 9115, 0.91, 2.1, "bad"),
        (text("App store"), 4302, 0.43, 3.2, "flat"),
    ]
    return render(
        view, "patterns.html",
        strip=_strip(), trend=_trend(), funnel=_funnel(), triangle=_triangle(), flow=_flow(), interval=_interval(),
        quadrant=_quadrant(), experiments=experiments, cards=[(n, u, cell_bar(s), r, t) for n, u, s, r, t in cards],
        problem=Problem(
            str(text("no event '{name}' in the log", name="sign_pu")), "UP302", str(did_you_mean("sign_pu", ["sign_up"])),
        ),
        diff=difference(_BEFORE, _BEFORE.replace("7d", "14d")), settings=settings_of(_BEFORE),
        form=fields(verb("funnel"), [("step", "visit"), ("step", "sign_up[platform = 'ios']"), ("within", "7d")]),
        board=((text("Ideas"), (text("Show the price earlier"), text("Skip the tour"))),
               (text("Running"), (text("Four landing pages"),)), (text("Decided"), (text("Reminders on by default"),))),
    )  # fmt: skip


def _strip() -> list[Headline]:
    made: tuple[tuple[Text, str, float, float, str, Direction], ...] = (
        (text("Weekly active users"), "1.28M", 1.062, 1.0, "count", "up"), (text("New users"), "23.6K", 0.982, 1.0, "count", "up"),
        (text("Day-7 retention"), "31.2%", 0.312, 0.303, "ratio", "up"), (text("CAC"), "¥38.4", 1.041, 1.0, "money", "down"),
    )  # fmt: skip
    return [
        Headline(
            str(label),
            value,
            value,
            "2026-11-16",
            change(now, before, unit, better),
            spark([3, 4, 4, 5, 4, 6, 7]),
            "#kpi",
            "",
        )
        for label, value, now, before, unit, better in made
    ]


def _figure(chart: Chart, table: Table, notes: tuple[Annotation, ...] = ()) -> Figure:
    return figure(chart, table, table_html(table), notes)


def _trend() -> Figure:
    first = date(2026, 10, 26)
    days = [(first + timedelta(days=i)) for i in range(28)]
    values = [1000 + 40 * i + (120 if d.weekday() > 4 else 0) for i, d in enumerate(days)]
    columns = (
        Column("day", text("Day")),
        Column("users", text("Users"), "count"),
        Column("complete", text("Complete")),
    )
    table = Table(
        "trend",
        text("Active users"),
        columns,
        [(d.isoformat(), v, i < 27) for i, (d, v) in enumerate(zip(days, values, strict=True))],
    )
    return _figure(
        Chart("line", "trend", text("Active users"), "day", ("users",)), table, (Annotation(days[9], "2.4.0"),)
    )


def _funnel() -> Numbers:
    columns = (
        Column("step", text("Step")),
        Column("users", text("Users"), "count"),
        Column("rate", text("From step before"), "ratio"),
    )
    rows = [
        ("visit", 128450, None),
        ("sign_up", 23635, 0.184),
        ("verify", 19102, 0.808),
        ("first_project", 9871, 0.517),
    ]
    table = Table("steps", text("Steps"), columns, rows)
    chart = Chart("funnel", "steps", text("Funnel"), "step", ("users",))
    return Numbers(
        str(text("Steps")),
        table_html(table, chart, links=lambda _, key: "#users" if key == "users" else None),
        "",
        "steps",
    )


def _triangle() -> Numbers:
    keys = [f"w{i}" for i in range(6)]
    columns = (
        Column("start", text("Cohort")), Column("size", text("Users"), "count"),
        *(Column(k, text("Week {n}", n=i), "ratio") for i, k in enumerate(keys)), *(Column(f"{k}_open", "") for k in keys),
    )  # fmt: skip
    rows = []
    for cohort in range(6):
        reached = 6 - cohort
        values = [round(0.9 * 0.62**i, 3) if i else 1.0 for i in range(reached)] + [None] * cohort
        rows.append(
            (f"2026-W{41 + cohort}", 3100 + 170 * cohort, *values, *(i == reached - 1 and i > 0 for i in range(6)))
        )
    table = Table("cohorts", "", columns, rows)
    return Numbers(
        str(text("Cohort")), table_html(table, Chart("triangle", "cohorts", "", "start", tuple(keys))), "", "cohorts"
    )


def _flow() -> Figure:
    columns = (
        Column("position", text("Step"), "count"),
        Column("source", text("From")),
        Column("target", text("To")),
        Column("count", text("Users"), "count"),
    )
    rows = [(0, "open", "browse", 420), (0, "open", "create", 260), (0, "open", "(end)", 120), (1, "browse", "create", 180),
            (1, "browse", "(end)", 240), (1, "create", "share", 90), (1, "create", "(end)", 170)]  # fmt: skip
    table = Table("edges", text("User paths"), columns, rows)
    return _figure(Chart("flow", "edges", text("First-day paths"), "source", ("count",), "target"), table)


def _interval() -> Figure:
    columns = (
        Column("x", text("Since entry"), "seconds"),
        Column("rate", text("Converted"), "ratio"),
        Column("lower", text("Lower"), "ratio"),
        Column("upper", text("Upper"), "ratio"),
    )
    rows = [(3600.0 * i, 1 - 0.93**i, max(0.0, 1 - 0.93**i - 0.02), 1 - 0.93**i + 0.02) for i in range(25)]
    table = Table("curve", text("Converted over time"), columns, rows)
    return _figure(Chart("interval", "curve", text("Converted over time"), "x", ("rate", "lower", "upper")), table)


def _quadrant() -> Markup:
    """Two thresholds, four named fields, points with their names beside them."""
    points = (
        (text("Templates"), 0.12, 6.8),
        (text("Sharing"), 0.22, 5.2),
        (text("Reminders"), 0.41, 5.9),
        (text("Export"), 0.08, 1.2),
        (text("Search"), 0.48, 2.1),
    )

    def x(value: float) -> float:
        return 40 + 900 * value / 0.6

    def y(value: float) -> float:
        return 250 - 240 * value / 8

    parts = [
        Markup('<rect class="s0 band" x="40" y="10" width="{:.0f}" height="{:.0f}"></rect>').format(
            x(0.3) - 40, y(4) - 10
        ),
        Markup('<path class="axis" d="M{0:.0f} 10V250M40 {1:.0f}H940M40 10V250H940" fill="none"></path>').format(
            x(0.3), y(4)
        ),
        Markup('<text x="46" y="24">{}</text>').format(text("Promising: promote")),
    ]
    parts += [
        Markup(
            '<circle class="s0" cx="{0:.0f}" cy="{1:.0f}" r="5"></circle><text x="{2:.0f}" y="{3:.0f}">{4}</text>'
        ).format(x(a), y(b), x(a) + 9, y(b) + 4, name)
        for name, a, b in points
    ]
    label = text("Features by use and by what they do for retention")
    return Markup('<svg viewBox="0 0 960 260" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("").join(parts)
    )
