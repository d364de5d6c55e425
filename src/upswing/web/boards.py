"""Boards: what goes through stages, as columns of cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upswing.core.i18n import text
from upswing.core.numbers import format_number
from upswing.core.results import Result
from upswing.spec.files import Document
from upswing.spec.hypothesis import STAGES as HYPOTHESIS_STAGES
from upswing.spec.initiative import STAGES as INITIATIVE_STAGES
from upswing.strategy import backlog, initiatives
from upswing.strategy.backlog import BacklogResult
from upswing.strategy.initiatives import BoardResult
from upswing.web.view import address


@dataclass(frozen=True, slots=True)
class Card:
    """One thing on a board.

    Args:
        name: as shown.
        line: what matters of it, in a few words.
        href: its definition.
        late: whether it is overdue.
    """

    name: str
    line: str
    href: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A stage with its cards."""

    name: str
    cards: tuple[Card, ...]


def board_of(result: Result, files: Mapping[tuple[str, str], Document]) -> tuple[Lane, ...]:
    """The board of a result whose rows go through stages; empty for others, and where there is nothing on it.

    Args:
        result: any verb's answer.
        files: where each definition stands, by kind and name.
    """
    if isinstance(result, BacklogResult):
        cards = [(r.hypothesis.stage, _hypothesis(r, files)) for r in result.ranked]
        return _lanes(cards, [(s, str(backlog.STAGE_WORDS[s])) for s in HYPOTHESIS_STAGES])
    if isinstance(result, BoardResult):
        late = {d.initiative.name for d in result.due if d.reason == "overdue"}
        placed = [(i.stage, Card(i.shown, i.next_step or i.owner or "", _edit("initiative", i.name, files), i.name in late))
                  for i in result.initiatives]  # fmt: skip
        return _lanes(placed, [(s, str(initiatives.STAGE_WORDS[s])) for s in INITIATIVE_STAGES])
    return ()


def _hypothesis(ranked: backlog.Ranked, files: Mapping[tuple[str, str], Document]) -> Card:
    worth, h = ranked.worth, ranked.hypothesis
    if worth.per_day is not None:
        line = str(text("{gain} per day of traffic", gain=format_number(worth.per_day)))
    elif worth.ice is not None:
        line = f"ICE {format_number(worth.ice)}"
    else:
        line = h.lever
    return Card(h.shown, line, _edit("hypothesis", h.name, files))


def _edit(kind: str, name: str, files: Mapping[tuple[str, str], Document]) -> str:
    found = files.get((kind, name))
    return address("/definitions/edit", {"file": found.file if found is not None else None})


def _lanes(cards: Sequence[tuple[str, Card]], stages: Sequence[tuple[str, str]]) -> tuple[Lane, ...]:
    """Stages in their order, empty ones left out."""
    found = [Lane(words, tuple(card for at, card in cards if at == stage)) for stage, words in stages]
    return tuple(lane for lane in found if lane.cards)
