"""Do definitions refer to things that exist? Other definitions always; events and properties when the log is at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from upswing.core.errors import Problem, Problems, did_you_mean
from upswing.core.i18n import Text, text
from upswing.spec.definitions import Definitions
from upswing.spec.files import Document
from upswing.spec.tree import check_trees
from upswing.sql.expressions import parse_predicate

_REFERENCES = {
    "segment": "segment", "audience": "segment", "metric": "metric", "metrics": "metric", "secondary": "metric",
    "funnel": "funnel", "hypotheses": "hypothesis", "experiments": "experiment",
}  # fmt: skip
"""Key → kind of the definitions it names, one or a list."""
_EVENT_KEYS = ("event", "any_of", "did", "active_days", "rfm")
_PROPERTY_KEYS = ("prop", "hold", "amount", "of", "breakdowns")


def check_references(
    definitions: Definitions,
    problems: Problems,
    *,
    events: Sequence[str] | None = None,
    properties: Sequence[str] | None = None,
) -> None:
    """Record a problem for every name that leads nowhere.

    Args:
        definitions: what is declared.
        problems: collector.
        events: event names of the log; None = do not compare.
        properties: property names of the log; None = do not compare.
    """
    check_trees(definitions, problems)
    for document in definitions.documents.values():
        for path, key, value in _walk(document.data, ()):
            for name in _listed(value) if key in _REFERENCES else []:
                kind = _REFERENCES[key]
                message = text("no {kind} named '{name}'", kind=kind, name=name)
                _require(name, list(definitions.by_kind.get(kind, {})), "UP201", message, document, path, problems)
            if events is not None and key in _EVENT_KEYS:
                for name in _listed(value):
                    message = text("no event '{name}' in the log", name=name)
                    _require(name, [*events, "*"], "UP302", message, document, path, problems)
            if properties is not None:
                for name in _properties(key, value):
                    message = text("no property '{name}'", name=name)
                    _require(name, [*properties, "event", "user_id"], "UP301", message, document, path, problems)


def events_of(data: Any) -> list[str]:
    """Names of the events that a part of a definition asks for, without ``*``.

    Args:
        data: plain data, as in the file or dumped from the model.
    """
    named = (name for _, key, value in _walk(data, ()) if key in _EVENT_KEYS for name in _listed(value))
    return list(dict.fromkeys(name for name in named if name != "*"))


def _require(
    name: str, known: Sequence[str], code: str, message: Text, document: Document, path: tuple[str | int, ...],
    problems: Problems,
) -> None:  # fmt: skip
    if name not in known:
        line, column = document.place(path)
        problems.add(Problem(code, message, document.file, line, column, did_you_mean(name, known)))


def _properties(key: str, value: Any) -> list[str]:
    if key in _PROPERTY_KEYS:
        return _listed(value)
    if key == "expr" and isinstance(value, str):
        return sorted({column.name for column in parse_predicate(value).find_all(exp.Column)})
    return []


def _listed(value: Any) -> list[str]:
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]


def _walk(data: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key), key, value
            yield from _walk(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _walk(value, (*path, index))
