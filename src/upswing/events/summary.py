"""What an import did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from upswing.core.i18n import Text, text
from upswing.events.mapping import ColumnMapping

REASONS: Final[Mapping[str, Text]] = {
    "missing_user": text("no user"),
    "missing_time": text("no time"),
    "missing_event": text("no event name"),
    "bad_time": text("the time cannot be read"),
    "time_out_of_range": text("the time is before 1900 or after 2199"),
    "bad_number": text("not a number in a numeric column"),
    "malformed_row": text("the row does not split into the columns of the header"),
    "too_long": text("the row is too long"),
    "invalid_encoding": text("the row is not valid text in the file's encoding"),
    "invalid_json": text("the line is not a JSON object"),
    "malformed_event": text("the event is not what its protocol says"),
    "time_in_future": text("the time is more than a day ahead"),
    "alias_refused": text("two ids cannot be one user"),
    "not_stored": text("the log could not take the row"),
}
"""Why a row is set aside, by code."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """The outcome of one import.

    Args:
        rows_read: rows in the files.
        rows_added: rows that are in the log now and were not before.
        rows_duplicate: rows that the log had already, or that repeat an event id; also those of users who were erased, which
            a message counts.
        quarantined: rows set aside, by reason (see `REASONS`).
        rows_repeated: rows added although an equal row stands in the same file; kept, since without an event id nothing
            says that they are one event.
        files: files read.
        files_known: files skipped because they were imported before.
        mapping: what the columns were taken for, by file.
        new_properties: name and type of properties that the log did not have.
        widened: what became of columns whose type differs from the log's.
        users: users in the log now.
        new_users: users that the log did not have.
        events: rows in the log now.
        first_time: earliest time added, µs UTC.
        last_time: latest time added, µs UTC.
        seconds: time taken.
        messages: what else should be known.
    """

    rows_read: int
    rows_added: int
    rows_duplicate: int
    quarantined: Mapping[str, int]
    rows_repeated: int
    files: int
    files_known: int
    mapping: Mapping[str, ColumnMapping]
    new_properties: Mapping[str, str]
    widened: tuple[Text, ...]
    users: int
    new_users: int
    events: int
    first_time: int | None
    last_time: int | None
    seconds: float
    messages: tuple[Text, ...] = field(default=())

    @property
    def rows_quarantined(self) -> int:
        """Rows set aside, all reasons together."""
        return sum(self.quarantined.values())

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """First and last time added, UTC."""
        if self.first_time is None or self.last_time is None:
            return None
        return _EPOCH + timedelta(microseconds=self.first_time), _EPOCH + timedelta(microseconds=self.last_time)

    def sentence(self) -> Text:
        """The outcome in one sentence."""
        return text(
            "{added} events added, {duplicate} known already, {quarantined} set aside, in {seconds} s",
            added=f"{self.rows_added:,}",
            duplicate=f"{self.rows_duplicate:,}",
            quarantined=f"{self.rows_quarantined:,}",
            seconds=f"{self.seconds:.1f}",
        )

    def details(self) -> list[Text]:
        """Further lines, only what there is to say."""
        found = [
            text("{n} rows set aside: {reason}", n=f"{n:,}", reason=REASONS[r]) for r, n in self.quarantined.items()
        ]
        if self.rows_repeated:
            found.append(text("{n} rows equal another row of their file; kept", n=f"{self.rows_repeated:,}"))
        if self.files_known:
            found.append(text("{n} files were imported before", n=self.files_known))
        if self.new_properties:
            named = ", ".join(f"{name} ({kind})" for name, kind in self.new_properties.items())
            found.append(text("new properties: {names}", names=named))
        found += [*self.widened, *self.messages]
        if self.span is not None:
            first, last = (moment.isoformat(timespec="seconds") for moment in self.span)
            found.append(text("from {first} to {last}", first=first, last=last))
        return found

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        first, last = self.span or (None, None)
        return {
            "rows_read": self.rows_read,
            "rows_added": self.rows_added,
            "rows_duplicate": self.rows_duplicate,
            "rows_quarantined": self.rows_quarantined,
            "quarantined": dict(self.quarantined),
            "rows_repeated": self.rows_repeated,
            "files": self.files,
            "files_known": self.files_known,
            "mapping": {source: mapping.to_dict() for source, mapping in self.mapping.items()},
            "new_properties": dict(self.new_properties),
            "widened": [str(line) for line in self.widened],
            "users": self.users,
            "new_users": self.new_users,
            "events": self.events,
            "first_time": first.isoformat() if first else None,
            "last_time": last.isoformat() if last else None,
            "seconds": round(self.seconds, 3),
            "messages": [str(line) for line in self.messages],
        }
