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
        table = pd.read_parquet(folder / f"events__event={kind}.parquet", columns=["visitor_id", "timestamp"])
        tables.append(table.assign(event=kind))
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
