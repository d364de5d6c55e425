"""Scatter and dose charts: every row is drawn, thresholds and curves are there, and nothing is drawn of nothing."""

import re

from upswing.core.results import Chart, Column, Table
from upswing.report.charts import draw

POINTS = (
    Column("x", "Ability", "number"),
    Column("y", "Motivation", "number"),
    Column("n", "Users", "count"),
    Column("s", "Kind"),
)
DOSE = (Column("dose", "Times", "count"), Column("rate", "Rate", "ratio"), Column("lower", "Lower", "ratio"),
        Column("upper", "Upper", "ratio"), Column("adjusted", "Adjusted", "ratio"))  # fmt: skip


def test_points_have_area_series_thresholds_and_a_curve():
    table = Table(
        "t", "T", POINTS, [(0.5, 1.0, 40, "a"), (1.5, 2.0, 10, "b"), (None, 2.0, 10, "b"), (2.0, 0.5, 10, "a")]
    )
    chart = Chart(
        "scatter",
        "t",
        "A & B",
        x="x",
        y=("y", "n"),
        series="s",
        marks=(("x", 1.0), ("y", 1.5)),
        curve=((0.5, 2), (2, 0.5)),
    )
    svg = str(draw(chart, table))
    radii = [float(r) for r in re.findall(r'<circle[^>]* r="([\d.]+)"', svg)]
    assert len(radii) == 3
    assert radii[0] == max(radii)
    assert svg.count("stroke-dasharray") == 2
    assert svg.count("<polyline") == 1
    assert "A &amp; B" in svg
    assert {'class="s0"', 'class="s1"'} <= set(re.findall(r'class="s\d"', svg))


def test_a_dose_curve_has_its_band_and_its_threshold():
    rows = [(d, 0.1 * d, 0.05 * d, 0.15 * d, None if d == 2 else 0.1) for d in range(4)]
    chart = Chart("dose", "t", "Dose", x="dose", y=("rate", "adjusted", "lower", "upper"), marks=(("x", 2.0),))
    svg = str(draw(chart, Table("t", "T", DOSE, rows)))
    assert svg.count("<polyline") == 2
    assert svg.count("<polygon") == 1
    assert svg.count("stroke-dasharray") == 1


def test_nothing_is_drawn_of_nothing():
    assert draw(Chart("scatter", "t", "T", x="x", y=("y",)), Table("t", "T", POINTS, [])) == ""
    assert draw(Chart("scatter", "t", "T", x="x", y=("y",)), Table("t", "T", POINTS, [(None, 1.0, 1, "a")])) == ""
    assert (
        draw(Chart("dose", "t", "T", x="dose", y=("rate",)), Table("t", "T", DOSE, [(0, None, None, None, None)])) == ""
    )
    one = draw(Chart("scatter", "t", "T", x="x", y=("y",)), Table("t", "T", POINTS, [(1.0, 1.0, 1, "a")]))
    assert "<circle" in one
