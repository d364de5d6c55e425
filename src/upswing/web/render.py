"""Templates: one environment, one way to make a page of a view."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from upswing.core.i18n import current_locale, text, use_locale
from upswing.core.numbers import format_count, format_date
from upswing.core.results import plain, show
from upswing.report.html import TEMPLATES as REPORT_TEMPLATES
from upswing.web.packing import asset
from upswing.web.rooms import rooms
from upswing.web.view import DENSITIES, THEMES, Problem, View, address

HERE: Final = Path(__file__).parent


def render(view: View, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """A page in the visitor's language.

    Args:
        view: the request.
        template: name below ``templates/``.
        status: HTTP status.
        context: what the template reads besides the view and the shell.
    """
    with use_locale(view.locale):
        body = environment().get_template(template).render(
            v=view, rooms=rooms(), themes=THEMES, densities=DENSITIES, lang=view.locale, **context
        )  # fmt: skip
    response = HTMLResponse(body, status_code=status)
    response.headers["vary"] = "Cookie, Accept-Language, HX-Request"
    return response


def render_problem(view: View, problem: Problem, *, status: int) -> HTMLResponse:
    """The page for what could not be answered."""
    return render(view, "failed.html", status=status, problem=problem)


@cache
def environment() -> Environment:
    """Templates with the few functions they may call."""
    made = Environment(
        loader=FileSystemLoader([HERE / "templates", REPORT_TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.globals.update(text=_text, asset=asset, address=address, current_locale=current_locale)
    filters: dict[str, Callable[..., object]] = {
        "count": lambda value: format_count(value),
        "day": lambda value: format_date(value, locale=current_locale()),
        "shown": show,
        "data": _data,
    }
    made.filters.update(filters)
    return made


def _text(message: str, **values: object) -> str:
    return str(text(message, **values))


def _data(value: object) -> Markup:
    """Plain data for a script element of type application/json, which no browser runs."""
    written = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    return Markup(written.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704 - escaped here
