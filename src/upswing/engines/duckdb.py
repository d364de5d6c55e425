"""Events in DuckDB: the workspace's own log, or tables and Parquet files that exist already."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import DataError, EngineError
from upswing.core.i18n import text
from upswing.core.private import private_folder
from upswing.engines import spine as spines
from upswing.engines.base import LogSchema, Property, Query, SequenceRequest
from upswing.engines.external import ExternalEvents, ExternalSource
from upswing.engines.identity import canonical_keys
from upswing.engines.memory import usual_limit
from upswing.engines.questions import Questions, questions
from upswing.engines.selection import Answers, select
from upswing.engines.source import EmbeddedSource, Source, attach_log
from upswing.engines.spine import Spine
from upswing.sequences.batch import Sequences
from upswing.sql.template import q

_CHUNK_ROWS: Final = 32 * 122_880
"""Rows per read while a spine is built: whole row groups of DuckDB."""
_SCHEMA_FILE: Final = "schema.json"


class DuckDBEngine:
    """One log, read through DuckDB; safe to use from several threads.

    Examples:
        >>> from upswing.engines.duckdb import DuckDBEngine
        >>> engine = DuckDBEngine.open("data/events.duckdb")         # doctest: +SKIP
        >>> engine.schema().n_events                                 # doctest: +SKIP
        20400000
    """

    name: str = "duckdb"
    dialect: str = "duckdb"

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Source, *, spine_dir: Path) -> None:
        self._connection = connection
        self._source = source
        self._spine_dir = spine_dir
        self._schema: LogSchema | None = None
        self._spine: Spine | None = None
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = True,
        spine_dir: str | Path | None = None,
        memory_limit: str | None = None,
        threads: int | None = None,
    ) -> DuckDBEngine:
        """Open an embedded log.

        Args:
            path: the DuckDB file.
            read_only: False also lets this process hold the file against writers.
            spine_dir: folder of mapped columns; default: beside the file.
            memory_limit: of DuckDB, e.g. ``"4GB"``.
            threads: of DuckDB; default: all cores.

        Raises:
            EngineError: UP701 the file is locked by another program; UP702 it is not a log or cannot be opened.
        """
        file = Path(path)
        folder = file.with_suffix(".spine") if spine_dir is None else Path(spine_dir)
        connection = connect(file.parent, memory_limit=memory_limit, threads=threads)
        try:
            attach_log(connection, file, read_only=read_only)
            return cls(connection, EmbeddedSource(connection, file, read_only=read_only), spine_dir=folder)
        except Exception:
            connection.close()
            raise

    def schema(self) -> LogSchema:
        """The current contents, cached per version in memory and beside the spine."""
        version = self._source.version()
        with self._lock:
            if self._schema is None or self._schema.version != version:
                self._schema = self._stored_schema(version) or self._count(version)
            return self._schema

    def arrow(self, query: Query) -> pa.Table:
        """Run a statement and return its rows as an Arrow table."""
        return self._arrow(self._tree(query))

    def rows(self, query: Query) -> list[tuple[object, ...]]:
        """Run a statement with a small answer."""
        return self._fetch(self._tree(query))

    def render(self, query: Query) -> str:
        """The statement as it is run: relations resolved, aliases joined if there are any."""
        return self._tree(query).sql("duckdb", pretty=True)

    def sequences(self, request: SequenceRequest) -> Iterator[Sequences]:
        """Batches of whole users in (user, time, stored order) order, over the spine."""
        spine = self.spine()
        asked = self._questions(request)
        answers = self._answers(asked, spine)
        if answers is None:  # the stored order is not the spine's: a changed file, or an engine that reads otherwise
            spine = self._rebuilt(spine)
            answers = self._answers(asked, spine)
        if answers is None:
            raise EngineError(
                text("rows of the log do not come in their stored order"),
                code="UP703",
                hint=text("compact the log: upswing compact"),
            )
        yield from select(spine, request, answers)

    def sequence_sql(self, request: SequenceRequest) -> list[str]:
        """What `sequences` reads: the mapped columns, and the one statement for predicates and columns if any."""
        listed = [
            str(text("-- mapped columns of version {version}: user, time, event", version=self._source.version()))
        ]
        asked = self._questions(request)
        if asked.asked:
            listed.append(self._reading(asked, ordered=False).sql("duckdb", pretty=True))
        return listed

    def spine(self) -> Spine:
        """The mapped columns of the current version; built when first asked for."""
        version = self._source.version()
        with self._lock:
            if self._spine is None or self._spine.version != version:
                self._spine_dir = spines.writable(self._spine_dir)
                self._spine = spines.load(self._spine_dir, version) or self._build(version)
            return self._spine

    def user_ids(self, keys: NDArray[np.int64]) -> list[str]:
        """Ids of users by key, in order.

        Raises:
            DataError: UP311 a key that no user has.
        """
        if not len(keys):
            return []
        wanted, back = np.unique(np.asarray(keys, np.int64), return_inverse=True)
        table = self._looked_up(pa.table({"user_key": wanted}), "user_key")
        found = dict(zip(table.column("user_key").to_pylist(), table.column("user_id").to_pylist(), strict=True))
        if len(found) != len(wanted):
            unknown = next(int(k) for k in wanted if int(k) not in found)
            raise DataError(text("no user has the key {key}", key=unknown), code="UP311")
        names = [found[int(k)] for k in wanted]
        return [names[i] for i in back]

    def user_keys(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Keys of known users by id, sorted; an alias gives the key of the user it stands for now."""
        if not len(ids):
            return np.zeros(0, np.int64)
        wanted = pa.table({"user_id": pa.array(list(dict.fromkeys(ids)), pa.string())})
        keys = self._looked_up(wanted, "user_id").column("user_key").to_numpy()
        now = np.full(len(keys), 2**62, np.int64)
        return np.unique(canonical_keys(keys.astype(np.int64), now, self._source.intervals))

    @classmethod
    def external(
        cls,
        events: ExternalEvents,
        *,
        spine_dir: str | Path,
        memory_limit: str | None = None,
        threads: int | None = None,
    ) -> DuckDBEngine:
        """Read events that exist already, without importing them.

        Args:
            events: where they are and which columns mean what.
            spine_dir: folder of mapped columns.
            memory_limit: of DuckDB, e.g. ``"4GB"``.
            threads: of DuckDB; default: all cores.

        Raises:
            EngineError: UP702 nothing to read there.
            DataError: UP313 a column that the table does not have.
        """
        folder = Path(spine_dir)
        connection = connect(folder, memory_limit=memory_limit, threads=threads)
        try:
            return cls(connection, ExternalSource(connection, events), spine_dir=folder)
        except Exception:
            connection.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._spine = None
        self._connection.close()

    # statements

    def _tree(self, query: Query) -> exp.Expression:
        """The statement with ``events`` and ``users`` resolved to what the source offers."""
        tree = query.tree.copy()
        shadowed = {cte.alias for cte in tree.find_all(exp.CTE)}
        wants_id = any(c.name == "user_id" for c in tree.find_all(exp.Column)) or any(
            not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)
        )
        for table in list(tree.find_all(exp.Table)):
            if table.args.get("db") or table.name in shadowed or table.name not in ("events", "users"):
                continue
            inner = self._source.events(user_id=wants_id) if table.name == "events" else self._source.users()
            table.replace(exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name))))
        return tree

    def _arrow(self, tree: exp.Expression) -> pa.Table:
        with _translated_errors(), self._connection.cursor() as cursor:
            return cursor.sql(tree.sql("duckdb")).to_arrow_table()

    def _fetch(self, tree: exp.Expression) -> list[tuple[object, ...]]:
        with _translated_errors(), self._connection.cursor() as cursor:
            found: list[tuple[object, ...]] = cursor.execute(tree.sql("duckdb")).fetchall()
            return found

    def _looked_up(self, wanted: pa.Table, by: str) -> pa.Table:
        column = exp.column(by, table="w")
        tree = q(
            "SELECT u.user_key, u.user_id FROM $users AS u JOIN upswing_wanted AS w ON $wanted = $own",
            users=exp.Subquery(this=self._source.users()), wanted=column, own=exp.column(by, table="u"),
        )  # fmt: skip
        with _translated_errors(), self._connection.cursor() as cursor:
            cursor.register("upswing_wanted", wanted)
            return cursor.sql(tree.sql("duckdb")).to_arrow_table()

    # contents

    def _count(self, version: str) -> LogSchema:
        names = self._fetch(
            q(
                "SELECT event, count(*), epoch_us(min(time)) FROM $s AS e GROUP BY event ORDER BY event",
                s=self._stored(),
            )
        )
        users = self._fetch(
            q("SELECT count(DISTINCT user_key) FROM $e AS e", e=exp.Subquery(this=self._source.events(user_id=False)))
        )
        schema = LogSchema(
            events={str(name): int(str(n)) for name, n, _ in names},
            properties=self._source.properties(),
            n_events=sum(int(str(n)) for _, n, _ in names),
            n_users=int(str(users[0][0])),
            first_time=min((int(str(first)) for _, _, first in names), default=None),
            horizon=self._source.horizon(),
            version=version,
        )
        self._store_schema(schema)
        return schema

    def _store_schema(self, schema: LogSchema) -> None:
        facts = {
            "version": schema.version, "events": dict(schema.events), "n_events": schema.n_events,
            "n_users": schema.n_users, "first_time": schema.first_time, "horizon": schema.horizon,
        }  # fmt: skip
        with contextlib.suppress(OSError):  # a read-only place: counted again next time
            private_folder(self._spine_dir)
            written = self._spine_dir / f".{_SCHEMA_FILE}.{id(self)}"
            written.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
            written.replace(self._spine_dir / _SCHEMA_FILE)

    def _stored_schema(self, version: str) -> LogSchema | None:
        try:
            facts: dict[str, Any] = json.loads((self._spine_dir / _SCHEMA_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if facts.pop("version", None) != version:
            return None
        properties: Mapping[str, Property] = self._source.properties()
        return LogSchema(**facts, properties=properties, version=version)

    # sequences

    def _stored(self) -> exp.Expression:
        return exp.Subquery(this=self._source.stored())

    def _questions(self, request: SequenceRequest) -> Questions:
        return questions(
            request, self._source.properties() if request.columns else {}, q("CAST(user_key & 1 AS UTINYINT)")
        )

    def _reading(self, asked: Questions, *, ordered: bool) -> exp.Expression:
        """One statement for all rows in stored order; ids of users need a join, so then the order is asked for."""
        if not ordered:
            return exp.select(*asked.items).from_(exp.alias_(self._stored(), "events"))
        relation = exp.Subquery(this=self._source.events(user_id=True))
        return exp.select(*asked.items).from_(exp.alias_(relation, "events")).order_by("stored_row")

    def _answers(self, asked: Questions, spine: Spine) -> Answers | None:
        """The rows' answers, or None when rows did not come in the spine's stored order."""
        if not asked.asked:
            return Answers(asked.needs, asked.keep, (), ())
        ordered = asked.mentions_user_id and self._source.row_number is not None
        table = self._arrow(self._reading(asked, ordered=ordered))
        if table.num_rows != spine.n_events:
            return None
        bits = tuple(table.column(i).to_numpy() for i in range(len(asked.bits)))
        if not ordered and not np.array_equal(np.packbits(bits[0] & 1, bitorder="little"), spine.parity):
            return None
        columns = tuple(_column(table.column(len(bits) + i)) for i in range(len(asked.columns)))
        return Answers(asked.needs, asked.keep, bits, columns)

    def _rebuilt(self, spine: Spine) -> Spine:
        with self._lock:
            spines.drop(self._spine_dir, spine.version)
            self._spine = self._build(self._source.version())
            return self._spine

    def _build(self, version: str) -> Spine:
        names = [
            str(r[0]) for r in self._fetch(q("SELECT DISTINCT event FROM $s AS e ORDER BY event", s=self._stored()))
        ]
        n_rows = int(str(self._fetch(q("SELECT count(*) FROM $s AS e", s=self._stored()))[0][0]))
        try:
            return spines.build(
                self._spine_dir, version, self._chunks(names), n_rows=n_rows, events=tuple(names),
                intervals=self._source.intervals,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise EngineError(
                text(
                    "the mapped columns in '{folder}' cannot be written: {reason}", folder=self._spine_dir, reason=error
                ),
                code="UP704",
                hint=text("they need about 12 bytes per event of disk space"),
            ) from None

    def _chunks(self, names: Sequence[str]) -> Iterator[spines.Chunk]:
        code = q("0")
        if names:
            self._register_names(names)
            code = q("enum_code(CAST(event AS memory.main.upswing_event))")
        tree = q("SELECT user_key, epoch_us(time) AS time, $code AS code FROM $s AS e", code=code, s=self._stored())
        with _translated_errors(), self._connection.cursor() as cursor:
            for batch in cursor.sql(tree.sql("duckdb")).to_arrow_reader(_CHUNK_ROWS):
                own, moments, codes = (batch.column(i).to_numpy(zero_copy_only=False) for i in range(3))
                yield own, moments, codes

    def _register_names(self, names: Sequence[str]) -> None:
        with self._connection.cursor() as cursor:
            cursor.register("upswing_names", pa.table({"event": pa.array(names, pa.string())}))
            cursor.execute("DROP TYPE IF EXISTS memory.main.upswing_event")
            cursor.execute(
                "CREATE TYPE memory.main.upswing_event AS ENUM (SELECT event FROM upswing_names ORDER BY event)"
            )


def connect(scratch: Path, *, memory_limit: str | None = None, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """An empty in-memory DuckDB that spills beside the data.

    Args:
        scratch: folder for spilled data.
        memory_limit: e.g. ``"4GB"``; see `usual_limit`.
        threads: default: all cores.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": str(scratch / ".spill"),
        "memory_limit": memory_limit or usual_limit(),
    }
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL error_on_division_by_zero = FALSE")  # x // 0 and x % 0 are null, as everywhere else
    return connection


def _column(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of codes, keys or numbers as numpy, nulls as nan."""
    values: NDArray[Any] = column.to_numpy()
    return values.view(np.int64) if values.dtype == np.uint64 else values


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise EngineError(
            text("out of memory: {reason}", reason=error),
            code="UP705",
            hint=text("raise engine.memory in upswing.yml, or ask for a shorter range"),
        ) from None
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        raise DataError(
            text("a value of the log cannot be read as asked: {reason}", reason=error), code="UP312"
        ) from None
    except duckdb.Error as error:
        raise EngineError(text("DuckDB cannot run the statement: {reason}", reason=error), code="UP700") from None
