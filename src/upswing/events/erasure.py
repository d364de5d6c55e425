"""Taking people and old events out of the log, for good: an old file that comes again does not bring them back.

Who is erased is kept as keyed hashes (`erased`), with the times it holds for: events of an erased id up to its erasure are
refused whenever they come; what somebody does later under the same id is new.

Deleted rows are gone from every answer at once. Their bytes can stay in free blocks of the log's file until the engine
writes over them; a file written anew (backup and restore) has none.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from upswing.core.errors import DataError, EngineError, UpswingError
from upswing.core.i18n import text
from upswing.engines.identity import ALWAYS, FOREVER, Alias, resolve
from upswing.events.identity import list_aliases
from upswing.events.rewriting import rewrite_events
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore

Names = Callable[[Iterable[str]], bool]
"""Says whether one of the values is an id that is looked for."""

EVERY_EVENT: Final = "*"
"""Stands for every event without a rule of its own."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS erased (digest VARCHAR NOT NULL, begins BIGINT, ends BIGINT)",  # µs; null = no limit
    # Where the id was the user's no longer (null = never), and whether statements of identity that name it went too:
    # what a restored log has to lose. Null in `named`: of a version that did not keep them.
    "ALTER TABLE erased ADD COLUMN IF NOT EXISTS stop BIGINT",
    "ALTER TABLE erased ADD COLUMN IF NOT EXISTS named BOOLEAN",
    "CREATE TABLE IF NOT EXISTS erased_key (value VARCHAR NOT NULL)",
)
_WORD: Final = re.compile(r"[^\s,;\"'{}\[\]()|=&]+")


@dataclass(frozen=True, slots=True)
class Span:
    """An id during a time, µs UTC; `identity.ALWAYS` and `FOREVER` where there is no limit."""

    user_id: str
    start: int = ALWAYS
    stop: int = FOREVER

    @property
    def whole(self) -> bool:
        """Whether the id was this user's at all times."""
        return self.start == ALWAYS and self.stop == FOREVER


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased.

    Args:
        ids: of the user, aliases included; those that were shared with others only for their time.
        events: rows of the log.
        aliases: statements of identity.
        quarantined: rows that had been set aside.
        clicks: reported clicks on advertisements.
        users: ids that the log does not know any more.
        leftovers: of backups that were cut short, deleted whole as they may hold the user.
        unsearched: files in the data folder that may hold the user and were not looked into.
        mentioned: events of others in which one of the ids stands as a property: name of the property → rows. They stay.
    """

    ids: tuple[str, ...]
    events: int = 0
    aliases: int = 0
    quarantined: int = 0
    clicks: int = 0
    users: int = 0
    leftovers: int = 0
    unsearched: tuple[str, ...] = ()
    mentioned: Mapping[str, int] = field(default_factory=dict)


def spans_of(store: EventStore, user_id: str) -> tuple[Span, ...]:
    """Every id of a user, with the time for which it was theirs.

    Args:
        store: the log.
        user_id: the user's id, or an alias that never stood for anybody else.

    Raises:
        DataError: UP346 the id stands for several users at different times.
    """
    intervals = resolve(Alias(a.alias, a.canonical, a.valid_from) for a in list_aliases(store))
    meant = sorted({i.canonical for i in intervals if i.user_id == user_id}) or [user_id]
    if len(meant) > 1:
        raise DataError(
            text("'{id}' stands for several users: {names}", id=user_id, names=", ".join(meant)),
            code="UP346",
            hint=text("name one of them"),
        )
    canonical = meant[0]
    found = [Span(i.user_id, i.start, i.stop) for i in intervals if i.canonical == canonical]
    if all(i.user_id != canonical for i in intervals):
        found.insert(0, Span(canonical))
    return tuple(sorted(found, key=lambda span: span.user_id != canonical))


def erase_user(store: EventStore, user_id: str, *, at: int, for_good: bool = False) -> Erasure:
    """Erase a user: every event, alias, click and quarantined row of every id of theirs.

    Args:
        store: the log.
        user_id: the user's id, or an alias that never stood for anybody else.
        at: this moment, µs UTC: later events of the ids are new.
        for_good: refuse later events too.

    Raises:
        DataError: UP346 the id stands for several users.
        EngineError: the log cannot be written.
    """
    spans = spans_of(store, user_id)
    whole = [span.user_id for span in spans if span.whole]
    wanted = frozenset(whole)
    with store.transaction():
        _keep_out(store, spans, named={*whole, spans[0].user_id}, at=None if for_good else at)
        found = _take_out(
            store, spans, whole=whole, named=[*whole, spans[0].user_id], names=lambda v: not wanted.isdisjoint(v)
        )
    settle(store)
    return found


def refuse_erased(store: EventStore, imports: Sequence[int]) -> int:
    """Take what erased users did before their erasure out of imports under way; inside their transaction.

    Returns:
        Rows of events that were taken out.
    """
    if not imports or not _any_erased(store):
        return 0
    chosen = statement("import_id IN ({imports})", imports=listed(literal(i) for i in imports))
    taken = _deleted(store, _refused(store, chosen), "events")
    _forget_refused(store)
    return taken


def sweep_quarantine(store: EventStore) -> int:
    """Forget quarantined rows that name somebody who was erased; how many. Part of the daily job."""
    if not _any_erased(store):
        return 0
    key = str(store.value("SELECT value FROM erased_key"))
    with store.transaction():
        _make_tables(store)
        known = {
            str(digest) for (digest,) in store.rows("SELECT digest FROM erased WHERE begins IS NULL AND stop IS NULL")
        }
        return _forget_quarantined(store, lambda values: any(_digest(key, value) in known for value in values))


def delete_old(store: EventStore, rules: Mapping[str, int], *, at: int) -> dict[str, int]:
    """Delete events that are older than their rule keeps them, and users of whom nothing is left.

    Args:
        store: the log.
        rules: name of an event → µs that it is kept; `EVERY_EVENT` for those without a rule of their own.
        at: this moment, µs UTC.

    Returns:
        Name of the event → rows deleted.
    """
    deleted: dict[str, int] = {}
    with store.transaction():
        for event, keep in rules.items():
            if event != EVERY_EVENT:
                deleted[event] = _delete_before(store, "event = $event", {"event": event, "before": at - keep})
        if EVERY_EVENT in rules:
            before = at - rules[EVERY_EVENT]
            others = {"named": [event for event in rules if event != EVERY_EVENT], "before": before}
            deleted[EVERY_EVENT] = _delete_before(store, "NOT list_contains($named, event)", others)
            store.run(
                "DELETE FROM quarantine WHERE import_id IN"
                " (SELECT import_id FROM imports WHERE epoch_us(finished_at) < $before)",
                {"before": before},
            )
            if _has_table(store, "ad_clicks"):
                store.run("DELETE FROM ad_clicks WHERE epoch_us(time) < $before", {"before": before})
        if any(deleted.values()):
            store.run(
                "DELETE FROM users WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.user_key = users.user_key)"
            )
            store.bump("data_version")
    if any(deleted.values()):
        settle(store)
    return deleted


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Who was erased from a log, to be carried over into a restored one.

    Args:
        key: what the ids are hashed with.
        rows: of the table `erased`: digest, begins, ends, stop, named.
    """

    key: str
    rows: tuple[tuple[object, ...], ...]


