from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions

from tests.logs import embedded_log
from tests.oracles.event import Event
from upswing.core.errors import DataError, UsageError
from upswing.diagnose.evidence import Note, import_notes, placed, read_notes, tag_notes
from upswing.diagnose.journey import draft, feel, journey
from upswing.spec.journey import JourneyDefinition

DAY = 86_400_000_000


def way(**more: object) -> JourneyDefinition:
    body = {
        "name": "way", "window": "7d",
        "stages": [
            {"name": "find", "enters": {"event": "visit"}, "tags": ["广告", "ad"], "target": 0.9,
             "feels": [{"survey": "csat_find"}]},
            {"name": "begin", "enters": {"event": "signup"}, "tags": ["注册"],
             "feels": [{"survey": "csat", "low": 1, "high": 5, "weight": 3}, {"survey": "nps", "low": 0, "high": 10}]},
            {"name": "use", "enters": {"event": "use"}, "leaves": {"event": "pay"}},
        ],
        "min_n": 5,
    }  # fmt: skip
    return JourneyDefinition.model_validate({**body, **more})


def note(
    text: str = "", *, source: str = "interview", score: float | None = None, stage: str = "", key: str = "x"
) -> Note:
    return Note(key, "2026-11-01", source, "", stage, score, text)


def events() -> list[Event]:
    rows = []
    for user in range(10):
        for step, name in enumerate(["visit", "signup", "use", "pay"]):
            if user < (10, 6, 3, 1)[step]:
                rows.append(Event(f"u{user}", 1_760_000_000_000_000 + step * 3_600_000_000, len(rows), name, {}))
    return rows


def test_numbers_of_the_stages_are_those_of_the_funnel_over_them(tmp_path: Path) -> None:
    found = journey(embedded_log(tmp_path, events()), way(), [])
    assert [s.users for s in found.stages] == [10, 6, 3]
    assert [s.passed for s in found.stages] == [0.6, 0.5, pytest.approx(1 / 3)]
    assert [s.median_seconds for s in found.stages] == [3600.0, 3600.0, 3600.0]
    assert found.stages[0].gap == pytest.approx(-0.3)
    assert found.stages[0].standing == "open"  # no window of 7 days has closed yet
    assert "use: 33.3%" in str(found.verdict())


def test_notes_that_no_stage_takes_are_counted(tmp_path: Path) -> None:
    log = embedded_log(tmp_path, events())
    told = [note("广告", key="a"), note("nothing of the kind", key="b"), note("neither", key="c")]
    said = {c.code: str(c.message) for c in journey(log, way(), told).how.caveats}
    assert said["notes_elsewhere"].startswith("2 of 3 ")
    assert "notes_elsewhere" not in {c.code for c in journey(log, way(), told[:1]).how.caveats}


def test_an_event_that_never_occurs_is_named(tmp_path: Path) -> None:
    stages = [{"name": "a", "enters": {"event": "visit"}}, {"name": "b", "enters": {"event": "visti"}}]
    with pytest.raises(UsageError, match="UP302") as raised:
        journey(embedded_log(tmp_path, events()), way(stages=stages), [])
    assert "visit" in str(raised.value.hint)


def test_a_note_goes_by_hand_then_by_its_survey_then_by_its_words() -> None:
    notes = [
        note("看了广告", stage="use", key="1"), note("注册太麻烦", source="csat_find", key="2"),
        note("注册太麻烦", key="3"), note("AD and 广告, 注册", key="4"), note("nothing", key="5"),
    ]  # fmt: skip
    where = {stage: [n.id for n in found] for stage, found in placed(way(), notes).items()}
    assert where == {"find": ["2", "4"], "begin": ["3"], "use": ["1"], "": ["5"]}


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=12).filter(lambda x: len(set(x)) > 1),
    st.lists(st.integers(0, 10), min_size=2, max_size=12),
)
def test_a_point_of_the_curve_is_the_weighted_mean_with_its_t_interval(csat, nps) -> None:
    notes = [note(source="csat", score=s) for s in csat] + [note(source="nps", score=s) for s in nps]
    point, strange = feel(way(), way().stages[1], notes)
    a, b = (np.array(csat) - 3) / 2, (np.array(nps) - 5) / 5
    assert point.score == pytest.approx(0.75 * a.mean() + 0.25 * b.mean())
    va, vb = 0.5625 * a.var(ddof=1) / len(a), 0.0625 * b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = distributions.t.ppf(0.975, freedom) * np.sqrt(va + vb)
    assert point.lower == pytest.approx(max(-1, point.score - half))
    assert point.upper == pytest.approx(min(1, point.score + half))
    assert (point.n, strange, point.hollow) == (len(csat) + len(nps), 0, len(csat) + len(nps) < 5)


