"""The size of a growth point: against the slow twin, its interval on simulations, each user once, records of other rooms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.growth import Person, gain, own_share
from upswing.core.i18n import text
from upswing.core.results import Caveat
from upswing.diagnose.weak_points import Division
from upswing.metrics.candidate import Candidate, Draft, Evidence, Worth
from upswing.review.confounders import confounders, standardised_gap
from upswing.review.sizing import rank, size, total
from upswing.stats.proportions import newcombe_difference


def candidate(place="pay", who="all", *, rate=0.4, reference=0.5, limits=(0.07, 0.13), flow=200.0, worth=(3.0, 0.0), lost=None,
              doubts=(), source="hand"):  # fmt: skip
    """A hand-made record, as another room would make it."""
    return Candidate(
        source=source, place=place, who=who, sentence=text("x"), rate=rate, users=1000, reference=reference,
        reference_name="best", reference_users=1000, gap_lower=limits[0], gap_upper=limits[1], p_value=0.001, per_week=flow,
        per_week_error=0.0, worth=Worth(worth[0], worth[1], 400, 600), draft=Draft("", "", ""),
        lost=None if lost is None else np.array(sorted(lost), np.int64),
        confounders=tuple(Caveat(code, "because") for code in doubts),
        evidence=(Evidence("quantitative", "counted", 1000), Evidence("qualitative", "“I never got the code”", 7)),
    )  # fmt: skip


people = st.lists(
    st.builds(Person, st.booleans(), st.booleans(), st.integers(0, 5).map(float)), min_size=8, max_size=60
)


@given(people, st.floats(1, 1000), st.sampled_from([0.25, 0.5, 1.0]))
def test_a_gain_is_what_counting_user_by_user_gives(drawn, per_week, closed):
    weak, others = [p for p in drawn if p.weak], [p for p in drawn if not p.weak]
    passed, failed = [p.added for p in weak if p.passed], [p.added for p in weak if not p.passed]
    if not others or not passed or not failed:
        return
    rate, best = len(passed) / len(weak), sum(p.passed for p in others) / len(others)
    worth = float(np.mean(passed) - np.mean(failed))
    found = candidate(rate=rate, reference=best, limits=(best - rate, best - rate), flow=per_week, worth=(worth, 0.0))
    assert size(found, closed=closed)[0] == pytest.approx(gain(drawn, per_week=per_week, closed=closed), abs=1e-9)


def test_a_negative_worth_turns_the_interval_and_not_its_order():
    found, low, high = size(candidate(worth=(-2.0, 0.1)), closed=0.5)
    assert low < found < high < 0


lost_users = st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=20), min_size=1, max_size=5)


@given(lost_users)
def test_each_lost_user_counts_once(drawn):
    """Points at one place, folded ones aside: what is their own sums to no more than all lost users together."""
    points = rank([candidate(who=f"w{i}", flow=1000.0 - i, lost=lost) for i, lost in enumerate(drawn)])
    kept = [set(p.candidate.lost.tolist()) for p in points]
    assert [1 - p.overlap for p in points] == pytest.approx(own_share(kept))
    assert sum(len(k) * (1 - p.overlap) for k, p in zip(kept, points, strict=True)) == pytest.approx(
        len(set().union(*kept))
    )
    assert sum(1 + len(p.also) for p in points) == len(drawn)


def test_users_lost_at_two_places_count_once():
    """Whoever a second room names too, at a place of its own, is won once."""
    first = candidate(who="one", place="entry", flow=300.0, lost=range(100))
    points = rank([first, candidate(who="two", place="stays", lost=range(50, 150))])
    assert [p.overlap for p in points] == [0.0, 0.5]
    assert total(points)[0] == pytest.approx(points[0].gain + 0.5 * points[1].gain)


def test_the_same_users_under_another_name_are_one_point():
    same = candidate(who="android 3.2.0", flow=300.0, lost=range(100)), candidate(who="android, May", lost=range(95))
    points = rank(same)
    assert [(p.candidate.who, p.also) for p in points] == [("android 3.2.0", ("android, May",))]


def test_a_point_that_is_over_or_explained_never_leads():
    points = rank([candidate(who="big", flow=10_000.0, doubts=("explained",)), candidate(who="small"),
                   candidate(who="broken", flow=9_000.0, doubts=("tracking",), place="x")])  # fmt: skip
    assert [p.candidate.who for p in points] == ["small", "big", "broken"]
    assert [p.sound for p in points] == [True, False, False]
    together = total(points)
    assert together[0] == pytest.approx(points[0].gain)


def test_users_not_known_one_by_one_count_nothing_twice():
    points = rank([candidate(who="one", flow=300.0), candidate(who="two"), candidate(who="else", place="other")])
    assert {p.candidate.who: p.own / p.gain for p in points} == {"one": 1.0, "two": 0.0, "else": 1.0}


def test_records_of_other_rooms_are_ranked_among_the_own():
    factor = candidate(source="factor", who="low ability", place="entry", flow=500.0)
    channel = candidate(source="channel", who="reward wall", place="visit", flow=50.0)
    own = candidate(source="funnel", flow=200.0, lost={1, 2})
    assert [p.candidate.source for p in rank([channel, own, factor])] == ["factor", "funnel", "channel"]


def test_the_interval_covers_the_true_gain():
    """A group passes at 50 % instead of 70 %; who passes adds 2 on average, who fails 0.5. Nominal 95 %."""
    rng = np.random.default_rng(11)
    rounds = 600
    inside = sum(_covers(rng, n=(800, 1500), flow=100) for _ in range(rounds))
    assert inside / rounds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / rounds)


def _covers(rng, *, n, flow):
    truth = 0.5 * 0.2 * flow * 1.5
    passed, best = rng.binomial(n[0], 0.5), rng.binomial(n[1], 0.7)
    mine, other = rng.poisson(2.0, passed), rng.poisson(0.5, n[0] - passed)
    limits = newcombe_difference(best, n[1], passed, n[0])
    weeks = rng.poisson(flow, 4)
    worth = Worth(float(mine.mean() - other.mean()),
                  float(np.sqrt(mine.var(ddof=1) / len(mine) + other.var(ddof=1) / len(other))), len(mine), len(other))  # fmt: skip
    found = Candidate(
        source="x", place="p", who="w", sentence=text("x"), rate=passed / n[0], users=n[0], reference=best / n[1],
        reference_name="", reference_users=n[1], gap_lower=float(limits.lower), gap_upper=float(limits.upper), p_value=None,
        per_week=float(weeks.mean()), per_week_error=float(np.sqrt(weeks.sum()) / 4), worth=worth, draft=Draft("", "", ""),
    )  # fmt: skip
    _, low, high = size(found, closed=0.5)
    return low <= truth <= high


def test_a_gap_that_is_all_mix_goes_when_both_sides_are_alike():
    """The weak group has more of stratum 0, where everybody passes less often."""
    rows = [(0, 0, 800, 240), (0, 1, 200, 140), (1, 0, 200, 60), (1, 1, 800, 560)]  # side, stratum, came, passed
    side = np.concatenate([np.full(n, s) for s, _, n, _ in rows])
    strata = np.concatenate([np.full(n, k) for _, k, n, _ in rows])
    passed = np.concatenate([np.arange(n) < x for *_, n, x in rows])
    came = np.ones(len(side), bool)
    gap = passed[side == 1].mean() - passed[side == 0].mean()
    adjusted, shared = standardised_gap(side == 0, side == 1, came, passed, strata)
    assert gap == pytest.approx(0.24)
    assert (adjusted, shared) == (pytest.approx(0.0, abs=1e-12), 1.0)
    nothing, none = standardised_gap(side == 0, side == 1, came, passed, side.astype(np.int64))
    assert np.isnan(nothing)
    assert none == 0.0


@pytest.mark.parametrize(("own", "code"), [(0.0, "explained"), (0.12, "mix")])
def test_what_mix_makes_of_a_gap_is_not_sized(own, code):
    """Members come more through a channel that passes less; `own` is what they lack at the same channel."""
    rng = np.random.default_rng(8)
    n = 40_000
    member = rng.random(n) < 0.3
    poor = rng.random(n) < np.where(member, 0.7, 0.2)
    passed = rng.random(n) < 0.8 - 0.3 * poor - own * member
    came = np.ones(n, bool)
    gap = float(passed[~member].mean() - passed[member].mean())
    limits = newcombe_difference(
        int(passed[~member].sum()), int((~member).sum()), int(passed[member].sum()), int(member.sum())
    )
    doubts, mixed = confounders(
        gap, float(limits.lower), member, ~member, came, passed, dimension="platform",
        divisions=(Division("channel", ("good", "poor"), poor.astype(np.int64)),),
    )  # fmt: skip
    assert mixed == pytest.approx(0.3 * 0.5, abs=0.02)  # 0.3 less for half more of them
    assert [d.code for d in doubts] == [code]
    found = candidate(rate=0.4, reference=0.4 + gap)
    assert replace(found, mixed=mixed).gap == pytest.approx(own, abs=0.02)
