"""Breakdowns and the people behind numbers, as they are asked for on the command line."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from upswing.cli.main import _register, cli
from upswing.core.errors import UpswingError
from upswing.workspace import Workspace

# three weeks from Monday 5 January 2026; what each user does is easy to follow by eye
EVENTS = [
    ("u1", "2026-01-05 10:00", "view", "free", ""), ("u1", "2026-01-05 10:10", "pay", "free", 30),
    ("u1", "2026-01-06 09:00", "view", "free", ""), ("u1", "2026-01-13 09:00", "view", "free", ""),
    ("u2", "2026-01-05 11:00", "view", "pro", ""), ("u2", "2026-01-12 11:00", "view", "free", ""),
    ("u2", "2026-01-19 11:00", "view", "pro", ""), ("u3", "2026-01-06 08:00", "view", "pro", ""),
    ("u3", "2026-01-06 09:30", "pay", "pro", 90), ("u4", "2026-01-12 12:00", "view", "", ""),
    ("u4", "2026-01-20 12:00", "view", "free", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    rows = ["uid,ts,name,plan,amount", *(",".join(map(str, e)) for e in EVENTS)]
    (root / "e.csv").write_text("\n".join(rows) + "\n")
    with Workspace.create(root / "ws") as workspace:
        workspace.import_events([root / "e.csv"], user="uid", time="ts", event="name")
    (root / "ws" / "segments").mkdir()
    (root / "ws" / "segments" / "payers.yml").write_text("kind: segment\nname: payers\nall: [{did: pay}]\n")
    return root / "ws"


def run(shop, *arguments):
    _register()
    done = CliRunner().invoke(cli, [*map(str, arguments), "-w", str(shop)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def ids(shop, *arguments):
    return json.loads(run(shop, "users", *arguments, "--json"))["users"]


@pytest.mark.parametrize(
    ("arguments", "users"),
    [
        (("--segment", "payers"), "u1 u3"),
        (("--step", "view", "--step", "pay"), "u1 u3"),
        (("--step", "view", "--step", "pay", "--at", 2, "--dropped"), "u2 u4"),
        (("--of", "funnel", "--step", "view", "--step", "pay", "--at", 1, "--by", "plan", "--group", "pro"), "u2 u3"),
        (("--of", "retention", "--start", "view", "--cohort", "2026-01-05", "--lag", 1), "u1 u2"),
        (("--of", "retention", "--start", "view", "--cohort", "2026-01-05", "--lag", 1, "--lost"), "u3"),
        (("--of", "retention", "--start", "view", "--cohort", "2026-01-05", "--lag", 1, "--by", "segment:payers",
          "--group", "(other)"), "u2"),
        (("--of", "lifecycle", "--in", "2026-01-12", "--state", "dormant"), "u3"),
        (("--of", "lifecycle", "--in", "2026-01-12", "--state", "new"), "u4"),
        (("--of", "lifecycle", "--in", "2026-01-12", "--state", "active"), "u1 u2 u4"),
        (("--of", "lifecycle", "--in", "2026-01-12", "--state", "returning", "--by", "plan", "--group", "pro"), "u2"),
        (("--of", "stickiness", "--event", "view", "--in", "2026-01-05", "--days", 2), "u1"),
        (("--of", "distribution", "--event", "view", "--at-least", 3), "u1 u2"),
        (("--of", "distribution", "--event", "pay", "--measure", "sum", "--property", "amount", "--below", 50), "u1"),
        (("--of", "interval", "--event", "view", "--then", "pay", "--at-least", "1h"), "u3"),
        (("--of", "interval", "--event", "view", "--then", "pay", "--below", "1h"), "u1"),
        (("--of", "paths", "--session-gap", "none", "--position", 2, "--node", "pay"), "u1 u3"),
        (("--of", "paths", "--session-gap", "none", "--position", 1, "--node", "view", "--next", "(end)"), "u2 u4"),
        (("--of", "lifecycle", "--in", "2026-01-12", "--state", "returning", "--segment", "payers"), "u1"),
    ],
)  # fmt: skip
def test_users_behind(shop, arguments, users):
    assert ids(shop, *arguments) == users.split()


def test_saved_as_a_segment_and_used_again(shop):
    run(shop, "users", "--of", "lifecycle", "--in", "2026-01-12", "--state", "dormant", "--save", "gone", "--json")
    assert ids(shop, "--segment", "gone") == ["u3"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "UP603"),
        (("--of", "retention", "--start", "view"), "UP603"),
        (("--of", "lifecycle"), "UP603"),
        (("--of", "lifecycle", "--in", "2026-01-13", "--state", "new"), "UP644"),
        (("--of", "lifecycle", "--cohort", "2026-01-12"), "UP608"),
        (("--segment", "payers", "--lag", "1"), "UP608"),
        (("--of", "funnel", "--step", "view", "--step", "pay", "--at", 9), "UP644"),
        (("--of", "paths", "--position", 99, "--node", "view"), "UP644"),
        (("--of", "distribution", "--event", "view", "--group", "pro"), "UP644"),
        (("--of", "interval", "--event", "view", "--at-least", "5"), "UP610"),
    ],
)
def test_what_cannot_be_listed(shop, arguments, code):
    with pytest.raises(UpswingError) as caught:
        ids(shop, *arguments)
    assert caught.value.code == code


BY = {
    "funnel": ("--step", "view", "--step", "pay"),
    "retention": ("--start", "view", "--periods", 1),
    "lifecycle": (),
    "stickiness": ("--event", "view"),
    "paths": ("--session-gap", "none"),
    "interval": ("--event", "view"),
    "distribution": ("--event", "view"),
}


@pytest.mark.parametrize("verb", sorted(BY))
@pytest.mark.parametrize("by", ["plan", "segment:payers"])
def test_every_analysis_divides(shop, verb, by):
    body = json.loads(run(shop, verb, *BY[verb], "--by", by, "--json"))
    names = set(body["groups"]) if verb == "funnel" else {g["value"] for g in body["groups"]}
    assert names == ({"payers", "(other)"} if by == "segment:payers" else {"free", "pro", "(none)"})
    assert body["definition"]["by"] == by
    rows = list(csv.DictReader(io.StringIO(run(shop, verb, *BY[verb], "--by", by, "--csv"))))
    assert {r["group"] for r in rows} == {"(all)", *names}
    alone = list(csv.DictReader(io.StringIO(run(shop, verb, *BY[verb], "--csv"))))
    assert [{k: v for k, v in r.items() if k != "group"} for r in rows if r["group"] == "(all)"] == alone


def test_busiest_days(shop):
    asked = ("distribution", "--event", "view", "--measure", "active-days", "--bands", "1,2", "--json")
    within = json.loads(run(shop, *asked, "--window", "2d"))
    assert [(b["from"], b["users"]) for b in within["bands"]] == [(1, 3), (2, 1)]  # only u1 came on two days in a row
    assert [(b["from"], b["users"]) for b in json.loads(run(shop, *asked))["bands"]] == [(1, 1), (2, 3)]


def test_metrics_of_a_segment(shop):
    (shop / "metrics").mkdir(exist_ok=True)
    (shop / "metrics" / "viewers.yml").write_text(
        "kind: metric\nname: viewers\ntype: simple\nnumerator: {event: view, agg: users}\nbetter: up\n"
    )
    body = json.loads(run(shop, "metrics", "viewers", "--by", "segment:payers", "--json"))
    values = {(p["period"], p["group"]): p["value"] for p in body["metrics"][0]["points"]}
    assert values == {
        ("2026-01-05", "payers"): 2, ("2026-01-05", "(other)"): 1,
        ("2026-01-12", "payers"): 1, ("2026-01-12", "(other)"): 2,
        ("2026-01-19", "payers"): 0, ("2026-01-19", "(other)"): 2,
    }  # fmt: skip
    assert body["definition"]["by"] == "segment:payers"
