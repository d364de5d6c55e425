"""Parts of the overview that take longer than the page: the north star and its tree, growth points, alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from upswing.core.errors import UpswingError
from upswing.core.i18n import Text, text
from upswing.core.results import Result, Table
from upswing.report.tables import table_html
from upswing.verbs import verb
from upswing.web.forms import arguments
from upswing.web.host import StillAskedError
from upswing.web.site import problem_of
from upswing.web.view import Problem, View, address


@dataclass(frozen=True, slots=True)
class Kind:
    """A question in brief.

    Args:
        verb: what is asked.
        title: heading.
        columns: of its main table, those that are shown.
        rows: how many at most.
        needs: kind of definition without which there is nothing to ask.
        missing: what to declare, and what for.
        when: htmx trigger that asks: with the page, or when it comes into view because it is costly.
    """

    verb: str
    title: Text
    columns: tuple[str, ...]
    rows: int
    needs: str = ""
    missing: Text | str = ""
    when: str = "load"


BRIEF: Final[Mapping[str, Kind]] = {
    "north-star": Kind(
        "explain-change", text("The north star: what moved and why"),
        ("node", "before", "after", "change", "relative", "contribution"), 12, "tree",
        text("Declare metrics and a tree that joins them under the north star: then this says what moved it, and why."),
    ),
    "growth-points": Kind(
        "growth-points", text("Growth points: what to work on next"), ("place", "who", "rate", "reference", "per_week", "gain"), 5,
        when="intersect once",
    ),
    "alerts": Kind(
        "alerts", text("Alerts: what is out of the ordinary"), ("kind", "when", "sentence"), 6, "metric",
        text("Declare a metric: then unusual days, missed targets and events that stopped are told here."),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Brief:
    """A part of the overview.

    Args:
        name: of the part; its address is ``/-/overview/NAME``.
        kind: what is asked.
        href: the page that knows more.
        verdict: the answer in a sentence.
        table: the first rows.
        note: what the table leaves out.
        waiting: mark under which the answer is on its way; empty when it is there.
        missing: whether the definition that it needs is not there.
        problem: why there is no answer.
        source: where the part comes from when it is waited for.
        whom: said where a segment is chosen that the question does not know.
    """

    name: str
    kind: Kind
    href: str
    verdict: str = ""
    table: Markup = field(default=Markup(""))
    note: str = ""
    waiting: str = ""
    missing: bool = False
    problem: Problem | None = None
    source: str = ""
    whom: str = ""


def brief(view: View, name: str, *, at_once: bool = False) -> Brief:
    """A part of the overview.

    Args:
        view: the request.
        name: one of `BRIEF`.
        at_once: do not ask now: where nobody has asked before, the part comes for its answer by itself.
    """
    kind = BRIEF[name]
    declared = view.definitions.by_kind.get(kind.needs, {}) if kind.needs else {"": None}
    query = [("name", min(declared))] if kind.verb == "explain-change" and declared else []
    href = view.to(f"/{kind.verb}", **dict(query))
    source = address(f"/-/overview/{name}", view.shared)
    if not declared:
        return Brief(name, kind, href, missing=True)
    ranged = [(k, v) for k, v in view.query if k in ("from", "to", "segment")]
    taken = {p.flag for p in verb(kind.verb).params}
    whom = (
        ""
        if "segment" in taken or not any(k == "segment" for k, _ in ranged)
        else str(text("of all users, not of the segment alone"))
    )
    try:
        asked = arguments(verb(kind.verb), [*query, *(r for r in ranged if r[0] in taken)])
        result = view.host.known(kind.verb, asked) if at_once else view.ask(kind.verb, asked)
    except StillAskedError:
        return Brief(name, kind, href, waiting=view.mark, source=source)
    except UpswingError as error:
        return Brief(name, kind, href, problem=problem_of(error))
    if result is None:
        return Brief(name, kind, href, waiting=f"{view.mark}-{name}", source=source, whom=whom)
    return Brief(name, kind, href, str(result.verdict()), *_short(result, kind), whom=whom)


def _short(result: Result, kind: Kind) -> tuple[Markup, str]:
    """The first rows of the main table with the columns that a glance needs."""
    tables = result.tables()
    if not tables or not tables[0].rows:
        return Markup(""), ""
    table = tables[0]
    kept = [i for i, c in enumerate(table.columns) if c.key in kind.columns]
    rows = [tuple(row[i] for i in kept) for row in table.rows[: kind.rows]]
    left = len(table.rows) - len(rows)
    note = text("{n} more on the page", n=left) if left else ""
    return table_html(Table(table.name, "", tuple(table.columns[i] for i in kept), rows)), str(note)
