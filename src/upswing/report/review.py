"""The review as one self-contained page: the answer first, the numbers second, the method last."""

from __future__ import annotations

from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_count, format_date
from upswing.diagnose.review import GrowthReview
from upswing.report.html import page
from upswing.report.tables import table_html


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
    calm = "" if review.weak_points else " calm"
    parts = [Markup('<div class="callout{}"><p class="verdict">{}</p></div>').format(calm, review.verdict())]
    parts.append(
        Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(s) for s in review.sentences()))
    )
    parts += [Markup('<p class="note">{}</p>').format(caveat.message) for caveat in review.left_out]
    weak, path = review.tables()
    shown = table_html(weak) if weak.rows else Markup("<p>{}</p>").format(review.verdict())
    parts.append(
        Markup(
            '<section><h2>{}</h2><p class="note">{}</p><div class="scroll">{}</div><p class="note">{}</p></section>'
        ).format(
            weak.title,
            text(
                "Compared by: {names}, and week of entry",
                names=", ".join(review.dimensions) or text("no property (none has 2 to 30 values known at entry)"),
            ),
            shown,
            weak.note,
        )
    )
    parts.append(
        Markup('<section><h2>{}</h2><div class="scroll">{}</div></section>').format(path.title, table_html(path))
    )
    method = review.how.method
    parts.append(Markup("<details><summary>{}</summary><p>{}</p></details>").format(text("How computed"), method))
    return Markup("").join(parts)
