"""Overview: how many are active, how many are new, who stays, and what moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from starlette.responses import Response

from upswing.core.errors import UpswingError
from upswing.core.i18n import Text, text
from upswing.core.results import Result, Table
from upswing.report.sections import Numbers
from upswing.report.tables import Links, table_html
from upswing.server.errors import NotFoundError
from upswing.verbs import verb
from upswing.web.behind import link_behind, links_behind
from upswing.web.brief import BRIEF, brief
from upswing.web.compared import Direction
from upswing.web.forms import arguments
from upswing.web.headlines import Headline, headline, moved_most
from upswing.web.host import StillAskedError
from upswing.web.render import render
from upswing.web.routes.ask import first_question
from upswing.web.shown import Figure, Shown, shown
from upswing.web.site import Pages, problem_of
from upswing.web.view import Problem, View

Query = list[tuple[str, str]]
_ROWS: Final = 10
_LIMITS: Final = frozenset({"lower", "upper", "mature_users", "median_seconds_from_previous"})


@dataclass(frozen=True, slots=True)
class Section:
    """One question of the overview: its answer in a sentence and in one picture."""

    title: str
    href: str
    s: Shown | None
    picture: Figure | Numbers | None
    problem: Problem | None


def mount(pages: Pages) -> None:
    """The front page, and those of its parts that come after it."""
    pages.get("/", overview)
    pages.get("/-/overview/{part}", part)


def overview(view: View) -> Response:
    """Headlines, what moved, and one section per question."""
    if view.empty:
        return render(view, "start.html", page=None)
    try:
        return _overview(view)
    except StillAskedError:
        return render(view, "overview.html", waiting=view.mark, brief=())


def part(view: View) -> Response:
    """A part of the overview that came after it."""
    name = str(view.request.path_params["part"])
    if name not in BRIEF:
        raise NotFoundError(text("there is no question '{name}'", name=name))
    return render(view, "overview_part.html", part=brief(view, name))


def _overview(view: View) -> Response:
    ranged = [(k, v) for k, v in view.query if k in ("from", "to", "segment")]
    asked: dict[str, Query] = {
        "lifecycle": [("period", "week"), *ranged],
        "retention": [*_retention(view), *ranged],
        "funnel": [*first_question(view, verb("funnel")), *ranged],
        "stickiness": [("period", "week"), *ranged],
    }
    answers: dict[str, Result] = {}
    problems: dict[str, Problem] = {}
    for name, query in asked.items():
        try:
            answers[name] = view.ask(name, arguments(verb(name), query))
        except UpswingError as error:
            problems[name] = problem_of(error)
    strip = _headlines(view, asked, answers)
    titles = {
        "lifecycle": text("Where active users come from"), "retention": text("Who comes back"),
        "funnel": text("The main path"), "stickiness": text("How often they come"),
    }  # fmt: skip
    sections = [_section(view, name, titles[name], query, answers, problems) for name, query in asked.items()]
    main = answers.get("lifecycle")
    return render(
        view, "overview.html", waiting="", brief=[brief(view, name, at_once=True) for name in BRIEF],
        strip=strip, moved=[str(s) for s in moved_most(strip)], sections=sections,
        verdict=str(main.verdict()) if main is not None else "",
        window=next((s.s.window for s in sections if s.s), ""), timezone=view.calendar.timezone,
    )  # fmt: skip


def _retention(view: View) -> Query:
    saved = view.definitions.by_kind.get("retention", {})
    if saved:
        return [("name", next(iter(saved)))]
    return [("start", "*"), ("return", "*"), ("period", "week"), ("periods", "8"), ("entry", "first-ever")]


def _headlines(view: View, asked: dict[str, Query], answers: dict[str, Result]) -> list[Headline]:
    """The strip: each number leads to the page that defines it and, where its users can be listed, to them."""
    chosen: list[tuple[str, str, Text, Direction, str]] = [
        ("lifecycle", "active", text("Weekly active users"), "up", ""),
        ("lifecycle", "new", text("New users"), "up", ""),
        ("lifecycle", "dormant", text("Gone quiet"), "down", ""),
        ("retention", "lag_1", text("Back after a week"), "up", "size"),
    ]
    found = []
    for name, key, label, better, whole in chosen:
        table = answers[name].tables()[0] if name in answers else None
        if table is None or not any(c.key == key for c in table.columns):
            continue
        href = view.to(f"/{name}", **_grouped(asked[name]))
        made = headline(table, key, href=href, better=better, label=label, of=whole)
        people = link_behind(name, asked[name], answers[name], table, made.period, key)
        found.append(replace(made, people=people))
    return found


def _section(
    view: View, name: str, title: Text, query: Query, answers: dict[str, Result], problems: dict[str, Problem]
) -> Section:
    href = view.to(f"/{name}", **_grouped(query))
    result = answers.get(name)
    if result is None:
        return Section(str(title), href, None, None, problems.get(name))
    links = links_behind(name, query, result).get if name == "funnel" else None
    drawn = [c.table for c in result.charts() if c.kind not in ("funnel", "triangle")]
    if name in ("retention", "funnel"):
        return Section(str(title), href, shown(result, only=()), _short(result, links), None)
    s = shown(result, annotations=view.host.annotations(), only=drawn[-1:])
    return Section(str(title), href, s, s.main[-1], None)


def _short(result: Result, links: Callable[[str], Links | None] | None) -> Numbers:
    """The main table at a glance: the last rows, without the limits of its intervals; all of it is on its own page."""
    table = result.tables()[0]
    chart = next(c for c in result.charts() if c.table == table.name)
    kept = [i for i, c in enumerate(table.columns) if c.key not in _LIMITS]
    rows = table.rows[-_ROWS:] if chart.kind == "triangle" else table.rows
    columns = tuple(table.columns[i] for i in kept)
    short = Table(table.name, "", columns, [tuple(row[i] for i in kept) for row in rows], table.note)
    return Numbers(str(table.title), table_html(short, chart, links=links and links(table.name)), "", table.name)


def _grouped(query: Query) -> dict[str, object]:
    found: dict[str, list[str]] = {}
    for key, value in query:
        found.setdefault(key, []).append(value)
    return dict(found)
