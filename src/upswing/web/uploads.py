"""Uploads on their way into the log: kept aside, looked at, mapped, imported on a thread of their own."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import text
from upswing.events.files import expand
from upswing.events.importer import import_files
from upswing.events.mapping import ColumnMapping, Proposal
from upswing.events.readers import stage
from upswing.events.statements import listed, statement
from upswing.events.store import EventStore, spill_folder
from upswing.events.summary import ImportSummary
from upswing.server.settings import UPLOADS
from upswing.web.background import Task

if TYPE_CHECKING:
    from upswing.core.calendar import Calendar
    from upswing.web.host import Host

HEAD: Final = 1 << 18
_ID: Final = re.compile(r"^[0-9a-f]{16}$")
_PLAIN: Final = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".ndjson"})
KEPT_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file looks like.

    Args:
        columns: names of its columns.
        rows: the first rows as text.
        proposal: what the columns are taken for; None when one cannot be told.
        problem: why not.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    proposal: Proposal | None
    problem: UpswingError | None = None


class Uploads:
    """Files that were sent and are not yet imported.

    Args:
        host: the server's side.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._runs: dict[str, Task[ImportSummary]] = {}

    def keep(self, files: Sequence[tuple[str, BinaryIO]]) -> str:
        """Put files aside; gives the id under which they wait. Older ones that nobody came back to are removed.

        Args:
            files: name and content.
        """
        self._clear()
        upload = secrets.token_hex(8)
        folder = self.host.root / UPLOADS / upload
        folder.mkdir(parents=True)
        for name, content in files:
            with (folder / _safe_name(name)).open("wb") as out:
                shutil.copyfileobj(content, out, 1 << 20)
        return upload

    def files(self, upload: str) -> list[Path]:
        """The files of an upload.

        Raises:
            UsageError: UP883 no such upload.
        """
        folder = self.host.root / UPLOADS / upload
        if not _ID.match(upload) or not folder.is_dir():
            raise UsageError(text("this upload is not there any more"), code="UP883", hint=text("send the file again"))
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))

    def preview(self, upload: str, calendar: Calendar, given: ColumnMapping | None = None) -> Preview:
        """The first file's columns and rows, and what they are taken for."""
        first = self.files(upload)[0]
        with _aside(self.host.root / UPLOADS / upload) as folder:
            head = _head(first, folder)
            with EventStore.create(folder / "preview.duckdb") as store:
                (file,) = expand([head], spill_folder(store.path))
                staged = stage(store, file, given=given)
                shown = listed(column.column for column in staged.columns)
                wanted = statement("SELECT {c} FROM {r} LIMIT 5", c=shown, r=staged.relation)
                rows = tuple(tuple("" if v is None else str(v)[:60] for v in row) for row in store.rows(wanted))
                columns = tuple(column.name for column in staged.columns)
                return Preview(columns, rows, *_proposed(store, head, given, calendar))

    def begin(self, upload: str, mapping: ColumnMapping, calendar: Calendar) -> None:
        """Import on a thread of its own; `run` tells how far it is."""
        run = self._runs[upload] = Task[ImportSummary]()
        run.begin(lambda: self._import(upload, mapping, calendar, run), name=f"import {upload}")

    def run(self, upload: str) -> Task[ImportSummary] | None:
        """The import of an upload, if it was begun."""
        return self._runs.get(upload)

    def _import(
        self, upload: str, mapping: ColumnMapping, calendar: Calendar, run: Task[ImportSummary]
    ) -> ImportSummary:
        def progress(phase: object, fraction: float, rate: float | None = None) -> None:
            # the folder is the server's own affair
            run.tell(str(phase).replace(f"{self.host.root / UPLOADS / upload}/", ""), fraction, rate)

        files = self.files(upload)
        with self.host.writing() as store:
            summary = import_files(store, files, mapping=mapping, calendar=calendar, progress=progress)
        shutil.rmtree(self.host.root / UPLOADS / upload, ignore_errors=True)
        return summary  # only now, after `writing` has ended, do questions see it

    def _clear(self) -> None:
        folder = self.host.root / UPLOADS
        for old in folder.iterdir() if folder.is_dir() else ():
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)


class _Enough(Exception):  # noqa: N818 - no error: the proposal is all that was wanted
    pass


class _aside:  # noqa: N801 - reads as a word after "with"
    """A hidden folder beside the files, gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f".{secrets.token_hex(4)}"

    def __enter__(self) -> Path:
        self.path.mkdir()
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _proposed(
    store: EventStore, path: Path, given: ColumnMapping | None, calendar: Calendar
) -> tuple[Proposal | None, UpswingError | None]:
    found: list[Proposal] = []

    def take(proposal: Proposal) -> None:
        found.append(proposal)
        raise _Enough

    try:
        import_files(store, [path], mapping=given, calendar=calendar, on_proposal=take)
    except _Enough:
        return found[0], None
    except UpswingError as error:
        if given is None or (given.event is None and given.event_name is None):
            # perhaps only the event cannot be told: what is known of the rest is worth showing
            rest = replace(given or ColumnMapping(), event_name="?")
            known, _ = _proposed(store, path, rest, calendar)
            if known is not None:
                return replace(known, mapping=replace(known.mapping, event_name=None)), error
        return None, error
    return None, None


def _head(path: Path, folder: Path) -> Path:
    """The beginning of a text file up to the end of a line; other files whole."""
    if path.suffix.lower() not in _PLAIN or path.stat().st_size <= HEAD:
        return path
    with path.open("rb") as source:
        body = source.read(HEAD)
    cut = body.rfind(b"\n")
    head = folder / path.name
    head.write_bytes(body[: cut + 1] if cut > 0 else body)
    return head


def _safe_name(name: str) -> str:
    """The last part of a name, without what could leave its folder.

    Examples:
        >>> _safe_name("../../etc/pass wd.csv")
        'pass wd.csv'
    """
    last = re.split(r"[\\/]", name)[-1].lstrip(".")
    return re.sub(r"[\x00-\x1f*?\[\]]", "_", last)[:120] or "events.csv"


def mapping_of(fields: dict[str, str]) -> ColumnMapping:
    """A mapping from the fields of a form; empty ones are left to be proposed."""
    return ColumnMapping(**{key: value for key, value in fields.items() if value})