def test_scores_off_their_scale_are_left_out_and_counted(tmp_path: Path) -> None:
    notes = [note(source="csat", score=s) for s in (1, 5, 9)]
    point, strange = feel(way(), way().stages[1], notes)
    assert (point.score, point.n, strange) == (0.0, 2, 1)
    found = journey(embedded_log(tmp_path, events()), way(), notes)
    assert "off_scale" in [c.code for c in found.warnings]


def test_without_scores_there_is_no_point() -> None:
    point, _ = feel(way(), way().stages[0], [note("words only", source="csat_find")])
    assert (point.score, point.lower, point.n, point.hollow) == (None, None, 0, True)


def test_notes_are_imported_once_and_bad_rows_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "survey.csv"
    file.write_text(
        '日期,来源,内容,评分\n2026-11-01,csat,太麻烦,2\n2026-11-01,csat,,x\n,,,\n2026-11-02,,"两行\n文字",\n', "utf-8"
    )
    done = import_notes(tmp_path, file)
    assert (done.read, done.added, done.known, [line for line, _ in done.rejected]) == (4, 2, 0, [3, 4])
    assert import_notes(tmp_path, file).added == 0
    assert [(n.source, n.text, n.score) for n in read_notes(tmp_path)] == [
        ("csat", "太麻烦", 2.0), ("survey", "两行\n文字", None),
    ]  # fmt: skip


def test_notes_in_gb18030_are_read(tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_bytes("内容,评分\n好用,5\n".encode("gb18030"))
    import_notes(tmp_path, file)
    assert read_notes(tmp_path)[0].text == "好用"


@pytest.mark.parametrize(
    ("body", "code"), [(b"a,b\n1,2\n", "UP361"), (b"\xff\xff\xff\xff,\x81", "UP360"), (None, "UP360"), (b"", "UP361")]
)
def test_files_that_hold_no_notes_are_refused(tmp_path: Path, body: bytes | None, code: str) -> None:
    file = tmp_path / "notes.csv"
    if body is not None:
        file.write_bytes(body)
    with pytest.raises(DataError, match=code):
        import_notes(tmp_path, file)
    assert read_notes(tmp_path) == []


def test_tags_stay_and_unknown_ones_are_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("text\nsomething\n", "utf-8")
    import_notes(tmp_path, file)
    known = read_notes(tmp_path)[0].id
    tag_notes(tmp_path, way(), {known: "use"})
    assert [n.id for n in placed(way(), read_notes(tmp_path))["use"]] == [known]
    assert import_notes(tmp_path, file).added == 0  # a tag does not make another note of it
    for tags in ({known: "usee"}, {"nope": "use"}):
        with pytest.raises(UsageError, match="UP672"):
            tag_notes(tmp_path, way(), tags)


def test_a_draft_from_the_events_can_be_opened(tmp_path: Path) -> None:
    log = embedded_log(tmp_path, events())
    body = draft(log, "mined")
    made = JourneyDefinition.model_validate(body)
    assert [s.enters.event for s in made.stages][:2] == ["visit", "signup"]
    assert [s.name for s in made.stages][:2] == ["visit", "signup"]
    assert journey(log, made, []).stages[0].users == 10
