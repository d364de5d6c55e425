"""Who is whom: dated aliases, applied when questions are asked, so that every one can be taken back."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.events.files import recognise_encoding
from upswing.events.store import EventStore

AliasRow = tuple[str | None, str | None] | tuple[str | None, str | None, str | date | datetime | None]
"""(alias, canonical) or (alias, canonical, valid_from)."""

_ALIAS_NAMES = ("alias", "anonymous_id", "device_id", "from", "别名", "匿名id")
_CANONICAL_NAMES = ("canonical", "user_id", "user", "to", "用户id", "用户")
_FROM_NAMES = ("valid_from", "since", "time", "timestamp", "生效时间", "时间")


@dataclass(frozen=True, slots=True)
class Alias:
    """One statement of identity.

    Args:
        alias: the other id.
        canonical: the id it stands for.
        valid_from: from this moment on, µs UTC; None = always.
        source: who said so: a file or ``given``.
    """

    alias: str
    canonical: str
    valid_from: int | None
    source: str


def add_aliases(store: EventStore, rows: Iterable[AliasRow], *, calendar: Calendar, source: str = "given") -> int:
    """Add aliases, all or none; those that the log has already are passed over.

    An alias stands for one id at any moment: a later `valid_from` with another id replaces it from then on.

    Args:
        store: the log.
        rows: (alias, canonical[, valid_from]); a naive time is in the workspace's zone.
        calendar: that zone.
        source: who says so.

    Returns:
        Number of aliases added.

    Raises:
        DataError: UP340 an empty id or an alias of itself; UP341 the alias stands for two ids from the same moment;
            UP342 the aliases run in a circle; UP343 an unreadable time.
    """
    wanted = list(dict.fromkeys(_checked(row, calendar) for row in rows))
    with store.transaction():
        held = {(a.alias, a.canonical, a.valid_from) for a in list_aliases(store)}
        new = [row for row in wanted if row not in held]
        _check_unique([*held, *new])
        _check_circles([*held, *new])
        for alias, canonical, valid_from in new:
            store.run(
                "INSERT INTO aliases VALUES (?, ?, make_timestamp(?), ?, now()::TIMESTAMP)",
                [alias, canonical, valid_from, source],
            )
        if new:
            store.bump("identity_version")
    return len(new)


def remove_aliases(store: EventStore, rows: Iterable[AliasRow], *, calendar: Calendar) -> int:
    """Take aliases back. Without `valid_from`, every alias of the two ids goes; without canonical, every one of it.

    Returns:
        Number of aliases removed.

    Raises:
        DataError: UP344 there is no such alias.
    """
    removed = 0
    with store.transaction():
        for alias, canonical, *rest in rows:
            since = _instant(rest[0], calendar) if rest and rest[0] is not None else None
            where = (
                "alias = $alias AND ($canonical IS NULL OR canonical = $canonical)"
                " AND ($since IS NULL OR valid_from = make_timestamp($since))"
            )
            values = {"alias": alias, "canonical": canonical, "since": since}
            count = store.count("SELECT count(*) FROM aliases WHERE " + where, values)
            if count == 0:
                known = [str(a) for (a,) in store.rows("SELECT DISTINCT alias FROM aliases")]
                raise DataError(
                    text("'{alias}' is no alias of '{canonical}'", alias=alias, canonical=canonical or "*"),
                    code="UP344",
                    hint=did_you_mean(str(alias), known),
                )
            store.run("DELETE FROM aliases WHERE " + where, values)
            removed += count
        if removed:
            store.bump("identity_version")
    return removed


def list_aliases(store: EventStore) -> list[Alias]:
    """All aliases, by alias and the moment they begin."""
    found = store.rows(
        "SELECT alias, canonical, epoch_us(valid_from), source FROM aliases"
        " ORDER BY alias, valid_from NULLS FIRST, canonical"
    )
    return [Alias(str(a), str(c), None if v is None else int(str(v)), str(s)) for a, c, v, s in found]


def read_aliases(path: Path, calendar: Calendar) -> list[AliasRow]:
    """Aliases from a CSV file with the columns alias, canonical and, if known, valid_from.

    Raises:
        DataError: UP320 no such file, UP322 a column is missing, UP340 and UP343 with the line of the bad row.
    """
    if not path.exists():
        raise DataError(text("no file '{path}'", path=path), code="UP320")
    encoding = recognise_encoding(path, source=str(path))
    with path.open(
        encoding=encoding.replace("utf-8", "utf-8-sig") if encoding == "utf-8" else encoding, newline=""
    ) as f:
        reader = csv.DictReader(f)
        header = list(reader.fieldnames or [])
        alias, canonical = (_column(header, names, path) for names in (_ALIAS_NAMES, _CANONICAL_NAMES))
        since = next((h for h in header if h.strip().lower() in _FROM_NAMES), None)
        rows: list[AliasRow] = []
        for record in reader:
            row = (record[alias], record[canonical], (record[since] or None) if since else None)
            try:
                _checked(row, calendar)
            except DataError as error:
                raise DataError(
                    text("{path}, line {line}: {cause}", path=path, line=reader.line_num, cause=error.message),
                    code=error.code,
                ) from None
            rows.append(row)
    return rows


def _column(header: Sequence[str], names: tuple[str, ...], path: Path) -> str:
    for name in names:
        for column in header:
            if column.strip().lower() == name:
                return column
    raise DataError(
        text("{path} has no column '{column}'", path=path, column=names[0]),
        code="UP322",
        hint=text("the columns are alias, canonical and, if known, valid_from"),
    )


def _checked(row: AliasRow, calendar: Calendar) -> tuple[str, str, int | None]:
    alias, canonical = (row[0] or "").strip(), (row[1] or "").strip()
    if not alias or not canonical or alias == canonical:
        raise DataError(
            text("an alias needs two different ids, got '{alias}' and '{canonical}'", alias=alias, canonical=canonical),
            code="UP340",
        )
    since = row[2] if len(row) == 3 else None
    return alias, canonical, None if since is None else _instant(since, calendar)


def _instant(value: str | date | datetime, calendar: Calendar) -> int:
    try:
        return calendar.instant(value)
    except UsageError as error:
        raise DataError(error.message, code="UP343", hint=error.hint) from None


def _check_unique(rows: Sequence[tuple[str, str, int | None]]) -> None:
    stands: dict[tuple[str, int | None], str] = {}
    for alias, canonical, since in rows:
        other = stands.setdefault((alias, since), canonical)
        if other != canonical:
            raise DataError(
                text(
                    "'{alias}' would stand for both '{a}' and '{b}' from the same moment",
                    alias=alias,
                    a=other,
                    b=canonical,
                ),
                code="UP341",
                hint=text("remove one of them, or give the later one a date"),
            )


def _check_circles(rows: Sequence[tuple[str, str, int | None]]) -> None:
    """No id may lead back to itself, at whatever dates: otherwise who is whom would depend on where one begins."""
    leads: dict[str, set[str]] = {}
    for alias, canonical, _ in rows:
        leads.setdefault(alias, set()).add(canonical)
    done: set[str] = set()
    for start in leads:
        path: list[str] = []
        stack = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                done.add(node)
                continue
            if node in path:
                circle = " → ".join([*path[path.index(node) :], node])
                raise DataError(
                    text("the aliases run in a circle: {circle}", circle=circle),
                    code="UP342",
                    hint=text("remove one of them first"),
                )
            if node in done:
                continue
            path.append(node)
            stack.append((node, True))
            stack += [(following, False) for following in leads.get(node, ())]
