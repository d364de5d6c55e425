"""Questions on threads of their own: a bounded number at a time, the same one computed once, answers kept."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Literal

from upswing.core.errors import UpswingError
from upswing.core.i18n import current_locale, text
from upswing.core.results import Result
from upswing.core.wire import detached
from upswing.server.errors import NotFoundError, TooManyError
from upswing.server.observe import LOG
from upswing.server.watching import CancelledError, Watch
from upswing.workspace.asking import ask

if TYPE_CHECKING:
    from upswing.server.observe import Observations
    from upswing.server.settings import ServerSettings
    from upswing.server.storage import Moment, Storage
    from upswing.verbs import Verb
    from upswing.workspace import Workspace

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
_MOST_JOBS: Final = 10
"""Job ids that are known at most, as a multiple of the finished jobs that are kept."""
_REMEMBERED: Final = 50
"""Different questions of people that are remembered."""
_SMALL: Final = 2_000
"""Bytes that a finished question takes besides its answer."""


@dataclass(slots=True, eq=False)
class _Run:
    """One computation, for everybody who asks the same of the same data."""

    key: str | None
    verb: str
    generation: int
    future: Future[Result] = field(default_factory=Future)
    watch: Watch = field(default_factory=Watch)
    jobs: set[str] = field(default_factory=set)
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One question of one asker.

    Args:
        id: hard to guess; who knows it may look at the answer and cancel.
        verb: what was asked.
        created: seconds since the epoch.
    """

    id: str
    verb: str
    created: float
    run: _Run

    @property
    def future(self) -> Future[Result]:
        """The answer, when it is there; shared, so not to be cancelled."""
        return self.run.future

    @property
    def state(self) -> JobState:
        """Where it stands."""
        if self.run.future.done():
            error = self.run.future.exception()
            if error is None:
                return "done"
            return "cancelled" if isinstance(error, CancelledError) else "failed"
        return "waiting" if self.run.started is None else "running"

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON; `seconds` computing so far or in all, `progress` of the statement that runs."""
        state = self.state
        end = self.run.finished or time.time()
        body: dict[str, object] = {
            "id": self.id,
            "verb": self.verb,
            "state": state,
            "seconds": None if self.run.started is None else round(end - self.run.started, 3),
            "progress": 1.0 if state == "done" else self.run.watch.progress() if state == "running" else None,
        }
        return body


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that somebody asked.

    Args:
        verb: its name.
        arguments: of the workspace's method.
        locale: language of names in the answer.
        at: when it was asked last, seconds since the epoch.
    """

    verb: str
    arguments: Mapping[str, object]
    locale: str
    at: float