def tombstones(store: EventStore) -> Tombstones | None:
    """Who was erased from this log; None if nobody."""
    if not _any_erased(store):
        return None
    with store.transaction():
        _make_tables(store)
    rows = store.rows("SELECT digest, begins, ends, stop, named FROM erased")
    return Tombstones(str(store.value("SELECT value FROM erased_key")), tuple(rows))


def carry_over(store: EventStore, known: Tombstones) -> Erasure:
    """Put tombstones of a newer log into a restored one, and erase in it what those erasures erased, whatever its time:
    everything in a backup that does not know of an erasure came before it.

    What waits in the restored spool has to be in the log by then.

    Args:
        store: the restored log.
        known: the tombstones; those that the restored log has already are left, as they were obeyed there.

    Raises:
        DataError: UP347 the restored log has tombstones under another key: it is another workspace's.
    """
    with store.transaction():
        _make_tables(store)
        own = store.value("SELECT value FROM erased_key")
        if own is None:
            store.run("INSERT INTO erased_key VALUES (?)", [known.key])
        elif own != known.key:
            raise DataError(
                text("the erased users of the two logs cannot be compared"), code="UP347",
                hint=text("restore into a new folder, and erase them there"),
            )  # fmt: skip
        held = {row[:3] for row in store.rows("SELECT digest, begins, ends FROM erased")}
        fresh = [row for row in known.rows if row[:3] not in held]
        for row in fresh:
            store.run("INSERT INTO erased VALUES (?, ?, ?, ?, ?)", list(row))
        spans = _spans_meant(store, known.key, fresh)
        named = {str(digest) for digest, begins, _, _, named in fresh if named or (named is None and begins is None)}
        whole = {str(digest) for digest, begins, _, stop, _ in fresh if begins is None and stop is None}
        ids = {span.user_id: _digest(known.key, span.user_id) for span in spans}
        found = _take_out(
            store, spans,
            whole=[i for i, digest in ids.items() if digest in whole],
            named=[i for i, digest in ids.items() if digest in named],
            names=lambda values: any(_digest(known.key, value) in whole for value in values),
        )  # fmt: skip
    settle(store)
    return found


