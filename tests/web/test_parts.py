"""The parts behind the pages: forms read as the command line does, files safely edited, charts equal their tables."""

from __future__ import annotations

import math
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.core.errors import UsageError
from upswing.core.i18n import use_locale
from upswing.core.results import Cell, Chart, Column, Table
from upswing.report.tables import HEATS, table_html
from upswing.spec.definitions import KINDS
from upswing.stats.proportions import newcombe_difference, wilson_interval
from upswing.verbs import VERBS, Param, verb
from upswing.web.behind import back
from upswing.web.compared import change, compare, side_by_side, told_apart
from upswing.web.definition_files import (
    DefinitionFiles,
    difference,
    fingerprint,
    settings_of,
    with_settings,
)
from upswing.web.definition_words import LABELS, MEANINGS, meaning
from upswing.web.forms import arguments, fields
from upswing.web.headlines import headline
from upswing.web.host import Annotation
from upswing.web.marks import Scale, forest, reading
from upswing.web.shown import chart_data
from upswing.web.uploads import mapping_of

SAMPLES = {"text": "app", "integer": "3", "number": "2.5", "flag": "1"}
FUNNEL = (
    "# ours\nkind: funnel\nname: signup  # the main one\nwindow: 7d\nsteps:\n  - {event: visit}\n  - {event: pay}\n"
)


def sample(param: Param) -> str:
    return param.choices[0] if param.kind == "choice" else SAMPLES[param.kind]


@pytest.mark.parametrize("asked", VERBS, ids=lambda v: v.name)
def test_every_parameter_comes_through_the_address(asked: object) -> None:
    query = [(p.flag, sample(p)) for p in asked.params]  # type: ignore[attr-defined]
    found = arguments(asked, query)  # type: ignore[arg-type]
    assert set(found) == {p.key for p in asked.params if not p.writes}  # type: ignore[attr-defined]
    for param in (p for p in asked.params if not p.writes):  # type: ignore[attr-defined]
        value = found[param.key]
        one = value[0] if param.many and param.kind != "flag" else value  # type: ignore[index]
        expected = {"integer": int, "number": float, "flag": bool}.get(param.kind, str)
        assert type(one) is expected, param.key
    assert set(fields(asked, query)) == {p.flag for p in asked.params if not p.writes}  # type: ignore[arg-type, attr-defined]


@given(st.lists(st.tuples(st.sampled_from(["step", "within", "limit", "nonsense"]), st.text(max_size=12)), max_size=8))
def test_an_address_is_read_or_refused(query: list[tuple[str, str]]) -> None:
    whole = all(v.strip().lstrip("+-").isdigit() for k, v in query if k == "limit" and v.strip())
    if not whole:
        with pytest.raises(UsageError, match="UP651"):
            arguments(verb("funnel"), query)
        return
    found = arguments(verb("funnel"), query)
    assert set(found) <= {"steps", "within", "limit"}
    assert found.get("steps", []) == [v.strip() for k, v in query if k == "step" and v.strip()]


@pytest.mark.parametrize(
    ("now", "before", "unit", "better", "tone", "arrow"),
    [
        (110, 100, "count", "up", "good", "▲"), (90, 100, "count", "up", "bad", "▼"), (41.0, 38.0, "money", "down", "bad", "▲"),
        (0.30, 0.34, "ratio", "down", "good", "▼"), (100, 100, "count", "up", "flat", ""), (5, 4, "count", "", "flat", "▲"),
    ],
)  # fmt: skip
def test_a_change_has_sign_arrow_and_word(
    now: float, before: float, unit: str, better: str, tone: str, arrow: str
) -> None:
    moved = change(now, before, unit, better)  # type: ignore[arg-type]
    assert moved is not None
    assert (moved.tone, moved.arrow) == (tone, arrow)
    if tone != "flat":
        assert moved.word
        assert moved.text[0] in "+−"


def test_what_cannot_be_compared_is_not() -> None:
    assert change(None, 1, "count") is None
    assert change(1, 0, "count") is None
    assert change("a", "b", "text") is None


def steps(*counts: int) -> Table:
    columns = (Column("step", "Step"), Column("users", "Users", "count"), Column("rate", "Rate", "ratio"))
    return Table("steps", "", columns, [(f"s{i}", n, n / counts[0]) for i, n in enumerate(counts)])


