"""Notes on days: what happened, for everybody who looks at a curve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import select

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.facts.clock import now
from upswing.facts.tables import ANNOTATIONS

if TYPE_CHECKING:
    from upswing.facts.database import Facts


@dataclass(frozen=True, slots=True)
class Annotation:
    """A note.

    Args:
        id: number.
        day: ISO date in the workspace's zone.
        body: what happened.
        who: who wrote it.
        created_at: µs UTC.
    """

    id: int
    day: str
    body: str
    who: str
    created_at: int


class Annotations:
    """Notes of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def add(self, day: date, body: str, *, who: str) -> Annotation:
        """Write a note on a day.

        Raises:
            UsageError: UP835 nothing is written.
        """
        if not body.strip():
            raise UsageError(text("the note is empty"), code="UP835")
        values = {"day": day.isoformat(), "body": body.strip()[:2000], "who": who, "created_at": now()}
        with self._facts.writing() as connection:
            made = connection.execute(ANNOTATIONS.insert().values(**values).returning(ANNOTATIONS.c.id)).scalar_one()
        return Annotation(made, **values)  # type: ignore[arg-type]

    def between(self, start: date, stop: date) -> list[Annotation]:
        """Notes on days from `start` up to, and without, `stop`, in their order."""
        wanted = select(ANNOTATIONS).where(ANNOTATIONS.c.day >= start.isoformat(), ANNOTATIONS.c.day < stop.isoformat())
        with self._facts.reading() as connection:
            rows = connection.execute(wanted.order_by(ANNOTATIONS.c.day, ANNOTATIONS.c.id)).mappings()
            return [Annotation(**{name: row[name] for name in Annotation.__slots__}) for row in rows]

    def remove(self, number: int) -> bool:
        """Take a note away; whether it was there."""
        with self._facts.writing() as connection:
            return connection.execute(ANNOTATIONS.delete().where(ANNOTATIONS.c.id == number)).rowcount > 0
