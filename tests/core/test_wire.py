"""What crosses between two processes comes out as it went in, and nothing else can come out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.core.errors import DataError, Problem, UpswingError, UsageError
from upswing.core.i18n import Text, text, use_locale
from upswing.core.results import Column, HowComputed, Table, Window
from upswing.core.units import Duration
from upswing.core.wire import decode, detached, encode
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.steps import Step

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("Asia/Shanghai"), timezone(timedelta(hours=3))])),
    st.builds(Duration, st.integers(0, 10**15)),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(st.text(), inner, max_size=4),
        st.dictionaries(st.integers(), inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


def same(a: object, b: object) -> bool:
    """Equal in value and in type, NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(float(str(b))))
    if isinstance(a, dict):
        assert isinstance(b, dict)
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        assert isinstance(b, list | tuple)
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def over(value: object) -> object:
    """There and back, as text on the way."""
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


@given(values)
def test_values_come_back_as_they_went(value: object) -> None:
    assert same(over(value), value)


def test_what_results_are_made_of() -> None:
    moment = datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    how = HowComputed(
        {"steps": ("a", "b")}, Window(moment, moment, "Asia/Shanghai", {"note": 1.5}), text("by {n}", n=3)
    )
    table = Table("t", text("Title"), (Column("a", "A", "count"),), [(1,), (None,), (date(2026, 1, 2),)])
    definition = FunnelDefinition(name="f", steps=[Step(event="a"), Step(event="b")], window="7d")
    for value in (how, table, definition, Path("a/b"), frozenset({1, 2})):
        came = over(value)
        assert type(came) is type(value)
        assert came == value
    back = over(definition)
    assert isinstance(back, FunnelDefinition)
    assert (back.hash, back.model_fields_set) == (definition.hash, definition.model_fields_set)
    for array in (np.arange(5), np.array([[1.5, np.nan]]), np.zeros(0, np.uint8), np.array([True])):
        came = over(array)
        assert isinstance(came, np.ndarray)
        assert came.dtype == array.dtype
        np.testing.assert_array_equal(came, array)
    assert over(np.int64(3)) == 3


def test_sentences_are_translated_where_they_are_shown() -> None:
    sentence = over(text("{n} users", n=3))
    assert isinstance(sentence, Text)
    with use_locale("zh-CN"):
        assert str(sentence) == str(text("{n} users", n=3))


def test_every_text_that_makes_its_own_words_says_them_on_the_other_side() -> None:
    from upswing.metrics import explain, quantity
    from upswing.review import points, weekly

    made = [
        quantity.Quantity(0.012, "ratio", change=True), quantity.Quantity(None, "count"), weekly._Seconds(90.0),
        explain._Joined([text("{n} users", n=3), "and more"]), points._Doubts(["mix", "season"]),
    ]  # fmt: skip
    known = {type(one) for one in made}
    assert _below(Text) == known  # a new one has to be tried here
    for one in made:
        for locale in ("en", "zh-CN"):
            with use_locale(locale):
                sentence = text("it was {x}", x=one)
                assert str(one)
                assert str(decode(json.loads(json.dumps(encode(one))))) == str(one)
                assert str(decode(json.loads(json.dumps(encode(sentence))))) == str(sentence)
                assert type(decode(encode(one))) is type(one)


def _below(kind: type) -> set[type]:
    return {found for one in kind.__subclasses__() for found in {one, *_below(one)}}


@pytest.mark.parametrize("kind", [UsageError, DataError, UpswingError])
def test_errors_can_be_raised_again(kind: type[UpswingError]) -> None:
    error = kind(text("no {x}", x="y"), code="UP999", hint="try z", problems=[Problem("UP101", "a", file="f", line=3)])
    came = over(error)
    assert type(came) is kind
    assert isinstance(came, UpswingError)
    assert (came.to_dict(), str(came), came.exit_code) == (error.to_dict(), str(error), error.exit_code)


@pytest.mark.parametrize(
    "wire",
    [
        {"$data": ["os:environ", {"$map": []}]},
        {"$data": ["subprocess:Popen", {"$map": [["args", ["id"]]]}]},
        {"$data": ["upswing.core.wire:decode", {"$map": []}]},
        {"$data": ["upswing.core.results:Result.__class__", {"$map": []}]},
        {"$data": ["upswing.core.wire:Path", {"$map": []}]},
        {"$data": ["upswing_evil.x:Y", {"$map": []}]},
        {"$data": ["upswing.core.errors:UsageError", {"$map": []}]},
        {"$model": ["upswing.core.units:Duration", {"$map": []}, []]},
        {"$error": ["upswing.core.units:Duration", {"$map": []}]},
        {"$array": ["O", [1], "AAAA"]},
        {"$call": ["os.system", "id"]},
        {"$tuple": [], "$set": []},
        {},
    ],
)
def test_nothing_else_can_be_made(wire: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        decode(wire)  # type: ignore[arg-type]


def test_functions_and_foreign_objects_cannot_be_sent() -> None:
    for value in (print, object(), lambda: None, open, Outside(1)):
        with pytest.raises(TypeError):
            encode(value)


@dataclass(frozen=True)
class Outside:
    """Not of the package."""

    number: int


@dataclass(frozen=True, slots=True)
class Tied:
    """A result-like value that holds on to its log."""

    number: int
    log: object | None = field(default=None, compare=False)
    parts: tuple[Tied, ...] = ()


def test_detached_values_let_go_of_their_log() -> None:
    tied = Tied(1, print, (Tied(2, print), Tied(3)))
    free = detached(tied)
    assert free == tied
    assert free.log is None
    assert [p.log for p in free.parts] == [None, None]
    assert tied.log is print
    untied = Tied(4)
    assert detached(untied) is untied