def test_rows_are_paired_by_name_and_periods_are_not() -> None:
    found = compare(steps(100, 50), steps(80, 20))
    assert found is not None
    assert "+25.0 pp" in found.html
    assert "better" not in found.html  # its interval is not known
    periods = Table("p", "", (Column("start", "Period"), Column("n", "N", "count")), [("2026-01-05", 3)])
    assert compare(periods, periods) is None


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_what_two_intervals_tell_apart_is_newcombes(n: int, m: int, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    one, other, apart = wilson_interval(a, n), wilson_interval(b, m), newcombe_difference(a, n, b, m)
    limits = ((float(one.lower), float(one.upper)), (float(other.lower), float(other.upper)))
    edge = min(abs(float(apart.lower)), abs(float(apart.upper))) < 1e-9
    assert edge or told_apart(a / n, b / m, limits) == (float(apart.lower) > 0 or float(apart.upper) < 0)


def test_a_rate_that_may_have_moved_by_chance_is_not_called_better() -> None:
    columns = (
        Column("step", "Step"), Column("rate", "Rate", "ratio"), Column("lower", "", "ratio"), Column("upper", "", "ratio"),
    )  # fmt: skip
    now, before = (Table("t", "", columns, [("a", rate, rate - 0.1, rate + 0.1)]) for rate in (0.52, 0.5))
    found = compare(now, before)
    assert found is not None
    assert "no clear change" in found.html


def test_two_rules_side_by_side() -> None:
    table = side_by_side(steps(100, 50), steps(100, 45), first="Mixpanel", second="Upswing")
    assert [row[3] for row in table.rows] == [0, 5]


def test_a_headline_is_of_the_last_period_that_is_over() -> None:
    columns = (Column("start", "Period"), Column("active", "Active", "count"), Column("complete", "Complete"))
    table = Table("t", "", columns, [("w1", 100, True), ("w2", 120, True), ("w3", 10, False)])
    found = headline(table, "active", href="/", better="up")
    assert (found.value, found.period) == ("120", "w2")
    assert found.moved is not None
    assert found.moved.text == "+20.0%"


def test_an_empty_table_has_no_headline_number() -> None:
    columns = (Column("start", "Period"), Column("active", "Active", "count"))
    found = headline(Table("t", "", columns, []), "active", href="/", better="up")
    assert (found.value, found.moved, str(found.spark)) == ("–", None, "")


@given(st.lists(st.tuples(st.integers(-50, 50), st.one_of(st.none(), st.floats(0, 1))), min_size=1, max_size=20))
def test_a_chart_holds_its_table(values: list[tuple[int, float | None]]) -> None:
    columns = (Column("day", "Day"), Column("n", "N", "count"), Column("rate", "Rate", "ratio"))
    rows = [(f"d{i}", n, rate) for i, (n, rate) in enumerate(values)]
    data = chart_data(Chart("line", "t", "T", "day", ("n", "rate")), Table("t", "", columns, rows))
    assert data["labels"] == [row[0] for row in rows]
    assert [s["values"] for s in data["series"]] == [[float(r[1]) for r in rows], [r[2] for r in rows]]  # type: ignore[attr-defined]


@given(st.floats(0, 1), st.booleans())
def test_a_shade_is_one_of_the_classes_that_the_style_knows(share: float, unfinished: bool) -> None:
    columns = (Column("start", "Start"), Column("a", "A", "ratio"), Column("a_open", ""))
    html = table_html(Table("t", "", columns, [("x", share, unfinished)]), Chart("triangle", "t", "", "start", ("a",)))
    number = int(html.split('<span class="h')[1].split('"')[0])
    assert 0 <= number <= HEATS
    assert "style=" not in html


def test_links_stand_only_where_they_lead() -> None:
    html = table_html(steps(3, 2), links=lambda row, key: f"/users?at={row}&x=1" if key == "users" and row else None)
    assert html.count("<a ") == 1
    assert 'href="/users?at=1&amp;x=1"' in html


def test_people_lead_back_to_their_question() -> None:
    query = [("of", "funnel"), ("step", "a"), ("step", "b"), ("within", "7d"), ("at", "2"), ("dropped", "1")]
    assert back(query) == "/funnel?step=a&step=b&within=7d"
    assert back([("segment", "x")]) == ""


def test_an_interval_reads_by_its_side_and_the_direction_that_is_good() -> None:
    assert reading(-0.01, 0.02)[0] == "flat"
    assert reading(0.01, 0.02, "down")[0] == "bad"
    drawn = forest(0.03, 0.01, 0.05, Scale(-0.1, 0.1, 0.01))
    assert "+3.0%" in drawn
    assert all(math.isfinite(float(x)) for x in [Scale(-1, 1).at(9)])


# -- definition files


@pytest.fixture
def files(tmp_path: Path) -> DefinitionFiles:
    (tmp_path / "funnels").mkdir()
    (tmp_path / "upswing.yml").write_text("project: w\n")
    (tmp_path / "funnels" / "signup.yml").write_text(FUNNEL)
    return DefinitionFiles(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../x.yml", "/etc/x.yml", "data/x.yml", ".upswing/x.yml", "upswing.yml", "a.txt", "", "funnels/../../x.yml"],
)
def test_only_definition_files_are_reached(files: DefinitionFiles, name: str) -> None:
    with pytest.raises(UsageError):
        files.path(name)


def test_a_link_out_of_the_workspace_is_not_followed(files: DefinitionFiles, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (files.root / "linked").symlink_to(outside)
    with pytest.raises(UsageError):
        files.path("linked/x.yml")


def test_nobody_overwrites_what_they_have_not_seen(files: DefinitionFiles) -> None:
    seen = fingerprint(files.read("funnels/signup.yml"))
    files.save("funnels/signup.yml", FUNNEL.replace("7d", "3d"), read_as=seen)
    with pytest.raises(UsageError):
        files.save("funnels/signup.yml", FUNNEL.replace("7d", "1d"), read_as=seen)
    assert "3d" in files.read("funnels/signup.yml")
    ((stem, _),) = files.history("funnels/signup.yml")
    assert files.earlier("funnels/signup.yml", stem) == FUNNEL


def test_a_check_sees_the_whole_workspace(files: DefinitionFiles) -> None:
    good = files.check("funnels/signup.yml", FUNNEL, events=["visit", "pay"])
    assert good == []
    (problem,) = files.check("funnels/signup.yml", FUNNEL.replace("visit", "vist"), events=["visit", "pay"])
    assert problem.line == 6
    assert "visit" in str(problem.hint)
    assert files.check("funnels/second.yml", FUNNEL, events=["visit", "pay"])  # the name is taken
    assert files.check("funnels/signup.yml", "kind: [", events=[])[0].code == "UP001"


def test_a_form_keeps_comments_and_order() -> None:
    written = with_settings(FUNNEL, {"window": "14d", "description": "From visit to pay"})
    assert "# ours" in written
    assert "# the main one" in written
    assert "window: 14d" in written
    assert "window" not in with_settings(FUNNEL, {"window": ""})
    keys = [s.key for s in settings_of(FUNNEL)]
    assert "window" in keys
    assert "steps" not in keys


def test_a_form_sets_lists_in_place() -> None:
    body = "kind: aha\nname: a\ncounts: [1, 3]  # so often\nadjust:\n  - channel\n"
    counts = next(s for s in settings_of(body) if s.key == "counts")
    assert (counts.many, counts.values) == (True, ("1", "3"))
    written = with_settings(body, {"counts": ["1", "5", ""], "adjust": ["channel", "platform"]})
    assert "counts: [1, 5]  # so often" in written
    assert "  - channel\n  - platform\n" in written
    assert with_settings(body, {"counts": ["1", "3"]}) == body
    assert "adjust" not in with_settings(body, {"adjust": [""]})


def test_a_problem_stands_at_the_key_whose_lines_it_is_in(files: DefinitionFiles) -> None:
    wrong = FUNNEL.replace("7d", "7 bananas")
    by_key = {s.key: s.problem for s in settings_of(wrong, files.check("funnels/signup.yml", wrong))}
    assert by_key["window"]
    assert not by_key["order"]
    nameless = FUNNEL.replace("name: signup  # the main one\n", "")
    by_key = {s.key: s.problem for s in settings_of(nameless, files.check("funnels/signup.yml", nameless))}
    assert by_key["name"]
    assert [k for k, p in by_key.items() if p] == ["name"]


def test_every_key_of_a_form_has_a_label_and_its_meaning_in_both_languages() -> None:
    for kind in KINDS:
        for setting in settings_of(f"kind: {kind}\n"):
            assert setting.key in LABELS, (kind, setting.key)
            with use_locale("zh-CN"):
                assert re.search("[\u4e00-\u9fff]", str(LABELS[setting.key]) + meaning(setting.about)), setting.key
            assert setting.about in {m.message for m in MEANINGS}, (kind, setting.key)
    shown = {s.about for kind in KINDS for s in settings_of(f"kind: {kind}\n")}
    assert {m.message for m in MEANINGS} <= shown, "a meaning that no key has"


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_a_difference_holds_every_change(before: list[str], after: list[str]) -> None:
    lines = difference("\n".join(before), "\n".join(after))
    assert (lines == []) == (before == after)
    balance = sum(line.kind == "added" for line in lines) - sum(line.kind == "removed" for line in lines)
    assert balance == len(after) - len(before)


def test_an_empty_field_is_left_to_be_proposed() -> None:
    assert mapping_of({"user": "uid", "time": ""}).to_dict() == {"user": "uid"}


@pytest.mark.parametrize(
    ("day", "labels", "held"),
    [("2026-05-10", ["2026-04-27", "2026-05-04", "2026-05-11"], "2026-05-04"),
     ("2026-05-17", ["2026-04-27", "2026-05-04", "2026-05-11"], "2026-05-11"),
     ("2026-05-18", ["2026-05-04", "2026-05-11"], ""), ("2026-05-03", ["2026-05-04", "2026-05-11"], ""),
     ("2026-05-04", ["2026-05-04", "2026-05-05"], "2026-05-04"), ("2026-05-04", ["a", "b"], "")],
)  # fmt: skip
def test_a_note_is_marked_on_the_period_that_holds_its_day(day: str, labels: list[str], held: str) -> None:
    rows: list[tuple[Cell, ...]] = [(label, 1.0) for label in labels]
    table = Table("t", "", (Column("start", "Period"), Column("rate", "Rate", "ratio")), rows)
    data = chart_data(
        Chart("line", "t", "T", x="start", y=("rate",)), table, [Annotation(date.fromisoformat(day), "x")]
    )
    assert data["marks"] == ([[held, "x"]] if held else [])
