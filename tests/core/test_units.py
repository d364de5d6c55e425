from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.units import Duration, Money


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("7d", 604800),
        ("1h 30m", 5400),
        ("30 minutes", 1800),
        ("2周", 1209600),
        ("1.5h", 5400),
        ("90s", 90),
        ("500ms", 0.5),
        ("7天", 604800),
    ],
)
def test_written_durations(written, seconds):
    assert Duration.parse(written).seconds == seconds


@pytest.mark.parametrize("wrong", ["7", "", "d7", "7 moons", "1h30", "-1d", 7, 7.0, None])
def test_a_bare_number_or_nonsense_is_refused(wrong):
    with pytest.raises(UsageError, match="UP610"):
        Duration.parse(wrong)


@pytest.mark.parametrize("zero", ["0d", timedelta(0), timedelta(-1)])
def test_zero_is_refused_unless_allowed(zero):
    with pytest.raises(UsageError, match="UP611"):
        Duration.parse(zero)


def test_zero_where_allowed():
    assert Duration.parse("0s", zero=True).microseconds == 0


@given(st.integers(1, 10**15))
def test_text_round_trips(micros):
    assert Duration.parse(str(Duration(micros))).microseconds == micros


def test_money_of_two_currencies_does_not_add():
    with pytest.raises(UsageError, match="UP612"):
        Money(1, "CNY") + Money(1, "USD")
    assert Money(1, "CNY") + Money(2, "CNY") == Money(3, "CNY")


def test_nearest_choices():
    assert str(did_you_mean("sing_up", ["sign_up", "pay"])) == "did you mean 'sign_up'?"
    assert str(did_you_mean("zzz", ["b", "a"])) == "choose one of 'a', 'b'"
    assert did_you_mean("zzz", []) is None
