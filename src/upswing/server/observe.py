"""What an operator sees of a server: counters and gauges for Prometheus, and one line of JSON per request.

Neither carries personal data: no query values, no bodies, no ids of users, and no address unless it is asked for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from upswing.core.errors import UpswingError

LOG: Final = logging.getLogger("upswing.server")
_LATENCIES: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Observations:
    """Counters of one server; several servers in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "upswing_http_requests", "Requests by route, method and status.", ("route", "method", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.latency = Histogram(
            "upswing_http_request_seconds", "Time to the last byte of the answer.", ("route",), buckets=_LATENCIES,
            registry=self.registry,
        )  # fmt: skip
        self.questions = Counter(
            "upswing_questions", "Questions by verb and how they ended: computed, kept, shared, failed, cancelled.",
            ("verb", "outcome"), registry=self.registry,
        )  # fmt: skip
        self.question_seconds = Histogram(
            "upswing_question_seconds", "Time to compute an answer.", ("verb",), buckets=_LATENCIES,
            registry=self.registry,
        )  # fmt: skip

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Show a number that is read whenever somebody looks, e.g. what waits in the spool.

        Args:
            name: ``upswing_…``, with the unit at its end.
            meaning: for people.
            value: gives the number; called in the thread that answers `/metrics`.
        """
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def count(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Show a number that only grows while the server runs, read whenever somebody looks.

        Args:
            name: ``upswing_…``; ``_total`` is added to it.
            meaning: for people.
            value: gives the number; called in the thread that answers `/metrics`.
        """
        self.registry.register(_Count(name, meaning, value))

    def text(self) -> bytes:
        """Everything, in the format of Prometheus."""
        return generate_latest(self.registry)


class _Count(Collector):
    def __init__(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        self._name, self._meaning, self._value = name, meaning, value

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._meaning, value=self._value())


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message, and what was given as `extra` under ``facts``.

    Of an exception its type and its places are told, not its words: those of an engine repeat the statement, with the values
    that people asked for.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        body: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower(),
            "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        body |= getattr(record, "facts", {})
        if record.exc_info:
            body["stack"] = _places(record.exc_info[1])
        return json.dumps(body, ensure_ascii=False, default=str)


def _places(error: BaseException | None) -> list[dict[str, object]]:
    """An exception and what it came from, the last first: type, our code if it has one, and where, innermost last."""
    found: list[dict[str, object]] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = traceback.extract_tb(error.__traceback__)
        one: dict[str, object] = {"type": type(error).__qualname__}
        if isinstance(error, UpswingError):
            one["code"] = error.code
        one["at"] = [f"{'/'.join(Path(f.filename).parts[-3:])}:{f.lineno} {f.name}" for f in frames]
        found.append(one)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _not_cut_off(record: logging.LogRecord) -> bool:
    """Whether a record tells of more than a request that ended because the server stops; uvicorn says that once for all."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, asyncio.CancelledError)


def log_to_stderr() -> None:
    """Send the server's log to stderr, as JSON lines; once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_not_cut_off)
    for name in ("upswing", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    LOG.setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def note(message: str, /, **facts: object) -> None:
    """One line of the log. Never give values that people sent."""
    LOG.info(message, extra={"facts": facts})
