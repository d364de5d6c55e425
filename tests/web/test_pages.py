"""Every page answers, in both languages, without anything that the Content-Security-Policy would have to allow."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx
import pytest
from starlette.routing import Route

from tests.web.pages import FUNNEL, PAGES
from upswing.verbs import VERBS
from upswing.web.packing import STATIC, asset
from upswing.web.rooms import asked_verbs, page_of, rooms

LANGUAGES = ("en", "zh-CN")
NO_PAGE = re.compile(r"/-/(overview|look|suggest|share|asked)\b|/api/|/ask/\{name\}|/import/\{upload\}|/start/demo$")
"""Parts of pages, files, ways to another page, and steps that need a file of one's own."""


class Seen(HTMLParser):
    """What a page holds: elements with their attributes."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(body)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("path", PAGES)
def test_page_answers_and_is_strict(site: httpx.Client, path: str, lang: str) -> None:
    answer = site.get(f"{path}{'&' if '?' in path else '?'}lang={lang}")
    assert answer.status_code == 200, answer.text[:400]
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    seen = Seen(answer.text).elements
    assert ("html", lang) in [(tag, attrs.get("lang")) for tag, attrs in seen]
    ids = [attrs["id"] for _, attrs in seen if "id" in attrs]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    for tag, attrs in seen:
        assert "style" not in attrs, (tag, attrs)
        assert not [key for key in attrs if key.startswith("on")], (tag, attrs)
        if tag == "script":
            assert attrs.get("src", "").startswith("/static/") or attrs["type"] == "application/json"
        if tag in ("link", "img", "script"):
            assert not re.match(r"(https?:)?//", attrs.get("href", attrs.get("src", "")))


def test_no_page_is_forgotten(site: httpx.Client) -> None:
    """Every address that answers a visitor is opened by the tests of all pages."""
    opened = {path.partition("?")[0] for path in PAGES}
    mounted = [r for r in site.app.router.routes if isinstance(r, Route)]  # type: ignore[attr-defined]
    pages = [r for r in mounted if "GET" in (r.methods or ()) and not NO_PAGE.match(r.path)]
    assert len(pages) > 30
    assert [r.path for r in pages if not any(r.path_regex.match(path) for path in opened)] == []


def test_every_page_that_changes_something_carries_the_token(site: httpx.Client) -> None:
    for path in PAGES:
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", site.get(path).text, re.DOTALL):
            assert 'name="token"' in form or 'action="/sign-in"' in form, (path, form[:200])


def test_a_form_without_the_token_changes_nothing(site: httpx.Client) -> None:
    answer = site.post("/segments", data={"name": "stolen", "condition": "platform = 'ios'"})
    assert answer.status_code == 403
    assert site.get("/segments/stolen").status_code == 404


def test_every_verb_has_a_page(site: httpx.Client) -> None:
    listed = {page.verb for room in rooms() for page in room.pages if page.verb}
    assert listed >= {v.name for v in asked_verbs()}
    for verb in VERBS:
        answer = site.get(f"/ask/{verb.name}", follow_redirects=True)
        assert answer.status_code in (200, 404), (verb.name, answer.status_code)
        if verb in asked_verbs():
            assert answer.status_code == 200, verb.name
            assert answer.url.path == page_of(verb).path


def test_the_address_holds_the_question(site: httpx.Client) -> None:
    body = site.get(f"{FUNNEL}&by=platform&from=2026-03-01&segment=habit").text
    for written in ('value="app_installed"', 'value="order_paid"', 'value="7d"', 'value="platform"'):
        assert written in body
    assert 'href="/retention?from=2026-03-01&amp;segment=habit"' in body  # range and segment go along


def test_the_page_and_the_interface_give_the_same_numbers(site: httpx.Client) -> None:
    told = site.get(FUNNEL.replace("/funnel", "/api/v1/funnel"), headers={"accept": "application/json"}).json()
    body = site.get(FUNNEL).text
    for step in told["steps"]:
        assert f">{step['users']:,}</a>" in body or f">{step['users']:,}</td>" in body


def test_numbers_lead_to_as_many_people(site: httpx.Client) -> None:
    for path, table in (
        (FUNNEL, "steps"),
        ("/retention?start=app_installed&return=*&period=week&periods=3", "cohorts"),
    ):
        body = site.get(path).text
        section = body[body.index(f'data-name="{table}"') :]
        found = re.findall(r'<a href="(/users[^"]+)">([\d,]+)</a>', section)[:3]
        assert found, path
        for href, shown in found:
            assert f"{shown} users" in site.get(href.replace("&amp;", "&")).text


def test_an_unknown_event_is_explained_with_the_nearest(site: httpx.Client) -> None:
    answer = site.get("/funnel?step=app_instaled&step=order_paid")
    assert answer.status_code == 422
    assert "UP302" in answer.text
    assert "app_installed" in answer.text


def test_an_address_without_a_page_says_so(site: httpx.Client) -> None:
    answer = site.get("/no/such/page")
    assert answer.status_code == 404
    assert "<html" in answer.text
    assert site.get("/no/such/page", headers={"accept": "application/json"}).json()["code"] == "UP802"


def test_an_answer_as_one_file_and_as_a_table(site: httpx.Client) -> None:
    page = site.get(FUNNEL.replace("/funnel", "/-/share/funnel.html"))
    assert page.headers["content-disposition"].startswith("attachment")
    assert "<script" not in page.text
    assert "src=" not in page.text
    table = site.get(FUNNEL.replace("/funnel", "/-/share/funnel.csv"))
    assert table.text.lstrip("\ufeff").splitlines()[0].startswith("step,users")


@pytest.mark.parametrize("goal", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_look_leads_nowhere_else(site: httpx.Client, goal: str) -> None:
    answer = site.get("/-/look", params={"theme": "dark", "next": goal})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert "upswing_theme=dark" in answer.headers["set-cookie"]


def test_static_files_are_kept_for_good_by_content(site: httpx.Client) -> None:
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', site.get("/").text)
    assert len(addresses) >= 5
    for address in addresses:
        assert "immutable" in site.get(address).headers["cache-control"]
        plainly = re.sub(r"/static/[0-9a-f]{12}/", "/static/", address)
        assert plainly != address
        assert site.get(plainly).headers["cache-control"] == "no-cache"
        assert site.get(plainly).content == site.get(address).content
    other = re.sub(r"/static/[0-9a-f]{12}/", "/static/0123456789ab/", addresses[0])
    assert site.get(other).headers["cache-control"] == "no-cache"  # what a page of another release still asks for


def test_styles_and_scripts_name_files_that_are_kept_too(site: httpx.Client) -> None:
    for path in STATIC.glob("*.*"):
        for name in re.findall(r"""(?:url\(|from |import\()["']([^"']+)["']""", path.read_text(encoding="utf-8")):
            assert not name.startswith("/"), (path.name, name)  # relative: the folder that names the content is kept
            assert "immutable" in site.get(f"{asset('')}{name.removeprefix('./')}").headers["cache-control"]


def test_static_files_come_packed_to_whoever_unpacks(site: httpx.Client) -> None:
    for name in ("style.css", "app.js", "vendor/htmx.js"):
        packed = site.get(asset(name), headers={"accept-encoding": "gzip"})
        plain = site.get(asset(name), headers={"accept-encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content == (STATIC / name).read_bytes()
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert packed.headers["etag"] != plain.headers["etag"]
        assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        assert packed.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize(
    ("where_from", "packed"),
    [("same-origin", True), ("none", True), ("cross-site", False), ("same-site", False), ("", False)],
)
def test_a_page_is_packed_unless_another_site_asks(site: httpx.Client, where_from: str, packed: bool) -> None:
    """Its length may say something of the token beside words of a chosen address."""
    headers = {"accept-encoding": "gzip", **({"sec-fetch-site": where_from} if where_from else {})}
    answer = site.get("/search?q=pay", headers=headers)
    assert ("content-encoding" in answer.headers) == packed
    assert "Sec-Fetch-Site" in answer.headers["vary"]
    assert "<h1>" in answer.text


def test_the_first_page_is_light(site: httpx.Client) -> None:
    """Without the chart library, which comes only where there is a chart to play with: 200 kB as they travel."""
    given = {"accept-encoding": "gzip", "sec-fetch-site": "none"}
    page = site.get("/", headers=given)
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    modules = [asset("numbers.js"), asset("suggest.js"), asset("charts.js")]
    files = [site.get(a, headers=given) for a in {*addresses, *modules} if "echarts" not in a]
    assert sum(int(answer.headers["content-length"]) for answer in [page, *files]) < 200_000


def test_suggestions_follow_what_is_written(site: httpx.Client) -> None:
    def values(kind: str, written: str) -> list[str]:
        found = site.get("/-/suggest", params={"kind": kind, "q": written}).json()
        return [one["value"] for one in found]

    assert values("event", "order_p") == ["order_paid"]
    assert "order_paid[platform = " in values("event", "order_paid[plat")
    assert "order_paid[platform = 'ios']" in values("event", "order_paid[platform = ")
    assert "platform" in values("property", "plat")
    assert "segment:habit" in values("property", "segment")


def test_parts_that_know_no_segment_say_so(site: httpx.Client) -> None:
    site.get("/alerts")
    said = "of all users, not of the segment alone"
    assert said in site.get("/-/overview/alerts?segment=on_android").text
    assert said not in site.get("/-/overview/alerts").text


def test_a_comparison_that_cannot_be_made_says_why(site: httpx.Client) -> None:
    assert "there is no period before to compare it with" in site.get(f"{FUNNEL}&compare=previous").text
    ranged = "compare=previous&from=2026-04-01&to=2026-05-01"
    assert "there is no period before" not in site.get(f"{FUNNEL}&{ranged}").text
    assert "The rows are periods" in site.get(f"/lifecycle?period=week&{ranged}").text
