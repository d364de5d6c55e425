"""What a workspace can have wrong, asked through every verb of diagnosis and strategy: a kind error, or an answer that says so."""

import pytest

from upswing.core.errors import UpswingError
from upswing.report.review import review_page
from upswing.workspace import Workspace

CYCLE = """\
kind: metric
name: a
type: simple
numerator: {event: visit}
---
kind: metric
name: b
type: simple
numerator: {event: buy}
---
kind: tree
name: round
north_star: a
nodes:
  a: {is: b + b}
  b: {is: a + a}
"""
ZERO = """\
kind: metric
name: buys
type: simple
numerator: {event: buy}
---
kind: metric
name: refunds
type: simple
numerator: {event: buy}
where: [{prop: side, op: eq, value: nobody}]
---
kind: metric
name: per_refund
type: derived
expression: buys / refunds
better: up
---
kind: metric
name: share
type: ratio
numerator: {event: buy}
denominator: {event: buy, where: [{prop: side, op: eq, value: nobody}]}
better: up
---
kind: tree
name: sales
north_star: buys
nodes:
  buys: {is: refunds × per_refund}
  refunds: {}
  per_refund: {drivers: [share]}
"""
JOURNEY = """\
kind: journey
name: way
stages:
  - {name: look, enters: {event: visit}}
  - {name: fly, enters: {event: flown}}
"""
AHA = """\
kind: aha
name: stays
start: {event: visit}
outcome: {event: buy}
after: 300d
until: 400d
"""
QUADRANTS = """\
kind: quadrants
name: people
start: {event: visit}
after: 1d
outcome: {event: buy}
within: 300d
"""
VERBS = {
    "metrics": lambda w: w.metrics(), "explain_change": lambda w: w.explain_change(), "alerts": lambda w: w.alerts(),
    "growth_points": lambda w: w.growth_points(), "report": lambda w: w.report(), "journey": lambda w: w.journey(),
    "journey_draft": lambda w: w.journey(draft="mined"), "aha": lambda w: w.aha("stays"),
    "quadrants": lambda w: w.quadrants("people"), "behaviour": lambda w: w.behaviour("buying"),
    "hook": lambda w: w.hook("loop"), "hypotheses": lambda w: w.hypotheses(), "initiatives": lambda w: w.initiatives(),
}  # fmt: skip


def made(folder, users=400, **files):
    """A workspace where every user visits, some look around (seen twice), half buy a day later; and files."""
    rows = ["user,time,event,side"]
    for u in range(users):
        day = 1 + u % 26
        rows.append(f"u{u},2026-01-{day:02}T10:00:00Z,visit,{'ab'[u % 2]}")
        for hour, every, name in ((11, 3, "look"), (11, 3, "seen"), (12, 5, "err"), (13, 7, "ping")):
            if u % every == 0:
                rows.append(f"u{u},2026-01-{day:02}T{hour}:00:00Z,{name},{'ab'[u % 2]}")
        if u % 4 < 2:
            rows.append(f"u{u},2026-01-{day + 1:02}T10:00:00Z,buy,{'ab'[u % 2]}")
    (folder / "events.csv").write_text("\n".join(rows))
    workspace = Workspace.create(folder / "ws", timezone="UTC", milestones=["visit", "buy"])
    workspace.import_events([folder / "events.csv"])
    for name, body in files.items():
        (folder / "ws" / f"{name}.yml").write_text(body)
    workspace.close()
    return Workspace.open(folder / "ws")


@pytest.mark.parametrize("verb", ["metrics", "explain_change", "alerts", "growth_points", "report"])
def test_a_tree_with_a_circle_is_refused_with_its_place(tmp_path, verb):
    with made(tmp_path, tree=CYCLE) as workspace, pytest.raises(UpswingError) as refused:
        VERBS[verb](workspace)
    assert refused.value.code == "UP205"
    assert "a → b → a" in str(refused.value) or "b → a → b" in str(refused.value)
    assert "tree.yml" in str(refused.value)


@pytest.mark.parametrize("verb", ["metrics", "explain_change", "alerts", "growth_points", "report"])
def test_a_metric_divided_by_nothing_has_no_value(tmp_path, verb):
    with made(tmp_path, tree=ZERO) as workspace:
        answer = VERBS[verb](workspace)
    assert "inf" not in answer.to_json().lower().replace('"information"', "")
    assert "nan" not in [cell for t in answer.tables() for row in t.rows for cell in row if isinstance(cell, float)]
    if verb == "metrics":
        assert {p.value for p in answer.points if p.metric in ("per_refund", "share")} == {None}


