"""The contract between analyses and engines: aggregates as SQL, sequences as batches of whole users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from upswing.sequences.batch import Sequences

PropertyType = Literal["text", "number", "integer", "boolean", "time", "date", "json"]


@dataclass(frozen=True, slots=True)
class Property:
    """A typed fact of events. `column` is its physical column in the relation ``events``."""

    name: str
    type: PropertyType
    column: str


@dataclass(frozen=True, slots=True)
class LogSchema:
    """What the log holds: event names with their counts, properties, size and span.

    `horizon` is the time of the last trusted event (none later than its own import), µs UTC; None for an empty log.
    `version` changes whenever the data or the identity table changes; caches are keyed by it.
    """

    events: Mapping[str, int]
    properties: Mapping[str, Property]
    n_events: int
    n_users: int
    first_time: int | None
    horizon: int | None
    version: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A yes-or-no question asked of each event; becomes one bit of `Sequences.marks`.

    Args:
        events: event names, any of them; None = any event.
        where: bound predicate over the physical columns of ``events``; None = always.
    """

    events: tuple[str, ...] | None = None
    where: exp.Expression | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A column of small codes: ``i`` for ``values[i]``, ``len(values)`` for any other value, -1 for null."""

    expression: exp.Expression
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A column of 64-bit keys: equal values have equal keys, null is 0 (and no value has key 0)."""

    expression: exp.Expression


@dataclass(frozen=True, slots=True)
class Number:
    """A column of float64; null is nan."""

    expression: exp.Expression


@dataclass(frozen=True, slots=True)
class SequenceRequest:
    """What an analysis needs of the event sequences.

    Args:
        marks: at most 64.
        columns: further columns, in order.
        where: bound predicate; events that fail it are not in the sequences.
        start: µs UTC, inclusive; None = from the first event.
        stop: µs UTC, exclusive.
        users: sorted user keys to keep (int64); None = all.
        unmarked: keep events that match no mark (strict order needs them). When False the engine may leave them out.
    """

    marks: tuple[Mark, ...]
    columns: tuple[Category | Key | Number, ...] = ()
    where: exp.Expression | None = None
    start: int | None = None
    stop: int | None = None
    users: NDArray[np.int64] | None = None
    unmarked: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A statement in Upswing's one dialect (DuckDB's) as a tree; engines render it into their own.

    The relation ``events`` has the columns user_key (64-bit), user_id (text), time (UTC timestamp, µs), event (text)
    and the properties' columns. ``users`` has user_key, user_id.
    """

    tree: exp.Expression

    def sql(self, dialect: str = "duckdb", *, pretty: bool = True) -> str:
        """The text of the statement."""
        return self.tree.sql(dialect=dialect, pretty=pretty)


class Engine(Protocol):
    """What an engine must do. Nothing else of it is visible to analyses."""

    name: str
    dialect: str

    def schema(self) -> LogSchema:
        """The current contents; cheap, cached per version."""
        ...

    def arrow(self, query: Query) -> pa.Table:
        """Run a statement and return its rows as an Arrow table."""
        ...

    def rows(self, query: Query) -> list[tuple[object, ...]]:
        """Run a statement with a small answer."""
        ...

    def render(self, query: Query) -> str:
        """The statement as this engine would run it, for *how computed*."""
        ...

    def sequences(self, request: SequenceRequest) -> Iterator[Sequences]:
        """Batches of whole users in (user, time, ingest) order."""
        ...

    def sequence_sql(self, request: SequenceRequest) -> list[str]:
        """The statements (or the description of the mapped columns) behind `sequences`, for *how computed*."""
        ...

    def user_ids(self, keys: NDArray[np.int64]) -> list[str]:
        """Ids of users by key, in order."""
        ...

    def user_keys(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Keys of known users by id; unknown ids are left out; sorted."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
