"""A small engine in memory, enough for analyses: a DuckDB table ordered by (user, time, stored order)."""

from collections.abc import Iterable

import duckdb
import numpy as np
from sqlglot import exp

from tests.oracles.event import Event
from upswing.core.calendar import Calendar
from upswing.engines.base import Category, Key, LogSchema, Number, Property
from upswing.engines.selection import mark_type
from upswing.events.log import EventLog
from upswing.sequences.batch import Sequences


class MemoryEngine:
    """Holds events as rows (user id, time, name, properties); properties are text except numbers."""

    name = "memory"
    dialect = "duckdb"

    def __init__(self, events: Iterable[Event], *, batches: int = 1):
        rows = sorted(events, key=lambda e: (e.user, e.time, e.row))
        self.batches = batches
        self.ids = sorted({e.user for e in rows})
        keys = {name: i + 1 for i, name in enumerate(self.ids)}
        props = sorted({p for e in rows for p in e.props})
        held = {p: [e.props[p] for e in rows if e.props.get(p) is not None] for p in props}
        numeric = {p: bool(held[p]) and all(isinstance(v, int | float) for v in held[p]) for p in props}
        self.db = duckdb.connect()
        columns = "".join(f', "{p}" {"DOUBLE" if numeric[p] else "VARCHAR"}' for p in props)
        self.db.execute(
            f"CREATE TABLE events (user_key BIGINT, user_id VARCHAR, time TIMESTAMP, event VARCHAR{columns})"
        )
        holes = ", ".join("?" for _ in props)
        for e in rows:
            self.db.execute(
                f"INSERT INTO events VALUES (?, ?, make_timestamp(?), ?{', ' + holes if props else ''})",
                [keys[e.user], e.user, e.time, e.name, *(e.props.get(p) for p in props)],
            )
        names = [e.name for e in rows]
        self._schema = LogSchema(
            events={n: names.count(n) for n in set(names)},
            properties={p: Property(p, "number" if numeric[p] else "text", p) for p in props},
            n_events=len(rows),
            n_users=len(self.ids),
            first_time=min((e.time for e in rows), default=None),
            horizon=max((e.time for e in rows), default=None),
            version="1",
        )

    def schema(self):
        return self._schema

    def rows(self, query):
        return self.db.execute(query.sql()).fetchall()

    def arrow(self, query):
        return self.db.execute(query.sql()).to_arrow_table()

    def render(self, query):
        return query.sql()

    def sequence_sql(self, request):
        return [self._statement(request)]

    def sequences(self, request):
        found = self.db.execute(self._statement(request)).fetchnumpy()
        keys = np.asarray(found["user_key"], dtype=np.int64)
        users, starts = np.unique(keys, return_index=True)
        offsets = np.append(starts, len(keys)).astype(np.int64)
        columns = []
        for j, column in enumerate(request.columns):
            raw = np.ma.filled(np.ma.asarray(found[f"c{j}"]), np.nan if isinstance(column, Number) else -1)
            kinds = {Number: np.float64, Category: np.int32, Key: np.int64}
            columns.append(raw.astype(kinds[type(column)]))
        times, marks = (
            np.asarray(found["t"], dtype=np.int64),
            np.asarray(found["marks"], dtype=mark_type(len(request.marks))),
        )
        whole = Sequences(users, offsets, times, marks, tuple(columns))
        yield from whole.split(self.batches)

    def user_ids(self, keys):
        return [self.ids[k - 1] for k in keys]

    def user_keys(self, ids):
        return np.array(sorted(self.ids.index(i) + 1 for i in ids if i in self.ids), dtype=np.int64)

    def close(self):
        self.db.close()

    def _statement(self, request):
        bits = [exp.false(), *(self._condition(m) for m in request.marks)]
        marks = " + ".join(f"CASE WHEN {b.sql('duckdb')} THEN {1 << j >> 1} ELSE 0 END" for j, b in enumerate(bits))
        columns = "".join(f", {self._column(c)} AS c{j}" for j, c in enumerate(request.columns))
        where = ["true"]
        if request.where is not None:
            where.append(f"({request.where.sql('duckdb')})")
        if request.start is not None:
            where.append(f"epoch_us(time) >= {request.start}")
        if request.stop is not None:
            where.append(f"epoch_us(time) < {request.stop}")
        if request.users is not None:
            where.append(f"user_key IN ({', '.join(map(str, [-1, *request.users]))})")
        selected = f"*, rowid AS stored, {marks} AS marks, epoch_us(time) AS t{columns}"
        inner = f"SELECT {selected} FROM events WHERE {' AND '.join(where)}"
        outer = "" if request.unmarked else " WHERE marks > 0"
        return f"SELECT * FROM ({inner}){outer} ORDER BY user_key, t, stored"

    def _condition(self, mark):
        parts = [exp.true()]
        if mark.events is not None:
            parts.append(exp.column("event").isin(*mark.events))
        if mark.where is not None:
            parts.append(exp.paren(mark.where.copy()))
        return exp.and_(*parts)

    def _column(self, column):
        written = column.expression.sql("duckdb")
        if isinstance(column, Category):
            whens = "".join(f" WHEN {exp.convert(v).sql('duckdb')} THEN {i}" for i, v in enumerate(column.values))
            known = f"CASE {written}{whens or ' WHEN NULL THEN 0'} ELSE {len(column.values)} END"
            return f"CASE WHEN {written} IS NULL THEN -1 ELSE {known} END"
        if isinstance(column, Key):
            return f"CASE WHEN {written} IS NULL THEN 0 ELSE CAST(hash({written}) >> 2 AS BIGINT) + 1 END"
        return f"CAST({written} AS DOUBLE)"


def log_of(events, *, zone="UTC", week_start="monday", batches=1):
    return EventLog(MemoryEngine(events, batches=batches), Calendar(zone, week_start))
