"""Who stands behind a number, and how large the saved segments are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text, text
from upswing.core.results import Chart, Column, HowComputed, Result, Table
from upswing.events.log import EventLog
from upswing.events.segments import SegmentResolver
from upswing.spec.segment import SegmentDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersResult(Result):
    """Users by id. `total` counts all of them, `ids` lists the first ones."""

    verb: ClassVar[str] = "users"
    source: Text | str
    total: int
    ids: tuple[str, ...]
    saved: str | None = None

    def title(self) -> Text:
        """The question."""
        return text("Who are they: {source}?", source=self.source)

    def verdict(self) -> Text:
        """How many."""
        return text("{n} users", n=f"{self.total:,}")

    def data(self) -> dict[str, object]:
        """Total and listed ids."""
        return {"total": self.total, "users": list(self.ids), "saved_as": self.saved}

    def tables(self) -> list[Table]:
        """The listed ids."""
        note = text("the first {n} of {total}", n=len(self.ids), total=self.total) if self.total > len(self.ids) else ""
        return [Table("users", text("Users"), (Column("user_id", text("User")),), [(i,) for i in self.ids], note)]


def list_users(
    log: EventLog,
    keys: NDArray[np.int64],
    *,
    source: object,
    limit: int = 100,
    start: str | None = None,
    stop: str | None = None,
    saved: str | None = None,
) -> UsersResult:
    """List users by key.

    Args:
        log: the event log.
        keys: sorted user keys.
        source: what they have in common, in words.
        limit: most ids listed.
        start: first moment of the range they were chosen in.
        stop: its end.
        saved: name of the segment they were saved as.
    """
    lo, hi = log.resolve_range(start, stop)
    shown = source if isinstance(source, Text) else str(source)
    how = HowComputed(
        definition={"source": str(source)},
        window=log.window(lo, hi),
        method=text("The users that the number itself was counted from"),
        users=len(keys),
        engine=log.engine.name,
    )
    return UsersResult(how=how, source=shown, total=len(keys), ids=tuple(log.user_ids(keys[:limit])), saved=saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentsResult(Result):
    """Segments with their sizes."""

    verb: ClassVar[str] = "segments"
    sizes: tuple[tuple[SegmentDefinition, int], ...]
    everyone: int

    def title(self) -> Text:
        """The question."""
        return text("How large are the segments?")

    def data(self) -> dict[str, object]:
        """Name, label, size and share."""
        return {
            "segments": [
                {"name": d.name, "label": d.shown, "users": n, "share": n / self.everyone if self.everyone else None,
                 "hash": d.hash}
                for d, n in self.sizes
            ],
            "users": self.everyone,
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """One row per segment."""
        columns = (
            Column("name", text("Segment")),
            Column("users", text("Users"), "count"),
            Column("share", text("Share of all"), "ratio"),
        )
        rows = [(d.shown, n, n / self.everyone if self.everyone else None) for d, n in self.sizes]
        note = (
            "" if rows else text("no segment is defined yet: write segments/NAME.yml, or save users of a funnel step")
        )
        return [Table("segments", text("Segments"), columns, rows, note)]

    def charts(self) -> list[Chart]:
        """Bars in the table."""
        return [Chart("funnel", "segments", text("Segments"), x="name", y=("users",))]


def describe_segments(
    log: EventLog, resolver: SegmentResolver, segments: Sequence[SegmentDefinition], *, stop: str | None = None
) -> SegmentsResult:
    """Sizes of segments as of `stop` (the end of the log by default)."""
    lo, hi = log.resolve_range(None, stop)
    sizes = tuple((d, len(resolver.users(d, as_of=hi))) for d in segments)
    how = HowComputed(
        definition={"segments": {d.name: d.model_dump(mode="json", exclude_defaults=True) for d in segments}},
        window=log.window(lo, hi),
        method=text("Each condition becomes a set of users as of the end of the range; the sets are combined"),
        users=log.schema.n_users,
        engine=log.engine.name,
    )
    return SegmentsResult(how=how, sizes=sizes, everyone=log.schema.n_users)
