"""Token buckets against a plain simulation, the throttle against guessing, rates of keys."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.serving import PASSWORD, served
from upswing.server.errors import TooManyError
from upswing.server.rate_limits import Buckets, Guessing, KeyRates


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@given(
    st.integers(1, 5), st.sampled_from([0.5, 1.0, 4.0]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0]), st.sampled_from("ab")), max_size=60),
)  # fmt: skip
def test_buckets_give_what_a_plain_bucket_gives(burst: int, rate: float, asked: list[tuple[float, str]]) -> None:
    clock = Clock()
    buckets = Buckets(burst=burst, per_second=rate, clock=clock)
    held = {"a": float(burst), "b": float(burst)}
    for pause, key in asked:
        clock.seconds += pause
        held = {k: min(burst, v + pause * rate) for k, v in held.items()}
        wait = buckets.take(key)
        assert (wait == 0) == (held[key] >= 1)
        if wait == 0:
            held[key] -= 1
        else:
            assert wait == pytest.approx((1 - held[key]) / rate)


def test_never_more_than_burst_and_rate() -> None:
    clock = Clock()
    buckets = Buckets(burst=10, per_second=2, clock=clock)
    taken = 0
    for _ in range(10_000):
        clock.seconds += 0.01
        taken += buckets.take("a") == 0
    assert taken <= 10 + 2 * 100 + 1


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upswing.server.rate_limits._MOST_KEPT", 100)
    buckets = Buckets(burst=1, per_second=1)
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets._kept) == 100


def _wrong(guessing: Guessing, account: str, address: str) -> bool:
    try:
        with guessing.attempt(account, address):
            return True
    except TooManyError:
        return False


def test_guessing_one_account_from_one_address_is_bounded() -> None:
    clock = Clock()
    guessing = Guessing(clock)
    tried = 0
    for _ in range(24 * 60 * 60):  # a try each second, for a day
        clock.seconds += 1
        tried += _wrong(guessing, "lin@example.com", "203.0.113.7")
    assert tried <= 5 + 24 * 60 + 1


def test_guessing_one_account_from_everywhere_is_bounded() -> None:
    clock = Clock()
    guessing = Guessing(clock)
    tried = 0
    for number in range(20_000):
        clock.seconds += 1
        tried += _wrong(guessing, "lin@example.com", f"203.0.{number // 250 % 250}.{number % 250}")
    assert tried <= 50 + 20_000 / 60 + 1


def test_guessing_many_accounts_from_one_subscriber_is_bounded() -> None:
    guessing = Guessing(Clock())
    tried = sum(_wrong(guessing, f"{n}@example.com", f"2001:db8:1:2::{n:x}") for n in range(1, 500))
    assert tried == 30
    assert _wrong(guessing, "other@example.com", "2001:db8:1:3::1")


def test_somebody_else_can_still_sign_in_and_right_answers_do_not_count() -> None:
    guessing = Guessing(Clock())
    while _wrong(guessing, "lin@example.com", "203.0.113.7"):
        pass
    for _ in range(100):
        with guessing.attempt("lin@example.com", "198.51.100.2") as right:
            right()


def test_many_addresses_do_not_lock_an_owner_out_of_a_network_they_sign_in_from() -> None:
    guessing = Guessing(Clock())
    with guessing.attempt("Lin@example.com", "198.51.100.2") as right:
        right()
    tried = sum(_wrong(guessing, "lin@example.com", f"203.0.{i // 250}.{i % 250}") for i in range(500))
    assert tried == 50  # the account's own bound still holds for strangers
    with guessing.attempt("lin@example.com", "198.51.100.2") as right:
        right()
    assert sum(_wrong(guessing, "lin@example.com", "198.51.100.2") for _ in range(20)) == 5


def test_over_http(tmp_path: Path) -> None:
    with served(tmp_path / "w") as site:
        given = {"email": "viewer@example.com", "password": "wrong"}
        answers = [site.client().post("/api/v1/session", json=given) for _ in range(7)]
        assert [a.status_code for a in answers] == [401] * 5 + [429] * 2
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        right = site.client().post("/api/v1/session", json={**given, "password": PASSWORD})
        assert right.status_code == 429  # also the right one, or the throttle would tell it
        assert site.client().post("/api/v1/session", json={**given, "email": "no@example.com"}).status_code == 401


def test_keys_have_rates_of_their_own() -> None:
    clock = Clock()
    rates = KeyRates(clock)
    for _ in range(30):
        rates.take("1", 3)
    with pytest.raises(TooManyError) as raised:
        rates.take("1", 3)
    assert raised.value.code == "UP811"
    assert raised.value.headers["Retry-After"] == "1"
    rates.take("2", 3)
    clock.seconds += 1
    for _ in range(3):
        rates.take("1", 3)
    with pytest.raises(TooManyError):
        rates.take("1", 3)
