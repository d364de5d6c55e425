"""The growth review as a page: every section that shows numbers tells how they were computed."""

import re

import numpy as np
import pytest

from upswing import Workspace
from upswing.core.i18n import use_locale
from upswing.report.review import review_page


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    rng = np.random.default_rng(4)
    rows = ["user,time,event,side"]
    for i in range(3000):
        day, side = 1 + i % 28, "ab"[i % 2]
        rows.append(f"u{i},2026-01-{day:02}T10:00:00Z,visit,{side}")
        if rng.random() < (0.7 if side == "a" else 0.5):
            rows.append(f"u{i},2026-01-{day:02}T10:05:00Z,order_paid,{side}")
    (folder / "events.csv").write_text("\n".join(rows))
    with Workspace.create(folder / "ws", timezone="UTC") as workspace:
        workspace.import_events([folder / "events.csv"])
        yield workspace.report()


@pytest.mark.parametrize(("locale", "words"), [("en", "How computed"), ("zh-CN", "如何算出")])
def test_every_section_with_numbers_tells_how_they_were_computed(review, locale, words):
    with use_locale(locale):
        page = review_page(review)
    sections = re.findall(r"<section.*?</section>\s*(?:<details.*?</details>)?", page, re.DOTALL)
    standing = next(s for s in sections if 'id="standing"' in s)
    gains = next(s for s in sections if 'id="gains"' in s)
    for section in (standing, gains):
        assert "<dt>" in section, section[:200]
    assert page.count('class="how"') >= len(review.sections()) + 2
    assert words in page
