"""Funnels of a shop and channels of another: counts printed by those who published the data."""

import pandas as pd
import pytest

from tests.published.workspaces import import_table
from tests.realdata import data_file

pytestmark = pytest.mark.realdata

PAGES = {
    "home_page": "home_page_table.parquet",
    "search_page": "search_page_table.csv",
    "payment_page": "payment_page_table.csv",
    "payment_confirmation_page": "payment_confirmation_table.csv",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The e-commerce take-home challenge of *A Collection of Data Science Take-Home Challenges*.

    The files know the day only; a page gets the second of its rank in the path, as the pages can be seen in no other order.
    """
    folder = data_file("ecommerce_funnel_takehome")
    users = pd.read_parquet(folder / "user_table.parquet")
    tables = []
    for rank, (page, name) in enumerate(PAGES.items()):
        read = pd.read_parquet if name.endswith(".parquet") else pd.read_csv
        visits = read(folder / name)[["user_id"]].merge(users, on="user_id", validate="one_to_one")
        time = pd.to_datetime(visits["date"]) + pd.Timedelta(seconds=rank)
        tables.append(visits.assign(event=page, time=time).drop(columns="date"))
    workspace = import_table(
        tmp_path_factory.mktemp("shop"), pd.concat(tables), user="user_id", time="time", event="event"
    )
    with workspace:
        yield workspace


def counts(steps):
    return [step.users for step in steps]


def test_funnel_of_the_take_home_shop(shop):
    """90,400 → 45,200 → 6,030 → 452 as published, with half, 13.3 % and 7.5 % passing."""
    found = shop.funnel(steps=list(PAGES), within="1d")
    assert counts(found.steps) == [90_400, 45_200, 6_030, 452]
    assert [round(step.rate_from_previous, 3) for step in found.steps[1:]] == [0.5, 0.133, 0.075]


def recount(column):
    """Users of every page by a column of the user table, counted from the files themselves."""
    folder = data_file("ecommerce_funnel_takehome")
    users = pd.read_parquet(folder / "user_table.parquet").set_index("user_id")[column]
    found = {value: [] for value in users.unique()}
    for name in PAGES.values():
        read = pd.read_parquet if name.endswith(".parquet") else pd.read_csv
        seen = read(folder / name)["user_id"].map(users).value_counts()
        for value, row in found.items():
            row.append(int(seen[value]))
    return found


def test_funnel_of_the_take_home_shop_by_device(shop):
    """60,200 enter by Desktop and 30,200 by Mobile as published; the later pages are recounted from the files."""
    found = shop.funnel(steps=list(PAGES), within="1d", by="device")
    groups = {group.value: counts(group.steps) for group in found.groups}
    assert (groups["Desktop"][0], groups["Mobile"][0]) == (60_200, 30_200)
    expected = recount("device")
    assert {device: groups[device] for device in expected} == expected


def test_funnel_of_the_take_home_shop_by_sex(shop):
    found = shop.funnel(steps=list(PAGES), within="1d", by="sex")
    expected = recount("sex")
    assert {group.value: counts(group.steps) for group in found.groups if group.value in expected} == expected


CHANNELS = {"direct": 5298, "facebook": 967, "organic": 952, "adwords": 906, "banner": 476, "twitter": 474}


def test_web_events_of_parch_and_posey_by_channel(tmp_path):
    """9,073 web events, of them 5,298 direct: lessons of the SQL course that uses the Parch & Posey tables."""
    table = pd.read_csv(data_file("parch_posey/web_events.csv"))
    assert len(table) == 9073
    with import_table(tmp_path, table, user="account_id", time="occurred_at", event="channel") as workspace:
        found = {channel: workspace.distribution(event=channel) for channel in CHANNELS}
    assert found["direct"].total == 5298
    assert {channel: d.total for channel, d in found.items()} == CHANNELS


@pytest.mark.parametrize(
    ("file", "events", "of"),
    [
        (
            "simple_onlineshop_v3.3.0.parquet",
            32_283,
            {"catalog": 14_518, "main": 5_635, "cart": 2_842, "payment_done": 706},
        ),
    ],
)
def test_demo_shop_of_retentioneering(tmp_path, file, events, of):
    """3,751 users; counts of the events as the library's tutorials show them."""
    table = pd.read_parquet(data_file(f"retentioneering/{file}"))
    assert len(table) == events
    with import_table(tmp_path, table, user="user_id", time="timestamp", event="event") as workspace:
        assert {event: workspace.distribution(event=event).total for event in of} == of
        assert workspace.log.schema.n_users == 3751


def test_demo_experiment_of_retentioneering(tmp_path):
    """Test: 134 payments of 98,789 in all; control: 94 of 68,702."""
    table = pd.read_parquet(data_file("retentioneering/ab_test_demo.parquet"))
    with import_table(tmp_path, table, user="user_id", time="timestamp", event="event") as workspace:
        for arm, payments, money in (("test", 134, 98_789), ("control", 94, 68_702)):
            paid = f"payment_done[user_backet = '{arm}' and transaction_value is not null]"
            assert workspace.distribution(event=paid).total == payments
            total = workspace.distribution(event=paid, measure="sum", property="transaction_value").total
            assert round(total) == money
