"""Whatever is written into a question stays a question: no file is read, no statement run, nothing fails but the question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server.workspaces import copied, serving
from upswing.verbs import VERBS, Param, Verb

CANARY = "canary-4711"

EXPRESSIONS = (
    "platform = (SELECT max(content) FROM read_text('{file}'))",
    "platform IN (SELECT content FROM read_csv('{file}'))",
    "EXISTS (SELECT 1 FROM '{file}')",
    "length(read_text('{file}')) > 0",
    "getenv('HOME') <> ''",
    "current_setting('temp_directory') <> ''",
    "1 = 1; ATTACH '{file}' AS stolen",
    "1 = 1; COPY events TO '{file}.out'",
    "1 = 1) UNION SELECT * FROM duckdb_settings() --",
    "platform = 'ios' /* */; INSTALL httpfs; LOAD httpfs",
    "(PRAGMA database_list)",
    "$1 = 1",
    "? = 1",
    "sum(amount) OVER () > 0",
    "pg_read_file('{file}') = ''",
    "query('SELECT 1') = 1",
    "system('id') = 0",
    "log.main.users.user_id = 'a'",
    "memory.main.upswing_identity.start > 0",
    "nextval('s') = 1",
    "platform = 'ios' AND (SELECT 1) = 1",
    "[x FOR x IN range(1000000000)] IS NULL",
    "repeat('x', 1000000000) = 'x'",
    "glob('/etc/*') = ''",
    "(" * 500 + "1" + ")" * 500 + " = 1",
    "NOT " * 3000 + "true",
    "platform = 'ios' -- \x00",
    "platform ~ '(a+)+$' OR \ud800 = 1".encode("utf-8", "replace").decode(),
)
TEXTS = (
    *EXPRESSIONS,
    "../../../../etc/passwd",
    "{file}",
    "file://{file}",
    "%2e%2e%2f",
    "'; DROP TABLE events; --",
    "\n",
    "💥",
)
BASE: dict[str, dict[str, Any]] = {
    "funnel": {"step": ["app_installed", "app_opened"]},
    "retention": {"start": "app_installed"},
    "interval": {"event": "app_installed"},
    "distribution": {"event": "app_opened"},
    "users": {"segment": "habit"},
}
PLACES = [(verb, param) for verb in VERBS for param in verb.params if param.kind == "text" and not param.writes]


@pytest.fixture(scope="module")
def client(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server of these tests' own: some names they try are good ones, and are saved."""
    with serving(copied(demo, tmp_path_factory.mktemp("attacked") / "copy")) as made:
        yield made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("secret") / "secret.csv"
    made.write_text(f"content\n{CANARY}\n")
    return made


def written(text: str, file: Path) -> str:
    return text.replace("{file}", str(file))


def checked(answered: httpx.Response, file: Path) -> None:
    """Refused in the one shape, or answered without a word of the file."""
    assert answered.status_code < 500, answered.text[:500]
    assert CANARY not in answered.text
    assert not Path(f"{file}.out").exists()
    if answered.status_code != 200:
        assert answered.json()["ok"] is False


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_conditions_are_conditions(client: httpx.Client, file: Path, expression: str) -> None:
    said = written(expression, file)
    steps = {"step": ["app_installed", f"app_opened[{said}]"]}
    for body in ({**BASE["funnel"], "where": said}, {**BASE["funnel"], "segment": said}, steps):
        answered = client.post("/api/v1/funnel?wait=30", json=body)
        checked(answered, file)
        assert answered.status_code in (400, 404, 422), body


@pytest.mark.parametrize(("verb", "param"), PLACES, ids=lambda v: v.name if isinstance(v, Verb) else v.flag)
def test_every_text_of_every_verb(client: httpx.Client, file: Path, verb: Verb, param: Param) -> None:
    for position in (hash_of(verb, param), hash_of(verb, param) + 7, hash_of(verb, param) + 17):
        said = written(TEXTS[position % len(TEXTS)], file)
        value: Any = [said] if param.many else said
        checked(client.post(f"/api/v1/{verb.name}?wait=30", json={**BASE.get(verb.name, {}), param.flag: value}), file)


def hash_of(verb: Verb, param: Param) -> int:
    """A different start in the list for each place, the same at every run."""
    return sum((verb.name + param.flag).encode())


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "a/b", ".hidden", "x" * 300, "CON", "a\\b", "a.yml", "", "-"]
)
def test_names_stay_in_their_folder(client: httpx.Client, name: str) -> None:
    state = client.app.state.upswing  # type: ignore[attr-defined]
    before = {p for p in state.root.rglob("*") if "data" not in p.parts}
    answered = client.post("/api/v1/users?wait=30", json={"segment": "habit", "save": name})
    after = {p for p in state.root.rglob("*") if "data" not in p.parts}
    if answered.status_code != 200 or not name:
        assert answered.status_code < 500
        assert after == before
    else:
        assert {p.parent for p in after - before} <= {state.root / "segments"}


@pytest.mark.parametrize(
    "path",
    ["/static/../../../../etc/passwd", "/static/..%2f..%2f..%2fetc%2fpasswd", "/api/v1/funnel/..%2f..%2fupswing.yml",
     "/api/v1/../../etc/passwd", "//etc/passwd", "/api/v1/jobs/..%2f..", "/%00", "/api/v1/segments/" + quote("../habit")],
)  # fmt: skip
def test_paths_lead_nowhere(client: httpx.Client, path: str) -> None:
    answered = client.send(httpx.Request("GET", httpx.URL(str(client.base_url).rstrip("/") + path)))
    assert answered.status_code in (400, 404)
    assert "root:" not in answered.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "PROPFIND"])
def test_other_methods_are_not_answered(client: httpx.Client, method: str) -> None:
    for path in ("/api/v1/funnel", "/api/v1/funnel/activation", "/metrics", "/healthz", "/api/v1/openapi.json"):
        answered = client.request(method, path)
        assert answered.status_code == 405, path
        assert answered.json()["code"] == "UP803"


def test_numbers_without_bounds(client: httpx.Client) -> None:
    for name, value in (("limit", 10**30), ("limit", -1), ("limit", 2**53), ("limit", 0)):
        answered = client.get("/api/v1/funnel/activation", params={"by": "platform", name: str(value)})
        assert answered.status_code < 500, (name, value)
    for value in ("0", "-5", "100000", "9007199254740992"):
        answered = client.get("/api/v1/retention", params={"start": "app_installed", "periods": value})
        assert answered.status_code < 500, value
    for moment in ("9999-12-31", "0001-01-01", "now", "2026-13-01", "1e400", "262144-01-01"):
        answered = client.get("/api/v1/lifecycle", params={"from": moment})
        assert answered.status_code in (200, 422), moment
