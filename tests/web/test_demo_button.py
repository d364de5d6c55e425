"""The button of an empty workspace brings the same demo as the command: the same answers, in the same zone."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.server.workspaces import serving
from upswing.demo.fill import fill
from upswing.web.site import add_pages
from upswing.workspace import Workspace

USERS = 400  # as in `make_demo`


def press(client: httpx.Client) -> httpx.Response:
    page = client.get("/start").text
    token = re.search(r'action="/start/demo"><input type="hidden" name="token" value="([^"]+)"', page)
    assert token is not None, page
    return client.post("/start/demo", data={"token": token[1]}, follow_redirects=True)


def wait(client: httpx.Client) -> str:
    for _ in range(600):
        page = client.get("/start/demo").text
        if "hx-trigger" not in page.partition('id="run"')[2]:
            return page
        time.sleep(0.1)
    raise AssertionError("the demo did not come")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    Workspace.create(tmp_path / "w", timezone="UTC").close()
    return tmp_path / "w"


def test_the_button_answers_like_the_command(empty: Path, web_demo: Path) -> None:
    questions = ("funnel?name=activation", "retention?start=account_created&return=*&period=week&periods=4",
                 "metrics", "lifecycle?period=week")  # fmt: skip
    with serving(empty, add=[partial(add_pages, demo=partial(fill, users=USERS))]) as client:
        client.headers["accept"] = "text/html"
        shown = press(client)
        assert shown.status_code == 200
        assert "<h1>The demo is on its way" in shown.text
        assert 'href="/"' in wait(client)
        mine = [client.get(f"/api/v1/{q}", headers={"accept": "application/json"}).json() for q in questions]
        assert "the workspace has events already" in client.post("/start/demo", data={"token": _token(client)}).text
    with serving(web_demo) as client:
        theirs = [client.get(f"/api/v1/{q}").json() for q in questions]
    assert [without(m) for m in mine] == [without(t) for t in theirs]
    with Workspace.open(empty) as workspace:
        assert workspace.project.timezone == "Asia/Shanghai"
        assert workspace.project.milestones


def test_definitions_that_are_there_stay(empty: Path) -> None:
    (empty / "funnels").mkdir()
    own = empty / "funnels" / "activation.yml"
    own.write_text("kind: funnel\nname: activation\nwindow: 1d\nsteps: [{event: a}, {event: b}]\n")
    before = own.read_text()
    with serving(empty, add=[partial(add_pages, demo=partial(fill, users=50))]) as client:
        client.headers["accept"] = "text/html"
        press(client)
        wait(client)
    assert own.read_text() == before
    assert (empty / "metrics" / "activation_rate.yml").is_file()


def test_a_failure_is_told_and_the_button_works_again(empty: Path) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no space left")

    with serving(empty, add=[partial(add_pages, demo=broken)]) as client:
        client.headers["accept"] = "text/html"
        press(client)
        assert "no space left" in wait(client)
        assert press(client).status_code == 200


def without(answer: dict[str, object]) -> dict[str, object]:
    """An answer without what differs between two runs."""
    assert "error" not in answer, answer
    return {k: v for k, v in answer.items() if k not in ("sql", "timings")}


def _token(client: httpx.Client) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/import").text)
    assert found is not None
    return found[1]
