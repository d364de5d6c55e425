"""The proposed path on logs whose goal is known: made ones, and real ones where they are at hand."""

import numpy as np
import pandas as pd
import pytest

from tests.logs import embedded_log
from tests.oracles.event import DAY, HOUR, Event
from tests.published.workspaces import import_table
from tests.realdata import data_file
from upswing.diagnose.milestones import propose_milestones


def history(user, *names, start=0):
    return [Event(user, start + i * HOUR, i, name, {}) for i, name in enumerate(names)]


def proposed(tmp_path, events):
    log = embedded_log(tmp_path, events)
    return propose_milestones(log, start=0, stop=400 * DAY).events


def shop(rng, users=600, *, pay="purchase", extra=()):
    """Everybody browses again and again; most fill a cart, some pay; some pay twice and some give back."""
    events = []
    for u in range(users):
        names = ["home", "product", "product"] + ["product"] * int(rng.integers(0, 9))
        if rng.random() < 0.7:
            names += ["cart", "product", "cart"]
            if rng.random() < 0.4:
                names += [pay, *extra] + ([pay] if rng.random() < 0.3 else [])
                if rng.random() < 0.4:
                    names.append("refund_requested")
        events += history(f"u{u:04}", *names)
    return events


@pytest.mark.parametrize("pay", ["purchase", "orderPaid", "支付成功", "checkout_completed"])
def test_a_shop_that_everybody_browses_ends_in_the_purchase(tmp_path, pay):
    path = proposed(tmp_path, shop(np.random.default_rng(1), pay=pay))
    assert path[-1] == pay
    assert "cart" in path


def test_without_a_telling_name_the_habit_is_the_end(tmp_path):
    rng = np.random.default_rng(2)
    events = []
    for u in range(500):
        names = ["hello"]
        for name, chance in (("form", 0.7), ("mail", 0.6), ("first", 0.6)):
            if rng.random() > chance:
                break
            names.append(name)
        else:
            names += ["note"] * int(rng.integers(3, 12))
        events += history(f"u{u:04}", *names)
    assert proposed(tmp_path, events)[-1] == "note"


def test_a_side_track_that_sounds_like_money_is_not_the_goal(tmp_path):
    """Tickets: a few need an upgrade to be asked for; nearly all are resolved, those too."""
    rng = np.random.default_rng(3)
    events = []
    for u in range(800):
        names = ["opened"]
        if rng.random() < 0.9:
            names += ["taken"] + (["require upgrade"] if rng.random() < 0.06 else []) + ["resolve ticket"]
        events += history(f"u{u:04}", *names)
    assert proposed(tmp_path, events)[-1] == "resolve ticket"


def test_a_goal_by_name_where_histories_begin_is_none(tmp_path):
    rng = np.random.default_rng(4)
    events = []
    for u in range(500):
        names = ["order_page_opened"]
        for name, chance in (("size", 0.7), ("colour", 0.6), ("engraving", 0.5)):
            if rng.random() > chance:
                break
            names.append(name)
        events += history(f"u{u:04}", *names)
    path = proposed(tmp_path, events)
    assert (path[0], path[-1]) == ("order_page_opened", "engraving")


def test_messages_received_are_no_step(tmp_path):
    events = shop(np.random.default_rng(5))
    buyers = {e.user for e in events if e.name == "cart"}
    events += [Event(u, int(0.5 * HOUR), 99, "reminder_received", {}) for u in buyers]
    assert "reminder_received" not in proposed(tmp_path, events)


def test_a_path_does_not_begin_where_hardly_anybody_is(tmp_path):
    events = []
    for u in range(1000):
        names = ["come", "look"] if u % 50 else ["come", "look", "rare", "rarer"]
        events += history(f"u{u:04}", *names)
    assert proposed(tmp_path, events)[0] in ("come", "look")


@pytest.mark.parametrize(
    ("file", "columns", "goal"),
    [
        ("bpic2012_loan/events.parquet", ("case:concept:name", "time:timestamp", "concept:name"), "A_ACTIVATED"),
        ("helpdesk/events.parquet", ("case:concept:name", "time:timestamp", "concept:name"), "Closed"),
        ("retentioneering/simple_onlineshop_v3.3.0.parquet", ("user_id", "timestamp", "event"), "payment_done"),
        ("retentioneering/ab_test_demo.parquet", ("user_id", "timestamp", "event"), "payment_done"),
    ],
)
def test_real_logs_end_in_what_they_are_for(tmp_path, file, columns, goal):
    table = pd.read_parquet(data_file(file), columns=list(columns))
    table = table.rename(columns=dict(zip(columns, ("user", "time", "event"), strict=True))).astype({"user": str})
    with import_table(tmp_path, table, user="user", time="time", event="event") as workspace:
        schema = workspace.log.schema
        path = propose_milestones(workspace.log, start=schema.first_time, stop=schema.horizon + 1)
    assert path.events[-1] == goal
