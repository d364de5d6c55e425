"""Questions on threads of their own: a bounded number at a time, the same one computed once, answers kept."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from upswing.core.errors import UpswingError
from upswing.core.i18n import text
from upswing.core.results import Result
from upswing.server.errors import TooManyError

if TYPE_CHECKING:
    from upswing.server.observe import Observations
    from upswing.server.settings import ServerSettings
    from upswing.server.storage import Storage
    from upswing.verbs import Verb

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(slots=True)
class Job:
    """One question under way or answered."""

    id: str
    verb: str
    created: float
    future: Future[Result] = field(default_factory=Future)
    started: float | None = None
    finished: float | None = None

    @property
    def state(self) -> JobState:
        """Where it stands."""
        if self.future.cancelled():
            return "cancelled"
        if self.future.done():
            return "failed" if self.future.exception() is not None else "done"
        return "waiting" if self.started is None else "running"


class Questions:
    """Runs questions for everybody who asks this server."""

    def __init__(self, storage: Storage, settings: ServerSettings, observations: Observations) -> None:
        self._storage = storage
        self._settings = settings
        self._observations = observations
        self._pool = ThreadPoolExecutor(settings.question_threads, thread_name_prefix="question")
        self._lock = threading.Lock()
        self._waiting = 0
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def ask(self, verb: Verb, arguments: Mapping[str, object]) -> Job:
        """Begin to answer.

        Args:
            verb: what is asked.
            arguments: keyword arguments of the workspace's method.

        Raises:
            TooManyError: UP807 the queue is full.
        """
        job = Job(token_hex(12), verb.name, time.time())
        with self._lock:
            if self._waiting >= self._settings.question_threads + self._settings.question_queue:
                raise TooManyError(text("too many questions are waiting"), retry_after=2)
            self._waiting += 1
            self._jobs[job.id] = job
        context = copy_context()
        self._pool.submit(context.run, self._run, job, lambda: self._answer(verb, arguments))
        return job

    def close(self) -> None:
        """Let running questions end and take no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, verb: Verb, arguments: Mapping[str, object]) -> Result:
        with self._storage.question() as workspace:
            result: Result = getattr(workspace, verb.method)(**arguments)
            return result

    def _run(self, job: Job, answer: Callable[[], Result]) -> None:
        job.started = time.time()
        try:
            result = answer()
        except BaseException as error:
            outcome = "failed"
            if not isinstance(error, UpswingError):
                outcome = "broken"
            job.finished = time.time()
            job.future.set_exception(error)
        else:
            outcome = "computed"
            job.finished = time.time()
            job.future.set_result(result)
        with self._lock:
            self._waiting -= 1
        self._observations.questions.labels(job.verb, outcome).inc()
        self._observations.question_seconds.labels(job.verb).observe(time.time() - job.started)
