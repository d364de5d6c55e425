"""Definition files: YAML 1.2 in and out, with line and column of every problem, comments kept on the way back."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from upswing.core.errors import DataError, Problem, Problems, did_you_mean
from upswing.core.i18n import text

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
        for detail in error.errors():
            problems.add(_problem(document, model, detail))
        return None


def write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    """Write a mapping as YAML, atomically. An existing file keeps its comments and the order of its keys."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(out.getvalue(), encoding="utf-8")
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


def _problem(document: Document, model: type[BaseModel], detail: Any) -> Problem:
    path: Path_ = tuple(detail["loc"])
    real = _real_path(document.data, path)
    kind = detail["type"]
    if kind == "extra_forbidden":
        line, column = document.place(real, key=True)
        known = _known_keys(model, real[:-1])
        return Problem(
            "UP101", text("unknown key '{key}'", key=real[-1]), document.file, line, column,
            did_you_mean(str(real[-1]), known),
        )  # fmt: skip
    line, column = document.place(real)
    where = ".".join(str(part) for part in real)
    if kind == "missing":
        return Problem("UP102", text("'{key}' is missing", key=path[-1]), document.file, line, column)
    if kind == "literal_error":
        allowed = [part.strip("' ") for part in str(detail["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        return Problem(
            "UP103",
            text("{key}: '{value}' is not one of {allowed}", key=where, value=detail["input"], allowed=", ".join(allowed)),
            document.file, line, column, did_you_mean(str(detail["input"]), allowed),
        )  # fmt: skip
    if kind == "string_pattern_mismatch":
        message = text("{key}: names are lower_snake_case, not '{value}'", key=where, value=detail["input"])
        return Problem("UP104", message, document.file, line, column)
    cause = str(detail["msg"]).removeprefix("Value error, ")
    return Problem("UP105", text("{key}: {cause}", key=where or "definition", cause=cause), document.file, line, column)


def _real_path(data: Any, path: Path_) -> Path_:
    """The part of pydantic's location that exists in the document (union members add names of their own)."""
    real: list[str | int] = []
    here: Any = data
    for index, part in enumerate(path):
        last = index == len(path) - 1
        if _holds(here, part):
            here = here[part]
        elif not (last and isinstance(here, dict)):
            continue
        real.append(part)
    return tuple(real)


def _holds(here: object, part: str | int) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)


def _known_keys(model: type[BaseModel], path: Path_) -> list[str]:
    """Keys allowed where an unknown one stands: those of every model that may stand there."""
    schema = model.model_json_schema(by_alias=True)
    options = [schema]
    for part in path:
        options = [inner for option in options for inner in _inside(option, part, schema)]
    return sorted({key for option in options for key in _resolved(option, schema).get("properties", {})})


def _inside(option: dict[str, Any], part: str | int, root: dict[str, Any]) -> list[dict[str, Any]]:
    resolved = _resolved(option, root)
    if isinstance(part, int):
        found = resolved.get("items")
    else:
        found = resolved.get("properties", {}).get(part) or resolved.get("additionalProperties")
    return _alternatives(found, root) if isinstance(found, dict) else []


def _alternatives(schema: dict[str, Any], root: dict[str, Any]) -> list[dict[str, Any]]:
    schema = _resolved(schema, root)
    union = schema.get("anyOf") or schema.get("oneOf")
    return [inner for member in union for inner in _alternatives(member, root)] if union else [schema]


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _shown(path: Path, root: Path | None) -> str:
    try:
        return path.relative_to(root).as_posix() if root else path.as_posix()
    except ValueError:
        return path.as_posix()
