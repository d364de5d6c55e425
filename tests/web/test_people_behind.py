"""Numbers lead to the people they count: the list behind a number is as long as the number is large."""

from __future__ import annotations

import html
import re

import httpx
import pytest

FUNNEL = "/funnel?step=app_installed&step=signup_started&step=order_paid&within=7d"


def led(page: str) -> list[tuple[str, str]]:
    """Addresses of users with the number that leads there."""
    found = re.findall(r'<a href="(/users\?[^"]+)"[^>]*>([^<]+)</a>', page)
    return [(html.unescape(href), shown) for href, shown in found]


def counted(site: httpx.Client, href: str) -> int:
    page = site.get(href)
    assert page.status_code == 200, (href, page.text[:3000])
    found = re.search(r'class="verdict"[^>]*>([\d,]+)', page.text)
    assert found is not None, href
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize(
    "path",
    [f"{FUNNEL}&by=platform", "/lifecycle?period=week", "/stickiness?period=week", "/distribution?event=entry_created",
     "/distribution?event=order_paid&measure=sum&property=amount"],
)  # fmt: skip
def test_a_count_leads_to_as_many_people(site: httpx.Client, path: str) -> None:
    links = [(href, shown) for href, shown in led(site.get(path).text) if re.fullmatch(r"[−-]?[\d,]+", shown)]
    assert len(links) >= 4
    for href, shown in [*links[:3], *links[-6:]]:
        assert counted(site, href) == int(shown.strip("−-").replace(",", "")), href


def test_groups_of_a_funnel_lead_to_their_people(site: httpx.Client) -> None:
    assert any("group=ios" in href for href, _ in led(site.get(f"{FUNNEL}&by=platform").text))


def test_headlines_lead_to_their_people(site: httpx.Client) -> None:
    strip = site.get("/").text.partition('class="kpis"')[2].partition('class="callout')[0]
    exact = dict(re.findall(r'<b title="([^"]+)"><a href="(/users\?[^"]+)"', strip))
    assert len(exact) == 4
    for number, href in exact.items():
        found = counted(site, html.unescape(href))
        if number.replace(",", "").isdigit():
            assert found == int(number.replace(",", ""))
        else:
            assert found > 0
