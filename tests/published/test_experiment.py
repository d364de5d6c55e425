"""Metrics of an experiment whose answers ship beside its raw decisions and events."""

import pandas as pd
import pytest

from tests.published.workspaces import import_table
from tests.realdata import data_file

pytestmark = pytest.mark.realdata

KINDS = ("homepage_view", "detail_page_view", "add_to_cart", "purchase")


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    """Decisions and events of Optimizely's *computing experiment metrics* lab; the arm stands on the decision."""
    folder = data_file("optimizely_labs")
    shipped = pd.read_parquet(folder / "metric_observations__metric_name=Purchase_conversion_rate.parquet")
    arms = shipped.set_index("visitor_id")["variation_name"]
    decisions = pd.read_parquet(folder / "decisions.parquet", columns=["visitor_id", "timestamp"])
    tables = [decisions.assign(event="decision", arm=decisions["visitor_id"].map(arms))]
    for kind in KINDS:
        table = pd.read_parquet(
            folder / f"events__event={kind}.parquet", columns=["visitor_id", "timestamp", "revenue", "tags"]
        )
        category = [dict(tags).get("category") if tags is not None else None for tags in table.pop("tags")]
        tables.append(table.assign(event=kind, category=category, one=1))
    log = pd.concat(tables)
    with import_table(
        tmp_path_factory.mktemp("labs"), log, user="visitor_id", time="timestamp", event="event"
    ) as workspace:
        yield workspace


def test_raw_counts(labs):
    """Rows of the files as the lab prints them."""
    found = {kind: labs.distribution(event=kind).total for kind in ("decision", *KINDS)}
    assert found == {
        "decision": 10_000,
        "homepage_view": 19_922,
        "detail_page_view": 14_198,
        "add_to_cart": 2_264,
        "purchase": 2_264,
    }


def test_buyers_within_48_hours_of_the_decision(labs):
    """163 of 3,304, 223 of 3,329, 169 of 3,367: the observations that ship with the lab."""
    found = labs.funnel(steps=["decision", "purchase"], within="48h", by="arm")
    groups = {group.value: tuple(step.users for step in group.steps) for group in found.groups if group.value}
    assert {groups["control"], groups["message_1"], groups["message_2"]} == {(3304, 163), (3367, 169), (3329, 223)}
    assert groups["message_2"] == (3329, 223)


@pytest.mark.parametrize("arm", ["control", "message_1", "message_2"])
def test_buyers_are_the_visitors_that_the_lab_observed(labs, arm):
    """Person by person, not only in number."""
    folder = data_file("optimizely_labs")
    shipped = pd.read_parquet(folder / "metric_observations__metric_name=Purchase_conversion_rate.parquet")
    expected = set(shipped.loc[(shipped["variation_name"] == arm) & (shipped["observation"] > 0), "visitor_id"])
    found = labs.funnel(steps=["decision", "purchase"], within="48h", by="arm")
    assert set(labs.log.user_ids(found.users_at(2, group=arm))) == expected


@pytest.mark.parametrize(
    ("event", "amount", "observed", "published"),
    [
        (
            "purchase[category = 'electronics']", "revenue", "Electronics_revenue_per_visitor",
            {"control": 14_499_837, "message_1": 14_959_831, "message_2": 19_899_777},
        ),
        (
            "detail_page_view", "one", "Product_detail_page_views_per_visitor",
            {"control": 1_799, "message_1": 2_414, "message_2": 2_900},
        ),
    ],
)  # fmt: skip
def test_sums_within_48_hours_of_the_decision(labs, event, amount, observed, published):
    """Electronics revenue in cents and detail views by arm: two rolling days from each visitor's own decision."""
    found = labs.retention(
        start_event="decision", return_event=event, period="day", periods=1, clock="rolling", entry="first-time",
        sum=amount, by="arm",
    )  # fmt: skip
    ours = {g.value: sum(total for cohort in g.cohorts for total in cohort.sums if total) for g in found.groups}
    assert ours == published
    file = data_file("optimizely_labs") / f"metric_observations__metric_name={observed}.parquet"
    shipped = pd.read_parquet(file, columns=["variation_name", "observation"])
    assert ours == shipped.groupby("variation_name")["observation"].sum().to_dict()
