"""Files into the staging area: every row once, as it stands, with its line; nothing is interpreted yet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final, cast

import numpy as np
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType
from numpy.typing import NDArray

from upswing.core.errors import DataError, EngineError
from upswing.core.i18n import Text, text
from upswing.events.files import InputFile, head_of, literal_path, recognise_encoding, transcode
from upswing.events.json_objects import Leaf, leaves_of, with_objects_parted
from upswing.events.mapping import ColumnMapping, likely_time
from upswing.events.staged import ROW, Reject, SourceColumn, Staged
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore, engine_errors, spill_folder
from upswing.events.times import TimeFormat, wall_micros

_FILE_ROW: Final = "file_row_number"
_ISO: Final = name("__iso")
_SNIFFED: Final = (",", "\t", ";", "|")
_numbers = count(1)
_REJECTED: Final = {
    "TOO MANY COLUMNS": "malformed_row",
    "MISSING COLUMNS": "malformed_row",
    "UNQUOTED VALUE": "malformed_row",
    "LINE SIZE OVER MAXIMUM": "too_long",
    "MAXIMUM LINE SIZE": "too_long",
    "INVALID ENCODING": "invalid_encoding",
    "INVALID UNICODE": "invalid_encoding",
}


def stage(store: EventStore, file: InputFile, *, given: ColumnMapping | None = None) -> Staged:
    """Bring one file into the staging area.

    Args:
        store: the log.
        file: the file.
        given: what the caller said of it: its encoding, its time column.

    Raises:
        DataError: UP323 no rows, UP324 encoding, UP325 truncated or damaged, UP326 duplicate header, UP327 no header.
    """
    if file.kind == "parquet":
        return with_objects_parted(store, _stage_parquet(store, file))
    if file.kind == "csv":
        return with_objects_parted(store, _stage_csv(store, file, given))
    return _stage_json(store, file, None if given is None else given.encoding)


def stage_table(store: EventStore, table: pa.Table, *, source: str) -> Staged:
    """Bring an Arrow table into the staging area; its columns have their types already."""
    given, made = _fresh("arrow"), _fresh("stage")
    with engine_errors():
        store.connection.register(str(given).strip('"'), table)
        try:
            columns = _typed_columns(store, given)
            picked = listed(
                statement("{expression} AS {column}", expression=c.column, column=name(f"c{i}"))
                for i, c in enumerate(columns)
            )
            store.run(
                statement("CREATE TEMP TABLE {t} AS SELECT {picked} FROM {given}", t=made, picked=picked, given=given)
            )
        finally:
            store.connection.unregister(str(given).strip('"'))
    staged = tuple(replace(c, column=name(f"c{i}")) for i, c in enumerate(columns))
    relation = statement("(SELECT rowid AS {row}, * FROM {t})", row=ROW, t=made)
    return Staged(source, None, relation, staged, table.num_rows, tables=[made])


def places(store: EventStore, staged: Staged) -> Places:
    """Where the rows of a staged file are: asked for only when there is something to report."""
    if not staged.quoted:
        return Places(staged, np.zeros(0, np.int64), np.zeros(0, np.int64))
    counted = listed(
        (statement("coalesce(length({c}) - length(replace({c}, chr(10), '')), 0)", c=c.column) for c in staged.columns),
        " + ",
    )
    found = store.rows(
        statement(
            "SELECT {row}, n FROM (SELECT {row}, {counted} AS n FROM {r}) WHERE n > 0",
            row=ROW, counted=counted, r=staged.relation,
        )
    )  # fmt: skip
    records = [(staged.record(int(str(row))), int(str(n))) for row, n in found]
    records += [(r.record, r.raw.count("\n")) for r in staged.rejects if r.record is not None and r.raw]
    records += [(1, sum(c.name.count("\n") for c in staged.columns))]
    ordered = np.array(sorted(records), dtype=np.int64).reshape(-1, 2)
    return Places(staged, ordered[:, 0], np.cumsum(ordered[:, 1]))


@dataclass(frozen=True, slots=True)
class Places:
    """Lines of a staged file's rows and rejects.

    Args:
        staged: the file.
        records: records that hold line breaks inside quotes, ascending.
        breaks: line breaks up to and including each of them.
    """

    staged: Staged
    records: NDArray[np.int64]
    breaks: NDArray[np.int64]

    def of_row(self, row: int) -> tuple[str, int | None]:
        """File, and line in it on which a row begins."""
        if self.staged.origins:
            return self.staged.origins[row]
        return self.staged.source, self._line(self.staged.record(row))

    def of_reject(self, reject: Reject) -> int | None:
        """Line on which a rejected row begins."""
        return None if reject.record is None else self._line(reject.record)

    def _line(self, record: int) -> int:
        before = int(np.searchsorted(self.records, record))  # records before this one
        return record + (int(self.breaks[before - 1]) if before else 0)


def stage_texts(
    store: EventStore, source: str, columns: Sequence[str], select: Fragment,
    origins: Sequence[tuple[str, int | None]] = (),
) -> Staged:  # fmt: skip
    """Bring rows of text, made by a statement with columns c0, c1, …, into the staging area.

    Args:
        store: the log.
        source: what they are called.
        columns: their names.
        select: the statement.
        origins: file and line of each row, in order.
    """
    made = _fresh("stage")
    store.run(statement("CREATE TEMP TABLE {t} AS {select}", t=made, select=select))
    relation = statement("(SELECT rowid AS {row}, * FROM {t})", row=ROW, t=made)
    rows = store.count(statement("SELECT count(*) FROM {t}", t=made))
    staged = tuple(SourceColumn(n, name(f"c{i}")) for i, n in enumerate(columns))
    return Staged(source, None, relation, staged, rows, tables=[made], origins=origins)


def drop(store: EventStore, staged: Staged) -> None:
    """Free what a staged file holds."""
    for table in staged.tables:
        store.run(statement("DROP TABLE IF EXISTS {t}", t=table))


def _fresh(stem: str) -> Fragment:
    return name(f"upswing_{stem}_{next(_numbers)}")


def _readable(store: EventStore, file: InputFile, encoding: str | None) -> tuple[Path, list[Text], str]:
    """The file, or a UTF-8 copy of it."""
    found = encoding or recognise_encoding(file.path, source=file.source)
    if found.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig"):
        return file.path, [], "utf-8"
    copy, message = transcode(file.path, found, spill_folder(store.path), source=file.source)
    return copy, [message], found


# -- CSV ----------------------------------------------------------------------------------------------------------


def _stage_csv(store: EventStore, file: InputFile, given: ColumnMapping | None) -> Staged:
    encoding = None if given is None else given.encoding
    path, messages, used = _readable(store, file, encoding)
    staged = _read_csv(store, file, path, given)
    if encoding is None and used == "utf-8" and any(r.reason == "invalid_encoding" for r in staged.rejects):
        found = recognise_encoding(file.path, source=file.source, whole=True)
        if found != "utf-8":  # the beginning was plain ASCII
            drop(store, staged)
            path, messages, _ = _readable(store, file, found)
            staged = _read_csv(store, file, path, given)
    staged.messages[:0] = messages
    return staged


def _read_csv(store: EventStore, file: InputFile, path: Path, given: ColumnMapping | None) -> Staged:
    dialect = _dialect(path)
    header = _header(file, path, dialect)
    time = likely_time(header, given)
    picked = Fragment("*")
    if time is not None:
        wall = wall_micros(name(f"c{header.index(time)}"), TimeFormat("iso"))
        picked = statement("*, {wall} AS {iso}", wall=wall, iso=_ISO)
    made = _fresh("stage")
    rejects = f"upswing_rejects_{next(_numbers)}"
    options = {
        **dialect,
        "path": literal_path(path),
        "columns": {f"c{i}": "VARCHAR" for i in range(len(header))},
        "rejects": rejects,
        "scans": rejects + "_scans",
    }
    # A parameter of a table function may be bound; so no name of the file is ever part of the statement.
    store.run(
        statement(
            "CREATE TEMP TABLE {t} AS SELECT {picked} FROM read_csv($path, columns = $columns, header = true,"
            " delim = $delim, quote = $quote, escape = $escape, auto_detect = false, store_rejects = true,"
            " rejects_table = $rejects, rejects_scan = $scans, rejects_limit = 0)",
            t=made,
            picked=picked,
        ),
        options,
    )
    rows = store.count(statement("SELECT count(*) FROM {t}", t=made))
    found = _take_rejects(store, rejects)
    relation = statement("(SELECT rowid AS {row}, * FROM {t})", row=ROW, t=made)
    columns = tuple(SourceColumn(n, name(f"c{i}"), iso=_ISO if n == time else None) for i, n in enumerate(header))
    return Staged(file.source, file.digest, relation, columns, rows, 2, found, [], [made], quoted=True)


def _take_rejects(store: EventStore, table: str) -> list[Reject]:
    """The rows that the engine could not split, one per line; its tables of them are dropped."""
    rows = store.rows(
        statement(
            "SELECT line, any_value(error_type), any_value(error_message), any_value(csv_line)"
            " FROM {rejects} GROUP BY line ORDER BY line",
            rejects=name(table),
        )
    )
    for used in (table, table + "_scans"):
        store.run(statement("DROP TABLE IF EXISTS {t}", t=name(used)))
    return [
        Reject(
            None if line is None else int(str(line)),
            _REJECTED.get(str(kind), "malformed_row"),
            str(message).split("\n", 1)[0],
            None if raw is None else str(raw).rstrip("\r\n"),
        )
        for line, kind, message, raw in rows
    ]


def _dialect(path: Path) -> dict[str, str]:
    """Delimiter and quote: the delimiter that splits the first line into most columns."""
    first = head_of(path, 1 << 20).split(b"\n", 1)[0].decode("utf-8", "replace")
    counts = {d: first.count(d) for d in _SNIFFED}
    best = max(counts, key=lambda d: counts[d])
    if counts[best] == 0:
        best = ","
    return {"delim": best, "quote": '"', "escape": '"'}


def _header(file: InputFile, path: Path, dialect: Mapping[str, str]) -> list[str]:
    """Names of the columns as the file has them."""
    head = head_of(path, 1 << 20).decode("utf-8-sig", "replace")
    try:
        found = next(csv.reader(io.StringIO(head, newline=""), delimiter=dialect["delim"]))
    except (StopIteration, csv.Error) as error:
        raise DataError(
            text("{source} has no readable header row: {cause}", source=file.source, cause=error), code="UP327"
        ) from None
    names = [column.strip() or f"column_{i}" for i, column in enumerate(found, 1)]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise DataError(
            text("{source} has the column '{column}' more than once", source=file.source, column=repeated[0]),
            code="UP326",
            hint=text("give each column of the header its own name"),
        )
    if len(names) > 1 and sum(_is_value(n) for n in names) * 2 >= len(names):
        raise DataError(
            text("the first row of {source} looks like data, not like names: {row}", source=file.source, row=names),
            code="UP327",
            hint=text("put a row with the columns' names first"),
        )
    return names


def _is_value(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:2].lstrip("-+")[:1].isdigit()


# -- JSON ---------------------------------------------------------------------------------------------------------


def _stage_json(store: EventStore, file: InputFile, encoding: str | None) -> Staged:
    path, messages, _ = _readable(store, file, encoding)
    lines = _fresh("lines")
    tables = [lines]
    rejects: list[Reject] = []
    if file.kind == "json":
        _read_array(store, file, path, lines)
    else:
        rejects = _read_lines(store, path, lines)
    leaves = _leaves(store, file, lines)
    paths = listed(literal(leaf.pointer) for leaf in leaves)
    picked = listed(statement("v[{i}] AS {column}", i=literal(i + 1), column=name(f"c{i}")) for i in range(len(leaves)))
    made = _fresh("stage")
    store.run(
        statement(
            "CREATE TEMP TABLE {t} AS SELECT line, j, {picked} FROM"
            " (SELECT line, j, json_extract_string(j, [{paths}]) AS v FROM {lines})",
            t=made, picked=picked, paths=paths, lines=lines,
        )
    )  # fmt: skip
    drop_lines = statement("DROP TABLE {lines}", lines=lines)
    store.run(drop_lines)
    tables = [made]
    rows = store.count(statement("SELECT count(*) FROM {t}", t=made))
    relation = statement("(SELECT line AS {row}, * FROM {t})", row=ROW, t=made)
    columns = tuple(
        SourceColumn(
            leaf.name,
            name(f"c{i}"),
            "json" if leaf.nested else None,
            statement("json_type(j, {pointer}) = 'VARCHAR'", pointer=literal(leaf.pointer)),
        )
        for i, leaf in enumerate(leaves)
    )
    return Staged(file.source, file.digest, relation, columns, rows, 1, rejects, messages, tables)


def _read_array(store: EventStore, file: InputFile, path: Path, lines: Fragment) -> None:
    try:
        store.run(
            statement(
                "CREATE TEMP TABLE {t} AS SELECT row_number() OVER () - 1 AS line, json AS j FROM"
                " read_json_objects($path, format = 'array')",
                t=lines,
            ),
            {"path": literal_path(path)},
        )
    except EngineError as error:
        raise DataError(
            text("{source} is not a readable JSON array: {cause}", source=file.source, cause=error.message),
            code="UP325",
        ) from error


def _read_lines(store: EventStore, path: Path, lines: Fragment) -> list[Reject]:
    """JSON lines as text, line by line, so that a bad line is known by its number and kept as it is."""
    raw, rejects = _fresh("raw"), f"upswing_rejects_{next(_numbers)}"
    store.run(
        statement(
            "CREATE TEMP TABLE {t} AS SELECT * FROM read_csv($path, columns = {{'raw': 'VARCHAR'}}, header = false,"
            " delim = $delim, quote = '', escape = '', auto_detect = false, store_rejects = true,"
            " rejects_table = $rejects, rejects_scan = $scans, rejects_limit = 0)",
            t=raw,
        ),
        {"path": literal_path(path), "delim": "\x01", "rejects": rejects, "scans": rejects + "_scans"},
    )
    found = _take_rejects(store, rejects)
    invalid = "raw IS NOT NULL AND coalesce(json_type(CASE WHEN json_valid(raw) THEN raw END), '') <> 'OBJECT'"
    staged = Staged("", None, raw, (), 0, rejects=found)
    found += [
        Reject(staged.record(int(str(row))), "invalid_json", text("not a JSON object"), str(line))
        for row, line in store.rows(
            statement("SELECT rowid, raw FROM {t} WHERE {invalid}", t=raw, invalid=Fragment(invalid))
        )
    ]
    store.run(
        statement(
            "CREATE TEMP TABLE {t} AS SELECT rowid AS line, CAST(raw AS JSON) AS j FROM {raw}"
            " WHERE raw IS NOT NULL AND NOT ({invalid})",
            t=lines, raw=raw, invalid=Fragment(invalid),
        )
    )  # fmt: skip
    store.run(statement("DROP TABLE {t}", t=raw))
    return found


def _leaves(store: EventStore, file: InputFile, lines: Fragment) -> list[Leaf]:
    structure = store.value(statement("SELECT json_group_structure(j) FROM {t}", t=lines))
    root = json.loads(str(structure)) if structure is not None else None
    if not isinstance(root, dict) or not root:
        raise DataError(text("{source} holds no JSON objects with fields", source=file.source), code="UP323")
    return leaves_of(root)


# -- Parquet and tables -------------------------------------------------------------------------------------------


def _stage_parquet(store: EventStore, file: InputFile) -> Staged:
    path = literal(literal_path(file.path))
    source = statement("read_parquet({path}, binary_as_string = true, hive_partitioning = false)", path=path)
    try:
        columns = _typed_columns(store, source)
        if _FILE_ROW in {c.name.casefold().split(".")[0] for c in columns}:
            return _stage_copied(store, file, source, columns)
        source = statement(
            "read_parquet({path}, file_row_number = true, binary_as_string = true, hive_partitioning = false)",
            path=path,
        )
        rows = store.count(statement("SELECT count(*) FROM {source}", source=source))
    except EngineError as error:
        raise DataError(
            text("{source} is truncated or damaged: {cause}", source=file.source, cause=error.message),
            code="UP325",
            hint=text("copy it again from where it came"),
        ) from error
    picked = listed(
        statement("{expression} AS {column}", expression=c.column, column=name(f"c{i}")) for i, c in enumerate(columns)
    )
    relation = statement(
        "(SELECT file_row_number AS {row}, {picked} FROM {source})", row=ROW, picked=picked, source=source
    )
    staged = tuple(replace(c, column=name(f"c{i}")) for i, c in enumerate(columns))
    return Staged(file.source, file.digest, relation, staged, rows)


def _stage_copied(store: EventStore, file: InputFile, source: Fragment, columns: Sequence[SourceColumn]) -> Staged:
    """A Parquet file with a column that is called as the engine calls its rows' numbers: numbered in a copy of it."""
    made = _fresh("stage")
    picked = listed(
        statement("{expression} AS {column}", expression=c.column, column=name(f"c{i}")) for i, c in enumerate(columns)
    )
    store.run(statement("CREATE TEMP TABLE {t} AS SELECT {picked} FROM {s}", t=made, picked=picked, s=source))
    rows = store.count(statement("SELECT count(*) FROM {t}", t=made))
    staged = tuple(replace(c, column=name(f"c{i}")) for i, c in enumerate(columns))
    relation = statement("(SELECT rowid AS {row}, * FROM {t})", row=ROW, t=made)
    return Staged(file.source, file.digest, relation, staged, rows, tables=[made])


