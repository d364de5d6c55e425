"""All definitions of a workspace: found in its YAML files, parsed by kind, looked up by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from upswing.core.errors import DefinitionError, Problem, Problems, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.spec.base import Definition
from upswing.spec.files import Document, parse_document, read_documents
from upswing.spec.project import WorkspaceSpec

PROJECT_FILE: Final = "upswing.yml"

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "segment": ("upswing.spec.segment", "SegmentDefinition"),
    "funnel": ("upswing.spec.funnel", "FunnelDefinition"),
    "retention": ("upswing.spec.retention", "RetentionDefinition"),
    "paths": ("upswing.spec.paths", "PathsDefinition"),
    "metric": ("upswing.spec.metric", "MetricDefinition"),
    "tree": ("upswing.spec.tree", "TreeDefinition"),
    "aha": ("upswing.spec.aha", "AhaDefinition"),
    "hook": ("upswing.spec.hook", "HookDefinition"),
    "quadrants": ("upswing.spec.quadrants", "QuadrantsDefinition"),
    "behaviour": ("upswing.spec.behaviour", "BehaviourDefinition"),
    "journey": ("upswing.spec.journey", "JourneyDefinition"),
    "hypothesis": ("upswing.spec.hypothesis", "HypothesisDefinition"),
    "experiment": ("upswing.spec.experiment", "ExperimentDefinition"),
    "initiative": ("upswing.spec.initiative", "InitiativeDefinition"),
}
"""Kind → module and model; loaded when first needed."""

D = TypeVar("D", bound=Definition)


@dataclass(slots=True)
class Definitions:
    """Everything declared in a workspace.

    Args:
        root: the workspace's folder.
        by_kind: definitions by kind and name.
        documents: where each was found, by (kind, name).
        problems: what is wrong with the files; definitions with problems are left out.
    """

    root: Path
    by_kind: dict[str, dict[str, Definition]] = field(default_factory=dict)
    documents: dict[tuple[str, str], Document] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)

    @classmethod
    def load(cls, root: Path) -> Definitions:
        """Read every ``*.yml`` below the workspace, except ``upswing.yml``, ``data/`` and hidden folders."""
        found = cls(root)
        for path in sorted(definition_files(root)):
            for document in read_documents(path, found.problems, root=root):
                found._add(document)
        return found

    def get(self, kind: str, name: str, model: type[D]) -> D:
        """One definition by name.

        Raises:
            UsageError: UP201 no such definition, with the nearest names.
            DefinitionError: the files of that kind have problems and the name was not found.
        """
        known = self.by_kind.get(kind, {})
        if name not in known:
            broken = [p for p in self.problems.errors if p.file and f"{kind}" in p.file]
            if broken:
                raise DefinitionError(broken[0].message, problems=broken)
            raise UsageError(
                text("no {kind} named '{name}'", kind=kind, name=name), code="UP201", hint=did_you_mean(name, known)
            )
        found = known[name]
        assert isinstance(found, model)
        return found

    def __iter__(self) -> Iterator[tuple[str, Definition]]:
        for kind, named in self.by_kind.items():
            for definition in named.values():
                yield kind, definition

    def _add(self, document: Document) -> None:
        kind = document.data.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            line, column = document.place(("kind",))
            message = text("'kind' is missing") if kind is None else text("no kind '{kind}'", kind=kind)
            self.problems.add(
                Problem("UP106", message, document.file, line, column, did_you_mean(str(kind or ""), KINDS))
            )
            return
        definition = parse_document(document, model_of(kind), self.problems)
        if definition is None:
            return
        named = self.by_kind.setdefault(kind, {})
        if definition.name in named:
            line, column = document.place(("name",))
            first = self.documents[kind, definition.name].file
            self.problems.add(
                Problem(
                    "UP204",
                    text(
                        "a {kind} named '{name}' stands in {file} already", kind=kind, name=definition.name, file=first
                    ),
                    document.file,
                    line,
                    column,
                )
            )
            return
        named[definition.name] = definition
        self.documents[kind, definition.name] = document


def model_of(kind: str) -> type[Definition]:
    """The model of a kind."""
    module, name = KINDS[kind]
    return cast(type[Definition], getattr(import_module(module), name))


def load_project(root: Path) -> WorkspaceSpec:
    """Read ``upswing.yml``.

    Raises:
        UsageError: UP602 the folder is not a workspace.
        DefinitionError: the file has problems; all are listed.
    """
    path = root / PROJECT_FILE
    if not path.is_file():
        raise UsageError(
            text("'{folder}' is not an Upswing workspace: no {file} in it", folder=root, file=PROJECT_FILE),
            code="UP602",
            hint=text("make one with: upswing init {folder}", folder=root),
        )
    problems = Problems()
    documents = read_documents(path, problems, root=root)
    project = parse_document(documents[0], WorkspaceSpec, problems) if documents else WorkspaceSpec()
    problems.raise_if_any()
    assert project is not None
    return project


def json_schema(*, events: list[str] | None = None, properties: list[str] | None = None) -> dict[str, Any]:
    """JSON Schema of every kind of definition, for editors; with `events` and `properties`, of this workspace.

    Examples:
        >>> sorted(json_schema())[:3]
        ['$defs', '$schema', 'oneOf']
    """
    defs: dict[str, Any] = {}
    options = []
    for kind in KINDS:
        schema = model_of(kind).model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        defs.update(schema.pop("$defs", {}))
        schema.setdefault("required", [])
        schema["required"] = sorted({*schema["required"], "kind", "name"})
        defs[kind] = schema
        options.append({"$ref": f"#/$defs/{kind}"})
    body = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Upswing",
        "oneOf": options,
        "$defs": defs,
    }
    return _with_names(body, events, properties)


def _with_names(schema: dict[str, Any], events: list[str] | None, properties: list[str] | None) -> dict[str, Any]:
    """Offer the log's own names where an event or a property is named."""
    offered = {"event": events, "prop": properties, "did": events}
    text_of = json.loads(json.dumps(schema))

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            for key, names in offered.items():
                field_ = node.get("properties", {}).get(key) if isinstance(node.get("properties"), dict) else None
                if names and isinstance(field_, dict):
                    field_["examples"] = names[:500]
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(text_of)
    return cast(dict[str, Any], text_of)


def definition_files(root: Path) -> Iterator[Path]:
    """The YAML files of a workspace that hold definitions: all but ``upswing.yml``, ``data/`` and hidden folders."""
    for path in root.rglob("*.y*ml"):
        inside = path.relative_to(root).parts
        if path.suffix not in (".yml", ".yaml") or path.name == PROJECT_FILE:
            continue
        if inside[0] == "data" or any(part.startswith(".") for part in inside):
            continue
        yield path