class Questions:
    """Runs questions for everybody who asks this server.

    Args:
        storage: the workspace.
        settings: how many at a time, how many may wait, how much memory answers may take.
        observations: counts them.
    """

    def __init__(self, storage: Storage, settings: ServerSettings, observations: Observations) -> None:
        self._storage = storage
        self._settings = settings
        self._observations = observations
        self._pool = ThreadPoolExecutor(settings.question_threads, thread_name_prefix="question")
        self._lock = threading.Lock()
        self._open = 0
        self._by_key: dict[str, _Run] = {}
        self._jobs: dict[str, Job] = {}
        self._finished: OrderedDict[_Run, int] = OrderedDict()
        self._bytes = 0
        self._generation = 0
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def ask(
        self, verb: Verb, arguments: Mapping[str, object], *, fresh: bool = False, change: bool = False,
        remember: bool = True,
    ) -> Job:  # fmt: skip
        """Begin to answer, or find the answer or the computation that is there already. May wait for new events to be read,
        so not to be called on an event loop.

        Args:
            verb: what is asked.
            arguments: keyword arguments of the workspace's method.
            fresh: the answer must hold everything that was written before.
            change: the arguments change the workspace: neither shared nor kept.
            remember: somebody asked, so that `lately` tells it.

        Raises:
            TooManyError: UP807 too many wait.
        """
        generation = self._generation  # before the moment: what is computed of a log before `forget` is known by it
        if fresh or change:
            self._storage.refresh()
        moment = self._storage.moment()
        key = None if change else _key(verb, arguments, moment)
        with self._lock:
            if remember and not change:
                self._remember(verb, arguments)
            run = self._by_key.get(key) if key is not None else None
            if run is not None:
                if run in self._finished:
                    self._finished.move_to_end(run)
                self._observations.questions.labels(verb.name, "kept" if run.finished else "shared").inc()
                return self._job(run)
            if self._open >= self._settings.question_threads + self._settings.question_queue:
                raise TooManyError(text("too many questions are waiting"), retry_after=2)
            self._open += 1
            run = _Run(key, verb.name, generation)
            run.future.set_running_or_notify_cancel()  # one asker who goes away must not end it for the others
            if key is not None:
                self._by_key[key] = run
            job = self._job(run)
        given = dict(arguments)
        self._pool.submit(copy_context().run, self._answer, run, moment, lambda w: ask(w, verb.method, given))
        return job

    def known(self, verb: Verb, arguments: Mapping[str, object]) -> Result | None:
        """The answer that is kept from before, or None: nothing is computed."""
        key = _key(verb, arguments, self._storage.moment())
        with self._lock:
            run = self._by_key.get(key)
            found = run is not None and run in self._finished
        return run.future.result() if found and run is not None else None

    def job(self, job_id: str) -> Job:
        """A job by its id.

        Raises:
            NotFoundError: UP862 no such job, or its answer was forgotten.
        """
        with self._lock:
            found = self._jobs.get(job_id)
        if found is None:
            raise NotFoundError(
                text("no such job"), code="UP862", hint=text("answers are kept for a while only: ask again")
            )
        return found

    def lately(self, seconds: float) -> list[Asked]:
        """Questions that people asked within so many seconds, the latest first."""
        since = time.time() - seconds
        with self._lock:
            return [asked for asked in reversed(self._asked.values()) if asked.at >= since]

    def cancel(self, job: Job) -> None:
        """Give a job up; the computation stops when nobody else waits for it."""
        with self._lock:
            job.run.jobs.discard(job.id)
            last = not job.run.jobs and job.run.finished is None
            if last and job.run.key is not None and self._by_key.get(job.run.key) is job.run:
                del self._by_key[job.run.key]
            if not last:
                self._jobs.pop(job.id, None)
        if last:
            job.run.watch.cancel()

    def forget(self) -> None:
        """Drop every answer that is kept, e.g. because somebody in it was erased. Questions under way go on for those who
        wait for them now; their answers are not kept.
        """
        with self._lock:
            self._generation += 1
            for run in list(self._finished):
                for job_id in run.jobs:
                    self._jobs.pop(job_id, None)
            self._finished.clear()
            self._by_key.clear()
            self._asked.clear()
            self._bytes = 0

    @property
    def waiting(self) -> int:
        """Questions that wait or run."""
        return self._open

    @property
    def kept_bytes(self) -> int:
        """About the memory that kept answers take."""
        return self._bytes

    def close(self) -> None:
        """Take no more; what still runs is interrupted, for whoever waited for it has gone."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            left = {job.run for job in self._jobs.values() if job.run.finished is None}
        for run in left:
            run.watch.cancel()
            if run.started is None:
                run.future.set_exception(CancelledError())
        self._pool.shutdown(wait=True)

    def _remember(self, verb: Verb, arguments: Mapping[str, object]) -> None:
        asked = Asked(verb.name, dict(arguments), current_locale(), time.time())
        key = "\n".join((verb.name, _written(arguments), asked.locale))
        self._asked[key] = asked
        self._asked.move_to_end(key)
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)

    def _job(self, run: _Run) -> Job:
        job = Job(token_hex(12), run.verb, time.time(), run)
        run.jobs.add(job.id)
        self._jobs[job.id] = job
        for _ in range(len(self._jobs) - _MOST_JOBS * self._settings.kept_jobs):  # one answer can have many askers
            oldest = self._jobs.pop(next(iter(self._jobs)))
            if oldest.run.finished is None:
                self._jobs[oldest.id] = oldest  # somebody waits
            else:
                oldest.run.jobs.discard(oldest.id)
        return job

    def _answer(self, run: _Run, moment: Moment, work: Callable[[Workspace], Result]) -> None:
        run.started = time.time()
        try:
            if run.watch.cancelled:
                raise CancelledError
            with run.watch.running():
                result = detached(self._storage.answer(work, moment))
        except BaseException as error:
            self._end(run, error=CancelledError() if run.watch.cancelled else error)
        else:
            self._end(run, result=result)

    def _end(self, run: _Run, *, result: Result | None = None, error: BaseException | None = None) -> None:
        run.finished = time.time()
        outcome = "computed"
        if error is not None:
            outcome = "cancelled" if isinstance(error, CancelledError) else "failed"
            if not isinstance(error, UpswingError):
                LOG.error("a question failed", exc_info=error, extra={"facts": {"verb": run.verb}})
        size = _SMALL + (_size(result) if result is not None else 0)
        with self._lock:
            self._open -= 1
            outdated = run.generation != self._generation
            dropped = error is not None or outdated or size > self._settings.cache_bytes
            if dropped and run.key is not None and self._by_key.get(run.key) is run:
                del self._by_key[run.key]
            if outdated:
                for job_id in run.jobs:
                    self._jobs.pop(job_id, None)
            else:
                self._finished[run] = size
                self._bytes += size
                self._forget_oldest(run)
        self._observations.questions.labels(run.verb, outcome).inc()
        self._observations.question_seconds.labels(run.verb).observe(run.finished - (run.started or run.finished))
        if error is not None:
            run.future.set_exception(error)
        elif result is not None:
            run.future.set_result(result)

    def _forget_oldest(self, newest: _Run) -> None:
        """Drop finished questions, the longest unused first, until the rest is within bounds."""
        while self._bytes > self._settings.cache_bytes or len(self._finished) > self._settings.kept_jobs:
            oldest = next(iter(self._finished))
            if oldest is newest:
                return
            self._bytes -= self._finished.pop(oldest)
            if oldest.key is not None and self._by_key.get(oldest.key) is oldest:
                del self._by_key[oldest.key]
            for job_id in oldest.jobs:
                self._jobs.pop(job_id, None)


def _key(verb: Verb, arguments: Mapping[str, object], moment: Moment) -> str:
    """The question, the data and definitions it is asked of, and the language of names in the answer."""
    asked = _written(arguments)
    today = datetime.now(moment.project.calendar.zone).date().isoformat()  # what is due or open depends on it
    return "\n".join((verb.name, asked, moment.stamp, today, current_locale()))


def _written(arguments: Mapping[str, object]) -> str:
    return json.dumps(dict(arguments), sort_keys=True, default=repr)


def _size(result: Result) -> int:
    with suppress(Exception):
        return len(pickle.dumps(result))
    return 1 << 20
