"""The hook loop: arcs and loops of a small log by hand, break point, groups, and logs with too little in them."""

import json
import math

import pytest

from tests.diagnose.memory import MemoryEngine
from tests.oracles.event import DAY, HOUR, Event
from upswing.core.calendar import Calendar
from upswing.core.errors import DefinitionError, UsageError
from upswing.events.log import EventLog
from upswing.spec.hook import HookDefinition
from upswing.spec.validation import validated
from upswing.strategy.hook import hook

BASE = 1_700_000_000_000_000


def question(**more):
    parts = {"trigger": {"event": "push"}, "action": {"event": "open"}, "investment": {"event": "write"}}
    return validated(HookDefinition, {"name": "q", **parts, **more}, what="hook")


def log(lines, last=60):
    """Users as text: ``p``ush, ``o``pen, ``w``rite, one per hour; ``-`` is a day of silence."""
    names, events = {"p": "push", "o": "open", "w": "write"}, []
    for u, line in enumerate(lines):
        time = BASE
        for i, sign in enumerate(line):
            time += DAY if sign == "-" else HOUR
            if sign in names:
                events.append(Event(f"u{u:03}", time, i, names[sign], {"os": "xy"[u % 2]}))
    events.append(Event("z", BASE + last * DAY, 0, "open", {"os": "x"}))
    return EventLog(MemoryEngine(events), Calendar("UTC"))


def test_arcs_and_loops_by_hand():
    answer = hook(log(["pow-pow--po", "p--", "ppow"]), question())
    action, investment, back = answer.whole.arcs
    assert (action.entered, action.passed) == (5, 4)  # the second push of user 2 falls into the open attempt
    assert (investment.entered, investment.passed) == (4, 3)
    assert (back.entered, back.passed) == (3, 2)
    assert action.median == 3600 or action.median == 5400
    assert [s.users for s in answer.whole.loops][:3] == [3, 2, 1]
    assert answer.whole.loops[0].again.estimate == pytest.approx(2 / 3)
    assert answer.whole.loops[1].again.estimate == pytest.approx(1 / 2)
    assert answer.whole.break_point is None  # too few attempts to name one
    assert "Too few" in str(answer.verdict())


def test_break_point_and_candidate_by_group():
    lines = ["pow--pow--" if u % 2 == 0 else ("pow--pow--" if u % 6 == 1 else "po--po--") for u in range(240)]
    answer = hook(log(lines), question(), by="os")
    assert answer.whole.break_point is not None
    weak = next(g for g in answer.groups if g.name == "y")
    assert (weak.break_point.source, weak.break_point.target) == ("action", "investment")
    assert weak.break_point.rate.estimate == pytest.approx(1 / 3)
    proposed = {c.definition["group"]: c for c in answer.candidates()}
    assert set(proposed) == {"y"}
    assert proposed["y"].gain == pytest.approx(240 * 2 / 3)
    assert proposed["y"].lower < proposed["y"].gain < proposed["y"].upper
    body = json.loads(answer.to_json())
    assert body["groups"][0]["arcs"][0]["from"] == "trigger"
    assert all(len(row) == len(t.columns) for t in answer.tables() for row in t.rows)


def test_segments_are_compared_with_everybody_else():
    source = log(["pow"] * 4 + ["po"] * 4)
    keys = source.engine.user_keys([f"u{u:03}" for u in range(4)])
    answer = hook(source, question(), segment=("writers", keys))
    assert [(g.name, g.users, g.arcs[1].rate.estimate) for g in answer.groups] == [
        ("writers", 4, 1.0), ("everybody else", 4, 0.0),
    ]  # fmt: skip


def test_nothing_closes_and_nothing_is_over():
    answer = hook(log(["p"] * 3 + ["w"]), question())
    assert {"never_closed"} <= {c.code for c in answer.warnings}
    assert math.isnan(answer.whole.arcs[1].rate.estimate)
    fresh = hook(log(["po", "---w"], last=0), question(within={"action": "9d"}))
    assert fresh.whole.arcs[0].entered == 0
    assert fresh.whole.arcs[0].pending == 1


def test_a_loop_needs_three_parts_and_known_events():
    with pytest.raises(DefinitionError, match="reward or an investment"):
        question(investment=None)
    with pytest.raises(UsageError) as caught:
        hook(log(["pow"]), question(reward={"event": "prize"}))
    assert caught.value.code == "UP302"
