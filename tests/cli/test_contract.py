"""What other programs rely on: commands, JSON shapes, exit codes, one set of numbers everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from upswing.core.i18n import use_locale
from upswing.verbs import VERBS
from upswing.workspace import Workspace

CSV = """uid,ts,name,amount,platform
u1,2026-01-01 10:00:00,view,,ios
u1,2026-01-01 10:05:00,pay,60,ios
u2,2026-01-02 10:00:00,view,,android
u2,2026-01-02 11:00:00,pay,20,android
u3,nonsense,view,,ios
u3,2026-01-03 09:00:00,view,,ios
u3,2026-01-12 09:00:00,view,,ios
"""


def upswing(*arguments, cwd, stdin=None, language="en"):
    environment = {**os.environ, "UPSWING_LANG": language, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "upswing", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, input=stdin, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    (root / "e.csv").write_text(CSV)
    assert upswing("init", "ws", "--timezone", "Asia/Shanghai", cwd=root).returncode == 0
    done = upswing(
        "import", "e.csv", "--workspace", "ws", "--user", "uid", "--time", "ts", "--event", "name", "--json", cwd=root
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["rows_read"], summary["rows_added"], summary["rows_quarantined"]) == (7, 6, 1)
    return root


FUNNEL = ("--step", "view", "--step", "pay[amount > 50]", "--within", "7d")


def test_funnel_json(shop):
    done = upswing("funnel", *FUNNEL, "--by", "platform", "--json", "--workspace", "ws", cwd=shop)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert [(s["name"], s["users"]) for s in body["steps"]] == [("view", 3), ("pay[amount > 50]", 1)]
    assert body["steps"][1]["rate_from_entry"] == pytest.approx(1 / 3)
    assert body["steps"][1]["rate_from_previous"] == pytest.approx(1 / 3)
    assert body["steps"][1]["median_seconds"] == 300
    # user 3 has a second entry on 12 January; of chains that are equally deep the earliest completed is chosen
    assert [s["mature_users"] for s in body["steps"]] == [3, 1]
    assert {g: [s["users"] for s in v["steps"]] for g, v in body["groups"].items()} == {
        "ios": [2, 1],
        "android": [1, 0],
    }
    assert body["window"]["timezone"] == "Asia/Shanghai"
    assert isinstance(body["sql"], list)
    assert isinstance(body["warnings"], list)


def test_retention_json(shop):
    done = upswing(
        "retention", "--start", "view", "--return", "view", "--period", "day", "--periods", "9", "--first-ever", "--json",
        "--workspace", "ws", cwd=shop,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    third = next(c for c in body["cohorts"] if c["start"].startswith("2026-01-03"))
    assert third["size"] == 1
    assert len(third["retained"]) == len(third["complete"]) == len(body["pooled"]) == 10
    assert third["retained"][9] == 1
    assert body["pooled"][0] == 1


def test_every_way_of_asking_gives_the_same_numbers(shop):
    by_command = json.loads(upswing("funnel", *FUNNEL, "--json", "-w", "ws", cwd=shop).stdout)
    with use_locale("en"), Workspace.open(shop / "ws") as workspace:
        by_python = workspace.funnel(steps=["view", "pay[amount > 50]"], within="7d").to_dict()
    for body in (by_command, by_python):
        body.pop("timings")
    assert by_command == json.loads(json.dumps(by_python))
    table = upswing("funnel", *FUNNEL, "--csv", "-w", "ws", cwd=shop).stdout.splitlines()
    assert len(table) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("funnel", "--step", "veiw", "--step", "pay", "-w", "ws"), 2, "did you mean 'view'"),
        (("funnel", "--step", "view", "--step", "pay[amuont > 1]", "-w", "ws"), 2, "did you mean 'amount'"),
        (("funnel", "--step", "view", "--step", "pay", "--within", "0d", "-w", "ws"), 2, "longer than zero"),
        (("funnel", "--step", "view", "--step", "pay", "--within", "7", "-w", "ws"), 2, "unit"),
        (("funnel", "--step", "view", "-w", "ws"), 2, "step"),
        (("funnel", *FUNNEL, "--from", "2026-02-01", "--to", "2026-01-01", "-w", "ws"), 2, "before it begins"),
        (("funnel", *FUNNEL, "--by", "platfrom", "-w", "ws"), 2, "did you mean 'platform'"),
        (("funnel", *FUNNEL, "--order", "sideways", "-w", "ws"), 2, "sideways"),
        (("funnel", *FUNNEL, "-w", "nowhere"), 2, "not an Upswing workspace"),
        (("import", "missing.csv", "-w", "ws"), 3, "missing.csv"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_errors_say_what_and_exit_by_kind(shop, arguments, code, words):
    done = upswing(*arguments, cwd=shop)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    as_json = upswing(*arguments, "--json", cwd=shop) if arguments[0] == "funnel" else None
    if as_json is not None:
        assert json.loads(as_json.stdout)["ok"] is False


def test_a_missed_target_is_an_answer_of_no(shop):
    (shop / "ws" / "f.yml").write_text(
        "kind: funnel\nname: hard\nsteps:\n  - {event: view}\n  - {event: pay, target: 0.99}\n", encoding="utf-8"
    )
    done = upswing("funnel", "hard", "-w", "ws", cwd=shop)
    body = json.loads(upswing("funnel", "hard", "--json", "-w", "ws", cwd=shop).stdout)
    missed = body["steps"][1]["target"]["standing"] == "missed"
    assert done.returncode == (1 if missed else 0)


def test_check_finds_everything_at_once(shop):
    (shop / "ws" / "broken.yml").write_text("kind: funnel\nname: BAD\nstepz: []\n", encoding="utf-8")
    done = upswing("check", "--json", "-w", "ws", cwd=shop)
    (shop / "ws" / "broken.yml").unlink()
    assert done.returncode == 2
    assert {p["code"] for p in json.loads(done.stdout)["problems"]} >= {"UP101", "UP104"}


def test_importing_twice_adds_nothing_and_a_pipe_works(shop):
    again = upswing(
        "import", "e.csv", "-w", "ws", "--user", "uid", "--time", "ts", "--event", "name", "--json", cwd=shop
    )
    assert json.loads(again.stdout)["rows_added"] == 0
    piped = upswing(
        "import", "-", "-w", "ws", "--user", "uid", "--time", "ts", "--event", "name", "--json", cwd=shop, stdin=CSV
    )
    assert json.loads(piped.stdout)["rows_added"] == 0, piped.stderr


def test_quarantine_names_the_line_and_the_reason(shop):
    body = json.loads(upswing("quarantine", "--json", "-w", "ws", cwd=shop).stdout)
    assert next((r["line"], r["reason"]) for r in body["rows"]) == (6, "bad_time")


def test_a_page_is_complete_in_itself(shop, tmp_path):
    page = tmp_path / "f.html"
    assert upswing("funnel", *FUNNEL, "--html", page, "-w", "ws", cwd=shop).returncode == 0
    body = page.read_text(encoding="utf-8")
    assert "pay[amount &gt; 50]" in body
    assert "<script" not in body
    assert "http://" not in body.replace("http://www.w3.org", "")
    assert "https://" not in body


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v.name)
def test_every_verb_is_a_method_and_has_help(verb):
    assert callable(getattr(Workspace, verb.method))
    assert str(verb.help)
    assert all(str(p.help) for p in verb.params)


def test_help_lists_every_verb(tmp_path):
    done = upswing("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(verb.name in done.stdout for verb in VERBS)
    assert Path(__file__).exists()
