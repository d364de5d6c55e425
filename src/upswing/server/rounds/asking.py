"""A question that a job asks: as people's are asked, and given up when the job is to end."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Final

from upswing.core.i18n import use_locale
from upswing.core.results import Result
from upswing.server.schedule import Cancelled, Run
from upswing.verbs import verb

if TYPE_CHECKING:
    from upswing.server.state import ServerState

_LOOK_EVERY: Final = 0.2


def answer(state: ServerState, run: Run, name: str, arguments: Mapping[str, object], *, locale: str) -> Result:
    """The answer of a verb.

    Args:
        state: the server's.
        run: the job's; when it is cancelled, so is the question.
        name: of the verb.
        arguments: of the workspace's method.
        locale: language of names in the answer.

    Raises:
        Cancelled: the run is to end.
        TooManyError: UP807 people's questions are waiting already.
    """
    run.check()
    with use_locale(locale):
        job = state.questions.ask(verb(name), arguments, remember=False)
    while True:
        try:
            return job.future.result(timeout=_LOOK_EVERY)
        except NotYet:
            if job.future.done():  # the question itself ran into a time limit
                raise
        try:
            run.check()
        except Cancelled:
            state.questions.cancel(job)
            raise
