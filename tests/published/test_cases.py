"""Logs of cases: loans, tickets and permits. A case stands where a user would."""

import pandas as pd
import pytest

from tests.published.workspaces import import_table
from tests.realdata import data_file

pytestmark = pytest.mark.realdata

COLUMNS = {"case:concept:name": "case", "concept:name": "activity", "time:timestamp": "time"}


def case_log(folder, file, timezone):
    table = pd.read_parquet(data_file(file), columns=list(COLUMNS)).rename(columns=COLUMNS)
    return import_table(folder, table, timezone=timezone, user="case", time="time", event="activity")


@pytest.mark.parametrize(
    ("file", "cases", "events", "activities"),
    [
        ("helpdesk/events.parquet", 4_580, 21_348, 14),
        ("receipt_wabo/events.parquet", 1_434, 8_577, 27),
        ("bpic2012_loan/events.parquet", 13_087, 262_200, 24),
    ],
)
def test_cases_events_and_activities(tmp_path, file, cases, events, activities):
    """As stated by Verenich 2016 (help desk), 4TU.ResearchData (WABO receipt phase) and the BPI Challenge 2012."""
    with case_log(tmp_path, file, "UTC") as workspace:
        schema = workspace.log.schema
        assert (schema.n_users, schema.n_events, len(list(schema.events))) == (cases, events, activities)


@pytest.fixture(scope="module")
def loan(tmp_path_factory):
    with case_log(tmp_path_factory.mktemp("loan"), "bpic2012_loan/events.parquet", "UTC") as workspace:
        yield workspace


# Reports handed in to the BPI Challenge 2012.
APPLICATIONS = {
    "A_SUBMITTED": 13_087,
    "A_PREACCEPTED": 7_367,
    "A_ACCEPTED": 5_113,
    "A_FINALIZED": 5_015,
    "A_APPROVED": 2_246,
    "A_REGISTERED": 2_246,
    "A_ACTIVATED": 2_246,
    "A_DECLINED": 7_635,
    "A_CANCELLED": 2_807,
}


@pytest.mark.parametrize(("event", "cases"), APPLICATIONS.items())
def test_applications_with_an_event(loan, event, cases):
    assert loan.distribution(event=event).users == cases


def test_loan_funnel(loan):
    """Every application is first submitted, and no status is given twice: the funnel must show the published counts."""
    steps = ["A_SUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "A_FINALIZED", "A_ACTIVATED"]
    found = loan.funnel(steps=steps, within="365d")
    assert [step.users for step in found.steps] == [APPLICATIONS[step] for step in steps]
