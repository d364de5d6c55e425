"""What an operator sees of a server: counters and gauges for Prometheus, and one line of JSON per request.

Neither carries personal data: no query values, no bodies, no ids of users, and no address unless it is asked for.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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

    def text(self) -> bytes:
        """Everything, in the format of Prometheus."""
        return generate_latest(self.registry)


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message, and what was given as `extra` under ``facts``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        body: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower(),
            "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        body |= getattr(record, "facts", {})
        if record.exc_info:
            body["stack"] = self.formatException(record.exc_info)
        return json.dumps(body, ensure_ascii=False, default=str)


def log_to_stderr() -> None:
    """Send the server's log to stderr, as JSON lines; once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("upswing", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    LOG.setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def note(message: str, /, **facts: object) -> None:
    """One line of the log. Never give values that people sent."""
    LOG.info(message, extra={"facts": facts})