def _typed_columns(store: EventStore, relation: Fragment) -> list[SourceColumn]:
    with engine_errors():
        described = store.connection.execute(statement("SELECT * FROM {r} LIMIT 0", r=relation)).description or []
    found: list[SourceColumn] = []
    for column, kind, *_ in described:
        _flatten(str(column), name(str(column)), kind, found)
    return found


def _flatten(dotted: str, expression: Fragment, kind: DuckDBPyType, found: list[SourceColumn]) -> None:
    if kind.id == "struct":
        for field_name, below in kind.children:
            inner = statement("struct_extract({x}, {f})", x=expression, f=literal(str(field_name)))
            _flatten(f"{dotted}.{field_name}", inner, cast(DuckDBPyType, below), found)
        return
    found.append(_typed(dotted, expression, kind))


def _typed(dotted: str, x: Fragment, kind: DuckDBPyType) -> SourceColumn:
    wide = ("hugeint", "uhugeint", "ubigint")
    if kind.id in ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"):
        return SourceColumn(dotted, statement("CAST({x} AS BIGINT)", x=x), "integer")
    if kind.id in wide:
        return SourceColumn(dotted, statement("CAST({x} AS VARCHAR)", x=x), None)
    if kind.id in ("float", "double", "decimal"):
        number = statement("CASE WHEN isfinite(CAST({x} AS DOUBLE)) THEN CAST({x} AS DOUBLE) END", x=x)
        return SourceColumn(dotted, number, "number")
    if kind.id == "boolean":
        return SourceColumn(dotted, x, "boolean")
    if kind.id == "date":
        return SourceColumn(dotted, x, "date")
    if kind.id.startswith("timestamp"):
        zoned = "with time zone" in kind.id
        as_type = Fragment("TIMESTAMPTZ" if zoned else "TIMESTAMP")
        return SourceColumn(dotted, statement("CAST({x} AS {t})", x=x, t=as_type), "time", naive=not zoned)
    if kind.id in ("list", "array", "map", "union", "json"):
        return SourceColumn(dotted, statement("CAST(to_json({x}) AS VARCHAR)", x=x), "json")
    return SourceColumn(dotted, statement("CAST({x} AS VARCHAR)", x=x), "text")
