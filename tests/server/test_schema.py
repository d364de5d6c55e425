"""The OpenAPI document keeps its promises: schemathesis asks every address what the document says it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.workspaces import administered, copied, serving
from upswing.verbs import VERBS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
QUESTIONS = [
    *((f"/api/v1/{verb.name}", method) for verb in VERBS for method in ("GET", "POST")),
    ("/api/v1/funnel/{name}", "GET"),
    ("/api/v1/jobs/{job_id}", "GET"),
    ("/api/v1/jobs/{job_id}", "DELETE"),
]
NAMED = {f"/api/v1/{verb.name}/{{name}}" for verb in VERBS}
"""As of the funnel: one handler makes them all."""


@pytest.fixture(scope="module")
def schema(client: httpx.Client) -> Any:
    document = client.get("/api/v1/openapi.json").json()
    found = schemathesis.openapi.from_dict(document)
    found.config.update(base_url=str(client.base_url))
    return found


@pytest.mark.parametrize(("path", "method"), QUESTIONS)
def test_answers_are_as_described(schema: Any, path: str, method: str) -> None:
    ask(schema[path][method], examples=5)


def test_so_is_everything_else(demo: Path, tmp_path: Path) -> None:
    """People, keys, tokens, audit, backup, jobs, erasure and intake, on a server of their own and with every right."""
    root = copied(demo, tmp_path / "ws")
    admin = administered(root)
    with serving(root) as client:
        document = client.get("/api/v1/openapi.json").json()
        found = schemathesis.openapi.from_dict(document)
        found.config.update(base_url=str(client.base_url))
        others = [
            (path, method.upper())
            for path, operations in document["paths"].items()
            for method in operations
            if (path, method.upper()) not in QUESTIONS and path not in NAMED
        ]
        assert len(others) > 25
        for path, method in others:
            ask(found[path][method], examples=5, headers=admin)


def ask(operation: Any, *, examples: int, headers: dict[str, str] | None = None) -> None:
    """Requests as the document describes them, and others; every answer must be one that it foresees."""

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def asked(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=headers)

    asked()