def settle(store: EventStore) -> None:
    """Write the log's file anew where rows went, and drop the mapped columns of versions before."""
    with suppress(UpswingError):  # others read it now; the next checkpoint does it
        store.run("CHECKPOINT")
    shutil.rmtree(store.path.with_suffix(".spine"), ignore_errors=True)


def _take_out(
    store: EventStore, spans: Iterable[Span], *, whole: Sequence[str], named: Sequence[str], names: Names
) -> Erasure:
    """Delete everything of some ids, inside a transaction.

    Args:
        store: the log.
        spans: whose events go.
        whole: the ids among them that were never anybody else's.
        named: ids; statements of identity that name one go.
        names: says whether a row set aside, or a click, holds one of the whole ids.
    """
    store.run("CREATE OR REPLACE TEMP TABLE upswing_spans (user_id VARCHAR, start BIGINT, stop BIGINT)")
    for span in spans:
        store.run("INSERT INTO upswing_spans VALUES (?, ?, ?)", [span.user_id, span.start, span.stop])
    found = Erasure(
        ids=tuple(dict.fromkeys(span.user_id for span in spans)),
        events=_rewritten_without(
            store,
            "SELECT e.rowid AS place FROM events AS e JOIN users AS u USING (user_key)"
            " JOIN upswing_spans AS s USING (user_id) WHERE epoch_us(e.time) >= s.start AND epoch_us(e.time) < s.stop",
        ),
        aliases=_deleted(
            store, "SELECT rowid FROM aliases WHERE list_contains($ids, alias) OR list_contains($ids, canonical)",
            "aliases", {"ids": list(named)},
        ),
        quarantined=_forget_quarantined(store, names),
        clicks=_forget_clicks(store, names),
        users=_forget_users(store, whole),
        mentioned=_mentions(store, whole),
    )  # fmt: skip
    store.run("DROP TABLE upswing_spans")
    if found.events or found.users:
        store.bump("data_version")
    if found.aliases:
        store.bump("identity_version")
    return found


def _spans_meant(store: EventStore, key: str, rows: Iterable[tuple[object, ...]]) -> list[Span]:
    """The ids of a log that tombstones mean, each with the time for which it was the erased user's."""
    meant: dict[str, list[tuple[int, int]]] = {}
    for digest, begins, ends, stop, named in rows:
        until = ends if named is None else stop  # how far an old tombstone's id went is not known
        meant.setdefault(str(digest), []).append(
            (ALWAYS if begins is None else int(str(begins)), FOREVER if until is None else int(str(until)))
        )
    ids = store.rows("SELECT user_id FROM users UNION SELECT alias FROM aliases UNION SELECT canonical FROM aliases")
    return [
        Span(str(user_id), start, stop)
        for (user_id,) in ids
        for start, stop in meant.get(_digest(key, str(user_id)), ())
    ]


def _keep_out(store: EventStore, spans: Iterable[Span], *, named: Container[str], at: int | None) -> None:
    """Tombstones: `at` is where they end; None = never. Of `named` ids, statements of identity go too."""
    _make_tables(store)
    key = store.value("SELECT value FROM erased_key")
    if key is None:
        key = secrets.token_hex(32)
        store.run("INSERT INTO erased_key VALUES (?)", [key])
    for span in spans:
        ends = min(span.stop, FOREVER if at is None else at)
        limits = [
            None if span.start == ALWAYS else span.start, None if ends == FOREVER else ends,
            None if span.stop == FOREVER else span.stop,
        ]  # fmt: skip
        row = [_digest(str(key), span.user_id), *limits, span.user_id in named]
        store.run("INSERT INTO erased (digest, begins, ends, stop, named) VALUES (?, ?, ?, ?, ?)", row)


def _digest(key: str, user_id: str) -> str:
    return hashlib.sha256(f"{key}:{user_id}".encode()).hexdigest()


def _make_tables(store: EventStore) -> None:
    for table in _TABLES:
        store.run(table)


def _any_erased(store: EventStore) -> bool:
    return _has_table(store, "erased") and store.count("SELECT count(*) FROM erased") > 0


def _has_table(store: EventStore, table: str) -> bool:
    return store.count("SELECT count(*) FROM duckdb_tables() WHERE table_name = ? AND NOT temporary", [table]) > 0


def _deleted(store: EventStore, rowids: str, table: str, values: Mapping[str, object] | None = None) -> int:
    """Delete rows by their place; how many."""
    before = store.count(statement("SELECT count(*) FROM {t}", t=name(table)))
    store.run(
        statement("DELETE FROM {t} WHERE rowid IN ({rowids})", t=name(table), rowids=Fragment(rowids)), values or {}
    )
    return before - store.count(statement("SELECT count(*) FROM {t}", t=name(table)))


