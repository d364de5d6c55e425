"""The growth review as one self-contained page: the answer first, the numbers second, the method last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_count, format_date
from upswing.core.results import Chart
from upswing.report.charts import draw
from upswing.report.html import how_computed, page
from upswing.report.tables import table_html
from upswing.review.points import GrowthPointsResult
from upswing.review.sizing import GrowthPoint
from upswing.review.weekly import GrowthReview

_BARS: Final = 8
_WIDTH: Final = 960
_ROW: Final = 34
_TEXT: Final = 400


def review_page(review: GrowthReview) -> str:
    """The whole review as HTML in the language in force."""
    how = review.how
    subtitle = text(
        "{start} – {stop} ({zone}) · {events} events · {users} users",
        start=format_date(how.window.start.date(), locale=current_locale()),
        stop=format_date(how.window.stop.date(), locale=current_locale()),
        zone=how.window.timezone,
        events=format_count(how.events or 0),
        users=format_count(how.users or 0),
    )
    return page(review.sections(), title=review.title(), subtitle=subtitle, lead=_lead(review))


def _lead(review: GrowthReview) -> Markup:
    calm = "" if any(p.sound and p.gain > 0 for p in review.points.points) else " calm"
    parts = [Markup('<div class="callout{}"><p class="verdict">{}</p></div>').format(calm, review.verdict())]
    said = [s for s in review.sentences() if str(s) != str(review.verdict())]
    parts.append(Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(s) for s in said)))
    parts += [Markup('<p class="note">{}</p>').format(caveat.message) for caveat in review.left_out]
    parts.append(_north_star(review))
    parts.append(_gains(review.points))
    path = review.path_table()
    note = text(
        "Compared by: {names}, and week of entry",
        names=", ".join(review.dimensions) or text("no property (none has 2 to 30 values known at entry)"),
    )
    parts.append(
        Markup('<section><h2>{}</h2><p class="note">{}</p><div class="scroll">{}</div></section>').format(
            path.title, note, table_html(path)
        )
    )
    parts.append(
        Markup("<details><summary>{}</summary><p>{}</p></details>").format(text("How computed"), review.how.method)
    )
    return Markup("").join(parts)


def _north_star(review: GrowthReview) -> Markup:
    """The north star over the last periods, and where every metric stands."""
    if review.standing is None:
        return Markup("")
    summary = review.standing.tables()[0]
    drawn = Markup("")
    table = next((t for t in review.standing.tables() if t.name == review.north_star), None)
    if table is not None:
        chart = Chart("line", table.name, table.title, x="period", y=("value",))
        drawn = Markup("<figure><figcaption>{}</figcaption>{}</figure>").format(table.title, draw(chart, table))
    caveats = Markup("").join(Markup('<p class="note">{}</p>').format(c.message) for c in review.standing.warnings)
    return Markup('<section id="standing"><h2>{}</h2>{}<div class="scroll">{}</div>{}{}</section>').format(
        text("The north star and what drives it"), drawn, table_html(summary), caveats, how_computed(review.standing)
    )


def _gains(points: GrowthPointsResult) -> Markup:
    """The first growth points as bars with their intervals."""
    shown = [p for p in points.points if p.sound and p.gain > 0][:_BARS]
    if not shown:
        return Markup("")
    title = text("Gain in “{star}” per week, with its interval", star=points.north_star.metric.shown)
    return Markup('<section id="gains"><h2>{}</h2><figure>{}</figure>{}</section>').format(
        title, _bars(shown, str(title)), how_computed(points)
    )


def _bars(shown: Sequence[GrowthPoint], title: str) -> Markup:
    longest = max(p.upper for p in shown) or 1.0
    room = _WIDTH - _TEXT - 110

    def x(value: float) -> float:
        return _TEXT + room * max(0.0, value) / longest

    rows = []
    for i, p in enumerate(shown):
        y = 6 + i * _ROW
        rows.append(
            Markup(
                '<text x="{}" y="{}" text-anchor="end">{}</text><text x="{}" y="{}" text-anchor="end" class="minor">{}</text>'
                '<rect class="s0" x="{}" y="{}" width="{:.1f}" height="16"></rect>'
                '<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"></line>'
                '<text x="{:.1f}" y="{}">{}</text>'
            ).format(
                _TEXT - 10, y + 12, _short(p.candidate.who, 58), _TEXT - 10, y + 26, _short(p.candidate.place, 58),
                _TEXT, y + 4, max(1.0, x(p.gain) - _TEXT), x(p.lower), x(p.upper), y + 12, y + 12,
                x(p.upper) + 8, y + 16, format_count(float(round(p.gain))),
            )
        )  # fmt: skip
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, 12 + _ROW * len(shown), title, Markup("").join(rows)
    )


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
