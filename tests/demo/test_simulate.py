"""The generator: same seed, same events; the right size; a log that holds together."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from upswing.demo.clock import weekday
from upswing.demo.ledger import ALIAS_SCHEMA, EVENT_SCHEMA
from upswing.demo.model import EVENTS, MODEL
from upswing.demo.simulate import (
    plain_schema,
    simulate,
    simulate_aliases,
    simulate_blocks,
    write_csv,
    write_parquet,
)

USERS = 3_000


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables(t.cast(plain_schema(EVENT_SCHEMA)) for t in simulate(seed=7, users=USERS))


@pytest.fixture(scope="module")
def aliases() -> pa.Table:
    return pa.concat_tables(simulate_aliases(seed=7, users=USERS))


def test_same_seed_same_events(table):
    again = pa.concat_tables(t.cast(plain_schema(EVENT_SCHEMA)) for t in simulate(seed=7, users=USERS))
    assert again.equals(table)


def test_another_seed_other_events(table):
    other = next(simulate(seed=8, users=USERS))
    assert set(other["time"].to_pylist()[:50]).isdisjoint(table["time"].to_pylist()[:50])
    assert set(pc.unique(other["user"].cast(pa.string())).to_pylist()) != set(pc.unique(table["user"]).to_pylist())


def test_blocks_do_not_depend_on_each_other():
    """The first block of a large simulation is the whole of a small one of the same block size."""
    whole = next(simulate(seed=3, users=20_000))
    part = simulate(seed=3, users=25_000)
    assert next(part).equals(whole)
    assert len(next(part)) > 0
    assert next(part, None) is None


def test_ids_are_unique_across_blocks():
    blocks = list(simulate_blocks(seed=3, users=21_000))
    assert len(blocks) == 2
    ids = pa.concat_arrays([b.events["event_id"].combine_chunks() for b in blocks])
    assert len(pc.unique(ids)) == len(ids)
    numbers = np.concatenate([b.people.number for b in blocks])
    assert len(np.unique(numbers)) == len(numbers)
    devices = pa.concat_arrays([b.people.device_ids() for b in blocks])
    assert len(pc.unique(devices)) == len(devices)


def test_size_is_near_the_target():
    users = 40_000
    blocks = list(simulate_blocks(seed=11, users=users))
    people = sum(len(b.people) for b in blocks)
    assert people == pytest.approx(users, rel=0.03)
    assert sum(len(b.events) for b in blocks) == pytest.approx(30 * users, rel=0.05)


def test_schema_and_no_nulls(table):
    assert next(simulate(seed=1, users=10)).schema == EVENT_SCHEMA
    for name in ("event_id", "user", "time", "event", "channel", "platform", "app_version", "city_tier"):
        assert table[name].null_count == 0, name
    assert set(pc.unique(table["event"]).to_pylist()) == set(EVENTS)


def test_properties_belong_to_their_events(table):
    frame = table.to_pandas()
    for column, event in (
        ("amount", "order_paid"),
        ("plan", "order_paid"),
        ("entry_amount", "entry_created"),
        ("category", "entry_created"),
        ("error_code", "error_shown"),
        ("inviter", "invitation_accepted"),
    ):
        assert (frame[column].notna() == (frame["event"] == event)).all(), column
    assert (frame["entry_amount"].dropna() > 0).all()
    assert set(frame["amount"].dropna()) <= set(MODEL.plan_price)
    assert (frame["duration_ms"].dropna() >= 0).all()


def test_times_are_inside_the_span_and_keep_the_rhythm(table):
    frame = table.to_pandas()
    assert frame["time"].min() >= MODEL.start
    assert frame["time"].max() < MODEL.end
    hours = frame["time"].dt.tz_convert("Asia/Shanghai").dt.hour
    share = hours.value_counts(normalize=True)
    assert share[21] > 4 * share[4]
    own = frame["time"].astype("int64").to_numpy()
    assert (weekday(own) == frame["time"].dt.tz_convert("Asia/Shanghai").dt.day_of_week).all()


def test_steps_come_in_order(table, aliases):
    frame = table.to_pandas()
    known = dict(zip(aliases["alias"].to_pylist(), aliases["canonical"].to_pylist(), strict=True))
    frame["person"] = frame["user"].map(known).fillna(frame["user"])
    first = frame.groupby(["person", "event"])["time"].min().unstack()
    steps = ["app_installed", "onboarding_viewed", "signup_started", "account_created", "entry_created"]
    for before, after in itertools.pairwise(steps):
        both = first[[before, after]].dropna()
        assert (both[before] < both[after]).all(), (before, after)
        assert first[before][first[after].notna()].notna().all(), (before, after)
    assert (first["paywall_viewed"] <= first["order_paid"])[first["order_paid"].notna()].all()
    assert (frame.groupby("person")["channel"].nunique() == 1).all()


def test_identity(table, aliases):
    """Devices act before the account only, and every device with an account has an alias dated at the account."""
    assert aliases.schema == ALIAS_SCHEMA
    frame = table.to_pandas()
    links = aliases.to_pandas()
    assert links["alias"].is_unique
    assert links["canonical"].is_unique
    last_as_device = frame[frame["user"].isin(links["alias"])].groupby("user")["time"].max()
    created = frame[frame["event"] == "account_created"].set_index("user")["time"]
    valid_from = links["valid_from"].to_numpy()
    assert (valid_from > last_as_device[links["alias"]].to_numpy()).all()
    assert (valid_from == created[links["canonical"]].to_numpy()).all()
    installs = frame[frame["event"] == "app_installed"]["user"]
    share = installs.str.startswith("d").mean()
    assert share == pytest.approx(MODEL.anonymous_share, abs=4 * np.sqrt(0.24 / len(installs)))
    assert not frame[frame["event"] == "entry_created"]["user"].str.startswith("d").any()


def test_invited_users_name_who_invited_them(table, aliases):
    frame = table.to_pandas()
    known = dict(zip(aliases["alias"].to_pylist(), aliases["canonical"].to_pylist(), strict=True))
    accepted = frame[frame["event"] == "invitation_accepted"]
    installs = frame[(frame["event"] == "app_installed") & (frame["channel"] == "invitation")]
    assert set(accepted["user"]) <= set(installs["user"])
    sent = frame[frame["event"] == "invitation_sent"]
    sent_by = sent["user"].map(known).fillna(sent["user"])
    assert set(accepted["inviter"]) <= set(sent_by)
    assert (accepted["inviter"] != accepted["user"]).all()


def test_parquet_and_csv(tmp_path, table, aliases):
    rows = write_parquet(tmp_path / "e.parquet", seed=7, users=USERS, aliases=tmp_path / "a.parquet")
    back = pq.read_table(tmp_path / "e.parquet")
    assert rows == len(back) == len(table)
    assert back.cast(table.schema).equals(table)
    assert pq.read_table(tmp_path / "a.parquet").equals(aliases)
    rows = write_csv(tmp_path / "e.csv", seed=7, users=USERS)
    text = pacsv.read_csv(tmp_path / "e.csv")
    assert rows == len(text) == len(table)
    assert text["user"].to_pylist() == table["user"].to_pylist()
    assert text["amount"].to_pylist() == table["amount"].to_pylist()
    assert write_csv(tmp_path / "part.csv", seed=3, users=45_000, rows=1) == len(next(simulate(seed=3, users=20_000)))


def test_smallest_simulation():
    (block,) = simulate_blocks(seed=0, users=1)
    assert len(block.people) >= 1
    assert len(block.events) >= 1


@pytest.mark.parametrize(("seed", "users"), [(1, 0), (1, -5), (-1, 10)])
def test_bad_arguments_are_refused(seed, users):
    with pytest.raises(ValueError, match=r"users must be|seed must not"):
        next(simulate(seed=seed, users=users))


def test_runaway_referral_is_refused():
    with pytest.raises(ValueError, match="grows without bound"):
        next(simulate(seed=1, users=20_000, model=replace(MODEL, invites=0.9, accepts=1.0)))
