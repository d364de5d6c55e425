"""The OpenAPI document keeps its promises: schemathesis asks every address what the document says it answers."""

from __future__ import annotations

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

from upswing.verbs import VERBS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
PATHS = [
    *((f"/api/v1/{verb.name}", method) for verb in VERBS for method in ("GET", "POST")),
    ("/api/v1/funnel/{name}", "GET"),
    ("/api/v1/jobs/{job_id}", "GET"),
    ("/api/v1/jobs/{job_id}", "DELETE"),
]


@pytest.fixture(scope="module")
def schema(client: httpx.Client) -> Any:
    document = client.get("/api/v1/openapi.json").json()
    found = schemathesis.openapi.from_dict(document)
    found.config.update(base_url=str(client.base_url))
    return found


@pytest.mark.parametrize(("path", "method"), PATHS)
def test_answers_are_as_described(schema: Any, path: str, method: str) -> None:
    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy())
    def asked(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    asked()
