"""The verbs of strategy find what is planted in the demo. How often, over 20 seeds: ``python -m bench.aha_truth demo 20``."""

import pyarrow.csv
import pyarrow.parquet
import pytest

from upswing.demo.definitions import DEFINITIONS
from upswing.demo.simulate import write_parquet
from upswing.demo.truths import truth
from upswing.workspace import Workspace


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategy")
    workspace = Workspace.create(folder / "demo", timezone="Asia/Shanghai", currency="CNY")
    for name, body in DEFINITIONS.items():
        path = folder / "demo" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(body, encoding="utf-8")
    write_parquet(folder / "events.parquet", seed=11, users=15_000, aliases=folder / "aliases.parquet")
    workspace.import_events([folder / "events.parquet"])
    pyarrow.csv.write_csv(pyarrow.parquet.read_table(folder / "aliases.parquet"), folder / "aliases.csv")
    workspace.alias(file=folder / "aliases.csv")
    with workspace:
        yield workspace


def test_the_planted_behaviour_is_recommended_and_the_decoy_is_not(demo):
    answer = demo.aha("first_entries")
    best = answer.recommended
    assert best is not None
    assert (best.behaviour, best.count, str(best.window)) == ("entry_created", 3, "2d")
    assert best.curve is not None
    assert best.curve.threshold == 3
    planted = truth("aha_entries")
    assert best.found.adjusted.lower < planted.effect < best.found.adjusted.upper
    assert best.found.raw.estimate == pytest.approx(planted.by["raw"], abs=0.04)
    assert "report_viewed" not in {f.behaviour for f in answer.of("confirmed")}


def test_quadrants_come_out_in_the_planted_order(demo):
    answer = demo.quadrants("new_users")
    assert answer.order.passed
    assert all(s.weight > 0 for s in answer.signals)
    poor = {g.name: g.shares[0] for g in answer.groups}
    assert min(poor, key=poor.get) == truth("poor_channel").where["channel"]


def test_users_without_push_lack_the_trigger(demo):
    groups = {g.name: g for g in demo.behaviour("opening").groups}
    without = groups["false"]
    assert without.limiting is not None
    assert without.limiting.factor == "trigger"
    gain = without.factors[2].gain
    now = without.users * without.mean
    assert gain.lower / now < truth("no_trigger").effect < gain.upper / now
    assert groups["true"].factors[2].gain.estimate == 0


def test_the_loop_breaks_where_few_set_a_budget(demo):
    answer = demo.hook("bookkeeping")
    assert answer.whole.break_point is not None
    assert answer.whole.break_point.target == "investment"
