"""Events in ClickHouse: a server by URL, or the same engine in this process (``chdb://``).

The table has ``user_id``, ``time`` (DateTime64), ``event`` and the properties; ``user_key`` and ``ingest`` (order of
arrival) are used where the table has them, else the key is a hash of the id and ties keep no order.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import DataError, EngineError
from upswing.core.i18n import text
from upswing.engines.base import LogSchema, Property, PropertyType, Query, SequenceRequest
from upswing.engines.questions import columns_of
from upswing.engines.selection import mark_type
from upswing.sequences.batch import Sequences
from upswing.sql.dialects import CLICKHOUSE_SETTINGS, render
from upswing.sql.template import column, q

_BATCH_EVENTS: Final = 2_000_000
_OWN: Final = ("user_key", "user_id", "time", "event", "event_id", "ingest")
_FEW: Final = 1000
"""Up to so many users are asked for by name; more are picked from the stream."""


class Transport(Protocol):
    """How statements reach ClickHouse and Arrow comes back."""

    def arrow(self, statement: str) -> pa.Table:
        """All rows."""
        ...

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Rows as they come."""
        ...

    def command(self, statement: str) -> None:
        """Run without an answer."""
        ...

    def insert(self, table: str, rows: pa.Table) -> None:
        """Append rows."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class ClickHouseEngine:
    """One table of events in ClickHouse.

    Examples:
        >>> engine = ClickHouseEngine.open("clickhouse://reader@example.com/app?table=events")  # doctest: +SKIP
    """

    name: str = "clickhouse"
    dialect: str = "clickhouse"

    def __init__(self, transport: Transport, table: str) -> None:
        self._transport = transport
        self._table = table
        self._schema: LogSchema | None = None
        self._columns: dict[str, str] | None = None

    @classmethod
    def open(cls, url: str) -> ClickHouseEngine:
        """Open ``clickhouse[s]://user:password@host:port/database?table=events``, ``chdb://`` or ``chdb:///folder``.

        Raises:
            EngineError: UP702 not reachable; UP701 this process has chdb open on another folder; UP706 not installed.
        """
        parts = urlsplit(url)
        table = parse_qs(parts.query).get("table", ["events"])[0]
        if parts.scheme == "chdb":
            return cls(InProcess(parts.path or None), table)
        return cls(Server(url), table)

    def load(self, rows: pa.Table) -> None:
        """Make the table from `rows` (user_id, time, event, properties), in their order of arrival.

        Raises:
            DataError: UP314 two users with one key.
        """
        rows = rows.append_column("ingest", pa.array(np.arange(rows.num_rows), pa.uint64()))
        if "user_key" not in rows.column_names:
            rows = rows.append_column("user_key", _hashed(rows.column("user_id")))
        kinds = {"user_key": "Int64", "user_id": "String", "time": "DateTime64(6, 'UTC')", "event": "LowCardinality(String)",
                 "ingest": "UInt64"}  # fmt: skip
        typed = ", ".join(f"{_quoted(f.name)} {kinds.get(f.name) or _kind(f.type)}" for f in rows.schema)
        self._transport.command(f"DROP TABLE IF EXISTS {_quoted(self._table)}")
        self._transport.command(
            f"CREATE TABLE {_quoted(self._table)} ({typed}) ENGINE = MergeTree ORDER BY (user_key, time, ingest)"
        )
        self._transport.insert(self._table, rows)
        self._schema = self._columns = None

    def schema(self) -> LogSchema:
        """The current contents, cached per version."""
        version = self._version()
        if self._schema is None or self._schema.version != version:
            self._columns = None
            self._schema = self._count(version)
        return self._schema

    def arrow(self, query: Query) -> pa.Table:
        """Run a statement and return its rows as an Arrow table, in the types that DuckDB gives."""
        return _like_duckdb(self._transport.arrow(self.render(query)))

    def rows(self, query: Query) -> list[tuple[object, ...]]:
        """Run a statement with a small answer."""
        table = self.arrow(query)
        return list(zip(*(c.to_pylist() for c in table.columns), strict=True)) if table.num_columns else []

    def render(self, query: Query) -> str:
        """The statement in ClickHouse's dialect, relations resolved."""
        tree = query.tree.copy()
        shadowed = {cte.alias for cte in tree.find_all(exp.CTE)}
        for table in list(tree.find_all(exp.Table)):
            if table.args.get("db") or table.name in shadowed or table.name not in ("events", "users"):
                continue
            inner = self._events() if table.name == "events" else q("SELECT DISTINCT user_key, user_id FROM $e AS e",
                                                                    e=exp.Subquery(this=self._events()))  # fmt: skip
            table.replace(exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name))))
        return render(tree, "clickhouse")

    def sequences(self, request: SequenceRequest) -> Iterator[Sequences]:
        """Batches of whole users from one ordered stream."""
        kind = mark_type(len(request.marks))
        wanted = None if request.users is None else np.asarray(request.users, np.int64)
        for rows in _whole_users(self._transport.batches(self._sequence_statement(request))):
            batch = _batch(rows, kind)
            if wanted is not None and len(wanted) > _FEW:
                yield from _only(batch, wanted)
            else:
                yield batch

    def sequence_sql(self, request: SequenceRequest) -> list[str]:
        """The ordered stream behind `sequences`."""
        return [self._sequence_statement(request)]

    def user_ids(self, keys: NDArray[np.int64]) -> list[str]:
        """Ids of users by key, in order.

        Raises:
            DataError: UP311 a key that no user has.
        """
        wanted = np.unique(np.asarray(keys, np.int64))
        found: dict[int, str] = {}
        for at in range(0, len(wanted), 10_000):
            some = [int(k) for k in wanted[at : at + 10_000]]
            for key, name in self.rows(Query(q("SELECT user_key, user_id FROM users WHERE user_key IN $k", k=some))):
                found[int(str(key))] = str(name)
        unknown = next((int(k) for k in wanted if int(k) not in found), None)
        if unknown is not None:
            raise DataError(text("no user has the key {key}", key=unknown), code="UP311")
        return [found[int(k)] for k in keys]

    def user_keys(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Keys of known users by id; sorted."""
        found: list[int] = []
        listed = list(dict.fromkeys(ids))
        for at in range(0, len(listed), 10_000):
            some = listed[at : at + 10_000]
            rows = self.rows(Query(q("SELECT user_key FROM users WHERE user_id IN $ids", ids=some)))
            found += [int(str(row[0])) for row in rows]
        return np.unique(np.array(found, np.int64))

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def _events(self) -> exp.Expression:
        columns = self._described()
        tree = exp.select(*(column(name) for name in columns)).from_(exp.table_(self._table, quoted=True))
        if "user_key" not in columns:
            tree = tree.select(q("CAST(hash(user_id) // 2 AS BIGINT) AS user_key"))
        if "ingest" not in columns:
            tree = tree.select(q("0 AS ingest"))
        return tree

    def _described(self) -> dict[str, str]:
        if self._columns is None:
            table = self._transport.arrow(f"DESCRIBE TABLE {_quoted(self._table)}")
            names, kinds = (table.column(i).to_pylist() for i in range(2))
            self._columns = {_str(n): _str(k) for n, k in zip(names, kinds, strict=True)}
        return self._columns

    def _version(self) -> str:
        facts = self._transport.arrow(
            f"SELECT count(), toString(max(time)), toString(sum(cityHash64(event, time))) FROM {_quoted(self._table)}"
        ).to_pylist()
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def _count(self, version: str) -> LogSchema:
        tree = q("SELECT event, count(*) AS n, min(epoch_us(time)) AS lo, max(epoch_us(time)) AS hi FROM events "
                 "GROUP BY event ORDER BY event")  # fmt: skip
        names = self.rows(Query(tree))
        users = self.rows(Query(q("SELECT count(DISTINCT user_key) AS n FROM events")))
        return LogSchema(
            events={_str(name): int(str(n)) for name, n, _, _ in names},
            properties={n: Property(n, _type(k), n) for n, k in self._described().items() if n not in _OWN},
            n_events=sum(int(str(n)) for _, n, _, _ in names),
            n_users=int(str(users[0][0])),
            first_time=min((int(str(lo)) for _, _, lo, _ in names), default=None),
            horizon=max((int(str(hi)) for _, _, _, hi in names), default=None),
            version=version,
        )

    def _sequence_statement(self, request: SequenceRequest) -> str:
        kind = {1: "UTINYINT", 2: "USMALLINT", 4: "UINTEGER", 8: "UBIGINT"}[mark_type(len(request.marks)).itemsize]
        inner = exp.select("user_key", "ingest").from_("events")
        inner = inner.select(q("epoch_us(time) AS time_us"))
        inner = inner.select(exp.Alias(this=_marks(request, kind), alias=exp.to_identifier("marks")))
        properties = self.schema().properties if request.columns else {}
        for number, item in enumerate(columns_of(request, properties)):
            inner = inner.select(exp.Alias(this=item, alias=exp.to_identifier(f"c{number}")))
        for condition in _conditions(request):
            inner = inner.where(condition)
        listed = [exp.column(f"c{n}") for n in range(len(request.columns))]
        tree = exp.select("user_key", "time_us", "marks", *listed).from_(exp.alias_(exp.Subquery(this=inner), "e"))
        if not request.unmarked:
            tree = tree.where("marks <> 0")
        return self.render(Query(tree.order_by("user_key", "time_us", "ingest")))


class InProcess:
    """chdb: one engine per process, on one folder or in memory; each in-memory log has its own database."""

    _session: ClassVar[Any] = None
    _folder: ClassVar[str | None] = None
    _open: ClassVar[int] = 0

    def __init__(self, folder: str | None) -> None:
        try:
            from chdb import session
        except ImportError:
            raise _not_installed("chdb") from None
        if InProcess._session is not None and InProcess._folder != folder:
            raise EngineError(
                text("chdb is open on '{folder}' in this process", folder=InProcess._folder or "memory"),
                code="UP701",
                hint=text("close that log first"),
            )
        if InProcess._session is None:
            made: Any = session.Session
            InProcess._session, InProcess._folder = (made(folder) if folder else made()), folder
        InProcess._open += 1
        self._database = "upswing" if folder else f"upswing_{uuid.uuid4().hex}"
        self._kept = folder is not None
        self._closed = False
        self._run(f"CREATE DATABASE IF NOT EXISTS {_quoted(self._database)}", "CSV")

    def arrow(self, statement: str) -> pa.Table:
        """All rows."""
        answer = self._run(self._with_settings(statement), "Arrow").bytes()
        return pa.ipc.open_file(io.BytesIO(answer)).read_all()

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Rows as they come."""
        self._run(f"USE {_quoted(self._database)}", "CSV")
        with _translated_errors():
            stream = InProcess._session.send_query(self._with_settings(statement), "Arrow")
            yield from stream.record_batch(65_536)

    def command(self, statement: str) -> None:
        """Run without an answer."""
        self._run(statement, "CSV")

    def insert(self, table: str, rows: pa.Table) -> None:
        """Append rows, by way of a Parquet file."""
        if not rows.num_rows:
            return
        with tempfile.TemporaryDirectory(prefix="upswing-") as folder:
            path = Path(folder) / "rows.parquet"
            pyarrow.parquet.write_table(rows, path)
            where = exp.Literal.string(str(path)).sql("clickhouse")
            names = ", ".join(_quoted(name) for name in rows.column_names)
            self.command(f"INSERT INTO {_quoted(table)} ({names}) SELECT {names} FROM file({where}, 'Parquet')")

    def close(self) -> None:
        """Let go; the last one to close lets go of the engine."""
        if self._closed:
            return
        self._closed = True
        if not self._kept:
            self._run(f"DROP DATABASE IF EXISTS {_quoted(self._database)}", "CSV", use=False)
        InProcess._open -= 1
        if InProcess._open == 0:
            InProcess._session.close()
            InProcess._session = None

    def _run(self, statement: str, form: str, *, use: bool = True) -> Any:
        with _translated_errors():
            if use and not statement.startswith("CREATE DATABASE"):
                InProcess._session.query(f"USE {_quoted(self._database)}", "CSV")
            return InProcess._session.query(statement, form)

    def _with_settings(self, statement: str) -> str:
        settings = ", ".join(f"{k} = {exp.convert(v).sql('clickhouse')}" for k, v in CLICKHOUSE_SETTINGS.items())
        return statement if statement.startswith("DESCRIBE") else f"{statement} SETTINGS {settings}"


class Server:
    """A ClickHouse server, through clickhouse-connect."""

    def __init__(self, url: str) -> None:
        try:
            import clickhouse_connect
        except ImportError:
            raise _not_installed("clickhouse-connect") from None
        parts = urlsplit(url)
        secure = parts.scheme == "clickhouses"
        try:
            self._client = clickhouse_connect.get_client(
                host=parts.hostname or "localhost",
                port=parts.port or (8443 if secure else 8123),
                username=unquote(parts.username or "default"),
                password=unquote(parts.password or ""),
                database=parts.path.strip("/") or "default",
                secure=secure,
                settings=dict(CLICKHOUSE_SETTINGS),
            )
        except Exception as error:  # clickhouse-connect's errors have no class in common
            place = f"{parts.scheme}://{parts.hostname or 'localhost'}"  # never the password
            raise EngineError(
                text("the event log '{path}' cannot be opened: {reason}", path=place, reason=error),
                code="UP702",
                hint=text("check engine.url in upswing.yml, and that the server can be reached"),
            ) from None

    def arrow(self, statement: str) -> pa.Table:
        """All rows."""
        with _translated_errors():
            return self._client.query_arrow(statement, use_strings=True)

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Rows as they come."""
        with _translated_errors(), self._client.query_arrow_stream(statement, use_strings=True) as stream:
            yield from stream

    def command(self, statement: str) -> None:
        """Run without an answer."""
        with _translated_errors():
            self._client.command(statement)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Append rows."""
        with _translated_errors():
            self._client.insert_arrow(table, rows)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class _translated_errors:  # noqa: N801 - used as a function
    """ClickHouse's errors as ours; chdb and clickhouse-connect have no common class of errors."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, EngineError | GeneratorExit | KeyboardInterrupt | AssertionError):
            return
        raise EngineError(text("ClickHouse cannot run the statement: {reason}", reason=error), code="UP700") from None


def _marks(request: SequenceRequest, kind: str) -> exp.Expression:
    total = q("0")
    for bit, mark in enumerate(request.marks):
        parts = [] if mark.events is None else [q("event IN $names", names=list(mark.events))]
        parts += [] if mark.where is None else [exp.paren(mark.where.copy())]
        one: exp.Expression = exp.cast(q(str(1 << bit)), kind, dialect="duckdb")
        if parts:
            one = q("CASE WHEN $c THEN $one ELSE 0 END", c=exp.and_(*parts), one=one)
        total = exp.Add(this=total, expression=one)
    return exp.cast(total, kind, dialect="duckdb")


def _conditions(request: SequenceRequest) -> list[exp.Expression]:
    found: list[exp.Expression] = []
    if request.where is not None:
        found.append(request.where.copy())
    if request.start is not None:
        found.append(q("epoch_us(time) >= $start", start=int(request.start)))
    if request.stop is not None:
        found.append(q("epoch_us(time) < $stop", stop=int(request.stop)))
    if request.users is not None and len(request.users) <= _FEW:
        found.append(q("user_key IN $users", users=[int(u) for u in request.users] or [-1]))
    return found


def _whole_users(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The stream in larger tables that end where a user ends."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch)
        count += batch.num_rows
        if count >= _BATCH_EVENTS:
            table = pa.Table.from_batches(waiting)
            keys = table.column(0).to_numpy()
            cut = int(np.searchsorted(keys, keys[-1]))  # the last user may go on in the next batch
            if cut:
                yield table.slice(0, cut)
                waiting = table.slice(cut).to_batches()
                count -= cut
    if waiting:
        yield pa.Table.from_batches(waiting)


def _batch(rows: pa.Table, kind: np.dtype[Any]) -> Sequences:
    keys = rows.column("user_key").to_numpy().astype(np.int64)
    starts = np.flatnonzero(np.concatenate((np.ones(1, bool), keys[1:] != keys[:-1])))
    columns = []
    for number in range(rows.num_columns - 3):
        values = rows.column(3 + number).to_numpy()
        columns.append(values.view(np.int64) if values.dtype == np.uint64 else values)
    return Sequences(
        users=keys[starts],
        offsets=np.append(starts, len(keys)).astype(np.int64),
        times=rows.column("time_us").to_numpy().astype(np.int64),
        marks=rows.column("marks").to_numpy().astype(kind),
        columns=tuple(columns),
    )


def _only(batch: Sequences, wanted: NDArray[np.int64]) -> Iterator[Sequences]:
    chosen = np.isin(batch.users, wanted)
    if not chosen.any():
        return
    counts = np.diff(batch.offsets)
    rows = np.repeat(chosen, counts)
    yield Sequences(
        users=batch.users[chosen],
        offsets=np.concatenate(([0], np.cumsum(counts[chosen]))).astype(np.int64),
        times=batch.times[rows],
        marks=batch.marks[rows],
        columns=tuple(c[rows] for c in batch.columns),
    )


def _hashed(ids: pa.ChunkedArray) -> pa.Array:
    """63 bits of BLAKE2 per id, as a key."""
    known: dict[str, int] = {}
    for name in ids.unique().to_pylist():
        digest = hashlib.blake2b(str(name).encode(), digest_size=8).digest()
        known[name] = int.from_bytes(digest, "little") >> 1
    if len(set(known.values())) < len(known):
        raise DataError(text("two users cannot be told apart by key"), code="UP314")
    return pa.array([known[name] for name in ids.to_pylist()], pa.int64())


def _like_duckdb(table: pa.Table) -> pa.Table:
    """Counts as int64 and times without zone, as DuckDB gives them."""
    for number, part in enumerate(table.schema):
        target = None
        if pa.types.is_uint64(part.type):
            target = pa.int64()
        elif pa.types.is_timestamp(part.type) and part.type.tz is not None:
            target = pa.timestamp(part.type.unit)
        elif pa.types.is_binary(part.type):
            target = pa.string()
        if target is None:
            continue
        try:
            table = table.set_column(number, part.name, table.column(number).cast(target))
        except pa.ArrowInvalid:  # a true 64-bit key stays unsigned
            continue
    return table


def _kind(kind: pa.DataType) -> str:
    for test, name in (
        (pa.types.is_boolean, "Bool"), (pa.types.is_integer, "Int64"), (pa.types.is_floating, "Float64"),
        (pa.types.is_date, "Date32"), (pa.types.is_timestamp, "DateTime64(6, 'UTC')"),
    ):  # fmt: skip
        if test(kind):
            return f"Nullable({name})"
    return "Nullable(String)"


def _type(kind: str) -> PropertyType:
    inner = kind.replace("LowCardinality(", "").replace("Nullable(", "").rstrip(")")
    if inner.startswith(("Int", "UInt")):
        return "integer"
    if inner.startswith(("Float", "Decimal")):
        return "number"
    if inner.startswith("DateTime"):
        return "time"
    return "date" if inner.startswith("Date") else "boolean" if inner == "Bool" else "text"


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("clickhouse")


def _str(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _not_installed(package: str) -> EngineError:
    return EngineError(
        text("'{package}' is not installed", package=package),
        code="UP706",
        hint=text("pip install 'upswing[clickhouse]'"),
    )
