"""One registry of verbs: Python, command line and HTTP take the same arguments and give the same answers and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from tests.server.workspaces import copied, serving
from upswing.cli.main import _register, cli
from upswing.core.errors import UpswingError
from upswing.server.errors import status_of
from upswing.verbs import VERBS, Param, Verb
from upswing.workspace import Workspace
from upswing.workspace.asking import ask

Arguments = dict[str, Any]

QUESTIONS: dict[str, list[Arguments]] = {
    "funnel": [
        {"name": "activation"},
        {"name": "activation", "by": "platform", "limit": 2, "stop": "2026-03-01"},
        {"steps": ["app_installed", "app_opened[platform = 'ios']"], "within": "2d", "order": "any"},
        {"name": "nosuch"},
        {"steps": ["app_installed", "app_opend"]},
        {"name": "activation", "where": "platform ="},
    ],
    "retention": [{"start_event": "app_installed", "return_event": "app_opened", "period": "week", "periods": 3}],
    "lifecycle": [{}, {"period": "month", "segment": "platform = 'ios'"}],
    "stickiness": [{"event": "app_opened"}],
    "paths": [{"after": "app_installed", "depth": 3, "hide": ["error_shown"]}],
    "interval": [{"event": "app_installed", "then": "app_opened"}, {}],
    "distribution": [{"event": "app_opened", "bands": "1,3,10"}],
    "metrics": [{}, {"names": ["activation_rate"], "period": "month"}, {"names": ["none"]}],
    "events": [{}, {"event": "app_opened"}, {"event": "app_opend"}],
    "segments": [{}, {"name": "habit"}],
    "users": [{"segment": "habit", "limit": 5}, {}],
    "quarantine": [{}],
}
"""Questions by verb; a verb that is not listed is asked without arguments."""

ASKED = [(verb, given) for verb in VERBS for given in QUESTIONS.get(verb.name, [{}])]


@pytest.fixture(scope="module")
def workspace(demo: Path) -> Workspace:
    return Workspace.open(demo)


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    body: dict[str, Any] = client.get("/api/v1/openapi.json").json()
    return body


def untimed(body: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(body, dict):
        return {k: untimed(v) for k, v in body.items() if k not in ("timings", "request")}
    return [untimed(v) for v in body] if isinstance(body, list) else body


def in_python(workspace: Workspace, verb: Verb, given: Arguments) -> tuple[int, Any]:
    try:
        result = ask(workspace, verb.method, given)
    except UpswingError as error:
        return status_of(error), error.to_dict()
    return 200, json.loads(result.to_json())


def query(verb: Verb, given: Arguments) -> list[tuple[str, str]]:
    """Arguments as a query string has them."""
    found = []
    for param in verb.params:
        value = given.get(param.key)
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                found.append((param.flag, str(one).lower() if isinstance(one, bool) else str(one)))
    return found


def on_command_line(verb: Verb, given: Arguments) -> list[str]:
    words, last = [], []
    for param in verb.params:
        value = given.get(param.key)
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if param.positional:
                last.append(str(one))
            else:
                words += [f"--{param.flag}"] if param.kind == "flag" else [f"--{param.flag}", str(one)]
    return [verb.name, *words, *last]


def answer(response: Any) -> tuple[int, Any]:
    return response.status_code, untimed(response.json())


@pytest.mark.parametrize(("verb", "given"), ASKED, ids=lambda v: v.name if isinstance(v, Verb) else "")
def test_python_command_line_and_http_agree(
    workspace: Workspace, client: httpx.Client, verb: Verb, given: Arguments
) -> None:
    expected = in_python(workspace, verb, given)
    assert answer(client.get(f"/api/v1/{verb.name}", params=query(verb, given))) == (expected[0], untimed(expected[1]))

    _register()
    arguments = [*on_command_line(verb, given), "--json", "--workspace", str(workspace.root)]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    if expected[0] == 200:
        assert untimed(json.loads(done.stdout)) == untimed(expected[1])
    else:
        assert isinstance(done.exception, UpswingError)
        assert done.exception.to_dict() == expected[1]


@pytest.mark.parametrize(("verb", "given"), ASKED, ids=lambda v: v.name if isinstance(v, Verb) else "")
def test_get_named_post_and_job_agree(client: httpx.Client, verb: Verb, given: Arguments) -> None:
    expected = answer(client.get(f"/api/v1/{verb.name}", params=query(verb, given)))
    named = next((p for p in verb.params if p.positional and p.key in given), None)
    if named is not None:
        name = given[named.key][0] if named.many else given[named.key]
        rest = query(verb, {k: v for k, v in given.items() if k != named.key})
        assert answer(client.get(f"/api/v1/{verb.name}/{name}", params=rest)) == expected
    flags = {p.key: p.flag for p in verb.params}
    body = {flags[key]: value for key, value in given.items()}
    assert answer(client.post(f"/api/v1/{verb.name}?wait=60", json=body)) == expected


def test_every_parameter_is_everywhere(document: dict[str, Any]) -> None:
    _register()
    for verb in VERBS:
        options = {p.name for p in cli.commands[verb.name].params}
        asked = document["paths"][f"/api/v1/{verb.name}"]["get"]["parameters"]
        queried = {p["name"]: p for p in asked if p["in"] == "query"}
        reference = document["paths"][f"/api/v1/{verb.name}"]["post"]["requestBody"]["content"]["application/json"]
        body = document["components"]["schemas"][reference["schema"]["$ref"].rpartition("/")[2]]["properties"]
        for param in verb.params:
            assert param.key in options
            assert (param.flag in body) != param.local
            assert (param.flag in queried) != param.writes
            if not param.writes:
                check_typed(queried[param.flag], param)
        assert set(queried) - {p.flag for p in verb.params} == {"format", "table", "lang"}


def check_typed(described: dict[str, Any], param: Param) -> None:
    assert str(param.help) in described["description"]
    schema = described["schema"]
    kinds = {one.get("type") for one in schema.get("anyOf", [schema])}
    if param.many:
        assert kinds == {"array"}
        return
    expected = {"text": "string", "integer": "integer", "number": "number", "flag": "boolean", "choice": "string"}
    assert expected[param.kind] in kinds
    if param.kind == "choice":
        allowed = next(one for one in schema["anyOf"] if one.get("type") == "string")
        assert set(allowed.get("enum", [allowed.get("const")])) == set(param.choices)


def test_other_forms(client: httpx.Client, workspace: Workspace) -> None:
    address = "/api/v1/funnel/activation"
    answered = client.get(address, params={"format": "csv"})
    assert answered.headers["content-type"] == "text/csv; charset=utf-8"
    assert answered.text == workspace.funnel("activation").to_csv()
    page = client.get(address, params={"format": "html"})
    assert page.text.startswith("<!doctype html>") or page.text.startswith("<!DOCTYPE html>")
    assert "sandbox" in page.headers["content-security-policy"]
    missing = client.get(address, params={"format": "csv", "table": "none"})
    assert (missing.status_code, missing.json()["code"]) == (404, "UP644")


@pytest.mark.parametrize("how", [{"params": {"lang": "zh-CN"}}, {"headers": {"Accept-Language": "zh-CN,zh;q=0.9"}}])
def test_language(client: httpx.Client, how: dict[str, Any]) -> None:
    said = client.get("/api/v1/funnel/nosuch", **how).json()["error"]
    assert said != client.get("/api/v1/funnel/nosuch").json()["error"]
    assert any("一" <= letter <= "鿿" for letter in said)


def test_a_change_needs_post(demo: Path, tmp_path: Path) -> None:
    with serving(copied(demo, tmp_path / "ws")) as client:
        refused = client.get("/api/v1/users", params={"segment": "habit", "save": "kept"})
        assert (refused.status_code, refused.json()["code"]) == (422, "UP651")
        done = client.post("/api/v1/users?wait=60", json={"segment": "habit", "save": "kept"})
        assert done.status_code == 200
        assert client.get("/api/v1/segments/kept").status_code == 200
        entries = client.get("/api/v1/audit", params={"action": "workspace"}).json()["entries"]
    assert [(e["action"], e["target"]) for e in entries] == [("workspace.users", "save kept")]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "UP802"),
        ("GET", "/api/v1/nothing", 404, "UP802"),
        ("GET", "/api/v1/jobs/none", 404, "UP862"),
        ("DELETE", "/api/v1/funnel", 405, "UP803"),
        ("PUT", "/api/v1/funnel/activation", 405, "UP803"),
        ("GET", "/api/v1/funnel?periods=3", 422, "UP651"),
        ("GET", "/api/v1/retention?periods=many", 422, "UP651"),
        ("GET", "/api/v1/funnel?order=random", 422, "UP651"),
        ("GET", "/api/v1/funnel/nosuch", 404, "UP201"),
        ("POST", "/api/v1/local/funnel", 404, "UP802"),
    ],
)
def test_one_shape_of_errors(client: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answered = client.request(method, path)
    body = answered.json()
    assert (answered.status_code, body["code"]) == (status, code)
    assert body["ok"] is False
    assert body["errors"]
    assert body["request"] == answered.headers["x-request-id"]
    if status == 405:
        assert "GET" in answered.headers["allow"]


def test_bodies_that_are_no_questions(client: httpx.Client) -> None:
    for content in (b"", b"[]", b"no json", b'{"steps": ["a"]}', b'{"step": "a"}', b"\xff\xfe", b'{"step": [1]}'):
        answered = client.post("/api/v1/funnel", content=content, headers={"Content-Type": "application/json"})
        assert answered.status_code == 422, content
        assert answered.json()["code"] == "UP651"
    long = client.get("/api/v1/funnel/activation", params={"where": "x" * 20_000})
    assert (long.status_code, long.json()["code"]) == (422, "UP651")


def test_the_document_speaks_the_language_that_is_asked_for(client: httpx.Client) -> None:
    english = client.get("/api/v1/openapi.json").json()
    chinese = client.get("/api/v1/openapi.json", params={"lang": "zh"}).json()
    assert client.get("/api/v1/openapi.json", headers={"Accept-Language": "zh-CN"}).json() == chinese
    assert english["paths"].keys() == chinese["paths"].keys()
    for verb in VERBS:
        here, there = (document["paths"][f"/api/v1/{verb.name}"]["get"] for document in (english, chinese))
        assert here["summary"].isascii() or "“" in here["summary"]
        assert not there["summary"].isascii()
        assert here["operationId"] == there["operationId"]
        described = {p["name"]: p.get("description", "") for p in there["parameters"]}
        for param in verb.params:
            if not param.writes:
                assert not described[param.flag].isascii(), param.flag
