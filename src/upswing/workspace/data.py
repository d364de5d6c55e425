"""Verbs of the event log: import, aliases, catalogue, segments, the people behind a number, quarantine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upswing.core.errors import Problems, UsageError
from upswing.core.i18n import text
from upswing.spec.files import write_yaml
from upswing.spec.validation import validated
from upswing.workspace.base import Moment, OpenWorkspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upswing.core.results import Result
    from upswing.events.summary import ImportSummary


class DataVerbs(OpenWorkspace):
    """Events in, looked after and looked at; people behind numbers."""

    def import_events(
        self,
        paths: Sequence[str | Path],
        *,
        user: str | None = None,
        time: str | None = None,
        event: str | None = None,
        channel: str | None = None,
        event_id: str | None = None,
        event_name: str | None = None,
        time_format: str | None = None,
        encoding: str | None = None,
        progress: Callable[..., None] | None = None,
        on_proposal: Callable[..., None] | None = None,
    ) -> ImportSummary:
        """Import event files: CSV, JSON lines, Parquet, globs, or ``-`` for standard input.

        Columns that are not named are proposed from the file. A bad row goes to quarantine with its reason; importing the
        same file again adds nothing; an interruption at any moment leaves the log as it was.

        Returns:
            What was read, added, found twice and set aside.
        """
        from upswing.events.importer import import_files
        from upswing.events.mapping import ColumnMapping

        mapping = ColumnMapping(
            user=user,
            time=time,
            event=event,
            channel=channel,
            event_id=event_id,
            event_name=event_name,
            time_format=time_format,
            encoding=encoding,
        )
        with self._writing() as store:
            return import_files(
                store,
                [str(p) for p in paths],
                mapping=mapping,
                calendar=self.project.calendar,
                progress=progress,
                on_proposal=on_proposal,
            )

    def alias(
        self,
        alias: str | None = None,
        canonical: str | None = None,
        *,
        valid_from: Moment = None,
        file: str | Path | None = None,
        remove: bool = False,
    ) -> int:
        """Say that two ids are one user, from a moment on; applied when questions are asked, so it can be taken back.

        Args:
            alias: the other id, e.g. an anonymous device.
            canonical: the user's id.
            valid_from: from this moment on; always, if absent.
            file: CSV with columns alias, canonical and, if known, valid_from.
            remove: take it back.

        Returns:
            Number of aliases added or removed.
        """
        from upswing.events.identity import add_aliases, read_aliases, remove_aliases

        if file is None and (alias is None or canonical is None):
            raise UsageError(
                text("give an alias and the id it stands for"), code="UP606", hint=text("upswing alias DEVICE USER")
            )
        calendar = self.project.calendar
        with self._writing() as store:
            rows = read_aliases(Path(file), calendar) if file is not None else [(alias, canonical, valid_from)]
            if remove:
                return remove_aliases(store, rows, calendar=calendar)
            return add_aliases(store, rows, calendar=calendar)

    def compact(self) -> None:
        """Rewrite the log in one run, ordered by user and time."""
        from upswing.events.compact import compact

        with self._writing() as store:
            compact(store)

    def check(self, *, data: bool = False) -> Problems:
        """Every problem of the definitions; with `data`, also events and properties that the log does not have."""
        from upswing.spec.references import check_references

        found = Problems([*self.definitions.problems])
        names = self.log.schema if data else None
        check_references(
            self.definitions,
            found,
            events=None if names is None else list(names.events),
            properties=None if names is None else list(names.properties),
        )
        return found

    def schema(self) -> dict[str, object]:
        """JSON Schema of the definitions, with the log's events and properties, for editors."""
        from upswing.spec.definitions import json_schema

        known = self.log.schema
        return json_schema(events=sorted(known.events), properties=sorted(known.properties))

    def events(self, event: str | None = None) -> Result:
        """What is in the log: events and properties with volumes, and findings about data quality."""
        from upswing.diagnose.catalogue import describe_events, describe_log

        if not self.imports:
            return describe_log(self.log, event)
        with self._reading() as store:
            return describe_events(store, self.project.calendar, event)

    def segments(self, name: str | None = None, *, stop: Moment = None) -> Result:
        """Segments of the workspace with their sizes."""
        from upswing.diagnose.people import describe_segments

        named = self.definitions.by_kind.get("segment", {})
        chosen = [self._segment_definition(name)] if name else list(named.values())
        return describe_segments(self.log, self._resolver(), chosen, stop=stop)  # type: ignore[arg-type]

    def quarantine(self, *, reason: str | None = None, limit: int = 50) -> Result:
        """Rows that could not be imported, with reason and line."""
        from upswing.diagnose.catalogue import describe_quarantine

        with self._reading() as store:
            return describe_quarantine(store, self.project.calendar, reason=reason, limit=limit)

    def save_segment(self, name: str, keys: NDArray[np.int64], *, description: str | None = None) -> Path:
        """Save users as a segment: a file under ``segments/`` and their ids under ``segments/NAME.txt``."""
        from upswing.spec.segment import SegmentDefinition

        listed = f"segments/{name}.txt"
        body: dict[str, Any] = {"kind": "segment", "name": name, "all": [{"users_file": listed}]}
        if description:
            body["description"] = description
        validated(SegmentDefinition, body, what="segment")
        folder = self.root / "segments"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.txt").write_text("\n".join(self.log.user_ids(keys)) + "\n", encoding="utf-8")
        write_yaml(folder / f"{name}.yml", body)
        self._definitions = None
        return folder / f"{name}.yml"
