"""Whatever is typed into any option of any verb: an answer or one clean error with a code, never a traceback."""

import re

import click
import pytest
from click.testing import CliRunner

from upswing.cli.main import _register, cli
from upswing.core.errors import UpswingError
from upswing.verbs import VERBS
from upswing.workspace import Workspace

CSV = """uid,ts,name,amount,plan
u1,2026-01-01 10:00:00,view,,free
u1,2026-01-01 10:05:00,pay,60,free
u2,2026-01-02 10:00:00,view,,pro
u2,2026-01-02 11:00:00,pay,20,pro
u3,2026-01-03 09:00:00,view,,pro
u3,2026-01-12 09:00:00,view,,pro
"""
EXPRESSIONS = (
    "", "amount >", "amount + 1", "((((((", "amount > 1; drop table events", "read_csv('x') = 1", "(select 1) = 1",
    "plan like 5", "amount in ()", "cast(plan as integer) > 1", "amount / 0 > 1", "time > 'x'", "not not not", "'", "\\",
)  # fmt: skip
EVENTS = (
    "", "pay[amount >", "pay[", "]", "pay]", "[x > 1]", "|", "a|", '"', '"pay', "nobody", "支付[金额 > 1]", "x" * 5000,
    "pay[amount + 1]", "*", "@", "pay@x", "pay@2-1", "pay@9-12",
)  # fmt: skip
NAMES = (
    "",
    " ",
    "nobody",
    "segment:",
    "segment:nobody",
    "segment:amount >",
    "amount >",
    "中文",
    "../../etc/passwd",
    "\x00",
)
TIMES = ("", "2026-13-01", "0001-01-01", "9999-12-31", "2026-01-01T25:00", "now", "7")
LENGTHS = ("", "7", "0d", "-1d", "99999999999999d", "1e400", "nan", "none", "7 days of", "1d2")
NUMBERS = ("", "-1", "0", "3.5", "x", "9223372036854775808", "1,5,2", "a,b", ",", "[]", "nan")
NASTY = (
    *EXPRESSIONS[:4],
    *EVENTS[:5],
    *NAMES[:5],
    *TIMES[:4],
    *LENGTHS[:6],
    *NUMBERS[:6],
    "a=b",
    "=",
    "x=",
    "=x",
    "1-2",
    "{}",
)
KINDS = {
    "where": EXPRESSIONS, "segment": (*EXPRESSIONS, *NAMES), "by": NAMES, "steps": EVENTS, "exclude": EVENTS, "start_event": EVENTS,
    "return_event": EVENTS, "event": EVENTS, "then": EVENTS, "after": EVENTS, "before": EVENTS, "start": TIMES, "stop": TIMES,
    "within": LENGTHS, "window": LENGTHS, "session_gap": LENGTHS, "bands": NUMBERS, "name": NAMES, "names": NAMES, "funnel": NAMES,
    "save": ("", " ", "a/b", "../x", "中文", "pay]"), "hold": NAMES, "property": NAMES, "sum": NAMES,
}  # fmt: skip
"""What is tried, by what the option takes; `NASTY` for all others."""
BASE = {
    "funnel": ("--step", "view", "--step", "pay", "--within", "7d"),
    "retention": ("--start", "view", "--period", "day", "--periods", "3"),
    "interval": ("--event", "view"),
    "distribution": ("--event", "view"),
    "users": ("--step", "view", "--step", "pay"),
    "metrics": ("paying",),
}
ROOM = [v for v in VERBS if v.name in (*BASE, "lifecycle", "stickiness", "paths", "events", "segments", "quarantine")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("bad")
    (root / "e.csv").write_text(CSV)
    with Workspace.create(root / "ws") as workspace:
        workspace.import_events([root / "e.csv"], user="uid", time="ts", event="name")
    (root / "ws" / "metrics").mkdir()
    (root / "ws" / "metrics" / "paying.yml").write_text(
        "kind: metric\nname: paying\ntype: conversion\nstart: {event: view}\ntarget: {event: pay}\nwithin: 7d\n"
    )
    return root / "ws"


def ask(*arguments):
    """(exception or None, exit code)"""
    _register()
    done = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    return done.exception


def fine(error):
    if error is None or isinstance(error, click.ClickException | click.exceptions.Exit | SystemExit):
        return True
    if not isinstance(error, UpswingError):
        return False
    said = str(error)
    assert re.search(r"UP\d{3} \S", said), said
    assert "pydantic" not in said
    assert "Traceback" not in said
    return True


CASES = [(v.name, p) for v in ROOM for p in v.params if p.kind in ("text", "integer")]


@pytest.mark.parametrize(("name", "param"), CASES, ids=[f"{n}-{p.key}" for n, p in CASES])
def test_no_traceback_from_any_option(shop, name, param):
    worst = []
    for given in NUMBERS if param.kind == "integer" else KINDS.get(param.key, NASTY):
        base = list(BASE.get(name, ()))
        if param.positional:
            arguments = [name, given, *(() if param.key in ("name", "names") else base)]
        else:
            arguments = [name, *base, f"--{param.flag}={given}"]
        error = ask(*arguments, "--json", "--workspace", str(shop))
        if not fine(error):
            worst.append((given, type(error).__name__, str(error)[:200]))
    assert worst == []
