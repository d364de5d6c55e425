"""Definition files: YAML 1.2 in and out, with line and column of every problem, comments kept on the way back."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from upswing.core.errors import DataError, Problem, Problems
from upswing.core.i18n import text
from upswing.spec.validation import mistakes

Path_ = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its data, and where each key and value stands."""

    file: str
    data: dict[str, Any]
    places: Mapping[tuple[Path_, Literal["key", "value"]], tuple[int, int]]

    def place(self, path: Path_, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or key), or of the nearest enclosing one."""
        for end in range(len(path), -1, -1):
            kinds: tuple[Literal["key", "value"], ...] = (
                ("key", "value") if key and end == len(path) else ("value", "key")
            )
            for kind in kinds:
                found = self.places.get((path[:end], kind))
                if found:
                    return found
        return (1, 1)


def read_documents(path: Path, problems: Problems, *, root: Path | None = None) -> list[Document]:
    """All documents of a file; what is not YAML, or not a mapping, becomes a problem (UP001, UP002)."""
    shown = _shown(path, root)
    try:
        source = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add(Problem("UP003", text("not UTF-8 text: {error}", error=error.reason), shown, 1, 1))
        return []
    except OSError as error:
        raise DataError(text("cannot read {file}: {error}", file=shown, error=error.strerror), code="UP320") from None
    return list(_documents(source, shown, problems))


def parse_document(document: Document, model: type[Model], problems: Problems) -> Model | None:
    """The document as a model; every mistake becomes a problem at its line and column."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        for found in mistakes(error, model, document.data):
            line, column = document.place(found.path, key=found.at_key)
            where = ".".join(str(part) for part in found.path) or "definition"
            message = found.message if found.named else text("{key}: {cause}", key=where, cause=found.message)
            problems.add(Problem(found.code, message, document.file, line, column, found.hint))
        return None


def write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    """Write a mapping as YAML, atomically. An existing file keeps its comments and the order of its keys."""
    yaml = _round_trip()
    merged: Any = yaml.load(path.read_text(encoding="utf-8")) if path.exists() else None
    if isinstance(merged, dict):
        for gone in [key for key in merged if key not in data]:
            del merged[gone]
        for key, value in data.items():
            if merged.get(key) != value:
                merged[key] = value
    else:
        merged = dict(data)
    out = io.StringIO()
    yaml.dump(merged, out)
    _replace(path, out.getvalue())


def edit_yaml(path: Path, change: Callable[[Any], None], *, document: int = 0) -> None:
    """Change one document of a file in place, atomically; comments, quotes and the other documents stay as they are.

    Args:
        path: the file.
        change: gets the document's mapping and changes it.
        document: number of the document in the file, from 0.
    """
    yaml = _round_trip()
    held = list(yaml.load_all(path.read_text(encoding="utf-8")))
    change(held[document])
    out = io.StringIO()
    yaml.dump_all(held, out)
    _replace(path, out.getvalue())


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # what people wrote on one line stays on one
    return yaml


def _replace(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(body, encoding="utf-8")
    temporary.replace(path)


def _documents(source: str, shown: str, problems: Problems) -> Iterator[Document]:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = False
    try:
        nodes = list(yaml.compose_all(source))
        values = list(yaml.load_all(source))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        cause = (error.problem or error.context or "").splitlines()[0]
        problems.add(
            Problem(
                "UP001",
                text("not valid YAML: {cause}", cause=cause),
                shown,
                mark.line + 1 if mark else 1,
                mark.column + 1 if mark else 1,
            )
        )
        return
    for node, value in zip(nodes, values, strict=True):
        if node is None or value is None:
            continue
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if not isinstance(value, dict):
            problems.add(Problem("UP002", text("a definition is a mapping of keys to values"), shown, line, column))
            continue
        places: dict[tuple[Path_, Literal["key", "value"]], tuple[int, int]] = {}
        _mark(node, (), places)
        yield Document(shown, value, places)


def _mark(node: Node, path: Path_, places: dict[tuple[Path_, Literal["key", "value"]], tuple[int, int]]) -> None:
    places[path, "value"] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value) if isinstance(key, ScalarNode) else repr(key))
            places[inner, "key"] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _mark(value, inner, places)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _mark(value, (*path, index), places)


def _shown(path: Path, root: Path | None) -> str:
    try:
        return path.relative_to(root).as_posix() if root else path.as_posix()
    except ValueError:
        return path.as_posix()
