"""The page of a question: its form, made from the registry, and its answer. Every verb has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import JSONResponse, RedirectResponse, Response

from upswing.core.errors import UpswingError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Result
from upswing.report.tables import table_html
from upswing.server.errors import NotFoundError
from upswing.spec.funnel import FunnelDefinition
from upswing.verbs import VERBS, Verb
from upswing.web.behind import links_behind
from upswing.web.boards import board_of
from upswing.web.compared import compare, not_compared, side_by_side
from upswing.web.forms import ELSEWHERE, Field, Query, arguments, asked, fields
from upswing.web.host import StillAskedError
from upswing.web.render import render
from upswing.web.rooms import asked_verbs, page_of
from upswing.web.shown import Shown, shown
from upswing.web.site import Pages, problem_of
from upswing.web.view import Problem, View, address

FIRST: Final[Mapping[str, tuple[str, ...]]] = {
    "funnel": ("within", "order", "count", "by", "trend", "profile"),
    "retention": ("start", "return", "period", "periods", "entry", "on", "by"),
    "lifecycle": ("event", "period"),
    "stickiness": ("event", "period"),
    "paths": ("after", "before", "depth", "top"),
    "aha": ("start", "outcome", "day", "until", "times"),
    "quadrants": ("start", "outcome", "after", "within", "desire", "friction", "by"),
    "behaviour": ("target", "motivation", "ability", "trigger", "by"),
    "hook": ("trigger", "action", "reward", "investment", "within", "again"),
}
"""Parts of a question that are asked first, in the order of its sentence; the rest is folded."""

LISTED: Final = frozenset({"step", "milestone"})

PROFILES: Final[Mapping[str, Text]] = {
    "posthog": text(
        "PostHog wants entry and conversion both inside the range, keeps the chain that entered last, replays events of one "
        "instant in the order of the steps, and an exclusion removes the user."
    ),
    "mixpanel": text(
        "Mixpanel looks at a user's first entry only; its window never starts anew. Steps within two seconds may stand in "
        "either order."
    ),
    "amplitude": text(
        "Amplitude cuts times to the second: inside one the order is free, and the same event twice counts once. It keeps "
        "the longest path that began first."
    ),
    "clickhouse": text("ClickHouse's windowFunnel lets one event fill several equal steps in a row."),
    "growingio": text(
        "GrowingIO counts by local calendar day: any order within a day, and a window of n days ends with the n-th day."
    ),
}
"""Why other products count differently."""


@dataclass(frozen=True, slots=True)
class ProfileNote:
    """Why the numbers of a profile differ from ours, beside both."""

    sentence: str
    reason: str
    table: Markup


def mount(pages: Pages) -> None:
    """A page for every verb of the registry that has none of its own."""
    for found in asked_verbs():
        pages.get(page_of(found).path, partial(question, chosen=found))
    pages.get("/ask/{name}", by_name)
    pages.get("/-/asked/{mark}", progress)
    pages.post("/-/asked/{mark}", give_up, role="viewer")


def progress(view: View) -> Response:
    """How far a question is: its share done where that is known, and the seconds so far."""
    job = view.host.job(str(view.request.path_params["mark"]))
    told = job.to_dict() if job is not None else {"progress": None, "seconds": None}
    return JSONResponse({key: told[key] for key in ("progress", "seconds")})


def give_up(view: View) -> Response:
    """Stop computing, unless somebody else waits for the same answer."""
    job = view.host.job(str(view.request.path_params["mark"]))
    if job is not None:
        view.host.state.questions.cancel(job)
    return Response(status_code=204)


def by_name(view: View) -> Response:
    """``/ask/VERB`` leads to the page of any verb."""
    name = str(view.request.path_params["name"])
    chosen = next((v for v in VERBS if v.name == name), None)
    if chosen is None:
        raise NotFoundError(
            text("there is no question '{name}'", name=name), hint=did_you_mean(name, [v.name for v in VERBS])
        )
    return RedirectResponse(address(page_of(chosen).path, view.query), status_code=303)


def question(view: View, *, chosen: Verb) -> Response:
    """The form and the answer."""
    if view.empty:
        return render(view, "start.html", page=page_of(chosen))
    query: Query = view.query
    suggested = not asked(chosen, query)
    if suggested:
        query = [*first_question(view, chosen), *query]
    named = next((v for k, v in query if k == "name"), "") if _is_named(chosen) else ""
    form = fields(chosen, query)
    s: Shown | None = None
    problem: Problem | None = None
    extras: dict[str, Any] = {}
    waiting = ""
    try:
        s, problem, result = _answer(view, chosen, query, suggested)
        extras = _extras(view, chosen, query, result) if result is not None else {}
    except StillAskedError:
        s, waiting = None, view.mark
    listed, first, rest = _arranged(chosen, form)
    return render(
        view,
        "ask.html",
        status=200 if problem is None else 422 if not suggested else 200,
        page=page_of(chosen), s=s, waiting=waiting, problem=problem, suggested=suggested, query=list(query), named=named,
        saved=_saved(view, chosen), listed=[] if named else listed, first=first, rest=rest,
        rest_used=any(f.value for f in rest), savable=_savable(chosen, query, named),
        open_as=_open_as(view, chosen, named), **{"profile": None, "compared": None, "board": (), **extras},
    )  # fmt: skip


def first_question(view: View, chosen: Verb) -> list[tuple[str, str]]:
    """A question to begin with: the first saved one, or one about the main path of the workspace."""
    saved = _saved(view, chosen)
    if saved:
        return [("name", saved[0][0])]
    with view.host.opened() as workspace:
        path = [m for m in workspace.project.milestones if m in workspace.log.schema.events]
        common = sorted(workspace.log.schema.events, key=lambda e: -workspace.log.schema.events[e])
    path = path or common
    if not path:
        return []
    found: dict[str, list[tuple[str, str]]] = {
        "funnel": [("step", e) for e in path[:4]],
        "retention": [
            ("start", path[0]),
            ("return", "*"),
            ("period", "week"),
            ("periods", "8"),
            ("entry", "first-ever"),
        ],
        "paths": [("after", path[0])],
        "interval": [("event", path[0]), ("then", path[min(1, len(path) - 1)])],
        "distribution": [("event", path[-1])],
        "aha": [("start", path[0]), ("outcome", "*"), ("day", "7")],
        "quadrants": [("start", path[0]), ("outcome", path[-1]), ("after", "1d"), ("within", "7d")],
        "behaviour": [("target", path[-1])],
        "explain-change": [
            ("name", name) for kind in ("tree", "metric") for name in view.definitions.by_kind.get(kind, ())
        ][:1],
    }
    return found.get(chosen.name, [])


def _answer(
    view: View, chosen: Verb, query: Query, suggested: bool
) -> tuple[Shown | None, Problem | None, Result | None]:
    try:
        result = view.ask(chosen.name, arguments(chosen, query))
    except UpswingError as error:
        return None, problem_of(error), None
    except TypeError:
        if not suggested:  # a question that needs an argument: the form says which
            raise
        return None, None, None
    links = links_behind(chosen.name, query, result)
    before = _previous(view, chosen, query, result)
    return shown(result, links=links.get, annotations=view.host.annotations(), before=before), None, result


def _extras(view: View, chosen: Verb, query: Query, result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {}
    profile = next((v for k, v in query if k == "profile"), "")
    if profile in PROFILES:
        found["profile"] = _profile_note(view, chosen, query, result, profile)
    found["board"] = board_of(result, view.definitions.documents)
    before = _previous(view, chosen, query, result)
    if before is not None:
        found["compared"] = compare(result.tables()[0], before.tables()[0]) or not_compared(
            text("The rows are periods: each can be compared with the one above it.")
        )
    elif view.get("compare") == "previous" and _nothing_before(view, result):
        found["compared"] = not_compared(
            text("The log begins with this range: there is no period before to compare it with. Choose a later range.")
        )
    return found


def _profile_note(view: View, chosen: Verb, query: Query, result: Result, profile: str) -> ProfileNote | None:
    try:
        ours = view.ask(chosen.name, arguments(chosen, [(k, v) for k, v in query if k != "profile"]))
    except UpswingError:
        return None
    words = str(
        fields(chosen, query)["profile"].options[
            [o for o, _ in fields(chosen, query)["profile"].options].index(profile)
        ][1]
    )
    table = side_by_side(result.tables()[0], ours.tables()[0], first=words, second="Upswing")
    same = all(row[1] == row[2] for row in table.rows)
    sentence = (
        text("By the rules of {product} the numbers are the same here.", product=words)
        if same
        else text("By the rules of {product} the numbers differ from ours.", product=words)
    )
    return ProfileNote(str(sentence), str(PROFILES[profile]), table_html(table))


def _previous(view: View, chosen: Verb, query: Query, result: Result) -> Result | None:
    """The same question about the period before, of the same length, where it is to be compared."""
    if view.get("compare") != "previous" or _nothing_before(view, result):
        return None
    window = result.how.window
    length = window.stop - window.start
    if length <= timedelta(0):
        return None
    before = [(k, v) for k, v in query if k not in ("from", "to")]
    before += [("from", (window.start - length).isoformat()), ("to", window.start.isoformat())]
    try:
        return view.ask(chosen.name, arguments(chosen, before))
    except UpswingError:
        return None


def _nothing_before(view: View, result: Result) -> bool:
    """Whether the log has no event before the range: numbers of an empty time would read as a rise."""
    first = None if view.schema is None else view.schema.first_time
    return first is not None and result.how.window.start.timestamp() * 1_000_000 <= first


def _arranged(chosen: Verb, form: Mapping[str, Field]) -> tuple[list[Field], list[Field], list[Field]]:
    shown_here = {k: f for k, f in form.items() if k not in ELSEWHERE and not (k == "name" and _is_named(chosen))}
    listed = [f for k, f in shown_here.items() if k in LISTED]
    order = [k for k in FIRST.get(chosen.name, tuple(shown_here)[:6]) if k in shown_here and k not in LISTED]
    first = [shown_here[k] for k in order]
    rest = [f for k, f in shown_here.items() if k not in order and k not in LISTED]
    return listed, first, rest


def _is_named(chosen: Verb) -> bool:
    from upswing.spec.definitions import KINDS

    return chosen.name in KINDS and any(p.positional for p in chosen.params)


def _saved(view: View, chosen: Verb) -> list[tuple[str, str]]:
    if not _is_named(chosen):
        return []
    return [(name, d.shown) for name, d in view.definitions.by_kind.get(chosen.name, {}).items()]


def _open_as(view: View, chosen: Verb, named: str) -> dict[str, object]:
    """The address of a saved question with its steps written out, to be changed."""
    definition = view.definitions.by_kind.get(chosen.name, {}).get(named)
    if not isinstance(definition, FunnelDefinition):
        return {}
    steps = [step.described + ("?" if step.optional else "") for step in definition.steps]
    return {"step": steps, "within": str(definition.window)}


def _savable(chosen: Verb, query: Query, named: str) -> list[tuple[str, str]]:
    if named or not _is_named(chosen):
        return []
    return [("kind", chosen.name), *[(k, v) for k, v in query if k not in ("compare", "from", "to", "segment")]]
