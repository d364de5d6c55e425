"""The journey map: stages as columns, the emotion curve over live numbers, and what was written of each, editable in place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape
from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import Text, text
from upswing.core.numbers import format_number
from upswing.diagnose.evidence import Note, placed, read_notes, tag_notes
from upswing.diagnose.journey import JourneyResult, StageResult
from upswing.spec.journey import JourneyDefinition
from upswing.verbs import verb
from upswing.web.forms import arguments
from upswing.web.render import render
from upswing.web.shown import shown
from upswing.web.site import Pages, problem_of
from upswing.web.view import View, address

HEIGHT: Final = 120
COLUMN: Final = 100
"""Width of a stage in the curve's own units; the drawing is stretched over the columns."""
LANES: Final[tuple[tuple[str, Text], ...]] = (
    ("does", text("Does")), ("thinks", text("Thinks")), ("touchpoints", text("Touchpoints")),
    ("pains", text("What hurts")), ("ideas", text("Ideas")),
)  # fmt: skip
_MOST_NOTES: Final = 5
"""Notes shown of one stage; the file has all of them."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the map: what was written of each stage.

    Args:
        key: of the stage in the file.
        name: as shown.
        cells: text of each stage, one thing per line.
    """

    key: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What was said at one stage.

    Args:
        stage: as shown.
        total: notes with words.
        notes: the first of them, each with its score as shown.
    """

    stage: str
    total: int
    notes: tuple[tuple[Note, str], ...]


def mount(pages: Pages) -> None:
    """The map, its cells, notes and a first draft."""
    pages.get("/journey", show)
    pages.post("/journey/stage", write)
    pages.post("/journey/note", tag)
    pages.post("/journey/draft", draft)


def show(view: View) -> Response:
    """The map of one journey."""
    if view.empty:
        return render(view, "start.html", page=None)
    known = view.definitions.by_kind.get("journey", {})
    saved = [(name, one.shown) for name, one in known.items()]
    named = view.get("name") or (saved[0][0] if saved else "")
    if not named:
        return render(
            view,
            "journey.html",
            s=None,
            problem=None,
            saved=saved,
            named="",
            query=[],
            r=None,
            curve="",
            lanes=[],
            notes=[],
            hidden=False,
        )
    query = [("name", named), *((k, v) for k, v in view.query if k in ("from", "to", "segment"))]
    try:
        result = view.host.ask("journey", arguments(verb("journey"), query))
    except UpswingError as error:
        problem = problem_of(error)
        return render(view, "journey.html", status=422, s=None, problem=problem, saved=saved, named=named, query=query,
                      r=None, curve="", lanes=[], notes=[])  # fmt: skip
    assert isinstance(result, JourneyResult)
    notes = placed(result.definition, read_notes(view.host.root))
    return render(
        view, "journey.html", s=shown(result), problem=None, saved=saved, named=named, query=query, r=result,
        curve=curve(result.stages), lanes=_lanes(result.definition), notes=_listed(result.definition, notes),
    )  # fmt: skip


def write(view: View) -> Response:
    """Change one cell of the map."""
    name, stage, key = view.field("name"), view.field("stage"), view.field("key")
    with view.host.opened() as workspace:
        workspace.write_stage(name, stage, key, str(view.form.get("value", ""))[:4000])
    view.host.record(view.request, "journey.write", f"{name}/{stage}/{key}")
    return RedirectResponse(address("/journey", {"name": name}) + "#map", status_code=303)


def tag(view: View) -> Response:
    """Put a note into a stage by hand."""
    name, note, stage = view.field("name"), view.field("note"), view.field("stage")
    definition = view.definitions.get("journey", name, JourneyDefinition)
    tag_notes(view.host.root, definition, {note: stage})
    view.host.record(view.request, "journey.tag", f"{name}/{note}")
    return RedirectResponse(address("/journey", {"name": name}) + "#notes", status_code=303)


def draft(view: View) -> Response:
    """Write a journey mined from the events."""
    name = view.field("name")
    if not name:
        raise UsageError(text("a journey needs a name"), code="UP678")
    with view.host.opened() as workspace:
        workspace.journey(draft=name)
    view.host.record(view.request, "journey.draft", name)
    return RedirectResponse(address("/journey", {"name": name}), status_code=303)


def curve(stages: Sequence[StageResult]) -> Markup:
    """The emotion curve with its band, one stage per column; a hollow point has few scores."""
    points = [(COLUMN * (i + 0.5), s) for i, s in enumerate(stages) if s.feel.score is not None]
    if not points:
        return Markup("")
    parts = [
        f'<line class="axis" x1="0" x2="{COLUMN * len(stages)}" y1="{_y(0)}" y2="{_y(0)}" stroke-dasharray="3 3"/>'
    ]
    band = [(x, s.feel.lower, s.feel.upper) for x, s in points if s.feel.lower is not None and s.feel.upper is not None]
    if len(band) > 1:
        upper = " ".join(f"{x:g},{_y(high)}" for x, _, high in band if high is not None)
        lower = " ".join(f"{x:g},{_y(low)}" for x, low, _ in reversed(band) if low is not None)
        parts.append(f'<polygon class="s0 band" points="{upper} {lower}"/>')
    line = " ".join(f"{x:g},{_y(s.feel.score or 0.0)}" for x, s in points)
    parts.append(f'<polyline class="s0 line" points="{line}" vector-effect="non-scaling-stroke"/>')
    drawn = Markup("".join(parts))  # noqa: S704 - numbers only
    label = escape(str(text("Emotion curve")))
    return Markup(  # noqa: S704 - escaped parts
        f'<svg class="emotion" viewBox="0 0 {COLUMN * len(stages)} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{drawn}</svg>'
    )


def _y(score: float) -> float:
    return round(8 + (1 - score) / 2 * (HEIGHT - 16), 1)


def _lanes(definition: JourneyDefinition) -> list[Lane]:
    def cell(stage: object, key: str) -> str:
        value = getattr(stage, key)
        if key == "ideas":
            return "\n".join(i.text for i in value)
        return "\n".join(value) if isinstance(value, list) else value or ""

    return [Lane(key, str(name), tuple(cell(s, key) for s in definition.stages)) for key, name in LANES]


def _listed(definition: JourneyDefinition, notes: dict[str, list[Note]]) -> list[Said]:
    """What was said at each stage, the lowest scores first; scores without words are on the curve already."""
    found = []
    for stage, label in [*((s.name, s.shown) for s in definition.stages), ("", str(text("in no stage yet")))]:
        worded = sorted((n for n in notes[stage] if n.text), key=lambda n: math.inf if n.score is None else n.score)
        if worded:
            found.append(Said(label, len(worded), tuple((n, _score(n)) for n in worded[:_MOST_NOTES])))
    return found


def _score(note: Note) -> str:
    return "" if note.score is None else format_number(note.score)