def test_a_metric_whose_event_never_occurs_stops_no_other(tmp_path):
    lost = "kind: metric\nname: lost\ntype: simple\nnumerator: {event: flown}\n---\n"
    lost += "kind: metric\nname: also\ntype: derived\nexpression: lost + buys\n---\n"
    with made(tmp_path, lost=lost + "kind: metric\nname: buys\ntype: simple\nnumerator: {event: buy}\n") as workspace:
        for answer in (workspace.metrics(), workspace.alerts()):
            told = [str(c.message) for c in answer.how.caveats if c.code == "no_event"]
            assert told == [f"“{name}” is left out: no event 'flown' in the log" for name in ("lost", "also")]
        assert {p.metric for p in workspace.metrics().points} == {"buys"}
        with pytest.raises(UpswingError, match="UP302"):
            workspace.metrics(["lost"])


def test_a_stage_whose_event_never_occurs_is_named(tmp_path):
    with made(tmp_path, way=JOURNEY) as workspace:
        with pytest.raises(UpswingError) as refused:
            workspace.journey()
        assert refused.value.code == "UP302"
        assert "stage 'fly' of journey 'way': no event 'flown'" in str(refused.value)
        assert workspace.growth_points().points == ()  # the review does without it


def test_no_outcome_yet_is_said_and_does_not_stop_the_review(tmp_path):
    with made(tmp_path, aha=AHA, quadrants=QUADRANTS) as workspace:
        for ask in (lambda: workspace.aha("stays"), lambda: workspace.quadrants("people")):
            with pytest.raises(UpswingError) as refused:
                ask()
            assert refused.value.code == "UP351"
        review = workspace.report()
    assert {"aha stays", "quadrants people"} <= {c.code for c in review.points.left_out}


QUESTIONS = {
    "stays": "kind: aha\nname: stays\nstart: {event: visit}\noutcome: {event: buy}\nafter: 12h\nuntil: 48h\nwindows: [6h]\n",
    "people": "kind: quadrants\nname: people\nstart: {event: visit}\nafter: 6h\noutcome: {event: buy}\nwithin: 40h\n"
    "desire: [{event: look}, {event: seen}]\nfriction: [{event: err}]\n",
    "buying": "kind: behaviour\nname: buying\ntarget: {event: buy}\njoined: {event: visit}\nsettled: 6h\nback: 6h\nahead: 40h\n"
    "motivation: [{event: look}, {event: seen}]\nability: [{event: err, sign: less}]\ntrigger: [{event: ping}]\n",
    "loop": "kind: hook\nname: loop\ntrigger: {event: visit}\naction: {event: look}\nreward: {event: buy}\n",
    "numbers": ZERO, "way": JOURNEY.replace("flown", "buy"),
}  # fmt: skip


@pytest.mark.parametrize("ask", [lambda w: w.quadrants("people"), lambda w: w.behaviour("buying")])
def test_two_signals_that_are_the_same_count_once(tmp_path, ask):
    with made(tmp_path, **QUESTIONS) as workspace:
        answer = ask(workspace)
    told = [str(c.message) for c in answer.warnings if c.code == "signal_dropped"]
    assert any("says the same as" in message for message in told)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("users", [3, 60])
def test_few_users_get_an_answer_or_a_reason(tmp_path, verb, users):
    with made(tmp_path, users, **QUESTIONS) as workspace:
        said = asked(workspace, verb)
    assert said


def test_three_users_are_called_too_few(tmp_path):
    with made(tmp_path, 3, **QUESTIONS) as workspace:
        assert "too few" in str(workspace.growth_points().verdict())
        assert "too few" in str(workspace.alerts().verdict())
        assert "too few" in str(workspace.aha("stays").verdict())


def asked(workspace, verb):
    """The answer's verdict, or what an error says; anything but a kind error fails."""
    try:
        answer = VERBS[verb](workspace)
    except UpswingError as error:
        # too few, or nothing to tell apart: never "no such definition"
        return error.code in ("UP310", "UP315", "UP318", "UP350", "UP351", "UP352") and str(error.message)
    if verb == "report":
        assert "<html" in review_page(answer)
    return str(answer.title()) and answer.to_json()
