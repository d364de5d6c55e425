"""Ticks are round, equally spaced, around what is drawn, and told apart by their words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.core.i18n import use_locale
from upswing.report.axes import round_ticks, tick_words

VALUES = st.floats(-1e9, 1e9).map(lambda x: 0.0 if abs(x) < 1e-9 else x)
UNITS = st.sampled_from(["number", "ratio", "count", "seconds", "money"])


@given(VALUES, VALUES, UNITS)
def test_ticks_hold_the_values_in_few_equal_steps(one, other, unit):
    low, high = min(one, other), max(one, other)
    ticks = round_ticks(low, high, unit)
    room = 1e-6 * max(abs(low), abs(high), 1e-9)
    assert ticks[0] <= low + room
    assert ticks[-1] >= high - room
    assert 2 <= len(ticks) <= 7
    steps = [b - a for a, b in zip(ticks, ticks[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)
    assert 0 in ticks or low > 0 or high < 0


@given(VALUES, VALUES, UNITS)
def test_no_two_ticks_read_alike(one, other, unit):
    low, high = min(one, other), max(one, other)
    if high - low < 1e-6 * max(abs(low), abs(high)):
        return
    words = tick_words(round_ticks(low, high, unit), unit)
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    ("low", "high", "unit", "shown"),
    [
        (0, 0.52, "ratio", ["0%", "20%", "40%", "60%"]),
        (-1230, 3900, "count", ["−2K", "0", "2K", "4K"]),
        (0, 3, "count", ["0", "1", "2", "3"]),
        (0.97, 1.004, "number", ["0.97", "0.98", "0.99", "1.00", "1.01"]),
        (0, 7200, "seconds", ["0 s", "30 min", "1 h", "1.5 h", "2 h"]),
        (0, 0, "count", ["0", "1"]),
        (-0.05, 0.2, "difference", ["−10 pp", "0 pp", "+10 pp", "+20 pp"]),
    ],
)
def test_ticks_read_as_people_write_them(low, high, unit, shown):
    assert tick_words(round_ticks(low, high, unit), unit) == shown


def test_ticks_speak_chinese():
    with use_locale("zh-CN"):
        assert tick_words(round_ticks(0, 40_000, "count"), "count") == ["0", "1万", "2万", "3万", "4万"]