def _delete_before(store: EventStore, which: str, values: Mapping[str, object]) -> int:
    rows = statement(
        "SELECT rowid AS place FROM events WHERE epoch_us(time) < $before AND {which}", which=Fragment(which)
    )
    return _rewritten_without(store, rows, values)


def _rewritten_without(store: EventStore, places: str, values: Mapping[str, object] | None = None) -> int:
    """Write the events anew without the rows of some places, in the same order; how many.

    Rows that are only marked as deleted would be moved together at some later checkpoint, without notice, under readers
    that go by row numbers (`engines.live`).
    """
    store.run(statement("CREATE OR REPLACE TEMP TABLE upswing_doomed AS {rows}", rows=Fragment(places)), values or {})
    count = store.count("SELECT count(DISTINCT place) FROM upswing_doomed")
    if count:
        rewrite_events(store, "ANTI JOIN upswing_doomed AS d ON d.place = e.rowid ORDER BY e.rowid")
        if store.count("SELECT (SELECT count(*) FROM events_before) - (SELECT count(*) FROM events)") != count:
            raise EngineError(text("the rewritten log differs from the old one; nothing was changed"), code="UP707")
        store.run("DROP TABLE events_before")
    store.run("DROP TABLE upswing_doomed")
    return count


def _refused(store: EventStore, chosen: Fragment) -> Fragment:
    """Rows that tombstones forbid, among the chosen events; the users concerned are in a temporary table."""
    store.run(
        statement(
            "CREATE OR REPLACE TEMP TABLE upswing_refused AS SELECT u.user_key, x.begins, x.ends FROM users AS u"
            " JOIN erased AS x ON x.digest = sha256(concat((SELECT value FROM erased_key), ':', u.user_id))"
            " WHERE u.user_key IN (SELECT user_key FROM events WHERE {chosen})",
            chosen=chosen,
        )
    )
    return statement(
        "SELECT e.rowid FROM events AS e JOIN upswing_refused AS r USING (user_key)"
        " WHERE {chosen} AND (r.begins IS NULL OR epoch_us(e.time) >= r.begins)"
        " AND (r.ends IS NULL OR epoch_us(e.time) < r.ends)",
        chosen=chosen,
    )


def _forget_refused(store: EventStore) -> None:
    """Users of whom nothing is left after rows were refused."""
    store.run(
        "DELETE FROM users WHERE user_key IN (SELECT user_key FROM upswing_refused ANTI JOIN events USING (user_key))"
    )
    store.run("DROP TABLE upswing_refused")


def _forget_users(store: EventStore, ids: Sequence[str]) -> int:
    rows = (
        "SELECT u.rowid FROM users AS u WHERE list_contains($ids, u.user_id)"
        " AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.user_key = u.user_key)"
    )
    return _deleted(store, rows, "users", {"ids": list(ids)})


def _forget_quarantined(store: EventStore, names: Names) -> int:
    """Delete quarantined rows one of whose values names somebody."""
    rows = store.rows("SELECT rowid, raw, message FROM quarantine")
    chosen = [int(str(at)) for at, raw, said in rows if names({*_values(raw), *_values(said)})]
    if chosen:
        places = listed(literal(at) for at in chosen)
        store.run(statement("DELETE FROM quarantine WHERE rowid IN ({places})", places=places))
    return len(chosen)


def _values(raw: object) -> Iterator[str]:
    """The values of a row: those of its JSON, or the words of a line that could not be split."""
    if raw is None:
        return
    try:
        parsed = json.loads(str(raw))
    except (ValueError, RecursionError):
        yield from _WORD.findall(str(raw))
        return
    waiting = [parsed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif value is not None:
            yield str(value)


def _forget_clicks(store: EventStore, names: Names) -> int:
    """Clicks one of whose parameters names somebody."""
    if not _has_table(store, "ad_clicks"):
        return 0
    rows = store.rows("SELECT rowid, parameters FROM ad_clicks")
    chosen = [int(str(at)) for at, parameters in rows if names({*_values(parameters)})]
    if chosen:
        places = listed(literal(at) for at in chosen)
        store.run(statement("DELETE FROM ad_clicks WHERE rowid IN ({places})", places=places))
    return len(chosen)


def _mentions(store: EventStore, ids: Sequence[str]) -> dict[str, int]:
    found = {}
    for held in store.properties().values():
        if held.type == "text":
            rows = statement("SELECT count(*) FROM events WHERE list_contains($ids, {c})", c=name(held.column))
            count = store.count(rows, {"ids": list(ids)})
            if count:
                found[held.name] = count
    return found
