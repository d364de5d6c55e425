from pathlib import Path

import pytest

from upswing.core.errors import DefinitionError, Problems, UsageError
from upswing.spec.definitions import Definitions, load_project
from upswing.spec.files import read_documents, write_yaml
from upswing.spec.plan import apply, plan
from upswing.spec.references import check_references
from upswing.spec.segment import SegmentDefinition


def workspace(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "upswing.yml").write_text("schema: 1\n")
    for name, body in files.items():
        (tmp_path / f"{name}.yml").write_text(body, encoding="utf-8")
    return tmp_path


def problems_of(tmp_path: Path, body: str) -> list[str]:
    return [str(p) for p in Definitions.load(workspace(tmp_path, broken=body)).problems]


SEGMENT = """\
kind: segment
name: vip
all:
  - {did: pay, at_least: 2, within: 30d}
"""


def test_a_good_file_has_no_problems(tmp_path):
    found = Definitions.load(workspace(tmp_path, vip=SEGMENT))
    assert not list(found.problems)
    assert found.get("segment", "vip", SegmentDefinition).all[0].at_least == 2


@pytest.mark.parametrize(
    ("body", "place", "code", "words"),
    [
        (SEGMENT.replace("all:", "alll:"), "broken.yml:3:1", "UP101", "did you mean 'all'"),
        (SEGMENT.replace("at_least", "at_lest"), "broken.yml:4", "UP1", "at_lest"),
        (SEGMENT.replace("vip", "VIP users"), "broken.yml:2:7", "UP104", "lower_snake_case"),
        (SEGMENT.replace("segment", "segmnt"), "broken.yml:1:7", "UP106", "did you mean 'segment'"),
        ("kind: segment\nname: a\nname: b\n", "broken.yml:3:1", "UP001", "duplicate"),
        ("- 1\n- 2\n", "broken.yml:1:1", "UP002", "mapping"),
        ("kind: segment\nname: empty\n", "broken.yml:1:1", "UP105", "at least one condition"),
        ("kind: segment\nname: a\nall:\n  - {did: pay, within: 30}\n", "broken.yml:4", "UP610", "needs a unit"),
        ("kind: metric\nname: a\ntype: simpel\nnumerator: {event: pay}\n", "broken.yml:3:7", "UP103", "simple"),
        ("kind: metric\nname: a\ntype: ratio\nnumerator: {event: pay}\n", "broken.yml:1:1", "UP105", "denominator"),
        ("kind: [\n", "broken.yml", "UP001", "YAML"),
    ],
)
def test_every_mistake_has_its_place(tmp_path, body, place, code, words):
    found = problems_of(tmp_path, body)
    assert found
    assert any(line.startswith(place) and code in line for line in found), found
    assert any(words in line for line in found), found


def test_all_problems_at_once(tmp_path):
    root = workspace(tmp_path, a=SEGMENT.replace("all:", "alll:"), b=SEGMENT.replace("vip", "VIP"), c="kind: nothing\n")
    assert {p.file for p in Definitions.load(root).problems} == {"a.yml", "b.yml", "c.yml"}


def test_the_same_name_twice(tmp_path):
    found = Definitions.load(workspace(tmp_path, a=SEGMENT, b=SEGMENT))
    assert [(p.file, p.code) for p in found.problems] == [("b.yml", "UP204")]


def test_several_documents_in_a_file(tmp_path):
    both = SEGMENT + "---\n" + SEGMENT.replace("vip", "vip2")
    assert set(Definitions.load(workspace(tmp_path, both=both)).by_kind["segment"]) == {"vip", "vip2"}


def test_no_is_a_word_in_yaml_1_2(tmp_path):
    body = "kind: segment\nname: norway\nall:\n  - {prop: country, op: in, value: [NO, SE]}\n"
    found = Definitions.load(workspace(tmp_path, a=body)).get("segment", "norway", SegmentDefinition)
    assert found.all[0].value == ["NO", "SE"]


def test_an_unknown_name_offers_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="UP201"):
        Definitions.load(workspace(tmp_path, a=SEGMENT)).get("segment", "vpi", SegmentDefinition)


def test_references_are_checked(tmp_path):
    body = "kind: segment\nname: a\nall:\n  - {segment: vpi}\n  - {did: payy}\n  - {prop: contry, value: CN}\n"
    definitions = Definitions.load(workspace(tmp_path, a=body, vip=SEGMENT))
    found = Problems()
    check_references(definitions, found, events=["pay"], properties=["country"])
    assert [(p.code, p.line) for p in found] == [("UP201", 4), ("UP302", 5), ("UP301", 6)]


def test_not_a_workspace(tmp_path):
    with pytest.raises(UsageError, match="UP602"):
        load_project(tmp_path)


def test_a_wrong_zone_in_the_project_file(tmp_path):
    (tmp_path / "upswing.yml").write_text("schema: 1\ntimezone: Asia/Shangai\n")
    with pytest.raises(DefinitionError, match=r"(?s)upswing\.yml:2:11: UP620.*Asia/Shanghai"):
        load_project(tmp_path)


def test_comments_survive_a_change(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("# why\nkind: segment  # a kind\nname: a\nold: 1\n")
    write_yaml(path, {"kind": "segment", "name": "b"})
    assert path.read_text() == "# why\nkind: segment  # a kind\nname: b\n"


def test_plan_tells_breaking_from_cosmetic(tmp_path):
    other = "kind: segment\nname: big\nall:\n  - {segment: vip}\n"
    root = workspace(tmp_path, vip=SEGMENT, big=other)
    assert {(c.name, c.effect) for c in plan(Definitions.load(root))} == {("vip", "added"), ("big", "added")}
    apply(Definitions.load(root))
    assert plan(Definitions.load(root)) == []
    (root / "vip.yml").write_text(SEGMENT + "label: {en: VIP, zh: 大客户}\n", encoding="utf-8")
    assert [(c.name, c.effect) for c in plan(Definitions.load(root))] == [("vip", "cosmetic")]
    (root / "vip.yml").write_text(SEGMENT.replace("at_least: 2", "at_least: 3"))
    changes = plan(Definitions.load(root))
    assert [(c.name, c.effect, c.keys, c.used_by) for c in changes] == [("vip", "breaking", ("all",), ("segment big",))]
    (root / "vip.yml").unlink()
    assert ("vip", "removed") in {(c.name, c.effect) for c in plan(Definitions.load(root))}


def test_a_file_that_is_not_text(tmp_path):
    root = workspace(tmp_path)
    (root / "bad.yml").write_bytes(b"\xff\xfe\x00kind")
    found = Problems()
    assert read_documents(root / "bad.yml", found, root=root) == []
    assert [p.code for p in found] in (["UP003"], ["UP001"])
