"""One pass over the event sequences of a log, with everything *how computed* needs to know about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text
from upswing.core.results import Caveat, HowComputed, Window
from upswing.engines.base import Query, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.batch import Sequences, run

Partial = TypeVar("Partial")
Keys = NDArray[np.int64]


@dataclass(slots=True)
class Scan:
    """Reads sequences, runs kernels over them, and keeps count: statements, events, users and seconds.

    Args:
        log: the event log.
    """

    log: EventLog
    statements: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    events: int = 0
    users: int = 0
    begun: float = field(default_factory=perf_counter)

    def rows(self, query: Query) -> list[tuple[object, ...]]:
        """Run a statement with a small answer."""
        begun = perf_counter()
        self._note(self.log.engine.render(query))
        found = self.log.engine.rows(query)
        self._spent("query", begun)
        return found

    def run(
        self,
        kernel: Callable[[Sequences], Partial],
        request: SequenceRequest,
        merge: Callable[[Partial, Partial], Partial],
    ) -> Partial | None:
        """Run a kernel over the sequences; None when no user has any event asked for."""
        begun = perf_counter()
        for statement in self.log.engine.sequence_sql(request):
            self._note(statement)
        self.events = self.users = 0
        merged = run(kernel, self._counted(request), merge)
        self._spent("sequences", begun)
        return merged

    def how(
        self,
        *,
        definition: Mapping[str, object],
        window: Window,
        method: Text | str,
        caveats: Sequence[Caveat] = (),
    ) -> HowComputed:
        """The account of everything this scan did."""
        horizon = self.log.schema.horizon
        return HowComputed(
            definition=definition,
            window=window,
            method=method,
            sql=tuple(self.statements),
            events=self.events,
            users=self.users,
            data_as_of=None if horizon is None else self.log.calendar.local(horizon),
            engine=self.log.engine.name,
            caveats=tuple(caveats),
            timings={**self.timings, "total": perf_counter() - self.begun},
        )

    def _counted(self, request: SequenceRequest) -> Iterator[Sequences]:
        for batch in self.log.engine.sequences(request):
            self.events += batch.n_events
            self.users += batch.n_users
            yield batch

    def _note(self, statement: str) -> None:
        if statement not in self.statements:
            self.statements.append(statement)

    def _spent(self, phase: str, begun: float) -> None:
        self.timings[phase] = self.timings.get(phase, 0.0) + perf_counter() - begun


def chosen_users(log: EventLog, request: SequenceRequest, choose: Callable[[Sequences], NDArray[np.bool_]]) -> Keys:
    """Keys of the users for whom `choose` (a flag per user of a batch) holds, sorted and distinct."""
    found = run(lambda batch: batch.users[choose(batch)], log.engine.sequences(request), _joined)
    return np.zeros(0, dtype=np.int64) if found is None else np.unique(found)


def _joined(first: Keys, second: Keys) -> Keys:
    return np.concatenate((first, second))
